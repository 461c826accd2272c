//! Crates in a class: all share one folder of them, to which only root writes. One that is not in
//! there is downloaded to the student's own folder. Cargo tells crates apart by where they lie, so
//! that kernel then compiles all of its dependencies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base::caches::is_ours;

use super::{RUSTC_ENV, real, real_cargo};

/// Says that the crates which are shared are not enough for this build folder.
const OWN: &str = ".lab-own-crates";

/// Gives cargo the user's own folder if that has turned out to be needed here.
pub fn use_own_if_needed() {
    if Path::new(OWN).exists() {
        use_own();
    }
}

/// Finds out whether it is needed, for manifest and lock file as they are now.
pub fn decide() {
    if are_too_few() && fs::write(OWN, "").is_ok() {
        use_own();
    }
}

/// Whether cargo's folder is somebody else's, and not all that is needed is in there.
fn are_too_few() -> bool {
    let folder = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    if folder.is_none_or(|folder| !folder.exists() || is_ours(&folder)) {
        return false;
    }
    let host = Command::new(real(RUSTC_ENV, "rustc"))
        .args(["--print", "host-tuple"])
        .output();
    let host = host.map(|output| output.stdout).unwrap_or_default();
    // Not what only other systems need.
    let complete = real_cargo()
        .args(["fetch", "--offline", "--quiet", "--target"])
        .arg(String::from_utf8_lossy(&host).trim())
        .stderr(Stdio::null())
        .status();
    !complete.is_ok_and(|status| status.success())
}

/// Gives cargo the user's own folder, with the settings of the shared one: they say where crates
/// come from.
fn use_own() {
    let shared = PathBuf::from(std::env::var_os("CARGO_HOME").unwrap_or_default());
    let Some(own) = std::env::home_dir().map(|home| home.join(".cargo")) else {
        return;
    };
    let (settings, copy) = (shared.join("config.toml"), own.join("config.toml"));
    if settings.is_file() && !copy.exists() {
        let _ = fs::create_dir_all(&own).and_then(|()| fs::copy(settings, copy));
    }
    // SAFETY: there is no other thread.
    unsafe { std::env::set_var("CARGO_HOME", own) };
}
