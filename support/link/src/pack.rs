//! A pack: one folder with everything that notebooks need, for a machine without network.
//!
//! Cargo takes a crate that lies elsewhere for another one, and would compile it again: what it has
//! compiled bears the absolute path of the sources. So in a pack all sources have the same absolute path
//! wherever the folder lies, one that leads through an open file: see [`root`].

use std::path::PathBuf;

use crate::variable;

/// The descriptor that is open on the pack's folder in a kernel and in all that it starts. High enough
/// to be nobody else's, and below the 1,024 that every Linux allows.
pub const DESCRIPTOR: i32 = 900;

/// The project in a pack, as `git clone` would give it.
pub const COURSE: &str = "course";
/// The notebooks in a pack, as they were when it was made.
pub const ORIGINALS: &str = "originals";
/// In here a pack says its version.
pub const VERSION: &str = "VERSION";
/// Cargo's home in a pack: its configuration, and under [`CRATES`] the sources of crates.
pub const CARGO: &str = "cargo";
/// Where the sources of crates lie in a pack. Whose path has `registry/src` in it never changes.
pub const CRATES: &str = "cargo/registry/src/pack";
/// The Rust toolchain in a pack.
pub const TOOLCHAIN: &str = "toolchain";
/// The standard library's sources in a pack.
pub const SOURCES: &str = "toolchain/lib/rustlib/src/rust/library";

/// The crates of the standard library whose sources rust-analyzer is shown; a pack brings no others.
pub const LIBRARY: [&str; 8] = [
    "alloc",
    "core",
    "panic_abort",
    "panic_unwind",
    "proc_macro",
    "std",
    "test",
    "unwind",
];

/// The folder of the pack that this program is a part of, if it is.
pub fn here() -> Option<PathBuf> {
    let folder = std::env::var_os(variable::PACK).filter(|folder| !folder.is_empty());
    folder.map(PathBuf::from)
}

/// What the pack's folder is called by whom the [`DESCRIPTOR`] is open for, wherever it lies.
///
/// ```
/// assert_eq!(link::pack::root(), "/proc/self/fd/900");
/// ```
pub fn root() -> String {
    format!("/proc/self/fd/{DESCRIPTOR}")
}
