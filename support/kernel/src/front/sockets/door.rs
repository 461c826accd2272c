//! Where clients come in.
//!
//! The ZeroMQ library is made for peers that mean well. It makes room for as much as a peer
//! announces, before any of it has come, and ends the process when there is no such room; its REP
//! and XPUB sockets fail as a whole when one connection does; and when there is no file descriptor
//! for a client it tries again without a pause. So clients do not reach it: each is let in here, and
//! what it says is passed on to a socket of the library's in a folder of our own, as long as it is the beginning
//! of something that a client may say.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use zeromq::Socket;

/// How long nobody is let in after something went wrong with letting somebody in.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the library may take to accept a client.
const RECEPTION: Duration = Duration::from_secs(5);
/// How much is passed on at a time.
const CHUNK: usize = 1 << 16;

/// Where a channel's clients connect to.
pub enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

/// A client's connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Stream>>> {
        Poll::Ready(Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                // If it cannot, it has gone already, or is slower without.
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
            Listener::Ipc(listener) => Box::new(ready!(listener.poll_accept(cx))?.0),
        }))
    }

    /// Lets clients in, for ever, one after the other: `receive` makes what each needs, and then
    /// talks to it on a task of its own.
    pub async fn admit<R, T>(mut self, receive: impl FnMut(Box<dyn Stream>) -> R)
    where
        R: Future<Output = Result<T>>,
        T: Future<Output = Result<()>> + Send + 'static,
    {
        admit(move |cx| self.poll_accept(cx), receive).await;
    }
}

/// Receives whom `accept` lets in, for ever. What goes wrong with one of them, or with all for a
/// time (no file descriptor is left), is followed by a pause.
async fn admit<S, R, T>(
    mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<S>>,
    mut receive: impl FnMut(S) -> R,
) where
    R: Future<Output = Result<T>>,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let mut is_said = false;
    loop {
        let received = async {
            let client = poll_fn(&mut accept).await?;
            descriptors_are_left()?;
            timeout(RECEPTION, receive(client)).await?
        };
        match received.await {
            Ok(talk) => {
                is_said = false;
                tokio::spawn(async {
                    if let Err(error) = talk.await {
                        eprintln!("[front] a client is lost: {error:#}");
                    }
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut is_said, true) {
                    eprintln!("[front] a client could not be let in: {error:#}");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether there are file descriptors for what is about to be made, here and by the library, if a
/// client comes to each of the five channels at once.
fn descriptors_are_left() -> io::Result<()> {
    let pipes: io::Result<Vec<_>> = (0..8).map(|_| io::pipe()).collect();
    pipes.map(drop)
}

/// Has `socket` listen at `path`, in a folder of the kernel's own.
///
/// # Errors
/// When that is not possible.
pub async fn bind(socket: &mut impl Socket, path: &Path) -> Result<()> {
    let _ = std::fs::remove_file(path); // of a kernel that was killed
    socket.bind(&format!("ipc://{}", path.display())).await?;
    Ok(())
}

/// Connects to the library's socket at `path`, and waits until that has accepted.
///
/// # Errors
/// When it does not listen.
pub async fn connect(path: &Path) -> Result<UnixStream> {
    let inside = UnixStream::connect(path).await?;
    inside.readable().await?; // it begins with a greeting
    Ok(inside)
}

/// A socket for one client alone, and the connection to it. `path` is free, in a folder that is
/// closed to others.
///
/// # Errors
/// When there is no room for it.
pub async fn socket_for_one<S: Socket>(path: &Path) -> Result<(S, UnixStream)> {
    let mut socket = S::new();
    bind(&mut socket, path).await?;
    let inside = connect(path).await?;
    std::fs::remove_file(path)?;
    Ok((socket, inside))
}

/// Passes on what a client says and what is said to it, until either side ends.
///
/// # Errors
/// When the client announces a message of more than `largest` bytes.
pub async fn relay(client: impl Stream, inside: UnixStream, largest: usize) -> Result<()> {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_inside, mut to_inside) = inside.into_split();
    let inward = async {
        let mut frames = Frames::new(largest);
        let mut chunk = vec![0; CHUNK];
        loop {
            let bytes = match from_client.read(&mut chunk).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(n) => &chunk[..n],
            };
            if !frames.admit(bytes) {
                bail!("it announces a message of more than {largest} bytes");
            }
            if to_inside.write_all(bytes).await.is_err() {
                return Ok(());
            }
        }
    };
    tokio::select! {
        ended = inward => ended,
        _ = copy(&mut from_inside, &mut to_client) => Ok(()),
    }
}

/// Follows what comes in on a connection from frame to frame (ZMTP 3.0: a greeting, then for each
/// frame a byte of flags, the length and the body).
struct Frames {
    state: State,
    largest: usize,
    /// What the message takes so far.
    size: usize,
}

enum State {
    /// The greeting or a frame's body, of which so much is to come.
    Body {
        left: usize,
        last: bool,
    },
    Flags,
    /// Of the length so many bytes are to come; the first make this number.
    Length {
        left: u32,
        number: u64,
        last: bool,
    },
}

impl Frames {
    /// The greeting, in bytes.
    const GREETING: usize = 64;
    /// What the library keeps for a frame besides its content.
    const FRAME: usize = 64;
    /// In a frame's flags: more frames of the message follow; its length takes eight bytes.
    const MORE: u8 = 1;
    const LONG: u8 = 2;

    fn new(largest: usize) -> Frames {
        Frames {
            state: State::Body {
                left: Frames::GREETING,
                last: true,
            },
            largest,
            size: 0,
        }
    }

    /// Whether the library may see this, which came after all that has been admitted.
    fn admit(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            self.state = match self.state {
                State::Body { left: 0, last } => {
                    if last {
                        self.size = 0;
                    }
                    State::Flags
                }
                _ if bytes.is_empty() => return true,
                State::Body { left, last } => {
                    let now = left.min(bytes.len());
                    bytes = &bytes[now..];
                    let left = left - now;
                    State::Body { left, last }
                }
                State::Flags => {
                    let flags = bytes[0];
                    bytes = &bytes[1..];
                    State::Length {
                        left: if flags & Frames::LONG != 0 { 8 } else { 1 },
                        number: 0,
                        last: flags & Frames::MORE == 0,
                    }
                }
                State::Length { left, number, last } => {
                    let number = number << 8 | u64::from(bytes[0]);
                    bytes = &bytes[1..];
                    match left - 1 {
                        0 => {
                            let left = usize::try_from(number).unwrap_or(usize::MAX);
                            let size = self.size.saturating_add(left);
                            self.size = size.saturating_add(Frames::FRAME);
                            if self.size > self.largest {
                                return false;
                            }
                            State::Body { left, last }
                        }
                        left => State::Length { left, number, last },
                    }
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// What a client sends: the greeting, and then these frames with their flags.
    fn connection(frames: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0xff; 64];
        for (flags, body) in frames {
            bytes.push(*flags);
            match flags & Frames::LONG {
                0 => bytes.push(body.len() as u8),
                _ => bytes.extend((body.len() as u64).to_be_bytes()),
            }
            bytes.extend(*body);
        }
        bytes
    }

    /// How much of it may be seen that comes in chunks of so many bytes.
    fn admitted(bytes: &[u8], chunk: usize) -> usize {
        let mut frames = Frames::new(1000);
        let mut seen = 0;
        for chunk in bytes.chunks(chunk) {
            if !frames.admit(chunk) {
                return seen;
            }
            seen += chunk.len();
        }
        seen
    }

    #[test]
    fn frames_and_messages_of_any_number_may_be_seen_in_chunks_of_any_size() {
        let body = [7; 300];
        let message: [(u8, &[u8]); 4] = [(4, b"READY"), (1, b""), (3, &body), (2, &body)];
        let bytes = connection(&message.repeat(20));
        for chunk in [1, 2, 3, 64, 65, 1000, bytes.len()] {
            assert_eq!(admitted(&bytes, chunk), bytes.len(), "chunks of {chunk}");
        }
    }

    #[test]
    fn nothing_may_be_seen_of_a_frame_that_is_announced_too_large() {
        for length in [937, 1 << 30, 1 << 62, u64::MAX] {
            for flags in [2, 3, 6] {
                let mut bytes = connection(&[(0, b"small")]);
                bytes.push(flags);
                bytes.extend(length.to_be_bytes());
                // Neither the last byte of its length.
                assert_eq!(admitted(&bytes, 1), bytes.len() - 1, "{length}");
            }
        }
        let largest = [0; 936];
        let bytes = connection(&[(2, &largest), (2, &largest)]);
        assert_eq!(admitted(&bytes, 1), bytes.len());
    }

    #[test]
    fn a_message_without_end_is_too_large_even_if_nothing_is_in_it() {
        let bytes = connection(&[(1, &[] as &[u8])].repeat(1000));
        assert!(admitted(&bytes, 1) < 64 + 2 * 16);
    }

    #[tokio::test]
    async fn clients_are_let_in_after_an_error_and_there_is_a_pause_after_each() {
        let calls = AtomicU32::new(0);
        let mut received = Vec::new();
        let accept = |_: &mut Context<'_>| match calls.fetch_add(1, Ordering::Relaxed) {
            call @ (0 | 2 | 4) => Poll::Ready(Ok(call)),
            _ => Poll::Ready(Err(io::Error::from_raw_os_error(
                rustix::io::Errno::MFILE.raw_os_error(),
            ))),
        };
        let receive = |client| {
            received.push(client);
            async move {
                anyhow::ensure!(client != 2, "it has gone");
                Ok(async { Ok(()) })
            }
        };
        let _ = timeout(PAUSE * 5, admit(accept, receive))
            .await
            .unwrap_err();
        assert_eq!(received, [0, 2, 4]);
        let calls = calls.load(Ordering::Relaxed);
        assert!(calls <= 9, "{calls} in the time of five pauses");
    }
}
