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

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Moment;
use crate::message::Message;

/// Makes the analyser infer a type.
const COMPLETION: &str = "let rehearsal = vec![1, 2, 3]; rehearsal.le";
/// Makes evcxr's cells asynchronous.
const AWAIT: &str = "tokio::task::yield_now().await;";
/// After its start, the time that a kernel gives to who knows already what to execute.
const AFTER_START: Duration = Duration::from_secs(1);
/// The same after a cell: less than it takes to read what the cell has shown, and more than a client
/// needs that executes one cell after another.
const AFTER_CELL: Duration = Duration::from_millis(300);

/// Whether a cell does nothing but name crates and imports, each on a line.
pub fn may_be_run_ahead(cell: &str) -> bool {
    cell.lines().map(str::trim).all(|line| {
        let import = line.starts_with("use ") && line.find(';') == Some(line.len() - 1);
        line.is_empty() || line.starts_with("//") || line.starts_with(":dep ") || import
    })
}

/// What is to be run ahead.
#[derive(Debug, Default)]
pub enum Plan {
    /// Nothing: what happens in the kernel is what its clients want.
    #[default]
    Nothing,
    /// A rehearsal, if nobody asks for anything before this moment.
    Pause(Moment),
    /// A rehearsal, as soon as evcxr has nothing to do.
    Rehearsal,
    /// The first cell.
    First(First),
}

/// A notebook's first cell, run ahead.
#[derive(Debug)]
pub struct First {
    code: String,
    /// What is still to be run.
    steps: VecDeque<Step>,
    /// What has become of the cell, once it has been run: whether it did well, and had nothing to
    /// show.
    ran: Option<bool>,
}

/// Something that evcxr does for nobody but us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first cell.
    First,
    /// A completion.
    Completion,
    /// An await.
    Await,
    /// Forgets everything.
    Clear,
}

/// What evcxr, which has nothing to do, is to do next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Something for nobody but us.
    Own(Step),
    /// What is asked for has been done ahead.
    Known,
    /// What is asked for.
    Asked,
}

impl Plan {
    /// For a notebook with this first cell.
    pub fn first(code: String) -> Plan {
        let mut steps = VecDeque::from([Step::First, Step::Completion]);
        // Without tokio, evcxr would add it.
        if code.lines().any(|line| line.starts_with(":dep tokio ")) {
            steps.push_back(Step::Await);
        }
        Plan::First(First {
            code,
            steps,
            ran: None,
        })
    }

    /// evcxr hears us: a kernel that has nothing to run ahead may at least rehearse.
    pub fn begin(&mut self, now: Moment) {
        if let Plan::Nothing = self {
            *self = Plan::Pause(now + AFTER_START);
        }
    }

    /// A cell has named crates: what the analyser knows has become old.
    pub fn rehearse_again(&mut self, now: Moment) {
        *self = Plan::Pause(now + AFTER_CELL);
    }

    /// When [`Plan::time_passes`] has something to do.
    pub fn moment(&self) -> Option<Moment> {
        match self {
            Plan::Pause(until) => Some(*until),
            _ => None,
        }
    }

    /// Nobody has asked for anything so far.
    pub fn time_passes(&mut self, now: Moment) {
        if self.moment().is_some_and(|until| until <= now) {
            *self = Plan::Rehearsal;
        }
    }

    /// What evcxr is to do, which has nothing to do; `asked` is the next request of a client.
    pub fn next(&mut self, asked: Option<&Message>) -> Option<Next> {
        let Some(request) = asked else {
            let step = match self {
                Plan::First(first) => first.steps.pop_front()?,
                Plan::Rehearsal => {
                    *self = Plan::Nothing;
                    Step::Completion
                }
                Plan::Nothing | Plan::Pause(_) => return None,
            };
            return Some(Next::Own(step));
        };
        let Some(code) = code_of(request) else {
            return Some(Next::Asked); // changes nothing
        };
        // From now on what happens in the kernel is what its clients want.
        Some(match std::mem::take(self) {
            Plan::First(First { ran: None, .. }) => Next::Asked,
            Plan::First(first) if first.ran == Some(true) && first.code == code => Next::Known,
            Plan::First(_) => Next::Own(Step::Clear),
            _ => Next::Asked,
        })
    }

    /// The kind and the content of the request for a step; `first` is the code of the first cell.
    pub fn request(&self, step: Step) -> (&'static str, Value) {
        let cell = |code: &str| json!({ "code": code, "silent": true, "store_history": false, "allow_stdin": false });
        match (step, self) {
            (Step::First, Plan::First(first)) => ("execute_request", cell(&first.code)),
            (Step::First | Step::Clear, _) => ("execute_request", cell(":clear")),
            (Step::Await, _) => ("execute_request", cell(AWAIT)),
            (Step::Completion, _) => {
                let content = json!({ "code": COMPLETION, "cursor_pos": COMPLETION.len() });
                ("complete_request", content)
            }
        }
    }

    /// A step is over: with this error, if any, and whether it has shown anything. Returns whether
    /// all that was to be run ahead has been, or why not.
    pub fn done(
        &mut self,
        step: Step,
        error: Option<String>,
        shown: bool,
    ) -> Option<Result<(), String>> {
        let Plan::First(first) = self else {
            return None;
        };
        if step == Step::First {
            let well = error.is_none() && !shown;
            first.ran = Some(well);
            if !well {
                first.steps.clear();
                return Some(Err(error.unwrap_or_else(|| "它有输出".to_owned())));
            }
        }
        first.steps.is_empty().then_some(Ok(()))
    }
}

/// The code of a cell; evcxr does nothing for an empty one.
fn code_of(request: &Message) -> Option<String> {
    let content = (request.kind == "execute_request").then(|| request.content())?;
    let code = content["code"].as_str()?;
    (!code.trim().is_empty()).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(code: &str) -> Message {
        Message::new("execute_request", "1", json!({ "code": code }))
    }

    /// A plan of which everything has been run ahead, well or not.
    fn ran(code: &str, well: bool) -> Plan {
        let mut plan = Plan::first(code.to_owned());
        while let Some(Next::Own(step)) = plan.next(None) {
            let error = (!well && step == Step::First).then(|| "no".to_owned());
            plan.done(step, error, false);
        }
        plan
    }

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
    fn the_first_request_for_a_cell_decides() {
        let first = ":dep a = \"1\"";
        for (mut plan, asked, next) in [
            (ran(first, true), first, Next::Known),
            (ran(first, true), "1 + 1", Next::Own(Step::Clear)),
            (ran(first, false), first, Next::Own(Step::Clear)),
            (Plan::first(first.to_owned()), first, Next::Asked),
            (Plan::Rehearsal, "1 + 1", Next::Asked),
            (Plan::Pause(Moment::ZERO), "1 + 1", Next::Asked),
            (Plan::Nothing, "1 + 1", Next::Asked),
        ] {
            assert_eq!(plan.next(Some(&cell(asked))), Some(next));
            assert!(matches!(plan, Plan::Nothing));
            assert_eq!(plan.next(Some(&cell(asked))), Some(Next::Asked));
        }
    }

    #[test]
    fn what_is_no_cell_decides_nothing() {
        let mut plan = ran(":dep a = \"1\"", true);
        let completion = Message::new("complete_request", "1", json!({ "code": "a" }));
        for asked in [completion, cell(" \n")] {
            assert_eq!(plan.next(Some(&asked)), Some(Next::Asked));
        }
        assert_eq!(plan.next(Some(&cell(":dep a = \"1\""))), Some(Next::Known));
    }

    #[test]
    fn all_that_is_run_ahead_is_said_to_have_been_run_once() {
        let mut plan = Plan::first(":dep tokio = \"1\"".to_owned());
        let mut said = Vec::new();
        while let Some(Next::Own(step)) = plan.next(None) {
            said.push((step, plan.done(step, None, false)));
        }
        let expected = [
            (Step::First, None),
            (Step::Completion, None),
            (Step::Await, Some(Ok(()))),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_first_cell_that_fails_or_shows_something_is_not_kept() {
        for (error, shown, cause) in [
            (Some("no such crate".to_owned()), false, "no such crate"),
            (None, true, "它有输出"),
        ] {
            let mut plan = Plan::first(String::from(":dep a = \"1\""));
            assert_eq!(plan.next(None), Some(Next::Own(Step::First)));
            assert_eq!(
                plan.done(Step::First, error, shown),
                Some(Err(cause.to_owned()))
            );
            assert_eq!(plan.next(None), None);
        }
    }

    #[test]
    fn a_rehearsal_adds_no_crate_and_leaves_nothing_to_be_forgotten() {
        let steps = |first: &str| match Plan::first(first.to_owned()) {
            Plan::First(first) => first.steps,
            _ => VecDeque::new(),
        };
        assert!(steps(":dep tokio = \"1\"").contains(&Step::Await));
        assert!(!steps(":dep tokio-util = \"1\"").contains(&Step::Await));
        let mut plan = Plan::Rehearsal;
        assert_eq!(plan.next(None), Some(Next::Own(Step::Completion)));
        assert_eq!(plan.next(None), None);
    }

    #[test]
    fn a_kernel_that_nobody_uses_rehearses_after_a_while() {
        let mut plan = Plan::Nothing;
        plan.begin(Moment::ZERO);
        plan.time_passes(AFTER_START / 2);
        assert_eq!((plan.moment(), plan.next(None)), (Some(AFTER_START), None));
        plan.time_passes(AFTER_START);
        assert_eq!(plan.next(None), Some(Next::Own(Step::Completion)));
        // Once more after a cell that names crates, unless the next one comes at once.
        for (asked, step) in [(false, Some(Next::Own(Step::Completion))), (true, None)] {
            plan.rehearse_again(Moment::ZERO);
            assert_eq!(plan.next(None), None);
            if asked {
                assert_eq!(plan.next(Some(&cell("1 + 1"))), Some(Next::Asked));
            }
            plan.time_passes(AFTER_CELL);
            assert_eq!(plan.next(None), step);
        }
        // Another, for which there is something to run ahead, does not wait for that.
        let mut plan = Plan::first(String::new());
        plan.begin(Moment::ZERO);
        assert_eq!(plan.moment(), None);
    }
}
