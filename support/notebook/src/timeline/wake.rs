//! What wakes a task, and who could.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{self, Waker};

use super::record::Record;
use crate::polled::{self, Cause};

/// Wake-ups kept of one task: the last ones.
const MAX_WAKES: usize = 64;

/// A wake-up that a poll has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wake {
    pub(crate) time: u64,
    pub(crate) cause: Cause,
}

/// The wake-ups of a task.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    /// The last ones; when there are as many as are kept, the oldest is at `count % MAX_WAKES`.
    kept: Vec<Wake>,
    count: u64,
    own: u64,
}

impl Wakes {
    /// One more, of the task of this number.
    pub(crate) fn push(&mut self, wake: Wake, number: u32) {
        let at = (self.count % MAX_WAKES as u64) as usize;
        match self.kept.get_mut(at) {
            Some(oldest) => *oldest = wake,
            None => self.kept.push(wake),
        }
        self.count += 1;
        self.own += u64::from([Cause::Task(number), Cause::Yield].contains(&wake.cause));
    }

    /// In order of time.
    pub(crate) fn last(&self) -> Vec<Wake> {
        let mut wakes = self.kept.clone();
        if self.count > MAX_WAKES as u64 {
            wakes.rotate_left((self.count % MAX_WAKES as u64) as usize);
        }
        wakes
    }

    /// How many there were, and how many of them were the task's own doing.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.count, self.own)
    }
}

/// Room for one wake-up, without a lock: whoever wakes must not wait.
#[derive(Default)]
pub(crate) struct Slot {
    /// The number of a task, and in the lowest bits [what it is](Cause); 0 when free.
    cause: AtomicU64,
    time: AtomicU64,
}

impl Slot {
    pub(crate) fn is_free(&self) -> bool {
        self.cause.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn put(&self, cause: Cause, time: u64) {
        let code = match cause {
            Cause::Task(number) => u64::from(number) << 3 | 1,
            Cause::End(number) => u64::from(number) << 3 | 2,
            Cause::Driver => 3,
            Cause::Thread => 4,
            Cause::Yield => 5,
            Cause::Budget => 6,
        };
        self.time.store(time, Ordering::Relaxed);
        self.cause.store(code, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Option<Wake> {
        let code = self.cause.load(Ordering::Acquire);
        let number = (code >> 3) as u32;
        let cause = match code & 7 {
            0 => return None,
            1 => Cause::Task(number),
            2 => Cause::End(number),
            3 => Cause::Driver,
            4 => Cause::Thread,
            5 => Cause::Yield,
            _ => Cause::Budget,
        };
        Some(Wake {
            time: self.time.load(Ordering::Relaxed),
            cause,
        })
    }

    pub(crate) fn take(&self) -> Option<Wake> {
        let wake = self.get()?;
        self.cause.store(0, Ordering::Release);
        Some(wake)
    }
}

/// Stands between a task and the waker that its executor gave it. Each clone of its own waker counts.
pub(crate) struct Bell {
    record: Arc<Record>,
    /// Whether the poll that returned last only stepped back for others: 1, or had to: 2.
    yields: AtomicU8,
    /// The executor's waker: nearly always the same from the first poll to the last…
    first: OnceLock<Waker>,
    /// … unless the future has moved to another task.
    later: Mutex<Option<Waker>>,
    has_moved: AtomicBool,
}

impl Bell {
    /// For the task of this record.
    pub(crate) fn new(record: Arc<Record>) -> Arc<Bell> {
        let bell = Arc::new(Bell {
            record,
            yields: AtomicU8::new(0),
            first: OnceLock::new(),
            later: Mutex::new(None),
            has_moved: AtomicBool::new(false),
        });
        bell.record.set_bell(Arc::downgrade(&bell));
        bell
    }

    /// Before each poll: this is to be woken.
    pub(crate) fn listen(&self, waker: &Waker) {
        let first = self.first.get_or_init(|| waker.clone());
        let has_moved = self.has_moved.load(Ordering::Relaxed);
        if has_moved || !first.will_wake(waker) {
            *self.later() = Some(waker.clone());
            self.has_moved.store(true, Ordering::Release);
        }
    }

    /// The poll that returns now only steps back for others, or has to: tokio will wake the task.
    pub(crate) fn yields(&self, has_to: bool) {
        self.yields
            .store(if has_to { 2 } else { 1 }, Ordering::Relaxed);
    }

    fn cause(&self) -> Cause {
        // Tokio does that where it also runs the timers.
        match (polled::cause(), self.yields.load(Ordering::Relaxed)) {
            (Cause::Driver, yields @ 1..) => {
                self.yields.store(0, Ordering::Relaxed);
                if yields == 1 {
                    Cause::Yield
                } else {
                    Cause::Budget
                }
            }
            (cause, _) => cause,
        }
    }

    fn later(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.record.wake(|| self.cause());
        match self.has_moved.load(Ordering::Acquire) {
            false => self.first.get().inspect(|waker| waker.wake_by_ref()),
            true => {
                let waker = self.later().clone();
                waker.inspect(Waker::wake_by_ref);
                None
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wakes_are_kept_in_order_and_all_are_counted() {
        let mut wakes = Wakes::default();
        for time in 0..1_000 {
            let cause = match time % 4 {
                0 => Cause::Task(7),
                1 => Cause::Yield,
                _ => Cause::Task(8),
            };
            wakes.push(Wake { time, cause }, 7);
        }
        assert_eq!(wakes.counts(), (1_000, 500));
        let times: Vec<u64> = wakes.last().iter().map(|wake| wake.time).collect();
        assert_eq!(times, (1_000 - MAX_WAKES as u64..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_cause_comes_out_of_its_slot_as_it_went_in() {
        let slot = Slot::default();
        assert_eq!(slot.take(), None);
        for cause in [
            Cause::Task(u32::MAX),
            Cause::End(1),
            Cause::Driver,
            Cause::Thread,
            Cause::Yield,
            Cause::Budget,
        ] {
            slot.put(cause, 42);
            assert!(!slot.is_free());
            assert_eq!(slot.take(), Some(Wake { time: 42, cause }));
            assert!(slot.is_free());
        }
    }
}
