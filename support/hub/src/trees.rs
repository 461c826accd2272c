//! The times of files in folders that are made anew.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use walkdir::WalkDir;

/// Gives the files in `new` that are as they are in `old` the times that they have there: what is
/// compiled from them is then still good.
pub fn keep_times(old: &Path, new: &Path) -> io::Result<()> {
    for entry in WalkDir::new(new) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let before = old.join(entry.path().strip_prefix(new).expect("is below"));
        if fs::read(&before).ok() == Some(fs::read(entry.path())?) {
            let file = File::options().append(true).open(entry.path())?;
            file.set_modified(fs::metadata(&before)?.modified()?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn only_files_that_have_changed_are_newer() {
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
        let (long_ago, now) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(1 << 30));
        for name in ["src/same", "changed"] {
            set(old.join(name), long_ago);
            set(new.join(name), now);
        }
        keep_times(&old, &new).unwrap();
        let time = |name| fs::metadata(new.join(name)).unwrap().modified().unwrap();
        assert_eq!(time("src/same"), long_ago);
        assert_eq!(time("changed"), now);
    }
}
