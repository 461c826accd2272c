//! Files and folders that are written whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::processes;

/// In the names of files that are not yet in place, before the number of the process that
/// writes them.
const UNFINISHED: &str = ".lab-new-";

/// Writes a new file and puts it in the place of the one at `path`, which may be in use: a
/// reader sees the old one or the new one. The new one has the old one's permissions.
///
/// # Errors
/// The folder cannot be written to, or the disk is full; the old file is then untouched.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    // For a new file, what the user's umask leaves of 0666.
    replace_or_make(path, 0o666, write)
}

/// As [`replace`]; a new file is for its owner alone.
///
/// # Errors
/// As there.
pub fn replace_private(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    replace_or_make(path, 0o600, write)
}

fn replace_or_make(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let in_place = || {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let permissions = fs::metadata(path)
            .map_or_else(|_| Permissions::from_mode(mode), |old| old.permissions());
        let mut file = tempfile::Builder::new()
            .prefix(&format!("{UNFINISHED}{}-", std::process::id()))
            .permissions(permissions)
            .tempfile_in(folder)?;
        write(file.as_file_mut())?;
        file.persist(path)?;
        io::Result::Ok(())
    };
    in_place().with_context(|| format!("写不了 {}：请检查权限和磁盘空间", path.display()))
}

/// Removes what [`replace`] left in a folder when it was killed.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_leftover(&entry.file_name(), UNFINISHED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a name is `beginning`, the number of a process that does not run any more, and perhaps more
/// behind a hyphen.
pub fn is_leftover(name: &OsStr, beginning: &str) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(beginning));
    let writer = rest.and_then(|rest| rest.split('-').next()?.parse().ok());
    writer.is_some_and(|writer| !processes::runs(writer))
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// When that cannot be done.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("删除不了 {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a folder anew, whole or not at all: `make` gets another, empty one that then takes its place.
/// One that was left when its maker was killed is removed first.
///
/// # Errors
/// Those of `make`, when somebody else is just making this folder, and when the folder that it lies in
/// cannot be written to; what was there then stays.
pub fn make_folder(place: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let new = with_end(place, ".new");
    let is_taken = |folder: File| matches!(folder.try_lock(), Err(TryLockError::WouldBlock));
    if File::open(&new).is_ok_and(is_taken) {
        bail!("另一个程序正在写 {}：等它结束，再运行一次", new.display());
    }
    remove(&new)?;
    fs::create_dir(&new)
        .with_context(|| format!("建不了 {}：请检查权限和磁盘空间", new.display()))?;
    // Until it is in its place. Where folders cannot be locked, it is made all the same.
    let making = File::open(&new)?;
    let _ = making.lock();
    if let Err(error) = make(&new) {
        let _ = remove(&new);
        return Err(error);
    }
    remove(place)?;
    Ok(fs::rename(&new, place)?)
}

/// A path whose last name is longer by `end`: not [`Path::with_extension`], for which the 0 of `notes-0.1.0` is
/// an extension.
pub fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Makes this lock file, and holds its lock as long as the result lives. Says `waiting` when somebody
/// else holds it, and waits.
///
/// # Errors
/// When the file cannot be made.
pub fn lock(path: &Path, waiting: &str) -> Result<File> {
    let lock = File::create(path)
        .with_context(|| format!("写不了 {}：请检查权限和磁盘空间", path.display()))?;
    let mut told = false;
    // Not `File::lock`, so that it can be said.
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        if !told {
            println!("{waiting}");
            told = true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;
    use std::io::Write;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("甲 乙");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        replace(&file, |new| new.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(mode(&file), 0o640);
        assert_eq!(names(folder.path()), ["甲 乙"]);
    }

    #[test]
    fn a_new_private_file_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        replace_private(&file, |new| new.write_all(b"new")).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "old").unwrap();
        let full = |_: &mut File| Err(io::Error::from(io::ErrorKind::StorageFull));
        let error = replace(&file, full).unwrap_err().to_string();
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let living = format!("{UNFINISHED}{}-x", std::process::id());
        // No process has such a number.
        for name in [&living, &format!("{UNFINISHED}99999999-x"), "kernel.json"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(folder.path());
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [living.as_str(), "kernel.json"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_whole_is_not_made_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        let write = |text: &'static str| {
            move |new: &Path| {
                ensure!(names(new).is_empty(), "it is not empty");
                Ok(fs::write(new.join(text), text)?)
            }
        };
        let half = |new: &Path| {
            fs::write(new.join("half"), "half")?;
            bail!("no network")
        };
        assert!(make_folder(&place, half).is_err());
        assert!(names(folder.path()).is_empty());
        make_folder(&place, write("first")).unwrap();
        assert!(make_folder(&place, half).is_err());
        assert_eq!(names(folder.path()), ["place"]);
        assert_eq!(names(&place), ["first"]);
        // What was left when it was killed.
        fs::create_dir(folder.path().join("place.new")).unwrap();
        fs::write(folder.path().join("place.new/half"), "half").unwrap();
        make_folder(&place, write("second")).unwrap();
        assert_eq!(names(folder.path()), ["place"]);
        assert_eq!(names(&place), ["second"]);
    }

    #[test]
    fn a_folder_that_is_being_made_is_nobody_elses_and_neither_are_those_of_other_versions() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, made: &dyn Fn() -> Result<()>| {
            make_folder(&folder.path().join(name), |new| {
                fs::write(new.join("file"), "")?;
                made()?;
                ensure!(new.join("file").is_file(), "{} is gone", new.display());
                Ok(())
            })
        };
        make("notes-0.1.0", &|| {
            make("notes-0.1.1", &|| Ok(()))?;
            let refusal = make("notes-0.1.0", &|| Ok(())).unwrap_err().to_string();
            ensure!(refusal.contains("notes-0.1.0.new"), "{refusal}");
            Ok(())
        })
        .unwrap();
        let mut made = names(folder.path());
        made.sort();
        assert_eq!(made, ["notes-0.1.0", "notes-0.1.1"]);
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path, "").unwrap();
        let again = File::open(&path).unwrap();
        assert!(matches!(again.try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        lock(&path, "").unwrap();
    }
}
