//! What a kernel runs before anybody asks: its notebook's first cell, and a rehearsal.
//!
//! A kernel that nobody waits for yet, a spare or the next notebook's, runs the first cell ahead,
//! which is almost all that a student would have to wait for. When that cell comes as the first one,
//! it is answered from the record. If any other comes first, evcxr forgets everything (`:clear`)
//! before it sees it. So a kernel never knows more than what has been executed in it, and only
//! cells are run ahead that do nothing but name crates and imports: nobody may want the others.
//!
//! The rehearsal then makes evcxr do once what it is slow at the first time, as long as nobody
//! asks for anything; of a kernel that somebody has started, too, while they read what they are
//! about to execute, and once a cell has named crates. It leaves neither a variable nor an item
//! behind:
//! - a completion, for which the analyser infers types. A cell with a `let` would do it, too, and
//!   leave the variable; one that does not compile would be what `:explain` explains;
//! - an await. From the first one on, evcxr compiles each cell as async code, until `:clear`.

use std::cell::Cell as Shared;
use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Front;
use super::wire::Message;
use crate::priority;

/// Makes the analyser infer a type.
const COMPLETION: &str = "let rehearsal = vec![1, 2, 3]; rehearsal.le";
/// Makes evcxr's cells asynchronous.
const AWAIT: &str = "tokio::task::yield_now().await;";

/// Whether a cell does nothing but name crates and imports, each on a line.
pub fn may_be_run_ahead(cell: &str) -> bool {
    cell.lines().map(str::trim).all(|line| {
        let import = line.starts_with("use ") && line.find(';') == Some(line.len() - 1);
        line.is_empty() || line.starts_with("//") || line.starts_with(":dep ") || import
    })
}

/// What is run ahead, until the first cell that a client wants decides what becomes of it.
pub struct Ahead {
    first: String,
    /// What is still to be run.
    steps: VecDeque<Step>,
    /// What has been run last, or is being run.
    running: Option<Step>,
    /// The header of our request for it.
    own: Bytes,
    /// Whether the first cell has been run, did well, and had nothing to show.
    holds: bool,
    /// Whether evcxr must forget what has been run if it was not what is asked for.
    leaves_traces: bool,
    /// Whether our requests have shown anything.
    has_shown: Shared<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    First,
    Completion,
    Await,
    Clear,
}

impl Ahead {
    /// For a notebook with this first cell.
    pub fn new(first: String) -> Ahead {
        let mut steps = VecDeque::from([Step::First, Step::Completion]);
        // Without tokio, evcxr would add it.
        if first.lines().any(|line| line.starts_with(":dep tokio ")) {
            steps.push_back(Step::Await);
        }
        Ahead {
            first,
            steps,
            running: None,
            own: Bytes::new(),
            holds: false,
            leaves_traces: true,
            has_shown: Shared::new(false),
        }
    }

    /// For a kernel that its clients use, or are about to: the analyser infers its first type, which
    /// takes it more than two seconds, while they read what they see.
    pub fn rehearsal() -> Ahead {
        Ahead {
            steps: VecDeque::from([Step::Completion]),
            leaves_traces: false,
            ..Ahead::new(String::new())
        }
    }

    /// Whether the request with this header is ours.
    fn is_own(&self, header: &Bytes) -> bool {
        !self.own.is_empty() && self.own == *header
    }

    /// Whether what is published for `parent` is no client's business.
    pub fn hides(&self, kind: &str, parent: &Bytes) -> bool {
        let hides = self.is_own(parent);
        if hides && kind != "status" {
            self.has_shown.set(true);
        }
        hides
    }
}

impl Front {
    /// Whether the request with this header is our own.
    pub(super) fn is_own(&self, header: &Bytes) -> bool {
        let ahead = self.ahead.as_ref();
        ahead.is_some_and(|ahead| ahead.is_own(header))
    }

    /// Whether evcxr is working for nobody but us.
    pub(super) fn is_ahead(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|current| self.is_own(&current.request().header))
    }

    /// What evcxr, which has nothing to do, is to do for us before it hears `asked`, the next
    /// request of a client.
    pub(super) fn next_step(&mut self, asked: Option<&Message>) -> Option<Message> {
        let ahead = self.ahead.as_mut()?;
        let step = match asked {
            None => ahead.steps.pop_front()?,
            Some(request) => {
                let code = code_of(request)?;
                if !ahead.leaves_traces
                    || ahead.running.is_none()
                    || (ahead.holds && code == ahead.first)
                {
                    return None;
                }
                Step::Clear
            }
        };
        let (kind, content) = match step {
            Step::First => ("execute_request", cell(&ahead.first)),
            Step::Await => ("execute_request", cell(AWAIT)),
            Step::Clear => ("execute_request", cell(":clear")),
            Step::Completion => {
                let content = json!({ "code": COMPLETION, "cursor_pos": COMPLETION.len() });
                ("complete_request", content)
            }
        };
        let request = Message::new(kind, &Bytes::new(), &self.session, &content);
        ahead.running = Some(step);
        ahead.own = request.header.clone();
        Some(request)
    }

    /// Whether `request` is for the first cell, and that has been run ahead. From now on what
    /// happens in the kernel is what its clients want.
    pub(super) fn settle(&mut self, request: &Message) -> bool {
        let decides = self.ahead.is_some().then(|| code_of(request)).flatten();
        decides.is_some_and(|code| {
            let ahead = self.ahead.take();
            ahead.is_some_and(|ahead| ahead.holds && code == ahead.first)
        })
    }

    /// One of our own requests is over.
    pub(super) fn end_step(&mut self, errors: &[Value]) {
        self.latest = Bytes::new();
        let shown = self.output.shown.take().is_some();
        let Some(ahead) = &mut self.ahead else { return };
        match ahead.running {
            Some(Step::First) => {
                ahead.holds = errors.is_empty() && !shown && !ahead.has_shown.get();
                if !ahead.holds {
                    ahead.steps.clear();
                    let cause = errors.first().and_then(|error| error["evalue"].as_str());
                    self.warm = Some(Err(cause.unwrap_or("它有输出").to_owned()));
                    return;
                }
            }
            Some(Step::Clear) => {
                self.ahead = None;
                return;
            }
            _ => {}
        }
        if ahead.steps.is_empty() {
            self.warm = Some(Ok(()));
        }
    }

    /// Somebody uses the kernel.
    pub(super) fn step_forward(&mut self) {
        if std::mem::take(&mut self.steps_back) {
            tokio::spawn(priority::normal());
        }
    }
}

/// The code of a cell; evcxr does nothing for an empty one.
fn code_of(request: &Message) -> Option<String> {
    let content = (request.kind == "execute_request").then(|| request.content())?;
    let code = content["code"].as_str()?;
    (!code.trim().is_empty()).then(|| code.to_owned())
}

fn cell(code: &str) -> Value {
    json!({ "code": code, "silent": true, "store_history": false, "allow_stdin": false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_effect_is_run_ahead() {
        for cell in [
            "",
            ":dep tokio = \"1\"\n\n// 注释\nuse notebook::{print, println};",
        ] {
            assert!(may_be_run_ahead(cell), "{cell}");
        }
        for cell in [
            "println!();",
            ":dep tokio = \"1\"\nserve();",
            "use a::b; serve();",
            "use a::{\n    b,\n};",
            ":opt 2",
            "!rm x",
        ] {
            assert!(!may_be_run_ahead(cell), "{cell}");
        }
    }

    #[test]
    fn after_a_client_has_run_the_first_cell_nothing_is_run_that_would_have_to_be_forgotten() {
        let ahead = Ahead::rehearsal();
        assert_eq!(ahead.steps, [Step::Completion]);
        assert!(!ahead.leaves_traces && !ahead.holds);
    }

    #[test]
    fn a_rehearsal_adds_no_crate() {
        let steps = |first: &str| Ahead::new(first.to_owned()).steps;
        assert!(steps(":dep tokio = \"1\"").contains(&Step::Await));
        assert!(!steps(":dep tokio-util = \"1\"").contains(&Step::Await));
    }
}
