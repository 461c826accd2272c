//! What makes the cells of a notebook one session: a runtime that is always there, a foreground
//! thread on which they run, and an interrupt that ends what it waits for and nothing else.

use std::cell::Cell;
use std::io::{self, Write};
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::runtime::{Handle, Runtime};

/// How long an interrupted cell may take to stop before it is said to be stuck.
const REACTION: Duration = Duration::from_millis(300);

/// The runtime for threads that have none, started when first needed and never ended.
///
/// # Panics
/// When the operating system refuses the threads or the I/O driver. It is tried again the next time.
pub(crate) fn ambient() -> &'static Handle {
    static AMBIENT: OnceLock<Runtime> = OnceLock::new();
    let start = || {
        Runtime::new().unwrap_or_else(|error| {
            panic!("后台的运行时启动不了：{error}。关掉一些程序或别的内核，再试一次")
        })
    };
    let ambient = AMBIENT.get_or_init(start).handle();
    let has_none =
        || tokio::runtime::Handle::try_current().is_err_and(|error| error.is_missing_context());
    if IS_FOREGROUND.get() && has_none() {
        // Kept until the thread ends: there is no moment at which a session is over.
        std::mem::forget(ambient.enter());
    }
    ambient
}

/// The payload with which an interrupted `block_on` unwinds.
///
/// No panic hook runs and no backtrace is made: nothing is wrong with the program. A kernel
/// catches it as it catches panics.
///
/// ```
/// nest_tokio::become_foreground();
/// let unwound = std::panic::catch_unwind(|| {
///     nest_tokio::runtime::Handle::current().block_on(async {
///         nest_tokio::interrupt(); // usually called by another thread
///         nest_tokio::task::yield_now().await;
///     })
/// });
/// assert!(unwound.unwrap_err().is::<nest_tokio::Interrupted>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interrupted;

thread_local! {
    /// Whether this is the thread that `interrupt` ends the waits of.
    static IS_FOREGROUND: Cell<bool> = const { Cell::new(false) };
}

/// The foreground thread while it waits.
static WAITING: Mutex<Option<Thread>> = Mutex::new(None);
/// Whether the foreground is to unwind. Only true while `WAITING` is some thread.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether to say so when it does.
static ANNOUNCE: AtomicBool = AtomicBool::new(false);
/// Whether interrupts are announced at all: in a kernel that has no way of its own to show them.
static ANNOUNCES: AtomicBool = AtomicBool::new(false);

/// How often a wait has unwound.
static UNWOUND: AtomicU64 = AtomicU64::new(0);

/// Leaves it to the caller to say that a cell has been interrupted. Otherwise, in the child process
/// of an evcxr kernel, a line on stderr does.
pub fn announce_nothing() {
    ANNOUNCES.store(false, Ordering::Release);
}

/// How many waits have been ended by [`interrupt`] in this process: by this a kernel tells an
/// interrupted cell from one that panicked.
pub fn interruptions() -> u64 {
    UNWOUND.load(Ordering::Acquire)
}

/// Makes the calling thread what a kernel's main thread is: [`interrupt`] ends its waits, and
/// the ambient runtime is its context, so that [`spawn`](crate::spawn) and
/// [`sleep`](crate::time::sleep) work outside of any `await`.
///
/// In the child process of an evcxr kernel this is done for the main thread when the library is
/// loaded. In other programs nothing happens unless they ask for it.
///
/// # Panics
/// When the operating system refuses the ambient runtime its threads. The thread is the foreground
/// all the same, and has the context once [`spawn`](crate::spawn) or
/// [`Handle::current`] finds that there are threads again.
pub fn become_foreground() {
    if !IS_FOREGROUND.replace(true) {
        ambient();
    }
}

/// Ends what the foreground waits for: its outermost `block_on` unwinds with [`Interrupted`],
/// and its future is dropped. Variables, background tasks and servers live on.
///
/// Returns whether there was something to end. `false` means that the foreground is idle, or
/// runs code that does not `await` (a loop, `std::thread::sleep`); nothing is remembered then,
/// so an interrupt never hits what runs later.
pub fn interrupt() -> bool {
    let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = &*waiting {
        ANNOUNCE.store(ANNOUNCES.load(Ordering::Acquire), Ordering::Release);
        INTERRUPTED.store(true, Ordering::Release);
        thread.unpark();
    }
    waiting.is_some()
}

/// A wait, of which the outermost on the foreground thread can be interrupted together with
/// all that are nested in it.
pub(crate) struct Foreground {
    on_foreground: bool,
    outermost: bool,
}

impl Foreground {
    pub(crate) fn enter() -> Foreground {
        let on_foreground = IS_FOREGROUND.get();
        let mut outermost = false;
        if on_foreground {
            let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
            outermost = waiting.is_none();
            waiting.get_or_insert_with(thread::current);
        }
        Foreground {
            on_foreground,
            outermost,
        }
    }

    pub(crate) fn unwind_if_interrupted(&self) {
        // Not while unwinding already: a destructor may wait, and must be able to.
        if self.on_foreground && INTERRUPTED.load(Ordering::Acquire) && !thread::panicking() {
            // Here and not in the thread that interrupts: the cell's output ends with it.
            if ANNOUNCE.swap(false, Ordering::AcqRel) {
                say("[已中断] 此单元格的等待已取消；变量和后台任务都还在。");
            }
            UNWOUND.fetch_add(1, Ordering::AcqRel);
            resume_unwind(Box::new(Interrupted));
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if self.outermost {
            let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
            INTERRUPTED.store(false, Ordering::Release);
            ANNOUNCE.store(false, Ordering::Release);
            *waiting = None;
        }
    }
}

/// Runs when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

extern "C" fn on_load() {
    // What evcxr sets for the process that runs the cells; it loads us on its main thread.
    if std::env::var_os("EVCXR_IS_RUNTIME").is_none() {
        return;
    }
    ANNOUNCES.store(true, Ordering::Release);
    attempt(listen_for_interrupts, "SIGINT 中断不了单元格");
    attempt(
        || {
            become_foreground();
            Ok(())
        },
        "现在还不能在 .await 之外使用 spawn 和 sleep",
    );
}

/// Does `start` or says what is missing without it.
///
/// A panic ends here, too: with one tokio says that there are no threads or file descriptors, and
/// one that left the function which runs when the library is loaded would abort the process.
fn attempt(start: fn() -> io::Result<()>, missing: &str) {
    let why = match catch_unwind(start) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "原因见上".to_owned(),
    };
    say(&format!(
        "[nest-tokio] 系统给不出线程或文件描述符（{why}）：{missing}。请关掉一些程序或别的内核，再重启这个内核。"
    ));
}

/// Prints a line on stderr. Whoever reads it may be gone, which is no reason to panic.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Starts the thread that interrupts, with a runtime of its own, so that tasks which hog the
/// ambient one do no harm.
fn listen_for_interrupts() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = {
        let _context = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    thread::Builder::new()
        .name("nest-tokio-interrupt".into())
        .spawn(move || runtime.block_on(interrupt_on(signals)))?;
    Ok(())
}

async fn interrupt_on(mut signals: Signal) {
    while signals.recv().await.is_some() {
        if !interrupt() {
            say(
                "[未能中断] 没有单元格在 await：它空闲着，正在编译，或者在执行不会让出线程的代码；最后一种只能重启内核。",
            );
            continue;
        }
        // It stops where it next awaits, which may be never.
        tokio::time::sleep(REACTION).await;
        if ANNOUNCE.load(Ordering::Acquire) {
            say(
                "[等待中断] 此单元格正在执行不会让出线程的代码，到它的下一个 .await 才会停下；等不及就只能重启内核。",
            );
        }
    }
}
