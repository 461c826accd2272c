//! Spare kernels: kernels that have already run what a notebook begins with, and that whoever needs
//! one takes.
//!
//! ```text
//! JupyterLab ──────────────── kernel FILE      what Jupyter started: passes on interrupts,
//!                              │               ends with the spare, and the spare with it
//!                              │ a Unix socket
//! kernel --keep ───────────── kernel --spare
//!                              └── evcxr, warm
//! ```
//!
//! A spare is a kernel like any other whose connection file comes late. The kernel that Jupyter
//! starts sends it, with everything that the notebook's kernel depends on; if any of that differs
//! from what the spare was made for, the spare goes on waiting and the other becomes a kernel itself.
//!
//! | file | idea |
//! |---|---|
//! | `keeper.rs` | keeps spares and ends them |
//! | `offer.rs` | a spare waits to be taken |
//! | `taking.rs` | a kernel takes one |
//!
//! What a spare runs ahead, and how that leaves no trace, is in `front/ahead.rs`.

mod keeper;
mod offer;
mod taking;

pub use keeper::keep;
pub use offer::{Offer, Order, say};
pub use taking::take;

use std::path::PathBuf;

use jupyter_protocol::ConnectionInfo;
use serde::{Deserialize, Serialize};

/// What a kernel must have been made with to be the one that a notebook needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The working directory of cells.
    pub folder: PathBuf,
    /// The key of the set that the first cell names. It changes with the toolchain, the locked
    /// versions and the sources of path dependencies.
    pub set: String,
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
