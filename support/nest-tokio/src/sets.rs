//! [`JoinSet`] and [`LocalSet`]: tokio's, with spawns that can be [watched](crate::watch).

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::RuntimeFlavor;
use tokio::task::AbortHandle;

use crate::runtime::Handle;
use crate::wait;
use crate::watch::{self, Kind};

/// Ours passes for tokio's where a reference is taken, and looks like it.
macro_rules! passes_for_tokios {
    ($set:ident$(<$t:ident>)?) => {
        impl$(<$t>)? Deref for $set$(<$t>)? {
            type Target = tokio::task::$set$(<$t>)?;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl$(<$t>)? fmt::Debug for $set$(<$t>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

passes_for_tokios!(JoinSet<T>);
passes_for_tokios!(LocalSet);

/// [`tokio::task::JoinSet`]; like [`spawn`](crate::spawn) it falls back on the ambient runtime.
///
/// Methods that are not listed here are tokio's, reached by dereferencing.
pub struct JoinSet<T>(tokio::task::JoinSet<T>);

impl<T> JoinSet<T> {
    /// A set without tasks.
    pub fn new() -> JoinSet<T> {
        JoinSet(tokio::task::JoinSet::new())
    }
}

impl<T: 'static> JoinSet<T> {
    /// See [`tokio::task::JoinSet::spawn_local`].
    #[track_caller]
    pub fn spawn_local<F: Future<Output = T> + 'static>(&mut self, task: F) -> AbortHandle {
        self.0.spawn_local(watch::wrap(Kind::Local, task))
    }

    /// See [`tokio::task::JoinSet::spawn_local_on`].
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, set: &tokio::task::LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.0.spawn_local_on(watch::wrap(Kind::Local, task), set)
    }

    /// See [`tokio::task::JoinSet::join_all`].
    ///
    /// # Panics
    /// When a task panicked or was aborted.
    pub async fn join_all(self) -> Vec<T> {
        self.0.join_all().await
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// See [`tokio::task::JoinSet::spawn`].
    #[track_caller]
    pub fn spawn<F: Future<Output = T> + Send + 'static>(&mut self, task: F) -> AbortHandle {
        self.spawn_on(task, &Handle::current())
    }

    /// See [`tokio::task::JoinSet::spawn_on`].
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &tokio::runtime::Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.0.spawn_on(watch::wrap(Kind::Task, task), handle)
    }

    /// See [`tokio::task::JoinSet::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F: FnOnce() -> T + Send + 'static>(&mut self, f: F) -> AbortHandle {
        self.spawn_blocking_on(f, &Handle::current())
    }

    /// See [`tokio::task::JoinSet::spawn_blocking_on`].
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &tokio::runtime::Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        match watch::wrap_blocking(f) {
            Ok(f) => self.0.spawn_blocking_on(f, handle),
            Err(task) => self.0.spawn_on(task, handle),
        }
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

impl<T: Send + 'static, F: Future<Output = T> + Send + 'static> FromIterator<F> for JoinSet<T> {
    fn from_iter<I: IntoIterator<Item = F>>(tasks: I) -> JoinSet<T> {
        let mut set = JoinSet::new();
        set.extend(tasks);
        set
    }
}

impl<T: Send + 'static, F: Future<Output = T> + Send + 'static> Extend<F> for JoinSet<T> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, tasks: I) {
        for task in tasks {
            self.spawn(task);
        }
    }
}

/// [`tokio::task::LocalSet`].
///
/// Methods that are not listed here are tokio's, reached by dereferencing.
#[derive(Default)]
pub struct LocalSet(tokio::task::LocalSet);

impl LocalSet {
    /// A set without tasks.
    pub fn new() -> LocalSet {
        LocalSet::default()
    }

    /// See [`tokio::task::LocalSet::spawn_local`].
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: 'static> + 'static,
    {
        self.0.spawn_local(watch::wrap(Kind::Local, future))
    }

    /// See [`tokio::task::LocalSet::block_on`]; it nests and can be interrupted, as
    /// [`Runtime::block_on`](crate::runtime::Runtime::block_on), if tokio's own clock does not drive it.
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &tokio::runtime::Runtime, future: F) -> F::Output {
        let handle = runtime.handle();
        match handle.runtime_flavor() {
            RuntimeFlavor::MultiThread => wait::block_on(handle, None, self.0.run_until(future)),
            _ => self.0.block_on(runtime, watch::wrap(Kind::BlockOn, future)),
        }
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}
