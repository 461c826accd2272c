//! The standard library's sources, as rust-analyzer gets to see them.
//!
//! Most of what it would read is never completed on in a notebook: the vendor intrinsics of every
//! processor (`stdarch`, half of it all), the library's own dependencies and their tests. Without
//! them a kernel starts sooner and is lighter. So it is pointed to a folder of links to the crates
//! that matter; without the library's `Cargo.toml` rust-analyzer takes them as they lie and does
//! not ask cargo first.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use link::pack::LIBRARY;

/// The folder of links to `sources` in `cache`, made if it is missing.
///
/// # Errors
/// When the links cannot be made.
pub fn pruned(cache: &Path, sources: &Path) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    let parent = cache.join("library");
    let folder = parent.join(format!("{:016x}", hasher.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&parent)?;
    // By renaming, so that it is complete when it is there.
    let new = tempfile::tempdir_in(&parent).context("建不了文件夹：请检查磁盘空间")?;
    for name in LIBRARY {
        symlink(sources.join(name), new.path().join(name))?;
    }
    match fs::rename(new.path(), &folder) {
        Err(_) if folder.is_dir() => Ok(folder), // another kernel was quicker
        renamed => renamed.map(|()| folder).context("建不了标准库源码的链接"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_there_and_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let sources = folder.path().join("library");
        for part in ["core/src", "std/src", "stdarch/crates"] {
            fs::create_dir_all(sources.join(part)).unwrap();
        }
        let pruned = super::pruned(folder.path(), &sources).unwrap();
        assert!(pruned.join("core/src").is_dir() && pruned.join("std/src").is_dir());
        assert!(!pruned.join("stdarch").exists());
        assert_eq!(super::pruned(folder.path(), &sources).unwrap(), pruned);
    }
}
