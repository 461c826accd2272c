//! A cell from its request to its reply.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::complete;
use crate::diagnosis::{Cells, Diagnosis, Told};
use crate::evcxr::limits::{self, Refused};
use crate::evcxr::source_map::SourceMap;
use crate::evcxr::words;
use crate::failure::{self, Panic};
use crate::interrupt::Interruption;
use crate::message::Message;
use crate::teach::Teacher;

/// An `execute_request` that is being worked on.
pub struct Execution {
    pub request: Message,
    pub code: String,
    /// Its execution count.
    pub count: u64,
    pub silent: bool,
    pub store_history: bool,
    pub stop_on_error: bool,
    /// Whether evcxr shows the value of its last expression.
    pub ends_in_expression: bool,
    /// evcxr's reply, when it has come.
    pub reply: Option<Value>,
    /// Whether evcxr has said that it is idle again.
    pub idle: bool,
    /// evcxr's `error` messages.
    pub errors: Vec<Value>,
    /// What rustc has said last of it.
    pub diagnosis: Option<Diagnosis>,
    /// The last panic on its thread, which may have been caught.
    pub panic: Option<Panic>,
    /// How its code ended, if not well.
    pub failed: Option<Failed>,
    /// Whether the client can ask the student something.
    pub allows_input: bool,
    /// What is to be asked, and whether secretly, if a cell has said so.
    pub question: Option<(String, bool)>,
    /// Whether its process waits for what the student types.
    pub waits_for_input: bool,
    pub interruption: Interruption,
}

/// How code ends early.
#[derive(Debug, PartialEq)]
pub enum Failed {
    Panicked,
    /// A `?` returned an error, with its text.
    Returned(String),
}

impl Execution {
    /// For a request; `count` cells have been counted before it.
    pub fn new(request: Message, count: u64) -> Execution {
        let content = request.content();
        let code = content["code"].as_str().unwrap_or_default().to_owned();
        let silent = content["silent"] == true;
        let store_history = !silent && content["store_history"] != false;
        Execution {
            ends_in_expression: complete::ends_in_expression(&code),
            request,
            code,
            count: count + u64::from(store_history),
            silent,
            store_history,
            stop_on_error: content["stop_on_error"] != false,
            reply: None,
            idle: false,
            errors: Vec::new(),
            diagnosis: None,
            panic: None,
            failed: None,
            allows_input: content["allow_stdin"] != false,
            question: None,
            waits_for_input: false,
            interruption: Interruption::default(),
        }
    }

    /// The header of its request.
    pub fn header(&self) -> Bytes {
        self.request.header.clone()
    }

    /// Whether evcxr has said everything.
    pub fn is_over(&self) -> bool {
        self.reply.is_some() && self.idle
    }

    /// evcxr's `error` message.
    pub fn take_error(&mut self, mut content: Value) {
        words::count_as(&mut content, self.count);
        self.errors.push(content);
    }

    /// What went wrong, as `teacher` tells it; nothing if the cell is well. `last_words` is what its
    /// process has last written to stderr.
    pub fn failures(&self, map: &SourceMap, last_words: &[u8], teacher: &Teacher) -> Vec<Value> {
        let interruption = &self.interruption;
        let reply = self.reply.as_ref();
        let failed = reply.is_some_and(|reply| reply["status"] != "ok");
        if interruption.killed() && failed {
            return vec![failure::of_kill()];
        }
        if interruption.ended_question && self.failed.is_some() {
            return vec![failure::of_interrupt(false)];
        }
        if interruption.cancelled && self.failed == Some(Failed::Panicked) && self.panic.is_none() {
            return vec![failure::of_interrupt(false)];
        }
        match &self.failed {
            Some(Failed::Panicked) => {
                let panic = self.panic.clone().unwrap_or_default();
                let more = teacher.of_panic(&panic.message);
                vec![failure::of_panic(&panic, map, more)]
            }
            Some(Failed::Returned(message)) => vec![failure::of_returned(message.trim_end())],
            None if !failed => Vec::new(),
            None if interruption.compiler_stopped => vec![failure::of_interrupt(true)],
            None => match self.errors.iter().find_map(words::death) {
                Some((printed, how)) => vec![failure::of_death(printed, how, last_words)],
                None if self.errors.is_empty() => {
                    vec![failure::error("Error", "evcxr 没有说明原因", &[])]
                }
                None => self.mistakes(map, teacher),
            },
        }
    }

    /// The errors that have been found before the code ran: as rustc says them, if it is rustc who
    /// says so, or else as evcxr does.
    fn mistakes(&self, map: &SourceMap, teacher: &Teacher) -> Vec<Value> {
        let all = match &self.diagnosis {
            Some(diagnosis) => diagnosis.errors(self.cells(map)),
            None => Vec::new(),
        };
        let short_lived = all
            .iter()
            .find(|told| told.code.as_deref() == Some("E0597"));
        let refused = Refused {
            code: &self.code,
            map,
            owner: short_lived.and_then(|told| told.message.split('`').nth(1)),
        };
        let said = |told: &&Told| {
            let mut errors = self
                .errors
                .iter()
                .filter_map(|error| error["evalue"].as_str());
            errors.any(|said| said.contains(&told.original))
        };
        let told: Vec<Told> = all.iter().filter(said).cloned().collect();
        if told.is_empty() {
            return limits::explained(&self.errors, refused);
        }
        // What is evcxr's doing needs no other reason.
        let more = |told: &Told| match limits::hint(told, refused) {
            Some(lines) => lines,
            None => teacher.of_mistake(told),
        };
        vec![failure::of_mistakes(&told, more)]
    }

    /// What rustc warns of in it.
    pub fn warnings(&mut self, map: &SourceMap) -> Vec<Told> {
        let diagnosis = self.diagnosis.take();
        diagnosis.map_or(Vec::new(), |diagnosis| diagnosis.warnings(self.cells(map)))
    }

    fn cells<'a>(&'a self, map: &'a SourceMap) -> Cells<'a> {
        Cells {
            map,
            count: self.count,
            code: &self.code,
        }
    }

    /// The content of the reply to it.
    pub fn reply(&self, failures: &[Value]) -> Value {
        let mut content = match failures.first() {
            Some(failure) => failure.clone(),
            None => json!({ "user_expressions": not_evaluated(&self.request.content()) }),
        };
        content["status"] = json!(if failures.is_empty() { "ok" } else { "error" });
        content["execution_count"] = json!(self.count);
        content["payload"] = json!([]);
        content
    }
}

/// A request that is passed on. evcxr's reply and its going idle come on two channels, in any order.
pub struct Relayed {
    pub request: Message,
    pub replied: bool,
    pub idle: bool,
}

impl Relayed {
    pub fn new(request: Message) -> Relayed {
        Relayed {
            request,
            replied: false,
            idle: false,
        }
    }

    pub fn is_over(&self) -> bool {
        let has_reply = self.request.kind != "comm_open";
        self.idle && (self.replied || !has_reply)
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
