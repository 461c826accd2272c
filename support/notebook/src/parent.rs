//! A busy child process would outlive a kernel that was killed: it notices only when it next
//! reads a command. So a thread watches the command pipe.

use std::thread;

/// Ends this process once the other end of its standard input is closed.
pub(crate) fn end_with_the_kernel() {
    let watch = || {
        let mut stdin = libc::pollfd {
            fd: libc::STDIN_FILENO,
            events: 0, // POLLHUP is always reported
            revents: 0,
        };
        loop {
            // SAFETY: one valid pollfd.
            let ready = unsafe { libc::poll(&mut stdin, 1, -1) };
            if ready == 1 && stdin.revents & libc::POLLHUP != 0 {
                // SAFETY: always sound. No destructor must run: a cell may hold any lock.
                unsafe { libc::_exit(0) };
            }
            if ready == 1 {
                return; // no pipe (POLLNVAL, POLLERR): nothing to watch
            }
        }
    };
    let _ = thread::Builder::new()
        .name("notebook-parent".into())
        .spawn(watch);
}
