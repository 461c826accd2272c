//! Folders that are copied: as links where that is possible.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use walkdir::WalkDir;

/// Gives the files in `new` that are as they are in `old` the times that they have there: what is
/// compiled from them is then still good. The others get whole seconds: the layers of an image know no
/// parts of them, and what is warmed is found by the very times that it was compiled with.
pub fn keep_times(old: &Path, new: &Path) -> io::Result<()> {
    for entry in WalkDir::new(new) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let before = old.join(entry.path().strip_prefix(new).expect("is below"));
        let time = match fs::read(&before).ok() == Some(fs::read(entry.path())?) {
            true => fs::metadata(&before)?.modified()?,
            false => whole_seconds(entry.metadata()?.modified()?),
        };
        File::options()
            .write(true)
            .open(entry.path())?
            .set_modified(time)?;
    }
    Ok(())
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Puts the files of a folder into a second place, as hard links if they are never rewritten and
/// that is possible. A folder that is not there has none. Git's own folders are left out: that of
/// cargo's index may name an address with a password.
pub fn link_tree(from: &Path, to: &Path, never_rewritten: bool) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    let all = WalkDir::new(from).into_iter();
    for entry in all.filter_entry(|entry| entry.file_name() != ".git") {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from).expect("is below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if entry.file_type().is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if !never_rewritten || fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn of_what_cargo_has_downloaded_gits_own_folders_are_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("near/.git")).unwrap();
        fs::create_dir(from.join("near/.cache")).unwrap();
        fs::write(from.join("near/.git/FETCH_HEAD"), "me:secret@near").unwrap();
        fs::write(from.join("near/.cache/x"), "").unwrap();
        link_tree(&from, &to, false).unwrap();
        assert!(to.join("near/.cache/x").is_file() && !to.join("near/.git").exists());
    }

    #[test]
    fn only_files_that_have_changed_are_newer_and_their_times_survive_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        for (place, changed) in [(&old, "1"), (&new, "2")] {
            fs::create_dir_all(place.join("src")).unwrap();
            fs::write(place.join("src/same"), "1").unwrap();
            fs::write(place.join("changed"), changed).unwrap();
        }
        let set = |path: PathBuf, time| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        };
        let half = Duration::from_millis(500);
        let (long_ago, now) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1 << 30));
        for name in ["src/same", "changed"] {
            set(old.join(name), long_ago);
            set(new.join(name), now + half);
        }
        keep_times(&old, &new).unwrap();
        let time = |name| fs::metadata(new.join(name)).unwrap().modified().unwrap();
        assert_eq!(time("src/same"), long_ago);
        assert_eq!(time("changed"), now);
    }
}
