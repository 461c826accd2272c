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
use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{block_in_place, coop};

use crate::parker::Parker;
use crate::paused::{self, Clock};
use crate::session::{Waiting, ambient};
use crate::stuck::{self, Here, PATIENCE, Place};
use crate::watch::{self, Kind};

/// What a thread waits for, whatever its type: cells compile as little as possible.
pub(crate) type Work<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// Runs `future` on this thread in the context of `on`, whose time is that of `clock`.
#[track_caller]
pub(crate) fn block_on<F: Future>(on: &Handle, clock: Option<&Arc<Clock>>, future: F) -> F::Output {
    let mut output = None;
    let future = watch::wrap(Kind::BlockOn, future);
    let work = async { output = Some(future.await) };
    drive(on, clock, pin!(work), Location::caller());
    output.expect("the future has come to its end")
}

fn drive(handle: &Handle, clock: Option<&Arc<Clock>>, future: Work<'_>, caller: Place) {
    make_room(|has_room| {
        // A current-thread runtime that is driven here stands still; the ambient one does not.
        let stands = !has_room
            && handle.runtime_flavor() == RuntimeFlavor::CurrentThread
            && Handle::try_current().is_ok_and(|here| here.id() == handle.id());
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

thread_local! {
    /// Set while we ask tokio for room; it answers "no" by panicking.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` after handing the tasks of this thread's worker, if it is one, to another thread; and tells
/// it whether the thread may now do what tokio forbids inside of a runtime. If a `LocalSet` or a
/// current-thread runtime of tokio's own is being driven here it may not: waiting is possible all the
/// same, but what that drives stands still.
pub(crate) fn make_room<R>(f: impl FnOnce(bool) -> R) -> R {
    if Handle::try_current().is_err() {
        return f(true); // no runtime has ever heard of this thread
    }
    hush_refusals();
    let mut f = Some(f);
    ASKING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        block_in_place(|| {
            ASKING.set(false);
            f.take().expect("called once")(true)
        })
    }));
    ASKING.set(false);
    match (outcome, f) {
        (Ok(value), _) => value,
        (Err(_refusal), Some(f)) => f(false),
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
}

/// Polls `future` to its end, parking in between.
///
/// Without a cooperative budget: inside of a task that has used up its own, tokio's resources
/// would answer "pending" for ever.
pub(crate) fn wait_for(future: Work<'_>, caller: Place) {
    let mut future = pin!(coop::unconstrained(future));
    let waiting = Waiting::enter();
    let parker = Parker::new(None);
    let waker = Waker::from(Arc::clone(&parker));
    let mut context = Context::from_waker(&waker);
    let mut reported = false;
    // Not in a task whose runtime is being dropped: this may be a destructor, which cleans up. If that
    // is ready at once, well.
    if waiting.is_foreground() {
        waiting.unwind_if_over();
    }
    while future.as_mut().poll(&mut context).is_pending() {
        let _here = waiting.is_nested.then(|| Here::enter(None));
        let since = Instant::now();
        parker.park(|| {
            waiting.unwind_if_over();
            let is_stuck = waiting.is_nested && since.elapsed() >= PATIENCE;
            // Once it is `parker`, once `waker`.
            let wrong = match Parker::is_forgotten(&parker, 2) {
                true => Some(stuck::FORGOTTEN),
                false => is_stuck.then_some(stuck::NESTED),
            };
            if let Some(wrong) = wrong.filter(|_| !reported) {
                reported = true;
                stuck::tell(Some(caller), wrong);
            }
            false
        });
    }
}

/// Has `work` done by another thread and waits for it, on the foreground until an interrupt.
pub(crate) fn while_elsewhere(work: impl FnOnce() + Send + 'static) {
    let waiting = Waiting::enter();
    let parker = Parker::new(None);
    let done = Arc::clone(&parker);
    let thread = thread::Builder::new().spawn(move || {
        let _ = catch_unwind(AssertUnwindSafe(work));
        done.wake();
    });
    if thread.is_err() {
        return; // `work` has been dropped, which must do
    }
    let (since, mut reported) = (Instant::now(), false);
    parker.park(|| {
        waiting.unwind_if_over();
        if !reported && since.elapsed() >= PATIENCE {
            reported = true;
            stuck::tell(None, stuck::DROP);
        }
        waiting.is_over() // unwinding already: then it just ends
    });
}
