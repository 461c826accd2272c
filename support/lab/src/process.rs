//! Programs that we start: how they end, and what is worth showing of them.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Lets the system kill the program when we are killed: a download or a compiler that nobody
/// waits for would be in the next set-up's way, and a kernel without its front is an orphan.
///
/// "We" is the thread that starts it: call it on the main thread, which lives longest.
pub fn end_with_us(command: &mut Command) {
    get_when_we_end(command, libc::SIGKILL);
}

/// Lets the system send the program `signal` when we are killed. See [`end_with_us`].
pub fn get_when_we_end(command: &mut Command, signal: i32) {
    // SAFETY: `prctl` is async-signal-safe and touches no memory of ours.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal);
            Ok(())
        });
    }
}

/// Starts the program as Jupyter starts kernels: what a terminal sends, Ctrl-C for one, does not
/// reach it, nor what it starts; all of that can be ended as a group, and has a share of the
/// processors of its own.
pub fn in_its_own_session(command: &mut Command) {
    // SAFETY: `setsid` is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
}

/// Ends this process once the other end of its standard input is closed: for the process that runs
/// the cells. One that is busy would outlive a kernel that was killed, since it notices only when
/// it next reads a command. ([`end_with_us`] is not for it: evcxr starts it on a thread of its own
/// that ends.)
pub fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut stdin = libc::pollfd {
            fd: libc::STDIN_FILENO,
            events: 0, // POLLHUP is always reported
            revents: 0,
        };
        // SAFETY: one valid pollfd; `_exit` is always sound, and no destructor must run: a cell
        // may hold any lock.
        unsafe {
            if libc::poll(&mut stdin, 1, -1) == 1 && stdin.revents & libc::POLLHUP != 0 {
                libc::_exit(0);
            }
        }
    });
}

/// The end of a program's output, for a message: a traceback is long, its end says why.
pub fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(5)..]
        .iter()
        .map(|line| format!("\n  {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_output_the_end_is_shown() {
        let output = "1\n2\n\n3\n4\n5\n  \n6\n";
        assert_eq!(last_lines(output.as_bytes()), "\n  2\n  3\n  4\n  5\n  6");
        assert_eq!(last_lines(b""), "");
    }
}
