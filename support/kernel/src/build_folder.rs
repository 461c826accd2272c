//! The folders that evcxr builds cells in.
//!
//! Set-up *warms* one for each set of `:dep` lines: everything in it is compiled. Each kernel
//! then gets a *copy* of its own, since two kernels must not share one. The big artifacts are
//! linked; whatever cargo or evcxr writes to in place is copied, or a kernel would write
//! through into the original.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::cargo;
use crate::files;
use crate::project::Project;
use crate::toolchain::Toolchain;

/// For cargo in all build folders: dependencies are optimised once, when they are warmed; cells
/// are not, since compiling them is what a student waits for, nor what stands in for a part of each
/// cell.
const CARGO_CONFIG: &str = "[profile.dev.package.\"*\"]
opt-level = 3
[profile.dev.package.notebook-cell]
opt-level = 0
";

/// For evcxr: the opt-level of cells.
const EVCXR_CONFIG: &str = "[evcxr]\nopt_level = \"0\"\n";

/// Written last into a warmed folder: without it the folder is not used.
const READY: &str = ".lab-ready";

/// The folder with evcxr's configuration, made if it is missing.
///
/// # Errors
/// When a file cannot be written.
pub fn configuration(project: &Project) -> Result<PathBuf> {
    let folder = project.cache().join("config");
    write_if_different(&folder.join("evcxr.toml"), EVCXR_CONFIG)?;
    // Above the warmed folders and above those of kernels: often the same.
    for above in project.warm().parent().into_iter().chain([project.cache()]) {
        write_if_different(&above.join(".cargo/config.toml"), CARGO_CONFIG)?;
    }
    Ok(folder)
}

fn write_if_different(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let folder = path.parent().context("a file has a folder")?;
    fs::create_dir_all(folder)?;
    // By renaming, so that a kernel that starts meanwhile never reads half of it.
    files::replace(path, |file| file.write_all(text.as_bytes()))
}

/// Where the warmed folder for a set of `:dep` lines is, or will be.
///
/// Its name changes with everything that would make its contents useless: the lines, the lock
/// file, the toolchain and the sources of the support crates.
///
/// # Errors
/// When a source file cannot be read.
pub fn warmed(project: &Project, toolchain: &Toolchain, deps: &[String]) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (deps, &toolchain.version, &toolchain.sources, CARGO_CONFIG).hash(&mut hasher);
    cargo::WARMED_WITH.hash(&mut hasher);
    // The support crates take versions and features from the workspace's manifest.
    for name in ["Cargo.lock", "Cargo.toml"] {
        fs::read(project.root().join(name))
            .with_context(|| format!("读不了 {name}：请重新克隆项目"))?
            .hash(&mut hasher);
    }
    let mut sources: Vec<PathBuf> = ["nest-tokio", "notebook", "flags"]
        .iter()
        .flat_map(|name| {
            let folder = project.root().join("support").join(name);
            [
                folder.join("Cargo.toml"),
                folder.join("README.md"),
                folder.join("src"),
                folder.join("cell"),
                folder.join("data"),
            ]
        })
        .flat_map(|path| WalkDir::new(path).into_iter().flatten())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.into_path())
        .collect();
    sources.sort();
    for source in sources {
        fs::read(&source)
            .with_context(|| format!("读不了 {}", source.display()))?
            .hash(&mut hasher);
    }
    let name = format!("{:016x}", hasher.finish());
    Ok(project.warm().join(name))
}

/// Makes a folder that is to be warmed, unless it is there: a copy of `base`, another warmed one,
/// so that nothing is compiled twice.
///
/// # Errors
/// When it cannot be made, on a full disk for example.
pub fn begin(folder: &Path, base: Option<&Path>) -> io::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let half = folder.with_extension("half");
    if half.exists() {
        fs::remove_dir_all(&half)?; // of an attempt that was interrupted
    }
    match base {
        Some(base) => copy(base, &half)?,
        None => fs::create_dir_all(&half)?,
    }
    fs::rename(&half, folder)
}

/// Whether a warmed folder is complete.
pub fn is_ready(warmed: &Path) -> bool {
    warmed.join(READY).is_file()
}

/// Says that a warmed folder is complete.
///
/// # Errors
/// When the mark cannot be written.
pub fn set_ready(warmed: &Path) -> Result<()> {
    File::create(warmed.join(READY))?;
    Ok(())
}

/// A kernel's own build folder. Removed when dropped; if the process is killed, by the next
/// kernel that starts.
#[derive(Debug)]
pub struct BuildFolder {
    home: PathBuf,
    /// Locked as long as the kernel lives, however it ends.
    _alive: File,
}

impl BuildFolder {
    /// A folder of its own, a copy of `warmed` if that is ready.
    ///
    /// # Errors
    /// When it cannot be made, on a full disk for example.
    pub fn new(project: &Project, warmed: &Path) -> Result<BuildFolder> {
        let kernels = project.cache().join("kernels");
        fs::create_dir_all(&kernels)?;
        // Held until this kernel's folder is marked as alive, or another that starts now would
        // take it for a dead one's.
        let making = File::create(kernels.join("lock"))?;
        making.lock()?;
        sweep(&kernels);
        // Short, since sockets are made in there.
        let mut name = uuid::Uuid::new_v4().simple().to_string();
        name.truncate(12);
        let home = kernels.join(name);
        fs::DirBuilder::new().mode(0o700).create(&home)?;
        let alive = File::create(home.join("alive"))?;
        alive.lock()?;
        drop(making);
        let folder = BuildFolder {
            home,
            _alive: alive,
        };
        if is_ready(warmed) {
            copy(warmed, &folder.path()).context("复制预热好的构建文件夹失败：请检查磁盘空间")?;
        } else {
            fs::create_dir(folder.path())?;
        }
        Ok(folder)
    }

    /// What evcxr builds in.
    pub fn path(&self) -> PathBuf {
        self.home.join("build")
    }

    /// Where more files of this kernel may be put.
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for BuildFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Removes the folders of kernels that are no more. Nobody makes one meanwhile.
fn sweep(kernels: &Path) {
    for entry in fs::read_dir(kernels).into_iter().flatten().flatten() {
        let dead = match File::open(entry.path().join("alive")) {
            Ok(alive) => alive.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound, // half removed
        };
        if dead {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies a warmed folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let keep = |entry: &walkdir::DirEntry| !is_of_a_cell(&entry.file_name().to_string_lossy());
    for entry in WalkDir::new(from).into_iter().filter_entry(keep) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from).expect("is below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if !is_never_rewritten(entry.path()) || link(entry.path(), &target).is_err() {
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
    // SAFETY: always succeeds.
    let user = unsafe { libc::geteuid() };
    match fs::hard_link(from, to) {
        Err(_) if fs::metadata(from)?.uid() != user => symlink(from, to),
        linked => linked,
    }
}

/// Files that belong to cells, cargo's locks, and what the compiler keeps for the next time it
/// compiles a support crate, which is not here (its locks are for the owner alone).
fn is_of_a_cell(name: &str) -> bool {
    let stem = name.strip_prefix("lib").unwrap_or(name);
    stem == "ctx"
        || stem.starts_with("ctx-")
        || stem.starts_with("ctx.")
        || stem.starts_with("code_")
        || name == ".cargo-lock"
        || name == "incremental"
        || cargo::NOT_COPIED.contains(&name)
        || name == READY
}

/// Compiled dependencies with a hash in their names. A path dependency's dylib has none
/// (`libnest_tokio.so`), and the linker writes to it in place.
fn is_never_rewritten(path: &Path) -> bool {
    let in_deps = path.parent().is_some_and(|folder| folder.ends_with("deps"));
    let compiled = path
        .extension()
        .is_some_and(|ext| ["rlib", "rmeta", "so"].iter().any(|known| ext == *known));
    let hashed = path
        .file_stem()
        .and_then(|stem| stem.to_str()?.rsplit_once('-'))
        .is_some_and(|(_, hash)| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    in_deps && compiled && hashed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        // Not through the environment, which all tests share.
        let project = Project::at(folder.path()).unwrap();
        (folder, project)
    }

    #[test]
    fn a_copy_shares_compiled_dependencies_and_nothing_that_is_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let deps = "target/x86_64-unknown-linux-gnu/debug/deps";
        fs::create_dir_all(from.join(deps)).unwrap();
        fs::create_dir_all(from.join("target/x/.fingerprint/ctx-0123")).unwrap();
        let write = |path: &str| fs::write(from.join(path), "x").unwrap();
        let shared = format!("{deps}/libserde-0123456789abcdef.rlib");
        let dylib = format!("{deps}/libnest_tokio.so");
        let cell = format!("{deps}/libctx.so");
        for path in [&shared, &dylib, &cell] {
            write(path);
        }
        write("Cargo.lock");
        write("target/.cargo-lock");
        copy(&from, &to).unwrap();
        let links = |path: &str| fs::metadata(to.join(path)).map(|m| m.nlink()).ok();
        assert_eq!(links(&shared), Some(2));
        assert_eq!(links(&dylib), Some(1));
        assert_eq!(links("Cargo.lock"), Some(1));
        assert_eq!(links(&cell), None);
        assert_eq!(links("target/.cargo-lock"), None);
        assert_eq!(links("target/x/.fingerprint/ctx-0123"), None);
        let time = |folder: &Path| {
            fs::metadata(folder.join(&dylib))
                .unwrap()
                .modified()
                .unwrap()
        };
        assert_eq!(time(&from), time(&to));
    }

    #[test]
    fn a_kernels_folder_goes_with_it_and_dead_ones_go_with_the_next() {
        let (_folder, project) = project();
        let nothing = Path::new("/nonexistent");
        let first = BuildFolder::new(&project, nothing).unwrap();
        let home = first.home().to_owned();
        // As after SIGKILL: the lock is gone, the folder is not.
        let dead = project.cache().join("kernels/dead");
        fs::create_dir_all(dead.join("build")).unwrap();
        File::create(dead.join("alive")).unwrap();
        let second = BuildFolder::new(&project, nothing).unwrap();
        assert!(!dead.exists());
        assert!(home.is_dir() && second.path().is_dir());
        drop(first);
        assert!(!home.exists());
        drop(second);
        fs::remove_dir_all(project.cache()).unwrap();
    }

    #[test]
    fn a_folder_without_the_mark_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_ready(folder.path()));
        set_ready(folder.path()).unwrap();
        assert!(is_ready(folder.path()));
    }
}
