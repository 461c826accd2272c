//! The channels to Jupyter's side and to evcxr: opened, and read and written by tasks of their
//! own, so that nobody who is slow holds up the front.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jupyter_protocol::{ConnectionInfo, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{Sender, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeromq::util::PeerIdentity;
use zeromq::{
    DealerSendHalf, DealerSocket, RepSocket, RouterSocket, Socket, SocketOptions, SocketRecv,
    SocketSend, SubSocket, ZmqMessage,
};

use super::Event;
use super::iopub::Publisher;
use super::wire::{Key, Message};

/// How long a client may take to read what is sent to it alone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The side towards Jupyter.
pub struct Outer {
    pub shell: Route,
    pub control: Route,
    pub stdin: Route,
    pub iopub: Publisher,
}

/// Answers on one channel.
pub struct Route {
    queue: UnboundedSender<ZmqMessage>,
    sending: JoinHandle<()>,
    key: Key,
}

impl Route {
    /// Sends to whom the message is addressed, in the order of the calls.
    pub fn send(&self, message: Message) {
        let _ = self.queue.send(message.frames(&self.key));
    }

    /// Waits a moment until everything has been sent.
    async fn finish(self) {
        drop(self.queue);
        let _ = timeout(Duration::from_secs(1), self.sending).await;
    }
}

impl Outer {
    /// The side towards nobody: what is sent is gone.
    pub fn nobody() -> Outer {
        let route = || Route {
            queue: unbounded_channel().0,
            sending: tokio::spawn(async {}),
            key: Key::new(""),
        };
        Outer {
            shell: route(),
            control: route(),
            stdin: route(),
            iopub: Publisher::nobody(),
        }
    }

    /// Opens all channels of a connection file.
    ///
    /// # Errors
    /// When one cannot be opened, since something else listens there.
    pub async fn open(
        connection: &ConnectionInfo,
        session: &str,
        folder: &Path,
        events: &Sender<Event>,
    ) -> Result<Outer> {
        if connection.signature_scheme != "hmac-sha256" && !connection.key.is_empty() {
            bail!(
                "连接文件要求的签名算法 {} 不受支持",
                connection.signature_scheme
            );
        }
        let key = Key::new(&connection.key);
        let route = async |port, event| {
            let mut socket = RouterSocket::new();
            let address = address(connection, port);
            let bound = socket.bind(&address).await;
            bound.with_context(|| format!("不能在 {address} 上监听"))?;
            anyhow::Ok(serve(socket, key.clone(), event, events.clone()))
        };
        let mut heartbeat = RepSocket::new();
        heartbeat
            .bind(&address(connection, connection.hb_port))
            .await?;
        tokio::spawn(async move {
            while let Ok(beat) = heartbeat.recv().await {
                let _ = heartbeat.send(beat).await;
            }
        });
        let listener = Listener::bind(connection, connection.iopub_port).await?;
        Ok(Outer {
            shell: route(connection.shell_port, Event::Shell).await?,
            control: route(connection.control_port, Event::Control).await?,
            stdin: route(connection.stdin_port, Event::Stdin).await?,
            iopub: Publisher::new(listener, key.clone(), session.to_owned(), folder.to_owned()),
        })
    }
}

impl Outer {
    /// Lets the last answers out.
    pub async fn finish(self) {
        self.shell.finish().await;
        self.control.finish().await;
    }
}

/// Reads and writes a ROUTER socket.
fn serve(
    socket: RouterSocket,
    key: Key,
    event: fn(Message) -> Event,
    events: Sender<Event>,
) -> Route {
    let (mut sender, receiver) = socket.split();
    forward(receiver, key.clone(), event, events);
    let (queue, mut messages) = unbounded_channel();
    let sending = tokio::spawn(async move {
        while let Some(frames) = messages.recv().await {
            // Whoever does not read must not keep the answers from the others.
            let _ = timeout(PATIENCE, sender.send(frames)).await;
        }
    });
    Route {
        queue,
        sending,
        key,
    }
}

/// Where clients of iopub come in.
pub enum Listener {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

/// A client's connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    async fn bind(connection: &ConnectionInfo, port: u16) -> Result<Listener> {
        let bound = match connection.transport {
            Transport::TCP => TcpListener::bind((&*connection.ip, port))
                .await
                .map(Listener::Tcp),
            Transport::IPC => {
                UnixListener::bind(format!("{}-{port}", connection.ip)).map(Listener::Ipc)
            }
        };
        bound.with_context(|| format!("不能在 {} 上监听", address(connection, port)))
    }

    pub async fn accept(&mut self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Listener::Ipc(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

fn address(connection: &ConnectionInfo, port: u16) -> String {
    match connection.transport {
        Transport::TCP => format!("tcp://{}:{port}", connection.ip),
        Transport::IPC => format!("ipc://{}-{port}", connection.ip),
    }
}

/// The side towards evcxr.
pub struct Inner {
    shell: DealerSendHalf,
    stdin: DealerSendHalf,
    key: Key,
}

impl Inner {
    /// Connects to an evcxr that has just been started; waits until it listens.
    ///
    /// # Errors
    /// When it never does.
    pub async fn connect(connection: &ConnectionInfo, events: &Sender<Event>) -> Result<Inner> {
        let key = Key::new(&connection.key);
        // As evcxr names them; jupyter's own have a `-` there.
        let address = |port| format!("ipc://{}:{port}", connection.ip);
        let mut iopub = SubSocket::new();
        iopub.connect(&address(connection.iopub_port)).await?;
        iopub.subscribe("").await?;
        forward(iopub, key.clone(), Event::InnerIopub, events.clone());
        // evcxr asks for input on one channel whom it has heard on the other.
        let identity = PeerIdentity::new();
        let dealer = async |port, event: fn(Message) -> Event| {
            let mut options = SocketOptions::default();
            options.peer_identity(identity.clone());
            let mut socket = DealerSocket::with_options(options);
            socket.connect(&address(port)).await?;
            let (sender, receiver) = socket.split();
            forward(receiver, key.clone(), event, events.clone());
            anyhow::Ok(sender)
        };
        Ok(Inner {
            shell: dealer(connection.shell_port, Event::InnerShell).await?,
            stdin: dealer(connection.stdin_port, Event::InnerStdin).await?,
            key,
        })
    }

    // Sending fails only when evcxr is gone. The end of its process, which is about to be noticed,
    // tells more about that than a broken pipe.

    /// Passes on a request; answers bear its number.
    pub async fn request(&mut self, message: Message) {
        let frames = message.addressed_to(Vec::new()).frames(&self.key);
        let _ = self.shell.send(frames).await;
    }

    /// Passes on what the student typed.
    pub async fn input(&mut self, message: Message) {
        let frames = message.addressed_to(Vec::new()).frames(&self.key);
        let _ = self.stdin.send(frames).await;
    }
}

/// Reads what comes in; whatever is not signed with our key is dropped.
fn forward(
    mut socket: impl SocketRecv + Send + 'static,
    key: Key,
    event: fn(Message) -> Event,
    events: Sender<Event>,
) {
    tokio::spawn(async move {
        while let Ok(frames) = socket.recv().await {
            match Message::parse(frames, &key) {
                Ok(message) => {
                    if events.send(event(message)).await.is_err() {
                        return;
                    }
                }
                Err(error) => eprintln!("[front] a message was dropped: {error:#}"),
            }
        }
    });
}
