use futures::stream::{self, StreamExt};
use serde_json::json;
use std::io::Read;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeromq::{ReqSocket, SocketSend};

use super::*;
use crate::front::inner_connection;

/// For anything that ought to take milliseconds.
const LIMIT: Duration = Duration::from_secs(20);
/// How many bad peers there are at the same time.
const AT_ONCE: usize = 20;

/// A connection on ports of loopback that were free a moment ago.
fn on_ports() -> ConnectionInfo {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [(); 5]
        .map(|()| free()) // all at once, or they would be the same
        .map(|listener| listener.local_addr().unwrap().port());
    ConnectionInfo {
        ip: "127.0.0.1".to_owned(),
        transport: Transport::TCP,
        shell_port: ports[0],
        iopub_port: ports[1],
        stdin_port: ports[2],
        control_port: ports[3],
        hb_port: ports[4],
        ..inner_connection(Path::new(""))
    }
}

/// The five channels of a kernel that only listens.
struct Open {
    outer: Outer,
    connection: ConnectionInfo,
    events: Receiver<Heard>,
    _folder: tempfile::TempDir,
}

impl Open {
    async fn new() -> Open {
        loop {
            match Open::at(on_ports()).await {
                // Somebody else was given one of them meanwhile.
                Err(error) if format!("{error:#}").contains("Address already in use") => {}
                opened => return opened.unwrap(),
            }
        }
    }

    async fn at(connection: ConnectionInfo) -> Result<Open> {
        let folder = tempfile::tempdir()?;
        let (sender, events) = channel(100);
        let outer = Outer::open(&connection, "session", folder.path(), &sender).await?;
        Ok(Open {
            outer,
            connection,
            events,
            _folder: folder,
        })
    }

    /// The channels' ports, the type of socket that connects to each, and a message in frames that
    /// does no harm, whoever sends it.
    fn channels(&self) -> [(u16, &'static str, Vec<u8>); 5] {
        let unsigned = frames(&[b"<IDS|MSG>", b"00", b"{}", b"{}", b"{}", b"{}"]);
        let ports = &self.connection;
        [
            (ports.shell_port, "DEALER", unsigned.clone()),
            (ports.control_port, "DEALER", unsigned.clone()),
            (ports.stdin_port, "DEALER", unsigned),
            (ports.iopub_port, "SUB", frames(&[b"\x01topic"])),
            (ports.hb_port, "REQ", frames(&[b"", b"ping"])),
        ]
    }

    /// A client like any other gets its answers on all channels.
    async fn works(&mut self) {
        timeout(LIMIT, async {
            self.heartbeat().await;
            self.iopub().await;
            for channel in ["shell", "control", "stdin"] {
                self.answers(channel).await;
            }
        })
        .await
        .expect("a client like any other gets its answers");
    }

    fn address(&self, port: u16) -> String {
        address(&self.connection, port)
    }

    async fn heartbeat(&self) {
        let mut client = ReqSocket::new();
        let address = self.address(self.connection.hb_port);
        client.connect(&address).await.unwrap();
        for beat in ["one", "two"] {
            client.send(beat.into()).await.unwrap();
            assert_eq!(client.recv().await.unwrap().into_vec(), [beat]);
        }
    }

    async fn iopub(&self) {
        let mut client = SubSocket::new();
        let address = self.address(self.connection.iopub_port);
        client.connect(&address).await.unwrap();
        client.subscribe("").await.unwrap();
        let key = Key::new(&self.connection.key);
        let mut hear = async || {
            wire::parse(client.recv().await.unwrap(), &key)
                .unwrap()
                .kind
        };
        assert_eq!(hear().await, "iopub_welcome");
        self.outer.iopub.publish(self.message("status"));
        assert_eq!(hear().await, "status");
    }

    async fn answers(&mut self, channel: &str) {
        let (route, port) = match channel {
            "shell" => (&self.outer.shell, self.connection.shell_port),
            "control" => (&self.outer.control, self.connection.control_port),
            _ => (&self.outer.stdin, self.connection.stdin_port),
        };
        let key = Key::new(&self.connection.key);
        let mut client = DealerSocket::new();
        client.connect(&self.address(port)).await.unwrap();
        let request = wire::frames(self.message("request"), &key);
        client.send(request).await.unwrap();
        let request = match (channel, self.events.recv().await.unwrap()) {
            ("shell", Heard::Event(Event::Shell(request)))
            | ("control", Heard::Event(Event::Control(request)))
            | ("stdin", Heard::Event(Event::Stdin(request))) => request,
            _ => panic!("what came on {channel} is said to be from elsewhere"),
        };
        assert_eq!(request.kind, "request");
        route.send(self.message("reply").addressed_to(request.identities));
        let reply = wire::parse(client.recv().await.unwrap(), &key).unwrap();
        assert_eq!(reply.kind, "reply");
    }

    fn message(&self, kind: &str) -> Message {
        wire::request("1", kind, &json!({}), "session")
    }
}

/// A message of these frames, as it goes over the wire.
fn frames(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let more = u8::from(index + 1 < parts.len());
        match u8::try_from(part.len()) {
            Ok(length) => bytes.extend([more, length]),
            Err(_) => bytes.extend(announced(more | 2, part.len() as u64)),
        }
        bytes.extend(*part);
    }
    bytes
}

fn greeting(version: u8, mechanism: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    (bytes[0], bytes[9], bytes[10]) = (0xff, 0x7f, version);
    bytes[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    bytes
}

/// A command with these properties.
fn command(name: &str, properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = vec![name.len() as u8];
    body.extend(name.as_bytes());
    for (name, value) in properties {
        body.push(name.len() as u8);
        body.extend(name.as_bytes());
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(*value);
    }
    let mut bytes = vec![6];
    bytes.extend((body.len() as u64).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn ready(socket_type: &str) -> Vec<u8> {
    command("READY", &[("Socket-Type", socket_type.as_bytes())])
}

/// Everything up to the first message.
fn handshake(socket_type: &str) -> Vec<u8> {
    [greeting(3, "NULL"), ready(socket_type)].concat()
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Reset,
    /// Reset when it has been heard what there is to say to what was sent.
    ResetLate,
}

/// Connects, sends `bytes` and goes.
async fn visit(port: u16, bytes: &[u8], end: End) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    match end {
        End::Closed => {
            stream.shutdown().await.unwrap();
            // Nor is the other half kept open. (What was not read when it was closed resets it.)
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        End::ResetLate if bytes.len() >= 64 => {
            // The greeting, and the beginning of READY.
            stream.read_exact(&mut [0; 70]).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
        End::Reset | End::ResetLate => stream.set_zero_linger().unwrap(),
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_byte_harms_no_channel() {
    let mut open = Open::new().await;
    let mut visits = Vec::new();
    for (port, socket_type, message) in open.channels() {
        let bytes = [handshake(socket_type), message.repeat(2)].concat();
        for cut in 0..=bytes.len() {
            for end in [End::Closed, End::Reset, End::ResetLate] {
                visits.push((port, bytes[..cut].to_vec(), end));
            }
        }
    }
    // To all channels in turn.
    visits.sort_by_key(|(_, bytes, _)| bytes.len());
    let number = visits.len();
    assert!(number > 1500, "{number}");
    let visits = stream::iter(visits);
    let visits = visits.for_each_concurrent(AT_ONCE, |(port, bytes, end)| async move {
        let visit = timeout(LIMIT, visit(port, &bytes, end)).await;
        assert!(visit.is_ok(), "{port} after {} bytes: {end:?}", bytes.len());
    });
    visits.await;
    open.works().await;
}

/// The beginning of a frame with these flags and so many bytes.
fn announced(flags: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![flags];
    bytes.extend(length.to_be_bytes());
    bytes
}

/// What nobody should send.
fn nonsense(socket_type: &str) -> Vec<Vec<u8>> {
    let hello = greeting(3, "NULL");
    let typed = ("Socket-Type", socket_type.as_bytes());
    // From the first byte on.
    let mut all = vec![
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html, and so on to 64\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xff; 64],
        [greeting(2, "NULL"), ready(socket_type)].concat(),
        [greeting(3, "CURVE"), ready(socket_type)].concat(),
        [greeting(3, "MAGIC"), ready(socket_type)].concat(),
        [hello.clone(), hello.clone()].concat(),
        announced(2, 1 << 62).repeat(20),
    ];
    // Instead of READY.
    let mut instead = vec![
        ready("PAIR"),
        ready("NONE"),
        command("READY", &[]),
        command("READY", &[typed, ("Identity", &[1; 300])]),
        command("ERROR", &[]),
        command("", &[]),
        frames(&[b"hello"]),
        vec![4, 0],
        vec![4, 5, 200, b'R', b'E', b'A', b'D'],
    ];
    // Afterwards.
    let after = [
        vec![0xa5; 300],
        frames(&[b""]),
        frames(&[b"one"]),
        frames(&[b"", b"", b""]),
        frames(&[b"<IDS|MSG>"]),
        frames(&[b"<IDS|MSG>", b"", b"{}"]),
        frames(&[b"<IDS|MSG>", b"00", b"{}", b"{}", b"{}", b"{}"]),
        frames(&[&[0xff; 200], b"<IDS|MSG>", b"zz", b"\xff", b"", b"", b""]),
        command("PING", &[]),
        vec![4, 0],
        [1, 0].repeat(50_000),
    ];
    for length in [100 << 20, 1 << 40, 1 << 62, u64::MAX / 2, u64::MAX] {
        for flags in [2, 3, 6] {
            instead.push(announced(flags, length));
        }
    }
    all.extend(
        instead
            .into_iter()
            .map(|rest| [hello.clone(), rest].concat()),
    );
    let late = after
        .into_iter()
        .chain([100 << 20, 1 << 40, 1 << 62, u64::MAX].map(|length| announced(3, length)));
    all.extend(late.map(|rest| [handshake(socket_type), rest].concat()));
    all
}

#[tokio::test]
async fn a_peer_that_sends_nonsense_harms_only_itself() {
    let mut open = Open::new().await;
    let mut peers = Vec::new();
    for (port, socket_type, _) in open.channels() {
        for bytes in nonsense(socket_type) {
            let mut peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // It may be thrown out in the middle of it.
            let _ = peer.write_all(&bytes).await;
            peers.push(peer);
        }
    }
    // While they stay, and when they have gone.
    open.works().await;
    for peer in peers {
        peer.set_zero_linger().unwrap();
    }
    open.works().await;
}

#[tokio::test]
async fn who_announces_too_much_is_thrown_out_before_any_of_it_has_come() {
    let open = Open::new().await;
    for (port, socket_type, _) in open.channels() {
        let mut peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let bytes = [handshake(socket_type), announced(2, 1 << 30)].concat();
        peer.write_all(&bytes).await.unwrap();
        let end = timeout(LIMIT, peer.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "the {socket_type} is still let in");
    }
}

#[tokio::test]
async fn the_last_answer_has_left_when_a_channel_is_closed() {
    let mut open = Open::new().await;
    let mut peer = TcpStream::connect(("127.0.0.1", open.connection.control_port))
        .await
        .unwrap();
    let key = Key::new(&open.connection.key);
    let request = wire::frames(open.message("shutdown_request"), &key).into_vec();
    let request: Vec<&[u8]> = request.iter().map(|frame| &frame[..]).collect();
    let bytes = [handshake("DEALER"), frames(&request)].concat();
    peer.write_all(&bytes).await.unwrap();
    let Some(Heard::Event(Event::Control(request))) =
        timeout(LIMIT, open.events.recv()).await.unwrap()
    else {
        panic!("not what was sent");
    };
    let content = json!({ "text": "x".repeat(100_000) });
    let reply = wire::request("2", "last", &content, "session");
    open.outer
        .control
        .send(reply.addressed_to(request.identities));
    open.outer.finish().await;
    // Nothing but the system moves from here on.
    let mut heard = Vec::new();
    let mut peer = peer.into_std().unwrap();
    let end = peer.read_to_end(&mut heard).map_err(|error| error.kind());
    assert_ne!(end, Err(io::ErrorKind::WouldBlock), "{} bytes", heard.len());
    assert!(
        heard.ends_with(b"}") && heard.len() > 100_000,
        "{}",
        heard.len()
    );
}

#[tokio::test]
async fn sockets_in_a_folder_are_taken_over_from_a_kernel_that_has_ended_and_from_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let connection = inner_connection(folder.path());
    let ports = &connection;
    for port in [ports.shell_port, ports.iopub_port, ports.hb_port] {
        let path = format!("{}-{port}", connection.ip);
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }
    let mut open = Open::at(connection.clone()).await.unwrap();
    open.works().await;
    let error = Open::at(connection).await.err().unwrap().to_string();
    assert!(error.contains("上监听"), "{error}");
    open.works().await;
}
