//! The process that runs the cells, which evcxr starts: this program once more.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::front::SOCKET_ENV;
use crate::process;

/// How long the front may take to let us in.
const WELCOME_WITHIN: Duration = Duration::from_secs(5);

/// Prepares the process for its cells. Without a front it is evcxr's as ever.
pub fn prepare() {
    // evcxr asks for backtraces; all of one but a line or two is its own and tokio's.
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("RUST_BACKTRACE", "0") };
    process::end_with_stdin();
    if let Err(error) = hand_over_output() {
        eprintln!("[lab] 单元格的输出不能即时显示：{error}");
    }
}

/// Gives the front what this process and those that cells start will write: standard output and
/// error become pipes whose other ends it reads. So it sees every byte as it is written, and what
/// was written last is not lost when this process dies. The pipe on which evcxr waits for markers
/// goes to the front as well, which lets through what evcxr must know.
fn hand_over_output() -> io::Result<()> {
    let Some(path) = std::env::var_os(SOCKET_ENV) else {
        return Ok(());
    };
    let mut socket = UnixStream::connect(path)?;
    let evcxr = fcntl_dupfd_cloexec(io::stdout(), 3)?;
    let (stdout_reader, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr_reader, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    send(&socket, &[&stdout_reader, &stderr_reader, &evcxr])?;
    socket.set_read_timeout(Some(WELCOME_WITHIN))?;
    socket.read_exact(&mut [0])?;
    redirect(&stdout, libc::STDOUT_FILENO)?;
    redirect(&stderr, libc::STDERR_FILENO)?;
    // Open for as long as the process lives: that is how the front learns of its end.
    std::mem::forget(socket);
    Ok(())
}

/// Gives whoever listens the same open files as ours.
fn send(socket: &UnixStream, files: &[&OwnedFd; 3]) -> io::Result<()> {
    let files = files.map(|file| file.as_fd());
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(
        socket,
        &[IoSlice::new(&[0])],
        &mut control,
        SendFlags::empty(),
    )?;
    Ok(())
}

/// Makes `fd`, standard output or error, go where `target` goes.
fn redirect(target: &OwnedFd, fd: i32) -> io::Result<()> {
    // SAFETY: both descriptors are open; no memory is involved.
    match unsafe { libc::dup2(target.as_raw_fd(), fd) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
