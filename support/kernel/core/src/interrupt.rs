//! Interrupts of a cell: the first cancels what can be cancelled, the second ends what cannot.
//!
//! A cell is compiled, run, sometimes compiled and run again; only its process knows whether its
//! code is running. So an interrupt stays wanted until it has found something or the cell is over.
//! It never hits a later cell: it belongs to the one that was current when it came, and the process
//! handles it before the flush that precedes every cell's end.

use std::time::Duration;

use crate::Moment;
use crate::event::{Found, Tried};

/// How often it is tried again while there is nothing to interrupt.
const RETRY: Duration = Duration::from_millis(50);
/// How long a cancelled wait may take to stop before it is said to be stuck.
const REACTION: Duration = Duration::from_millis(300);
/// How long a process without the `notebook` crate may run before it is said to be busy.
const UNKNOWN: Duration = Duration::from_secs(1);

/// How long a student has been able to read what the next interrupt does, at least, before it does
/// that: a double click on ■ costs nothing.
const READ: Duration = Duration::from_millis(500);

const BUSY: &str = "[未能中断] 此单元格在执行不会让出线程的代码（循环、std::thread::sleep……），取消不了。\
    再次中断将终止执行单元格的进程：变量、后台任务和服务器都会丢失。\n";
const STUCK: &str = "[等待中断] 此单元格到它的下一个 .await 才会停下，而它还没有走到那里。\
    再次中断将终止执行单元格的进程：变量、后台任务和服务器都会丢失。\n";

/// What has become of the interrupts of a cell.
#[derive(Debug, Default)]
pub struct Interruption {
    state: State,
    /// A wait was cancelled, and the code ended with it.
    pub cancelled: bool,
    /// The code waited for the student to type something, and does so no longer.
    pub ended_question: bool,
    /// A compiler was stopped.
    pub compiler_stopped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// None is wanted.
    #[default]
    Unwanted,
    /// One is wanted since then, and is tried again at a moment.
    Wanted { since: Moment, again: Moment },
    /// One has been sent on its way, and its answer comes.
    Asked { since: Moment },
    /// A wait was cancelled; at this moment the code is said to be stuck.
    Stopping(Moment),
    /// The student knows since then that the next one kills.
    Warned(Moment),
    /// The process has been killed.
    Killed,
}

/// What is to be done for an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send it on its way.
    Try,
    /// Tell the code that what it waits for will not be typed.
    EndQuestion,
    /// Say this to the student.
    Warn(&'static str),
    /// End the process.
    Kill,
}

impl Interruption {
    /// One has come. `asks`: the code waits for the student to type something.
    pub fn wanted(&mut self, asks: bool, now: Moment) -> Option<Step> {
        let since = match self.state {
            State::Warned(at) if now < at + READ => return None,
            State::Warned(_) | State::Killed => {
                self.state = State::Killed;
                return Some(Step::Kill);
            }
            State::Wanted { since, .. } | State::Asked { since } => since,
            State::Unwanted | State::Stopping(_) => now,
        };
        if asks {
            // It may end by itself when it hears that.
            self.ended_question = true;
            let again = now + REACTION;
            self.state = State::Wanted { since, again };
            return Some(Step::EndQuestion);
        }
        self.state = State::Asked { since };
        Some(Step::Try)
    }

    /// The code waits for the student to type something. Returns whether it hears instead that
    /// nothing will be typed: an interrupt was wanted before it asked.
    pub fn asks(&mut self) -> bool {
        let wanted = matches!(self.state, State::Wanted { .. } | State::Asked { .. });
        self.ended_question |= wanted;
        wanted
    }

    /// What has become of it on its way.
    pub fn tried(&mut self, tried: Tried, now: Moment) -> Option<Step> {
        self.compiler_stopped |= tried == Tried::StoppedCompiler;
        let State::Asked { since } = self.state else {
            return None;
        };
        match tried {
            Tried::Asked => None,
            Tried::NobodyThere if now.saturating_sub(since) > UNKNOWN => self.warn(BUSY, now),
            Tried::StoppedCompiler | Tried::NobodyThere => self.again(since, now),
        }
    }

    /// What it has found. `ending`: the code has come to its end meanwhile.
    pub fn found(&mut self, found: Found, ending: bool, now: Moment) -> Option<Step> {
        match (found, self.state) {
            // Of an earlier cell, or too late.
            (_, State::Unwanted | State::Warned(_) | State::Killed) => None,
            (Found::Wait, _) => {
                self.state = State::Stopping(now + REACTION);
                None
            }
            (Found::Busy, _) if !ending => self.warn(BUSY, now),
            (_, State::Asked { since } | State::Wanted { since, .. }) => self.again(since, now),
            (_, State::Stopping(_)) => None,
        }
    }

    /// Who was asked is gone, and will not answer.
    pub fn nobody_answers(&mut self, now: Moment) {
        if let State::Asked { since } = self.state {
            self.again(since, now);
        }
    }

    /// When [`Interruption::time_passes`] has something to do.
    pub fn moment(&self) -> Option<Moment> {
        match self.state {
            State::Wanted { again, .. } => Some(again),
            State::Stopping(until) => Some(until),
            _ => None,
        }
    }

    /// Goes on. `runs`: the code has not come to its end.
    pub fn time_passes(&mut self, runs: bool, now: Moment) -> Option<Step> {
        match self.state {
            State::Wanted { since, again } if again <= now => {
                self.state = State::Asked { since };
                Some(Step::Try)
            }
            State::Stopping(until) if until <= now => match runs {
                true => self.warn(STUCK, now),
                false => {
                    self.state = State::Unwanted;
                    None
                }
            },
            _ => None,
        }
    }

    /// Whether the process was killed.
    pub fn killed(&self) -> bool {
        self.state == State::Killed
    }

    fn again(&mut self, since: Moment, now: Moment) -> Option<Step> {
        let again = now + RETRY;
        self.state = State::Wanted { since, again };
        None
    }

    fn warn(&mut self, notice: &'static str, now: Moment) -> Option<Step> {
        self.state = State::Warned(now);
        Some(Step::Warn(notice))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_secs(100);

    fn asked() -> Interruption {
        let mut interruption = Interruption::default();
        assert_eq!(interruption.wanted(false, NOW), Some(Step::Try));
        assert_eq!(interruption.tried(Tried::Asked, NOW), None);
        interruption
    }

    #[test]
    fn a_wait_is_cancelled_and_said_to_be_stuck_only_if_its_code_goes_on() {
        for (runs, step) in [(true, Some(Step::Warn(STUCK))), (false, None)] {
            let mut interruption = asked();
            assert_eq!(interruption.found(Found::Wait, false, NOW), None);
            assert_eq!(interruption.moment(), Some(NOW + REACTION));
            assert_eq!(interruption.time_passes(runs, NOW), None);
            assert_eq!(interruption.time_passes(runs, NOW + REACTION), step);
            assert_eq!(interruption.moment(), None);
        }
    }

    #[test]
    fn busy_code_is_killed_by_the_second_interrupt_and_not_by_the_first() {
        let mut interruption = asked();
        let warned = interruption.found(Found::Busy, false, NOW);
        assert_eq!(warned, Some(Step::Warn(BUSY)));
        assert!(!interruption.killed());
        // What is heard late changes nothing.
        for found in [Found::Nothing, Found::Busy, Found::Wait] {
            assert_eq!(interruption.found(found, false, NOW), None);
        }
        // Nobody can have read it yet.
        assert_eq!(interruption.wanted(false, NOW + READ / 2), None);
        assert!(!interruption.killed());
        assert_eq!(interruption.wanted(false, NOW + READ), Some(Step::Kill));
        assert!(interruption.killed());
        assert_eq!(interruption.wanted(false, NOW + READ), Some(Step::Kill));
    }

    #[test]
    fn an_interrupt_stays_wanted_until_it_finds_something() {
        for tried in [Tried::StoppedCompiler, Tried::NobodyThere] {
            let mut interruption = Interruption::default();
            interruption.wanted(false, NOW);
            assert_eq!(interruption.tried(tried, NOW), None);
            assert_eq!(interruption.time_passes(true, NOW), None);
            let next = interruption.moment().unwrap();
            assert_eq!(interruption.time_passes(true, next), Some(Step::Try));
            assert_eq!(
                interruption.compiler_stopped,
                tried == Tried::StoppedCompiler
            );
        }
        for (found, ending) in [(Found::Nothing, false), (Found::Busy, true)] {
            let mut interruption = asked();
            assert_eq!(interruption.found(found, ending, NOW), None);
            assert_eq!(interruption.moment(), Some(NOW + RETRY));
        }
        let mut interruption = asked();
        interruption.nobody_answers(NOW);
        assert_eq!(interruption.moment(), Some(NOW + RETRY));
    }

    #[test]
    fn code_that_nobody_can_ask_is_said_to_be_busy_after_a_while() {
        let mut interruption = Interruption::default();
        interruption.wanted(false, NOW);
        let mut now = NOW;
        let warned = loop {
            if let Some(step) = interruption.tried(Tried::NobodyThere, now) {
                break step;
            }
            now = interruption.moment().unwrap();
            assert_eq!(interruption.time_passes(true, now), Some(Step::Try));
        };
        assert_eq!(warned, Step::Warn(BUSY));
        assert!(now > NOW + UNKNOWN && now < NOW + 2 * UNKNOWN);
    }

    #[test]
    fn a_question_ends_and_what_does_not_end_with_it_is_interrupted() {
        let mut interruption = Interruption::default();
        assert_eq!(interruption.wanted(true, NOW), Some(Step::EndQuestion));
        assert!(interruption.ended_question);
        assert_eq!(interruption.moment(), Some(NOW + REACTION));
        let next = interruption.time_passes(true, NOW + REACTION);
        assert_eq!(next, Some(Step::Try));
        // It does not matter which of both came first.
        let mut interruption = Interruption::default();
        assert!(!interruption.asks());
        interruption.wanted(false, NOW);
        assert!(interruption.asks() && interruption.ended_question);
        // A loop that asks again and again is no less stubborn than any other.
        let again = interruption.moment();
        assert!(interruption.asks());
        assert_eq!(interruption.moment(), again);
    }

    #[test]
    fn a_second_interrupt_is_tried_at_once_and_waits_no_longer_than_the_first() {
        let mut interruption = Interruption::default();
        interruption.wanted(false, NOW);
        interruption.tried(Tried::NobodyThere, NOW);
        assert_eq!(interruption.wanted(false, NOW + UNKNOWN), Some(Step::Try));
        let later = NOW + UNKNOWN + RETRY;
        assert_eq!(
            interruption.tried(Tried::NobodyThere, later),
            Some(Step::Warn(BUSY))
        );
        // Of a wait that is stopping, too.
        let mut interruption = asked();
        interruption.found(Found::Wait, false, NOW);
        assert_eq!(interruption.wanted(false, NOW), Some(Step::Try));
    }
}
