//! A world around the front: a client, evcxr, and the process that runs its cells. What each of them
//! says waits in a line of its own, as on a socket; a test decides which line goes on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    Action, Channel, Event, Found, FromProcess, Front, Message, Moment, Setup, Stream, Then, Tried,
};
use link::record;

const SECRET: &str = "5ec2e7";

/// The lines in which something waits to be heard. Within each the order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// evcxr's replies.
    Reply,
    /// What evcxr publishes.
    Iopub,
    /// Connections of processes, and what they say on them.
    Socket,
    /// What the process writes.
    Stdout,
}

/// All of them.
pub const LINES: [Line; 4] = [Line::Reply, Line::Iopub, Line::Socket, Line::Stdout];

/// What a cell does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Shows a value, and has written something before that comes out of its buffer at the end.
    Shows,
    /// Prints without a newline.
    Prints,
    /// Prints very much.
    Floods,
    /// Does not compile.
    Mistake,
    Panics,
    /// Catches a panic of its own.
    Catches,
    /// Returns an error with `?`.
    Returns,
    /// Waits until it is cancelled.
    Waits,
    /// Never ends, and cannot be cancelled.
    Loops,
    /// Ends its process.
    Exits,
    /// Reads from standard input.
    Asks,
    /// Is compiled for a while.
    Compiles,
    /// Says nothing: any other code.
    Quiet,
}

/// All of them.
pub const CODES: [Code; 12] = [
    Code::Shows,
    Code::Prints,
    Code::Floods,
    Code::Mistake,
    Code::Panics,
    Code::Catches,
    Code::Returns,
    Code::Waits,
    Code::Loops,
    Code::Exits,
    Code::Asks,
    Code::Compiles,
];

/// How evcxr is busy.
#[derive(Debug)]
enum Busy {
    /// Compiles a cell, until it is let go on or stopped.
    Compiling(Message, Code),
    /// Waits for its process to come to the end of a cell.
    Running(Message, Code),
}

/// The client, evcxr, and what has happened.
pub struct World {
    pub front: Front,
    pub now: Moment,
    lines: BTreeMap<Line, VecDeque<Event>>,
    /// Requests that evcxr has not come to.
    asked: VecDeque<Message>,
    busy: Option<Busy>,
    /// The connection of the process, and of its `notebook` crate, if it has one.
    process: Option<u64>,
    notebook: Option<u64>,
    pub has_notebook: bool,
    connections: u64,
    /// The latest connection that the front has let in.
    welcomed: u64,
    /// Whether the process is in a wait, in which something may find it.
    in_wait: bool,
    /// A variable that each process sets up: its number says whether it is the same one.
    pub processes: u64,
    /// Everything that has been done.
    pub done: Vec<Action>,
    /// Requests that were made, with the number of replies to each.
    pub replies: BTreeMap<String, usize>,
    /// Whether the last notice to the student was that the next interrupt kills.
    pub warned: bool,
    pub killed: bool,
    pub ended: Option<u8>,
    /// Whether the `notebook` crate leaves flushes unanswered.
    pub deaf: bool,
    /// Whether code goes on when its wait has been cancelled.
    pub stubborn: bool,
    requests: u64,
}

impl World {
    /// A kernel that has just been started, with a process that has loaded the `notebook` crate or
    /// never does.
    pub fn new(has_notebook: bool, ahead: Option<&str>) -> World {
        let front = Front::new(Setup {
            secret: SECRET.to_owned(),
            ahead: ahead.map(str::to_owned),
            ..Setup::default()
        });
        World {
            front,
            now: Moment::ZERO,
            lines: LINES.map(|line| (line, VecDeque::new())).into(),
            asked: VecDeque::new(),
            busy: None,
            process: None,
            notebook: None,
            has_notebook,
            connections: 0,
            welcomed: 0,
            in_wait: false,
            processes: 0,
            done: Vec::new(),
            replies: BTreeMap::new(),
            warned: false,
            killed: false,
            ended: None,
            deaf: false,
            stubborn: false,
            requests: 0,
        }
    }

    /// The same, once evcxr can be asked and everything is quiet.
    pub fn ready(has_notebook: bool) -> World {
        let mut world = World::new(has_notebook, None);
        world.start();
        world
    }

    /// evcxr and its process start; everything is heard that waits.
    pub fn start(&mut self) {
        self.start_process();
        self.on(Event::Listening);
        self.settle();
    }

    /// evcxr starts and is heard.
    pub fn start_without_settling(&mut self) {
        self.start_process();
        self.on(Event::Listening);
        self.go_on(Line::Iopub);
    }

    /// Whether something waits to be heard in this line.
    pub fn waits(&self, line: Line) -> bool {
        self.ended.is_none() && self.lines.get(&line).is_some_and(|line| !line.is_empty())
    }

    /// A thread of the process reads from standard input.
    pub fn process_wants_input(&mut self) {
        if let Some(process) = self.process {
            self.say(process, FromProcess::WantsInput);
        }
    }

    /// Something that the `notebook` crate says.
    pub fn notebook_says(&self, said: FromProcess) -> Event {
        Event::Process(self.notebook.unwrap_or_default(), said)
    }

    /// The front hears something, and does what it thinks right.
    pub fn on(&mut self, event: Event) {
        if self.ended.is_some() {
            return;
        }
        let mut actions: VecDeque<Action> = self.front.on(event, self.now).into();
        while let Some(action) = actions.pop_front() {
            for event in self.act(&action) {
                actions.extend(self.front.on(event, self.now));
            }
            self.done.push(action);
        }
    }

    /// What the world does with an action; returns what the front hears at once.
    fn act(&mut self, action: &Action) -> Vec<Event> {
        match action {
            Action::Reply(Channel::Shell, reply) => {
                let parent: Value = serde_json::from_slice(&reply.parent).unwrap();
                let id = parent["msg_id"].as_str().unwrap().to_owned();
                *self.replies.entry(id).or_default() += 1;
            }
            Action::PassReply(reply) => {
                *self.replies.entry(reply.parent_id.clone()).or_default() += 1;
            }
            Action::Welcome(connection) => self.welcomed = *connection,
            Action::ToEvcxr(request) => self.ask_evcxr(request.clone()),
            Action::AskEvcxr(id, kind, content) => {
                self.ask_evcxr(Message::new(kind, id, content.clone()));
            }
            Action::TellEvcxr(line) if line == crate::evcxr::words::ENDED => self.end_of_code(),
            Action::Flush(_) if self.deaf => {}
            Action::Flush(number) => {
                let flushed = FromProcess::Flushed(*number);
                self.say_as_notebook(flushed);
            }
            Action::Interrupt => {
                if let Some(Busy::Compiling(..)) = &self.busy {
                    let Some(Busy::Compiling(request, _)) = self.busy.take() else {
                        unreachable!()
                    };
                    self.finish(&request, Some("the compiler was killed"));
                    return vec![Event::Tried(Tried::StoppedCompiler)];
                }
                if self.notebook.is_none() {
                    return vec![Event::Tried(Tried::NobodyThere)];
                }
                let found = match &self.busy {
                    Some(Busy::Running(..)) if self.in_wait => Found::Wait,
                    Some(Busy::Running(..)) => Found::Busy,
                    _ => Found::Nothing,
                };
                self.say_as_notebook(FromProcess::Interrupted(found));
                if found == Found::Wait && self.stubborn {
                    self.in_wait = false;
                } else if found == Found::Wait {
                    self.in_wait = false;
                    self.say_as_notebook(FromProcess::Unwound);
                    self.write_record(record::PANICKED, "");
                    self.write_record(record::ENDED, "");
                }
                return vec![Event::Tried(Tried::Asked)];
            }
            Action::Drain(then) => return self.drain(*then),
            Action::Kill => {
                self.killed = true;
                self.die();
            }
            Action::Forget => self.notice_death(),
            Action::AnswerInput(_) => {
                if let Some(Busy::Running(_, Code::Asks)) = &self.busy {
                    self.write_record(record::ENDED, "");
                }
            }
            Action::Publish(message) if message.kind == "stream" => {
                let text = message.content["text"].as_str().unwrap();
                self.warned |= text.contains("再次中断");
            }
            Action::End(status) => self.ended = Some(*status),
            _ => {}
        }
        Vec::new()
    }

    /// The next event of a line, if any, is heard.
    pub fn go_on(&mut self, line: Line) -> bool {
        match self.lines.get_mut(&line).and_then(VecDeque::pop_front) {
            Some(event) => {
                self.on(event);
                true
            }
            None => false,
        }
    }

    /// Everything is heard that waits; no time passes.
    pub fn hear_all(&mut self) {
        while LINES.into_iter().any(|line| self.go_on(line)) {}
    }

    /// Everything is heard that waits, and time passes, until nothing more happens.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.ended.is_some() {
                return;
            }
            if LINES.into_iter().any(|line| self.go_on(line)) || self.compile() {
                continue;
            }
            match self.front.next_moment() {
                Some(moment) => self.pass_to(moment),
                None => return,
            }
        }
        panic!("it never comes to rest");
    }

    /// Time passes up to this moment.
    pub fn pass_to(&mut self, moment: Moment) {
        self.now = self.now.max(moment);
        self.on(Event::Moment);
    }

    pub fn pass(&mut self, time: Duration) {
        self.pass_to(self.now + time);
    }

    /// A client asks for something. Returns the number of the request.
    pub fn request(&mut self, kind: &str, content: Value) -> String {
        self.requests += 1;
        let id = format!("client-{}", self.requests);
        if self.ended.is_none() {
            self.replies.insert(id.clone(), 0);
        }
        self.on(Event::Shell(Message::new(kind, &id, content)));
        id
    }

    /// A client wants a cell executed.
    pub fn execute(&mut self, code: Code) -> String {
        let text = format!("{code:?}").to_lowercase();
        self.request("execute_request", json!({ "code": text }))
    }

    /// Whether evcxr is in a cell that never ends by itself.
    pub fn is_stuck(&self) -> bool {
        self.busy.is_some()
    }

    fn queue(&mut self, line: Line, event: Event) {
        self.lines.entry(line).or_default().push_back(event);
    }

    fn publish(&mut self, request: &Message, kind: &str, content: Value) {
        let message = Message {
            parent_id: request.id.clone(),
            parent: request.header.clone(),
            ..Message::new(kind, "", content)
        };
        self.queue(Line::Iopub, Event::Published(message));
    }

    fn say(&mut self, connection: u64, said: FromProcess) {
        self.queue(Line::Socket, Event::Process(connection, said));
    }

    fn say_as_notebook(&mut self, said: FromProcess) {
        if let Some(notebook) = self.notebook {
            self.say(notebook, said);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.queue(Line::Stdout, Event::Written(Stream::Stdout, bytes.to_vec()));
    }

    /// The process writes a record.
    pub fn write_record(&mut self, kind: &str, payload: &str) {
        let record = record::new(SECRET, kind, payload.as_bytes());
        self.write(&record);
    }

    /// evcxr starts a process.
    fn start_process(&mut self) {
        self.processes += 1;
        self.connections += 1;
        self.process = Some(self.connections);
        self.say(
            self.connections,
            FromProcess::Started(self.processes as u32),
        );
    }

    /// The first cell that runs in a process loads the `notebook` crate.
    fn load_notebook(&mut self) {
        if self.has_notebook && self.notebook.is_none() {
            self.connections += 1;
            self.notebook = Some(self.connections);
            self.say(self.connections, FromProcess::Loaded(self.processes as u32));
        }
    }

    /// The process ends, whatever for.
    pub fn die(&mut self) {
        self.in_wait = false;
        for connection in [self.notebook.take(), self.process.take()]
            .into_iter()
            .flatten()
        {
            self.say(connection, FromProcess::Gone);
        }
    }

    /// evcxr notices that its process is gone: the front has let go of the pipe.
    fn notice_death(&mut self) {
        if let Some(request) = self.running() {
            self.start_process();
            self.finish(&request, Some("Subprocess terminated with status: 9"));
        }
    }

    fn ask_evcxr(&mut self, request: Message) {
        self.asked.push_back(request);
        self.work();
    }

    /// evcxr goes on with what it has been asked.
    fn work(&mut self) {
        while self.busy.is_none()
            && let Some(request) = self.asked.pop_front()
        {
            self.publish(&request, "status", json!({ "execution_state": "busy" }));
            if request.kind != "execute_request" {
                self.finish(&request, None);
                continue;
            }
            let text = request.content()["code"].as_str().unwrap().to_owned();
            let code = CODES.into_iter().find(|code| {
                format!("{code:?}").to_lowercase() == text.trim_end_matches([';', '\n'])
            });
            self.publish(&request, "execute_input", json!({ "code": text }));
            self.busy = Some(Busy::Compiling(request, code.unwrap_or(Code::Quiet)));
        }
    }

    /// What is being compiled has been. False if nothing is, or if the process that is to run it has
    /// not been let in: until then it does not listen to evcxr, and nothing that it writes is read.
    pub fn compile(&mut self) -> bool {
        if self.process.is_some_and(|process| self.welcomed < process) {
            return false;
        }
        let Some(Busy::Compiling(request, code)) = self
            .busy
            .take_if(|busy| matches!(busy, Busy::Compiling(..)))
        else {
            return false;
        };
        if code == Code::Mistake {
            self.finish(&request, Some("mismatched types"));
            return true;
        }
        if self.process.is_none() {
            // It died while no cell ran: evcxr finds that out now.
            self.start_process();
            self.finish(&request, Some("Subprocess terminated with status: 9"));
            return true;
        }
        self.load_notebook();
        self.write_record(record::MESSAGE, BEGUN);
        self.busy = Some(Busy::Running(request, code));
        match code {
            Code::Shows => {
                self.write(b"EVCXR_BEGIN_CONTENT text/plain\n42\nEVCXR_END_CONTENT\n");
                self.write_record(record::MESSAGE, RETURNED);
                self.write(b"from a buffer");
            }
            Code::Floods => (0..50).for_each(|_| self.write(&[b'x'; 10_000])),
            Code::Panics => {
                self.write_record(record::MESSAGE, PANIC);
                self.write_record(record::PANICKED, "oh");
            }
            Code::Catches => self.write_record(record::MESSAGE, PANIC),
            Code::Returns => self.write_record(record::RETURNED, "an error"),
            Code::Waits => {
                self.in_wait = true;
                return true;
            }
            Code::Loops => return true,
            Code::Asks => {
                let process = self.process.unwrap();
                self.say(process, FromProcess::WantsInput);
                return true;
            }
            Code::Exits => {
                self.write(b"last words");
                self.die();
                return true;
            }
            Code::Prints | Code::Compiles => self.write(b"no newline"),
            Code::Mistake | Code::Quiet => {}
        }
        self.write_record(record::ENDED, "");
        true
    }

    /// evcxr hears that the code of its cell has ended.
    fn end_of_code(&mut self) {
        if let Some(request) = self.running() {
            self.finish(&request, None);
        }
    }

    /// The request for the cell that runs, which now ends.
    fn running(&mut self) -> Option<Message> {
        match self
            .busy
            .take_if(|busy| matches!(busy, Busy::Running(..)))?
        {
            Busy::Running(request, _) | Busy::Compiling(request, _) => Some(request),
        }
    }

    /// evcxr has done what it was asked, or not.
    fn finish(&mut self, request: &Message, error: Option<&str>) {
        if let Some(error) = error.filter(|_| request.kind == "execute_request") {
            let content = json!({ "ename": "Error", "evalue": error, "traceback": [error] });
            self.publish(request, "error", content);
        }
        let status = if error.is_some() { "error" } else { "ok" };
        let reply = Message {
            parent_id: request.id.clone(),
            parent: request.header.clone(),
            ..Message::new(
                &request.kind.replace("_request", "_reply"),
                "",
                json!({ "status": status }),
            )
        };
        self.queue(Line::Reply, Event::Replied(reply));
        self.publish(request, "status", json!({ "execution_state": "idle" }));
        self.work();
    }

    /// What the process has written up to now is read.
    fn drain(&mut self, then: Then) -> Vec<Event> {
        let written = self.lines.get_mut(&Line::Stdout);
        let written = written.map(std::mem::take).unwrap_or_default();
        written.into_iter().chain([Event::Drained(then)]).collect()
    }

    /// The contents of everything of a kind that has been published for a request.
    pub fn published(&self, id: &str, kind: &str) -> Vec<&Value> {
        let of_request = |parent: &[u8]| {
            serde_json::from_slice::<Value>(parent).is_ok_and(|header| header["msg_id"] == id)
        };
        let all = self.done.iter().filter_map(|action| match action {
            Action::Publish(message) => Some(message),
            _ => None,
        });
        all.filter(|message| message.kind == kind && of_request(&message.parent))
            .map(|message| &message.content)
            .collect()
    }

    /// What a request has been answered.
    pub fn answer(&self, id: &str) -> Option<&Value> {
        self.done.iter().find_map(|action| match action {
            Action::Reply(Channel::Shell, reply) => {
                let header: Value = serde_json::from_slice(&reply.parent).unwrap();
                (header["msg_id"] == id).then_some(&reply.content)
            }
            _ => None,
        })
    }

    /// Text that a cell has shown on a stream.
    pub fn text(&self, id: &str, stream: &str) -> String {
        let streams = self.published(id, "stream").into_iter();
        streams
            .filter(|content| content["name"] == stream)
            .map(|content| content["text"].as_str().unwrap())
            .collect()
    }
}

/// A cell's code begins to run.
const BEGUN: &str = r#"{"msg_type":"begun","content":{"library":"libcode_1.so","build":1}}"#;
/// A cell's code has returned.
const RETURNED: &str = r#"{"msg_type":"returned","content":{}}"#;
/// A panic, as the `notebook` crate tells it.
pub const PANIC: &str =
    r#"{"msg_type":"panic","content":{"message":"oh","file":"a.rs","line":1,"column":2}}"#;
