//! Cells get the crate versions that the workspace's lock file names.
//!
//! evcxr writes a new manifest at its start and for each `:dep`, and cargo then drops from the
//! build folder's lock file whatever that manifest does not need; the next `:dep` would bring
//! today's newest versions. So evcxr's `cargo` is a script that, when manifest or lock file have
//! changed, calls `lab cargo`: this puts the workspace's versions back before it calls the real
//! cargo. Cargo prefers versions that a lock file names, and is free for crates that it does not
//! name: those are resolved and downloaded as ever.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// This program.
pub const LAB_ENV: &str = "LAB_PROGRAM";
/// The real cargo.
pub const CARGO_ENV: &str = "LAB_CARGO";
/// The lock file with the versions to use.
pub const LOCK_ENV: &str = "LAB_LOCK";
/// evcxr's build folder; cargo is left alone everywhere else.
pub const BUILD_ENV: &str = "EVCXR_TMPDIR";

/// What manifest and lock file were after the last call of cargo. Not their times: evcxr writes
/// several manifests in one second.
const SEEN: [(&str, &str); 2] = [("Cargo.toml", ".lab-toml"), ("Cargo.lock", ".lab-lock")];

/// A script, since it runs for every cell: this program would take a tenth of a second to start.
///
/// Without warnings: evcxr takes those of a path dependency for errors of the cell.
pub(crate) const CARGO: &str = r#"#!/bin/sh
same() { cmp -s Cargo.toml .lab-toml && cmp -s Cargo.lock .lab-lock; }
if [ "$PWD" = "$EVCXR_TMPDIR" ]; then
    export RUSTFLAGS="$RUSTFLAGS -Awarnings"
    same || exec "$LAB_PROGRAM" cargo "$@"
fi
exec "$LAB_CARGO" "$@"
"#;

/// Whoever asks rustup for the real cargo would get round ours: there is no rustup here.
const RUSTUP: &str = "#!/bin/sh\nexit 1\n";

/// Writes the programs that evcxr finds first, into the folder `tools`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_tools(tools: &Path) -> Result<()> {
    for (name, script) in [("cargo", CARGO), ("rustup", RUSTUP)] {
        let path = tools.join(name);
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// `lab cargo …`: the real cargo, with the lock file in the working directory put right first.
///
/// # Errors
/// When there is no real cargo to call.
pub fn cargo(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let wanted = std::env::var_os(LOCK_ENV).map(PathBuf::from);
    if let Some(Err(error)) = wanted.as_ref().map(|wanted| pin(Path::new(""), wanted)) {
        eprintln!("[lab] 没能固定依赖的版本：{error:#}");
    }
    let cargo = PathBuf::from(std::env::var_os(CARGO_ENV).unwrap_or_else(|| "cargo".into()));
    let status = Command::new(&cargo)
        .args(arguments)
        .status()
        .with_context(|| format!("运行不了 {}", cargo.display()))?;
    if wanted.is_some() {
        for (file, copy) in SEEN {
            let _ = fs::copy(file, copy);
        }
    }
    Ok(ExitCode::from(status.code().map_or(1, |code| code as u8)))
}

/// Makes the lock file in `build` name the versions of the one at `wanted`.
fn pin(build: &Path, wanted: &Path) -> Result<()> {
    let lock = build.join("Cargo.lock");
    let current = fs::read_to_string(&lock).unwrap_or_default();
    let wanted =
        fs::read_to_string(wanted).with_context(|| format!("读不了 {}", wanted.display()))?;
    fs::write(lock, merge(&current, &wanted)?)?;
    Ok(())
}

/// `wanted`, and from `current` the crates that it does not know.
fn merge(current: &str, wanted: &str) -> Result<String> {
    let current: Table = current.parse().context("构建文件夹的 Cargo.lock 已损坏")?;
    let mut merged: Table = wanted.parse().context("项目的 Cargo.lock 已损坏")?;
    let known: HashSet<String> = packages(&merged)
        .iter()
        .filter_map(|package| name(package).map(str::to_owned))
        .collect();
    let added: Vec<Value> = packages(&current)
        .iter()
        .filter(|package| name(package).is_some_and(|name| !known.contains(name)))
        .cloned()
        .collect();
    if let Some(Value::Array(packages)) = merged.get_mut("package") {
        packages.extend(added);
    }
    Ok(toml::to_string(&merged)?)
}

fn packages(lock: &Table) -> &[Value] {
    lock.get("package")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn name(package: &Value) -> Option<&str> {
    package.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let mut text = String::from("version = 4\n");
        for (name, version) in packages {
            text += &format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        }
        text
    }

    fn versions(lock: &str) -> Vec<String> {
        let lock: Table = lock.parse().unwrap();
        let text = |package: &Value, key| package[key].as_str().unwrap().to_owned();
        packages(&lock)
            .iter()
            .map(|package| format!("{} {}", text(package, "name"), text(package, "version")))
            .collect()
    }

    #[test]
    fn pinned_crates_get_their_versions_and_others_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("wanted.lock");
        fs::write(
            &wanted,
            lock(&[("itoa", "1.0.9"), ("syn", "1.0.1"), ("syn", "2.0.1")]),
        )
        .unwrap();
        let current = lock(&[("ctx", "1.0.0"), ("hex", "0.4.3"), ("itoa", "1.0.18")]);
        fs::write(folder.path().join("Cargo.lock"), current).unwrap();
        pin(folder.path(), &wanted).unwrap();
        let merged = fs::read_to_string(folder.path().join("Cargo.lock")).unwrap();
        assert_eq!(
            versions(&merged),
            [
                "itoa 1.0.9",
                "syn 1.0.1",
                "syn 2.0.1",
                "ctx 1.0.0",
                "hex 0.4.3"
            ]
        );
    }

    #[test]
    fn a_build_folder_without_a_lock_file_gets_the_wanted_one() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("wanted.lock");
        fs::write(&wanted, lock(&[("itoa", "1.0.9")])).unwrap();
        pin(folder.path(), &wanted).unwrap();
        let merged = fs::read_to_string(folder.path().join("Cargo.lock")).unwrap();
        assert_eq!(versions(&merged), ["itoa 1.0.9"]);
    }

    /// Runs the script in `build`, with programs in the place of cargo and of this one that say
    /// who they are.
    fn who_is_called(build: &Path) -> String {
        let tools = tempfile::tempdir().unwrap();
        write_tools(tools.path()).unwrap();
        let echo = |name: &str| {
            let path = tools.path().join(name);
            fs::write(&path, format!("#!/bin/sh\necho {name} $*\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let output = Command::new(tools.path().join("cargo"))
            .arg("build")
            .current_dir(build)
            .env(BUILD_ENV, build)
            .env(LAB_ENV, echo("lab"))
            .env(CARGO_ENV, echo("real"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn only_a_changed_manifest_or_lock_file_costs_time() {
        let folder = tempfile::tempdir().unwrap();
        let build = folder.path().canonicalize().unwrap();
        let write = |name: &str, text: &str| fs::write(build.join(name), text).unwrap();
        write("Cargo.toml", "");
        write("Cargo.lock", "one");
        assert_eq!(who_is_called(&build), "lab cargo build\n");
        write(".lab-toml", "");
        write(".lab-lock", "one");
        assert_eq!(who_is_called(&build), "real build\n");
        write("Cargo.lock", "another");
        assert_eq!(who_is_called(&build), "lab cargo build\n");
        write(".lab-lock", "another");
        assert_eq!(who_is_called(&build), "real build\n");
        // In the same second: the times may well be equal.
        write("Cargo.toml", "more");
        assert_eq!(who_is_called(&build), "lab cargo build\n");
    }
}
