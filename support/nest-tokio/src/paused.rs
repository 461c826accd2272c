//! Time that stands still, and leaps when there is nothing else to do.
//!
//! Only tokio's own current-thread runtime can do that, and it runs its tasks on the thread that
//! drives it, where a nested wait would stop them all. So a thread of its own drives it, and asks
//! the thread that waits to poll when that is next. One of the two runs at a time, as if they were
//! one; what waits inside of the polled future gives the turn back meanwhile.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, EnterGuard};

use crate::runtime::Handle;
use crate::session::{Ends, say};
use crate::wait;

/// A current-thread runtime, as far as its time is concerned.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What it goes on as when its time is paused.
    pub(crate) paused: OnceLock<Paused>,
    /// What it was until then, if it has been something else.
    pub(crate) before: Option<tokio::runtime::Handle>,
    pub(crate) ends: Arc<Ends>,
}

#[derive(Debug)]
pub(crate) struct Paused {
    pub(crate) runtime: Arc<tokio::runtime::Runtime>,
    pub(crate) handle: Handle,
}

impl From<tokio::runtime::Runtime> for Paused {
    fn from(runtime: tokio::runtime::Runtime) -> Paused {
        Paused {
            handle: runtime.handle().clone().into(),
            runtime: Arc::new(runtime),
        }
    }
}

/// What this thread polls in real time, in how deep a wait, and the context of paused time for the rest
/// of that poll.
type Polled = (Arc<Clock>, usize, Option<EnterGuard<'static>>);

thread_local! {
    static POLLED: RefCell<Option<Polled>> = const { RefCell::new(None) };
    /// Whose turns this thread has, one inside of the other.
    static TURNS: RefCell<Vec<Rc<Driver>>> = const { RefCell::new(Vec::new()) };
}

/// Calls what it holds when it is dropped, in an unwinding, too.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// [`tokio::time::pause`], also in the future that a current-thread [`Runtime`] waits for.
///
/// From there on that runtime is tokio's own, which can stop its clock: what is spawned and slept
/// follows it. Tasks that were spawned before keep to real time, which is said on stderr.
///
/// # Panics
/// When time is paused already, and in other places: in a task whose runtime's time has not been
/// paused, in a wait nested in that future, in a multi-thread runtime, outside of any.
///
/// ```
/// use nest_tokio::{runtime::Builder, time};
///
/// let runtime = Builder::new_current_thread().enable_all().build().unwrap();
/// let slept = runtime.block_on(async {
///     time::pause();
///     let start = time::Instant::now();
///     time::sleep(time::Duration::from_secs(3600)).await; // at once
///     start.elapsed()
/// });
/// assert!(slept.as_secs() == 3600);
/// ```
///
/// [`Runtime`]: crate::runtime::Runtime
#[track_caller]
pub fn pause() {
    POLLED.with_borrow_mut(|polled| {
        let current = tokio::runtime::Handle::try_current().ok();
        if let Some((clock, depth, entered @ None)) = polled
            && *depth == wait::depth()
            && let Some((before, current)) = clock.before.as_ref().zip(current)
            && before.id() == current.id()
        {
            let alive = before.metrics().num_alive_tasks();
            if alive > 0 {
                say(&format!(
                    "[nest-tokio] 时间停住了，但之前生成的 {alive} 个任务仍按真实的时间走：请先 pause 再 spawn，或用 start_paused。"
                ));
            }
            let context = clock.paused().runtime.enter();
            // SAFETY: a guard owns a handle of its own, and uses nothing of what its lifetime borrows.
            *entered = Some(unsafe { std::mem::transmute::<EnterGuard<'_>, EnterGuard<'static>>(context) });
        }
    });
    tokio::time::pause();
}

impl Clock {
    fn paused(&self) -> &Paused {
        self.paused.get_or_init(|| {
            let ends = Arc::clone(&self.ends);
            let mut builder = Builder::new_current_thread();
            builder.enable_all().on_thread_start(move || ends.join());
            let runtime = builder.build();
            Paused::from(runtime.expect("there is an I/O driver for paused time"))
        })
    }
}

/// `future` as the runtime of `clock` polls it: in real time until that is paused.
pub(crate) async fn follow(
    clock: &Arc<Clock>,
    mut future: Pin<&mut dyn Future<Output = ()>>,
    caller: &'static Location<'static>,
) {
    let (mut driver, mut reported) = (None, false);
    poll_fn(move |context| {
        let Some(paused) = clock.paused.get() else {
            let mut before = POLLED.replace(Some((Arc::clone(clock), wait::depth(), None)));
            let _restored = Finally(|| drop(POLLED.replace(before.take())));
            let polled = future.as_mut().poll(context);
            if polled.is_pending() && clock.paused.get().is_some() {
                context.waker().wake_by_ref(); // and again, as below
            }
            return polled;
        };
        let driver =
            driver.get_or_insert_with(|| Driver::start(clock, paused, context.waker().clone()));
        let polled = driver.turn(context, |context| {
            let _context = paused.runtime.enter();
            future.as_mut().poll(context)
        });
        if polled.is_ready() {
            driver.stop();
        } else if !reported && driver.is_forgotten() {
            reported = true;
            wait::report(caller);
        }
        polled
    })
    .await
}

/// [`wait::wait_for`]. If this is inside of a poll on a driver's request, that goes on driving, and
/// `future` is polled on its request.
#[inline]
pub(crate) fn wait_for(
    future: Pin<&mut dyn Future<Output = ()>>,
    caller: &'static Location<'static>,
) {
    if TURNS
        .try_with(|turns| turns.borrow().is_empty())
        .unwrap_or(true)
    {
        return wait::wait_for(future, caller);
    }
    let turns = TURNS.take();
    let _restored = Finally(|| drop(TURNS.replace(turns.clone())));
    wait_in_turns(&turns, future, caller);
}

fn wait_in_turns(
    turns: &[Rc<Driver>],
    future: Pin<&mut dyn Future<Output = ()>>,
    caller: &'static Location<'static>,
) {
    let Some((inner, outer)) = turns.split_last() else {
        return wait::wait_for(future, caller);
    };
    wait_in_turns(outer, pin!(inner.on_request(future)), caller);
    // What else the outer future waits for may have been ready meanwhile.
    inner.wake();
}

/// The thread that drives a paused runtime, as seen from the thread that waits.
struct Driver {
    /// "Your turn: poll with this waker."
    asks: Receiver<Waker>,
    /// "Pending; wake this for the next turn", or that there is none.
    answers: Sender<Option<Waker>>,
    /// With the waker of the last turn: it is another one once the runtime has another driver.
    relay: RefCell<Arc<Relay>>,
    thread: Cell<Option<JoinHandle<()>>>,
}

impl Driver {
    fn start(clock: &Clock, paused: &Paused, mut waiter: Waker) -> Rc<Driver> {
        let (ask, asks) = channel();
        let (answers, answered) = channel();
        let (runtime, ends) = (Arc::clone(&paused.runtime), Arc::clone(&clock.ends));
        let drive = move || {
            ends.join();
            runtime.block_on(poll_fn(|context| {
                let asked = ask.send(context.waker().clone());
                waiter.wake_by_ref();
                match asked.ok().and_then(|()| answered.recv().ok()?) {
                    Some(next) => {
                        waiter = next;
                        Poll::Pending
                    }
                    None => Poll::Ready(()), // done, or interrupted
                }
            }));
        };
        let thread = thread::Builder::new().name("nest-tokio-paused".into());
        let thread = thread
            .spawn(drive)
            .expect("there is a thread for paused time");
        Rc::new(Driver {
            asks,
            answers,
            relay: RefCell::new(Relay::to(Waker::noop().clone())),
            thread: Cell::new(Some(thread)),
        })
    }

    /// Polls if the driver has asked for it. Ready, the turn is kept.
    fn turn<T>(
        self: &Rc<Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Ok(waker) = self.asks.try_recv() else {
            return Poll::Pending;
        };
        TURNS.with_borrow_mut(|turns| turns.push(Rc::clone(self)));
        let finally = Finally(|| drop(TURNS.with_borrow_mut(Vec::pop)));
        if !self.relay.borrow().driver.will_wake(&waker) {
            self.relay.replace(Relay::to(waker));
        }
        let relay = Arc::clone(&self.relay.borrow());
        relay.woken.store(false, Ordering::Relaxed);
        let polled = poll(&mut Context::from_waker(&Waker::from(relay)));
        drop(finally);
        if polled.is_pending() {
            self.give_back(context);
        }
        polled
    }

    async fn on_request(self: &Rc<Self>, mut future: Pin<&mut dyn Future<Output = ()>>) {
        let mut first = true;
        poll_fn(move |context| {
            if std::mem::take(&mut first) {
                self.wake(); // so that it asks at once
                self.give_back(context);
            }
            self.turn(context, |context| future.as_mut().poll(context))
        })
        .await;
    }

    fn give_back(&self, context: &Context<'_>) {
        let _ = self.answers.send(Some(context.waker().clone()));
    }

    fn wake(&self) {
        Arc::clone(&self.relay.borrow()).wake();
    }

    /// Whether nobody will ever wake what is polled.
    fn is_forgotten(&self) -> bool {
        let relay = self.relay.borrow();
        Arc::strong_count(&relay) == 1 && {
            fence(Ordering::Acquire); // whoever gave it up may have woken it before
            !relay.woken.load(Ordering::Relaxed)
        }
    }

    /// In the turn that was the last: nothing runs on the driver now, and it ends at once.
    fn stop(&self) {
        let _ = self.answers.send(None);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Wakes a driver, and shows who still can.
struct Relay {
    driver: Waker,
    woken: AtomicBool,
}

impl Relay {
    fn to(driver: Waker) -> Arc<Relay> {
        let woken = AtomicBool::new(true);
        Arc::new(Relay { driver, woken })
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.driver.wake_by_ref();
    }
}

impl Drop for Driver {
    /// After an interrupt the driver may have a task that blocks, and is not waited for.
    fn drop(&mut self) {
        self.wake();
    }
}
