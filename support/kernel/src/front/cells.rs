//! A cell from its request to its reply.

use std::time::Duration;

use ::link::marker;
use rustix::io::Errno;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::ahead::Ahead;
use super::failure::{self, Panic};
use super::history::Entry;
use super::interrupt::Interruption;
use super::link::{Answer, Guest};
use super::stream::Stream;
use super::wire::Message;
use super::{Front, complete};

/// Longest wait for the flush at a cell's end: a background task may be holding stdout's lock.
const FLUSH: Duration = Duration::from_secs(1);
/// After a cell's end, the time for its last messages to have gone out to the clients.
const REST: Duration = Duration::from_millis(200);
/// After its start, the time that a kernel gives to who knows already what to execute.
const UNUSED: Duration = Duration::from_secs(1);

const NOBODY_TO_ASK: &str = "[不能输入] 没有单元格在执行，后台任务读不到标准输入。\n";
const NO_INPUT_BOX: &str =
    "[不能输入] 执行这一格的程序没有输入框：请在 JupyterLab 里执行，或者把要读的内容写在代码里。\n";

/// A request that evcxr is working on.
pub enum Current {
    Cell(Box<Cell>),
    /// Completion, inspection, a comm: passed on, and so are the answers.
    Relayed(Box<Relayed>),
}

impl Current {
    /// The request.
    pub fn request(&self) -> &Message {
        match self {
            Current::Cell(cell) => &cell.request,
            Current::Relayed(relayed) => &relayed.request,
        }
    }
}

/// Whether only evcxr can answer.
fn needs_evcxr(request: &Message) -> bool {
    let kinds = [
        "execute_request",
        "complete_request",
        "inspect_request",
        "comm_open",
    ];
    kinds.contains(&&*request.kind)
}

/// A request that is passed on. evcxr's reply and its going idle come on two channels, in any order.
pub struct Relayed {
    request: Message,
    replied: bool,
    idle: bool,
}

impl Relayed {
    fn is_over(&self) -> bool {
        let has_reply = self.request.kind != "comm_open";
        self.idle && (self.replied || !has_reply)
    }
}

/// An `execute_request`.
pub struct Cell {
    pub request: Message,
    pub code: String,
    /// Its execution count.
    pub count: u64,
    silent: bool,
    store_history: bool,
    stop_on_error: bool,
    /// Whether evcxr shows the value of its last expression.
    pub ends_in_expression: bool,
    /// evcxr's reply, when it has come.
    reply: Option<Value>,
    /// Whether evcxr has said that it is idle again.
    idle: bool,
    /// evcxr's `error` messages.
    errors: Vec<Value>,
    /// The value of the last expression as text.
    result: Option<String>,
    /// The last panic on its thread, which may have been caught.
    pub panic: Option<Panic>,
    /// How its code ended, if not well.
    pub failed: Option<Failed>,
    /// Whether the client can ask the student something.
    allows_input: bool,
    /// What is to be asked, and whether secretly, if a cell has said so.
    pub question: Option<(String, bool)>,
    /// Whether its process waits for what the student types.
    pub waits_for_input: bool,
    pub interruption: Interruption,
}

/// How code ends early.
pub enum Failed {
    Panicked,
    /// A `?` returned an error, with its text.
    Returned(String),
}

/// The end of a cell's code, until everything that it wrote has been read.
pub struct Ending {
    /// The number of the flush that was asked for.
    flush: u64,
    /// When it is no longer waited for.
    pub deadline: Instant,
}

impl Front {
    /// Goes on with the requests that wait.
    pub(super) async fn start_next(&mut self) {
        // What needs no evcxr is answered while evcxr does something that no client knows of.
        while self.current.is_none() || self.is_ahead() {
            let asked = self.queue.front().cloned();
            if let Some(request) = asked.as_ref().filter(|request| !needs_evcxr(request)) {
                self.answer(request);
                self.queue.pop_front();
                continue;
            }
            if asked.is_some() {
                self.step_forward();
            }
            if self.current.is_some() || !self.is_heard {
                return;
            }
            let Some(request) = self
                .next_step(asked.as_ref())
                .or_else(|| self.queue.pop_front())
            else {
                return;
            };
            if !self.is_own(&request.header) && self.settle(&request) {
                self.start_cell(request);
                self.finish_known_cell();
                continue;
            }
            let Some(inner) = &mut self.inner else { return };
            inner.request(request.clone()).await;
            match &*request.kind {
                "execute_request" => self.start_cell(request),
                _ => {
                    self.current = Some(Current::Relayed(Box::new(Relayed {
                        request,
                        replied: false,
                        idle: false,
                    })))
                }
            }
        }
    }

    fn start_cell(&mut self, request: Message) {
        let content = request.content();
        let code = content["code"].as_str().unwrap_or_default().to_owned();
        let silent = content["silent"] == true;
        let store_history = !silent && content["store_history"] != false;
        self.count += u64::from(store_history);
        self.latest = request.header.clone();
        self.unused = None;
        self.publish_state("busy", &request.header);
        if !silent {
            let input = json!({ "code": code, "execution_count": self.count });
            self.publish("execute_input", &request.header, &input);
        }
        self.current = Some(Current::Cell(Box::new(Cell {
            ends_in_expression: complete::ends_in_expression(&code),
            request,
            code,
            count: self.count,
            silent,
            store_history,
            stop_on_error: content["stop_on_error"] != false,
            reply: None,
            idle: false,
            errors: Vec::new(),
            result: None,
            panic: None,
            failed: None,
            allows_input: content["allow_stdin"] != false,
            question: None,
            waits_for_input: false,
            interruption: Interruption::default(),
        })));
    }

    /// The cell that is being executed.
    pub(super) fn cell(&mut self) -> Option<&mut Cell> {
        match &mut self.current {
            Some(Current::Cell(cell)) => Some(cell),
            _ => None,
        }
    }

    /// evcxr's answer to a request.
    pub(super) fn take_reply(&mut self, reply: Message) {
        match &mut self.current {
            Some(Current::Cell(cell)) if cell.request.id == reply.parent_id => {
                cell.reply = Some(reply.content());
                self.finish_cell();
            }
            Some(Current::Relayed(relayed)) if relayed.request.id == reply.parent_id => {
                relayed.replied = true;
                let identities = relayed.request.identities.clone();
                if !self.is_ahead() {
                    self.outer.shell.send(reply.addressed_to(identities));
                }
                self.finish_relayed();
            }
            _ => {} // to our knocking
        }
    }

    /// What evcxr publishes.
    pub(super) fn take_published(&mut self, message: Message) {
        if !self.is_heard {
            self.is_heard = true;
            self.unused = self.ahead.is_none().then(|| Instant::now() + UNUSED);
        }
        match &mut self.current {
            Some(Current::Cell(cell)) if cell.request.id == message.parent_id => {
                let mut content = message.content();
                match &*message.kind {
                    // We have said and counted this ourselves.
                    "execute_input" => {}
                    "status" if content["execution_state"] == "idle" => {
                        cell.idle = true;
                        self.finish_cell();
                    }
                    "status" => {}
                    "error" => {
                        rename(&mut content, cell.count);
                        cell.errors.push(content);
                    }
                    "stream" => self.take_stream(&content),
                    "execute_result" if cell.silent => {}
                    "execute_result" => {
                        content["execution_count"] = json!(cell.count);
                        self.send_text(false);
                        self.publish(&message.kind, &message.parent, &content);
                    }
                    _ => self.outer.iopub.publish(message),
                }
            }
            Some(Current::Relayed(relayed)) if relayed.request.id == message.parent_id => {
                let content = message.content();
                relayed.idle |= message.kind == "status" && content["execution_state"] == "idle";
                if !self.is_ahead() {
                    self.outer.iopub.publish(message);
                }
                self.finish_relayed();
            }
            // What it reads after a cell's end, from a process that has not connected.
            _ if message.kind == "stream" => self.take_stream(&message.content()),
            _ if message.kind.starts_with("comm_") => self.outer.iopub.publish(message),
            _ => {}
        }
    }

    fn take_stream(&mut self, content: &Value) {
        let stream = match content["name"].as_str() {
            Some("stderr") => Stream::Stderr,
            _ => Stream::Stdout,
        };
        self.output.batch.add(
            stream,
            content["text"].as_str().unwrap_or_default().as_bytes(),
        );
    }

    /// The process reads from standard input: the student is asked.
    fn ask_for_input(&mut self) {
        self.read_waiting(); // what it wrote before
        self.send_text(false);
        let session = self.session.clone();
        let refusal = match self.cell() {
            None => NOBODY_TO_ASK,
            Some(cell) if !cell.allows_input => NO_INPUT_BOX,
            Some(cell) => {
                cell.waits_for_input = true;
                let (prompt, password) = cell.question.take().unwrap_or_default();
                let content = json!({ "prompt": prompt, "password": password });
                let request = &cell.request;
                let question = Message::new("input_request", &request.header, &session, &content)
                    .addressed_to(request.identities.clone());
                return self.outer.stdin.send(question);
            }
        };
        self.output.batch.add(Stream::Stderr, refusal.as_bytes());
        self.answer_input(Err(Errno::NOTSUP.raw_os_error()));
    }

    /// What the student has typed.
    pub(super) fn pass_input(&mut self, reply: &Message) {
        let waits = self
            .cell()
            .is_some_and(|cell| std::mem::take(&mut cell.waits_for_input));
        if waits {
            let typed = reply.content()["value"]
                .as_str()
                .map(|line| format!("{line}\n"));
            self.answer_input(typed.as_deref().ok_or(Errno::CANCELED.raw_os_error()));
        }
    }

    /// Gives the process what it waits for, or an error of the system's.
    pub(super) fn answer_input(&self, answer: Result<&str, i32>) {
        if let Some((_, link)) = &self.link {
            link.answer_input(answer);
        }
    }

    pub(super) fn take_guest(&mut self, number: u64, guest: Guest) {
        match (guest, &mut self.link) {
            (Guest::Process(link), _) => {
                self.lose_link();
                link.welcome();
                self.link = Some((number, *link));
            }
            (Guest::Notebook(process, writer), Some((_, link))) if link.process == process => {
                link.join(number, writer);
            }
            (Guest::Notebook(..), _) => {} // of a process that is no more
            (Guest::Cargo, _) => {}        // which is heard elsewhere
        }
    }

    pub(super) fn take_answer(&mut self, number: u64, answer: Answer) {
        match &mut self.link {
            Some((known, _)) if *known == number => {}
            Some((_, link)) if link.notebook() == Some(number) => {
                if matches!(answer, Answer::Gone) {
                    return link.leave();
                }
            }
            _ => return, // of a process that is no more
        }
        match answer {
            Answer::Gone => self.lose_link(),
            Answer::WantsInput => self.ask_for_input(),
            Answer::Interrupted(found) => self.interrupt_found(found),
            Answer::Unwound => {
                if let Some(cell) = self.cell() {
                    cell.interruption.cancelled = true;
                }
            }
            Answer::Flushed(flush) => {
                if self
                    .output
                    .ending
                    .as_ref()
                    .is_some_and(|ending| ending.flush == flush)
                {
                    self.end_code();
                }
            }
        }
    }

    /// The process is gone: what it wrote is still there. evcxr notices when we let go of its pipe.
    fn lose_link(&mut self) {
        if self.link.is_none() {
            return;
        }
        self.read_waiting();
        self.output.lose_source();
        if let Some(panic) = self.cell().and_then(|cell| cell.panic.take()) {
            self.report(&panic);
        }
        self.link = None;
    }

    /// A cell's code has come to its end: what std still holds of its output is next.
    pub(super) fn begin_ending(&mut self) {
        let Some((_, link)) = &self.link else { return };
        self.output.flushes += 1;
        if !link.flush(self.output.flushes) {
            return self.end_code();
        }
        self.output.ending = Some(Ending {
            flush: self.output.flushes,
            deadline: Instant::now() + FLUSH,
        });
    }

    /// Everything that the code wrote can be read: evcxr may hear that it has ended.
    pub(super) fn end_code(&mut self) {
        self.read_waiting();
        self.output.release();
        self.output.release_report();
        self.output.ending = None;
        if let Some((_, link)) = &mut self.link {
            link.tell_evcxr(marker::ENDED);
        }
    }

    fn finish_relayed(&mut self) {
        if matches!(&self.current, Some(Current::Relayed(relayed)) if relayed.is_over()) {
            if self.is_ahead() {
                self.end_step(&[]);
            }
            self.current = None;
        }
    }

    /// Replies to a cell that evcxr has run before.
    fn finish_known_cell(&mut self) {
        if let Some(cell) = self.cell() {
            cell.reply = Some(json!({ "status": "ok" }));
            cell.idle = true;
        }
        self.finish_cell();
        self.ahead = None; // that has been done as well
    }

    /// Replies, once evcxr has said everything.
    fn finish_cell(&mut self) {
        if self
            .cell()
            .is_none_or(|cell| cell.reply.is_none() || !cell.idle)
        {
            return;
        }
        let Some(Current::Cell(mut cell)) = self.current.take() else {
            return;
        };
        if cell.failed.is_none()
            && let Some(panic) = cell.panic.take()
        {
            // Somebody has caught it: then it is a text, as in any program.
            self.report(&panic);
        }
        let errors = self.errors_of(&cell);
        self.send_text(true);
        if self.is_own(&cell.request.header) {
            return self.end_step(&errors);
        }
        self.show_result(&mut cell, errors.is_empty());
        let parent = &cell.request.header;
        for error in &errors {
            self.publish("error", parent, error);
        }
        if cell.store_history {
            self.history.add(Entry {
                count: cell.count,
                code: cell.code.clone(),
                result: cell.result.take(),
            });
        }
        let mut content = match errors.first() {
            Some(error) => error.clone(),
            None => json!({ "user_expressions": not_evaluated(&cell.request.content()) }),
        };
        content["status"] = json!(if errors.is_empty() { "ok" } else { "error" });
        content["execution_count"] = json!(cell.count);
        content["payload"] = json!([]);
        self.outer
            .shell
            .send(self.reply_to(&cell.request, &content));
        self.publish_state("idle", parent);
        if !errors.is_empty() && cell.stop_on_error {
            self.abort_queue();
        }
        if errors.is_empty() && complete::names_crates(&cell.code) {
            self.ahead = Some(Ahead::rehearsal());
        }
        self.tidy = Some(Instant::now() + REST);
    }

    /// Shows what is left to show: the value of the last expression, as the cell's result.
    fn show_result(&mut self, cell: &mut Cell, well: bool) {
        let Some(data) = self.output.shown.take() else {
            return;
        };
        if !well || !cell.ends_in_expression {
            self.publish("display_data", &cell.request.header, &display(data));
            return;
        }
        let text = data.get("text/plain").and_then(Value::as_str);
        // The value of a cell that ends with a loop or a call that returns nothing.
        if data.len() == 1 && text == Some("()") {
            return;
        }
        cell.result = text.map(str::to_owned);
        if !cell.silent {
            let content = json!({ "data": data, "metadata": {}, "execution_count": cell.count });
            self.publish("execute_result", &cell.request.header, &content);
        }
    }

    /// What went wrong; nothing if the cell is well.
    fn errors_of(&mut self, cell: &Cell) -> Vec<Value> {
        let interruption = &cell.interruption;
        let failed = cell
            .reply
            .as_ref()
            .is_some_and(|reply| reply["status"] != "ok");
        if interruption.killed && failed {
            return vec![failure::of_kill()];
        }
        if interruption.ended_question && cell.failed.is_some() {
            return vec![failure::of_interrupt(false)];
        }
        if interruption.cancelled
            && matches!(cell.failed, Some(Failed::Panicked))
            && cell.panic.is_none()
        {
            return vec![failure::of_interrupt(false)];
        }
        match &cell.failed {
            Some(Failed::Panicked) => {
                let panic = cell.panic.clone().unwrap_or_default();
                vec![failure::of_panic(&panic, panic.place(&self.map).as_ref())]
            }
            Some(Failed::Returned(message)) => vec![failure::of_returned(message.trim_end())],
            None if !failed => Vec::new(),
            None if interruption.compiler_stopped => vec![failure::of_interrupt(true)],
            None => match cell.errors.iter().find(|error| failure::is_death(error)) {
                Some(death) => {
                    vec![failure::of_death(
                        death["evalue"].as_str().unwrap_or_default(),
                    )]
                }
                None if cell.errors.is_empty() => {
                    vec![failure::error("Error", "evcxr 没有说明原因", &[])]
                }
                None => cell.errors.clone(),
            },
        }
    }

    /// Tells the clients that the cells that wait will not be executed.
    pub(super) fn abort_queue(&mut self) {
        let (aborted, kept) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<Vec<_>, _>(|request| request.kind == "execute_request");
        self.queue.extend(kept);
        for request in aborted {
            self.publish_state("busy", &request.header);
            self.outer
                .shell
                .send(self.reply_to(&request, &json!({ "status": "aborted" })));
            self.publish_state("idle", &request.header);
        }
    }
}

/// evcxr counts cells in its own way, and calls them by their number in its reports.
fn rename(error: &mut Value, count: u64) {
    let lines = error["traceback"].as_array_mut().into_iter().flatten();
    for line in lines {
        let Some(text) = line.as_str() else { continue };
        if let Some((before, after)) = text.split_once("command_") {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            *line = json!(format!("{before}单元格 [{count}]{after}"));
        }
    }
}

/// The content of a `display_data`.
pub fn display(data: Map<String, Value>) -> Value {
    json!({ "data": data, "metadata": {}, "transient": {} })
}

/// To evaluate an expression is to compile a cell: no client should wait for that unasked.
fn not_evaluated(request: &Value) -> Value {
    let names = request["user_expressions"]
        .as_object()
        .into_iter()
        .flatten();
    let answer = json!({
        "status": "error",
        "ename": "NotEvaluated",
        "evalue": "user_expressions 不在 Rust 内核里求值",
        "traceback": [],
    });
    names
        .map(|(name, _)| (name.clone(), answer.clone()))
        .collect()
}
