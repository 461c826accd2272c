//! The sources of what cells depend on, where cargo looks for them instead of in a registry.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::process::last_lines;
use base::toolchain::Toolchain;
use lab::screen::Step;
use lab::sets::Set;
use lab::{programs, sets};
use link::pack;

/// Cargo's configuration in a pack, which goes before every other one: the kernel names it on cargo's
/// command line.
pub fn configuration() -> String {
    format!(
        "# No registry: every crate that there is lies in this folder.\n\
         [source.crates-io]\nreplace-with = \"pack\"\n\n\
         [source.pack]\ndirectory = \"{}/{}\"\n\n\
         [net]\noffline = true\n",
        pack::root(),
        pack::CRATES
    )
}

/// Copies the sources of all that the sets name, in the versions of the lock file, into cargo's new home
/// `to`.
///
/// # Errors
/// Without network, where they have not been downloaded yet, or on a full disk.
pub fn vendor(
    toolchain: &Toolchain,
    sets: &[Set],
    lock: &str,
    to: &Path,
    step: &Step,
) -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut members = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let name = format!("set{number}");
        let folder = workspace.path().join(&name);
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("src/lib.rs"), "")?;
        let manifest = sets::manifest(set)?
            .replace("name = \"download\"", &format!("name = \"{name}\""))
            .replace("[workspace]\n", "");
        fs::write(folder.join("Cargo.toml"), manifest)?;
        members.push(format!("{name:?}"));
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n",
        members.join(", ")
    );
    fs::write(workspace.path().join("Cargo.toml"), manifest)?;
    fs::write(workspace.path().join("Cargo.lock"), lock)?;
    let inside = pack::CRATES
        .strip_prefix(pack::CARGO)
        .and_then(|path| path.strip_prefix('/'))
        .context("the crates lie in cargo's home")?;
    let place = to.join(inside);
    fs::create_dir_all(place.parent().context("it has a parent")?)?;
    let mut cargo = Command::new(toolchain.cargo());
    cargo
        .args(["vendor", "--versioned-dirs", "--quiet"])
        // From a mirror, where one is used.
        .arg("--respect-source-config")
        .arg(&place)
        .current_dir(workspace.path());
    let output = programs::run(cargo, step).context("运行不了 cargo")?;
    ensure!(
        output.status.success(),
        "收集 crate 失败：{}\n（请检查网络和磁盘空间，然后重试）",
        last_lines(&output.stderr)
    );
    Ok(fs::write(to.join("config.toml"), configuration())?)
}
