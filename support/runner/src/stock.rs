//! Plain evcxr, with nothing of ours around it: what our kernel is compared with.

use std::path::{Path, PathBuf};
use std::process::Command;

use base::toolchain::Toolchain;
use link::variable;

/// The program `kernel` as plain evcxr, building in `build`; the connection file comes behind it. It
/// is only told what it could not run without on any machine: where the standard library and its
/// sources are.
pub fn stock(kernel: &Path, toolchain: &Toolchain, build: &Path) -> Command {
    let mut command = Command::new(kernel);
    command
        .arg("--control_file")
        .env("JUPYTER_PATH", build) // there is no entry for it to rewrite
        .env(variable::BUILD, build)
        .env("RUST_SRC_PATH", &toolchain.sources);
    if let Ok(libraries) = std::env::join_paths(libraries(toolchain, build)) {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

/// Where the shared objects are that cells are linked with.
fn libraries(toolchain: &Toolchain, build: &Path) -> [PathBuf; 2] {
    let target = build.join("target").join(&toolchain.host);
    [toolchain.libraries(), target.join("debug/deps")]
}
