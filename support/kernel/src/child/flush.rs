//! What a cell has printed and still lies in a buffer when its code has ended: std's and the C
//! library's.
//!
//! Somebody may hold a buffer's lock, and for ever: a variable, or a task. So a thread for each
//! buffer does it, and nobody waits for one that has not come back from the last time.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a cell's end may take.
const LIMIT: Duration = Duration::from_millis(200);

/// Flushes std's buffer for standard output; std is the cell's, not ours.
pub type FlushStd = extern "C" fn(bool);

/// Flushes both.
pub struct Flush {
    std: Helper,
    c: Helper,
}

impl Flush {
    /// Ready to flush.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn new() -> io::Result<Flush> {
        Ok(Flush {
            std: Helper::start("flush-std")?,
            c: Helper::start("flush-c")?,
        })
    }

    /// Flushes what is not locked. `std` is a cell's way to do its part; what no cell has used holds
    /// nothing.
    pub fn run(&mut self, std: Option<FlushStd>) {
        let until = Instant::now() + LIMIT;
        let std = std.is_some_and(|std| self.std.begin(move || std(false)));
        let c = self.c.begin(|| {
            // SAFETY: always sound.
            unsafe { libc::fflush(std::ptr::null_mut()) };
        });
        for (helper, has_begun) in [(&mut self.std, std), (&mut self.c, c)] {
            if has_begun {
                helper.wait(until);
            }
        }
    }
}

/// A thread that does one thing at a time.
struct Helper {
    work: Sender<Box<dyn FnOnce() + Send>>,
    done: Receiver<()>,
    is_busy: bool,
}

impl Helper {
    fn start(name: &str) -> io::Result<Helper> {
        let (work, to_do) = channel::<Box<dyn FnOnce() + Send>>();
        let (did, done) = channel();
        thread::Builder::new().name(name.into()).spawn(move || {
            for work in to_do {
                work();
                let _ = did.send(());
            }
        })?;
        Ok(Helper {
            work,
            done,
            is_busy: false,
        })
    }

    /// Has it do this; false if it is still at something else.
    fn begin(&mut self, work: impl FnOnce() + Send + 'static) -> bool {
        self.is_busy &= self.done.try_recv().is_err();
        if self.is_busy {
            return false;
        }
        self.is_busy = true;
        self.work.send(Box::new(work)).is_ok()
    }

    fn wait(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        self.is_busy = self.done.recv_timeout(left).is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_waited_for_once_and_goes_on_when_it_has_come_back() {
        let mut helper = Helper::start("test").unwrap();
        let (release, held) = channel::<()>();
        assert!(helper.begin(move || _ = held.recv()));
        helper.wait(Instant::now());
        assert!(helper.is_busy);
        assert!(!helper.begin(|| ()), "it has not come back");
        release.send(()).unwrap();
        helper.wait(Instant::now() + Duration::from_secs(30));
        assert!(!helper.is_busy);
        let (ran, seen) = channel();
        assert!(helper.begin(move || ran.send(5).unwrap()));
        helper.wait(Instant::now() + Duration::from_secs(30));
        assert_eq!(seen.try_recv(), Ok(5));
    }
}
