//! What the process writes, on its way to the front: standard output and error become pipes whose
//! other ends the front reads. So it sees every byte as it is written, and what was written last is
//! not lost when this process dies. The pipe on which evcxr waits for markers goes to the front as
//! well, which lets through what evcxr must know.
//!
//! Two pipes keep no order. So what Rust code writes to standard error goes into the pipe of
//! standard output, as records: this program's function `write` is the one that the dynamic linker
//! finds first, as is its `read` (`input.rs`). What C libraries and the programs that cells start
//! write there comes by its own pipe. A cell may have put something else in the place of either; then
//! that is written to as ever.
//!
//! With what std reports of a panic goes what is being called just then: where the `notebook` crate is
//! not loaded, nobody else tells.

use std::ffi::{OsStr, c_int, c_void};
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use link::record::{self, ERRORS, MESSAGE, PANICS, WHOLE, told};
use link::{frame, stack};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Stat, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec, writev};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::json;

/// std writes no longer one in one piece.
const LONGEST_REPORT: usize = 512;

/// The pipes, once the front reads them.
static PIPES: OnceLock<Pipes> = OnceLock::new();

struct Pipes {
    secret: String,
    /// How a record of what is written to standard error begins, as far as its length.
    errors: String,
    /// Ours, that nothing is put in the place of: it goes where standard output went at first.
    records: OwnedFd,
    stdout: Identity,
    stderr: Identity,
}

/// What a file is, whatever its number.
#[derive(PartialEq)]
struct Identity(u64, u64);

impl Identity {
    fn of(file: impl AsFd) -> io::Result<Identity> {
        let Stat { st_dev, st_ino, .. } = fstat(file)?;
        Ok(Identity(st_dev, st_ino))
    }
}

/// Gives the front, which listens at `socket`, what this process and those that cells start will
/// write.
///
/// # Errors
/// When the front does not take it.
pub fn hand_over(socket: &OsStr) -> Result<UnixStream> {
    let secret = record::secret(Path::new(socket)).context("它的套接字的名字里没有密钥")?;
    let mut front = UnixStream::connect(socket)?;
    let evcxr = fcntl_dupfd_cloexec(io::stdout(), 3)?;
    let (stdout_reader, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr_reader, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    send(&front, &[&stdout_reader, &stderr_reader, &evcxr])?;
    front.set_read_timeout(Some(frame::WELCOME_WITHIN))?;
    let mut welcome = [0];
    front.read_exact(&mut welcome)?;
    ensure!(welcome == [frame::WELCOME], "它没有答应");
    rustix::stdio::dup2_stdout(&stdout)?;
    rustix::stdio::dup2_stderr(&stderr)?;
    front.set_read_timeout(None)?;
    let pipes = Pipes {
        errors: format!("{}{ERRORS} ", record::prefix(secret)),
        secret: secret.to_owned(),
        stdout: Identity::of(&stdout)?,
        stderr: Identity::of(&stderr)?,
        records: stdout,
    };
    let _ = PIPES.set(pipes);
    Ok(front)
}

/// Gives whoever listens the same open files as ours.
fn send(socket: &UnixStream, files: &[&OwnedFd; 3]) -> io::Result<()> {
    let files = files.map(|file| file.as_fd());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(
        socket,
        &[IoSlice::new(&[frame::HELLO])],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// Tells the front something, behind all that has been written so far.
pub fn tell(kind: &str, payload: &[u8]) {
    let Some(pipes) = PIPES.get() else {
        return;
    };
    let record = record::new(&pipes.secret, kind, payload);
    let told = match pipes.are_ours() {
        true => write_all(&pipes.records, &record),
        false => write_all(io::stdout(), &record), // a cell has closed whatever it found
    };
    // It fails when the kernel is gone, and then so are we in a moment.
    let _ = told;
}

/// Writes in one call if the system lets it, though a cell may have made the pipe one that does not
/// wait.
fn write_all(pipe: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&pipe, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&pipe, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Pipes {
    /// Whether our own file is still what it was.
    fn are_ours(&self) -> bool {
        Identity::of(&self.records).is_ok_and(|records| records == self.stdout)
    }

    /// Whether this can be std's report of a panic, or a piece of one.
    fn is_report(bytes: &[u8]) -> bool {
        bytes.len() <= LONGEST_REPORT
            && bytes
                .windows(PANICS.len())
                .any(|part| part == PANICS.as_bytes())
    }

    /// Writes a report to the front, with what is being called. None if it must go the usual way.
    fn write_report(&self, bytes: &[u8]) -> Option<rustix::io::Result<usize>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut stack = stack::calls();
        loop {
            let content = json!({ "text": text, "stack": stack });
            let message = json!({ "msg_type": told::REPORT, "content": content }).to_string();
            let record = record::new(&self.secret, MESSAGE, message.as_bytes());
            if record.len() <= WHOLE {
                write_all(&self.records, &record).ok()?;
                return Some(Ok(bytes.len()));
            }
            stack.pop()?; // what is farthest from the panic
        }
    }

    /// Writes to the front what is meant for standard error, or the beginning of it: what stays
    /// together in the pipe. But for a panic nothing is allocated and little of the stack used: who
    /// writes may be out of either. None if it must go the usual way.
    fn write_errors(&self, bytes: &[u8]) -> Option<rustix::io::Result<usize>> {
        let is_ours = Identity::of(rustix::stdio::stderr()).is_ok_and(|file| file == self.stderr);
        if !is_ours || !self.are_ours() {
            return None;
        }
        if Pipes::is_report(bytes)
            && let Some(written) = self.write_report(bytes)
        {
            return Some(written);
        }
        let mut digits = [b'\n'; 5];
        let room = WHOLE - self.errors.len() - digits.len() - 1;
        let bytes = &bytes[..bytes.len().min(room)];
        let mut rest = bytes.len();
        let mut start = digits.len() - 1;
        while rest > 0 {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let record = [self.errors.as_bytes(), &digits[start..], bytes, b"\n"].map(IoSlice::new);
        match writev(&self.records, &record) {
            Ok(_) => Some(Ok(bytes.len())),
            Err(Errno::INTR) => Some(Err(Errno::INTR)),
            Err(_) => None,
        }
    }
}

/// The C library's function of this name.
///
/// # Safety
/// As there: `count` bytes can be read from `buffer`.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(
    file: c_int,
    buffer: *const c_void,
    count: libc::size_t,
) -> libc::ssize_t {
    let pipes = PIPES.get();
    if let Some(pipes) = pipes.filter(|_| file == libc::STDERR_FILENO && count > 0) {
        // SAFETY: the caller promises it.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), count) };
        match pipes.write_errors(bytes) {
            Some(Ok(written)) => return written as libc::ssize_t,
            Some(Err(error)) => {
                // SAFETY: a thread's own variable.
                unsafe { *libc::__errno_location() = error.raw_os_error() };
                return -1;
            }
            None => {}
        }
    }
    // SAFETY: what the caller promises is what the system asks for.
    let written = unsafe { libc::syscall(libc::SYS_write, file, buffer, count) };
    written as libc::ssize_t
}
