#![doc = include_str!("../README.md")]
//!
//! # Map of this crate
//! | file | idea |
//! |---|---|
//! | `runtime.rs` | [`runtime::Runtime`], [`runtime::Builder`], [`runtime::Handle`]: tokio's, with a `block_on` that nests |
//! | `paused.rs` | [`time::pause`] and `start_paused` |
//! | `wait.rs` | how a thread waits for a future: make room, poll, park |
//! | `parker.rs` | how it parks |
//! | `stuck.rs` | names what does not end |
//! | `session.rs` | the ambient runtime, the foreground thread, [`interrupt`] |
//! | `task.rs` | [`spawn`] and [`task::spawn_blocking`] with the ambient runtime behind them |
//! | `select.rs` | [`select!`], whose first branch can be chosen |
//! | `sets.rs` | [`task::JoinSet`] and [`task::LocalSet`] |
//! | `watch.rs` | all that is started, seen by whoever asks |

pub use tokio::*;

/// The real tokio, unchanged: for comparison, and for code that must not nest.
///
/// ```should_panic
/// // Outside of the kernel this line is `use tokio::original;`.
/// use nest_tokio::original;
///
/// let outer = original::runtime::Runtime::new().unwrap();
/// let inner = original::runtime::Runtime::new().unwrap();
/// outer.block_on(async { inner.block_on(async {}) }); // "Cannot start a runtime from within a runtime"
/// ```
pub use tokio as original;

mod parker;
mod paused;
pub mod runtime;
mod select;
mod session;
mod sets;
mod stuck;
pub mod task;
mod wait;
pub mod watch;

/// Tokio's `time` module; [`pause`](time::pause) knows our runtimes, too.
pub mod time {
    pub use crate::paused::pause;
    pub use tokio::time::*;
}

/// What `parker.rs` is made of.
mod primitives {
    pub(crate) use crate::stuck::TICK;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
    pub(crate) use std::thread::{self, Thread};
}

pub use session::{Interrupted, become_foreground, has_front, interrupt, interruptions};
pub use task::spawn;
