// The nesting matrix: every place where code may stand × every way to block on a future.
// `main.rs` includes this file; `tests/nesting.rs` of the workspace sends it to a live kernel
// as a cell. Hence no doc comments and no attributes for the whole file.

use std::time::Duration;

// Needs the timer, the scheduler, another task and a wake-up from it.
async fn work() -> u32 {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(2)).await;
        sender.send(40).unwrap();
        tokio::task::yield_now().await;
        1
    });
    let timeout = tokio::time::timeout(Duration::from_millis(2), std::future::pending::<()>());
    let elapsed = timeout.await.is_err() as u32;
    receiver.await.unwrap() + task.await.unwrap() + elapsed
}

// Ways to block on it.

fn runtime_new() -> u32 {
    tokio::runtime::Runtime::new().unwrap().block_on(work())
}

fn builder_multi_thread() -> u32 {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work())
}

fn builder_current_thread() -> u32 {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(work())
}

fn handle_current() -> u32 {
    tokio::runtime::Handle::current().block_on(work())
}

#[tokio::main]
async fn tokio_main() -> u32 {
    work().await
}

#[tokio::main(flavor = "current_thread")]
async fn tokio_main_current_thread() -> u32 {
    work().await
}

// Paused time leaps: an hour is nothing.

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn tokio_main_start_paused() -> u32 {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    work().await
}

#[tokio::main(flavor = "current_thread")]
async fn tokio_main_pause() -> u32 {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    work().await
}

// Waits for a thread: this executor knows nothing of tokio, so that in a task it blocks the worker
// and must not wait for what that worker has yet to run.
fn futures_executor() -> u32 {
    let (sender, receiver) = futures::channel::oneshot::channel();
    std::thread::spawn(move || sender.send(42));
    futures::executor::block_on(receiver).unwrap()
}

type Way = fn() -> u32;

const WAYS: [(&str, Way); 9] = [
    ("Runtime::new", runtime_new),
    ("Builder::new_multi_thread", builder_multi_thread),
    ("Builder::new_current_thread", builder_current_thread),
    ("Handle::current", handle_current),
    ("#[tokio::main]", tokio_main),
    ("#[tokio::main(flavor = \"current_thread\")]", tokio_main_current_thread),
    ("#[tokio::main(start_paused = true)]", tokio_main_start_paused),
    ("#[tokio::main] and pause", tokio_main_pause),
    ("futures::executor::block_on", futures_executor),
];

// Places where a way is tried.

fn top_level(way: Way) -> u32 {
    way()
}

fn in_await(way: Way) -> u32 {
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async move {
            tokio::task::yield_now().await;
            way()
        })
}

fn in_spawned_task(way: Way) -> u32 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime
        .block_on(runtime.spawn(async move { way() }))
        .unwrap()
}

fn in_current_thread_task(way: Way) -> u32 {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime
        .block_on(runtime.spawn(async move { way() }))
        .unwrap()
}

fn in_spawn_blocking(way: Way) -> u32 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(runtime.spawn_blocking(way)).unwrap()
}

fn in_std_thread(way: Way) -> u32 {
    std::thread::spawn(way).join().unwrap()
}

fn in_local_set(way: Way) -> u32 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async move {
        tokio::task::spawn_local(async move { way() })
            .await
            .unwrap()
    }))
}

fn in_local_set_driven_by_tokio(way: Way) -> u32 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        tokio::task::spawn_local(async move { way() })
            .await
            .unwrap()
    })
}

fn start_paused() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

fn in_paused_time(way: Way) -> u32 {
    start_paused().block_on(async move {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        way()
    })
}

fn in_paused_task(way: Way) -> u32 {
    let runtime = start_paused();
    runtime
        .block_on(runtime.spawn(async move { way() }))
        .unwrap()
}

fn in_ten_nested(way: Way) -> u32 {
    fn descend(depth: u32, way: Way) -> u32 {
        if depth == 0 {
            return way();
        }
        let mut builder = match depth % 3 {
            0 => tokio::runtime::Builder::new_multi_thread(),
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        builder.enable_all().start_paused(depth % 3 == 1);
        let runtime = builder.build().unwrap();
        runtime.block_on(async { descend(depth - 1, way) })
    }
    descend(10, way)
}

// Cases that are easy to get wrong. Each gives 42.

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn current_thread() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

// Waits, nested, for a task of the runtime that is already being waited on.
fn wait_for_sibling(runtime: tokio::runtime::Runtime) -> u32 {
    runtime.block_on(async {
        let sibling = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            42
        });
        let handle = tokio::runtime::Handle::current();
        let nested = tokio::spawn(async move { handle.block_on(sibling).unwrap() });
        nested.await.unwrap()
    })
}

fn wait_for_a_task_of_the_same_runtime() -> u32 {
    wait_for_sibling(multi_thread())
}

fn wait_for_a_task_of_the_same_current_thread_runtime() -> u32 {
    wait_for_sibling(current_thread())
}

fn timeout_elapses_inside() -> u32 {
    let elapsed = multi_thread().block_on(async {
        current_thread().block_on(async {
            tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await
        })
    });
    42 * elapsed.is_err() as u32
}

fn task_local_is_visible_inside() -> u32 {
    tokio::task_local! {
        static NUMBER: u32;
    }
    multi_thread().block_on(async {
        let task = NUMBER.scope(42, async { multi_thread().block_on(async { NUMBER.get() }) });
        tokio::spawn(task).await.unwrap()
    })
}

fn thousand_tasks_wait_at_once() -> u32 {
    multi_thread().block_on(async {
        let all_inside = std::sync::Arc::new(tokio::sync::Barrier::new(1000));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let all_inside = all_inside.clone();
            tasks.spawn(async move {
                tokio::runtime::Handle::current().block_on(async {
                    all_inside.wait().await; // nobody leaves before all have come
                })
            });
        }
        let ended = tasks.join_all().await.len() as u32;
        ended - 958
    })
}

fn task_without_cooperative_budget() -> u32 {
    multi_thread().block_on(async {
        let task = tokio::spawn(async {
            while tokio::task::coop::has_budget_remaining() {
                let mut consume = std::pin::pin!(tokio::task::consume_budget());
                let _ = futures::poll!(&mut consume);
            }
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            sender.try_send(42).unwrap();
            tokio::runtime::Handle::current().block_on(receiver.recv())
        });
        task.await.unwrap().unwrap()
    })
}

fn runtime_dropped_in_async_code() -> u32 {
    multi_thread().block_on(async {
        for runtime in [multi_thread(), current_thread()] {
            let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
            runtime.spawn(async move {
                let _alive = alive;
                std::future::pending::<()>().await
            });
            drop(runtime);
            assert!(dropped.await.is_err(), "its task was dropped");
        }
        42
    })
}

fn wait_for_a_task_of_the_same_paused_runtime() -> u32 {
    start_paused().block_on(async {
        let sibling = tokio::spawn(async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            42
        });
        tokio::runtime::Handle::current().block_on(sibling).unwrap()
    })
}

fn nested_waits_of_a_dropped_runtime_end() -> u32 {
    multi_thread().block_on(async {
        for runtime in [multi_thread(), current_thread()] {
            let (waits, waiting) = tokio::sync::oneshot::channel::<()>();
            let task = runtime.spawn(async move {
                tokio::runtime::Handle::current().block_on(async {
                    waits.send(()).unwrap();
                    tokio::time::sleep(Duration::from_secs(3600)).await
                })
            });
            waiting.await.unwrap();
            drop(runtime);
            assert!(task.await.is_err());
        }
        42
    })
}

const CASES: [(&str, Way); 9] = [
    ("a task of the same runtime", wait_for_a_task_of_the_same_runtime),
    ("the same current-thread runtime", wait_for_a_task_of_the_same_current_thread_runtime),
    ("a timeout", timeout_elapses_inside),
    ("a task-local", task_local_is_visible_inside),
    ("a thousand tasks", thousand_tasks_wait_at_once),
    ("no budget left", task_without_cooperative_budget),
    ("a dropped runtime", runtime_dropped_in_async_code),
    ("the same paused runtime", wait_for_a_task_of_the_same_paused_runtime),
    ("nested waits of a dropped runtime", nested_waits_of_a_dropped_runtime_end),
];
