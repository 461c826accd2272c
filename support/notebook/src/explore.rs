//! Looking for the order of tasks in which a program fails.

mod random;
mod report;
mod schedule;
mod trouble;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nest_tokio::original::runtime::Builder;
use nest_tokio::runtime::Handle;
use nest_tokio::sync::mpsc;
use nest_tokio::watch::{Around, Start, begin_select_with};

use crate::Timeline;
use crate::observer;
pub use report::Exploration;
use report::Failure;
use schedule::{Program, Schedule, Stop};
use trouble::Trouble;

/// Runs `program` once for each seed, each time with its tasks in another order, until a run fails:
/// a task panics, an assertion does not hold, an error is returned, or nobody can go on.
///
/// The program's own `tokio::spawn`, `JoinSet`, channels, locks and timers are tokio's, on one thread. The
/// seed decides who comes next whenever several tasks could, at which operations a task steps back for
/// others though it need not, and where [`select!`](nest_tokio::select) begins. So the same seed gives
/// the same run, and the failing one is run again and drawn. The clock is virtual: it stands still while
/// any task can run, and then jumps to the next timer, so that an hour of `sleep` takes no time.
///
/// ```
/// use nest_tokio as tokio; // in a notebook, `tokio` is nest-tokio already
/// use std::sync::Arc;
/// use tokio::sync::Mutex;
///
/// /// Takes 100 out of an account, and forgets that others do the same.
/// async fn withdraw(account: Arc<Mutex<u32>>) {
///     let balance = *account.lock().await;
///     *account.lock().await = balance - 100;
/// }
///
/// let report = notebook::explore(0..1_000, || async {
///     let account = Arc::new(Mutex::new(300));
///     let tasks = [(); 2].map(|()| tokio::spawn(withdraw(account.clone())));
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(*account.lock().await, 100, "少扣了一次");
/// });
/// assert!(report.seed().is_some());
/// assert!(report.failure().unwrap().contains("少扣了一次"));
/// ```
///
/// The result is what a cell shows when it is the last expression, and says in code what
/// was found: [`passed`](Exploration::passed), [`seed`](Exploration::seed). One seed alone is tried
/// with `17..18`.
///
/// # What the seed does not decide
/// Between two `.await`s a task is never interrupted: a race of threads (two accesses to an atomic with no
/// `.await` between them) is not found. Put [`yield_now`](nest_tokio::task::yield_now) where a thread could
/// be interrupted. The branches of one `join!`, and the tasks of a `LocalSet`, run when their owner does.
/// `spawn_blocking` runs as a task, and must not block. Threads, the network, the system's clock and
/// random numbers are as they are; if the failing run is another one the second time, the report says so.
///
/// # Panics
/// When the operating system refuses a thread.
pub fn explore<F, R>(
    seeds: impl IntoIterator<Item = u64, IntoIter: Send>,
    program: F,
) -> Exploration
where
    F: Fn() -> R + Sync,
    R: Future<Output: Outcome>,
{
    let program = || -> Program<'_> {
        let run = program();
        Box::pin(async { run.await.outcome() })
    };
    explore_all(&mut seeds.into_iter(), &program)
}

/// What a program for [`explore`] may return: nothing, or a [`Result`], whose error is a failure.
pub trait Outcome {
    /// The error, if it is one.
    #[doc(hidden)]
    fn outcome(self) -> Result<(), String>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Debug> Outcome for Result<(), E> {
    fn outcome(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:?}"))
    }
}

/// How often the search says that it goes on: a wait in which nothing happens for long is taken for stuck.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

type Programs<'a> = &'a (dyn Fn() -> Program<'a> + Sync);

/// On a thread of its own, which no runtime has heard of; the caller waits for it as for any future,
/// so that it can be interrupted.
fn explore_all<'a>(
    seeds: &mut (dyn Iterator<Item = u64> + Send),
    program: Programs<'a>,
) -> Exploration {
    /// However the wait ends: the search ends, too.
    struct Stops<'a>(&'a Stop);
    impl Drop for Stops<'_> {
        fn drop(&mut self) {
            self.0.ask();
        }
    }

    observer::install();
    let stop = &Stop::default();
    thread::scope(|scope| {
        let (tell, mut told) = mpsc::unbounded_channel();
        let search = move || {
            let found = search(seeds, program, stop, &|| drop(tell.send(None)));
            let _ = tell.send(Some(found));
        };
        let builder = thread::Builder::new().name("explore".into());
        builder
            .spawn_scoped(scope, search)
            .expect("系统给不出线程：关掉一些程序或别的内核，再试一次");
        let _stops = Stops(stop);
        observer::overlook_next();
        Handle::current().block_on(async {
            loop {
                let word = told.recv().await;
                let word = word.expect("the search panics for nothing that a program does");
                if let Some(found) = word {
                    return found;
                }
            }
        })
    })
}

fn search(
    seeds: &mut dyn Iterator<Item = u64>,
    program: Programs<'_>,
    stop: &Stop,
    goes_on: &dyn Fn(),
) -> Exploration {
    trouble::keep_panics_of_this_thread();
    let start = Instant::now();
    let mut said = start;
    let mut runs = 0;
    let mut steps = 0;
    for seed in seeds {
        if stop.is_asked() {
            break;
        }
        let (trouble, polls) = run(seed, program, None, stop);
        runs += 1;
        steps += polls;
        if said.elapsed() >= SIGN_OF_LIFE {
            said = Instant::now();
            goes_on();
        }
        if let Some(trouble) = trouble {
            let timeline = Timeline::new();
            let (again, _) = run(seed, program, Some(timeline.clone()), stop);
            let failure = Failure {
                seed,
                repeats: again.as_ref() == Some(&trouble),
                trouble,
                timeline,
            };
            return Exploration::new(runs, steps, start.elapsed(), Some(failure));
        }
    }
    Exploration::new(runs, steps, start.elapsed(), None)
}

thread_local! {
    /// The run that is under way on this thread.
    static RUN: RefCell<Option<Arc<Schedule>>> = const { RefCell::new(None) };
}

/// What `f` makes of the run that is under way on this thread.
fn with_run<T>(f: impl FnOnce(&Arc<Schedule>) -> T) -> Option<T> {
    RUN.with_borrow(|run| run.as_ref().map(f))
}

/// Something is started: by the program, if one is being explored on this thread. Then the answer
/// is final.
pub(crate) fn observe(start: &Start) -> Option<Option<Box<dyn Around>>> {
    with_run(|run| {
        schedule::is_scheduled(start).then(|| Box::new(run.gate(Some(start))) as Box<dyn Around>)
    })
}

/// One run: what went wrong, and how many polls there were.
fn run(
    seed: u64,
    program: Programs<'_>,
    timeline: Option<Timeline>,
    stop: &Stop,
) -> (Option<Trouble>, u64) {
    let schedule = Schedule::new(seed, timeline);
    RUN.set(Some(schedule.clone()));
    begin_select_with(Some(|branches| {
        with_run(|run| run.choose(branches)).unwrap_or(0)
    }));
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime without input and output asks the system for nothing");
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let program = program();
        runtime.block_on(schedule.run(program, stop))
    }));
    schedule.close();
    // What its tasks do when they are dropped is part of the run, and may panic as well.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    begin_select_with(None);
    RUN.set(None);
    let trouble = match (outcome, dropped) {
        (Ok(trouble), Ok(())) => trouble.or_else(|| schedule.trouble()),
        _ => schedule.trouble().or_else(trouble::last_panic),
    };
    (trouble, schedule.steps())
}

#[cfg(test)]
mod tests;
