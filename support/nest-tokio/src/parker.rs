//! Parks a thread until it is woken. `loom/` compiles this very file against loom's types, hence
//! their detour.

use super::primitives::{Arc, AtomicBool, Ordering, Thread, fence, thread};

/// Wakes the thread that made it.
pub(crate) struct Parker {
    thread: Thread,
    /// Woken since the last poll. `unpark` alone would not do: anyone may use up its token.
    woken: AtomicBool,
}

impl Parker {
    pub(crate) fn new() -> Arc<Parker> {
        Arc::new(Parker {
            thread: thread::current(),
            woken: AtomicBool::new(false),
        })
    }

    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }

    /// Parks until woken, or until `leave` says true: it is asked whenever the thread is unparked.
    pub(crate) fn park(&self, mut leave: impl FnMut() -> bool) {
        while !leave() && !self.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }

    /// Whether nobody will ever wake it: nobody but its thread has it, which holds it `own` times.
    pub(crate) fn is_forgotten(this: &Arc<Self>, own: usize) -> bool {
        if Arc::strong_count(this) != own {
            return false;
        }
        // Whoever gave it up may have woken it before.
        fence(Ordering::Acquire);
        !this.woken.load(Ordering::Relaxed)
    }
}
