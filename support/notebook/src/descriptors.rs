//! Room for open files, before they are opened.
//!
//! When the system's table of a process's open files is full, a larger one takes its place; and if the
//! process has several threads, whoever opened that file waits until no processor has the old one
//! in use: ten milliseconds, or thirty. It happens to a server with its 256th connection, which would be
//! said to block its thread in `accept`.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// More are hardly ever open: it is the limit of the course's largest server.
const MOST: libc::rlim_t = 4_096;

/// From now on nobody waits for room, up to as many open files as there may be.
pub(crate) fn make_room() {
    let mut limit = MaybeUninit::<libc::rlimit>::zeroed();
    // SAFETY: the system writes an `rlimit` to where there is room for one.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) };
    // SAFETY: it is made of numbers, which are zero if the call has failed.
    let most = unsafe { limit.assume_init() }.rlim_cur.min(MOST);
    let Ok(file) = File::open("/dev/null") else {
        return;
    };
    let last = most.saturating_sub(1) as libc::c_int;
    // SAFETY: it copies a descriptor that is open, to a number that is free.
    let copy = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, last) };
    if copy >= 0 {
        // SAFETY: it is open, and nobody else has it.
        drop(unsafe { OwnedFd::from_raw_fd(copy) });
    }
}
