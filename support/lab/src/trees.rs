//! Folders that are copied: as links where that is possible.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use walkdir::WalkDir;

/// Puts the files of a folder into a second place, as hard links if they are never rewritten and
/// that is possible. A folder that is not there has none. Git's own folders are left out: that of
/// cargo's index may name an address with a password.
///
/// # Errors
/// When something in it vanishes meanwhile, or the disk is full.
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
}
