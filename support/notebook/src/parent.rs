//! A busy child process would outlive a kernel that was killed: it notices only when it next
//! reads a command. So a thread watches the command pipe.

use std::io;
use std::os::fd::RawFd;
use std::thread;

/// Ends this process once the other end of its standard input is closed.
pub(crate) fn end_with_the_kernel() -> io::Result<()> {
    let watch = || {
        if has_hung_up(libc::STDIN_FILENO) {
            // SAFETY: always sound. No destructor must run: a cell may hold any lock.
            unsafe { libc::_exit(0) };
        }
    };
    thread::Builder::new()
        .name("notebook-parent".into())
        .spawn(watch)?;
    Ok(())
}

/// Waits until the other end of a pipe is closed. False if this is nothing that can be waited for.
fn has_hung_up(fd: RawFd) -> bool {
    let mut pipe = libc::pollfd {
        fd,
        events: 0, // POLLHUP is always reported
        revents: 0,
    };
    loop {
        // SAFETY: one valid pollfd.
        match unsafe { libc::poll(&mut pipe, 1, -1) } {
            // A signal, of which a cell may have any number.
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            1 => return pipe.revents & libc::POLLHUP != 0,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn signals_do_not_end_the_watch_and_the_end_of_the_pipe_does() {
        static HANDLED: AtomicU32 = AtomicU32::new(0);
        extern "C" fn handle(_: libc::c_int) {
            HANDLED.fetch_add(1, Ordering::SeqCst);
        }
        let handler = handle as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the handler does nothing but count.
        unsafe { libc::signal(libc::SIGUSR2, handler) };
        let (reader, writer) = io::pipe().unwrap();
        let watch = thread::spawn(move || has_hung_up(reader.as_raw_fd()));
        // Soon they come while it waits.
        for sent in 1..=200 {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(watch.as_pthread_t(), libc::SIGUSR2) };
            while HANDLED.load(Ordering::SeqCst) < sent {
                assert!(!watch.is_finished(), "ended by signal {sent}");
                thread::yield_now();
            }
        }
        drop(writer);
        assert!(watch.join().unwrap());
    }
}
