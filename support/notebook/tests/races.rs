//! Ten mistakes that show in some orders of the tasks only: `explore` finds each of them, and finds
//! nothing in the program that is right.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use nest_tokio as tokio; // what a notebook's first cell does
use notebook::explore;
use tokio::sync::{Mutex, Notify, OnceCell, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

type Run = Pin<Box<dyn Future<Output = ()>>>;

struct Race {
    name: &'static str,
    wrong: fn() -> Run,
    right: fn() -> Run,
}

/// What is found must be found soon, and what is right must stay right for long.
const FOUND_WITHIN: u64 = 1_000;
const SURVIVES: u64 = 10_000;

async fn all(tasks: impl IntoIterator<Item: Future<Output = ()> + Send + 'static>) {
    let mut set: JoinSet<()> = tasks.into_iter().collect();
    while let Some(ended) = set.join_next().await {
        ended.unwrap();
    }
}

const RACES: [Race; 10] = [
    Race {
        name: "lost update",
        wrong: || Box::pin(withdrawals(false)),
        right: || Box::pin(withdrawals(true)),
    },
    Race {
        name: "lost update of an atomic",
        wrong: || Box::pin(counts(false)),
        right: || Box::pin(counts(true)),
    },
    Race {
        name: "check, then act",
        wrong: || Box::pin(tickets(false)),
        right: || Box::pin(tickets(true)),
    },
    Race {
        name: "missed notification",
        wrong: || Box::pin(notification(false)),
        right: || Box::pin(notification(true)),
    },
    Race {
        name: "double initialisation",
        wrong: || Box::pin(initialisation(false)),
        right: || Box::pin(initialisation(true)),
    },
    Race {
        name: "locks in two orders",
        wrong: || Box::pin(two_locks(false)),
        right: || Box::pin(two_locks(true)),
    },
    Race {
        name: "a message lost by select!",
        wrong: || Box::pin(cancelled(false)),
        right: || Box::pin(cancelled(true)),
    },
    Race {
        name: "the first answer is taken for the first question's",
        wrong: || Box::pin(answers(false)),
        right: || Box::pin(answers(true)),
    },
    Race {
        name: "stopped before all is done",
        wrong: || Box::pin(shutdown(false)),
        right: || Box::pin(shutdown(true)),
    },
    Race {
        name: "subscribed too late",
        wrong: || Box::pin(subscription(false)),
        right: || Box::pin(subscription(true)),
    },
];

async fn withdrawals(right: bool) {
    let account = Arc::new(Mutex::new(300));
    all((0..2).map(|_| {
        let account = account.clone();
        async move {
            if right {
                *account.lock().await -= 100;
            } else {
                let balance = *account.lock().await;
                *account.lock().await = balance - 100;
            }
        }
    }))
    .await;
    assert_eq!(*account.lock().await, 100);
}

async fn counts(right: bool) {
    let count = Arc::new(AtomicU32::new(0));
    all((0..3).map(|_| {
        let count = count.clone();
        async move {
            if right {
                yield_now().await;
                count.fetch_add(1, SeqCst);
            } else {
                let old = count.load(SeqCst);
                yield_now().await;
                count.store(old + 1, SeqCst);
            }
        }
    }))
    .await;
    assert_eq!(count.load(SeqCst), 3);
}

async fn tickets(right: bool) {
    let left = Arc::new(Mutex::new(1_i32));
    all((0..2).map(|_| {
        let left = left.clone();
        async move {
            if right {
                let mut left = left.lock().await;
                if *left > 0 {
                    sleep(Duration::from_millis(10)).await; // paying
                    *left -= 1;
                }
            } else if *left.lock().await > 0 {
                *left.lock().await -= 1;
            }
        }
    }))
    .await;
    assert_eq!(*left.lock().await, 0);
}

async fn notification(right: bool) {
    let ready = Arc::new((AtomicBool::new(false), Notify::new(), Mutex::new(())));
    let waits = {
        let ready = ready.clone();
        async move {
            // What comes from now on is not missed.
            let early = right.then(|| ready.1.notified());
            if !ready.0.load(SeqCst) {
                drop(ready.2.lock().await); // something else that awaits
                match early {
                    Some(notified) => notified.await,
                    None => ready.1.notified().await,
                }
            }
        }
    };
    let tells = {
        let ready = ready.clone();
        async move {
            ready.0.store(true, SeqCst);
            ready.1.notify_waiters();
        }
    };
    let waits = tokio::spawn(waits);
    tokio::spawn(tells).await.unwrap();
    waits.await.unwrap();
}

async fn initialisation(right: bool) {
    let calls = Arc::new(AtomicU32::new(0));
    let cell = Arc::new(OnceCell::new());
    let cache = Arc::new(Mutex::new(None));
    let source = Arc::new(Mutex::new(()));
    all((0..2).map(|_| {
        let (calls, cell, cache) = (calls.clone(), cell.clone(), cache.clone());
        let source = source.clone();
        async move {
            let load = || async {
                drop(source.lock().await);
                calls.fetch_add(1, SeqCst)
            };
            if right {
                cell.get_or_init(load).await;
            } else {
                let is_there = cache.lock().await.is_some();
                if !is_there {
                    let value = load().await;
                    *cache.lock().await = Some(value);
                }
            }
        }
    }))
    .await;
    assert_eq!(calls.load(SeqCst), 1);
}

async fn two_locks(right: bool) {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    all((0..2).map(|task| {
        let locks = locks.clone();
        async move {
            if right || task == 0 {
                let mut first = locks.0.lock().await;
                *locks.1.lock().await += 1;
                *first += 1;
            } else {
                let mut second = locks.1.lock().await;
                *locks.0.lock().await += 1;
                *second += 1;
            }
        }
    }))
    .await;
}

async fn cancelled(right: bool) {
    let (tx, mut rx) = mpsc::channel(4);
    let (stop, mut stopped) = oneshot::channel();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let consumer = {
        let seen = seen.clone();
        async move {
            loop {
                if right {
                    tokio::select! {
                        Some(n) = rx.recv() => seen.lock().await.push(n),
                        _ = &mut stopped => break,
                    }
                } else {
                    let take = async {
                        let n = rx.recv().await?;
                        seen.lock().await.push(n);
                        Some(())
                    };
                    tokio::select! {
                        Some(()) = take => {}
                        _ = &mut stopped => break,
                    }
                }
            }
            while let Some(n) = rx.recv().await {
                seen.lock().await.push(n); // what is still in the channel
            }
        }
    };
    let consumer = tokio::spawn(consumer);
    let producer = tokio::spawn(async move {
        for n in 0..3 {
            tx.send(n).await.unwrap();
        }
    });
    stop.send(()).unwrap();
    producer.await.unwrap();
    consumer.await.unwrap();
    assert_eq!(seen.lock().await.len(), 3);
}

async fn answers(right: bool) {
    let (tx, mut rx) = mpsc::channel(2);
    for question in [2, 3] {
        let tx = tx.clone();
        tokio::spawn(async move {
            tx.send((question, question * question)).await.unwrap();
        });
    }
    let first = rx.recv().await.unwrap();
    let second = rx.recv().await.unwrap();
    let answer = match right {
        true => [first, second]
            .into_iter()
            .find(|(question, _)| *question == 2),
        false => Some(first),
    };
    assert_eq!(answer.unwrap().1, 4);
}

async fn shutdown(right: bool) {
    let (tx, mut rx) = mpsc::channel(8);
    let (stop, mut stopped) = watch::channel(false);
    let worker = tokio::spawn(async move {
        let mut done = 0;
        loop {
            tokio::select! {
                job = rx.recv() => match job {
                    Some(()) => done += 1,
                    None => return done,
                },
                _ = stopped.changed(), if !right => return done,
            }
        }
    });
    for _ in 0..3 {
        tx.send(()).await.unwrap();
    }
    stop.send_replace(true);
    drop(tx);
    assert_eq!(worker.await.unwrap(), 3);
}

async fn subscription(right: bool) {
    let (tx, rx) = broadcast::channel(4);
    let news = tx.clone();
    let reader = tokio::spawn(async move {
        let mut news = match right {
            true => rx,
            false => {
                drop(rx);
                news.subscribe()
            }
        };
        news.recv().await.unwrap()
    });
    let gate = Mutex::new(());
    drop(gate.lock().await);
    let _ = tx.send(42);
    assert_eq!(reader.await.unwrap(), 42);
}

#[test]
fn ten_races_are_found_within_a_thousand_seeds_and_not_under_every_one() {
    for race in RACES {
        let report = explore(0..FOUND_WITHIN, race.wrong);
        let seed = report
            .seed()
            .unwrap_or_else(|| panic!("{}: not found", race.name));
        let lost = (0..200).filter(|seed| !explore(*seed..seed + 1, race.wrong).passed());
        let lost = lost.count();
        assert!(
            (1..200).contains(&lost),
            "{}: {lost} of 200 seeds",
            race.name
        );
        println!(
            "{:<52} seed {seed:>3}, {:>9.1?}; lost under {lost:>3} of 200 seeds: {}",
            race.name,
            report.elapsed(),
            report.failure().unwrap()
        );
    }
}

#[test]
fn what_is_right_survives_ten_thousand_seeds() {
    for race in RACES {
        let start = Instant::now();
        let report = explore(0..SURVIVES, race.right);
        assert!(report.passed(), "{}: {report}", race.name);
        assert_eq!(report.runs(), SURVIVES);
        let rate = SURVIVES as f64 / start.elapsed().as_secs_f64();
        println!(
            "{:<52} {:>9.1?}, {rate:.0} seeds a second",
            race.name,
            start.elapsed()
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_timeline() {
    for race in RACES {
        let pictures: Vec<String> = (0..3)
            .map(|_| {
                let report = explore(0..FOUND_WITHIN, race.wrong);
                assert!(!report.to_string().contains("重放时没有"), "{report}");
                format!("{:?}{}", report.seed(), report.timeline().unwrap().svg())
            })
            .collect();
        let [first, second, third] = &pictures[..] else {
            unreachable!()
        };
        assert!(first == second && second == third, "{}", race.name);
    }
}
