//! What is started is seen, and nothing else changes: sets and `select!` are tokio's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use nest_tokio::runtime::{Handle, Runtime};
use nest_tokio::task::{JoinSet, LocalSet, spawn_blocking, spawn_local, yield_now};
use nest_tokio::watch::{Around, Kind, Start, begin_select_with, has_yielded, observe};
use nest_tokio::{select, spawn};

static SEEN: Mutex<Vec<(Kind, u32)>> = Mutex::new(Vec::new());
static POLLS: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counts;

impl Around for Counts {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        POLLS.fetch_add(1, Ordering::Relaxed);
        poll(context)
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn observer(start: &Start) -> Option<Box<dyn Around>> {
    if !start.place.file().ends_with("tests/watch.rs") || !start.name.contains("watched::") {
        return None;
    }
    SEEN.lock().unwrap().push((start.kind, start.place.line()));
    Some(Box::new(Counts))
}

/// What is started in here is watched.
mod watched {
    pub async fn task() -> u32 {
        super::yield_now().await;
        7
    }

    pub fn work() -> u32 {
        7
    }
}

#[test]
fn each_way_to_start_something_is_seen_with_its_place_and_gives_what_it_gives() {
    assert!(observe(observer) && !observe(observer));
    let runtime = Runtime::new().unwrap();
    let first = line!() + 2;
    let sum = runtime.block_on(async {
        let mut sum = spawn(watched::task()).await.unwrap();
        sum += runtime.spawn(watched::task()).await.unwrap();
        sum += Handle::current().spawn(watched::task()).await.unwrap();
        sum += spawn_blocking(watched::work).await.unwrap();
        sum += runtime.block_on(watched::task());
        let mut set = JoinSet::new();
        set.spawn(watched::task());
        set.spawn_on(watched::task(), runtime.handle());
        set.spawn_blocking(watched::work);
        let local = LocalSet::new();
        set.spawn_local_on(watched::task(), &local);
        let inner = local.run_until(async { spawn_local(watched::task()).await.unwrap() });
        sum += inner.await;
        local.await;
        sum + set.join_all().await.iter().sum::<u32>()
    });
    assert_eq!(sum, 70);
    use Kind::{BlockOn, Blocking, Local, Task};
    let expected = [
        (Task, 0),
        (Task, 1),
        (Task, 2),
        (Blocking, 3),
        (BlockOn, 4),
        (Task, 6),
        (Task, 7),
        (Blocking, 8),
        (Local, 10),
        (Local, 11),
    ];
    let seen = SEEN.lock().unwrap();
    let seen: Vec<_> = seen
        .iter()
        .map(|(kind, line)| (*kind, line - first))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(POLLS.load(Ordering::Relaxed), 8 * 2 + 2);
    drop(runtime); // whose threads may still be dropping closures
    assert_eq!(DROPPED.load(Ordering::Relaxed), 10);
}

#[test]
fn a_join_set_works_without_a_runtime_and_has_all_of_tokios_methods() {
    let mut set: JoinSet<u32> = (0..3).map(|n| async move { n }).collect();
    set.extend([async { 3 }]);
    assert_eq!(set.len(), 4);
    set.spawn(std::future::pending()).abort();
    let (mut sum, mut cancelled) = (0, 0);
    while let Some(joined) = Handle::current().block_on(set.join_next()) {
        match joined {
            Ok(n) => sum += n,
            Err(error) => cancelled += u32::from(error.is_cancelled()),
        }
    }
    assert_eq!((sum, cancelled, set.is_empty()), (6, 1, true));
    fn tokios(set: &mut nest_tokio::original::task::JoinSet<u32>) -> bool {
        set.try_join_next().is_none()
    }
    assert!(tokios(&mut set));
    set.spawn(std::future::pending());
    Handle::current().block_on(set.shutdown());
    assert_eq!(format!("{set:?}"), "JoinSet { len: 0 }");
}

#[test]
fn select_has_all_of_tokios_forms_and_its_first_branch_can_be_chosen() {
    Handle::current().block_on(async {
        let never = std::future::pending::<u32>;
        assert_eq!(
            select! { biased; n = async { 1 } => n, n = async { 2 } => n },
            1
        );
        assert_eq!(
            select! { n = never() => n, Some(n) = async { Some(3) } => n, else => 4 },
            3
        );
        assert_eq!(
            select! { Some(n) = async { None::<u32> } => n, else => 4 },
            4
        );
        assert_eq!(
            select! { n = async { 5 }, if false => n, n = async { 6 } => { n } },
            6
        );
        assert_eq!(select! { else => 7 }, 7);
        for first in 0..2 {
            begin_select_with(Some(match first {
                0 => |_| 0,
                _ => |branches| branches - 1,
            }));
            assert_eq!(
                select! { n = async { 0 } => n, n = async { 1 } => n },
                first
            );
        }
        begin_select_with(None);
        let mut counts = [0; 2];
        for _ in 0..200 {
            counts[select! { () = async {} => 0, () = async {} => 1 }] += 1;
        }
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    });
}

#[test]
fn who_yields_is_known_and_lets_timers_run() {
    Handle::current().block_on(async {
        has_yielded();
        yield_now().await;
        assert!(has_yielded() && !has_yielded());
        let sleep = nest_tokio::time::sleep(Duration::from_millis(5));
        let turns = async {
            loop {
                yield_now().await;
            }
        };
        select! {
            () = sleep => {}
            () = turns => unreachable!(),
        }
    });
}
