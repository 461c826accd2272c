//! Programs that we start: how they end, and what is worth showing of them.

use std::io::{self, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal, setsid};

/// The program that this process runs, for others to run as well while this one lives: the very
/// same, when another has been put in its place meanwhile.
pub fn this_program() -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", std::process::id()))
}

/// A command that runs [`this_program`], and is listed under its name.
pub fn once_more() -> Command {
    let mut command = Command::new(this_program());
    command.arg0(std::env::args_os().next().unwrap_or_default());
    command
}

/// Lets the system kill the program when we are killed: a download or a compiler that nobody
/// waits for would be in the next set-up's way, and a kernel without its front is an orphan.
///
/// "We" is the thread that starts it: call it on a thread that lives as long as the program.
pub fn end_with_us(command: &mut Command) {
    get_when_we_end(command, Signal::KILL);
}

/// Lets the system send the program `signal` when we are killed. See [`end_with_us`].
pub fn get_when_we_end(command: &mut Command, signal: Signal) {
    // SAFETY: a system call that touches no memory of ours.
    unsafe {
        command.pre_exec(move || Ok(set_parent_process_death_signal(Some(signal))?));
    }
}

/// Starts the program as Jupyter starts kernels: what a terminal sends, Ctrl-C for one, does not
/// reach it, nor what it starts; all of that can be ended as a group, and has a share of the
/// processors of its own.
pub fn in_its_own_session(command: &mut Command) {
    // SAFETY: a system call that touches no memory.
    unsafe {
        command.pre_exec(|| {
            let _ = setsid(); // it fails only for who leads a session already
            Ok(())
        });
    }
}

/// The programs that [`finish`] waits for: each leads a process group.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills all that [`finish`] waits for, with all that they have started, and lets nothing more be
/// started: for who is about to end this process.
pub fn end_all() {
    let running = running();
    for group in running.iter() {
        let _ = kill_process_group(*group, Signal::KILL);
    }
    std::mem::forget(running); // stays locked
}

/// Which of its outputs a program wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Starts a program with nothing to read, whose output we read, as the first of a group that
/// [`end_all`] ends: it is not started when that has been called.
fn start(mut command: Command) -> io::Result<(Child, Pid)> {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    end_with_us(&mut command);
    let mut running = running();
    let child = command.spawn()?;
    let group = Pid::from_child(&child);
    running.push(group);
    Ok((child, group))
}

/// A program that [`start`] has started has ended.
fn forget(group: Pid) {
    running().retain(|other| *other != group);
}

/// Runs `command`, with nothing to read, to its end. `listener` gets each line of what it writes,
/// on this thread; a line ends with a carriage return as well, as progress bars have it.
///
/// # Errors
/// When it cannot be started.
pub fn finish(command: Command, mut listener: impl FnMut(Stream, &str)) -> io::Result<Output> {
    let (mut child, group) = start(command)?;
    let (sender, chunks) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let readers = [
        stdout.map(|pipe| read(Stream::Stdout, pipe, sender.clone())),
        stderr.map(|pipe| read(Stream::Stderr, pipe, sender)),
    ];
    let (mut text, mut errors) = (Vec::new(), Vec::new());
    for (stream, line) in chunks {
        let all = match stream {
            Stream::Stdout => &mut text,
            Stream::Stderr => &mut errors,
        };
        all.extend_from_slice(&line);
        let line = String::from_utf8_lossy(&line);
        listener(stream, line.trim_end_matches(['\r', '\n']));
    }
    for reader in readers.into_iter().flatten() {
        let _ = reader.join();
    }
    let status = child.wait()?;
    forget(group);
    Ok(Output {
        status,
        stdout: text,
        stderr: errors,
    })
}

/// Runs `command`, with nothing to read, for at most `limit`. None if it took longer, or cannot be
/// started: for questions whose answer is not worth more.
pub fn finish_within(command: Command, limit: Duration) -> Option<Output> {
    let (child, group) = start(command).ok()?;
    let (sender, answer) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    let output = answer.recv_timeout(limit).ok();
    if output.is_none() {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = waiting.join();
    forget(group);
    output?.ok()
}

/// Reads a pipe line by line, on a thread of its own.
fn read(
    stream: Stream,
    pipe: impl Read + Send + 'static,
    lines: mpsc::Sender<(Stream, Vec<u8>)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut line = Vec::new();
        for byte in BufReader::new(pipe).bytes().map_while(Result::ok) {
            line.push(byte);
            if matches!(byte, b'\n' | b'\r') {
                let _ = lines.send((stream, std::mem::take(&mut line)));
            }
        }
        if !line.is_empty() {
            let _ = lines.send((stream, line));
        }
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

    #[test]
    fn a_listener_gets_each_line_while_the_program_runs() {
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "printf 'one\\ntwo\\rthree'; printf 'four\\n' >&2; exit 3",
        ]);
        let mut lines = Vec::new();
        let output = finish(shell, |stream, line| lines.push((stream, line.to_owned()))).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"one\ntwo\rthree");
        assert_eq!(output.stderr, b"four\n");
        lines.retain(|(stream, _)| *stream == Stream::Stdout);
        let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn who_does_not_answer_in_time_is_ended() {
        let shell = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]);
            shell
        };
        let answered = finish_within(shell("echo yes"), Duration::from_secs(60)).unwrap();
        assert_eq!(answered.stdout, b"yes\n");
        let silent = finish_within(shell("sleep 600 & sleep 600"), Duration::from_millis(50));
        assert!(silent.is_none());
    }

    #[test]
    fn of_a_long_output_the_end_is_shown() {
        let output = "1\n2\n\n3\n4\n5\n  \n6\n";
        assert_eq!(last_lines(output.as_bytes()), "\n  2\n  3\n  4\n  5\n  6");
        assert_eq!(last_lines(b""), "");
    }
}
