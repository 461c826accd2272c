//! Packages from npm: those that a lock file names, with its checksums.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::files::make_folder;
use crate::process::{self, last_lines};

/// Says, in a folder with packages, for which lock file they were installed.
const INSTALLED: &str = "installed.json";

/// Installs what the lock file in the folder `source` names into the folder `place`, unless that is
/// there already. Returns whether it was not. None of the packages' own programs is run.
///
/// # Errors
/// Without npm, without network, or on a full disk; `place` is then as it was.
pub fn install(source: &Path, place: &Path) -> Result<bool> {
    let read = |name| {
        let path = source.join(name);
        fs::read(&path).with_context(|| format!("读不了 {}", path.display()))
    };
    let (package, lock) = (read("package.json")?, read("package-lock.json")?);
    if fs::read(place.join(INSTALLED)).is_ok_and(|found| found == lock) {
        return Ok(false);
    }
    make_folder(place, |new| {
        fs::write(new.join("package.json"), &package)?;
        fs::write(new.join("package-lock.json"), &lock)?;
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--prefix",
        ])
        .arg(new);
        let output = process::finish(npm, |_, _| ()).context("运行不了 npm")?;
        ensure!(
            output.status.success(),
            "npm 失败：{}",
            last_lines(&[output.stdout, output.stderr].concat())
        );
        // Its notes for its next run name the addresses it has downloaded from.
        match fs::remove_file(new.join("node_modules/.package-lock.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error)?,
            _ => {}
        }
        Ok(fs::write(new.join(INSTALLED), &lock)?)
    })?;
    Ok(true)
}
