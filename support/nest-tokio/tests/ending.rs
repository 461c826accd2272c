//! Promises 3 and 4: what ends a wait. An interrupt, within 100 ms and wherever the foreground waits;
//! and the drop of the runtime in whose task it is.

mod within;

use nest_tokio as tokio;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use within::within;

const LONG: Duration = Duration::from_secs(3600);

/// There is one foreground; tests that are it take turns.
static FOREGROUND: Mutex<()> = Mutex::new(());

/// Says that the next thing to come is a long wait.
type Go = mpsc::Sender<()>;

/// Interrupts `cell` when it waits, and fails if that never ends it within 100 ms: other programs may
/// keep the machine from it once or twice.
fn is_interrupted_at_once(cell: fn(Go)) {
    let _turn = FOREGROUND.lock().unwrap_or_else(|error| error.into_inner());
    let times: Vec<Duration> = (0..5).map(|_| within(move || time_of_end(cell))).collect();
    let best = times.iter().min().unwrap();
    assert!(*best < Duration::from_millis(100), "{times:?}");
}

fn time_of_end(cell: fn(Go)) -> Duration {
    tokio::become_foreground();
    let (go, gone) = mpsc::channel();
    let interrupts = std::thread::spawn(move || {
        gone.recv().unwrap();
        std::thread::sleep(Duration::from_millis(20)); // into the midst of the wait
        let since = Instant::now();
        while !tokio::interrupt() {
            std::thread::yield_now();
        }
        since
    });
    let ended = catch_unwind(AssertUnwindSafe(|| cell(go)));
    let now = Instant::now();
    let payload = ended.expect_err("the interrupt goes through the cell");
    assert!(payload.is::<tokio::Interrupted>() || payload.is::<&str>());
    now - interrupts.join().unwrap()
}

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// A runtime that keeps whoever drops it for an hour.
fn occupied(runtime: Runtime) -> Runtime {
    runtime.spawn_blocking(|| std::thread::sleep(LONG));
    runtime
}

/// Waits inside of a task.
async fn nested(go: Go) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        go.send(()).unwrap();
        pending::<()>().await
    })
}

#[test]
fn an_interrupt_ends_a_wait_for_a_task_that_waits() {
    #[tokio::main]
    async fn cell(go: Go) {
        tokio::spawn(nested(go)).await.unwrap();
    }
    is_interrupted_at_once(cell);
}

#[test]
fn an_interrupt_ends_a_wait_in_paused_time() {
    #[tokio::main(flavor = "current_thread", start_paused = true)]
    async fn cell(go: Go) {
        let handle = Handle::current();
        handle.block_on(async {
            go.send(()).unwrap();
            pending::<()>().await
        });
    }
    is_interrupted_at_once(cell);
}

#[test]
fn an_interrupt_ends_a_wait_for_a_task_that_waits_in_paused_time() {
    #[tokio::main(flavor = "current_thread", start_paused = true)]
    async fn cell(go: Go) {
        tokio::spawn(nested(go)).await.unwrap();
    }
    is_interrupted_at_once(cell);
}

#[test]
fn an_interrupt_ends_the_drop_of_a_runtime() {
    is_interrupted_at_once(|go| {
        let runtime = occupied(Runtime::new().unwrap());
        go.send(()).unwrap();
        drop(runtime);
    });
}

#[test]
fn an_interrupt_ends_the_drop_of_a_paused_runtime() {
    is_interrupted_at_once(|go| {
        let runtime = occupied(paused());
        go.send(()).unwrap();
        drop(runtime);
    });
}

#[test]
fn an_interrupt_ends_the_drop_of_a_runtime_in_async_code() {
    is_interrupted_at_once(|go| {
        Handle::current().block_on(async {
            let runtime = occupied(Runtime::new().unwrap());
            go.send(()).unwrap();
            drop(runtime);
        });
    });
}

#[test]
fn an_interrupt_ends_a_long_shutdown() {
    is_interrupted_at_once(|go| {
        let runtime = occupied(Runtime::new().unwrap());
        go.send(()).unwrap();
        runtime.shutdown_timeout(LONG);
    });
}

#[test]
fn an_interrupt_ends_a_wait_whose_runtimes_would_have_to_be_waited_for() {
    is_interrupted_at_once(|go| {
        let outer = occupied(Runtime::new().unwrap());
        outer.block_on(async {
            let inner = occupied(Builder::new_current_thread().build().unwrap());
            inner.block_on(async {
                go.send(()).unwrap();
                pending::<()>().await
            })
        });
    });
}

#[test]
fn an_interrupt_ends_the_drop_of_a_runtime_while_a_panic_unwinds() {
    is_interrupted_at_once(|go| {
        let runtime = occupied(Runtime::new().unwrap());
        runtime.block_on(async { go.send(()).unwrap() });
        std::panic::panic_any("not by the interrupt");
    });
}

#[test]
fn an_interrupt_ends_a_drop_but_what_is_dropped_ends_nevertheless() {
    let _turn = FOREGROUND.lock().unwrap_or_else(|error| error.into_inner());
    within(|| {
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let (release, held) = mpsc::channel::<()>();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            tokio::become_foreground();
            let runtime = Runtime::new().unwrap();
            runtime.spawn(async move {
                let _alive = alive;
                pending::<()>().await
            });
            runtime.spawn_blocking(move || held.recv());
            std::thread::spawn(|| while !tokio::interrupt() {});
            drop(runtime);
        }));
        assert!(caught.unwrap_err().is::<tokio::Interrupted>());
        assert!(dropped.blocking_recv().is_err());
        drop(release);
    });
}

#[test]
fn a_cell_that_was_interrupted_in_a_drop_is_followed_by_others() {
    let _turn = FOREGROUND.lock().unwrap_or_else(|error| error.into_inner());
    within(|| {
        tokio::become_foreground();
        std::thread::spawn(|| while !tokio::interrupt() {});
        let runtime = occupied(Runtime::new().unwrap());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(runtime))).is_err());
        assert!(!tokio::interrupt());
        let n = Handle::current().block_on(async { tokio::spawn(async { 42 }).await.unwrap() });
        assert_eq!(n, 42);
    });
}

#[test]
fn who_catches_an_interrupted_wait_in_paused_time_goes_on() {
    let _turn = FOREGROUND.lock().unwrap_or_else(|error| error.into_inner());
    let went_on = within(|| {
        tokio::become_foreground();
        paused().block_on(async {
            // Runs once the nested wait has given the turn back.
            tokio::spawn(async { drop(std::thread::spawn(|| while !tokio::interrupt() {})) });
            catch_unwind(|| Handle::current().block_on(pending::<()>())).is_err()
        })
    });
    assert!(went_on);
}

/// How a task ended whose runtime was dropped while it waited, nested.
fn told(runtime: Runtime, end: impl FnOnce(Runtime) + Send + 'static) {
    within(move || {
        let (go, gone) = mpsc::channel();
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let task = runtime.spawn(async move {
            let _alive = alive;
            nested(go).await
        });
        gone.recv().unwrap();
        end(runtime);
        assert!(dropped.blocking_recv().is_err());
        let error = Handle::current().block_on(task).unwrap_err();
        assert!(error.into_panic().is::<tokio::Interrupted>());
    });
}

#[test]
fn a_task_that_waits_ends_with_its_runtime() {
    told(Runtime::new().unwrap(), drop);
    told(Builder::new_current_thread().build().unwrap(), drop);
    told(Runtime::new().unwrap(), Runtime::shutdown_background);
    told(Runtime::new().unwrap(), |runtime| {
        runtime.shutdown_timeout(LONG)
    });
}

#[test]
fn a_task_that_waits_ends_with_its_runtime_in_async_code() {
    told(Runtime::new().unwrap(), |runtime| {
        Handle::current().block_on(async { drop(runtime) });
    });
}

#[test]
fn all_waits_of_a_runtimes_threads_end_with_it() {
    within(|| {
        let runtime = Runtime::new().unwrap();
        let (go, gone) = mpsc::channel();
        for _ in 0..20 {
            let (in_task, in_blocking) = (go.clone(), go.clone());
            runtime.spawn(async move {
                // Three deep, the innermost in a task of another runtime.
                let other = Runtime::new().unwrap();
                let task = other.spawn(nested(in_task));
                Handle::current().block_on(async { other.block_on(task) })
            });
            runtime.spawn_blocking(move || Handle::current().block_on(nested(in_blocking)));
        }
        gone.iter().take(40).count();
        drop(runtime);
    });
}

#[test]
fn a_wait_that_makes_no_pause_ends_with_its_runtime() {
    within(|| {
        let runtime = Runtime::new().unwrap();
        let (go, gone) = mpsc::channel();
        runtime.spawn(async move {
            go.send(()).unwrap();
            Handle::current().block_on(async {
                loop {
                    tokio::task::yield_now().await
                }
            })
        });
        gone.recv().unwrap();
        drop(runtime);
    });
}

#[test]
fn a_destructor_in_a_task_of_a_dropped_runtime_may_wait_for_what_is_ready() {
    struct CleansUp(mpsc::Sender<u32>);
    impl Drop for CleansUp {
        fn drop(&mut self) {
            self.0
                .send(Handle::current().block_on(async { 42 }))
                .unwrap();
        }
    }
    let cleaned = within(|| {
        let (sender, receiver) = mpsc::channel();
        let runtime = Runtime::new().unwrap();
        let (go, gone) = mpsc::channel();
        runtime.spawn(async move {
            let _cleans_up = CleansUp(sender);
            go.send(()).unwrap();
            pending::<()>().await
        });
        gone.recv().unwrap();
        drop(runtime);
        receiver.recv().unwrap()
    });
    assert_eq!(cleaned, 42);
}

#[test]
fn a_runtime_that_a_thread_keeps_for_itself_ends_with_it() {
    thread_local! {
        static KEPT: std::cell::RefCell<Vec<Runtime>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    within(|| {
        let ended = std::thread::spawn(|| {
            KEPT.with_borrow_mut(|kept| {
                for runtime in [Runtime::new().unwrap(), paused()] {
                    runtime.block_on(async {});
                    kept.push(runtime);
                }
            });
        });
        ended.join().unwrap();
    });
}

#[test]
fn waits_of_other_threads_do_not_end_with_a_runtime() {
    within(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = std::thread::spawn(move || handle.block_on(receiver).unwrap());
        drop(runtime);
        sender.send(42).unwrap();
        assert_eq!(other.join().unwrap(), 42);
    });
}

/// Drops the runtime while a task is about to wait: <https://github.com/tokio-rs/tokio/issues/2119>,
/// a worker that `block_in_place` had given away, and that was never shut down.
#[test]
fn a_runtime_is_dropped_while_its_tasks_begin_to_wait() {
    within(|| {
        for round in 0..300 {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap();
            let alive = Arc::new(());
            for _ in 0..3 {
                let alive = Arc::clone(&alive);
                runtime.spawn(async move {
                    Handle::current().block_on(tokio::task::yield_now());
                    tokio::task::yield_now().await;
                    drop(alive);
                });
            }
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            drop(runtime);
            assert_eq!(Arc::strong_count(&alive), 1, "its tasks are gone");
        }
    });
}

/// <https://github.com/tokio-rs/tokio/pull/7216>: `yield_now` put its waker on a list of the worker's,
/// which nobody looked through while that worker was given away.
#[test]
fn a_nested_wait_may_yield() {
    within(|| {
        for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
            let runtime = builder.build().unwrap();
            let task = runtime.spawn(async {
                Handle::current().block_on(async {
                    for _ in 0..300 {
                        tokio::task::yield_now().await;
                    }
                    tokio::task::block_in_place(|| {
                        Handle::current().block_on(tokio::task::yield_now());
                    });
                });
            });
            runtime.block_on(task).unwrap();
        }
    });
}

/// <https://github.com/tokio-rs/tokio/pull/6596>: the task that a worker has just spawned waits in a
/// place from which no other worker takes it. Given away with no thread to go on, it was never run.
#[test]
fn a_nested_wait_for_what_was_just_spawned_needs_no_new_thread() {
    within(|| {
        let mut builder = Builder::new_multi_thread();
        builder.enable_time().worker_threads(2);
        let runtime = builder.max_blocking_threads(1).build().unwrap();
        let (release, held) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || held.recv()); // the only one
        runtime.spawn(async {
            loop {
                // The other worker looks for work whenever it wakes up.
                tokio::time::sleep(Duration::from_millis(1)).await
            }
        });
        for _ in 0..100 {
            let task = runtime.spawn(async {
                let just_spawned = tokio::spawn(async { 42 });
                Handle::current().block_on(just_spawned).unwrap()
            });
            assert_eq!(runtime.block_on(task).unwrap(), 42);
        }
        drop(release);
    });
}
