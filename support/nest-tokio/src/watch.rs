//! Everything that the session's code starts, seen by whoever asks; it costs nothing when nobody does.
//!
//! Spawns, `block_on`s and closures for blocking threads pass through here with the place that
//! starts them. What libraries start through tokio itself does not.

use std::cell::Cell;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use crate::stuck::{Here, Place};

/// What is being started.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Start {
    /// In which way.
    pub kind: Kind,
    /// The type of the future or closure, as [`std::any::type_name`] has it.
    pub name: &'static str,
    /// How many bytes it takes.
    pub size: usize,
    /// Where.
    pub place: &'static Location<'static>,
}

/// In which way something is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As a task of a runtime.
    Task,
    /// As a task of a [`LocalSet`](crate::task::LocalSet).
    Local,
    /// On a thread for blocking work.
    Blocking,
    /// On the calling thread, which waits for it: `block_on`.
    BlockOn,
}

/// Stands around each poll of one thing that was started, and is dropped with it.
pub trait Around: Send {
    /// Called in place of the poll: may call `poll` once, with another context, or hold it up.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()>;

    /// Whether work for a blocking thread is to be done as a task instead.
    fn keeps_to_tasks(&self) -> bool {
        false
    }
}

/// Sees what is started, and says whether it wants to stand around it.
pub type Observer = fn(&Start) -> Option<Box<dyn Around>>;

/// Chooses one of so many branches.
pub type Choose = fn(u32) -> u32;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

thread_local! {
    /// Whether the task that is being polled has called `yield_now`.
    static YIELDED: Cell<bool> = const { Cell::new(false) };
    static CHOOSE: Cell<Option<Choose>> = const { Cell::new(None) };
}

/// From now on `observer` is asked. There is one in a process: false if there was another.
pub fn observe(observer: Observer) -> bool {
    OBSERVER.set(observer).is_ok()
}

/// Whether something on this thread has called `yield_now` since this was last asked.
pub fn has_yielded() -> bool {
    YIELDED.take()
}

/// See [`tokio::task::yield_now`].
pub async fn yield_now() {
    YIELDED.set(true);
    tokio::task::yield_now().await;
}

/// On this thread [`select!`](crate::select) begins with the branch that `choose` says, of so many;
/// with `None` at random, as tokio does.
pub fn begin_select_with(choose: Option<Choose>) {
    CHOOSE.set(choose);
}

#[doc(hidden)]
pub fn first_branch(branches: u32) -> u32 {
    let choose = CHOOSE.get().unwrap_or(tokio::macros::support::thread_rng_n);
    choose(branches)
}

/// A future with what stands around it. It is dropped first.
pub(crate) struct Seen<F> {
    future: F,
    around: Option<Box<dyn Around>>,
    /// Where a task was started, which is named when it blocks its thread.
    task: Option<Place>,
}

/// `future`, which is made of an `F`, is about to be started.
#[track_caller]
fn see<F, T>(kind: Kind, future: T) -> Seen<T> {
    let place = Location::caller();
    let start = || Start {
        kind,
        name: std::any::type_name::<F>(),
        size: size_of::<F>(),
        place,
    };
    Seen {
        future,
        around: OBSERVER.get().and_then(|observer| observer(&start())),
        task: matches!(kind, Kind::Task | Kind::Local).then_some(place),
    }
}

#[track_caller]
pub(crate) fn wrap<F: Future>(kind: Kind, future: F) -> Seen<F> {
    see::<F, F>(kind, future)
}

/// The same for a closure: to be run on a thread for blocking work or, as `Err`, as a task.
#[track_caller]
pub(crate) fn wrap_blocking<R, F: FnOnce() -> R>(
    f: F,
) -> Result<impl FnOnce() -> R, Seen<impl Future<Output = R>>> {
    let seen = see::<F, _>(Kind::Blocking, async move { f() });
    if let Some(around) = &seen.around
        && around.keeps_to_tasks()
    {
        return Err(seen);
    }
    Ok(
        move || match pin!(seen).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => unreachable!("there is nothing to wait for in a closure"),
        },
    )
}

impl<F: Future> Future for Seen<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is not moved out of the pinned value, in here and elsewhere.
        let this = unsafe { self.get_unchecked_mut() };
        let _here = this.task.map(|place| Here::enter(Some(place)));
        // SAFETY: as above.
        let mut future = unsafe { Pin::new_unchecked(&mut this.future) };
        let Some(around) = &mut this.around else {
            return future.poll(context);
        };
        let mut output = None;
        let _ = around.poll(context, &mut |context| {
            let polled = future.as_mut().poll(context);
            polled.map(|value| output = Some(value))
        });
        output.map_or(Poll::Pending, Poll::Ready)
    }
}
