//! A Jupyter client: starts a kernel as Jupyter does and runs cells in it.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jupyter_protocol::{
    ConnectionInfo, ExecuteRequest, ExecutionState, InterruptRequest, JupyterMessage,
    JupyterMessageContent, KernelInfoRequest, ReplyStatus, ShutdownRequest, Transport,
};
use jupyter_zmq_client::{
    ClientControlConnection, ClientIoPubConnection, ClientShellConnection,
    create_client_control_connection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, peek_ports, peer_identity_for_session,
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use base::advice::spelled;
use link::marker::FAILURE;
use link::variable;
use rustix::process::Signal;

use crate::kernelspec::KernelSpec;
use crate::outputs::Outputs;

/// How long a kernel may take to answer for the first time.
const START: Duration = Duration::from_secs(120);

/// Silence after which nothing more of a cell is expected that a stock kernel says has ended.
const SILENCE: Duration = Duration::from_millis(100);
/// The longest time for which more of it is expected.
const LATEST: Duration = Duration::from_secs(10);

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Ok,
    /// It did not compile, panicked, or a `?` returned an error; with the message.
    Failed(String),
    /// It ran longer than it was given.
    TimedOut,
    /// The kernel ended before the cell did.
    KernelDied,
}

/// What running a cell gave.
#[derive(Clone, Debug)]
pub struct Execution {
    /// How it ended.
    pub outcome: Outcome,
    /// What it showed, in the form of a notebook file; text as it came.
    pub outputs: Vec<Value>,
    /// Its number, as the kernel counts.
    pub execution_count: Option<u64>,
    /// Its place among the cells that this client has run, from 0: what [`KernelClient::outputs`] wants.
    pub index: usize,
    /// The time from the request to the kernel's reply.
    pub took: Duration,
}

impl Execution {
    /// Everything of one stream, `stdout` or `stderr`.
    pub fn stream(&self, name: &str) -> String {
        self.outputs
            .iter()
            .filter(|output| output["name"] == name)
            .filter_map(|output| output["text"].as_str())
            .collect()
    }

    /// The value of the last expression as plain text.
    pub fn result(&self) -> Option<&str> {
        self.outputs
            .iter()
            .filter(|output| output["output_type"] == "execute_result")
            .find_map(|output| output["data"]["text/plain"].as_str())
    }
}

/// How often a start is tried: between choosing ports and listening on them somebody else may take
/// one.
const STARTS: usize = 3;
/// What a kernel says that has met with this.
const TAKEN: &str = "Address already in use";

/// A kernel that this client has started. Killed, with all its processes, when dropped.
pub struct KernelClient {
    process: Child,
    /// Its process group. Kept, since a process that has been waited for has no number any more,
    /// while its children may live.
    group: u32,
    /// Removed with the kernel.
    _connection_file: Arc<tempfile::NamedTempFile>,
    connection: ConnectionInfo,
    shell: ClientShellConnection,
    iopub: ClientIoPubConnection,
    control: ClientControlConnection,
    /// Whether output may come after a cell's end, as from stock evcxr.
    is_late: bool,
    /// What each cell has shown, with the number of its request.
    shown: Vec<(String, Outputs)>,
    log: Log,
}

/// The last lines that a kernel wrote to its own stderr: the reason, when something goes wrong.
struct Log {
    lines: Arc<Mutex<VecDeque<String>>>,
    reading: JoinHandle<()>,
}

impl Log {
    const LINES: usize = 40;
    /// How long a process that has ended may leave its words unread: its children, too, can hold the
    /// pipe open.
    const LAST_WORDS: Duration = Duration::from_secs(1);

    /// Keeps what `source` says, and tells it to `listener`.
    fn of(
        source: impl AsyncRead + Unpin + Send + 'static,
        mut listener: impl FnMut(&str) + Send + 'static,
    ) -> Log {
        let lines: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let kept = lines.clone();
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(source).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                listener(&line);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() == Log::LINES {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        });
        Log { lines, reading }
    }

    fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("\n    {line}")).collect()
    }

    /// What a process that has ended wrote: its end may be known before its last words are read.
    async fn last_words(&mut self) -> String {
        if !self.reading.is_finished() {
            let _ = timeout(Log::LAST_WORDS, &mut self.reading).await;
        }
        self.text()
    }
}

impl KernelClient {
    /// Starts a kernel for a notebook, in the notebook's folder.
    ///
    /// # Errors
    /// When it does not start, or does not answer within two minutes.
    pub async fn start(spec: &KernelSpec, notebook: &Path) -> Result<KernelClient> {
        KernelClient::start_with(spec.command_for(notebook)?, |_| ()).await
    }

    /// The same, for a notebook whose turn comes later: a kernel of ours runs its first cell already,
    /// behind whatever else there is to do.
    ///
    /// # Errors
    /// When it does not start, or does not answer within two minutes.
    pub async fn start_early(spec: &KernelSpec, notebook: &Path) -> Result<KernelClient> {
        let mut command = spec.command_for(notebook)?;
        command.env(variable::EARLY, "1");
        KernelClient::start_with(command, |_| ()).await
    }

    /// Starts the kernel that `command` runs, with the connection file as its last argument.
    /// `listener` gets each line that it writes to its own stderr.
    ///
    /// # Errors
    /// When it does not start, or does not answer within two minutes.
    pub async fn start_with(
        mut command: std::process::Command,
        listener: impl FnMut(&str) + Send + 'static,
    ) -> Result<KernelClient> {
        let file = Arc::new(tempfile::Builder::new().suffix(".json").tempfile()?);
        command
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // Which is interrupted and killed as a whole.
        base::process::in_its_own_session(&mut command);
        // Nor does it outlive us when nothing of ours is run any more.
        base::process::end_with_us(&mut command);
        let mut command = Command::from(command);
        let listener = Arc::new(Mutex::new(listener));
        let mut starts = 1;
        loop {
            match KernelClient::try_start(&mut command, &file, &listener).await {
                Err(error) if starts < STARTS && format!("{error:#}").contains(TAKEN) => {
                    starts += 1;
                }
                started => return started,
            }
        }
    }

    async fn try_start(
        command: &mut Command,
        file: &Arc<tempfile::NamedTempFile>,
        listener: &Arc<Mutex<impl FnMut(&str) + Send + 'static>>,
    ) -> Result<KernelClient> {
        let session = uuid::Uuid::new_v4().to_string();
        let connection = connection().await?;
        std::fs::write(file.path(), serde_json::to_vec(&connection)?)?;
        let mut process = command
            .spawn()
            .with_context(|| format!("启动不了内核：请运行 `{}`", spelled("setup")))?;
        let listener = listener.clone();
        let mut log = Log::of(
            process.stderr.take().context("stderr is piped")?,
            move |line| listener.lock().unwrap_or_else(PoisonError::into_inner)(line),
        );
        let identity = peer_identity_for_session(&session)?;
        let connect = async {
            anyhow::Ok((
                create_client_shell_connection_with_identity(&connection, &session, identity)
                    .await?,
                create_client_iopub_connection(&connection, "", &session).await?,
                create_client_control_connection(&connection, &session).await?,
            ))
        };
        // Nobody listens for a kernel that has ended: connecting would try for half a minute, and
        // not know why.
        let (shell, iopub, control) = tokio::select! {
            connected = connect => connected?,
            status = process.wait() => bail!("内核启动失败（{}）：{}", status?, log.last_words().await),
        };
        let mut kernel = KernelClient {
            shell,
            iopub,
            control,
            group: process
                .id()
                .context("the process has not been waited for")?,
            process,
            _connection_file: file.clone(),
            connection,
            is_late: false,
            shown: Vec::new(),
            log,
        };
        kernel.wait_until_ready().await?;
        Ok(kernel)
    }

    /// Asks who it is until it answers on both channels that matter.
    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let mut heard = false;
        while !heard {
            self.shell.send(KernelInfoRequest {}.into()).await?;
            tokio::select! {
                reply = self.shell.read() => {
                    let reply = reply.context("内核的回答不合协议")?;
                    if let JupyterMessageContent::KernelInfoReply(info) = reply.content {
                        self.is_late = info.implementation == "evcxr_jupyter";
                    }
                }
                status = self.process.wait() => {
                    bail!("内核启动失败（{}）：{}", status?, self.log.last_words().await)
                }
                () = sleep_until(deadline) => {
                    bail!("内核 {} 秒没有回答：{}", START.as_secs(), self.log.text())
                }
            }
            // Subscribing takes a moment, and what is published before is lost.
            heard = timeout(Duration::from_millis(500), self.iopub.read())
                .await
                .is_ok();
        }
        // What is left of the answers must not be taken for a cell's.
        while let Ok(Ok(_)) = timeout(Duration::from_millis(50), self.iopub.read()).await {}
        Ok(())
    }

    /// Runs `code` for at most `limit`.
    ///
    /// # Errors
    /// When the kernel cannot be talked to.
    pub async fn execute(&mut self, code: &str, limit: Duration) -> Result<Execution> {
        self.watch(code, limit, |_| ()).await
    }

    /// Runs `code` for at most `limit`; `listener` gets each message about it on the output channel
    /// when it arrives.
    ///
    /// # Errors
    /// When the kernel cannot be talked to.
    pub async fn watch(
        &mut self,
        code: &str,
        limit: Duration,
        mut listener: impl FnMut(&JupyterMessageContent),
    ) -> Result<Execution> {
        let request: JupyterMessage = ExecuteRequest::new(code.to_owned()).into();
        let id = request.header.msg_id.clone();
        self.shell.send(request).await?;
        let since = Instant::now();
        let deadline = since + limit;
        let mut took = limit;
        let index = self.shown.len();
        self.shown.push((id.clone(), Outputs::default()));
        let (mut reply, mut idle) = (None, false);
        let outcome = loop {
            if idle && let Some((status, _)) = &reply {
                took = since.elapsed();
                if self.is_late {
                    self.listen(SILENCE, LATEST).await;
                }
                break ending(status, &self.shown[index].1.received());
            }
            let message = tokio::select! {
                message = self.iopub.read() => message?,
                message = self.shell.read() => message?,
                _ = self.process.wait() => break Outcome::KernelDied,
                () = sleep_until(deadline) => break Outcome::TimedOut,
            };
            let ours = message
                .parent_header
                .as_ref()
                .is_some_and(|parent| parent.msg_id == id);
            match message.content {
                JupyterMessageContent::Status(status) if ours => {
                    idle = status.execution_state == ExecutionState::Idle;
                }
                JupyterMessageContent::ExecuteReply(content) if ours => {
                    reply = Some((content.status, content.execution_count.0));
                }
                _ => {
                    if ours {
                        listener(&message.content);
                    }
                    self.record(message);
                }
            }
        };
        Ok(Execution {
            outcome,
            outputs: self.shown[index].1.received(),
            execution_count: reply.map(|(_, count)| count as u64),
            index,
            took,
        })
    }

    /// What a cell has shown up to now, as a notebook file stores it: tasks that it has started may
    /// go on after its end.
    pub fn outputs(&self, index: usize) -> Vec<Value> {
        self.shown[index].1.stored()
    }

    /// Hears what comes without a cell being run, until nothing has come for as long as `silence`,
    /// but not for longer than `limit`.
    pub async fn listen(&mut self, silence: Duration, limit: Duration) {
        let deadline = Instant::now() + limit;
        // A message that is there is read before the time is looked at: who never stops printing
        // would never reach the end of it.
        while Instant::now() < deadline {
            let until = deadline.min(Instant::now() + silence);
            match timeout_at(until, self.iopub.read()).await {
                Ok(Ok(message)) => self.record(message),
                _ => return,
            }
        }
    }

    /// Adds a message to the outputs of the cell that it belongs to.
    fn record(&mut self, message: JupyterMessage) {
        let kind = message.content.message_type().to_owned();
        let Ok(content) = serde_json::to_value(message.content) else {
            return;
        };
        if kind == "update_display_data" {
            for (_, outputs) in &mut self.shown {
                outputs.update(&content);
            }
            return;
        }
        let Some(parent) = message.parent_header else {
            return;
        };
        let mut cells = self.shown.iter_mut().rev();
        if let Some((_, outputs)) = cells.find(|(id, _)| *id == parent.msg_id) {
            outputs.take(&kind, content);
        }
    }

    /// Interrupts as Jupyter does, by a message; waits until the kernel has taken it, so that it
    /// is not meant for what is executed next.
    ///
    /// # Errors
    /// When the kernel cannot be talked to, or does not answer.
    pub async fn interrupt(&mut self) -> Result<()> {
        self.control.send(InterruptRequest {}.into()).await?;
        let reply = timeout(START, self.control.read()).await;
        reply.context("内核没有回答中断")??;
        Ok(())
    }

    fn kill(&self) {
        // A group's number is not given away while it has members.
        base::processes::signal_group(self.group, Signal::KILL);
    }

    /// Where more clients can connect.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// The process that Jupyter started, as long as it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// The last lines that the kernel has written to its own stderr.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The same when it has ended, or should have: it is waited for a moment until all is read.
    pub async fn last_words(&mut self) -> String {
        self.log.last_words().await
    }

    /// Asks the kernel to end, and ends it if it does not within ten seconds.
    ///
    /// # Errors
    /// When the kernel cannot be talked to.
    pub async fn shutdown(mut self) -> Result<()> {
        let request = ShutdownRequest { restart: false };
        self.control.send(request.into()).await?;
        if timeout(Duration::from_secs(10), self.process.wait())
            .await
            .is_err()
        {
            self.kill();
        }
        Ok(())
    }
}

impl Drop for KernelClient {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a cell ended that was answered.
fn ending(status: &ReplyStatus, outputs: &[Value]) -> Outcome {
    let errors = outputs
        .iter()
        .filter(|output| output["output_type"] == "error");
    let messages: Vec<&str> = errors
        .filter_map(|output| output["evalue"].as_str())
        .collect();
    if *status != ReplyStatus::Ok || !messages.is_empty() {
        return Outcome::Failed(messages.join("；"));
    }
    if outputs
        .iter()
        .any(|output| !output["data"][FAILURE].is_null())
    {
        let stderr: String = outputs
            .iter()
            .filter(|output| output["name"] == "stderr")
            .filter_map(|output| output["text"].as_str())
            .collect();
        return Outcome::Failed(reason(&stderr));
    }
    Outcome::Ok
}

/// The message in what a panic or a failed `?` wrote to stderr.
fn reason(stderr: &str) -> String {
    let panic = stderr.find("panicked at ");
    let ends = ["stack backtrace:", "note: run with `RUST_BACKTRACE"];
    let end = ends
        .iter()
        .filter_map(|end| stderr.find(end))
        .min()
        .unwrap_or(stderr.len());
    let text = match panic {
        Some(start) if start < end => &stderr[start..end],
        _ => stderr
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("没有说明原因"),
    };
    text.trim().replace('\n', " ")
}

/// Five free ports on loopback and a key.
async fn connection() -> Result<ConnectionInfo> {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ports = peek_ports(ip, 5).await.context("找不到空闲的端口")?;
    Ok(ConnectionInfo {
        ip: ip.to_string(),
        transport: Transport::TCP,
        shell_port: ports[0],
        iopub_port: ports[1],
        stdin_port: ports[2],
        control_port: ports[3],
        hb_port: ports[4],
        key: uuid::Uuid::new_v4().to_string(),
        signature_scheme: "hmac-sha256".to_owned(),
        kernel_name: Some("rust".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_message_is_found_in_what_it_prints() {
        let stderr = "\nthread '<unnamed>' (1) panicked at src/lib.rs:24:30:\nboom\nstack backtrace:\n   0: x\n";
        assert_eq!(reason(stderr), "panicked at src/lib.rs:24:30: boom");
        let brief = "\nthread 'x' (1) panicked at src/lib.rs:1:1:\nboom\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(reason(brief), "panicked at src/lib.rs:1:1: boom");
        assert_eq!(
            reason("invalid digit found in string\n"),
            "invalid digit found in string"
        );
    }
}
