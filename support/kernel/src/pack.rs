//! A kernel in a pack finds its toolchain and the sources of crates there, and in no network.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use link::pack;
use rustix::fs::{Mode, OFlags};

/// From here on this process, and all that it starts, works with the pack that the environment names;
/// without one it works as ever. There must be no other thread yet.
///
/// # Errors
/// When that pack is not there any more.
pub fn enter() -> Result<()> {
    let Some(folder) = pack::here() else {
        return Ok(());
    };
    open(&folder)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = folder.join(pack::TOOLCHAIN).join("bin");
    let path = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path)))
        .context("路径里有冒号（:），内核用不了：请把整个文件夹移到别处")?;
    // SAFETY: there is no other thread.
    unsafe {
        std::env::set_var("PATH", path);
        std::env::set_var("CARGO_HOME", format!("{}/{}", pack::root(), pack::CARGO));
        std::env::set_var("RUST_SRC_PATH", folder.join(pack::SOURCES));
        std::env::remove_var("RUSTUP_TOOLCHAIN");
    }
    Ok(())
}

/// What stands before all else that the real cargo is told: the pack's settings. Cargo finds them in its
/// home, too, but minds the files in the folders above its own first, and a pack may lie below a home in
/// which a mirror is named.
pub fn settings() -> Vec<String> {
    let file = || format!("{}/{}/config.toml", pack::root(), pack::CARGO);
    match pack::here() {
        Some(_) => vec!["--config".to_owned(), file()],
        None => Vec::new(),
    }
}

/// A manifest in which packages that lie in the pack have the path that they have wherever it lies: as
/// they have been compiled, they need not be compiled again.
pub fn placed(manifest: String) -> String {
    match pack::here().as_deref().and_then(Path::to_str) {
        Some(folder) => placed_in(folder, &manifest),
        None => manifest,
    }
}

fn placed_in(folder: &str, manifest: &str) -> String {
    manifest.replace(&format!("\"{folder}/"), &format!("\"{}/", pack::root()))
}

/// A path in the pack as it is wherever that lies; any other one as it is.
pub fn anywhere(path: PathBuf) -> PathBuf {
    let folder = pack::here().and_then(|folder| folder.canonicalize().ok());
    match folder.as_deref().map(|folder| path.strip_prefix(folder)) {
        Some(Ok(inside)) => Path::new(&pack::root()).join(inside),
        _ => path,
    }
}

/// What to say behind cargo's own words, if what they are about is a crate that is not in the pack.
pub fn explanation(said: &str) -> Option<&'static str> {
    (pack::here().is_some() && is_missing(said)).then_some(
        "这个包里没有这个 crate（或者没有这个版本，或者要从 git 下载）：不用网络，就只能用笔记本里 `:dep` 写着的那些",
    )
}

fn is_missing(said: &str) -> bool {
    const WORDS: [&str; 3] = [
        "no matching package",
        "failed to select a version",
        "you are in the offline mode",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

/// Opens the folder where all that we start will look for it.
fn open(folder: &Path) -> Result<()> {
    let opened = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
    let opened =
        opened.with_context(|| format!("{} 不见了：请再运行一次 start", folder.display()))?;
    // SAFETY: nobody else has this number, which is only ever open on a pack's folder; it is given up
    // again right below.
    let mut place = unsafe { OwnedFd::from_raw_fd(pack::DESCRIPTOR) };
    let placed = rustix::io::dup2(&opened, &mut place);
    // It stays open, for what is started, too.
    let _ = place.into_raw_fd();
    placed.context("能同时打开的文件太少（ulimit -n）：请设成 1024 或更多")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_pack_has_one_path_and_what_lies_elsewhere_keeps_its_own() {
        let manifest = r#"a = { path = "/p/course/a" }
b = { path = "/p-2/b" }"#;
        assert_eq!(
            placed_in("/p", manifest),
            r#"a = { path = "/proc/self/fd/900/course/a" }
b = { path = "/p-2/b" }"#
        );
    }

    #[test]
    fn a_crate_that_is_not_there_is_told_from_other_troubles() {
        // As of cargo 1.95.
        for (said, expected) in [
            (
                "error: no matching package named `rand` found\nlocation searched: directory source `/p` (which is replacing registry `crates-io`)",
                true,
            ),
            (
                "error: failed to select a version for the requirement `serde = \"^9\"`",
                true,
            ),
            (
                "Caused by:\n  can't checkout from 'https://near/x': you are in the offline mode (--offline)",
                true,
            ),
            ("error: failed to parse manifest", false),
        ] {
            assert_eq!(is_missing(said), expected, "{said}");
        }
    }
}
