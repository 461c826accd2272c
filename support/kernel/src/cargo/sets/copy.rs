//! Copies of what cargo has compiled. The big artifacts are linked; whatever cargo writes to in place
//! is copied, or a kernel would write through into the original. What nobody looks at again stays
//! behind: to make a thousand files is what takes time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use base::caches::is_ours;
use walkdir::{DirEntry, WalkDir};

use crate::cargo::names::{hashed, library, library_of};
use crate::cargo::{cell, used};

/// Copies what is in one target folder into another one and is not there yet.
///
/// # Errors
/// When something of it vanishes meanwhile, or it cannot be written.
pub fn merge(from: &Path, to: &Path) -> io::Result<()> {
    merge_some(from, to, |_| true)
}

/// Likewise, as far as it is `wanted`; of what is in a folder that is not, nothing.
///
/// # Errors
/// As [`merge`].
pub fn merge_some(from: &Path, to: &Path, wanted: impl Fn(&Path) -> bool) -> io::Result<()> {
    let keep = |entry: &DirEntry| {
        !is_of_a_cell(&entry.file_name().to_string_lossy()) && wanted(entry.path())
    };
    let entries = WalkDir::new(from).into_iter().filter_entry(keep);
    let entries: Vec<DirEntry> = entries.collect::<Result<_, _>>()?;
    let target = |entry: &DirEntry| to.join(entry.path().strip_prefix(from).expect("is below"));
    // A library whose file would be another one under the same name: cargo has to make it anew, and
    // must not think that it is there.
    let mut others = HashSet::new();
    for entry in entries.iter().filter(|entry| is_rewritten(entry.path())) {
        if let Ok(present) = fs::metadata(target(entry)) {
            let found = entry.metadata()?;
            if (present.len(), present.modified()?) != (found.len(), found.modified()?) {
                others.extend(library(entry.path()).map(str::to_owned));
            }
        }
    }
    for entry in &entries {
        let target = target(entry);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
            continue;
        }
        let is_other = fingerprinted(entry.path()).is_some_and(|name| others.contains(&name));
        let is_known = is_other || target.symlink_metadata().is_ok();
        if is_known || is_never_read(entry.path()) {
            continue;
        }
        if !is_never_rewritten(entry.path()) || link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
            // Cargo compares times: without this it would build the path dependencies again.
            let time = entry.metadata()?.modified()?;
            File::options()
                .write(true)
                .open(&target)?
                .set_modified(time)?;
        }
    }
    Ok(())
}

/// Puts a file that is never rewritten into a second place: a hard link, which stays when the
/// original goes; a symbolic one to a file that several users share, since the system refuses
/// them hard links to what is not theirs.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(_) if from.exists() && !is_ours(from) => symlink(from, to),
        linked => linked,
    }
}

/// Files that belong to cells, cargo's locks, and what the compiler keeps for the next time it
/// compiles a path dependency, which is not here (its locks are for the owner alone).
fn is_of_a_cell(name: &str) -> bool {
    let stem = name.strip_prefix("lib").unwrap_or(name);
    stem == "ctx"
        || stem.starts_with("ctx-")
        || stem.starts_with("ctx.")
        || stem.starts_with("code_")
        || name == ".cargo-lock"
        || name == "incremental"
        || cell::FILES.contains(&name)
}

/// Compiled dependencies, and build scripts, with a hash in their names. A path dependency's dylib
/// has none (`libnest_tokio.so`), and the linker writes to it in place.
fn is_never_rewritten(path: &Path) -> bool {
    (is_library(path) || is_in_folder(path, 2, "build")) && hashed(path).is_some()
}

/// What is not read when it has once been compiled: why something would have to be compiled again,
/// when it was begun, what its build script wrote to stderr, the second names of build scripts (cargo
/// gives them again), and which sources, that never change, something was made from.
fn is_never_read(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if is_in_folder(path, 2, ".fingerprint") {
        return name == "invoked.timestamp" || name.ends_with(".json");
    }
    if is_in_folder(path, 2, "build") {
        let is_second_name = name.starts_with("build-script-");
        return is_second_name
            || name.ends_with(".d")
            || ["invoked.timestamp", "stderr"].contains(&&*name);
    }
    is_in_folder(path, 1, "deps") && name.ends_with(".d") && used::never_changes(path)
}

/// Whether the folder so many above a file has this name.
fn is_in_folder(path: &Path, above: usize, name: &str) -> bool {
    let mut folders = path.ancestors().skip(above);
    folders.next().is_some_and(|folder| folder.ends_with(name))
}

/// Such a dylib.
fn is_rewritten(path: &Path) -> bool {
    is_library(path) && hashed(path).is_none()
}

fn is_library(path: &Path) -> bool {
    let compiled = path
        .extension()
        .is_some_and(|ext| ["rlib", "rmeta", "so"].iter().any(|known| ext == *known));
    is_in_folder(path, 1, "deps") && compiled
}

/// The library of whose state this file tells cargo.
fn fingerprinted(path: &Path) -> Option<String> {
    let mut above = path.ancestors().skip(1);
    let package = above.next()?;
    if above.next()?.file_name()? != ".fingerprint" {
        return None;
    }
    hashed(package).map(|(package, _)| library_of(package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    const DEPS: &str = "x86_64-unknown-linux-gnu/debug/deps";
    const PRINTS: &str = "x86_64-unknown-linux-gnu/debug/.fingerprint";

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_copy_shares_compiled_dependencies_and_nothing_that_is_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let shared = format!("{DEPS}/libserde-0123456789abcdef.rlib");
        let dylib = format!("{DEPS}/libnest_tokio.so");
        let cell = format!("{DEPS}/libctx.so");
        let print = format!("{PRINTS}/ctx-0123456789abcdef/lib-ctx");
        for path in [
            &shared,
            &dylib,
            &cell,
            &print,
            ".rustc_info.json",
            ".cargo-lock",
        ] {
            write(&from, path, "x");
        }
        merge(&from, &to).unwrap();
        let links = |path: &str| fs::metadata(to.join(path)).map(|found| found.nlink()).ok();
        assert_eq!(links(&shared), Some(2));
        assert_eq!(links(&dylib), Some(1));
        assert_eq!(links(".rustc_info.json"), Some(1));
        assert_eq!(links(&cell), None);
        assert_eq!(links(".cargo-lock"), None);
        assert_eq!(links(&print), None);
        let time = |folder: &Path| {
            fs::metadata(folder.join(&dylib))
                .unwrap()
                .modified()
                .unwrap()
        };
        assert_eq!(time(&from), time(&to));
    }

    #[test]
    fn what_nobody_reads_again_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let unit = "serde-0123456789abcdef";
        let stays = [
            format!("{PRINTS}/{unit}/invoked.timestamp"),
            format!("{PRINTS}/{unit}/lib-serde.json"),
            format!("debug/build/{unit}/build-script-build"),
            format!("debug/build/{unit}/stderr"),
            format!("{DEPS}/{unit}.d"),
        ];
        let goes = [
            format!("{PRINTS}/{unit}/lib-serde"),
            format!("{PRINTS}/{unit}/dep-lib-serde"),
            format!("debug/build/{unit}/output"),
            format!("debug/build/{unit}/root-output"),
            format!("debug/build/{unit}/out/generated.json"),
            format!("{DEPS}/notebook.d"),
        ];
        for path in stays.iter().chain(&goes) {
            let source = match path.ends_with("notebook.d") {
                true => "/work/notebook/src/lib.rs",
                false => "/home/.cargo/registry/src/index/serde-1.0.0/src/lib.rs",
            };
            write(&from, path, &format!("x: {source}\n"));
        }
        let script = format!("debug/build/{unit}/build_script_build-0123456789abcdef");
        write(&from, &script, "");
        merge(&from, &to).unwrap();
        assert!(stays.iter().all(|path| !to.join(path).exists()));
        assert!(goes.iter().all(|path| to.join(path).exists()));
        assert_eq!(fs::metadata(to.join(script)).unwrap().nlink(), 2);
    }

    #[test]
    fn what_is_there_already_stays_and_cargo_is_not_told_that_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let dylib = format!("{DEPS}/libnest_tokio.so");
        let print = |hash: &str| format!("{PRINTS}/nest-tokio-{hash}/lib-nest_tokio");
        let other = format!("{PRINTS}/notebook-0123456789abcdef/lib-notebook");
        for (folder, text, hash) in [
            (&from, "with more features", "0000000000000001"),
            (&to, "with less", "0000000000000002"),
        ] {
            write(folder, &dylib, text);
            write(folder, &print(hash), text);
        }
        write(&from, &other, "");
        merge(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join(&dylib)).unwrap(), "with less");
        assert!(to.join(print("0000000000000002")).exists());
        assert!(!to.join(print("0000000000000001")).exists());
        assert!(to.join(other).exists());
    }

    #[test]
    fn what_is_not_there_any_more_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        assert!(merge(&from, &to).is_err());
        fs::create_dir_all(from.join(DEPS)).unwrap();
        symlink("nowhere", from.join(DEPS).join("libserde.rlib")).unwrap();
        assert!(merge(&from, &to).is_err());
    }
}
