//! The connections to the process that runs the cells.
//!
//! The process connects when it starts ([`crate::child`]) and hands over three files: the pipes
//! that its standard output and error now go into, and the pipe on which evcxr waits for markers.
//! So what a cell writes is read here, also when its process is gone, and nothing reaches evcxr
//! but what we let through.
//!
//! The `notebook` crate connects once more when a cell has loaded it. That connection carries
//! little: "flush what std holds", "interrupt", and the answers.
//!
//! Our cargo connects when it has something to tell the student, and sends lines of JSON.

use std::fs::File;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kernel_core::{Diagnosis, Event, Found, FromProcess, Stream};
use link::frame;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Interest};
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use super::Heard;
use super::processes;

/// How long nobody is let in after somebody was not.
const PAUSE: Duration = Duration::from_millis(20);
/// More than this is not sent at once: it always fits into a socket that is empty.
const LONGEST_INPUT: usize = 64 << 10;

/// Who has connected.
pub enum Guest {
    /// A process that has just been started.
    Process(Box<Link>),
    /// The `notebook` crate in the process of this number.
    Notebook(u32, OwnedWriteHalf),
    /// Our cargo.
    Cargo(OwnedWriteHalf),
}

/// A connected process.
pub struct Link {
    /// Its process number.
    pub process: u32,
    writer: OwnedWriteHalf,
    /// The connection of its `notebook` crate with its number.
    notebook: Option<(u64, OwnedWriteHalf)>,
    stdout: Pipe,
    stderr: Pipe,
    evcxr: File,
}

struct Pipe {
    receiver: pipe::Receiver,
    open: bool,
}

impl Pipe {
    fn new(fd: OwnedFd) -> io::Result<Pipe> {
        Ok(Pipe {
            receiver: pipe::Receiver::from_owned_fd(fd)?,
            open: true,
        })
    }

    async fn readable(&self) {
        match self.open {
            true => drop(self.receiver.readable().await),
            false => std::future::pending().await,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let read = self.receiver.try_read(buffer);
        self.take(read)
    }

    /// Asks the system, not tokio, which may not have heard yet of what has just been written.
    fn read_now(&mut self, buffer: &mut [u8]) -> usize {
        let read = rustix::io::read(&self.receiver, buffer);
        self.take(read.map_err(io::Error::from))
    }

    fn take(&mut self, read: io::Result<usize>) -> usize {
        match read {
            Ok(0) => self.open = false,
            Ok(read) => return read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.open = false,
        }
        0
    }
}

impl Link {
    /// Waits until something has been written to one of the streams.
    pub async fn readable(&self) -> Stream {
        tokio::select! {
            () = self.stderr.readable() => Stream::Stderr,
            () = self.stdout.readable() => Stream::Stdout,
        }
    }

    /// Reads what is there, without waiting.
    pub fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> usize {
        self.pipe(stream).read(buffer)
    }

    /// Reads what has been written up to now, without waiting; [`Link::read`] may not see what was
    /// written a moment ago.
    pub fn read_now(&mut self, stream: Stream, buffer: &mut [u8]) -> usize {
        self.pipe(stream).read_now(buffer)
    }

    /// How many bytes are there.
    pub fn waiting(&mut self, stream: Stream) -> usize {
        let pipe = self.pipe(stream);
        let waiting = rustix::io::ioctl_fionread(pipe.receiver.as_fd());
        waiting.map_or(0, |bytes| bytes as usize)
    }

    fn pipe(&mut self, stream: Stream) -> &mut Pipe {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Lets evcxr read a line.
    pub fn tell_evcxr(&mut self, line: &str) {
        // It only fails when evcxr is gone, and then so are we in a moment.
        let _ = self.evcxr.write_all(format!("{line}\n").as_bytes());
    }

    /// Gives it what it waits to read, or says why not with an error of the system's.
    pub fn answer_input(&self, answer: Result<&str, i32>) {
        let (error, typed) = match answer {
            Ok(typed) if typed.len() > LONGEST_INPUT => (Errno::MSGSIZE.raw_os_error(), ""),
            Ok(typed) => (0, typed),
            Err(error) => (error, ""),
        };
        let mut bytes = (error as u32).to_le_bytes().to_vec();
        bytes.extend((typed.len() as u32).to_le_bytes());
        bytes.extend(typed.as_bytes());
        let _ = self.writer.try_write(&bytes);
    }

    /// Says that its output is being read from now on.
    pub fn welcome(&self) {
        let _ = self.writer.try_write(&[frame::WELCOME]);
    }

    /// Takes the connection of its `notebook` crate.
    pub fn join(&mut self, number: u64, writer: OwnedWriteHalf) {
        send(&writer, frame::WELCOME, 0);
        self.notebook = Some((number, writer));
    }

    /// The number of that connection.
    pub fn notebook(&self) -> Option<u64> {
        self.notebook.as_ref().map(|(number, _)| *number)
    }

    /// That connection is gone.
    pub fn leave(&mut self) {
        self.notebook = None;
    }

    /// Asks for [`FromProcess::Flushed`] with this number; false if nobody can answer.
    pub fn flush(&self, number: u64) -> bool {
        self.ask(frame::FLUSH, number)
    }

    /// Asks for [`FromProcess::Interrupted`]; false if nobody can answer.
    pub fn interrupt(&self) -> bool {
        self.ask(frame::INTERRUPT, 0)
    }

    fn ask(&self, what: u8, number: u64) -> bool {
        let notebook = self.notebook.as_ref();
        notebook
            .map(|(_, writer)| send(writer, what, number))
            .is_some()
    }
}

fn send(writer: &OwnedWriteHalf, what: u8, number: u64) {
    // A few bytes a cell: they always fit, unless the process is gone, which we hear anyway.
    let _ = writer.try_write(&frame::new(what, number));
}

/// Makes the socket at `path`, which stands in a folder of the owner's alone.
///
/// # Errors
/// When the socket cannot be made.
pub fn bind(path: &Path) -> Result<UnixListener> {
    let _ = std::fs::remove_file(path); // of an earlier attempt
    UnixListener::bind(path).with_context(|| format!("不能在 {} 上监听", path.display()))
}

/// Waits for the processes that `evcxr` starts.
pub fn listen(listener: UnixListener, evcxr: u32, events: Sender<Heard>) {
    tokio::spawn(async move {
        let mut number = 0;
        loop {
            let received = async {
                let (stream, _) = listener.accept().await?;
                receive(stream, evcxr).await
            };
            match received.await {
                Ok((guest, reader)) => {
                    number += 1;
                    if let Guest::Cargo(writer) = guest {
                        tokio::spawn(hear(reader, writer, number, events.clone()));
                        continue;
                    }
                    if events.send(Heard::Guest(number, guest)).await.is_err() {
                        return;
                    }
                    tokio::spawn(listen_to(reader, number, events.clone()));
                }
                Err(error) => {
                    eprintln!("[front] a process was not let in: {error:#}");
                    sleep(PAUSE).await; // if no file descriptor is left, it is not the last
                }
            }
        }
    });
}

/// Takes what a process hands over, if anything.
async fn receive(stream: UnixStream, evcxr: u32) -> Result<(Guest, OwnedReadHalf)> {
    let process = stream.peer_cred()?.pid().context("no process number")? as u32;
    // A program that a cell starts has the same environment, and no business here.
    if base::processes::parent(process) != Some(evcxr) {
        bail!("process {process} is not evcxr's own");
    }
    let (first, files) = loop {
        stream.readable().await?;
        match stream.try_io(Interest::READABLE, || receive_files(stream.as_fd())) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            received => break received?,
        }
    };
    let mut files = files.into_iter();
    let (reader, writer) = stream.into_split();
    if first == frame::SAYS {
        return match processes::is_this_program(process) {
            true => Ok((Guest::Cargo(writer), reader)),
            false => bail!("process {process} is not our cargo"),
        };
    }
    let (stdout, stderr, evcxr) = match (files.next(), files.next(), files.next()) {
        (Some(stdout), Some(stderr), Some(evcxr)) => (stdout, stderr, evcxr),
        (None, ..) => return Ok((Guest::Notebook(process, writer), reader)),
        _ => bail!("files are missing"),
    };
    let link = Link {
        process,
        writer,
        notebook: None,
        stdout: Pipe::new(stdout)?,
        stderr: Pipe::new(stderr)?,
        evcxr: File::from(evcxr),
    };
    Ok((Guest::Process(Box::new(link)), reader))
}

/// The first byte, and the files that came with it.
fn receive_files(socket: BorrowedFd<'_>) -> io::Result<(u8, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let files = files.flatten().collect();
    Ok((byte[0], files))
}

/// Passes on what our cargo says.
async fn hear(reader: OwnedReadHalf, writer: OwnedWriteHalf, number: u64, events: Sender<Heard>) {
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut said) = serde_json::from_str::<Value>(&line) else {
            return;
        };
        let event = match said["notice"].as_str() {
            Some(line) => Event::Notice(number, line.to_owned()),
            None => {
                let messages = match said["messages"].take() {
                    Value::Array(messages) => messages,
                    _ => Vec::new(),
                };
                let generated = said["generated"].as_str().unwrap_or_default();
                Event::Diagnosed(Diagnosis::new(generated.to_owned(), messages))
            }
        };
        let waits = matches!(event, Event::Diagnosed(_));
        if events.send(Heard::Event(event)).await.is_err() {
            return;
        }
        if waits {
            let _ = writer.try_write(&[frame::WELCOME]);
        }
    }
}

/// Passes on a process's answers until it is gone.
async fn listen_to(mut reader: OwnedReadHalf, number: u64, events: Sender<Heard>) {
    let mut frame = [0; frame::LENGTH];
    loop {
        let answer = match reader.read_exact(&mut frame).await {
            Ok(_) => match frame::parts(&frame) {
                (frame::FLUSH, number) => FromProcess::Flushed(number),
                (frame::INTERRUPT, frame::FOUND_WAIT) => FromProcess::Interrupted(Found::Wait),
                (frame::INTERRUPT, frame::FOUND_BUSY) => FromProcess::Interrupted(Found::Busy),
                (frame::INTERRUPT, _) => FromProcess::Interrupted(Found::Nothing),
                (frame::INTERRUPTED, _) => FromProcess::Unwound,
                (frame::INPUT, _) => FromProcess::WantsInput,
                _ => continue,
            },
            Err(_) => FromProcess::Gone,
        };
        let gone = matches!(answer, FromProcess::Gone);
        let said = Heard::Event(Event::Process(number, answer));
        if events.send(said).await.is_err() || gone {
            return;
        }
    }
}
