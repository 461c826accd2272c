//! What watching costs: `cargo bench -p notebook --bench watch`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nest_tokio::original;
use nest_tokio::runtime::{Builder, Runtime};
use nest_tokio::task::JoinHandle;

/// Rounds in which the sides take turns; the best of each counts.
const ROUNDS: usize = 15;
const SPAWNS: u32 = 5_000;
const POLLS: u32 = 100_000;

/// Who spawns: tokio itself, or nest-tokio.
#[derive(Clone, Copy)]
enum By {
    Tokio,
    Us,
}

fn spawn<F: Future<Output = ()> + Send + 'static>(by: By, future: F) -> JoinHandle<()> {
    match by {
        By::Tokio => original::spawn(future),
        By::Us => nest_tokio::spawn(future),
    }
}

/// Time for a task that ends with its first poll, from spawn to end.
fn time_spawn(runtime: &Runtime, by: By) -> Duration {
    runtime.block_on(async {
        let task = spawn(by, async move {
            let since = Instant::now();
            for _ in 0..SPAWNS {
                black_box(spawn(by, async {}));
            }
            // The runtime has one thread: they run when this one waits.
            original::task::yield_now().await;
            *LAST.lock().unwrap() = since.elapsed() / SPAWNS;
        });
        task.await.unwrap();
    });
    *LAST.lock().unwrap()
}

/// Time for one poll of a task that wakes itself, the wake-up and the runtime's part included.
fn time_poll(runtime: &Runtime, by: By) -> Duration {
    let mut left = POLLS;
    runtime.block_on(async {
        let since = Instant::now();
        let polls = std::future::poll_fn(move |context| {
            left -= 1;
            match left {
                0 => std::task::Poll::Ready(()),
                _ => {
                    context.waker().wake_by_ref();
                    std::task::Poll::Pending
                }
            }
        });
        spawn(by, polls).await.unwrap();
        *LAST.lock().unwrap() = since.elapsed() / POLLS;
    });
    *LAST.lock().unwrap()
}

static LAST: std::sync::Mutex<Duration> = std::sync::Mutex::new(Duration::ZERO);

/// What the process holds in memory, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let [mut plain, mut ours, mut watched] = [[Duration::MAX; 2]; 3];
    let measure = |best: &mut [Duration; 2], by| {
        best[0] = best[0].min(time_spawn(&runtime, by));
        best[1] = best[1].min(time_poll(&runtime, by));
    };
    for _ in 0..ROUNDS {
        measure(&mut plain, By::Tokio);
        measure(&mut ours, By::Us);
        let watch = notebook::watch();
        measure(&mut watched, By::Us);
        drop(watch);
    }
    let what = ["a task, from spawn to end", "a poll that is woken     "];
    for (index, goal) in [400, 100].into_iter().enumerate() {
        let (plain, ours, watched) = (plain[index], ours[index], watched[index]);
        println!(
            "{} {plain:>7.1?} with tokio, {ours:>7.1?} if nobody watches; watched {watched:>7.1?}: \
             costs {:.0?} (goal: ≤ {goal} ns)",
            what[index],
            watched.saturating_sub(ours),
        );
    }
    let before = resident();
    let watch = notebook::watch();
    for _ in 0..10 {
        time_poll(&runtime, By::Us);
    }
    println!(
        "a million polls: {} kB in memory, {} polls recorded",
        resident().saturating_sub(before) / 1_000,
        watch.summary().polls
    );
}
