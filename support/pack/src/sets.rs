//! What cells depend on, compiled: by the very kernel, toolchain and crates that are in the pack, so
//! that nothing is compiled again when it has been unpacked somewhere else.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use base::files;
use base::process::last_lines;
use lab::screen::Step;
use lab::{log, sets};
use link::variable;
use serde_json::json;

use crate::make::Stage;

/// The cache in a pack.
pub const CACHE: &str = "cache";

/// Compiles what these notebooks depend on into the cache of the pack, as far as it has not been done.
///
/// # Errors
/// When something cannot be compiled.
pub fn compile(stage: &Stage, key: &str, notebooks: &[PathBuf], step: &Step) -> Result<()> {
    let cache = stage.folder().join(CACHE);
    let mark = cache.join("made-of");
    if fs::read_to_string(&mark).is_ok_and(|found| found == key) {
        return Ok(());
    }
    // Sets that are there already only have to be found: what an interrupted run has compiled stays.
    fs::create_dir_all(&cache)?;
    let spec = tempfile::tempdir()?;
    let course = stage.folder().join(lab::pack::COURSE);
    let entry = json!({
        "argv": [stage.folder().join("bin/kernel"), "{connection_file}"],
        "env": {
            (variable::PACK): stage.folder(),
            (variable::CACHE): &cache,
            (variable::LOCK): course.join("Cargo.lock"),
        },
    });
    fs::write(spec.path().join("kernel.json"), entry.to_string())?;
    let (sets, _) = sets::survey(notebooks);
    let notebooks = sets.iter().filter_map(|set| {
        let name = set.notebook.file_name()?;
        Some(course.join("notebooks").join(name))
    });
    let mut runner = Command::new(stage.folder().join("bin/runner"));
    runner
        .arg("warm")
        .arg("--kernel")
        .arg(spec.path())
        .args(notebooks);
    let mut compiled = 0;
    let output = log::finish(runner, |_, line| {
        if let Some(package) = line.strip_prefix("Compiling ") {
            compiled += 1;
            let message = format!("编译第 {compiled} 个包：{package}");
            step.bar().set_message(message);
        }
    });
    let output = output.context("运行不了 runner")?;
    if !output.status.success() {
        bail!("{}", last_lines(&output.stderr));
    }
    tidy(&cache)?;
    files::replace(&mark, |file| file.write_all(key.as_bytes()))
}

/// Removes what is of no use anywhere else.
fn tidy(cache: &Path) -> Result<()> {
    let kernel = cache.join("rust-async-notebooks/kernel");
    for name in ["answers", "config", "kernels", "library"] {
        let folder = kernel.join(name);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}
