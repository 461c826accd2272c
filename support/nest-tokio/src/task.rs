//! Tokio's `task` module; spawning also works on threads without a runtime, and can be
//! [watched](crate::watch).

pub use crate::stuck::block_in_place;
pub use tokio::task::*;

use crate::runtime::Handle;
pub use crate::sets::{JoinSet, LocalSet};
pub use crate::watch::yield_now;
use crate::watch::{self, Kind};

/// Starts `future` as a task of the current runtime or, on a thread without one, of the ambient
/// runtime, where [`tokio::spawn`] would panic.
///
/// ```
/// let answer = nest_tokio::spawn(async { 42 });
/// assert_eq!(nest_tokio::runtime::Handle::current().block_on(answer).unwrap(), 42);
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    Handle::current().spawn(future)
}

/// Runs `f` on a thread where it may block: see [`tokio::task::spawn_blocking`]; like
/// [`spawn`] it falls back on the ambient runtime.
#[track_caller]
pub fn spawn_blocking<F, R: Send + 'static>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
{
    Handle::current().spawn_blocking(f)
}

/// See [`tokio::task::spawn_local`].
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    tokio::task::spawn_local(watch::wrap(Kind::Local, future))
}
