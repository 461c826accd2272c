//! What tracking and drawing cost: `cargo bench -p notebook`.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use notebook::{Show, Timeline};

/// Rounds in which the sides take turns; the best of each counts.
const ROUNDS: usize = 25;
const POLLS: u32 = 20_000;

/// Never ready, and as good as nothing to poll.
async fn spin() {
    std::future::poll_fn(|_| black_box(Poll::Pending)).await
}

/// Time for one poll of `future`.
fn time(future: impl Future) -> Duration {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let since = Instant::now();
    for _ in 0..POLLS {
        black_box(future.as_mut().poll(&mut context).is_ready());
    }
    since.elapsed() / POLLS
}

/// Time for what no recording of a poll can do without: reading the clock before and after.
async fn two_clocks() {
    std::future::poll_fn(|_| {
        black_box((Instant::now(), Instant::now()));
        black_box(Poll::Pending)
    })
    .await
}

/// The first polls of a task, which are kept one by one.
fn time_first_polls(timeline: &Timeline) -> Duration {
    const FIRST: u32 = 200;
    let mut total = Duration::ZERO;
    for _ in 0..50 {
        let mut future = pin!(timeline.track("", spin()));
        let mut context = Context::from_waker(Waker::noop());
        let since = Instant::now();
        for _ in 0..FIRST {
            black_box(future.as_mut().poll(&mut context).is_ready());
        }
        total += since.elapsed();
    }
    total / (50 * FIRST)
}

/// A timeline of `tasks` tasks of `polls` polls each, a microsecond or more apart.
fn timeline(tasks: usize, polls: usize) -> Timeline {
    let timeline = Timeline::new();
    let track = |n: usize| Box::pin(timeline.track(format!("任务 {n}"), spin()));
    let mut futures: Vec<_> = (0..tasks).map(track).collect();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        for future in &mut futures {
            let _ = future.as_mut().poll(&mut context);
        }
    }
    timeline
}

fn main() {
    let [mut plain, mut clocks, mut tracked, mut first, mut nested] = [Duration::MAX; 5];
    for _ in 0..ROUNDS {
        let timeline = Timeline::new();
        plain = plain.min(time(spin()));
        clocks = clocks.min(time(two_clocks()));
        tracked = tracked.min(time(timeline.track("", spin())));
        first = first.min(time_first_polls(&timeline));
        nested = nested.min(time(timeline.track("", timeline.track("", spin()))));
    }
    println!("a poll of a future that does nothing     {plain:>9.1?}");
    println!("the same, reading the clock twice        {clocks:>9.1?}");
    for (what, time) in [
        ("tracked, polls kept one by one          ", first),
        ("tracked, thousands of polls (merging)   ", tracked),
        ("tracked twice, one within the other     ", nested),
    ] {
        println!(
            "{what} {time:>9.1?}  costs {:.1?} a poll, {:.1}× the two clocks{}",
            time.saturating_sub(plain),
            (time.saturating_sub(plain)).as_secs_f64() / (clocks - plain).as_secs_f64(),
            if time == nested {
                ""
            } else {
                " (goal: ≤ 200 ns)"
            }
        );
    }
    for (tasks, polls) in [(20, 5), (1_000, 10), (1_000, 1_000), (10_000, 10)] {
        let timeline = timeline(tasks, polls);
        let mut best = Duration::MAX;
        let mut bytes = 0;
        for _ in 0..10 {
            let since = Instant::now();
            let bundle = timeline.bundle();
            best = best.min(since.elapsed());
            bytes = bundle
                .get("text/html")
                .and_then(|html| html.as_str())
                .map_or(0, str::len);
        }
        let goal = if tasks == 1_000 {
            " (goal: < 100 ms, < 1 MB)"
        } else {
            ""
        };
        println!(
            "drawing {tasks:>6} tasks of {polls:>5} polls        {best:>9.1?}  {:>4} kB{goal}",
            bytes / 1_000
        );
    }
}
