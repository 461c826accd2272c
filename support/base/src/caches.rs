//! Where caches are kept: everything in them can be made anew.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use link::pack;
use link::variable::CACHE as CACHE_ENV;
use rustix::process::{geteuid, getuid};

/// The folder for our caches. It need not be there: see [`make`]. Its path has no space, since evcxr
/// cannot handle one.
///
/// # Errors
/// When `$LAB_CACHE` names one that cannot be used, or there is no place for one.
pub fn folder() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let usual = [
        variable("XDG_CACHE_HOME"),
        std::env::home_dir().map(|home| home.join(".cache")),
    ];
    let base = match cache_base(variable(CACHE_ENV), usual)? {
        Some(base) => base,
        None => shared_base(Path::new("/tmp"), getuid().as_raw())?,
    };
    Ok(base.join("rust-async-notebooks"))
}

/// Makes a folder in there if it is missing, readable by the user alone.
///
/// # Errors
/// When it cannot be made, or is somebody else's.
pub fn make(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| {
            format!(
                "建不了缓存文件夹 {}：请检查权限和磁盘空间，或{}",
                folder.display(),
                elsewhere()
            )
        })?;
    if !is_ours(folder) {
        bail!(
            "缓存文件夹 {} 属于别的用户：请{}",
            folder.display(),
            elsewhere()
        );
    }
    Ok(())
}

/// How to have caches in another place: those of a pack lie in it.
fn elsewhere() -> String {
    match pack::here() {
        Some(pack) => format!("把整个 {} 拷到自己的文件夹里再用", pack.display()),
        None => format!("用 {CACHE_ENV} 另指一处"),
    }
}

/// Whether a file or folder is there and belongs to this user.
pub fn is_ours(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.uid() == geteuid().as_raw())
}

/// The folder for caches that the user named, or else the first of the `usual` ones that can be
/// used. Evcxr cannot handle a path with a space.
fn cache_base(
    named: Option<PathBuf>,
    usual: impl IntoIterator<Item = Option<PathBuf>>,
) -> Result<Option<PathBuf>> {
    let usable = |path: &PathBuf| path.is_absolute() && !path.to_string_lossy().contains(' ');
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(named) if usable(&named) => Ok(Some(named)),
        Some(named) => bail!(
            "{CACHE_ENV}={} 不能用作缓存文件夹：请换成没有空格的绝对路径，或者不设它",
            named.display()
        ),
        None => Ok(usual.into_iter().flatten().find(usable)),
    }
}

/// A folder of the user's own in one in which anybody may have put something under its name.
fn shared_base(shared: &Path, user: u32) -> Result<PathBuf> {
    let folder = shared.join(format!("cache-{user}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    let safe = fs::symlink_metadata(&folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0);
    match made {
        _ if safe => Ok(folder),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).with_context(|| {
            format!(
                "建不了缓存文件夹 {}：请检查权限和磁盘空间，或用 {CACHE_ENV} 另指一处",
                folder.display()
            )
        }),
        _ => bail!(
            "缓存文件夹 {} 别人也能改动，或者不是文件夹：请删除它，或用 {CACHE_ENV} 另指一处",
            folder.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_first_usable_cache_folder_is_taken_whichever_others_are_not() {
        let path = |text| Some(PathBuf::from(text));
        let usual = || [path("/with space"), path("/home/x/.cache")];
        assert_eq!(cache_base(path("/named"), usual()).unwrap(), path("/named"));
        assert_eq!(cache_base(None, usual()).unwrap(), path("/home/x/.cache"));
        assert_eq!(
            cache_base(path(""), usual()).unwrap(),
            path("/home/x/.cache")
        );
        assert_eq!(cache_base(None, [path("relative"), None]).unwrap(), None);
    }

    #[test]
    fn a_named_cache_folder_that_cannot_be_used_is_refused() {
        for named in ["relative", "/with space"] {
            let refusal = cache_base(Some(named.into()), []).unwrap_err().to_string();
            assert!(
                refusal.contains(&format!("{CACHE_ENV}={named}")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn in_a_shared_folder_only_the_users_own_is_trusted() {
        let shared = tempfile::tempdir().unwrap();
        let user = getuid().as_raw();
        let folder = shared_base(shared.path(), user).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(shared_base(shared.path(), user).unwrap(), folder);

        let refused = || {
            let refusal = shared_base(shared.path(), user).unwrap_err().to_string();
            assert!(refusal.contains(CACHE_ENV), "{refusal}");
        };
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        refused();
        fs::remove_dir(&folder).unwrap();
        symlink(shared.path(), &folder).unwrap();
        refused();
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        refused();
    }
}
