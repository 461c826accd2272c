//! What cells depend on, compiled: by the very kernel, toolchain and crates that are in the pack, so
//! that nothing is compiled again when it has been unpacked somewhere else.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use base::files;
use lab::screen::Step;
use lab::sets::{self, Set};
use link::variable;
use serde_json::json;

use crate::make::Stage;

/// The cache in a pack.
pub const CACHE: &str = "cache";

/// Compiles sets into the cache of the pack, as far as that has not been done.
///
/// # Errors
/// When something cannot be compiled.
pub fn compile(stage: &Stage, key: &str, sets: &[Set], step: &Step) -> Result<()> {
    let cache = stage.folder().join(CACHE);
    let mark = cache.join("made-of");
    if fs::read_to_string(&mark).is_ok_and(|found| found == key) {
        return Ok(());
    }
    // Sets that are there already are a beginning: what an interrupted run has compiled stays.
    fs::create_dir_all(&cache)?;
    let began = SystemTime::now();
    let spec = tempfile::tempdir()?;
    let entry = json!({
        "argv": [stage.folder().join("bin/kernel"), "{connection_file}"],
        "env": {
            (variable::PACK): stage.folder(),
            (variable::CACHE): &cache,
            (variable::LOCK): stage.course().join("Cargo.lock"),
        },
    });
    fs::write(spec.path().join("kernel.json"), entry.to_string())?;
    sets::warm(&stage.folder().join("bin/runner"), spec.path(), sets, step)?;
    tidy(&cache, began)?;
    files::replace(&mark, |file| file.write_all(key.as_bytes()))
}

/// Removes what is of no use anywhere else, and sets that have not been used since then.
fn tidy(cache: &Path, since: SystemTime) -> Result<()> {
    let kernel = cache.join("rust-async-notebooks/kernel");
    for name in ["answers", "config", "kernels", "library"] {
        let folder = kernel.join(name);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    for entry in fs::read_dir(kernel.join("sets"))? {
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
        let kernel = folder.path().join("rust-async-notebooks/kernel");
        for name in ["sets/used", "sets/older", "sets/unfinished", "answers"] {
            fs::create_dir_all(kernel.join(name)).unwrap();
        }
        fs::write(kernel.join("sets/used.lock"), "").unwrap();
        let began = SystemTime::now();
        for (name, time) in [
            ("used", began + Duration::from_secs(1)),
            ("older", began - Duration::from_secs(1)),
        ] {
            let mark = fs::File::create(kernel.join("sets").join(name).join("ready")).unwrap();
            mark.set_modified(time).unwrap();
        }
        tidy(folder.path(), began).unwrap();
        let left = fs::read_dir(kernel.join("sets")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["used"]);
        assert!(!kernel.join("answers").exists());
    }
}
