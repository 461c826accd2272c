//! Which task comes next: a seed decides.
//!
//! Tasks are tokio's own, on a runtime of tokio's with one thread and a clock that stands still
//! while anybody has something to do. Around each poll stands a gate. It is open for one task at a
//! time, for one poll; whoever else is polled finds it closed, and waits. So wake-ups, channels, locks
//! and timers work as ever, and only the order is ours.
//!
//! Tasks switch where they wait. On several threads they are also interleaved where a lock is free
//! or a message is there already; for that a poll mostly gets a small part of the budget that
//! tokio gives a task for its operations, and then tokio itself makes it step back at the next one.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use nest_tokio::task::coop;
use nest_tokio::time::sleep;
use nest_tokio::watch::{Around, Kind, Start, has_yielded};

use super::random::Random;
use super::trouble::{self, Trouble};
use crate::Timeline;
use crate::polled::{self, Cause, Polled};
use crate::timeline::{Clock, Name, Origin, Record, Recorder};

/// Polls after which a run is said to have no end.
const MOST_STEPS: u64 = 20_000;
/// No timer of a program is set to so late a time: when it comes, nothing else will.
const NEVER: Duration = Duration::from_secs(366 * 24 * 3600);
/// One operation in so many interrupts its task, the seed says which of these; `None`: no operation does.
const PACES: [Option<usize>; 4] = [None, Some(2), Some(3), Some(6)];
/// Most operations of a poll that may be interrupted.
const LARGEST_BUDGET: usize = 16;

/// One run of a program.
pub(super) struct Schedule {
    state: Mutex<State>,
    /// How many polls there have been.
    steps: Arc<AtomicU64>,
    /// Where the polls are written down.
    timeline: Option<Timeline>,
}

struct State {
    random: Random,
    /// One of [`PACES`].
    pace: Option<usize>,
    tasks: Vec<Task>,
    /// Those that would run, if it were their turn.
    ready: BTreeSet<usize>,
    /// Whose turn it is, until it has been polled.
    granted: Option<usize>,
    /// Wakes the future that decides.
    decides: Option<Waker>,
    trouble: Option<Trouble>,
}

struct Task {
    name: &'static str,
    /// Makes tokio poll it.
    waker: Option<Waker>,
    /// What it has been made to step back by, or has done by itself: tokio wakes it when nobody else
    /// wants to run.
    yields: Option<Cause>,
    ended: bool,
}

/// Tells a run from outside that it is to stop.
#[derive(Default)]
pub(super) struct Stop {
    asked: AtomicBool,
    running: Mutex<Option<Waker>>,
}

impl Stop {
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        if let Some(waker) = &*lock(&self.running) {
            waker.wake_by_ref();
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run of the program gives: an error is a failure of it.
pub(super) type Program<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

impl Schedule {
    pub(super) fn new(seed: u64, timeline: Option<Timeline>) -> Arc<Schedule> {
        let steps = Arc::new(AtomicU64::new(0));
        let mut random = Random::new(seed);
        let pace = PACES[random.below(PACES.len())];
        if let Some(timeline) = &timeline {
            timeline.set_clock(Clock::Steps(steps.clone()));
        }
        Arc::new(Schedule {
            state: Mutex::new(State {
                random,
                pace,
                tasks: Vec::new(),
                ready: BTreeSet::new(),
                granted: None,
                decides: None,
                trouble: None,
            }),
            steps,
            timeline,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// A number below `count`, which the seed decides.
    pub(super) fn choose(&self, count: u32) -> u32 {
        self.state().random.below(count as usize) as u32
    }

    /// Something is started; it is ready at once.
    pub(super) fn gate(self: &Arc<Self>, start: Option<&Start>) -> Gate {
        const ROOT: &str = "主任务";
        let mut state = self.state();
        let index = state.tasks.len();
        let name = start.map_or(ROOT, |start| start.name);
        state.tasks.push(Task {
            name,
            waker: None,
            yields: None,
            ended: false,
        });
        state.ready.insert(index);
        drop(state);
        let number = index as u32 + 1;
        let recorder = self.timeline.as_ref().and_then(|timeline| {
            let origin = Origin {
                number,
                parent: polled::current(),
                kind: start.map_or(Kind::BlockOn, |start| start.kind),
                size: start.map_or(0, |start| start.size),
                place: start.map(|start| start.place),
            };
            timeline.record(Name::Type(name), Some(origin))
        });
        let bell = Bell {
            schedule: self.clone(),
            index,
            record: recorder.as_ref().map(|recorder| recorder.record().clone()),
        };
        Gate {
            schedule: self.clone(),
            index,
            number,
            waker: Waker::from(Arc::new(bell)),
            recorder,
        }
    }

    /// Runs `program`, whatever becomes of it. To be called within a paused runtime.
    pub(super) async fn run(
        self: &Arc<Self>,
        program: Program<'_>,
        stop: &Stop,
    ) -> Option<Trouble> {
        let mut program = pin!(program);
        let mut gate = self.gate(None);
        let mut never = pin!(sleep(NEVER));
        let trouble = std::future::poll_fn(|context| {
            *lock(&stop.running) = Some(context.waker().clone());
            if stop.is_asked() {
                return Poll::Ready(None);
            }
            let mut state = self.state();
            state.decides = Some(context.waker().clone());
            if let Some(trouble) = state.trouble.take() {
                return Poll::Ready(Some(trouble));
            }
            if state.granted.is_some() {
                return Poll::Pending; // it has not been polled yet
            }
            if self.steps() >= MOST_STEPS {
                return Poll::Ready(Some(Trouble::Endless(MOST_STEPS)));
            }
            let Some(next) = state.choose() else {
                drop(state);
                // Time passes now. If there is nothing to wait for, it passes to its end.
                return never.as_mut().poll(context).map(|()| Some(self.deadlock()));
            };
            state.granted = Some(next);
            if next != gate.index {
                // Before tokio has polled it for the first time, that is about to happen anyway.
                if let Some(waker) = &state.tasks[next].waker {
                    waker.wake_by_ref();
                }
                return Poll::Pending;
            }
            drop(state);
            context.waker().wake_by_ref(); // to decide again, and with a new budget
            let mut outcome = Ok(());
            let polled = gate.poll(context, &mut |context| {
                program
                    .as_mut()
                    .poll(context)
                    .map(|result| outcome = result)
            });
            polled.map(|()| outcome.err().map(Trouble::Returned))
        })
        .await;
        self.close();
        trouble
    }

    /// The run is over: that its tasks are dropped now is no part of the picture.
    pub(super) fn close(&self) {
        for record in self
            .timeline
            .iter()
            .flat_map(|timeline| timeline.records().clone())
        {
            record.close();
        }
    }

    /// What has gone wrong and has not been told.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.take()
    }

    fn deadlock(&self) -> Trouble {
        let state = self.state();
        let waiting = state.tasks.iter().filter(|task| !task.ended);
        Trouble::Deadlock(waiting.map(|task| task.name).collect())
    }
}

impl State {
    fn choose(&mut self) -> Option<usize> {
        let count = self.ready.len();
        let chosen = match count {
            0 => return None,
            1 => 0,
            _ => self.random.below(count),
        };
        self.ready.iter().nth(chosen).copied()
    }

    /// How many operations the next poll may do, if it is to be interrupted.
    fn budget(&mut self) -> Option<usize> {
        let pace = self.pace?;
        (0..LARGEST_BUDGET).find(|_| self.random.below(pace) == 0)
    }

    fn decide(&self) {
        if let Some(waker) = &self.decides {
            waker.wake_by_ref();
        }
    }
}

/// Wakes a task: it becomes one of those that are chosen from.
struct Bell {
    schedule: Arc<Schedule>,
    index: usize,
    record: Option<Arc<Record>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.schedule.state();
        if let Some(record) = &self.record {
            record.wake(|| match polled::cause() {
                Cause::Driver => state.tasks[self.index]
                    .yields
                    .take()
                    .unwrap_or(Cause::Driver),
                cause => cause,
            });
        }
        if !state.tasks[self.index].ended && state.ready.insert(self.index) {
            state.decide();
        }
    }
}

/// Stands before a task.
pub(super) struct Gate {
    schedule: Arc<Schedule>,
    index: usize,
    number: u32,
    waker: Waker,
    recorder: Option<Recorder>,
}

impl Around for Gate {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let mut state = self.schedule.state();
        let task = &mut state.tasks[self.index];
        if task
            .waker
            .as_ref()
            .is_none_or(|waker| !waker.will_wake(context.waker()))
        {
            task.waker = Some(context.waker().clone());
        }
        if state.granted != Some(self.index) {
            return Poll::Pending;
        }
        state.ready.remove(&self.index);
        let budget = state.budget();
        drop(state);
        if let Some(budget) = budget {
            polled::leave_budget(budget);
        }
        let guard = self.recorder.as_ref().map(Recorder::begin);
        self.schedule.steps.fetch_add(1, Ordering::Relaxed);
        let current = Polled::begin(self.number);
        let outcome = poll(&mut Context::from_waker(&self.waker));
        drop(current);
        if let Some(guard) = guard {
            guard.end(outcome.is_ready());
        }
        let mut state = self.schedule.state();
        state.granted = None;
        let is_interrupted = !coop::has_budget_remaining();
        state.tasks[self.index].yields = match (has_yielded(), is_interrupted) {
            (true, _) => Some(Cause::Yield),
            (false, true) => Some(Cause::Budget),
            (false, false) => None,
        };
        if outcome.is_ready() {
            state.tasks[self.index].ended = true;
            state.ready.remove(&self.index);
        } else if is_interrupted {
            state.ready.insert(self.index); // and not only when nobody else wants to run
        }
        state.decide();
        outcome
    }

    fn keeps_to_tasks(&self) -> bool {
        true
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        polled::ended(self.number, false);
        let mut state = self.schedule.state();
        state.tasks[self.index].ended = true;
        state.ready.remove(&self.index);
        if state.granted == Some(self.index) {
            state.granted = None;
        }
        if let Some(panic) = std::thread::panicking().then(trouble::last_panic).flatten() {
            state.trouble.get_or_insert(panic);
        }
        state.decide();
    }
}

/// Whether the seed can decide when this runs: what a [`Kind::Local`] set drives runs when its owner
/// does, and a `block_on` at once.
pub(super) fn is_scheduled(start: &Start) -> bool {
    matches!(start.kind, Kind::Task | Kind::Blocking)
}
