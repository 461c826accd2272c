//! Parks a thread until it is woken. `loom/` compiles this very file against loom's types, hence
//! their detour.

use std::task::Waker;

use super::primitives::{Arc, AtomicBool, Ordering, TICK, Thread, fence, thread};

/// Wakes the thread that made it.
pub(crate) struct Parker {
    thread: Thread,
    /// Instead of the thread.
    pub(crate) relay: Option<Waker>,
    /// Woken since the last poll. `unpark` alone would not do: anyone may use up its token.
    woken: AtomicBool,
}

impl Parker {
    pub(crate) fn new(relay: Option<Waker>) -> Arc<Parker> {
        Arc::new(Parker {
            thread: thread::current(),
            relay,
            woken: AtomicBool::new(false),
        })
    }

    pub(crate) fn wake(&self) {
        match (self.woken.swap(true, Ordering::Release), &self.relay) {
            (true, _) => {}
            (false, None) => self.thread.unpark(),
            (false, Some(relay)) => relay.wake_by_ref(),
        }
    }

    /// Parks until woken, or until `leave` says true: it is asked whenever the thread is unparked,
    /// and now and then.
    pub(crate) fn park(&self, mut leave: impl FnMut() -> bool) {
        while !leave() && !self.rest() {
            thread::park_timeout(TICK);
        }
    }

    /// From now on it can be woken again. Returns whether it has been.
    pub(crate) fn rest(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    /// Whether nobody will ever wake it: nobody but its owner has it, who holds it `own` times.
    pub(crate) fn is_forgotten(this: &Arc<Self>, own: usize) -> bool {
        if Arc::strong_count(this) != own {
            return false;
        }
        // Whoever gave it up may have woken it before.
        fence(Ordering::Acquire);
        !this.woken.load(Ordering::Relaxed)
    }
}
