//! What cells depend on, compiled, and the book: by the very kernel, toolchain and crates that are in the
//! pack, so that nothing is compiled again when it has been unpacked somewhere else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use base::files;
use base::process::last_lines;
use lab::project::Project;
use lab::python::Environment;
use lab::screen::Step;
use lab::sets::{self, Set};
use lab::{kernelspec, log};
use link::variable;
use serde_json::json;
use tempfile::TempDir;

use crate::make::Stage;

/// The cache in a pack.
const CACHE: &str = "cache";
/// What kernels leave in it that is of no use anywhere else.
const LEFT: [&str; 4] = ["answers", "config", "kernels", "library"];

fn cache(stage: &Stage) -> PathBuf {
    stage.folder().join(CACHE)
}

/// Where kernels keep things in it.
fn kept(cache: &Path) -> PathBuf {
    cache.join("rust-async-notebooks/kernel")
}

/// The pack's runner, with an entry for the pack's kernel, which is there as long as the result lives.
fn runner(stage: &Stage, project: &Project) -> Result<(PathBuf, TempDir)> {
    let mut variables: BTreeMap<_, _> = kernelspec::variables(project).into_iter().collect();
    for (name, folder) in [
        (variable::PACK, stage.folder().to_owned()),
        (variable::CACHE, cache(stage)),
    ] {
        variables.insert(name.to_owned(), folder.display().to_string());
    }
    let kernel = stage.folder().join("bin/kernel");
    let entry = json!({"argv": [kernel, "{connection_file}"], "env": variables});
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("kernel.json"), entry.to_string())?;
    Ok((stage.folder().join("bin/runner"), folder))
}

/// Compiles sets of the pack's `project` into the cache of the pack, as far as that has not been done.
///
/// # Errors
/// When something cannot be compiled.
pub fn compile(
    stage: &Stage,
    project: &Project,
    key: &str,
    sets: &[Set],
    step: &Step,
) -> Result<()> {
    if stage.has(CACHE, key) {
        return Ok(());
    }
    stage.forget(CACHE);
    let cache = cache(stage);
    // Sets that are there already are a beginning: what an interrupted run has compiled stays.
    fs::create_dir_all(&cache)?;
    let began = SystemTime::now();
    let (runner, kernel) = runner(stage, project)?;
    sets::warm(&runner, kernel.path(), sets, step)?;
    remove_unused(&kept(&cache), began)?;
    stage.note(CACHE, key)
}

/// Exports these notebooks of the pack's `project` into a folder. They are executed as students will
/// execute them; the pages are made by the Python of this `environment`.
///
/// # Errors
/// When a cell fails that should not.
pub fn export(
    stage: &Stage,
    project: &Project,
    environment: &Environment,
    notebooks: &[PathBuf],
    to: &Path,
) -> Result<()> {
    let (runner, kernel) = runner(stage, project)?;
    let mut command = Command::new(runner);
    command.arg("export").arg("--kernel").arg(kernel.path());
    command.arg("--python").arg(environment.python());
    command.arg("--out").arg(to).args(notebooks);
    let output = log::finish(command, |_, _| ()).context("运行不了 runner")?;
    ensure!(
        output.status.success(),
        "导出失败：{}",
        last_lines(&output.stderr)
    );
    Ok(())
}

/// Removes what kernels have left in the cache of the pack, but for the sets.
///
/// # Errors
/// When that cannot be done.
pub fn clear(stage: &Stage) -> Result<()> {
    let kept = kept(&cache(stage));
    LEFT.iter()
        .try_for_each(|name| files::remove(&kept.join(name)))
}

/// Removes the sets that have not been used since then.
fn remove_unused(kept: &Path, since: SystemTime) -> Result<()> {
    for entry in fs::read_dir(kept.join("sets"))? {
        let path = entry?.path();
        // The kernel touches this file when it uses a set.
        let used = fs::metadata(path.join("ready")).and_then(|mark| mark.modified());
        if used.is_ok_and(|used| used >= since) {
            continue;
        }
        match path.is_dir() {
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_the_sets_that_have_just_been_used_go_into_a_pack() {
        let folder = tempfile::tempdir().unwrap();
        let sets = folder.path().join("sets");
        for name in ["used", "older", "unfinished"] {
            fs::create_dir_all(sets.join(name)).unwrap();
        }
        fs::write(sets.join("used.lock"), "").unwrap();
        let began = SystemTime::now();
        for (name, time) in [
            ("used", began + Duration::from_secs(1)),
            ("older", began - Duration::from_secs(1)),
        ] {
            let mark = fs::File::create(sets.join(name).join("ready")).unwrap();
            mark.set_modified(time).unwrap();
        }
        remove_unused(folder.path(), began).unwrap();
        let left = fs::read_dir(sets).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["used"]);
    }
}
