//! On which systems a pack runs: what its programs want of the C library.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use memchr::memmem;
use walkdir::WalkDir;

/// The newest version of glibc that a pack may want: that of Debian 12, Ubuntu 22.04 and RHEL 9.
const NEWEST: (u32, u32) = (2, 34);

/// The newest version of glibc that one of the programs and libraries in `folder` wants.
///
/// # Errors
/// When that is too new: then the pack would not run where it is meant to.
pub fn newest(folder: &Path) -> Result<String> {
    let mut newest = (2, 0);
    for part in ["bin", "toolchain/bin", "toolchain/lib"] {
        for entry in WalkDir::new(folder.join(part)).into_iter().flatten() {
            let bytes = match entry.file_type().is_file() {
                true => fs::read(entry.path())?,
                false => continue,
            };
            if !bytes.starts_with(b"\x7fELF") {
                continue;
            }
            let wanted = wanted(&bytes);
            ensure!(
                wanted <= NEWEST,
                "{} 要 glibc {}.{}，比 {}.{} 新，学生的系统上可能没有：请在旧一些的系统上打包（例如 Debian 12）",
                entry.path().display(),
                wanted.0,
                wanted.1,
                NEWEST.0,
                NEWEST.1
            );
            newest = newest.max(wanted);
        }
    }
    Ok(format!("{}.{}", newest.0, newest.1))
}

/// The newest `GLIBC_2.x` that is named in a file.
fn wanted(bytes: &[u8]) -> (u32, u32) {
    const NAME: &[u8] = b"\0GLIBC_2.";
    let mut newest = (2, 0);
    for at in memmem::find_iter(bytes, NAME) {
        let rest = &bytes[at + NAME.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let minor = std::str::from_utf8(&rest[..digits]).unwrap_or_default();
        if let Ok(minor) = minor.parse() {
            newest = newest.max((2, minor));
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_is_named_counts() {
        let names = b"x\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0libGLIBC_2.99\0";
        assert_eq!(wanted(names), (2, 34));
        assert_eq!(wanted(b""), (2, 0));
    }
}
