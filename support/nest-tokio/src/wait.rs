//! How a thread waits for a future, wherever it is.
//!
//! Tokio refuses `block_on` on a thread that already drives a runtime, because that thread's
//! other tasks would starve. The way round has two halves. First [`make_room`]: hand the
//! worker's other tasks to another thread (tokio's `block_in_place`). Then poll the future here
//! and park in between, as pollster does, without ever telling tokio that this thread is
//! "inside of a runtime"; so that even tokio's own `block_on` is legal in there.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Once};
use std::task::{Context, Wake, Waker};
use std::thread;

use tokio::runtime::RuntimeFlavor;
use tokio::task::{block_in_place, coop};

use crate::parker::Parker;
use crate::paused::{self, Clock};
use crate::session::{Waiting, ambient};
use crate::stuck::{At, Here};
use crate::watch::{self, Kind};

/// Runs `future` on this thread in the context of `handle`, whose time is that of `clock`.
///
/// Only this shell depends on the future's type: what each cell of a notebook has to compile.
#[track_caller]
pub(crate) fn block_on<F: Future>(
    handle: &tokio::runtime::Handle,
    clock: Option<&Arc<Clock>>,
    future: F,
) -> F::Output {
    let mut output = None;
    let future = watch::wrap(Kind::BlockOn, future);
    {
        let future = pin!(async { output = Some(future.await) });
        drive(handle, clock, future, Location::caller());
    }
    output.expect("the future has come to its end")
}

fn drive(
    handle: &tokio::runtime::Handle,
    clock: Option<&Arc<Clock>>,
    future: Pin<&mut dyn Future<Output = ()>>,
    caller: &'static Location<'static>,
) {
    make_room(|room| {
        // A current-thread runtime that is driven here stands still; the ambient one does not.
        let stands = matches!(room, Room::Refused)
            && handle.runtime_flavor() == RuntimeFlavor::CurrentThread
            && tokio::runtime::Handle::try_current().is_ok_and(|here| here.id() == handle.id());
        let _context = match stands {
            true => ambient().enter(),
            false => handle.enter(),
        };
        match clock {
            Some(clock) => paused::wait_for(pin!(paused::follow(clock, future, caller)), caller),
            None => paused::wait_for(future, caller),
        }
    });
}

/// Whether the thread may now run code that tokio forbids inside of a runtime.
pub(crate) enum Room {
    /// It may; other tasks of its worker, if any, run elsewhere.
    Made,
    /// Tokio knows no way: a `LocalSet` or a current-thread runtime of tokio's own is being
    /// driven here. Waiting is possible all the same, but what that drives stands still.
    Refused,
}

thread_local! {
    /// Set while we ask tokio for room; it answers "no" by panicking.
    static ASKING: Cell<bool> = const { Cell::new(false) };
    /// How many waits are below this one on the stack.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f` after handing the tasks of this thread's worker, if it is one, to another thread.
pub(crate) fn make_room<R>(f: impl FnOnce(Room) -> R) -> R {
    if tokio::runtime::Handle::try_current().is_err() {
        return f(Room::Made); // no runtime has ever heard of this thread
    }
    hush_refusals();
    let mut f = Some(f);
    ASKING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        block_in_place(|| {
            ASKING.set(false);
            f.take().expect("called once")(Room::Made)
        })
    }));
    ASKING.set(false);
    match (outcome, f) {
        (Ok(value), _) => value,
        (Err(_refusal), Some(f)) => f(Room::Refused),
        (Err(panic), None) => resume_unwind(panic),
    }
}

/// Keeps tokio's refusal, which is a panic, from being printed. All other panics are untouched.
fn hush_refusals() {
    static ONCE: Once = Once::new();
    if thread::panicking() {
        return; // the hook cannot be changed now; the worst is one message too many
    }
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !ASKING.get() {
                hook(info);
            }
        }));
    });
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        Parker::wake(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Parker::wake(self);
    }
}

/// Polls `future` to its end, parking in between.
///
/// Without a cooperative budget: inside of a task that has used up its own, tokio's resources
/// would answer "pending" for ever.
pub(crate) fn wait_for(
    future: Pin<&mut dyn Future<Output = ()>>,
    caller: &'static Location<'static>,
) {
    let mut future = pin!(coop::unconstrained(future));
    let nested = Nesting::enter();
    let waiting = Waiting::enter();
    let parker = Parker::new();
    let waker = Waker::from(Arc::clone(&parker));
    let mut context = Context::from_waker(&waker);
    let mut reported = false;
    waiting.unwind_if_interrupted();
    while future.as_mut().poll(&mut context).is_pending() {
        let here = || Here::enter(At::Wait, Some(caller));
        let mut here = (nested.0 && !reported).then(here);
        parker.park(|| {
            waiting.unwind_if_over();
            // Once it is `parker`, once `waker`.
            if !reported && Parker::is_forgotten(&parker, 2) {
                reported = true;
                report(caller);
                here = None; // said
            }
            false
        });
    }
}

/// Has `work` done by another thread and waits for it, on the foreground until an interrupt.
pub(crate) fn while_elsewhere(work: impl FnOnce() + Send + 'static) {
    let waiting = Waiting::enter();
    let parker = Parker::new();
    let done = Arc::clone(&parker);
    let thread = thread::Builder::new().spawn(move || {
        let _ = catch_unwind(AssertUnwindSafe(work));
        done.wake();
    });
    if thread.is_err() {
        return; // `work` has been dropped, which must do
    }
    let _here = Here::enter(At::Drop, None);
    parker.park(|| {
        waiting.unwind_if_over();
        waiting.is_over() // unwinding already: then it just ends
    });
}

/// Names a wait that cannot end.
pub(crate) fn report(caller: &Location<'_>) {
    let place = format!("{}:{}", caller.file(), caller.line());
    eprintln!(
        "[nest-tokio] {place} 的等待不会结束：没有谁还能唤醒这个 future（它没有登记 waker）。中断此单元格即可继续。"
    );
}

/// How many waits are on this thread's stack.
pub(crate) fn depth() -> usize {
    DEPTH.get()
}

/// Counts the waits on this thread's stack. True: something waits for this wait to end.
struct Nesting(bool);

impl Nesting {
    fn enter() -> Nesting {
        let depth = DEPTH.get();
        DEPTH.set(depth + 1);
        Nesting(depth > 0 || tokio::task::try_id().is_some())
    }
}

impl Drop for Nesting {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
