//! The front: what Jupyter talks to. It relays to evcxr, which is this program once more, and does
//! what evcxr falls short of: output as it is written, errors that are errors, interrupts that
//! cancel, and the rest of the protocol.
//!
//! ```text
//! JupyterLab ⇄ ZeroMQ ⇄ front ⇄ ZeroMQ ⇄ evcxr ⇄ pipes ⇄ cells
//!                         ⇑                           ⇓
//!                         └── their output, a socket ─┘
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `wire.rs` | messages and their signatures |
//! | `sockets.rs` | the channels to both sides |
//! | `sockets/door.rs` | where clients come in, and what they may not say |
//! | `iopub.rs` | a publisher that no slow client holds up |
//! | `link.rs` | the connection to the process that runs the cells |
//! | `scanner.rs` | evcxr's markers in what that process writes |
//! | `stream.rs` | text in batches |
//! | `notice.rs` | what takes long, told in the cell that waits |
//! | `output.rs` | what cells write and show, to the clients |
//! | `ahead.rs` | what is run before anybody asks |
//! | `cells.rs` | a cell from its request to its reply |
//! | `source_map.rs` | which cell and line generated code came from |
//! | `failure.rs` | what a student is told about a cell that failed |
//! | `interrupt.rs` | interrupts |
//! | `processes.rs` | which processes compile, which runs the cells |
//! | `answers.rs` | requests that need no evcxr |
//! | `complete.rs`, `history.rs` | two of those |
//!
//! One task owns the `Front` and never waits for a client or a cell: everything that happens
//! reaches it as an `Event`, as readable output, or as a moment that has come.

mod ahead;
mod answers;
mod cells;
mod complete;
mod failure;
mod history;
mod interrupt;
mod iopub;
mod link;
mod notice;
mod output;
pub(crate) mod processes;
mod scanner;
mod sockets;
mod source_map;
mod stream;
mod wire;

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use ::link::variable;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use jupyter_protocol::{ConnectionInfo, Transport};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::link::{Answer, Guest, Link};
use ahead::Ahead;
pub use ahead::may_be_run_ahead;
use cells::Current;
use history::History;
use notice::Notice;
use output::Output;
use sockets::{Inner, Outer};
use source_map::SourceMap;
pub use source_map::{GENERATED, kept};
use wire::Message;

use crate::priority;
use crate::spare::{self, Offer, Order};

/// Events that may wait: more make who sends them wait.
const EVENTS: usize = 256;
/// How often evcxr is asked whether it hears us, until it answers.
const KNOCK: Duration = Duration::from_millis(200);

/// What reaches the front.
enum Event {
    /// From Jupyter, one for each channel.
    Shell(Message),
    Control(Message),
    Stdin(Message),
    /// From evcxr, likewise.
    InnerShell(Message),
    InnerIopub(Message),
    /// The process that runs the cells has connected; each connection has its number.
    Linked(u64, Guest),
    /// Our cargo has something to tell the student.
    Notice(u64, String),
    /// It has answered, or is gone.
    Answered(u64, Answer),
}

/// What the front is made for.
pub struct Settings<'a> {
    /// Whom it is for.
    pub clients: Clients,
    /// The notebook's first cell, if it is to be run before anybody asks for it.
    pub ahead: Option<String>,
    /// Whether everything else on the machine goes first until somebody uses the kernel.
    pub steps_back: bool,
    /// evcxr, without its connection file.
    pub evcxr: std::process::Command,
    /// A folder of the owner's alone for the front's own files.
    pub home: &'a Path,
    /// The version of Rust, as `rustc --version` prints it.
    pub rust: String,
}

/// Whom a kernel is for.
pub enum Clients {
    /// Where Jupyter connects.
    Known(ConnectionInfo),
    /// Nobody yet: it is a spare.
    Later(Offer),
}

/// Runs a kernel until it is told to end. Returns its exit status.
///
/// # Errors
/// When a channel cannot be opened, or evcxr does not start or ends by itself.
pub async fn run(settings: Settings<'_>) -> Result<u8> {
    let (sender, mut events) = mpsc::channel(EVENTS);
    let session = uuid::Uuid::new_v4().to_string();
    let mut orders = None;
    let outer = match settings.clients {
        Clients::Known(connection) => {
            Outer::open(&connection, &session, settings.home, &sender).await?
        }
        Clients::Later(offer) => {
            orders = Some(offer.open()?);
            Outer::nobody()
        }
    };
    let mut is_spare = orders.is_some();
    let mut starting = std::pin::pin!(start_evcxr(settings.evcxr, settings.home, &sender));
    let mut evcxr: Option<Evcxr> = None;
    let mut front = Front {
        session,
        rust: settings.rust,
        map: SourceMap::default(),
        outer,
        steps_back: settings.steps_back && priority::low(),
        ahead: settings.ahead.map(Ahead::new),
        warm: None,
        inner: None,
        evcxr: 0,
        is_heard: false,
        queue: VecDeque::new(),
        current: None,
        latest: Bytes::new(),
        count: 0,
        history: History::default(),
        link: None,
        output: Output::default(),
        notice: None,
        tidy: None,
        unused: None,
        end: None,
    };
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hang_ups = signal(SignalKind::hangup())?;
    let mut knock = tokio::time::interval(KNOCK);
    let end = loop {
        front.start_next().await;
        if let Some(end) = front.end.take() {
            break end;
        }
        match front.warm.take().filter(|_| is_spare) {
            Some(Err(cause)) => bail!("笔记本的第一格不能提前执行：{cause}"),
            Some(Ok(())) => spare::say("warm"),
            None => {}
        }
        let moment = front.next_moment();
        tokio::select! {
            Some(event) = events.recv() => front.handle(event).await,
            stream = front.readable() => front.read(stream),
            () = sleep_until(moment.unwrap_or_else(Instant::now)), if moment.is_some() => {
                front.moment_has_come();
            }
            started = &mut starting, if evcxr.is_none() => {
                let (process, inner) = started?;
                front.evcxr = process.id();
                front.inner = Some(inner);
                evcxr = Some(process);
            }
            _ = knock.tick(), if front.inner.is_some() && !front.is_heard => front.knock().await,
            order = next_order(&mut orders) => match order {
                Some(Order::Serve(connection)) => {
                    is_spare = false;
                    front.step_forward();
                    front.outer =
                        Outer::open(&connection, &front.session, settings.home, &sender).await?;
                }
                Some(Order::Interrupt) => front.interrupt(),
                Some(Order::End) | None => break None,
            },
            status = ended(&mut evcxr) => {
                front.say_last_words();
                // In the log of whoever has started us; what to do about it they know best.
                eprintln!("evcxr 自己结束了（{}）：请重启内核", status?);
                return Ok(1);
            }
            _ = interrupts.recv() => front.interrupt(),
            _ = terminations.recv() => break None,
            _ = hang_ups.recv() => break None,
        }
    };
    drop(evcxr); // ends it
    if let Some(reply) = end {
        front.outer.control.send(reply);
    }
    front.outer.finish().await;
    Ok(0)
}

/// A running evcxr. Ended, with everything that it has started, when dropped.
struct Evcxr {
    process: Child,
    /// Its process group, which it is the first of: kept, since a process that has been waited for
    /// has no number any more.
    group: u32,
}

impl Evcxr {
    fn id(&self) -> u32 {
        self.group
    }
}

impl Drop for Evcxr {
    fn drop(&mut self) {
        base::processes::signal_group(self.group, rustix::process::Signal::KILL);
    }
}

async fn next_order(orders: &mut Option<mpsc::Receiver<Order>>) -> Option<Order> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}

async fn ended(evcxr: &mut Option<Evcxr>) -> std::io::Result<std::process::ExitStatus> {
    match evcxr {
        Some(evcxr) => evcxr.process.wait().await,
        None => std::future::pending().await,
    }
}

/// Starts evcxr and connects to it.
async fn start_evcxr(
    mut command: std::process::Command,
    home: &Path,
    events: &mpsc::Sender<Event>,
) -> Result<(Evcxr, Inner)> {
    let file = home.join("inner.json");
    let socket = home.join("link");
    command.arg("--control_file").arg(&file);
    command.env(variable::FRONT, &socket);
    // A group of its own: it is interrupted through us only, and ended as a whole.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let connection = inner_connection(home);
    std::fs::write(&file, serde_json::to_vec(&connection)?)?;
    let listener = self::link::bind(&socket)?;
    let process = Command::from(command)
        .spawn()
        .context("启动不了 evcxr 内核")?;
    let group = process
        .id()
        .context("the process has not been waited for")?;
    let mut evcxr = Evcxr { process, group };
    self::link::listen(listener, group, events.clone());
    tokio::select! {
        inner = Inner::connect(&connection, events) => Ok((evcxr, inner?)),
        ended = evcxr.process.wait() => bail!("evcxr 启动后就结束了（{}）", ended?),
    }
}

/// Where evcxr listens to us: not on ports, since any user of the machine could listen to what is
/// published there, but in a folder of the user's alone. So numbers are only names.
pub(crate) fn inner_connection(home: &Path) -> ConnectionInfo {
    ConnectionInfo {
        ip: home.join("e").display().to_string(),
        transport: Transport::IPC,
        shell_port: 1,
        iopub_port: 2,
        stdin_port: 3,
        control_port: 4,
        hb_port: 5,
        key: uuid::Uuid::new_v4().to_string(),
        signature_scheme: "hmac-sha256".to_owned(),
        kernel_name: Some("rust".to_owned()),
    }
}

/// Everything that the front knows.
struct Front {
    session: String,
    rust: String,
    /// Where the code comes from that runs.
    map: SourceMap,
    outer: Outer,
    /// What is run before anybody asks; none when that has been settled.
    ahead: Option<Ahead>,
    /// Set when all of it has been run, or why not.
    warm: Option<Result<(), String>>,
    /// Whether everything else on the machine goes first.
    steps_back: bool,
    /// None until evcxr listens.
    inner: Option<Inner>,
    /// The number of evcxr's process and of its group; 0 until it listens.
    evcxr: u32,
    /// Whether evcxr's iopub has reached us: what it publishes before is lost.
    is_heard: bool,
    /// Requests that wait for their turn, in their order.
    queue: VecDeque<Message>,
    /// The one whose turn it is.
    current: Option<Current>,
    /// The header of the latest request to execute: whom output belongs to.
    latest: Bytes,
    /// Executed cells, as the student counts.
    count: u64,
    history: History,
    /// The process that runs the cells, with its number.
    link: Option<(u64, Link)>,
    output: Output,
    /// What a cell shows of something that takes long.
    notice: Option<Notice>,
    /// When what has come to rest since the last cell is tidied up.
    tidy: Option<Instant>,
    /// When a kernel in which nothing has been executed yet rehearses.
    unused: Option<Instant>,
    /// Set when the kernel is to end; with the reply to who wanted it.
    end: Option<Option<Message>>,
}

impl Front {
    async fn handle(&mut self, event: Event) {
        match event {
            Event::Shell(request) => self.queue.push_back(request),
            Event::Control(request) => self.control(request).await,
            Event::Stdin(reply) => self.pass_input(&reply),
            Event::InnerShell(reply) => self.take_reply(reply),
            Event::InnerIopub(message) => self.take_published(message),
            Event::Linked(number, guest) => self.take_guest(number, guest),
            Event::Notice(number, line) => self.take_notice(number, &line),
            Event::Answered(number, answer) => self.take_answer(number, answer),
        }
    }

    /// Asks evcxr something, just to hear it publish.
    async fn knock(&mut self) {
        let request = Message::new(
            "kernel_info_request",
            &Bytes::new(),
            &self.session,
            &Value::Null,
        );
        if let Some(inner) = &mut self.inner {
            inner.request(request).await;
        }
    }

    /// Requests on the control channel are answered at once, whatever is running.
    async fn control(&mut self, request: Message) {
        let reply = |content: &Value| self.reply_to(&request, content);
        match &*request.kind {
            "shutdown_request" => {
                let content = request.content();
                let content =
                    serde_json::json!({ "status": "ok", "restart": content["restart"] == true });
                self.end = Some(Some(reply(&content)));
            }
            "interrupt_request" => {
                let reply = reply(&serde_json::json!({ "status": "ok" }));
                self.interrupt();
                self.outer.control.send(reply);
            }
            "kernel_info_request" => {
                let reply = reply(&answers::kernel_info(&self.rust));
                self.outer.control.send(reply);
            }
            kind => eprintln!("[front] {kind} is not answered on the control channel"),
        }
    }

    fn reply_to(&self, request: &Message, content: &Value) -> Message {
        let kind = request.kind.replace("_request", "_reply");
        Message::new(&kind, &request.header, &self.session, content)
            .addressed_to(request.identities.clone())
    }

    /// Publishes a message that belongs to the request with the header `parent`.
    fn publish(&self, kind: &str, parent: &Bytes, content: &Value) {
        if self
            .ahead
            .as_ref()
            .is_some_and(|ahead| ahead.hides(kind, parent))
        {
            return;
        }
        self.outer
            .iopub
            .publish(Message::new(kind, parent, &self.session, content));
    }

    fn publish_state(&self, state: &str, parent: &Bytes) {
        self.publish(
            "status",
            parent,
            &serde_json::json!({ "execution_state": state }),
        );
    }
}
