//! What a pack says of itself: its version, how it is started, what is in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, bail};
use lab::project::Project;

use crate::make::Stage;

/// The version of everything: pack, kernel, book. The workspace's manifest says it, the changelog
/// explains it, and a release bears it as its tag.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

const START: &str = include_str!("../assets/start.sh");
const README: &str = include_str!("../assets/README.txt");

/// What a pack of this version is called.
pub fn name() -> String {
    format!("rust-async-notes-{VERSION}")
}

/// Refuses to make a pack of a commit that is tagged as another version.
///
/// # Errors
/// In that case, and when git does not say how it is tagged.
pub fn check_version(project: &Project) -> Result<()> {
    let tags = lab::committed::versions(project)?;
    let expected = format!("v{VERSION}");
    if !tags.is_empty() && !tags.contains(&expected) {
        bail!(
            "这个提交的标签是 {}，Cargo.toml 里的版本却是 {VERSION}：改好其中一个再打包",
            tags.join("、")
        );
    }
    Ok(())
}

/// Writes the files at the top of a pack.
///
/// # Errors
/// On a full disk.
pub fn write_texts(stage: &Stage, glibc: &str) -> Result<()> {
    let write = |name: &str, text: &str, mode| -> Result<()> {
        let path = stage.folder().join(name);
        fs::write(&path, text)?;
        Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
    };
    write("start", START, 0o755)?;
    let readme = README
        .replace("{version}", VERSION)
        .replace("{glibc}", glibc);
    write("README.txt", &readme, 0o644)?;
    write(link::pack::VERSION, &format!("{VERSION}\n"), 0o644)
}
