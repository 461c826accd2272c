//! Promise 1, `start_paused` included: time that is paused leaps, in every place of the nesting
//! matrix, and is tokio's own in what it does.

mod within;

use nest_tokio as tokio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, advance, pause, resume, sleep, timeout};
use within::within;

const HOUR: Duration = Duration::from_secs(3600);

fn current_thread() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

fn paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// Hours that three tasks and the caller slept, as each saw it when it woke up.
async fn hours() -> Vec<u64> {
    let (start, seen) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let mut tasks = Vec::new();
    for n in [3, 1, 2] {
        let seen = seen.clone();
        tasks.push(tokio::spawn(async move {
            sleep(HOUR * n).await;
            seen.lock().unwrap().push(start.elapsed().as_secs() / 3600);
        }));
    }
    sleep(HOUR * 4).await;
    for task in tasks {
        task.await.unwrap();
    }
    seen.lock().unwrap().push(start.elapsed().as_secs() / 3600);
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn paused_main() -> Vec<u64> {
    hours().await
}

#[tokio::main(flavor = "current_thread")]
async fn main_that_pauses() -> Vec<u64> {
    pause();
    hours().await
}

const SEEN: [u64; 4] = [1, 2, 3, 4];

#[test]
fn a_main_function_starts_paused_with_the_tasks_that_it_spawns() {
    assert_eq!(within(paused_main), SEEN);
}

#[test]
fn a_main_function_pauses_with_the_tasks_that_it_spawns() {
    assert_eq!(within(main_that_pauses), SEEN);
}

#[test]
fn a_cell_starts_paused() {
    within(|| {
        tokio::become_foreground();
        assert_eq!(paused_main(), SEEN);
        let in_await = tokio::runtime::Handle::current().block_on(async { paused_main() });
        assert_eq!(in_await, SEEN);
    });
}

#[test]
fn paused_in_paused_to_any_depth() {
    fn descend(depth: u32) -> Vec<u64> {
        if depth == 0 {
            return paused_main();
        }
        let runtime = if depth.is_multiple_of(2) {
            paused()
        } else {
            current_thread()
        };
        runtime.block_on(async { descend(depth - 1) })
    }
    assert_eq!(within(|| descend(10)), SEEN);
}

#[test]
fn a_task_in_paused_time_may_call_a_paused_main_function() {
    let seen = within(|| {
        let runtime = paused();
        let inner = runtime.spawn(async { paused_main() });
        runtime.block_on(inner).unwrap()
    });
    assert_eq!(seen, SEEN);
}

#[test]
fn a_wait_nested_in_paused_time_waits_for_tasks_of_the_same_runtime() {
    let slept = within(|| {
        paused().block_on(async {
            let start = Instant::now();
            let other = tokio::spawn(async move {
                sleep(HOUR).await;
                start.elapsed()
            });
            let handle = tokio::runtime::Handle::current();
            // Three deep, and another runtime in between.
            handle.block_on(async {
                current_thread().block_on(async {
                    handle.block_on(async {
                        sleep(HOUR / 2).await;
                        other.await.unwrap()
                    })
                })
            })
        })
    });
    assert_eq!(slept, HOUR);
}

#[test]
fn what_became_ready_during_a_nested_wait_is_seen_after_it() {
    within(|| {
        paused().block_on(async {
            let nested = async {
                tokio::task::yield_now().await;
                let handle = tokio::runtime::Handle::current();
                handle.block_on(sleep(2 * HOUR));
                std::future::pending::<()>().await
            };
            tokio::select! {
                biased;
                () = sleep(HOUR) => {}
                () = nested => {}
            }
        });
    });
}

#[test]
fn time_does_not_leap_while_the_future_runs() {
    within(|| {
        paused().block_on(async {
            let other = tokio::spawn(sleep(HOUR));
            tokio::task::yield_now().await;
            let start = Instant::now();
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(start.elapsed(), Duration::ZERO);
            assert!(!other.is_finished());
        });
    });
}

/// Time that is paused is real for a moment, and then paused again.
async fn resume_and_pause_again() {
    resume();
    let real = std::time::Instant::now();
    sleep(Duration::from_millis(20)).await;
    assert!(real.elapsed() >= Duration::from_millis(20));
    pause();
    sleep(HOUR).await;
}

#[test]
fn time_is_advanced_and_resumed() {
    within(|| {
        current_thread().block_on(async {
            pause();
            let start = Instant::now();
            let task = tokio::spawn(sleep(HOUR));
            advance(2 * HOUR).await;
            task.await.unwrap();
            assert_eq!(start.elapsed(), 2 * HOUR);
            resume_and_pause_again().await;
        });
    });
}

#[test]
fn what_was_paused_stays_so_from_one_block_on_to_the_next() {
    within(|| {
        let runtime = current_thread();
        runtime.block_on(async { pause() });
        let task = runtime.spawn(async { sleep(HOUR).await });
        runtime.block_on(async { timeout(2 * HOUR, task).await.unwrap().unwrap() });
        let handle = runtime.handle().clone();
        runtime.block_on(async { handle.spawn(async { sleep(HOUR).await }).await.unwrap() });
    });
}

#[test]
fn tasks_wait_for_the_future_and_start_in_order() {
    let order = within(|| {
        paused().block_on(async {
            let order = Arc::new(Mutex::new(vec![]));
            let tasks: Vec<_> = (1..5)
                .map(|n| {
                    let order = order.clone();
                    tokio::spawn(async move { order.lock().unwrap().push(n) })
                })
                .collect();
            order.lock().unwrap().push(0);
            for task in tasks {
                task.await.unwrap();
            }
            std::mem::take(&mut *order.lock().unwrap())
        })
    });
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[test]
fn the_same_program_sees_the_same_instants_each_time() {
    async fn instants() -> Vec<u128> {
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..50_u64 {
            tasks.spawn(async move {
                for round in 0..5 {
                    sleep(Duration::from_millis((n * 7919 + round * 104_729) % 1000)).await;
                }
                start.elapsed().as_millis()
            });
        }
        let mut ended = Vec::new();
        while let Some(task) = tasks.join_next().await {
            ended.push(task.unwrap());
        }
        ended
    }
    within(|| {
        let first = paused().block_on(instants());
        for _ in 0..20 {
            assert_eq!(paused().block_on(instants()), first);
        }
    });
}

#[test]
fn a_blocking_task_holds_time() {
    within(|| {
        paused().block_on(async {
            let start = Instant::now();
            let blocking = || std::thread::sleep(Duration::from_millis(20));
            tokio::select! {
                done = tokio::task::spawn_blocking(blocking) => done.unwrap(),
                () = sleep(HOUR) => panic!("time went on"),
            }
            assert_eq!(start.elapsed(), Duration::ZERO);
        });
    });
}

#[test]
fn real_time_ends_a_wait_in_paused_time_and_the_other_way_round() {
    within(|| {
        paused().block_on(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                sender.send(()).unwrap();
            });
            receiver.await.unwrap();
            let real = std::time::Instant::now();
            current_thread().block_on(async { sleep(Duration::from_millis(20)).await });
            assert!(real.elapsed() >= Duration::from_millis(20));
            sleep(HOUR).await;
        });
    });
}

#[test]
fn a_panic_in_paused_time_reaches_the_caller_and_ends_the_driver() {
    within(|| {
        let runtime = paused();
        for _ in 0..3 {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async {
                    sleep(HOUR).await;
                    panic!("inner")
                })
            }));
            assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"inner"));
        }
        runtime.block_on(async { sleep(HOUR).await });
    });
}

#[test]
fn a_dropped_paused_runtime_ends_its_tasks() {
    within(|| {
        for runtime in [paused(), current_thread()] {
            let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
            runtime.block_on(async move {
                let _ = std::panic::catch_unwind(pause); // of the second
                tokio::spawn(async move {
                    let _alive = alive;
                    std::future::pending::<()>().await
                });
                tokio::task::yield_now().await;
            });
            drop(runtime);
            assert!(dropped.blocking_recv().is_err(), "its task was dropped");
        }
    });
}

#[test]
fn time_is_not_paused_where_tokio_refuses() {
    within(|| {
        let refused = |f: fn()| std::panic::catch_unwind(f).is_err();
        assert!(refused(pause), "outside of a runtime");
        assert!(refused(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async { pause() });
        }));
        assert!(refused(|| {
            // The current-thread runtime around it is not meant.
            current_thread().block_on(async {
                tokio::runtime::Runtime::new()
                    .unwrap()
                    .block_on(async { pause() });
            });
        }));
        assert!(refused(|| {
            // The context of a nested wait is its own.
            current_thread().block_on(async {
                tokio::runtime::Handle::current().block_on(async { pause() });
            });
        }));
        assert!(refused(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let _ = builder.start_paused(true).build();
        }));
        assert!(refused(|| {
            paused().block_on(async { pause() }); // twice
        }));
    });
}

#[test]
fn who_cannot_pause_is_told_where_he_can() {
    let told = |panic: Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<&str>().unwrap();
        assert!(
            text.contains("先 pause 再 spawn，或者用 start_paused"),
            "{text}"
        );
    };
    within(move || {
        let runtime = current_thread();
        let in_a_task = runtime.spawn(async { pause() });
        told(runtime.block_on(in_a_task).unwrap_err().into_panic());
        let nested = || tokio::runtime::Handle::current().block_on(async { pause() });
        told(runtime.block_on(async { std::panic::catch_unwind(nested).unwrap_err() }));
    });
}

#[test]
fn a_task_pauses_and_resumes_where_time_has_been_paused() {
    within(|| {
        let started = paused();
        let late = current_thread();
        late.block_on(async { pause() });
        for runtime in [started, late] {
            let task = runtime.spawn(async {
                let start = Instant::now();
                tokio::spawn(advance(HOUR)).await.unwrap();
                assert_eq!(start.elapsed(), HOUR);
                resume_and_pause_again().await;
            });
            runtime.block_on(task).unwrap();
        }
    });
}

#[test]
fn a_builder_keeps_its_settings_in_paused_time() {
    let name = within(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder
            .thread_name("named")
            .enable_all()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(async {
            let name = || std::thread::current().name().map(str::to_owned);
            tokio::task::spawn_blocking(name).await.unwrap()
        })
    });
    assert_eq!(name.as_deref(), Some("named"));
}
