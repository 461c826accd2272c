//! Cells get the crate versions that the workspace's lock file names.
//!
//! evcxr writes a new manifest at its start and for each `:dep`, and cargo then drops from the
//! build folder's lock file whatever that manifest does not need; the next `:dep` would bring
//! today's newest versions. So evcxr's `cargo` is this program: before it becomes the real cargo
//! it puts the workspace's versions back. Cargo prefers versions that a lock file names, and is
//! free for crates that it does not name: those are resolved and downloaded as ever.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// The real cargo.
pub const CARGO_ENV: &str = "LAB_CARGO";
/// The lock file with the versions to use.
pub const LOCK_ENV: &str = "LAB_LOCK";
/// evcxr's build folder; cargo is left alone everywhere else.
pub const BUILD_ENV: &str = "EVCXR_TMPDIR";

/// Becomes the real cargo, with the build folder's lock file put right if that is where it runs.
///
/// # Errors
/// When there is no real cargo to become.
pub fn become_cargo(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    if let (Some(lock), Some(build)) = (std::env::var_os(LOCK_ENV), std::env::var_os(BUILD_ENV))
        && std::env::current_dir().is_ok_and(|here| here == build)
        && let Err(error) = pin(Path::new(&build), Path::new(&lock))
    {
        eprintln!("[lab] 没能固定依赖的版本：{error:#}");
    }
    let cargo = PathBuf::from(std::env::var_os(CARGO_ENV).unwrap_or_else(|| "cargo".into()));
    let error = Command::new(&cargo).args(arguments).exec();
    Err(error).with_context(|| format!("运行不了 {}", cargo.display()))
}

/// Makes the lock file in `build` agree with the one at `wanted`.
fn pin(build: &Path, wanted: &Path) -> Result<()> {
    let (manifest, lock) = (build.join("Cargo.toml"), build.join("Cargo.lock"));
    let current = match fs::read_to_string(&lock) {
        Ok(text) if fs::metadata(&lock)?.modified()? >= fs::metadata(&manifest)?.modified()? => {
            text
        }
        Ok(text) => return replace(&lock, Some(&text), wanted),
        Err(_) => return replace(&lock, None, wanted),
    };
    // Unchanged since cargo last wrote it; but that may have been a cargo that we were not.
    let wanted_text = fs::read_to_string(wanted)?;
    match strays(&current, &wanted_text)? {
        true => replace(&lock, Some(&current), wanted),
        false => Ok(()),
    }
}

/// Writes the merged lock file.
fn replace(lock: &Path, current: Option<&str>, wanted: &Path) -> Result<()> {
    let wanted =
        fs::read_to_string(wanted).with_context(|| format!("读不了 {}", wanted.display()))?;
    fs::write(lock, merge(current.unwrap_or_default(), &wanted)?)?;
    Ok(())
}

/// The versions of each crate in a lock file.
fn versions(lock: &Table) -> HashMap<&str, Vec<&str>> {
    let mut versions: HashMap<&str, Vec<&str>> = HashMap::new();
    for package in packages(lock) {
        if let (Some(name), Some(version)) = (text(package, "name"), text(package, "version")) {
            versions.entry(name).or_default().push(version);
        }
    }
    versions
}

fn packages(lock: &Table) -> &[Value] {
    lock.get("package")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(package: &'a Value, key: &str) -> Option<&'a str> {
    package.get(key)?.as_str()
}

/// Whether `current` has a version that `wanted` has not, of a crate that it has.
fn strays(current: &str, wanted: &str) -> Result<bool> {
    let (current, wanted) = (current.parse::<Table>()?, wanted.parse::<Table>()?);
    let (current, wanted) = (versions(&current), versions(&wanted));
    Ok(current.iter().any(|(name, versions)| {
        wanted
            .get(name)
            .is_some_and(|pinned| versions.iter().any(|version| !pinned.contains(version)))
    }))
}

/// `wanted`, and from `current` the crates that it does not know.
fn merge(current: &str, wanted: &str) -> Result<String> {
    let current: Table = current.parse().context("构建文件夹的 Cargo.lock 已损坏")?;
    let mut merged: Table = wanted.parse().context("项目的 Cargo.lock 已损坏")?;
    let known: Vec<String> = versions(&merged).into_keys().map(str::to_owned).collect();
    let added = packages(&current)
        .iter()
        .filter(|package| {
            text(package, "name").is_some_and(|name| !known.iter().any(|k| k == name))
        })
        .cloned();
    if let Some(Value::Array(packages)) = merged.get_mut("package") {
        packages.extend(added);
    }
    Ok(toml::to_string(&merged)?)
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

    #[test]
    fn a_newer_version_of_a_pinned_crate_is_a_stray() {
        let wanted = lock(&[("itoa", "1.0.9"), ("syn", "1.0.1"), ("syn", "2.0.1")]);
        assert!(strays(&lock(&[("itoa", "1.0.18")]), &wanted).unwrap());
        assert!(!strays(&lock(&[("itoa", "1.0.9"), ("syn", "2.0.1")]), &wanted).unwrap());
    }

    #[test]
    fn a_crate_that_is_not_pinned_is_no_stray_and_keeps_its_version() {
        let wanted = lock(&[("itoa", "1.0.9")]);
        let current = lock(&[("ctx", "1.0.0"), ("hex", "0.4.3"), ("itoa", "1.0.18")]);
        assert!(!strays(&lock(&[("hex", "0.4.3")]), &wanted).unwrap());
        let merged: Table = merge(&current, &wanted).unwrap().parse().unwrap();
        let merged = versions(&merged);
        assert_eq!(merged["hex"], ["0.4.3"]);
        assert_eq!(merged["itoa"], ["1.0.9"]);
    }

    #[test]
    fn a_lock_file_older_than_its_manifest_is_filled_up() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("wanted.lock");
        fs::write(&wanted, lock(&[("itoa", "1.0.9")])).unwrap();
        fs::write(folder.path().join("Cargo.lock"), lock(&[])).unwrap();
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        let manifest = fs::File::open(folder.path().join("Cargo.toml")).unwrap();
        manifest.set_modified(later).unwrap();
        pin(folder.path(), &wanted).unwrap();
        let text = fs::read_to_string(folder.path().join("Cargo.lock")).unwrap();
        assert!(text.contains("1.0.9"), "{text}");
    }
}
