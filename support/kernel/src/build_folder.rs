//! The folder that evcxr builds cells in: each kernel has one of its own. It begins empty; what
//! cells depend on is put there when they name it, by the `cargo` in front ([`crate::cargo`]).

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base::files;

/// In a build folder in which a set is being compiled: where what has been compiled of it is kept if
/// the kernel ends before that is done.
pub const UNFINISHED: &str = ".lab-unfinished";

/// The longest path of a folder for sockets: theirs have at most 107 bytes, with a name in it of which
/// the longest is that of the front's own socket.
const SOCKET_FOLDER: usize = 107 - "/link-0123456789abcdef".len();
/// In a kernel's folder whose own path is longer: a link to the one that its sockets are in.
const SOCKETS: &str = "sockets";

/// Dependencies that make a program slower if they are not fully optimised.
const FULLY: [&str; 10] = [
    "bytes",
    "httparse",
    "hyper",
    "hyper-util",
    "memchr",
    "nest-tokio",
    "notebook",
    "rayon-core",
    "serde_json",
    "tokio",
];

/// What stands in for a part of each cell, and what only runs in the compiler.
const NOT_AT_ALL: [&str; 7] = [
    "notebook-cell",
    "syn",
    "quote",
    "proc-macro2",
    "serde_derive",
    "tokio-macros",
    "futures-macro",
];

/// For cargo in all build folders: dependencies are optimised once, when they are compiled: fully where
/// a program would be slower otherwise, a little elsewhere, or whoever opens a notebook first waits
/// for half as long again. Cells are not: compiling them is what a student waits for.
pub fn cargo_config() -> String {
    let mut config = "[profile.dev.package.\"*\"]\nopt-level = 1\ndebug-assertions = false\n\
        overflow-checks = false\n"
        .to_owned();
    let fully = FULLY.map(|package| (package, 3));
    let not_at_all = NOT_AT_ALL.map(|package| (package, 0));
    for (package, level) in fully.into_iter().chain(not_at_all) {
        config += &format!("[profile.dev.package.{package}]\nopt-level = {level}\n");
    }
    config
}

/// For evcxr: the opt-level of cells.
const EVCXR_CONFIG: &str = "[evcxr]\nopt_level = \"0\"\n";

/// The folder with evcxr's configuration, made in `cache` if it is missing.
///
/// # Errors
/// When a file cannot be written.
pub fn configuration(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("config");
    write_if_different(&folder.join("evcxr.toml"), EVCXR_CONFIG)?;
    // Above the folders of kernels, where cargo looks for it.
    write_if_different(&cache.join(".cargo/config.toml"), &cargo_config())?;
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

/// A kernel's own build folder. Removed when dropped; if the process is killed, by the next
/// kernel that starts.
#[derive(Debug)]
pub struct BuildFolder {
    home: PathBuf,
    /// Locked as long as the kernel lives, however it ends.
    _alive: File,
}

impl BuildFolder {
    /// A folder of its own in `cache`, empty.
    ///
    /// # Errors
    /// When it cannot be made, on a full disk for example.
    pub fn new(cache: &Path) -> Result<BuildFolder> {
        let kernels = cache.join("kernels");
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
        fs::create_dir(folder.path())?;
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

    /// Where its sockets may be put: in there, or, if that path is too long for a socket, in a folder of
    /// its own among the temporary files, which goes with it.
    ///
    /// # Errors
    /// When that cannot be made.
    pub fn sockets(&self) -> Result<PathBuf> {
        if self.home.as_os_str().len() <= SOCKET_FOLDER {
            return Ok(self.home.clone());
        }
        let name = self.home.file_name().unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("kernel-{}", name.display()));
        // First the link: so it is found again whenever this process ends.
        let made = symlink(&folder, self.home.join(SOCKETS))
            .and_then(|()| fs::DirBuilder::new().mode(0o700).create(&folder));
        made.with_context(|| format!("建不了 {}：请检查 TMPDIR 和磁盘空间", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for BuildFolder {
    fn drop(&mut self) {
        remove(&self.home);
    }
}

/// Removes a kernel's folder, but for what has been compiled of a set that is not finished.
fn remove(home: &Path) {
    if let Ok(sockets) = fs::read_link(home.join(SOCKETS)) {
        let _ = fs::remove_dir_all(sockets);
    }
    let build = home.join("build");
    if let Ok(place) = fs::read_to_string(build.join(UNFINISHED)) {
        let _ = fs::remove_dir_all(&place);
        let _ = fs::rename(build.join("target"), place);
    }
    let _ = fs::remove_dir_all(home);
}

/// Removes the folders of kernels that are no more. Nobody makes one meanwhile.
fn sweep(kernels: &Path) {
    for entry in fs::read_dir(kernels).into_iter().flatten().flatten() {
        let dead = match File::open(entry.path().join("alive")) {
            Ok(alive) => alive.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound, // half removed
        };
        if dead {
            remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_kernels_folder_goes_with_it_and_dead_ones_go_with_the_next() {
        let cache = tempfile::tempdir().unwrap();
        let first = BuildFolder::new(cache.path()).unwrap();
        let home = first.home().to_owned();
        // As after SIGKILL: the lock is gone, the folder is not.
        let dead = cache.path().join("kernels/dead");
        fs::create_dir_all(dead.join("build")).unwrap();
        File::create(dead.join("alive")).unwrap();
        // In the middle of a set.
        let kept = cache.path().join("kept");
        fs::create_dir_all(dead.join("build/target/deps")).unwrap();
        fs::write(dead.join("build").join(UNFINISHED), kept.to_str().unwrap()).unwrap();
        let second = BuildFolder::new(cache.path()).unwrap();
        assert!(!dead.exists());
        assert!(kept.join("deps").is_dir());
        assert!(home.is_dir() && second.path().is_dir());
        drop(first);
        assert!(!home.exists());
        drop(second);
    }

    #[test]
    fn sockets_have_short_paths_in_a_folder_that_is_closed_to_others_and_goes_with_the_kernels() {
        let folder = tempfile::tempdir().unwrap();
        let near = BuildFolder::new(folder.path()).unwrap();
        assert_eq!(near.sockets().unwrap(), near.home());
        let far = folder.path().join("far".repeat(50));
        let sockets = |kernel: &BuildFolder| {
            let sockets = kernel.sockets().unwrap();
            assert!(sockets.as_os_str().len() <= SOCKET_FOLDER, "{sockets:?}");
            let mode = fs::metadata(&sockets).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{sockets:?}");
            sockets
        };
        let first = BuildFolder::new(&far).unwrap();
        let gone = sockets(&first);
        drop(first);
        assert!(!gone.exists());
        // As after SIGKILL: the lock is gone, the folders are not.
        let killed = BuildFolder::new(&far).unwrap();
        let left = sockets(&killed);
        killed._alive.unlock().unwrap();
        let next = BuildFolder::new(&far).unwrap();
        assert!(!left.exists() && !killed.home().exists());
        assert!(sockets(&next).is_dir());
    }
}
