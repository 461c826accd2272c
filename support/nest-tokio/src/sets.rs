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

/// Methods that say the same to tokio's set: those for futures, those for closures.
macro_rules! spawns {
    ($($name:ident($kind:ident $(, $on:ident: $where:ty)?) $($send:ident)?;)*) => {
        $(
            #[doc = concat!("See [`tokio::task::JoinSet::", stringify!($name), "`].")]
            #[track_caller]
            pub fn $name<F>(&mut self, task: F $(, $on: &$where)?) -> AbortHandle
            where
                F: Future<Output = T> $(+ $send)? + 'static,
                $(T: $send,)?
            {
                spawns!(@ self.$name(watch::wrap(Kind::$kind, task)) $($on)?)
            }
        )*
    };
    (@ $set:ident.spawn($task:expr)) => { $set.0.spawn_on($task, &Handle::current()) };
    (@ $set:ident.$name:ident($task:expr) $($on:ident)?) => { $set.0.$name($task $(, $on)?) };
}

impl<T: 'static> JoinSet<T> {
    spawns! {
        spawn(Task) Send;
        spawn_on(Task, handle: tokio::runtime::Handle) Send;
        spawn_local(Local);
        spawn_local_on(Local, set: tokio::task::LocalSet);
    }

    /// See [`tokio::task::JoinSet::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.spawn_blocking_on(f, &Handle::current())
    }

    /// See [`tokio::task::JoinSet::spawn_blocking_on`].
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &tokio::runtime::Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        match watch::wrap_blocking(f) {
            Ok(f) => self.0.spawn_blocking_on(f, handle),
            Err(task) => self.0.spawn_on(task, handle),
        }
    }

    /// See [`tokio::task::JoinSet::join_all`].
    ///
    /// # Panics
    /// When a task panicked or was aborted.
    pub async fn join_all(self) -> Vec<T> {
        self.0.join_all().await
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = tokio::task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn from_iter<I: IntoIterator<Item = F>>(tasks: I) -> JoinSet<T> {
        let mut set = JoinSet::new();
        set.extend(tasks);
        set
    }
}

impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
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
        F: Future + 'static,
        F::Output: 'static,
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

impl Deref for LocalSet {
    type Target = tokio::task::LocalSet;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}
