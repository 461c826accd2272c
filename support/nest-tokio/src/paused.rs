//! Time that stands still, and leaps when there is nothing else to do.
//!
//! Only tokio's own current-thread runtime can do that, and it runs its tasks on the thread that
//! drives it, where a nested wait would stop them all. So a thread of its own drives it, and asks
//! the thread that waits to poll when that is next. One of the two runs at a time, as if they were
//! one; what waits inside of the polled future gives the turn back meanwhile.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime, RuntimeFlavor};

use crate::parker::Parker;
use crate::session::{DEPTH, Ends, say};
use crate::stuck::{self, Place};
use crate::wait::{self, Work};

/// A current-thread runtime, as far as its time is concerned.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What it goes on as when its time is paused.
    pub(crate) paused: OnceLock<Arc<Runtime>>,
    /// What it was until then, if it has been something else.
    pub(crate) real: Option<Handle>,
    pub(crate) ends: Arc<Ends>,
}

/// What this thread polls in real time, in how deep a wait, and the context of paused time for the rest
/// of that poll.
struct Polled(Arc<Clock>, usize, Option<EnterGuard<'static>>);

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
    POLLED.with_borrow_mut(|polled| polled.as_mut().map(Polled::pause));
    let flavor = Handle::try_current().map(|here| here.runtime_flavor());
    assert!(
        !matches!(flavor, Ok(RuntimeFlavor::MultiThread)),
        "这里停不住时间：只有 current_thread 运行时的时间能停，而且要在交给它的 block_on 的 future\
         （或者 #[tokio::main(flavor = \"current_thread\")] 的函数体）里 pause，不能在它的任务或嵌套的 block_on 里。\
         先 pause 再 spawn，或者用 start_paused = true"
    );
    tokio::time::pause();
}

impl Polled {
    /// Goes on in paused time, if the current runtime is what is being polled.
    fn pause(&mut self) {
        let Polled(clock, depth, context) = self;
        let is_polled = |real: &&Handle| {
            *depth == DEPTH.get() && Handle::try_current().is_ok_and(|here| here.id() == real.id())
        };
        let Some(real) = clock.real.as_ref().filter(is_polled) else {
            return;
        };
        let alive = real.metrics().num_alive_tasks();
        if alive > 0 {
            say(&format!(
                "[nest-tokio] 时间停住了，但之前生成的 {alive} 个任务仍按真实的时间走：请先 pause 再 spawn，或用 start_paused。"
            ));
        }
        let paused = clock.paused().enter();
        // SAFETY: a guard owns a handle of its own, and uses nothing of what its lifetime borrows.
        *context = Some(unsafe { mem::transmute::<EnterGuard<'_>, EnterGuard<'static>>(paused) });
    }
}

impl Clock {
    fn paused(&self) -> &Runtime {
        self.paused.get_or_init(|| {
            let ends = Arc::clone(&self.ends);
            let mut builder = Builder::new_current_thread();
            builder.enable_all().on_thread_start(move || ends.join());
            let runtime = builder.build();
            Arc::new(runtime.expect("there is an I/O driver for paused time"))
        })
    }
}

/// `future` as the runtime of `clock` polls it: in real time until that is paused.
pub(crate) async fn follow(clock: &Arc<Clock>, mut future: Work<'_>, caller: Place) {
    let (mut driver, mut reported) = (None, false);
    poll_fn(move |context| {
        let Some(paused) = clock.paused.get() else {
            let now = Polled(Arc::clone(clock), DEPTH.get(), None);
            let mut before = POLLED.replace(Some(now));
            let _restored = Finally(|| drop(POLLED.replace(before.take())));
            let polled = future.as_mut().poll(context);
            if polled.is_pending() && clock.paused.get().is_some() {
                context.waker().wake_by_ref(); // and again, as below
            }
            return polled;
        };
        let start = || Driver::start(clock, paused, context.waker().clone());
        let driver = driver.get_or_insert_with(start);
        let _context = paused.enter();
        let polled = driver.turn(context, future.as_mut());
        if polled.is_ready() {
            driver.stop();
        } else if !reported && Parker::is_forgotten(&driver.relay.borrow(), 1) {
            reported = true;
            stuck::tell(Some(caller), stuck::FORGOTTEN);
        }
        polled
    })
    .await
}

/// [`wait::wait_for`]. If this is inside of a poll on a driver's request, that goes on driving, and
/// `future` is polled on its request.
pub(crate) fn wait_for(future: Work<'_>, caller: Place) {
    let is_in_turn = TURNS.try_with(|turns| !turns.borrow().is_empty());
    if !is_in_turn.unwrap_or(false) {
        return wait::wait_for(future, caller);
    }
    let turns = TURNS.take();
    let _restored = Finally(|| drop(TURNS.replace(turns.clone())));
    let mut asked: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(future);
    for driver in turns.iter().rev() {
        asked = Box::pin(poll_fn(move |context| driver.turn(context, asked.as_mut())));
    }
    wait::wait_for(asked.as_mut(), caller);
    // What else is waited for may have been ready meanwhile.
    turns.iter().for_each(|driver| driver.relay.borrow().wake());
}

/// The thread that drives a paused runtime, as seen from the thread that waits.
struct Driver {
    /// "Your turn: poll with this waker."
    asks: Receiver<Waker>,
    /// "Pending; wake this for the next turn", or that there is none.
    answers: Sender<Option<Waker>>,
    /// Whether it has been asked and has not answered.
    has_turn: Cell<bool>,
    /// With the waker of the last turn: it is another one once the runtime has another driver.
    relay: RefCell<Arc<Parker>>,
    thread: Cell<Option<JoinHandle<()>>>,
}

impl Driver {
    fn start(clock: &Clock, paused: &Arc<Runtime>, mut waiter: Waker) -> Rc<Driver> {
        let (ask, asks) = channel();
        let (answers, answered) = channel();
        let (runtime, ends) = (Arc::clone(paused), Arc::clone(&clock.ends));
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
        let thread = thread.spawn(drive);
        let relay = Parker::new(None);
        relay.wake(); // as whatever is polled for the first time
        Rc::new(Driver {
            asks,
            answers,
            has_turn: Cell::new(false),
            relay: RefCell::new(relay),
            thread: Cell::new(Some(thread.expect("there is a thread for paused time"))),
        })
    }

    /// Polls if the driver has asked for it. Ready, the turn is kept.
    fn turn(self: &Rc<Self>, context: &mut Context<'_>, future: Work<'_>) -> Poll<()> {
        if self.has_turn.get() {
            // Inside of what is polled something else is waited for: it asks for that at once.
            self.relay.borrow().wake();
            self.give_back(context);
        }
        let Ok(waker) = self.asks.try_recv() else {
            return Poll::Pending;
        };
        self.has_turn.set(true);
        let is_same = |relay: &Waker| relay.will_wake(&waker);
        if !self.relay.borrow().relay.as_ref().is_some_and(is_same) {
            self.relay.replace(Parker::new(Some(waker)));
        }
        let relay = Arc::clone(&self.relay.borrow());
        relay.rest();
        TURNS.with_borrow_mut(|turns| turns.push(Rc::clone(self)));
        let _popped = Finally(|| drop(TURNS.with_borrow_mut(Vec::pop)));
        let polled = future.poll(&mut Context::from_waker(&Waker::from(relay)));
        if polled.is_pending() {
            self.give_back(context);
        }
        polled
    }

    fn give_back(&self, context: &Context<'_>) {
        self.has_turn.set(false);
        let _ = self.answers.send(Some(context.waker().clone()));
    }

    /// In the turn that was the last: nothing runs on the driver now, and it ends at once.
    fn stop(&self) {
        let _ = self.answers.send(None);
        self.relay.borrow().wake(); // it may have got the turn back, from a wait that was interrupted
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Driver {
    /// After an interrupt the driver may have a task that blocks, and is not waited for.
    fn drop(&mut self) {
        self.relay.borrow().wake();
    }
}
