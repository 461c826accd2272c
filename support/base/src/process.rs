//! Programs that we start: how they end, and what is worth showing of them.

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;

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

/// Ends this process once the other end of `pipe` is closed: for the process that runs the cells,
/// which evcxr sends commands through it. One that is busy would outlive a kernel that was killed,
/// since it notices only when it next reads a command. ([`end_with_us`] is not for it: evcxr starts
/// it on a thread of its own that ends.)
pub fn end_with(pipe: RawFd) {
    let watch = move || {
        if has_hung_up(pipe) {
            // SAFETY: always sound. No destructor must run: a cell may hold any lock.
            unsafe { libc::_exit(0) };
        }
    };
    if let Err(error) = std::thread::Builder::new().spawn(watch) {
        let _ = writeln!(
            io::stderr(),
            "没有线程可用（{error}）：内核被强行终止时，单元格的进程要到空闲时才结束。"
        );
    }
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

/// A program that is killed, with all that it started, when nobody waits for it any longer.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.id() {
            // SAFETY: no memory is involved. The group's leader is not yet reaped, so the number
            // is still its own.
            unsafe { libc::killpg(id as i32, libc::SIGKILL) };
        }
    }
}

/// Runs `command`, with nothing to read, to its end, and ends it with all that it started when
/// nobody waits any longer. `listener` gets each line of its stdout.
///
/// # Errors
/// When it cannot be started or its output cannot be read.
pub async fn finish(mut command: Command, mut listener: impl FnMut(&str)) -> io::Result<Output> {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    end_with_us(&mut command);
    let mut group = Group(tokio::process::Command::from(command).spawn()?);
    let pipes = (group.0.stdout.take(), group.0.stderr.take());
    let (Some(stdout), Some(mut stderr)) = pipes else {
        return Err(io::Error::other("stdout and stderr are piped"));
    };
    let mut lines = BufReader::new(stdout).lines();
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    let read_lines = async {
        while let Some(line) = lines.next_line().await? {
            listener(&line);
            text.extend(line.into_bytes());
            text.push(b'\n');
        }
        Ok(())
    };
    tokio::try_join!(read_lines, stderr.read_to_end(&mut errors))?;
    let status = group.0.wait().await?;
    Ok(Output {
        status,
        stdout: text,
        stderr: errors,
    })
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
        let watch = std::thread::spawn(move || has_hung_up(reader.as_raw_fd()));
        // Soon they come while it waits.
        for sent in 1..=200 {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(watch.as_pthread_t(), libc::SIGUSR2) };
            while HANDLED.load(Ordering::SeqCst) < sent {
                assert!(!watch.is_finished(), "ended by signal {sent}");
                std::thread::yield_now();
            }
        }
        drop(writer);
        assert!(watch.join().unwrap());
    }

    #[test]
    fn what_is_no_pipe_is_not_watched() {
        assert!(!has_hung_up(1 << 20)); // not open
    }

    #[test]
    fn of_a_long_output_the_end_is_shown() {
        let output = "1\n2\n\n3\n4\n5\n  \n6\n";
        assert_eq!(last_lines(output.as_bytes()), "\n  2\n  3\n  4\n  5\n  6");
        assert_eq!(last_lines(b""), "");
    }
}
