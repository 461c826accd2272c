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

// Waits for a thread: this executor knows nothing of tokio, so that in a task it blocks the worker
// and must not wait for what that worker has yet to run.
fn futures_executor() -> u32 {
    let (sender, receiver) = futures::channel::oneshot::channel();
    std::thread::spawn(move || sender.send(42));
    futures::executor::block_on(receiver).unwrap()
}

type Way = fn() -> u32;

const WAYS: [(&str, Way); 7] = [
    ("Runtime::new", runtime_new),
    ("Builder::new_multi_thread", builder_multi_thread),
    ("Builder::new_current_thread", builder_current_thread),
    ("Handle::current", handle_current),
    ("#[tokio::main]", tokio_main),
    ("#[tokio::main(flavor = \"current_thread\")]", tokio_main_current_thread),
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

fn in_ten_nested(way: Way) -> u32 {
    fn descend(depth: u32, way: Way) -> u32 {
        if depth == 0 {
            return way();
        }
        let mut builder = match depth % 2 {
            0 => tokio::runtime::Builder::new_multi_thread(),
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async { descend(depth - 1, way) })
    }
    descend(10, way)
}
