//! Cells get the crate versions that a lock file names.
//!
//! evcxr writes a new manifest at its start and for each `:dep`, and cargo then drops from the
//! build folder's lock file whatever that manifest does not need; the next `:dep` would bring
//! today's newest versions. So [`crate::cargo`], when manifest or lock file have changed, puts
//! the wanted versions back before it calls the real cargo. Cargo prefers versions that a lock file
//! names, and is free for crates that it does not name: those are resolved and downloaded as ever.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// Makes the lock file in `build` name the versions of the one at `wanted`.
///
/// # Errors
/// When one of the two cannot be read, or the first not be written.
pub fn pin(build: &Path, wanted: &Path) -> Result<()> {
    let lock = build.join("Cargo.lock");
    let current = fs::read_to_string(&lock).unwrap_or_default();
    let wanted =
        fs::read_to_string(wanted).with_context(|| format!("读不了 {}", wanted.display()))?;
    fs::write(lock, merge(&current, &wanted)?)?;
    Ok(())
}

/// `wanted`, and from `current` the crates that it does not know.
///
/// # Errors
/// When one of the two is no lock file.
pub fn merge(current: &str, wanted: &str) -> Result<String> {
    let current: Table = current.parse().context("构建文件夹的 Cargo.lock 已损坏")?;
    let mut merged: Table = wanted.parse().context("要用的 Cargo.lock 已损坏")?;
    let known: HashSet<String> = packages(&merged)
        .iter()
        .filter_map(|package| name(package).map(str::to_owned))
        .collect();
    let added: Vec<Value> = packages(&current)
        .iter()
        .filter(|package| name(package).is_some_and(|name| !known.contains(name)))
        .cloned()
        .collect();
    let packages = merged
        .entry("package")
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(packages) = packages {
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
}
