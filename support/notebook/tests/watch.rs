//! What is seen of a program in which nothing says that it is watched.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use nest_tokio as tokio; // what a notebook's first cell does
use notebook::{Show, Timeline};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet, spawn_blocking, spawn_local, yield_now};
use tokio::time::{sleep, timeout};

/// There is one watch in a process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program to its end, which may leave tasks behind, and gives what was seen of it.
fn watched<F: Future<Output = T>, T>(program: impl FnOnce() -> F) -> (Timeline, T) {
    let watch = notebook::watch();
    let kept = Handle::current().block_on(program());
    (watch, kept)
}

const MS: Duration = Duration::from_millis(1);

/// For so long on a processor, however long it has to stand in line for one.
fn calculate(time: Duration) {
    let start = used();
    while used() - start < time {
        black_box(start);
    }
}

fn used() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: one valid record to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What a program leaves alive while its lints are asked for.
type Kept = Box<dyn std::any::Any>;

fn keep<T: 'static>(value: T) -> Kept {
    Box::new(value)
}

type Program = fn() -> Pin<Box<dyn Future<Output = Kept>>>;

/// Two programs for each lint: what it is called, part of the lint, the program.
const MISTAKES: [(&str, &str, Program); 12] = [
    ("sleeps in the way of std", "阻塞了线程", || {
        Box::pin(async {
            let task = tokio::spawn(async {
                yield_now().await;
                std::thread::sleep(40 * MS);
                yield_now().await;
            });
            task.await.unwrap();
            keep(())
        })
    }),
    ("waits for a channel of std", "阻塞了线程", || {
        Box::pin(async {
            let (tx, rx) = std::sync::mpsc::channel();
            let mut set = JoinSet::new();
            set.spawn(async move { rx.recv().unwrap() });
            let thread = std::thread::spawn(move || {
                std::thread::sleep(40 * MS);
                tx.send(()).unwrap();
            });
            set.join_next().await.unwrap().unwrap();
            thread.join().unwrap();
            keep(())
        })
    }),
    ("calculates without a break", "一口气算了", || {
        Box::pin(async {
            tokio::spawn(async { calculate(60 * MS) }).await.unwrap();
            keep(())
        })
    }),
    ("awaits what is always ready", "一口气算了", || {
        Box::pin(async {
            let task = tokio::spawn(async {
                for _ in 0..60 {
                    calculate(MS);
                    std::future::ready(()).await;
                }
            });
            task.await.unwrap();
            keep(())
        })
    }),
    ("wakes itself at once", "自己唤醒了自己", || {
        Box::pin(async {
            let mut polls = 0;
            let task = tokio::spawn(poll_fn(move |context| {
                context.waker().wake_by_ref();
                polls += 1;
                match polls {
                    2_000 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            }));
            task.await.unwrap();
            keep(())
        })
    }),
    ("yields until it is time", "自己唤醒了自己", || {
        Box::pin(async {
            let task = tokio::spawn(async {
                let (start, mut turns) = (Instant::now(), 0);
                while start.elapsed() < 10 * MS || turns < 2_000 {
                    turns += 1;
                    yield_now().await;
                }
            });
            task.await.unwrap();
            keep(())
        })
    }),
    ("is never ready", "没有谁拿着它的 waker", || {
        Box::pin(async {
            let task = tokio::spawn(std::future::pending::<()>());
            sleep(200 * MS).await;
            keep(task)
        })
    }),
    (
        "returns pending and forgets the waker",
        "没有谁拿着它的 waker",
        || {
            Box::pin(async {
                let start = Instant::now();
                let task = tokio::spawn(async move {
                    yield_now().await;
                    poll_fn(|_| match start.elapsed() > 1_000 * MS {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    })
                    .await;
                });
                sleep(200 * MS).await;
                keep(task)
            })
        },
    ),
    ("keeps an array over an await", "KiB", || {
        Box::pin(async {
            let task = tokio::spawn(async {
                let buffer = black_box([0_u8; 20_000]);
                yield_now().await;
                black_box(buffer);
            });
            task.await.unwrap();
            keep(())
        })
    }),
    ("calls what keeps one", "KiB", || {
        async fn reads() -> usize {
            let buffer = black_box([0_u64; 4_096]);
            yield_now().await;
            buffer.len()
        }
        Box::pin(async {
            let mut set = JoinSet::new();
            set.spawn(async { reads().await });
            set.join_next().await;
            keep(())
        })
    }),
    (
        "is in a set that nobody runs",
        "从来没有被 poll 过",
        || {
            Box::pin(async {
                let set = LocalSet::new();
                set.spawn_local(async {});
                sleep(350 * MS).await;
                keep(set)
            })
        },
    ),
    (
        "is on a runtime that nobody drives",
        "从来没有被 poll 过",
        || {
            Box::pin(async {
                let runtime = tokio::original::runtime::Builder::new_current_thread().build();
                let runtime = runtime.unwrap();
                let mut set = JoinSet::new();
                set.spawn_on(async {}, runtime.handle());
                sleep(350 * MS).await;
                keep((set, runtime))
            })
        },
    ),
];

#[test]
fn each_of_twelve_mistakes_has_its_lint_and_no_other() {
    let _alone = alone();
    for (name, part, program) in MISTAKES {
        let (watch, kept) = watched(program);
        let lints = watch.lints();
        assert!(
            lints.len() == 1 && lints[0].contains(part),
            "{name}: {lints:#?}"
        );
        let bundle = watch.bundle();
        assert!(bundle.text().contains("⚠"), "{name}: {}", bundle.text());
        // A runtime must not be dropped where its tasks are.
        drop(kept);
    }
}

/// What a course shows as right.
async fn healthy() -> Kept {
    // A server that nobody has asked anything yet, and a ticker, live on.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = tokio::spawn(async move {
        let _ = listener.accept().await;
    });
    let ticker = tokio::spawn(async {
        loop {
            sleep(5 * MS).await;
        }
    });
    let permits = Arc::new(Semaphore::new(3));
    let (tx, mut rx) = mpsc::channel(2);
    let mut set = JoinSet::new();
    for n in 0..20 {
        let (permits, tx) = (permits.clone(), tx.clone());
        set.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            sleep(2 * MS).await;
            tx.send(n).await.unwrap();
        });
    }
    drop(tx);
    let mut sum = 0;
    while let Some(n) = rx.recv().await {
        sum += n;
    }
    assert_eq!(sum, 190);
    set.join_all().await;
    spawn_blocking(|| calculate(30 * MS)).await.unwrap();
    let chunks = tokio::spawn(async {
        for _ in 0..500 {
            calculate(Duration::from_micros(40));
            yield_now().await;
        }
    });
    let slow = tokio::spawn(sleep(Duration::from_secs(60)));
    assert!(timeout(5 * MS, slow).await.is_err());
    tokio::select! {
        _ = sleep(5 * MS) => {}
        _ = std::future::pending::<()>() => {}
    }
    chunks.await.unwrap();
    let local = LocalSet::new();
    let run = local.run_until(async { spawn_local(async { yield_now().await }).await.unwrap() });
    run.await;
    keep((server, ticker))
}

#[test]
fn what_is_right_has_no_lint() {
    let _alone = alone();
    let (watch, _kept) = watched(healthy);
    assert_eq!(watch.lints(), [""; 0]);
    let summary = watch.summary();
    assert!(summary.tasks >= 26, "{summary:?}");
    assert_eq!(summary.panicked, 0);
}

/// More than the system has room for at first: see `descriptors.rs`.
#[test]
fn a_server_with_many_connections_has_no_lint() {
    let _alone = alone();
    let (watch, _kept) = watched(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                open.push(listener.accept().await.unwrap());
            }
        });
        let clients: JoinSet<_> = (0..400).map(|_| TcpStream::connect(address)).collect();
        keep((server, clients.join_all().await))
    });
    assert_eq!(watch.lints(), [""; 0]);
}

async fn child(notify: Arc<Notify>) {
    notify.notified().await;
}

async fn parent(notify: Arc<Notify>) {
    tokio::spawn(child(notify)).await.unwrap();
}

#[test]
fn tasks_are_named_by_their_functions_below_those_that_started_them_with_what_woke_them() {
    let _alone = alone();
    let (watch, ()) = watched(|| async {
        let notify = Arc::new(Notify::new());
        let family = tokio::spawn(parent(notify.clone()));
        sleep(200 * MS).await;
        let tells = tokio::spawn(async move { notify.notify_one() });
        tells.await.unwrap();
        family.await.unwrap();
    });
    let bundle = watch.bundle();
    let text = bundle.text();
    let lane = |name: &str| {
        let found = text
            .lines()
            .position(|line| line.trim_start().starts_with(name));
        found.unwrap_or_else(|| panic!("{name} in\n{text}"))
    };
    assert!(lane("parent") < lane("child"), "{text}");
    let html = bundle.get("text/html").unwrap().as_str().unwrap();
    for expected in [
        "“child”的结束 唤醒了“parent”",
        "watch.rs:", // where it was started
        "<table>",
    ] {
        assert!(html.contains(expected), "{expected} in\n{html}");
    }
    assert!(html.contains("唤醒了“child”"), "{html}");
}

#[test]
fn all_ways_to_start_something_are_seen_and_every_end_is_told() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (watch, aborted) = watched(|| async move {
        tokio::spawn(async {}).await.unwrap();
        runtime.spawn(async {}).await.unwrap();
        runtime.handle().spawn_blocking(|| ()).await.unwrap();
        runtime.block_on(async {});
        let mut set: JoinSet<()> = (0..2).map(|_| async {}).collect();
        set.spawn_blocking(|| ());
        set.spawn_on(async {}, runtime.handle());
        set.join_all().await;
        let local = LocalSet::new();
        local.spawn_local(async {});
        let mut set = JoinSet::new();
        set.spawn_local_on(async {}, &local);
        local.await;
        #[tokio::main(crate = "nest_tokio", flavor = "current_thread")]
        async fn main() {}
        main();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        assert!(tokio::spawn(async { panic!("意料之中") }).await.is_err());
        std::panic::set_hook(hook);
        let aborted = tokio::spawn(sleep(Duration::from_secs(60)));
        aborted.abort();
        aborted.await.unwrap_err().is_cancelled()
    });
    assert!(aborted);
    let summary = watch.summary();
    // Thirteen, the whole itself, and what was aborted and what panicked.
    let told = (
        summary.tasks,
        summary.completed,
        summary.cancelled,
        summary.panicked,
    );
    assert_eq!(told, (14, 12, 1, 1));
}

#[test]
fn what_lives_is_a_tree_with_state_and_cause() {
    let _alone = alone();
    assert!(
        notebook::tasks().to_string().contains("watch()"),
        "nobody watches"
    );
    let (watch, (tx, parent)) = watched(|| async {
        let (tx, rx) = oneshot::channel::<()>();
        async fn waits(rx: oneshot::Receiver<()>) {
            let _ = rx.await;
        }
        async fn starts(rx: oneshot::Receiver<()>) {
            tokio::spawn(waits(rx)).await.unwrap();
        }
        let parent = tokio::spawn(starts(rx));
        sleep(200 * MS).await;
        (tx, parent)
    });
    let tasks = notebook::tasks().to_string();
    let lines: Vec<&str> = tasks.lines().collect();
    assert!(
        lines[0].starts_with("starts ") && lines[0].contains("在等待"),
        "{tasks}"
    );
    assert!(lines[1].starts_with("  waits "), "{tasks}");
    tx.send(()).unwrap();
    Handle::current().block_on(parent).unwrap();
    let tasks = notebook::tasks().to_string();
    assert!(tasks.contains("没有活着的任务"), "{tasks}");
    drop(watch);
}

#[test]
fn who_stops_watching_sees_no_more_and_ten_thousand_tasks_are_summarised() {
    let _alone = alone();
    let (watch, ()) = watched(|| async {
        async fn fetch() {
            yield_now().await;
        }
        (0..10_000)
            .map(|_| fetch())
            .collect::<JoinSet<()>>()
            .join_all()
            .await;
    });
    let start = Instant::now();
    let bundle = watch.bundle();
    let html = bundle.get("text/html").unwrap().as_str().unwrap();
    println!(
        "10,000 tasks: {:.1?}, {} kB",
        start.elapsed(),
        html.len() / 1_000
    );
    assert!(html.contains("fetch × 10000"), "{html}");
    assert!(html.len() < 100_000);
    let second = notebook::watch();
    let before = watch.summary().tasks;
    Handle::current().block_on(async { tokio::spawn(async {}).await.unwrap() });
    assert_eq!(watch.summary().tasks, before);
    assert_eq!(second.summary().tasks, 2);
}
