#![doc = include_str!("../README.md")]
//!
//! # Map of this crate
//! | file | idea |
//! |---|---|
//! | `runtime.rs` | [`runtime::Runtime`], [`runtime::Builder`], [`runtime::Handle`]: tokio's, with a `block_on` that nests |
//! | `wait.rs` | how a thread waits for a future: make room, poll, park; the watchdog notice |
//! | `session.rs` | the ambient runtime, the foreground thread, [`interrupt`] |
//! | `task.rs` | [`spawn`] and [`task::spawn_blocking`] with the ambient runtime behind them |
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

pub mod runtime;
mod session;
mod sets;
pub mod task;
mod wait;
pub mod watch;

pub use session::{Interrupted, announce_nothing, become_foreground, interrupt, interruptions};
pub use task::spawn;

/// [`tokio::select!`], whose first branch [can be chosen](watch::begin_select_with).
#[macro_export]
macro_rules! select {
    (else $($rest:tt)*) => {
        $crate::original::select!(else $($rest)*)
    };
    ($bind:pat = $($rest:tt)*) => {
        $crate::original::select!(@{ start={ $crate::watch::first_branch(BRANCHES) }; () } $bind = $($rest)*)
    };
    ($($rest:tt)*) => {
        $crate::original::select!($($rest)*)
    };
}
