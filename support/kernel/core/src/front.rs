//! The whole: whose turn it is, and who is asked what.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::Moment;
use crate::action::{Action, Channel, Outgoing};
use crate::ahead::{Next, Plan, Step};
use crate::answers::{self, Answer};
use crate::complete;
use crate::evcxr::positions;
use crate::evcxr::source_map::SourceMap;
use crate::event::{Event, Found, FromProcess, Then, Tried};
use crate::execution::{Execution, Relayed, display};
use crate::history::{Entry, History};
use crate::interrupt;
use crate::message::Message;
use crate::notice::Notice;
use crate::output::Output;
use crate::stream::Stream;
use crate::teach::Teacher;

/// How often evcxr is asked whether it hears us, until it answers.
const KNOCK: Duration = Duration::from_millis(200);
/// After a cell's end, the time for its last messages to have gone out to the clients.
const REST: Duration = Duration::from_millis(200);

/// Error numbers of the system's: there is nobody to ask, and it was cancelled.
const NOT_SUPPORTED: i32 = 95;
const CANCELED: i32 = 125;

const NOBODY_TO_ASK: &str = "[不能输入] 没有单元格在执行，后台任务读不到标准输入。\n";
const NO_INPUT_BOX: &str =
    "[不能输入] 执行这一格的程序没有输入框：请在 JupyterLab 里执行，或者把要读的内容写在代码里。\n";

/// What a front is made for.
#[derive(Default)]
pub struct Setup {
    /// What tells the kernel's records from a student's text.
    pub secret: String,
    /// Tells this kernel's displays from others' in the same notebook.
    pub session: String,
    /// The version of Rust, as `rustc --version` prints it.
    pub rust: String,
    /// The notebook's first cell, if it is to be run before anybody asks for it.
    pub ahead: Option<String>,
    /// Whether everything else on the machine goes first until somebody uses the kernel.
    pub steps_back: bool,
    /// What knows the code that runs.
    pub map: SourceMap,
    /// What knows what there is to say of mistakes.
    pub teacher: Teacher,
}

/// Everything that the front knows.
pub struct Front {
    pub(crate) session: String,
    rust: String,
    /// Where the code comes from that runs.
    pub(crate) map: SourceMap,
    /// What there is to say of mistakes.
    pub(crate) teacher: Teacher,
    evcxr: Evcxr,
    /// The process that runs the cells.
    pub(crate) process: Option<Process>,
    /// Requests that wait for their turn, in their order.
    pub(crate) queue: VecDeque<Message>,
    pub(crate) turn: Turn,
    /// What is run before anybody asks.
    plan: Plan,
    /// Whether everything else on the machine goes first.
    steps_back: bool,
    pub(crate) output: Output,
    /// The header of the latest cell that a client wanted: whom output belongs to.
    latest: Option<Bytes>,
    /// Executed cells, as the student counts.
    count: u64,
    history: History,
    /// What a cell shows of something that takes long.
    pub(crate) notice: Option<Notice>,
    /// When what has come to rest since the last cell is tidied up.
    tidy: Option<Moment>,
    /// Requests of our own, and flushes, so far.
    asked: u64,
    pub(crate) flushes: u64,
    /// What is to be done, and when this is.
    actions: Vec<Action>,
    pub(crate) now: Moment,
}

/// What is known of evcxr.
enum Evcxr {
    /// It does not listen yet.
    Starting,
    /// It listens; what it publishes may not reach us yet, and would be lost. It is asked something
    /// again at this moment, just to hear it publish.
    Listening(Moment),
    /// What it publishes reaches us.
    Heard,
}

/// The process that runs the cells.
pub(crate) struct Process {
    /// The number of its connection.
    connection: u64,
    /// Its process number.
    pub process: u32,
    /// The number of the connection of its `notebook` crate.
    pub notebook: Option<u64>,
    /// Set while a cell's code has ended and evcxr has not heard of it.
    pub ending: Option<Ending>,
}

/// The end of a cell's code, until everything has been read.
pub(crate) struct Ending {
    /// The number of the flush that was asked for.
    pub flush: u64,
    /// When it is no longer waited for.
    pub deadline: Moment,
}

/// What evcxr is working on.
pub(crate) enum Turn {
    Nobody,
    Cell(Box<Execution>),
    /// Completion, inspection, a comm: passed on, and so are the answers.
    Relayed(Box<Relayed>),
    /// Something for nobody but us.
    Own(Own),
}

/// A request of our own.
pub(crate) struct Own {
    id: String,
    step: Step,
    replied: Option<Value>,
    idle: bool,
    error: Option<String>,
    /// Whether it has shown anything.
    shown: bool,
}

impl Front {
    /// A front that has heard nothing so far.
    pub fn new(setup: Setup) -> Front {
        Front {
            output: Output::new(&setup.secret),
            session: setup.session,
            rust: setup.rust,
            map: setup.map,
            teacher: setup.teacher,
            evcxr: Evcxr::Starting,
            process: None,
            queue: VecDeque::new(),
            turn: Turn::Nobody,
            plan: setup.ahead.map_or(Plan::Nothing, Plan::first),
            steps_back: setup.steps_back,
            latest: None,
            count: 0,
            history: History::default(),
            notice: None,
            tidy: None,
            asked: 0,
            flushes: 0,
            actions: Vec::new(),
            now: Moment::ZERO,
        }
    }

    /// Takes in what has happened, and says what is to be done.
    pub fn on(&mut self, event: Event, now: Moment) -> Vec<Action> {
        self.now = self.now.max(now);
        match event {
            Event::Shell(request) => self.queue.push_back(request),
            Event::Control(request) => self.control(&request),
            Event::Stdin(reply) => self.take_input(&reply),
            Event::Listening => {
                self.evcxr = Evcxr::Listening(self.now);
                self.knock();
            }
            Event::Replied(reply) => self.take_reply(reply),
            Event::Published(message) => self.take_published(message),
            Event::Ended(how) => self.end_without_evcxr(&how),
            Event::Process(connection, said) => self.hear_process(connection, said),
            Event::Written(stream, bytes) => self.take_written(stream, &bytes),
            Event::Drained(Then::EndCode) => self.end_code(),
            Event::Drained(Then::Ask) => self.ask_for_input(),
            Event::Drained(Then::Forget) => self.forget_process(),
            Event::Tried(tried) => self.interrupt_tried(tried),
            Event::Diagnosed(diagnosis) => {
                if let Turn::Cell(cell) = &mut self.turn {
                    cell.diagnosis = Some(diagnosis);
                }
            }
            Event::Notice(guest, line) => self.take_notice(guest, &line),
            Event::Taken => self.step_forward(),
            Event::Interrupt => self.interrupt(),
            Event::Moment => self.moment_has_come(),
        }
        self.start_next();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Moment`] is to come, if it is.
    pub fn next_moment(&self) -> Option<Moment> {
        let knock = match self.evcxr {
            Evcxr::Listening(again) => Some(again),
            _ => None,
        };
        let process = self.process.as_ref();
        let ending = process.and_then(|process| process.ending.as_ref());
        let interruption = match &self.turn {
            Turn::Cell(cell) => cell.interruption.moment(),
            _ => None,
        };
        [
            knock,
            ending.map(|ending| ending.deadline),
            interruption,
            self.output.moment(),
            self.plan.moment(),
            self.tidy,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn moment_has_come(&mut self) {
        let now = self.now;
        if matches!(self.evcxr, Evcxr::Listening(again) if again <= now) {
            self.knock();
        }
        self.output_moment();
        if self.tidy.is_some_and(|tidy| tidy <= now) {
            self.tidy = None;
            self.act(Action::Tidy);
        }
        self.plan.time_passes(now);
        let ending = self.is_ending();
        if let Turn::Cell(cell) = &mut self.turn {
            let runs = !ending && cell.failed.is_none();
            let step = cell.interruption.time_passes(runs, now);
            self.go_on_interrupting(step);
        }
    }

    /// Requests and bytes that are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        let turn = usize::from(!matches!(self.turn, Turn::Nobody));
        self.queue.len() + turn + self.output.held()
    }

    /// Adds something to what is to be done.
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Whether evcxr's words reach us: what it writes before is of its own trying out.
    pub(crate) fn is_heard(&self) -> bool {
        matches!(self.evcxr, Evcxr::Heard)
    }

    fn is_ending(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| process.ending.is_some())
    }

    /// Asks evcxr something, just to hear it publish.
    fn knock(&mut self) {
        self.evcxr = Evcxr::Listening(self.now + KNOCK);
        self.ask_evcxr("kernel_info_request", json!({}));
    }

    fn ask_evcxr(&mut self, kind: &'static str, content: Value) -> String {
        self.asked += 1;
        let id = format!("front-{}", self.asked);
        self.act(Action::AskEvcxr(id.clone(), kind, content));
        id
    }
}

/// Messages to the clients.
impl Front {
    /// Publishes a message that belongs to the request with the header `parent`.
    pub(crate) fn publish(&mut self, kind: &str, parent: &Bytes, content: Value) {
        let outgoing = Outgoing {
            kind: kind.to_owned(),
            parent: parent.clone(),
            identities: Vec::new(),
            content,
        };
        self.act(Action::Publish(outgoing));
    }

    /// Publishes what a cell has written or shown.
    pub(crate) fn publish_output(&mut self, kind: &str, content: Value) {
        match (&mut self.turn, &self.latest) {
            (Turn::Own(own), None) => own.shown = true,
            (_, latest) => {
                let parent = latest.clone().unwrap_or_default();
                self.publish(kind, &parent, content);
            }
        }
    }

    fn publish_state(&mut self, state: &str, parent: &Bytes) {
        self.publish("status", parent, json!({ "execution_state": state }));
    }

    fn reply(&mut self, channel: Channel, request: &Message, content: Value) {
        let outgoing = Outgoing {
            kind: request.kind.replace("_request", "_reply"),
            parent: request.header.clone(),
            identities: request.identities.clone(),
            content,
        };
        self.act(Action::Reply(channel, outgoing));
    }
}

/// Requests of clients.
impl Front {
    /// Requests on the control channel are answered at once, whatever is running.
    fn control(&mut self, request: &Message) {
        match &*request.kind {
            "shutdown_request" => {
                self.reply(Channel::Control, request, answers::shutdown(request));
                self.act(Action::End(0));
            }
            "interrupt_request" => {
                self.interrupt();
                self.reply(Channel::Control, request, json!({ "status": "ok" }));
            }
            "kernel_info_request" => {
                let content = answers::kernel_info(&self.rust);
                self.reply(Channel::Control, request, content);
            }
            kind => {
                let line = format!("{kind} is not answered on the control channel");
                self.act(Action::Log(line));
            }
        }
    }

    /// Answers a request of the shell channel that does not need evcxr.
    fn answer(&mut self, request: &Message) {
        let answer = answers::to(request, &self.rust, &self.history);
        self.publish_state("busy", &request.header);
        match answer {
            Answer::Reply(content) => self.reply(Channel::Shell, request, content),
            Answer::Nothing => {}
            Answer::Unknown => self.act(Action::Log(format!("{} is not answered", request.kind))),
        }
        self.publish_state("idle", &request.header);
        if request.kind == "shutdown_request" {
            self.act(Action::End(0));
        }
    }

    /// Goes on with the requests that wait.
    fn start_next(&mut self) {
        // What needs no evcxr is answered while evcxr does something that no client knows of.
        while matches!(self.turn, Turn::Nobody | Turn::Own(_)) {
            let asked = self.queue.front();
            if let Some(request) = asked.filter(|request| !answers::needs_evcxr(request)) {
                let request = request.clone();
                self.queue.pop_front();
                self.answer(&request);
                continue;
            }
            if asked.is_some() {
                self.step_forward();
            }
            if matches!(self.turn, Turn::Own(_)) || !self.is_heard() {
                return;
            }
            let step = match self.plan.next(self.queue.front()) {
                None => return,
                Some(Next::Own(step)) => {
                    self.start_own(step);
                    continue;
                }
                Some(step) => step,
            };
            let Some(request) = self.queue.pop_front() else {
                return;
            };
            let is_cell = request.kind == "execute_request";
            if step == Next::Asked {
                self.act(Action::ToEvcxr(for_evcxr(request.clone())));
            }
            match is_cell {
                true => self.start_cell(request, step == Next::Known),
                false => self.turn = Turn::Relayed(Box::new(Relayed::new(request))),
            }
        }
    }

    /// Somebody uses the kernel.
    fn step_forward(&mut self) {
        if std::mem::take(&mut self.steps_back) {
            self.act(Action::StepForward);
        }
    }

    /// A cell's turn has come. If it is `known`, evcxr has run it before.
    fn start_cell(&mut self, request: Message, known: bool) {
        let cell = Execution::new(request, self.count);
        self.count = cell.count;
        let header = cell.header();
        self.latest = Some(header.clone());
        self.output.last_words.clear();
        self.publish_state("busy", &header);
        if !cell.silent {
            let input = json!({ "code": cell.code, "execution_count": cell.count });
            self.publish("execute_input", &header, input);
        }
        self.turn = Turn::Cell(Box::new(Execution {
            reply: known.then(|| json!({ "status": "ok" })),
            idle: known,
            ..cell
        }));
        self.finish_cell(known);
    }

    /// Has evcxr do something for nobody but us.
    fn start_own(&mut self, step: Step) {
        let (kind, content) = self.plan.request(step);
        let id = self.ask_evcxr(kind, content);
        self.turn = Turn::Own(Own {
            id,
            step,
            replied: None,
            idle: false,
            error: None,
            shown: false,
        });
    }

    /// Tells the clients that the cells that wait will not be executed.
    fn abort_queue(&mut self) {
        let (aborted, kept) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition::<Vec<_>, _>(|request| request.kind == "execute_request");
        self.queue.extend(kept);
        for request in aborted {
            self.publish_state("busy", &request.header);
            self.reply(Channel::Shell, &request, json!({ "status": "aborted" }));
            self.publish_state("idle", &request.header);
        }
    }
}

/// A client's request in evcxr's terms.
fn for_evcxr(request: Message) -> Message {
    let content = match &*request.kind {
        "complete_request" => positions::completion(&request.content()),
        "inspect_request" => positions::inspection(&request.content()),
        _ => return request,
    };
    request.with_content(&content)
}

/// evcxr's reply in the terms of the client that asked.
fn for_client(request: &Message, reply: Message) -> Message {
    let reply = reply.addressed_to(request.identities.clone());
    match &*request.kind {
        "complete_request" => {
            let content = positions::completed(&request.content(), &reply.content());
            reply.with_content(&content)
        }
        _ => reply,
    }
}

/// What evcxr says.
impl Front {
    /// evcxr's answer to a request.
    fn take_reply(&mut self, reply: Message) {
        match &mut self.turn {
            Turn::Cell(cell) if cell.request.id == reply.parent_id => {
                cell.reply.get_or_insert_with(|| reply.content());
                self.finish_cell(false);
            }
            Turn::Relayed(relayed) if relayed.request.id == reply.parent_id => {
                if !std::mem::replace(&mut relayed.replied, true) {
                    let reply = for_client(&relayed.request, reply);
                    self.act(Action::PassReply(reply));
                }
                self.finish_relayed();
            }
            Turn::Own(own) if own.id == reply.parent_id => {
                own.replied = Some(reply.content());
                self.finish_own();
            }
            _ => {} // to our knocking
        }
    }

    /// What evcxr publishes.
    fn take_published(&mut self, message: Message) {
        if !self.is_heard() {
            self.evcxr = Evcxr::Heard;
            self.plan.begin(self.now);
        }
        let idle = || message.kind == "status" && message.content()["execution_state"] == "idle";
        match &mut self.turn {
            Turn::Cell(cell) if cell.request.id == message.parent_id => match &*message.kind {
                // We have said and counted this ourselves.
                "execute_input" => {}
                "status" => {
                    cell.idle |= idle();
                    self.finish_cell(false);
                }
                "error" => cell.take_error(message.content()),
                "stream" => self.take_stream(&message.content()),
                "execute_result" if cell.silent => {}
                "execute_result" => {
                    let mut content = message.content();
                    content["execution_count"] = json!(cell.count);
                    self.send_text(false);
                    self.publish(&message.kind, &message.parent, content);
                }
                _ => self.act(Action::Pass(message)),
            },
            Turn::Relayed(relayed) if relayed.request.id == message.parent_id => {
                relayed.idle |= idle();
                self.act(Action::Pass(message));
                self.finish_relayed();
            }
            Turn::Own(own) if own.id == message.parent_id => {
                match &*message.kind {
                    "status" => own.idle |= idle(),
                    "error" => {
                        let cause = message.content()["evalue"].as_str().map(str::to_owned);
                        own.error.get_or_insert(cause.unwrap_or_default());
                    }
                    "execute_input" => {}
                    _ => own.shown = true,
                }
                self.finish_own();
            }
            // What it reads after a cell's end, from a process that has not connected.
            _ if message.kind == "stream" => self.take_stream(&message.content()),
            _ if message.kind.starts_with("comm_") => self.act(Action::Pass(message)),
            _ => {}
        }
    }

    fn finish_relayed(&mut self) {
        if matches!(&self.turn, Turn::Relayed(relayed) if relayed.is_over()) {
            self.turn = Turn::Nobody;
        }
    }

    fn finish_own(&mut self) {
        let Turn::Own(own) = &self.turn else { return };
        let Some(reply) = own.replied.as_ref().filter(|_| own.idle) else {
            return;
        };
        let failed = reply["status"] != "ok";
        // What it wrote is nobody's business.
        if self.latest.is_none() {
            self.send_text(true);
            let held = self.output.shown.take().is_some();
            if let Turn::Own(own) = &mut self.turn {
                own.shown |= held;
            }
        }
        let Turn::Own(own) = std::mem::replace(&mut self.turn, Turn::Nobody) else {
            return;
        };
        let error = own.error.or_else(|| failed.then(String::new));
        if let Some(warm) = self.plan.done(own.step, error, own.shown) {
            self.act(Action::Warm(warm));
        }
    }

    /// Replies, once evcxr has said everything. If the cell is `known`, it has been run before, and
    /// all that is done after one has been done as well.
    fn finish_cell(&mut self, known: bool) {
        if !matches!(&self.turn, Turn::Cell(cell) if cell.is_over()) {
            return;
        }
        let Turn::Cell(mut cell) = std::mem::replace(&mut self.turn, Turn::Nobody) else {
            return;
        };
        if cell.failed.is_none()
            && let Some(panic) = cell.panic.take()
        {
            // Somebody has caught it: then it is a text, as in any program.
            self.report(&panic);
        }
        let failures = cell.failures(&self.map, &self.output.last_words, &self.teacher);
        let well = failures.is_empty();
        self.send_text(true);
        let result = self.show_result(&cell, well);
        let header = cell.header();
        for failure in &failures {
            self.publish("error", &header, failure.clone());
        }
        if cell.store_history {
            self.history.add(Entry {
                count: cell.count,
                code: cell.code.clone(),
                result,
            });
        }
        self.reply(Channel::Shell, &cell.request, cell.reply(&failures));
        self.publish_state("idle", &header);
        if !well && cell.stop_on_error {
            self.abort_queue();
        }
        if well && !known && complete::names_crates(&cell.code) {
            self.plan.rehearse_again(self.now);
        }
        self.tidy = Some(self.now + REST);
    }

    /// Shows what is left to show: the value of the last expression, as the cell's result. Returns
    /// that as text.
    fn show_result(&mut self, cell: &Execution, well: bool) -> Option<String> {
        if self.output.value.is_some() {
            self.show(); // something else, which has come since
        }
        let value = self.output.value.take();
        let data = value.or_else(|| self.output.shown.take())?;
        if !well || !cell.ends_in_expression {
            self.publish("display_data", &cell.header(), display(data));
            return None;
        }
        let text = data.get("text/plain").and_then(Value::as_str);
        // The value of a cell that ends with a loop or a call that returns nothing.
        if data.len() == 1 && text == Some("()") {
            return None;
        }
        let result = text.map(str::to_owned);
        if !cell.silent {
            let content = json!({ "data": data, "metadata": {}, "execution_count": cell.count });
            self.publish("execute_result", &cell.header(), content);
        }
        result
    }

    /// evcxr is gone, and without it so is the kernel: nobody is left waiting for an answer.
    fn end_without_evcxr(&mut self, how: &str) {
        self.send_text(true);
        // What to do about it the program that has started us knows best.
        self.act(Action::Log(format!(
            "evcxr 自己结束了（{how}）：请重启内核"
        )));
        // It may have been working for nobody but us: then the next one is told.
        if !matches!(self.turn, Turn::Cell(_)) {
            self.turn = Turn::Nobody;
            let waits = self
                .queue
                .iter()
                .position(|request| request.kind == "execute_request");
            if let Some(request) = waits.and_then(|at| self.queue.remove(at)) {
                self.start_cell(request, false);
            }
        }
        if let Turn::Cell(cell) = &mut self.turn {
            cell.take_error(crate::failure::of_end_of_evcxr(how));
            cell.reply = Some(json!({ "status": "error" }));
            cell.idle = true;
            self.finish_cell(false);
        }
        self.abort_queue();
        self.evcxr = Evcxr::Starting; // nothing is passed on any more
        self.act(Action::End(1));
    }
}

/// What the process says that runs the cells.
impl Front {
    fn hear_process(&mut self, connection: u64, said: FromProcess) {
        match (said, &mut self.process) {
            (FromProcess::Started(process), _) => {
                self.forget_process();
                self.map.begin_anew();
                self.process = Some(Process {
                    connection,
                    process,
                    notebook: None,
                    ending: None,
                });
                self.act(Action::Welcome(connection));
            }
            (FromProcess::Loaded(number), Some(process)) if process.process == number => {
                process.notebook = Some(connection);
                self.act(Action::Welcome(connection));
            }
            (said, Some(process)) if process.connection == connection => match said {
                FromProcess::Gone => self.act(Action::Drain(Then::Forget)),
                said => self.hear(said),
            },
            (said, Some(process)) if process.notebook == Some(connection) => match said {
                FromProcess::Gone => self.lose_notebook(),
                said => self.hear(said),
            },
            _ => {} // of a process that is no more
        }
    }

    fn hear(&mut self, said: FromProcess) {
        match said {
            FromProcess::WantsInput => self.act(Action::Drain(Then::Ask)), // what it wrote before
            FromProcess::Interrupted(found) => self.interrupt_found(found),
            FromProcess::Unwound => {
                if let Turn::Cell(cell) = &mut self.turn {
                    cell.interruption.cancelled = true;
                }
            }
            FromProcess::Flushed(flush) => {
                let process = self.process.as_ref();
                let ending = process.and_then(|process| process.ending.as_ref());
                if ending.is_some_and(|ending| ending.flush == flush) {
                    self.act(Action::Drain(Then::EndCode));
                }
            }
            FromProcess::Started(_) | FromProcess::Loaded(_) | FromProcess::Gone => {}
        }
    }

    /// The `notebook` crate does not answer any more.
    fn lose_notebook(&mut self) {
        if let Some(process) = &mut self.process {
            process.notebook = None;
        }
        if let Turn::Cell(cell) = &mut self.turn {
            cell.interruption.nobody_answers(self.now);
        }
        if self.is_ending() {
            self.act(Action::Drain(Then::EndCode));
        }
    }

    /// The process is gone, and what it wrote has been read. evcxr notices when we let go.
    fn forget_process(&mut self) {
        if self.process.take().is_none() {
            return;
        }
        self.output.lose_source(self.now);
        let panic = match &mut self.turn {
            Turn::Cell(cell) => {
                cell.interruption.nobody_answers(self.now);
                cell.waits_for_input = false;
                cell.panic.take()
            }
            _ => None,
        };
        if let Some(panic) = panic {
            self.report(&panic);
        }
        self.act(Action::Forget);
    }
}

/// Standard input.
impl Front {
    /// The process reads from standard input: the student is asked.
    fn ask_for_input(&mut self) {
        self.send_text(false);
        let refusal = match &mut self.turn {
            Turn::Cell(cell) if cell.allows_input => {
                if cell.interruption.asks() {
                    return self.act(Action::AnswerInput(Err(CANCELED)));
                }
                cell.waits_for_input = true;
                let (prompt, password) = cell.question.take().unwrap_or_default();
                let question = Outgoing {
                    kind: "input_request".to_owned(),
                    parent: cell.header(),
                    identities: cell.request.identities.clone(),
                    content: json!({ "prompt": prompt, "password": password }),
                };
                return self.act(Action::Reply(Channel::Stdin, question));
            }
            Turn::Cell(_) => NO_INPUT_BOX,
            _ => NOBODY_TO_ASK,
        };
        self.output
            .batch
            .add(Stream::Stderr, refusal.as_bytes(), self.now);
        self.act(Action::AnswerInput(Err(NOT_SUPPORTED)));
    }

    /// What the student has typed.
    fn take_input(&mut self, reply: &Message) {
        let Turn::Cell(cell) = &mut self.turn else {
            return;
        };
        if std::mem::take(&mut cell.waits_for_input) {
            let content = reply.content();
            let typed = content["value"].as_str().map(|line| format!("{line}\n"));
            self.act(Action::AnswerInput(typed.ok_or(CANCELED)));
        }
    }
}

/// Interrupts.
impl Front {
    /// An interrupt has come.
    fn interrupt(&mut self) {
        let too_late = self.is_ending();
        match &mut self.turn {
            Turn::Cell(_) if too_late => {}
            Turn::Cell(cell) => {
                let asks = std::mem::take(&mut cell.waits_for_input);
                let step = cell.interruption.wanted(asks, self.now);
                self.go_on_interrupting(step);
            }
            Turn::Relayed(_) => {}
            // Of cells that have not started yet: they are all that anybody knows of.
            Turn::Nobody | Turn::Own(_) => self.abort_queue(),
        }
    }

    fn interrupt_tried(&mut self, tried: Tried) {
        if let Turn::Cell(cell) = &mut self.turn {
            let step = cell.interruption.tried(tried, self.now);
            self.go_on_interrupting(step);
        }
    }

    /// What the process says that an interrupt has found.
    fn interrupt_found(&mut self, found: Found) {
        let ending = self.is_ending();
        if let Turn::Cell(cell) = &mut self.turn {
            let step = cell.interruption.found(found, ending, self.now);
            self.go_on_interrupting(step);
        }
    }

    fn go_on_interrupting(&mut self, step: Option<interrupt::Step>) {
        match step {
            None => {}
            Some(interrupt::Step::Try) => self.act(Action::Interrupt),
            Some(interrupt::Step::Kill) => self.act(Action::Kill),
            Some(interrupt::Step::EndQuestion) => self.act(Action::AnswerInput(Err(CANCELED))),
            Some(interrupt::Step::Warn(notice)) => {
                self.output
                    .batch
                    .add(Stream::Stderr, notice.as_bytes(), self.now);
                self.send_text(false);
            }
        }
    }
}
