//! What nesting costs, as ratios measured side by side: `cargo bench -p nest-tokio`.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use nest_tokio::{original, runtime};

/// Rounds in which the two sides take turns; the best of each counts.
const ROUNDS: usize = 25;
const CALLS: u32 = 20_000;

/// Time for one call of `f`.
fn time(f: impl Fn()) -> Duration {
    let since = Instant::now();
    for _ in 0..CALLS {
        f();
    }
    since.elapsed() / CALLS
}

async fn ready() -> u32 {
    black_box(42)
}

/// Time for one poll of a task that `spawn` starts on `runtime`.
fn poll<T: Future<Output = Duration>>(
    runtime: &original::runtime::Runtime,
    spawn: impl Fn(std::pin::Pin<Box<dyn Future<Output = Duration> + Send>>) -> T,
) -> Duration {
    const POLLS: u32 = 100_000;
    runtime.block_on(spawn(Box::pin(async {
        let since = Instant::now();
        let mut left = POLLS;
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            left -= 1;
            match left {
                0 => std::task::Poll::Ready(()),
                _ => std::task::Poll::Pending,
            }
        })
        .await;
        since.elapsed() / POLLS
    })))
}

/// nest_asyncio's counterpart, in nanoseconds, if there is a Python with it.
fn nest_asyncio() -> Option<Duration> {
    const SCRIPT: &str = "
import asyncio, time, nest_asyncio
async def ready(): return 42
async def main():
    nest_asyncio.apply()
    loop = asyncio.get_running_loop()
    best = 1e9
    for _ in range(20):
        since = time.perf_counter()
        for _ in range(1000): loop.run_until_complete(ready())
        best = min(best, (time.perf_counter() - since) / 1000)
    print(int(best * 1e9))
asyncio.run(main())
";
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).args(["-c", SCRIPT]).output().ok()?;
    let nanos = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn main() {
    let plain = original::runtime::Runtime::new().unwrap();
    let nesting = runtime::Runtime::new().unwrap();
    let (mut plainly, mut nested, mut in_task) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        plainly = plainly.min(time(|| {
            black_box(plain.block_on(ready()));
        }));
        nested = nested.min(nesting.block_on(async {
            time(|| {
                black_box(nesting.block_on(ready()));
            })
        }));
    }
    let handle = nesting.handle().clone();
    let task = nesting.spawn(async move {
        let since = Instant::now();
        for _ in 0..1000 {
            black_box(handle.block_on(ready()));
        }
        since.elapsed() / 1000
    });
    in_task = in_task.min(nesting.block_on(task).unwrap());

    let (mut tokios, mut ours) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        tokios = tokios.min(poll(&nesting, |task| {
            let handle: &original::runtime::Handle = nesting.handle();
            let task = handle.spawn(task);
            async { task.await.unwrap() }
        }));
        ours = ours.min(poll(&nesting, |task| {
            let task = nesting.spawn(task);
            async { task.await.unwrap() }
        }));
    }

    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("tokio's block_on, not nested              {plainly:>10.1?}");
    println!(
        "nested in a block_on                      {nested:>10.1?}  {:.2}× tokio's (goal: ≤ 2×)",
        ratio(nested, plainly)
    );
    println!(
        "nested in a task (hands its worker over)  {in_task:>10.1?}  {:.1}× tokio's",
        ratio(in_task, plainly)
    );
    println!("a task's poll, tokio's and ours             {tokios:>8.1?} {ours:>8.1?}");
    match nest_asyncio() {
        Some(python) => println!(
            "nest_asyncio's run_until_complete, nested {python:>10.1?}  we are {:.0}× faster (goal: ≥ 50×)",
            ratio(python, nested)
        ),
        None => println!("nest_asyncio: not measured; set PYTHON to a Python that has it"),
    }
}
