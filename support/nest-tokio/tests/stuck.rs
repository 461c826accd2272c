//! Promise 5: a wait that cannot end is named within 6 s, whoever waits; and nothing else is.

mod child;

use child::{stderr_of, stderr_with};
use nest_tokio as tokio;
use std::future::pending;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Starts each on a thread of its own, and ends the process after six seconds.
fn for_six_seconds(programs: &'static [fn()]) {
    for program in programs {
        std::thread::spawn(program);
    }
    std::thread::sleep(Duration::from_secs(6));
}

/// How many lines of `stderr` say `what`, each of another place in this file.
fn named(stderr: &str, what: &str) -> usize {
    let said = stderr.lines().filter(|line| line.contains(what));
    let mut places: Vec<_> = said
        .filter_map(|line| line.split("stuck.rs:").nth(1))
        .collect();
    places.sort_unstable();
    let all = places.len();
    places.dedup();
    assert_eq!(all, places.len(), "none twice: {stderr}");
    all
}

#[test]
fn a_wait_that_nobody_can_end_is_named_at_once() {
    let stderr = stderr_of(|| {
        std::thread::spawn(|| Handle::current().block_on(pending::<()>()));
        std::thread::spawn(|| {
            let mut builder = Builder::new_current_thread();
            let runtime = builder.enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                tokio::spawn(async {}).await.unwrap();
                pending::<()>().await
            });
        });
        std::thread::sleep(Duration::from_millis(500));
    });
    assert_eq!(named(&stderr, "不会结束"), 2, "{stderr}");
}

#[test]
fn nested_waits_that_cannot_end_are_named() {
    fn for_a_sibling_in_a_local_set() {
        let local = tokio::task::LocalSet::new();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(local.run_until(async {
            let sibling = tokio::task::spawn_local(async {}); // needs this thread
            Handle::current().block_on(sibling).unwrap();
        }));
    }
    fn for_the_task_around_it() {
        let runtime = Runtime::new().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let ancestor = runtime.spawn(async {
            let ancestor: tokio::task::JoinHandle<()> = told.await.unwrap();
            let child = tokio::spawn(async { Handle::current().block_on(ancestor) });
            child.await.unwrap().unwrap();
        });
        tell.send(ancestor).unwrap();
        runtime.block_on(pending::<()>());
    }
    fn for_each_other() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let (to_first, second) = tokio::sync::oneshot::channel::<()>();
        let (to_second, first) = tokio::sync::oneshot::channel::<()>();
        runtime.spawn(async {
            let _to_second = to_second;
            Handle::current().block_on(second)
        });
        runtime.spawn(async {
            let _to_first = to_first;
            Handle::current().block_on(first)
        });
        std::thread::sleep(Duration::from_secs(60));
    }
    /// <https://github.com/tokio-rs/tokio/issues/7892>: the permit has been given to a future that
    /// the task does not poll while it waits.
    fn for_a_lock_that_the_task_has_been_given() {
        let runtime = Runtime::new().unwrap();
        let task = async {
            let mutex = tokio::sync::Mutex::new(());
            let held = mutex.lock().await;
            let mut queued = Box::pin(mutex.lock());
            assert!(futures::poll!(&mut queued).is_pending());
            drop(held);
            let handle = Handle::current();
            let _never = handle.block_on(mutex.lock());
        };
        runtime.block_on(runtime.spawn(task)).unwrap();
    }
    fn for_a_sibling_in_paused_time() {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let task = async { Handle::current().block_on(tokio::spawn(async {})) };
            tokio::spawn(task).await.unwrap().unwrap();
        });
    }
    let stderr = stderr_of(|| {
        for_six_seconds(&[
            for_a_sibling_in_a_local_set,
            for_the_task_around_it,
            for_each_other,
            for_a_lock_that_the_task_has_been_given,
            for_a_sibling_in_paused_time,
        ]);
    });
    assert_eq!(named(&stderr, "嵌套 block_on"), 6, "{stderr}");
}

/// <https://github.com/tokio-rs/tokio/issues/2376>: another executor's `block_on` in a task does not
/// give the task new budget, and the worker that would is the thread it blocks.
#[test]
fn tasks_that_are_blocked_by_other_executors_are_named() {
    async fn without_budget() {
        for _ in 0..300 {
            futures::executor::block_on(async {
                tokio::task::spawn_blocking(|| ()).await.unwrap();
            });
        }
    }
    fn in_a_task() {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { tokio::spawn(without_budget()).await.unwrap() });
    }
    fn in_a_task_that_nobody_waits_for() {
        let handle = Handle::current();
        handle.spawn(without_budget());
    }
    fn in_a_task_of_a_current_thread_runtime() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let task = runtime.spawn(without_budget());
        runtime.block_on(task).unwrap();
    }
    fn in_a_task_in_paused_time() {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.start_paused(true).build().unwrap();
        let task = runtime.spawn(async { futures::executor::block_on(pending::<()>()) });
        runtime.block_on(task).unwrap();
    }
    fn by_a_yield() {
        let runtime = Runtime::new().unwrap();
        let task = runtime.spawn(async { futures::executor::block_on(tokio::task::yield_now()) });
        runtime.block_on(task).unwrap();
    }
    let stderr = stderr_of(|| {
        for_six_seconds(&[
            in_a_task,
            in_a_task_that_nobody_waits_for,
            in_a_task_of_a_current_thread_runtime,
            in_a_task_in_paused_time,
            by_a_yield,
        ]);
    });
    assert_eq!(named(&stderr, "堵住"), 5, "{stderr}");
}

#[test]
fn the_drop_of_a_runtime_that_waits_is_named() {
    let stderr = stderr_of(|| {
        for_six_seconds(&[|| {
            tokio::become_foreground();
            let runtime = Runtime::new().unwrap();
            runtime.spawn_blocking(|| std::thread::sleep(Duration::from_secs(60)));
        }]);
    });
    assert!(stderr.contains("drop 一个 Runtime"), "{stderr}");
}

#[test]
fn what_ends_or_may_block_is_not_named() {
    let stderr = stderr_of(|| {
        for_six_seconds(&[|| {
            let (_sender, receiver) = std::sync::mpsc::channel::<()>();
            let runtime = Runtime::new().unwrap();
            runtime.spawn(async { std::thread::sleep(Duration::from_secs(60)) });
            runtime.spawn_blocking(move || receiver.recv());
            runtime.spawn(async {
                let (_sender, receiver) = std::sync::mpsc::channel::<()>();
                tokio::task::block_in_place(|| receiver.recv())
            });
            runtime.spawn(async { tokio::time::sleep(Duration::from_secs(60)).await });
            runtime.spawn(async {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Handle::current().block_on(tokio::time::sleep(Duration::from_millis(1)));
                }
            });
            // Not nested: a server.
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                listener.accept().await.unwrap();
            });
        }]);
    });
    assert_eq!(stderr, "");
}

#[test]
fn a_wait_in_paused_time_that_ends_is_not_named() {
    let stderr = stderr_of(|| {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let hour = Duration::from_secs(3600);
            let nested = async {
                let handle = Handle::current();
                handle.block_on(tokio::time::sleep(2 * hour));
                pending::<()>().await
            };
            // Ready while the other waits, who is the last that could be asked.
            tokio::select! {
                biased;
                () = tokio::time::sleep(hour) => {}
                () = nested => {}
            }
            tokio::task::yield_now().await;
            let (sender, receiver) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || sender.send(()));
            receiver.await.unwrap();
        });
    });
    assert_eq!(stderr, "");
}

#[test]
fn without_threads_for_it_nothing_is_named_and_nothing_fails() {
    let no_threads = ("RUST_MIN_STACK", "70368744177664");
    let stderr = stderr_with(&[no_threads], || {
        Handle::from(tokio_handle()).block_on(tokio::task::yield_now());
    });
    assert_eq!(stderr, "");

    fn tokio_handle() -> tokio::original::runtime::Handle {
        let mut builder = tokio::original::runtime::Builder::new_current_thread();
        let runtime = Box::leak(Box::new(builder.build().unwrap()));
        runtime.handle().clone()
    }
}
