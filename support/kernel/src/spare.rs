//! Spare kernels: while JupyterLab is open, one waits that has already run what the notebooks
//! begin with, and whoever needs a kernel takes it.
//!
//! ```text
//! lab open ──┬── JupyterLab ──── lab kernel        what Jupyter started: passes on interrupts,
//!            │                      │               ends with the kernel and the kernel with it
//!            │                      │ a Unix socket
//!            └── lab spare ─────────┘
//!                    └── evcxr, warm
//! ```
//!
//! A spare is a kernel like any other whose connection file comes late. `lab kernel` sends it, with
//! everything that the notebook's kernel depends on; if any of that differs from what the spare was
//! made for, the spare goes on waiting and `lab kernel` becomes a kernel itself.
//!
//! | file | idea |
//! |---|---|
//! | `keeper.rs` | `lab open` keeps spares and ends them |
//! | `offer.rs` | a spare waits to be taken |
//! | `taking.rs` | `lab kernel` takes one |
//! | `memory.rs` | whether there is memory for one |
//!
//! What a spare runs ahead, and how that leaves no trace, is in `front/ahead.rs`.

mod keeper;
mod memory;
mod offer;
mod taking;

pub use keeper::Keeper;
pub use memory::is_short;
pub use offer::{Offer, Order, say};
pub use taking::take;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jupyter_protocol::ConnectionInfo;
use serde::{Deserialize, Serialize};

use crate::process::{end_with_us, in_its_own_session};
use crate::project::{PROJECT_ENV, Project};

/// Names the folder with the spares' sockets to the kernels that JupyterLab starts.
pub const SPARES_ENV: &str = "LAB_SPARES";

/// The command of a spare that `lab` runs, waiting at `socket`. It says on its standard output what
/// becomes of it, a word a line.
pub fn command(lab: &Path, project: &Project, socket: &Path) -> Command {
    let mut command = Command::new(lab);
    command
        .arg("spare")
        .arg(socket)
        .env(PROJECT_ENV, project.root())
        .env_remove(SPARES_ENV)
        .current_dir(project.notebooks())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    in_its_own_session(&mut command);
    end_with_us(&mut command);
    command
}

/// What a kernel must have been made with to be the one that a notebook needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The working directory of cells.
    pub folder: PathBuf,
    /// The warmed folder that it builds in a copy of. Its name changes with the `:dep` lines, the
    /// locked versions, the toolchain and the support crates.
    pub warmed: PathBuf,
    /// The notebook's first cell.
    pub first: String,
}

/// What is sent to a spare, on a line. An interrupt is a byte after it; the end is the end.
#[derive(Serialize, Deserialize)]
struct Request {
    needs: Needs,
    connection: ConnectionInfo,
}

/// The spare's answer; it closes the connection otherwise. When its kernel has ended and nothing of
/// it is left, its exit status follows, as a byte.
const ACCEPTED: u8 = b'Y';
/// Passes on an interrupt.
const INTERRUPT: u8 = b'I';
