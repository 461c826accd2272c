//! What other users cannot reach.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file or folder on the way to `path` that other users cannot pass, if there is one.
pub fn closed(path: &Path) -> Option<PathBuf> {
    closed_to(0o005, path)
}

/// The same, where at the end of the way others need these permissions.
pub fn closed_to(bits: u32, path: &Path) -> Option<PathBuf> {
    let passable = |path: &Path, bits| fs::metadata(path).is_ok_and(|m| m.mode() & bits == bits);
    if !passable(path, bits) {
        return Some(path.to_owned());
    }
    let mut above = path.ancestors().skip(1);
    above
        .find(|folder| !folder.as_os_str().is_empty() && !passable(folder, 0o001))
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_behind_a_closed_one_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed(&inner).as_deref(), Some(folder.path()));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed(&inner), None);
        // A certificate is read, not run.
        let file = inner.join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(closed_to(0o004, &file), None);
        assert_eq!(closed(&file), Some(file));
    }
}
