//! Promise 1: nesting is legal everywhere. The whole matrix, each pair under a timeout, and the
//! cases around it that are easy to get wrong. `tests/nesting.rs` of the workspace runs the same
//! cells in a live kernel.

#[path = "../within/mod.rs"]
mod within;

use nest_tokio as tokio;
use std::cell::Cell;
use std::sync::mpsc;
use std::time::Instant;
use within::within;

include!("matrix.rs");

/// One test for each place and way.
macro_rules! matrix {
    ($($place:ident)*) => {
        $(mod $place {
            matrix! { @ways $place
                runtime_new builder_multi_thread builder_current_thread handle_current
                tokio_main tokio_main_current_thread tokio_main_start_paused tokio_main_pause
                futures_executor
            }
        })*
    };
    (@ways $place:ident $($way:ident)*) => {
        $(#[test]
        fn $way() {
            assert_eq!(super::within(|| super::$place(super::$way)), 42);
        })*
    };
}

/// One test for each case.
macro_rules! cases {
    ($($case:ident)*) => {
        $(#[test]
        fn $case() {
            assert_eq!(super::within(super::$case), 42);
        })*
    };
}

mod cases {
    cases! {
        wait_for_a_task_of_the_same_runtime
        wait_for_a_task_of_the_same_current_thread_runtime
        timeout_elapses_inside
        task_local_is_visible_inside
        thousand_tasks_wait_at_once
        task_without_cooperative_budget
        runtime_dropped_in_async_code
        wait_for_a_task_of_the_same_paused_runtime
        nested_waits_of_a_dropped_runtime_end
    }
}

#[test]
fn live_kernels_try_all_of_this() {
    assert_eq!(
        (WAYS.len(), CASES.len()),
        (9, 9),
        "as many as the macros name"
    );
}

/// A cell without `await`: the foreground thread, no future around it.
fn in_sync_cell(way: fn() -> u32) -> u32 {
    tokio::become_foreground();
    way()
}

/// A cell with `await`, as evcxr wraps it.
fn in_await_cell(way: fn() -> u32) -> u32 {
    tokio::become_foreground();
    in_await(way)
}

matrix! {
    top_level in_sync_cell in_await_cell in_await in_spawned_task in_current_thread_task
    in_spawn_blocking in_std_thread in_local_set in_local_set_driven_by_tokio
    in_paused_time in_paused_task in_ten_nested
}

#[test]
fn a_timeout_around_a_nested_wait_lets_it_end_and_other_tasks_run_meanwhile() {
    let ticks = within(|| {
        current_thread().block_on(async {
            let ticker = tokio::spawn(async {
                for _ in 0..5 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                5
            });
            let handle = tokio::runtime::Handle::current();
            tokio::spawn(async move { handle.block_on(ticker).unwrap() })
                .await
                .unwrap()
        })
    });
    assert_eq!(ticks, 5);
}

#[test]
fn a_runtime_may_be_dropped_in_one_of_its_own_tasks() {
    within(|| {
        let runtime = std::sync::Arc::new(multi_thread());
        let (sender, receiver) = mpsc::channel();
        let last = runtime.clone();
        let (go, wait) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            wait.await.unwrap();
            drop(last);
            sender.send(()).unwrap();
        });
        drop(runtime);
        go.send(()).unwrap();
        receiver.recv().unwrap();
    });
}

#[test]
fn a_runtime_may_be_shut_down_with_a_timeout_in_async_code() {
    within(|| {
        multi_thread().block_on(async {
            let runtime = multi_thread();
            runtime.spawn_blocking(|| std::thread::sleep(Duration::from_secs(3600)));
            runtime.shutdown_timeout(Duration::from_millis(10));
        });
    });
}

#[test]
fn blocking_reqwest_works_inside_of_a_nested_wait() {
    let text = within(|| {
        multi_thread().block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            });
            reqwest::blocking::get(format!("http://{address}"))
                .unwrap()
                .text()
                .unwrap()
        })
    });
    assert_eq!(text, "ok");
}

#[test]
fn a_panic_inside_of_a_nested_wait_reaches_the_caller() {
    let payload = within(|| {
        std::panic::catch_unwind(|| {
            multi_thread().block_on(async { multi_thread().block_on(async { panic!("inner") }) })
        })
    });
    assert_eq!(payload.unwrap_err().downcast_ref(), Some(&"inner"));
}

#[test]
fn a_future_that_is_not_send_stays_on_its_thread() {
    let n = within(|| {
        let counter = std::rc::Rc::new(Cell::new(41));
        multi_thread().block_on(async {
            current_thread().block_on(async {
                tokio::task::yield_now().await;
                counter.set(counter.get() + 1);
            })
        });
        counter.get()
    });
    assert_eq!(n, 42);
}

#[test]
fn waits_nested_in_tasks_run_side_by_side() {
    // Not a speed test: one after the other they would wait for each other for ever.
    within(|| {
        let runtime = current_thread();
        runtime.block_on(async {
            let (ping, mut pinged) = tokio::sync::mpsc::channel(1);
            let (pong, mut ponged) = tokio::sync::mpsc::channel(1);
            let handle = tokio::runtime::Handle::current();
            let (one, other) = (handle.clone(), handle);
            let first = tokio::spawn(async move {
                one.block_on(async {
                    ping.send(()).await.unwrap();
                    ponged.recv().await.unwrap()
                })
            });
            let second = tokio::spawn(async move {
                other.block_on(async {
                    pinged.recv().await.unwrap();
                    pong.send(()).await.unwrap()
                })
            });
            first.await.unwrap();
            second.await.unwrap();
        });
    });
}

#[test]
fn nothing_is_lost_when_wakers_race_with_parking() {
    within(|| {
        let runtime = multi_thread();
        let until = Instant::now() + Duration::from_millis(300);
        let mut rounds = 0;
        while Instant::now() < until {
            runtime.block_on(async {
                let task = tokio::spawn(async { tokio::task::yield_now().await });
                runtime.block_on(task).unwrap();
            });
            rounds += 1;
        }
        assert!(rounds > 0);
    });
}
