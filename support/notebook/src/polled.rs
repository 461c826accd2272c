//! Which task this thread is at, and so who wakes another one.

use std::cell::Cell;
use std::task::{Context, Poll, Waker};

use nest_tokio::runtime::Handle;
use nest_tokio::task::coop;

/// What has woken a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The code of the task of this number, while it was polled.
    Task(u32),
    /// The end of the task of this number.
    End(u32),
    /// A timer, or something to be read or written.
    Driver,
    /// A thread that polls nothing.
    Thread,
    /// It has only stepped back for others: `yield_now`.
    Yield,
    /// Tokio made it step back: it had done many operations at once.
    Budget,
}

thread_local! {
    /// The number of the task that is being polled; 0: none.
    static POLLED: Cell<u32> = const { Cell::new(0) };
    /// The number of the task whose future has been dropped here last, unless another has been
    /// polled since; and whether that was on a thread for blocking work.
    static ENDED: Cell<(u32, bool)> = const { Cell::new((0, false)) };
}

/// A poll that has not returned.
pub(crate) struct Polled {
    before: u32,
}

impl Polled {
    pub(crate) fn begin(number: u32) -> Polled {
        ENDED.set((0, false));
        Polled {
            before: POLLED.replace(number),
        }
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        POLLED.set(self.before);
    }
}

/// What is being polled on this thread turns out to be the task of this number.
pub(crate) fn becomes(number: u32) {
    POLLED.set(number);
}

/// The task that is being polled on this thread.
pub(crate) fn current() -> Option<u32> {
    Some(POLLED.get()).filter(|number| *number != 0)
}

/// A task's future has been dropped.
pub(crate) fn ended(number: u32, on_blocking_thread: bool) {
    // Not when the thread itself ends.
    let _ = ENDED.try_with(|ended| ended.set((number, on_blocking_thread)));
}

/// What is waking a task on this thread, now.
pub(crate) fn cause() -> Cause {
    if let Some(number) = current() {
        return Cause::Task(number);
    }
    let (ended, on_blocking_thread) = ENDED.try_with(Cell::take).unwrap_or_default();
    // Right behind the end of a task tokio wakes who waits for it. A timer may be next as well, but
    // not within the budget that a task has.
    if ended != 0 && (on_blocking_thread || has_budget()) {
        return Cause::End(ended);
    }
    match Handle::try_current().is_ok() && !is_first_thread() {
        true => Cause::Driver,
        false => Cause::Thread,
    }
}

/// Cells run on it: it has a runtime's context, and drives none.
pub(crate) fn is_first_thread() -> bool {
    thread_local! {
        // SAFETY: neither call can fail or has anything to do with memory.
        static IS_FIRST: bool = unsafe { libc::gettid() == libc::getpid() };
    }
    IS_FIRST.try_with(|first| *first).unwrap_or(false)
}

/// The most operations that tokio lets a task do in one poll.
const MOST: usize = 128;

/// Whether tokio counts the operations that are done here: it does while it runs a task.
fn has_budget() -> bool {
    let mut context = Context::from_waker(Waker::noop());
    // The first one, when it is dropped, gives back what the others use up.
    let Poll::Ready(first) = coop::poll_proceed(&mut context) else {
        return true;
    };
    let is_used_up = use_up(usize::MAX, &mut context);
    drop(first);
    is_used_up
}

/// Uses up what tokio lets a task do in this poll, until so many operations are `left`. Returns
/// whether there was an end to it.
pub(crate) fn leave_budget(left: usize) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    use_up(MOST.saturating_sub(left), &mut context)
}

fn use_up(most: usize, context: &mut Context<'_>) -> bool {
    for _ in 0..most.min(MOST) {
        if !coop::has_budget_remaining() {
            return true;
        }
        match coop::poll_proceed(context) {
            Poll::Ready(operation) => operation.made_progress(),
            Poll::Pending => return true,
        }
    }
    !coop::has_budget_remaining()
}
