//! Tokio's `runtime` module with a [`Runtime`], [`Builder`] and [`Handle`] that nest.
//!
//! Everything else in here is tokio's own. A `Runtime` and a `Handle` dereference to tokio's, so
//! they can be passed to any function that takes a reference to one.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use tokio::runtime::*;
use tokio::task::JoinHandle;

use crate::paused::Clock;
use crate::session::{self, Ends};
use crate::wait;
use crate::watch::{self, Kind};

/// Threads that tasks may block at the same time. Each nested `block_on` in a task occupies one
/// of them while it waits; tokio's own 512 would make the 513th wait for ever.
const MAX_BLOCKING_THREADS: usize = 16_384;

/// Fewest workers of a multi-thread runtime. With a single one, a task that blocks in a way
/// that we cannot see (another executor's `block_on`, `std::thread::sleep`) stops all others.
const MIN_WORKERS: usize = 2;

/// [`tokio::runtime::Runtime`] whose `block_on` may be called anywhere.
///
/// Methods that are not listed here are tokio's, reached by dereferencing.
///
/// ```
/// use nest_tokio::runtime::Runtime;
///
/// let outer = Runtime::new().unwrap();
/// let inner = Runtime::new().unwrap();
/// let n = outer.block_on(async { inner.block_on(async { 42 }) });
/// assert_eq!(n, 42);
/// ```
#[derive(Debug)]
pub struct Runtime {
    /// Taken out when dropped, since the right way to shut down depends on where that happens. There is
    /// none if time was paused from the start.
    real: Option<tokio::runtime::Runtime>,
    /// If it is a current-thread runtime.
    clock: Option<Arc<Clock>>,
    /// The nested waits of its tasks.
    ends: Arc<Ends>,
}

impl Runtime {
    /// A multi-thread runtime with everything enabled, as [`tokio::runtime::Runtime::new`].
    ///
    /// # Errors
    /// When the operating system refuses the I/O driver.
    ///
    /// # Panics
    /// When it refuses the first of the threads: tokio panics, too.
    pub fn new() -> io::Result<Runtime> {
        Builder::new_multi_thread().enable_all().build()
    }

    /// Runs `future` to its end on the calling thread, wherever that is.
    ///
    /// In a task the worker's other tasks are handed to another thread first, as
    /// [`tokio::task::block_in_place`] does.
    ///
    /// # Panics
    /// When the future panics; with [`Interrupted`](crate::Interrupted) when this is the
    /// foreground and [`interrupt`](crate::interrupt) is called.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        wait::block_on(self.handle(), self.clock.as_ref(), future)
    }

    /// A handle that may be cloned and sent anywhere.
    pub fn handle(&self) -> &Handle {
        Handle::of(self.deref().handle())
    }

    /// See [`tokio::runtime::Runtime::spawn`].
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.handle().spawn(future)
    }

    /// See [`tokio::runtime::Runtime::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, R: Send + 'static>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
    {
        self.handle().spawn_blocking(f)
    }

    /// Shuts down and waits at most `duration` for blocking work, as
    /// [`tokio::runtime::Runtime::shutdown_timeout`], but from anywhere.
    pub fn shutdown_timeout(mut self, duration: Duration) {
        self.end(move |inner| inner.shutdown_timeout(duration));
    }

    /// Shuts down without waiting, as [`tokio::runtime::Runtime::shutdown_background`].
    pub fn shutdown_background(mut self) {
        self.end(tokio::runtime::Runtime::shutdown_background);
    }

    /// By `how` if this thread can wait for it, in the background if not.
    fn end(&mut self, how: impl FnOnce(tokio::runtime::Runtime) + Copy + Send + 'static) {
        self.ends.end();
        let clock = self.clock.take().and_then(Arc::into_inner);
        let paused = clock.and_then(|clock| Arc::into_inner(clock.paused.into_inner()?));
        for runtime in [paused, self.real.take()].into_iter().flatten() {
            match self.ends.are_here() || session::is_interrupted() {
                true => runtime.shutdown_background(),
                false if session::is_foreground() => wait::while_elsewhere(move || how(runtime)),
                false => wait::make_room(|has_room| match has_room {
                    true => how(runtime),
                    false => runtime.shutdown_background(),
                }),
            }
        }
    }
}

impl Drop for Runtime {
    /// Ends the runtime's tasks; their nested waits unwind. Where waiting for its threads is possible
    /// it does so, as tokio does; on one of those very threads, or where no thread may block, it lets
    /// them go. On the foreground an interrupt ends the wait.
    fn drop(&mut self) {
        self.end(drop);
    }
}

impl Deref for Runtime {
    type Target = tokio::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        let paused = self.clock.as_ref().and_then(|clock| clock.paused.get());
        let runtime = paused.map(Arc::as_ref).or(self.real.as_ref());
        runtime.expect("it has not been dropped")
    }
}

/// [`tokio::runtime::Handle`] whose `block_on` may be called anywhere.
///
/// ```
/// use nest_tokio::runtime::Handle;
///
/// // On a thread without a runtime there is the ambient one.
/// let n = Handle::current().block_on(async { Handle::current().block_on(async { 42 }) });
/// assert_eq!(n, 42);
/// ```
#[derive(Clone, Debug)]
#[repr(transparent)]
pub struct Handle(tokio::runtime::Handle);

impl Handle {
    fn of(handle: &tokio::runtime::Handle) -> &Handle {
        // SAFETY: in memory there is no difference.
        unsafe { &*std::ptr::from_ref(handle).cast() }
    }

    /// The runtime of the calling thread or, on a thread without one, the ambient runtime.
    ///
    /// # Panics
    /// When that has to be started and the operating system has no threads for it.
    pub fn current() -> Handle {
        Handle::try_current().unwrap_or_else(|_| session::ambient().clone())
    }

    /// The runtime of the calling thread.
    ///
    /// # Errors
    /// On a thread without one: the ambient runtime does not count here.
    pub fn try_current() -> Result<Handle, TryCurrentError> {
        tokio::runtime::Handle::try_current().map(Handle)
    }

    /// Runs `future` to its end on the calling thread, wherever that is: see
    /// [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        wait::block_on(&self.0, None, future)
    }

    /// See [`tokio::runtime::Handle::spawn`].
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.spawn(watch::wrap(Kind::Task, future))
    }

    /// See [`tokio::runtime::Handle::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, R: Send + 'static>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
    {
        match watch::wrap_blocking(f) {
            Ok(f) => self.0.spawn_blocking(f),
            Err(task) => self.0.spawn(task),
        }
    }
}

impl Deref for Handle {
    type Target = tokio::runtime::Handle;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<tokio::runtime::Handle> for Handle {
    fn from(handle: tokio::runtime::Handle) -> Handle {
        Handle(handle)
    }
}

impl From<Handle> for tokio::runtime::Handle {
    fn from(handle: Handle) -> tokio::runtime::Handle {
        handle.0
    }
}

/// [`tokio::runtime::Builder`] for a [`Runtime`] that nests.
///
/// Two defaults differ: more blocking threads (each nested `block_on` in a task needs one), and
/// never fewer than two workers.
///
/// ```
/// use nest_tokio::runtime::Builder;
///
/// let runtime = Builder::new_current_thread().enable_all().build().unwrap();
/// let n = runtime.block_on(async { runtime.block_on(async { 42 }) });
/// assert_eq!(n, 42);
/// ```
pub struct Builder {
    inner: tokio::runtime::Builder,
    /// For a current-thread runtime whose time is paused from the start.
    paused: tokio::runtime::Builder,
    one_worker: bool,
    start_paused: bool,
    /// Kept here, since tokio holds one callback and we need one as well.
    on_thread_start: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Builder {
    fn new(one_worker: bool) -> Builder {
        let mut inner = tokio::runtime::Builder::new_multi_thread();
        inner.max_blocking_threads(MAX_BLOCKING_THREADS);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if one_worker || cores < MIN_WORKERS {
            inner.worker_threads(if one_worker { 1 } else { MIN_WORKERS });
        }
        Builder {
            inner,
            paused: tokio::runtime::Builder::new_current_thread(),
            one_worker,
            start_paused: false,
            on_thread_start: None,
        }
    }

    /// A runtime that runs its tasks one at a time.
    ///
    /// Unlike tokio's it has a thread for them: the caller of `block_on` polls only the future
    /// that it passes, so that it can wait for the runtime's tasks from within one of them. Once its
    /// time is [paused](crate::time::pause) its tasks and that future take turns, as in tokio.
    pub fn new_current_thread() -> Builder {
        Builder::new(true)
    }

    /// A runtime that runs its tasks on several threads.
    pub fn new_multi_thread() -> Builder {
        Builder::new(false)
    }

    /// Number of workers; as in tokio without meaning for a current-thread runtime.
    ///
    /// # Panics
    /// When `val` is 0.
    pub fn worker_threads(&mut self, val: usize) -> &mut Self {
        assert!(val > 0, "Worker threads cannot be set to 0");
        if !self.one_worker {
            self.inner.worker_threads(val);
        }
        self
    }

    /// Calls `f` on each new thread of the runtime before it does anything else.
    pub fn on_thread_start<F: Fn() + Send + Sync + 'static>(&mut self, f: F) -> &mut Self {
        self.on_thread_start = Some(Arc::new(f));
        self
    }

    /// Whether time is paused from the start: see [`pause`](crate::time::pause).
    pub fn start_paused(&mut self, start_paused: bool) -> &mut Self {
        self.start_paused = start_paused;
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    /// When the operating system refuses the I/O driver.
    ///
    /// # Panics
    /// When it refuses the first of the threads: tokio panics, too; as it does when time is to be paused
    /// in a multi-thread runtime.
    pub fn build(&mut self) -> io::Result<Runtime> {
        let ends = Arc::<Ends>::default();
        let (user, joined) = (self.on_thread_start.clone(), Arc::clone(&ends));
        let start_paused = self.start_paused;
        let build = move |builder: &mut tokio::runtime::Builder| {
            builder.start_paused(start_paused).on_thread_start(move || {
                joined.join();
                user.iter().for_each(|user| user());
            });
            builder.build()
        };
        let (real, paused) = match start_paused && self.one_worker {
            true => (None, OnceLock::from(Arc::new(build(&mut self.paused)?))),
            false => (Some(build(&mut self.inner)?), OnceLock::new()),
        };
        let clock = Clock {
            paused,
            real: real.as_ref().map(|real| real.handle().clone()),
            ends: Arc::clone(&ends),
        };
        let clock = self.one_worker.then(|| Arc::new(clock));
        Ok(Runtime { real, clock, ends })
    }
}

/// Methods that say the same to tokio's builders.
macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty $(as $shared:expr)?)?);)*) => {
        impl Builder {
            $(
                #[doc = concat!("See [`tokio::runtime::Builder::", stringify!($name), "`].")]
                pub fn $name(&mut self, $($arg: $type)?) -> &mut Self {
                    $($(let $arg = $shared;)?)?
                    self.inner.$name($($arg.clone())?);
                    self.paused.$name($($arg)?);
                    self
                }
            )*
        }
    };
}

/// `f` to be called by two.
fn shared<T>(f: impl Fn() -> T + Send + Sync + 'static) -> impl Fn() -> T + Send + Sync + Clone {
    let f = Arc::new(f);
    move || f()
}

forward! {
    enable_all();
    enable_io();
    enable_time();
    event_interval(val: u32);
    global_queue_interval(val: u32);
    max_blocking_threads(val: usize);
    max_io_events_per_busy_tick(val: usize);
    max_io_events_per_tick(val: usize);
    name(val: impl Into<String> as val.into());
    on_thread_park(f: impl Fn() + Send + Sync + 'static as shared(f));
    on_thread_stop(f: impl Fn() + Send + Sync + 'static as shared(f));
    on_thread_unpark(f: impl Fn() + Send + Sync + 'static as shared(f));
    thread_keep_alive(val: Duration);
    thread_name(val: impl Into<String> as val.into());
    thread_name_fn(f: impl Fn() -> String + Send + Sync + 'static as shared(f));
    thread_stack_size(val: usize);
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}
