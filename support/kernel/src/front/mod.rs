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
//! What it decides is in the crate [`kernel_core`]. Here is what hears and speaks:
//!
//! | file | idea |
//! |---|---|
//! | `shell.rs` | does what the core decides |
//! | `wire.rs` | messages as signed frames |
//! | `sockets.rs` | the channels to both sides |
//! | `sockets/door.rs` | where clients come in, and what they may not say |
//! | `iopub.rs` | a publisher that no slow client holds up |
//! | `link.rs` | the connection to the process that runs the cells |
//! | `processes.rs` | which processes compile, which runs the cells |
//! | `log.rs` | a log of messages, for who looks for a fault |
//!
//! One task owns the core and never waits for a client or a cell: everything that happens reaches it
//! as something [`Heard`], as readable output, or as a moment that has come.

mod iopub;
mod link;
mod log;
pub(crate) mod processes;
mod shell;
mod sockets;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;

use ::link::variable;
use anyhow::{Context, Result, bail};
use jupyter_protocol::{ConnectionInfo, Transport};
use kernel_core::{Event, Front, Setup, SourceMap, Teacher};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::link::Guest;
use self::log::Log;
use self::shell::Shell;
use self::sockets::{Inner, Outer};

use crate::priority;
use crate::spare::{self, Offer, Order};

/// What is heard and may wait: more make who sends it wait.
const WAITING: usize = 256;

/// What reaches the front through its sockets.
#[expect(
    clippy::large_enum_variant,
    reason = "almost all of what is heard is the larger one"
)]
enum Heard {
    /// Something for the core.
    Event(Event),
    /// A process has connected; each connection has its number.
    Guest(u64, Guest),
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
    /// Where the course explains what, if there is one.
    pub sections: BTreeMap<String, String>,
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
/// When a channel cannot be opened, or evcxr does not start.
pub async fn run(settings: Settings<'_>) -> Result<u8> {
    let (sender, mut heard) = mpsc::channel(WAITING);
    let session = uuid::Uuid::new_v4().to_string();
    let secret = format!("{:016x}", uuid::Uuid::new_v4().as_u64_pair().0);
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
    let start = start_evcxr(settings.evcxr, settings.home, &secret, &sender);
    let mut starting = std::pin::pin!(start);
    let mut evcxr: Option<Evcxr> = None;
    let core = Front::new(Setup {
        secret: secret.clone(),
        session: session.clone(),
        rust: settings.rust,
        ahead: settings.ahead,
        steps_back: settings.steps_back && priority::low(),
        map: SourceMap::new(|path| std::fs::read(path).ok()),
        teacher: Teacher::new(settings.sections),
    });
    let mut shell = Shell::new(core, outer, session.clone(), Log::new());
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hang_ups = signal(SignalKind::hangup())?;
    let status = loop {
        if let Some(status) = shell.end {
            break status;
        }
        match shell.warm.take().filter(|_| is_spare) {
            Some(Err(cause)) => bail!("笔记本的第一格不能提前执行：{cause}"),
            Some(Ok(())) => spare::say("warm"),
            None => {}
        }
        let moment = shell.next_moment();
        tokio::select! {
            Some(heard) = heard.recv() => shell.hear(heard).await,
            stream = shell.readable() => shell.read(stream).await,
            () = sleep_until(moment.unwrap_or_else(Instant::now)), if moment.is_some() => {
                shell.on(Event::Moment).await;
            }
            started = &mut starting, if evcxr.is_none() => {
                let (process, inner) = started?;
                shell.connect(process.group, inner).await;
                evcxr = Some(process);
            }
            order = next_order(&mut orders) => match order {
                Some(Order::Serve(connection)) => {
                    is_spare = false;
                    shell.on(Event::Taken).await;
                    shell.outer =
                        Outer::open(&connection, &session, settings.home, &sender).await?;
                }
                Some(Order::Interrupt) => shell.on(Event::Interrupt).await,
                Some(Order::End) | None => break 0,
            },
            status = ended(&mut evcxr) => {
                let how = status?.to_string();
                shell.read_rest().await;
                shell.on(Event::Ended(how)).await;
            }
            _ = interrupts.recv() => shell.on(Event::Interrupt).await,
            _ = terminations.recv() => break 0,
            _ = hang_ups.recv() => break 0,
        }
    };
    drop(evcxr); // ends it
    shell.outer.finish().await;
    Ok(status)
}

/// A running evcxr. Ended, with everything that it has started, when dropped.
struct Evcxr {
    process: Child,
    /// Its process group, which it is the first of: kept, since a process that has been waited for
    /// has no number any more.
    group: u32,
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
    secret: &str,
    heard: &mpsc::Sender<Heard>,
) -> Result<(Evcxr, Inner)> {
    let file = home.join("inner.json");
    // Whoever may connect to us knows by this name how to write so that no text is taken for it.
    let socket = home.join(format!("link-{secret}"));
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
    self::link::listen(listener, group, heard.clone());
    tokio::select! {
        inner = Inner::connect(&connection, heard) => Ok((evcxr, inner?)),
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
