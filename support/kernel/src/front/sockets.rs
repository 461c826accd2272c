//! The channels to Jupyter's side and to evcxr: opened, and read and written by tasks of their
//! own, so that nobody who is slow holds up the front.

pub mod door;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jupyter_protocol::{ConnectionInfo, Transport};
use kernel_core::{Event, Message};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zeromq::{
    DealerSendHalf, DealerSocket, RepSocket, RouterSocket, Socket, SocketRecv, SocketSend,
    SubSocket, ZmqMessage, ZmqResult,
};

use super::Heard;
use super::iopub::Publisher;
use super::wire::{self, Key};
use door::{Listener, bind, connect, relay, socket_for_one};

/// How long a client may take to read what is sent to it alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last answers may take to get out.
pub const FAREWELL: Duration = Duration::from_secs(1);
/// How long a channel rests when its socket fails.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a client's largest message. Jupyter's server takes no more than 10 MB from a browser.
const LARGEST: usize = 64 << 20;
/// Bytes of what is no message: heartbeats and subscriptions.
pub const SMALL: usize = 64 << 10;

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
    /// What brings in clients, and what reads from them.
    listening: [JoinHandle<()>; 2],
    /// Closed when there is no client left.
    clients: Receiver<()>,
    key: Key,
}

impl Route {
    /// Sends to whom the message is addressed, in the order of the calls.
    pub fn send(&self, message: Message) {
        let _ = self.queue.send(wire::frames(message, &self.key));
    }

    /// Waits a moment until everything has been sent.
    async fn finish(mut self) {
        drop(self.queue);
        let sent = async {
            let _ = self.sending.await;
            for listening in self.listening {
                listening.abort();
                let _ = listening.await;
            }
            // The socket is closed now, and what was in it is on its way to the clients.
            while self.clients.recv().await.is_some() {}
        };
        let _ = timeout(FAREWELL, sent).await;
    }
}

impl Outer {
    /// The side towards nobody: what is sent is gone.
    pub fn nobody() -> Outer {
        let route = || Route {
            queue: unbounded_channel().0,
            sending: tokio::spawn(async {}),
            listening: [tokio::spawn(async {}), tokio::spawn(async {})],
            clients: channel(1).1,
            key: Key::new(""),
        };
        Outer {
            shell: route(),
            control: route(),
            stdin: route(),
            iopub: Publisher::nobody(),
        }
    }

    /// Opens all channels of a connection file. `folder` is for sockets of its own, closed to
    /// others.
    ///
    /// # Errors
    /// When one cannot be opened, since something else listens there.
    pub async fn open(
        connection: &ConnectionInfo,
        session: &str,
        folder: &Path,
        events: &Sender<Heard>,
    ) -> Result<Outer> {
        if connection.signature_scheme != "hmac-sha256" && !connection.key.is_empty() {
            bail!(
                "连接文件要求的签名算法 {} 不受支持",
                connection.signature_scheme
            );
        }
        let key = Key::new(&connection.key);
        let route = async |port, name, event| {
            let listener = listen(connection, port).await?;
            let mut socket = RouterSocket::new();
            let inside = folder.join(name);
            bind(&mut socket, &inside).await?;
            anyhow::Ok(serve(socket, listener, inside, &key, event, events.clone()))
        };
        let heartbeat = listen(connection, connection.hb_port).await?;
        tokio::spawn(beat(heartbeat, folder.to_owned()));
        let iopub = listen(connection, connection.iopub_port).await?;
        Ok(Outer {
            shell: route(connection.shell_port, "shell", Event::Shell).await?,
            control: route(connection.control_port, "control", Event::Control).await?,
            stdin: route(connection.stdin_port, "stdin", Event::Stdin).await?,
            iopub: Publisher::new(iopub, key.clone(), session.to_owned(), folder.to_owned()),
        })
    }
}

impl Outer {
    /// Lets the last answers out.
    pub async fn finish(self) {
        self.iopub.finish().await;
        self.shell.finish().await;
        self.control.finish().await;
    }
}

/// Lets clients in to a ROUTER socket, which listens at `inside`, and reads and writes it.
fn serve(
    socket: RouterSocket,
    listener: Listener,
    inside: PathBuf,
    key: &Key,
    event: fn(Message) -> Event,
    events: Sender<Heard>,
) -> Route {
    let (client, clients) = channel(1);
    let admitting = tokio::spawn(listener.admit(move |stream| {
        let (inside, client) = (inside.clone(), client.clone());
        async move {
            let inside = connect(&inside).await?;
            Ok(async move {
                let _client = client;
                relay(stream, inside, LARGEST).await
            })
        }
    }));
    let (mut sender, mut receiver) = socket.split();
    let read_with = key.clone();
    let reading = tokio::spawn(async move {
        // It fails for no client's sake.
        while let Err(error) = forward(&mut receiver, &read_with, event, &events).await {
            eprintln!("[front] a channel fails: {error}");
            sleep(PAUSE).await;
        }
    });
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
        listening: [admitting, reading],
        clients,
        key: key.clone(),
    }
}

/// Sends heartbeats back, to each client from a socket of its own.
async fn beat(listener: Listener, folder: PathBuf) {
    let mut number = 0;
    let receive = |stream| {
        let path = folder.join(format!("b{number}"));
        number += 1;
        async move {
            let (socket, inside) = socket_for_one(&path).await?;
            Ok(async {
                tokio::select! {
                    ended = echo(socket) => ended,
                    ended = relay(stream, inside, SMALL) => ended,
                }
            })
        }
    };
    listener.admit(receive).await;
}

async fn echo(mut socket: RepSocket) -> Result<()> {
    loop {
        let beat = socket.recv().await?;
        socket.send(beat).await?;
    }
}

async fn listen(connection: &ConnectionInfo, port: u16) -> Result<Listener> {
    let bound = match connection.transport {
        Transport::TCP => TcpListener::bind((&*connection.ip, port))
            .await
            .map(Listener::Tcp),
        Transport::IPC => in_a_folder(&format!("{}-{port}", connection.ip))
            .await
            .map(Listener::Ipc),
    };
    bound.with_context(|| format!("不能在 {} 上监听", address(connection, port)))
}

/// Listens at `path`, also if a kernel that has ended has left its socket there.
async fn in_a_folder(path: &str) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && UnixStream::connect(path).await.is_err() =>
        {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
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
    key: Key,
}

impl Inner {
    /// Connects to an evcxr that has just been started; waits until it listens.
    ///
    /// # Errors
    /// When it never does.
    pub async fn connect(connection: &ConnectionInfo, events: &Sender<Heard>) -> Result<Inner> {
        let key = Key::new(&connection.key);
        // As evcxr names them; jupyter's own have a `-` there.
        let address = |port| format!("ipc://{}:{port}", connection.ip);
        let mut iopub = SubSocket::new();
        iopub.connect(&address(connection.iopub_port)).await?;
        iopub.subscribe("").await?;
        listen_to(iopub, &key, Event::Published, events);
        let mut shell = DealerSocket::new();
        shell.connect(&address(connection.shell_port)).await?;
        let (shell, receiver) = shell.split();
        listen_to(receiver, &key, Event::Replied, events);
        Ok(Inner { shell, key })
    }

    // Sending fails only when evcxr is gone. The end of its process, which is about to be noticed,
    // tells more about that than a broken pipe.

    /// Passes on a request; answers bear its number.
    pub async fn request(&mut self, message: Message) {
        let frames = wire::frames(message.addressed_to(Vec::new()), &self.key);
        let _ = self.shell.send(frames).await;
    }
}

/// Reads what evcxr says. It fails when evcxr is gone, which is about to be noticed.
fn listen_to(
    mut socket: impl SocketRecv + Send + 'static,
    key: &Key,
    event: fn(Message) -> Event,
    events: &Sender<Heard>,
) {
    let (key, events) = (key.clone(), events.clone());
    tokio::spawn(async move { forward(&mut socket, &key, event, &events).await });
}

/// Reads what comes in until nobody wants it; whatever is not signed with our key is dropped.
async fn forward(
    socket: &mut impl SocketRecv,
    key: &Key,
    event: fn(Message) -> Event,
    events: &Sender<Heard>,
) -> ZmqResult<()> {
    loop {
        match wire::parse(socket.recv().await?, key) {
            Ok(message) => {
                if events.send(Heard::Event(event(message))).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) => eprintln!("[front] a message was dropped: {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests;
