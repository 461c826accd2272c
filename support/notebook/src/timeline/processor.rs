//! Whether a long poll calculated or only waited.
//!
//! The processor time of a thread costs a system call. It is asked for at most some hundred times a
//! second, and at the end of long polls.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// How old the last answer may be when a poll begins.
const AGE: Duration = Duration::from_millis(2);

thread_local! {
    /// When this thread was last asked, and what it had used by then.
    static LAST: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// A poll begins on this thread.
pub(super) fn begin(now: Instant) {
    if LAST
        .get()
        .is_none_or(|(then, _)| now.saturating_duration_since(then) > AGE)
    {
        LAST.set(Some((now, used())));
    }
}

/// Whether the poll that ends after such a time has calculated for more than half of it. To be asked
/// for polls much longer than [`AGE`].
pub(super) fn has_calculated(lasted: Duration) -> bool {
    let before = LAST.get().map_or(Duration::ZERO, |(_, used)| used);
    used().saturating_sub(before) > lasted / 2
}

/// What this thread has used of a processor.
fn used() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel writes a `timespec` to where there is room for one.
    let failed =
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) } != 0;
    if failed {
        return Duration::ZERO;
    }
    // SAFETY: the call has succeeded.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calculating_is_told_from_waiting() {
        const LONG: Duration = Duration::from_millis(40);
        begin(Instant::now());
        std::thread::sleep(LONG);
        assert!(!has_calculated(LONG));
        begin(Instant::now());
        let before = used();
        while used() - before < LONG {
            std::hint::black_box(0);
        }
        assert!(has_calculated(LONG));
    }
}
