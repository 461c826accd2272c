//! What a thread did in a long poll: calculate, wait, or stand in line for a processor.
//!
//! Only the last is nobody's fault, and it is common where many share a computer. Nor is it anybody's
//! if the thread neither ran nor let go of its processor: then the computer is a guest of another one,
//! which had something else to do. Or if it waited for its own code to be read from a disk. To ask the
//! system for all of this takes two microseconds or three, so it is done at most some hundred times a
//! second, and at the end of long polls.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How old the last answer may be when a poll begins, in ticks of the fastest processors and at most.
const OLD: u64 = 4_000_000;
pub(super) const AGE: Duration = Duration::from_millis(4);
/// How long a disk may take to read what a thread has touched.
const READING: Duration = Duration::from_millis(10);

thread_local! {
    /// When this thread was last asked, in ticks.
    static LAST: Cell<u64> = const { Cell::new(0) };
    static THREAD: RefCell<Thread> = RefCell::default();
}

#[derive(Default)]
struct Thread {
    /// What it had used and waited for by then.
    before: Times,
    /// Where the system says how long it had to stand in line, if it does.
    line: Option<File>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    used: Duration,
    in_line: Duration,
    /// How often it has let go of its processor.
    let_go: u32,
    /// How often it has touched memory that had to be read from a disk.
    faults: u32,
}

/// What a poll did with its time.
#[derive(Debug, PartialEq)]
pub(super) struct Spent {
    /// How long it would have taken, had it not had to stand in line.
    pub(super) own: Duration,
    pub(super) calculating: Duration,
    pub(super) waiting: Duration,
}

/// A poll begins on this thread, after so many ticks.
#[inline]
pub(super) fn begin(now: u64) {
    if now.wrapping_sub(LAST.get()) > OLD {
        ask(now);
    }
}

#[inline(never)]
fn ask(now: u64) {
    let is_first = LAST.replace(now) == 0;
    let _ = THREAD.try_with(|thread| {
        let mut thread = thread.borrow_mut();
        if is_first {
            thread.line = File::open("/proc/thread-self/schedstat").ok();
        }
        thread.before = thread.times();
    });
}

/// What a poll did that ends after such a time. It is to be much longer than [`AGE`].
pub(super) fn end(lasted: Duration) -> Spent {
    let (before, now) = THREAD
        .try_with(|thread| {
            let thread = thread.borrow();
            (thread.before, thread.times())
        })
        .unwrap_or_default();
    spent(before, now, lasted)
}

fn spent(before: Times, now: Times, lasted: Duration) -> Spent {
    let own = lasted.saturating_sub(now.in_line.saturating_sub(before.in_line));
    let calculating = now.used.saturating_sub(before.used).min(own);
    let reading = READING * now.faults.saturating_sub(before.faults);
    let waiting = match now.let_go > before.let_go {
        true => (own - calculating).saturating_sub(reading),
        false => Duration::ZERO,
    };
    Spent {
        own,
        calculating,
        waiting,
    }
}

impl Thread {
    fn times(&self) -> Times {
        let in_line = self.line.as_ref().and_then(|file| {
            let mut text = [0; 80];
            let length = file.read_at(&mut text, 0).ok()?;
            let text = std::str::from_utf8(&text[..length]).ok()?;
            text.split(' ')
                .nth(1)?
                .parse()
                .ok()
                .map(Duration::from_nanos)
        });
        let (let_go, faults) = let_go_and_faults();
        Times {
            used: used(),
            in_line: in_line.unwrap_or_default(),
            let_go,
            faults,
        }
    }
}

fn let_go_and_faults() -> (u32, u32) {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the system writes an `rusage` to where there is room for one.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    // SAFETY: it is made of numbers, which are zero if the call has failed.
    let usage = unsafe { usage.assume_init() };
    (usage.ru_nvcsw as u32, usage.ru_majflt as u32)
}

/// What this thread has used of a processor.
fn used() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the system writes a `timespec` to where there is room for one.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    if failed != 0 {
        return Duration::ZERO;
    }
    // SAFETY: the call has succeeded.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn spent(f: impl FnOnce()) -> (Spent, Duration) {
        let start = Instant::now();
        begin(super::super::ticks::now());
        f();
        let lasted = start.elapsed();
        (end(lasted), lasted)
    }

    #[test]
    fn who_neither_runs_nor_lets_go_of_his_processor_does_not_wait() {
        const MS: Duration = Duration::from_millis(1);
        let before = Times::default();
        let now = Times {
            used: 2 * MS,
            in_line: 5 * MS,
            let_go: 1,
            faults: 0,
        };
        let waiting = |now| super::spent(before, now, 27 * MS).waiting;
        assert_eq!(waiting(now), 20 * MS);
        assert_eq!(waiting(Times { let_go: 0, ..now }), Duration::ZERO);
        assert_eq!(waiting(Times { faults: 1, ..now }), 10 * MS);
        let own = super::spent(before, now, 27 * MS).own;
        assert_eq!(own, 22 * MS);
    }

    #[test]
    fn calculating_and_waiting_and_standing_in_line_are_told_apart() {
        const LONG: Duration = Duration::from_millis(40);
        std::thread::sleep(5 * AGE);
        let (sleeps, _) = spent(|| std::thread::sleep(LONG));
        assert!(sleeps.waiting > LONG / 2 && sleeps.calculating < LONG / 2);
        let (calculates, lasted) = spent(|| {
            let before = used();
            while used() - before < LONG {
                std::hint::black_box(0);
            }
        });
        assert!(calculates.calculating >= LONG);
        // Whoever else has the processors meanwhile: this is not waiting.
        assert!(
            calculates.waiting < LONG / 2,
            "{:?} of {lasted:?}",
            calculates.waiting
        );
    }
}
