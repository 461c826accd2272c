//! What a search promises, whatever the program.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nest_tokio::sync::{Mutex, mpsc, oneshot};
use nest_tokio::task::{JoinSet, LocalSet, spawn_blocking, spawn_local, yield_now};
use nest_tokio::time::{Instant, sleep, timeout};
use nest_tokio::{select, spawn};

use super::*;

fn failure(report: &Exploration) -> String {
    report.failure().expect("a failure")
}

#[test]
fn a_program_that_is_right_runs_once_for_each_seed() {
    let runs = AtomicU32::new(0);
    let report = explore(0..50, || async {
        runs.fetch_add(1, Ordering::Relaxed);
        assert_eq!(spawn(async { 6 * 7 }).await.unwrap(), 42);
    });
    assert!(report.passed() && report.seed().is_none() && report.timeline().is_none());
    assert_eq!((report.runs(), runs.into_inner()), (50, 50));
    assert!(report.to_string().starts_with("试了 50 个种子"), "{report}");
}

#[test]
fn panics_errors_and_deadlocks_are_failures_and_are_told_apart() {
    let in_a_task = explore(0..3, || async {
        let _ = spawn(async { panic!("任务出错了") }).await;
    });
    let message = failure(&in_a_task);
    assert!(
        message.contains("任务出错了") && message.contains("tests.rs:"),
        "{message}"
    );

    let in_the_program = explore(0..3, || async { assert_eq!(1 + 1, 3, "算错了") });
    assert!(failure(&in_the_program).contains("算错了"));

    let returned = explore(0..3, || async { "x".parse::<u32>().map(drop) });
    assert_eq!(
        failure(&returned),
        "返回了错误：ParseIntError { kind: InvalidDigit }"
    );

    async fn waits_for_ever(rx: mpsc::Receiver<()>) {
        let mut rx = rx;
        rx.recv().await;
    }
    let deadlock = explore(0..3, || async {
        let (_tx, rx) = mpsc::channel(1);
        spawn(waits_for_ever(rx)).await.unwrap();
    });
    let message = failure(&deadlock);
    let summary = deadlock.timeline().unwrap().summary();
    assert_eq!((summary.unfinished, summary.cancelled), (2, 0));
    assert!(
        message.starts_with("死锁：主任务、waits_for_ever都在等待"),
        "{message}"
    );

    let endless = explore(0..1, || async {
        let (tx, _rx) = mpsc::channel::<()>(1);
        while !tx.is_closed() {
            yield_now().await;
        }
    });
    assert!(failure(&endless).contains("还没有结束"));
}

#[test]
fn the_search_ends_with_the_first_failure_and_that_one_is_drawn_in_steps() {
    let report = explore(0..1_000, || async {
        let (tx, mut rx) = mpsc::channel(2);
        for n in 0..2 {
            let tx = tx.clone();
            spawn(async move { tx.send(n).await.unwrap() });
        }
        assert_eq!(rx.recv().await, Some(0));
    });
    assert_eq!(report.runs(), report.seed().unwrap() + 1);
    let timeline = report.timeline().unwrap();
    assert_eq!(timeline.summary().tasks, 3);
    assert!(timeline.svg().contains("步"));
    let bundle = crate::Show::bundle(&report);
    assert!(bundle.text().contains("█"), "{}", bundle.text());
}

#[test]
fn time_is_virtual_and_stands_still_while_somebody_can_run() {
    let start = std::time::Instant::now();
    let report = explore(0..100, || async {
        let start = Instant::now();
        let slow = spawn(async { sleep(Duration::from_secs(3600)).await });
        assert!(timeout(Duration::from_secs(60), yield_now()).await.is_ok());
        assert_eq!(start.elapsed(), Duration::ZERO);
        slow.await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(3600));
    });
    assert!(report.passed(), "{report}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn select_begins_where_the_seed_says() {
    let program = || async {
        let first = select! {
            () = async {} => 1,
            () = async {} => 2,
        };
        assert_eq!(first, 1);
    };
    let failing: Vec<u64> = (0..64)
        .filter(|seed| !explore(*seed..seed + 1, program).passed())
        .collect();
    assert!((10..54).contains(&failing.len()), "{failing:?}");
    let again = (0..64).filter(|seed| !explore(*seed..seed + 1, program).passed());
    assert_eq!(again.collect::<Vec<_>>(), failing);
}

#[test]
fn every_order_of_three_tasks_is_tried() {
    let orders = Mutex::new(std::collections::BTreeSet::new());
    let report = explore(0..500, || async {
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut set = JoinSet::new();
        for n in 0..3 {
            let order = order.clone();
            set.spawn(async move { order.lock().unwrap().push(n) });
        }
        set.join_all().await;
        let order = order.lock().unwrap().clone();
        orders.lock().await.insert(order);
    });
    assert!(report.passed(), "{report}");
    assert_eq!(orders.into_inner().len(), 6);
}

#[test]
fn aborted_tasks_local_sets_and_blocking_work_are_no_trouble() {
    let report = explore(0..300, || async {
        let (tx, rx) = oneshot::channel::<()>();
        let waits = spawn(rx);
        let busy = spawn(async {
            loop {
                yield_now().await;
            }
        });
        waits.abort();
        busy.abort();
        assert!(busy.await.unwrap_err().is_cancelled());
        assert!(waits.await.unwrap_err().is_cancelled());
        assert!(tx.is_closed());
        assert_eq!(spawn_blocking(|| 42).await.unwrap(), 42);
        let local = LocalSet::new();
        let n = local.run_until(async { spawn_local(async { 7 }).await.unwrap() });
        assert_eq!(n.await, 7);
    });
    assert!(report.passed(), "{report}");
}

#[test]
fn it_can_be_called_wherever_code_runs() {
    let program = || async { spawn(async {}).await.unwrap() };
    let runtime = nest_tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        assert!(explore(0..10, program).passed());
        let in_a_task = spawn(async move { explore(0..10, program).passed() });
        assert!(in_a_task.await.unwrap());
    });
    let nested = explore(0..2, || async {
        assert!(explore(0..2, || async {}).passed())
    });
    assert!(nested.passed(), "{nested}");
}

#[test]
fn an_interrupt_ends_the_search() {
    let (tx, rx) = std::sync::mpsc::channel();
    let foreground = thread::spawn(move || {
        nest_tokio::become_foreground();
        let search = || {
            explore(0..u64::MAX, || async {
                let _ = tx.send(());
                spawn(async {}).await.unwrap();
            })
        };
        catch_unwind(AssertUnwindSafe(|| drop(search()))).unwrap_err()
    });
    rx.recv().unwrap();
    let start = Instant::now();
    while !nest_tokio::interrupt() {
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert!(foreground.join().unwrap().is::<nest_tokio::Interrupted>());
}
