//! The process that runs the cells, which evcxr starts: this program once more.
//!
//! It does what evcxr's own would do: loads one library for each cell, and calls it. But evcxr's
//! commands do not come by standard input, where a cell, or a program that it starts, would swallow
//! them: what cells read there is the student's (`input.rs`).

mod input;

use std::ffi::{OsStr, c_void};
use std::fs;
use std::io::{self, BufRead, BufReader, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use link::{marker, variable};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::json;

use crate::cargo::BUILD_ENV;
use crate::front::{GENERATED, kept};
use crate::start;

/// How long the front may take to let us in.
const WELCOME_WITHIN: Duration = Duration::from_secs(5);

/// Runs cells until evcxr is gone. Without a front this process is evcxr's as ever.
///
/// # Errors
/// When a cell cannot be loaded.
pub fn run() -> Result<ExitCode> {
    // evcxr asks for backtraces; all of one but a line or two is its own and tokio's.
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("RUST_BACKTRACE", "0") };
    start::give_back_environment();
    let Some(front) = std::env::var_os(variable::FRONT) else {
        return evcxr_jupyter::main().map(|()| ExitCode::SUCCESS);
    };
    let commands = fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    let commands = hear(commands.into())?;
    match hand_over_output(&front) {
        Ok(front) => input::ask(front),
        Err(error) => eprintln!("[lab] 单元格的输出不能即时显示：{error}"),
    }
    let mut variables = std::ptr::null_mut();
    for command in commands {
        variables = obey(&command, variables)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Listens to evcxr on a thread of its own, which ends this process when evcxr is gone: a busy cell
/// would outlive it.
fn hear(commands: fs::File) -> Result<mpsc::Receiver<String>> {
    let (sender, received) = mpsc::channel();
    thread::Builder::new()
        .name("kernel-commands".into())
        .spawn(move || {
            let mut lines = BufReader::new(commands).lines();
            while let Some(Ok(command)) = lines.next() {
                let _ = sender.send(command);
            }
            // SAFETY: always sound. No destructor must run: a cell may hold any lock.
            unsafe { libc::_exit(0) };
        })?;
    Ok(received)
}

/// Does what evcxr says: loads a library and calls a function of it, which gets the variables and
/// gives them back.
fn obey(command: &str, variables: *mut c_void) -> Result<*mut c_void> {
    let words: Vec<&str> = command.split(' ').collect();
    let ["LOAD_AND_RUN", path, name] = words[..] else {
        bail!("evcxr 说了不懂的话：{command}");
    };
    announce(Path::new(path));
    // SAFETY: what a library does when it is loaded is what the student's cell says.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.with_context(|| format!("装载不了单元格 {path}"))?;
    // SAFETY: evcxr has generated a function of this type.
    let variables = unsafe {
        let run = library.get::<extern "C" fn(*mut c_void) -> *mut c_void>(name.as_bytes())?;
        run(variables)
    };
    // Variables, tasks and threads hold on to its code.
    std::mem::forget(library);
    println!("{}", marker::ENDED);
    Ok(variables)
}

/// Tells the front that the code of a library begins to run, and keeps the file that it was made
/// from: evcxr writes the next one over it.
fn announce(library: &Path) {
    let folder = std::env::var_os(BUILD_ENV).unwrap_or_default();
    // Without it no place in this cell is known.
    let _ = fs::copy(Path::new(&folder).join(GENERATED), kept(library));
    let message = json!({ "msg_type": "begun", "content": { "library": library } });
    println!("{}{message}", marker::MESSAGE);
}

/// Gives the front what this process and those that cells start will write: standard output and
/// error become pipes whose other ends it reads. So it sees every byte as it is written, and what
/// was written last is not lost when this process dies. The pipe on which evcxr waits for markers
/// goes to the front as well, which lets through what evcxr must know.
fn hand_over_output(front: &OsStr) -> io::Result<UnixStream> {
    let mut socket = UnixStream::connect(front)?;
    let evcxr = fcntl_dupfd_cloexec(io::stdout(), 3)?;
    let (stdout_reader, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr_reader, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    send(&socket, &[&stdout_reader, &stderr_reader, &evcxr])?;
    socket.set_read_timeout(Some(WELCOME_WITHIN))?;
    socket.read_exact(&mut [0])?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    socket.set_read_timeout(None)?;
    Ok(socket)
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
