//! Promises 2 to 4: one session, an interrupt that cancels, and otherwise tokio as documented.

mod child;

use child::{stderr_of, stderr_with};
use nest_tokio as tokio;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// There is one foreground; tests that are it take turns.
static FOREGROUND: Mutex<()> = Mutex::new(());

/// Runs `f` on a foreground thread of its own and fails if it has not ended in half a minute.
fn foreground<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let _turn = FOREGROUND.lock().unwrap_or_else(|e| e.into_inner());
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        tokio::become_foreground();
        sender.send(f())
    });
    match receiver.recv_timeout(Duration::from_secs(30)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still not done after 30 s"),
        Err(_) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

#[test]
fn spawn_sleep_and_current_work_outside_of_any_await() {
    foreground(|| {
        let task = tokio::spawn(async { 42 });
        let sleep = tokio::time::sleep(Duration::from_millis(1));
        let handle = tokio::runtime::Handle::current();
        handle.block_on(sleep);
        assert_eq!(handle.block_on(task).unwrap(), 42);
    });
}

#[test]
fn spawn_works_on_a_thread_without_a_runtime() {
    let task = std::thread::spawn(|| tokio::spawn(async { 42 }))
        .join()
        .unwrap();
    let blocking = std::thread::spawn(|| tokio::task::spawn_blocking(|| 43))
        .join()
        .unwrap();
    let handle = tokio::runtime::Handle::current();
    assert_eq!(handle.block_on(task).unwrap(), 42);
    assert_eq!(handle.block_on(blocking).unwrap(), 43);
    assert!(
        tokio::runtime::Handle::try_current().is_err(),
        "and leaves no trace"
    );
}

#[test]
fn tasks_outlive_the_block_on_that_started_them() {
    foreground(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel::<u32>();
        let mut task = None;
        runtime.block_on(async { task = Some(tokio::spawn(receiver)) });
        sender.send(42).unwrap();
        assert_eq!(runtime.block_on(task.unwrap()).unwrap(), Ok(42));
    });
}

/// Counts how often it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Interrupts once the foreground says that it is about to wait.
fn interrupt_when_told() -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        receiver.recv().unwrap();
        while !tokio::interrupt() {
            std::thread::yield_now();
        }
    });
    sender
}

#[test]
fn an_interrupt_drops_the_foreground_future_and_nothing_else() {
    foreground(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let background = runtime.spawn(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            42
        });
        let dropped = Arc::new(AtomicUsize::new(0));
        let (guard, go) = (Dropped(dropped.clone()), interrupt_when_told());
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async move {
                let _guard = guard;
                go.send(()).unwrap();
                std::future::pending::<()>().await
            })
        }));
        assert!(unwound.unwrap_err().is::<tokio::Interrupted>());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(runtime.block_on(background).unwrap(), 42);
    });
}

#[test]
fn an_interrupt_unwinds_all_waits_nested_in_the_foreground() {
    foreground(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (outer, inner) = (Dropped(dropped.clone()), Dropped(dropped.clone()));
        let go = interrupt_when_told();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            tokio::runtime::Runtime::new()
                .unwrap()
                .block_on(async move {
                    let _outer = outer;
                    tokio::runtime::Handle::current().block_on(async move {
                        let _inner = inner;
                        go.send(()).unwrap();
                        tokio::time::sleep(Duration::from_secs(3600)).await
                    })
                })
        }));
        assert!(unwound.unwrap_err().is::<tokio::Interrupted>());
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn an_interrupt_while_idle_does_nothing_and_is_not_remembered() {
    foreground(|| {
        assert!(!tokio::interrupt());
        let n = tokio::runtime::Handle::current().block_on(async {
            tokio::task::yield_now().await;
            42
        });
        assert_eq!(n, 42);
    });
}

#[test]
fn an_interrupt_does_not_touch_waits_of_other_threads() {
    foreground(|| {
        let finished = Arc::new(AtomicBool::new(false));
        let mark = finished.clone();
        let (started, wait) = mpsc::channel();
        let other = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                started.send(()).unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                mark.store(true, Ordering::SeqCst);
            })
        });
        wait.recv().unwrap();
        assert!(!tokio::interrupt());
        other.join().unwrap();
        assert!(finished.load(Ordering::SeqCst));
    });
}

#[test]
fn a_destructor_may_wait_while_an_interrupt_unwinds() {
    struct Waits(Arc<AtomicBool>);
    impl Drop for Waits {
        fn drop(&mut self) {
            tokio::runtime::Handle::current().block_on(tokio::task::yield_now());
            self.0.store(true, Ordering::SeqCst);
        }
    }
    foreground(|| {
        let waited = Arc::new(AtomicBool::new(false));
        let (guard, go) = (Waits(waited.clone()), interrupt_when_told());
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            tokio::runtime::Handle::current().block_on(async move {
                let _guard = guard;
                go.send(()).unwrap();
                std::future::pending::<()>().await
            })
        }));
        assert!(unwound.is_err());
        assert!(waited.load(Ordering::SeqCst));
    });
}

#[test]
fn an_interrupt_prints_no_panic_message() {
    let stderr = stderr_of(|| {
        tokio::become_foreground();
        let unwound = catch_unwind(|| {
            tokio::runtime::Handle::current().block_on(async {
                tokio::interrupt();
                tokio::task::yield_now().await
            })
        });
        assert!(unwound.is_err());
    });
    assert_eq!(stderr, "");
}

#[test]
fn tokios_refusal_is_not_printed() {
    let stderr = stderr_of(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let local = tokio::task::LocalSet::new();
        let n = local.block_on(&runtime, async { runtime.block_on(async { 42 }) });
        assert_eq!(n, 42);
    });
    assert_eq!(stderr, "");
}

#[test]
fn other_panics_are_printed_as_ever() {
    let stderr = stderr_of(|| {
        let caught = catch_unwind(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async { runtime.block_on(async { panic!("seen by all") }) })
        });
        assert!(caught.is_err());
    });
    assert!(stderr.contains("seen by all"), "{stderr}");
}

/// What evcxr sets for the process that runs the cells, which loads the library.
const IN_A_KERNEL: (&str, &str) = ("EVCXR_IS_RUNTIME", "1");
/// Makes std ask for threads with a stack that no machine has.
const NO_THREADS: (&str, &str) = ("RUST_MIN_STACK", "70368744177664");

#[test]
fn in_a_kernel_the_main_thread_is_the_foreground() {
    let stderr = stderr_with(&[IN_A_KERNEL], || ());
    assert_eq!(stderr, "");
}

/// Sends SIGINT to this process, and waits longer than what it interrupts is given to react.
fn press_stop() {
    // SAFETY: it has no conditions, and there is a handler.
    assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGINT) }, 0);
    std::thread::sleep(Duration::from_millis(1500));
}

#[test]
fn where_a_kernel_has_no_front_an_interrupt_says_so_once() {
    let stderr = stderr_with(&[IN_A_KERNEL], || {
        tokio::become_foreground();
        let (sender, stop) = mpsc::channel();
        let cell = || {
            tokio::runtime::Handle::current().block_on(async {
                tokio::runtime::Handle::current().block_on(async {
                    sender.send(std::thread::spawn(press_stop)).unwrap();
                    std::future::pending::<()>().await
                })
            })
        };
        let unwound = catch_unwind(AssertUnwindSafe(cell)).unwrap_err();
        assert!(unwound.is::<tokio::Interrupted>());
        stop.recv().unwrap().join().unwrap();
    });
    let said: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("中断]"))
        .collect();
    assert!(
        said.len() == 1 && said[0].starts_with("[已中断]"),
        "{stderr}"
    );
}

#[test]
fn an_interrupt_that_has_to_wait_says_so() {
    let stderr = stderr_with(&[IN_A_KERNEL], || {
        tokio::become_foreground();
        let cell = || {
            tokio::runtime::Handle::current().block_on(async {
                press_stop();
                tokio::task::yield_now().await
            })
        };
        assert!(catch_unwind(cell).is_err());
    });
    let said: Vec<&str> = stderr.lines().collect();
    assert_eq!(said.len(), 2, "{stderr}");
    assert!(
        said[0].starts_with("[等待中断]") && said[1].starts_with("[已中断]"),
        "{stderr}"
    );
}

#[test]
fn an_interrupt_of_what_ends_by_itself_does_not_say_that_it_waits() {
    let stderr = stderr_with(&[IN_A_KERNEL], || {
        tokio::become_foreground();
        tokio::runtime::Handle::current().block_on(async {
            // SAFETY: it has no conditions, and there is a handler.
            assert_eq!(unsafe { libc::kill(libc::getpid(), libc::SIGINT) }, 0);
            std::thread::sleep(Duration::from_millis(100));
        });
        std::thread::sleep(Duration::from_millis(500));
    });
    // It may be heard too late, where there is a crowd at the processor.
    let heard_late = stderr.starts_with("[未能中断]") && stderr.lines().count() == 1;
    assert!(stderr.is_empty() || heard_late, "{stderr}");
}

#[test]
fn an_interrupt_of_nothing_says_so() {
    let stderr = stderr_with(&[IN_A_KERNEL], press_stop);
    assert!(stderr.starts_with("[未能中断]"), "{stderr}");
}

#[test]
fn without_threads_a_kernel_starts_all_the_same_and_says_what_is_missing() {
    let stderr = stderr_with(&[IN_A_KERNEL, NO_THREADS], || {
        // A cell that needs them fails; the process does not.
        assert!(catch_unwind(|| tokio::spawn(async {})).is_err());
    });
    assert!(stderr.contains("SIGINT 中断不了单元格"), "{stderr}");
    assert!(stderr.contains("不能在 .await 之外"), "{stderr}");
}

#[test]
fn a_foreground_that_had_no_threads_has_all_once_there_are_some() {
    let stderr = stderr_of(|| {
        let all = limit_of_memory();
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
        // Half of what a thread needs.
        set_limit_of_memory(libc::rlimit {
            rlim_cur: pages * 4096 + (1 << 20),
            ..all
        });
        assert!(catch_unwind(tokio::become_foreground).is_err());
        assert!(catch_unwind(|| tokio::spawn(async {})).is_err());
        set_limit_of_memory(all);
        let task = tokio::spawn(async { 42 });
        let sleep = tokio::time::sleep(Duration::from_millis(1));
        let handle = tokio::runtime::Handle::current();
        handle.block_on(sleep);
        assert_eq!(handle.block_on(task).unwrap(), 42);
    });
    assert!(stderr.contains("thread"), "{stderr}");
}

fn limit_of_memory() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: one valid record to write to.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) }, 0);
    limit
}

fn set_limit_of_memory(limit: libc::rlimit) {
    // SAFETY: one valid record.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

#[test]
fn types_other_than_the_runtimes_are_tokios_own() {
    fn same<T>(_: Option<T>, _: Option<T>) {}
    same(
        None::<tokio::task::JoinHandle<()>>,
        None::<tokio::original::task::JoinHandle<()>>,
    );
    same(
        None::<tokio::net::TcpStream>,
        None::<tokio::original::net::TcpStream>,
    );
    same(
        None::<tokio::sync::Semaphore>,
        None::<tokio::original::sync::Semaphore>,
    );
    same(
        None::<tokio::runtime::RuntimeFlavor>,
        None::<tokio::original::runtime::RuntimeFlavor>,
    );
}

#[test]
fn facades_pass_for_tokios_own_types() {
    fn by_reference(
        runtime: &tokio::original::runtime::Runtime,
        handle: &tokio::original::runtime::Handle,
    ) {
        assert_eq!(runtime.handle().id(), handle.id());
    }
    fn by_value(handle: impl Into<tokio::original::runtime::Handle>) -> tokio::runtime::Handle {
        handle.into().into()
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    by_reference(&runtime, runtime.handle());
    assert_eq!(
        by_value(runtime.handle().clone()).id(),
        runtime.handle().id()
    );
}

#[test]
fn callbacks_of_the_builder_are_all_called() {
    let started = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::new(AtomicUsize::new(0));
    let (on_start, on_stop) = (started.clone(), stopped.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .on_thread_start(move || {
            on_start.fetch_add(1, Ordering::SeqCst);
        })
        .on_thread_stop(move || {
            on_stop.fetch_add(1, Ordering::SeqCst);
        })
        .build()
        .unwrap();
    drop(runtime); // waits for its threads, as tokio does
    assert_eq!(
        started.load(Ordering::SeqCst),
        stopped.load(Ordering::SeqCst)
    );
    assert!(stopped.load(Ordering::SeqCst) >= 3);
}

#[test]
fn nothing_changes_in_a_program_that_does_not_ask() {
    // No foreground here: nothing to interrupt, no context on plain threads.
    std::thread::spawn(|| {
        assert!(tokio::runtime::Handle::try_current().is_err());
        assert!(catch_unwind(|| tokio::time::sleep(Duration::from_millis(1))).is_err());
    })
    .join()
    .unwrap();
}
