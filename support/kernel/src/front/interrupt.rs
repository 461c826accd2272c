//! Interrupts: the first cancels what can be cancelled, the second ends what cannot.
//!
//! A cell is compiled, run, sometimes compiled and run again; only its process knows whether its
//! code is running. So an interrupt stays wanted until it has found something or the cell is over.
//! It never hits a later cell: it belongs to the one that was current when it came, and the process
//! handles it before the flush that precedes every cell's end.

use std::time::Duration;

use base::processes::signal;
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::time::Instant;

use super::cells::Current;
use super::link::Found;
use super::stream::Stream;
use super::{Front, processes};

/// How often it is tried again while there is nothing to interrupt.
const RETRY: Duration = Duration::from_millis(50);
/// How long a cancelled wait may take to stop before it is said to be stuck.
const REACTION: Duration = Duration::from_millis(300);
/// How long a process without the `notebook` crate may run before it is said to be busy.
const UNKNOWN: Duration = Duration::from_secs(1);

const BUSY: &str = "[未能中断] 此单元格在执行不会让出线程的代码（循环、std::thread::sleep……），取消不了。\
    再次中断将终止执行单元格的进程：变量、后台任务和服务器都会丢失。\n";
const STUCK: &str = "[等待中断] 此单元格到它的下一个 .await 才会停下，而它还没有走到那里。\
    再次中断将终止执行单元格的进程：变量、后台任务和服务器都会丢失。\n";

/// What has become of the interrupts of a cell.
#[derive(Default)]
pub struct Interruption {
    /// Since when one is wanted that has found nothing yet.
    wanted: Option<Instant>,
    /// When to try again.
    retry: Option<Instant>,
    /// When a cancelled wait is said to be stuck.
    reaction: Option<Instant>,
    /// The student knows that the next one kills.
    warned: bool,
    /// A wait was cancelled, and the code ended with it.
    pub cancelled: bool,
    /// The code waited for the student to type something, and does so no longer.
    pub ended_question: bool,
    pub compiler_stopped: bool,
    pub killed: bool,
}

impl Interruption {
    /// When something has to be done.
    pub fn next_moment(&self) -> Option<Instant> {
        [self.retry, self.reaction].into_iter().flatten().min()
    }
}

impl Front {
    /// An interrupt has come.
    pub(super) fn interrupt(&mut self) {
        let has_ended = self.output.ending.is_some();
        let is_ahead = self.is_ahead();
        match &mut self.current {
            // Of cells that have not started yet: they are all that anybody knows of.
            _ if is_ahead => self.abort_queue(),
            Some(Current::Cell(_)) if has_ended => {} // too late
            Some(Current::Cell(cell)) => {
                let asked = std::mem::take(&mut cell.waits_for_input);
                cell.interruption.ended_question |= asked;
                if cell.interruption.warned {
                    self.kill_cells();
                } else {
                    let now = Instant::now();
                    cell.interruption.wanted.get_or_insert(now);
                    match asked {
                        // It may end by itself when it hears that.
                        true => {
                            cell.interruption.retry = Some(now + REACTION);
                            self.answer_input(Err(Errno::CANCELED.raw_os_error()));
                        }
                        false => self.try_to_interrupt(),
                    }
                }
            }
            Some(Current::Relayed(_)) => {}
            None => self.abort_queue(), // of a kernel that has not started yet
        }
    }

    /// Stops the compiler, or asks the process that runs the cells.
    fn try_to_interrupt(&mut self) {
        let linked = self.link.as_ref().map(|(_, link)| link.process);
        let compilers = match self.evcxr {
            0 => Vec::new(),
            evcxr => processes::compilers(evcxr, linked.or_else(|| processes::cells(evcxr))),
        };
        let link = self.link.as_ref().map(|(_, link)| link);
        let Some(Current::Cell(cell)) = &mut self.current else {
            return;
        };
        let interruption = &mut cell.interruption;
        interruption.retry = None;
        match (compilers.is_empty(), link) {
            (false, _) => {
                for compiler in compilers {
                    signal(compiler, Signal::KILL);
                }
                interruption.compiler_stopped = true;
                interruption.retry = Some(Instant::now() + RETRY);
            }
            (true, Some(link)) if link.interrupt() => {}
            (true, _)
                if interruption
                    .wanted
                    .is_some_and(|since| since.elapsed() > UNKNOWN) =>
            {
                self.warn(BUSY);
            }
            (true, _) => interruption.retry = Some(Instant::now() + RETRY),
        }
    }

    /// What the process says that an interrupt has found.
    pub(super) fn interrupt_found(&mut self, found: Found) {
        let Some(Current::Cell(cell)) = &mut self.current else {
            return;
        };
        let interruption = &mut cell.interruption;
        match found {
            Found::Wait => {
                interruption.wanted = None;
                interruption.reaction = Some(Instant::now() + REACTION);
            }
            Found::Busy if self.output.ending.is_none() => self.warn(BUSY),
            Found::Busy | Found::Nothing => interruption.retry = Some(Instant::now() + RETRY),
        }
    }

    pub(super) fn go_on_interrupting(&mut self, now: Instant) {
        let running = self.output.ending.is_none();
        let Some(Current::Cell(cell)) = &mut self.current else {
            return;
        };
        let interruption = &mut cell.interruption;
        let has_come = |moment: &Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if has_come(&interruption.reaction) {
            interruption.reaction = None;
            if running && cell.failed.is_none() {
                self.warn(STUCK);
            }
        } else if has_come(&interruption.retry) {
            self.try_to_interrupt();
        }
    }

    /// Says that the next interrupt kills.
    fn warn(&mut self, notice: &str) {
        if let Some(cell) = self.cell() {
            cell.interruption.wanted = None;
            cell.interruption.retry = None;
            cell.interruption.warned = true;
        }
        self.output.batch.add(Stream::Stderr, notice.as_bytes());
    }

    /// Ends the process that runs the cells; evcxr starts another.
    fn kill_cells(&mut self) {
        let linked = self.link.as_ref().map(|(_, link)| link.process);
        let Some(process) = linked.or_else(|| processes::cells(self.evcxr)) else {
            return;
        };
        signal(process, Signal::KILL);
        if let Some(cell) = self.cell() {
            cell.interruption.killed = true;
        }
    }
}
