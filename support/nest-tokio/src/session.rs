//! What makes the cells of a notebook one session: a runtime that is always there, a foreground
//! thread on which they run, and an interrupt that ends what it waits for and nothing else.

use std::cell::{Cell, RefCell};
use std::io::{Write, stderr};
use std::panic::{Location, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::runtime::{Handle, Runtime};
use crate::stuck::NAME;

/// How long an interrupted cell may take to stop before it is said to be stuck.
const REACTION: Duration = Duration::from_millis(300);

/// The runtime for threads that have none, started when first needed and never ended.
///
/// # Panics
/// When the operating system refuses the threads or the I/O driver. It is tried again the next time.
pub(crate) fn ambient() -> &'static Handle {
    static AMBIENT: OnceLock<Runtime> = OnceLock::new();
    let start = || match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => panic!("后台的运行时启动不了：{error}。关掉一些程序或别的内核，再试一次"),
    };
    let ambient = AMBIENT.get_or_init(start).handle();
    let has_none =
        || tokio::runtime::Handle::try_current().is_err_and(|error| error.is_missing_context());
    if is_foreground() && has_none() {
        // Kept until the thread ends: there is no moment at which a session is over.
        std::mem::forget(ambient.enter());
    }
    ambient
}

/// The payload with which an interrupted `block_on` unwinds, and one in a task whose runtime is
/// dropped.
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

/// Waits that end together: the foreground's, or those on the threads of a runtime.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// Whether there will be other waits when these have ended.
    foreground: bool,
    /// Whether they are to unwind.
    over: AtomicBool,
    waiting: Mutex<Vec<Thread>>,
}

static FOREGROUND: LazyLock<Arc<Ends>> = LazyLock::new(|| {
    Arc::new(Ends {
        foreground: true,
        ..Ends::default()
    })
});

thread_local! {
    /// Those to which the waits of this thread belong.
    static ENDS: RefCell<Option<Arc<Ends>>> = const { RefCell::new(None) };
    /// How many waits are on this thread's stack.
    pub(crate) static DEPTH: Cell<usize> = const { Cell::new(0) };
}

impl Ends {
    /// From now on the waits of this thread are among them.
    pub(crate) fn join(self: &Arc<Self>) {
        ENDS.set(Some(Arc::clone(self)));
    }

    fn here() -> Option<Arc<Ends>> {
        // A thread that ends, and drops a runtime that it kept for itself, is none of ours any more.
        ENDS.try_with(|ends| ends.borrow().clone()).ok().flatten()
    }

    pub(crate) fn are_here(self: &Arc<Self>) -> bool {
        Ends::here().is_some_and(|here| Arc::ptr_eq(self, &here))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An interrupt is forgotten once the foreground waits for nothing and does not unwind any more.
    fn go_on_if_idle(&self, waiting: &[Thread]) {
        if self.foreground && waiting.is_empty() && !thread::panicking() {
            self.over.store(false, Ordering::Release);
        }
    }

    /// Ends them. Returns whether there were any.
    pub(crate) fn end(&self) -> bool {
        let waiting = self.waiting();
        if self.foreground && waiting.is_empty() {
            return false;
        }
        self.over.store(true, Ordering::Release);
        waiting.iter().for_each(Thread::unpark);
        !waiting.is_empty()
    }
}

/// Whether interrupts are announced at all: in a kernel that has no way of its own to show them.
static ANNOUNCES: AtomicBool = AtomicBool::new(false);

/// How often a wait has unwound.
static UNWOUND: AtomicU64 = AtomicU64::new(0);

/// Leaves it to the caller to say that a cell has been interrupted, and where a place is. Otherwise a
/// line on stderr says the former, in the child process of an evcxr kernel, and places are file and
/// line. `place` returns `None` for one that nobody could find.
///
/// ```
/// nest_tokio::has_front(|place| Some(format!("line {}", place.line())));
/// ```
pub fn has_front(place: fn(&'static Location<'static>) -> Option<String>) {
    ANNOUNCES.store(false, Ordering::Release);
    *NAME.lock().unwrap_or_else(PoisonError::into_inner) = place;
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
    if !is_foreground() {
        FOREGROUND.join();
        ambient();
    }
}

pub(crate) fn is_foreground() -> bool {
    FOREGROUND.are_here()
}

/// Whether this is the foreground, and an interrupt unwinds it.
pub(crate) fn is_interrupted() -> bool {
    is_foreground() && thread::panicking() && FOREGROUND.over.load(Ordering::Acquire)
}

/// Ends what the foreground waits for: its outermost `block_on` unwinds with [`Interrupted`],
/// and its future is dropped. Variables, background tasks and servers live on.
///
/// Returns whether there was something to end. `false` means that the foreground is idle, or
/// runs code that does not `await` (a loop, `std::thread::sleep`); nothing is remembered then,
/// so an interrupt never hits what runs later.
pub fn interrupt() -> bool {
    FOREGROUND.end()
}

/// A wait on this thread's stack, and what may end it.
pub(crate) struct Waiting {
    ends: Option<Arc<Ends>>,
    /// Whether something waits for this wait to end.
    pub(crate) is_nested: bool,
}

impl Waiting {
    pub(crate) fn enter() -> Waiting {
        let is_nested = DEPTH.replace(DEPTH.get() + 1) > 0 || tokio::task::try_id().is_some();
        let ends = Ends::here();
        if let Some(ends) = &ends {
            let mut waiting = ends.waiting();
            ends.go_on_if_idle(&waiting);
            waiting.push(thread::current());
        }
        Waiting { ends, is_nested }
    }

    pub(crate) fn is_foreground(&self) -> bool {
        matches!(&self.ends, Some(ends) if ends.foreground)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(&self.ends, Some(ends) if ends.over.load(Ordering::Acquire))
    }

    pub(crate) fn unwind_if_over(&self) {
        // Not while unwinding already: a destructor may wait, and must be able to.
        if !self.is_over() || thread::panicking() {
            return;
        }
        if self.is_foreground() {
            // Here and not in the thread that interrupts: the cell's output ends with it.
            if ANNOUNCES.load(Ordering::Acquire) {
                say("[已中断] 此单元格的等待已取消；变量和后台任务都还在。");
            }
            UNWOUND.fetch_add(1, Ordering::AcqRel);
        }
        resume_unwind(Box::new(Interrupted));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        let Some(ends) = &self.ends else { return };
        let mut waiting = ends.waiting();
        let this = thread::current().id();
        if let Some(last) = waiting.iter().rposition(|thread| thread.id() == this) {
            waiting.swap_remove(last);
        }
        ends.go_on_if_idle(&waiting);
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
        become_foreground,
        "现在还不能在 .await 之外使用 spawn 和 sleep",
    );
}

/// Does `start` or says what is missing without it.
///
/// A panic ends here: with one tokio says that there are no threads or file descriptors, and one that
/// left the function which runs when the library is loaded would abort the process.
fn attempt(start: fn(), missing: &str) {
    if catch_unwind(start).is_err() {
        say(&format!(
            "[nest-tokio] 系统给不出线程或文件描述符（原因见上）：{missing}。请关掉一些程序或别的内核，再重启这个内核。"
        ));
    }
}

/// Prints a line on stderr. Whoever reads it may be gone, which is no reason to panic.
pub(crate) fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

const NOTHING_WAITS: &str = "[未能中断] 没有单元格在 await：它空闲着，正在编译，或者在执行不会让出线程的代码；最后一种只能重启内核。";
const DOES_NOT_YIELD: &str = "[等待中断] 此单元格正在执行不会让出线程的代码，到它的下一个 .await 才会停下；等不及就只能重启内核。";

/// Starts the thread that interrupts, with a runtime of its own, so that tasks which hog the
/// ambient one do no harm.
fn listen_for_interrupts() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("an I/O driver");
    let signals = runtime.block_on(async { signal(SignalKind::interrupt()) });
    let listen = interrupt_on(signals.expect("a handler of signals"));
    let thread = thread::Builder::new().name("nest-tokio-interrupt".into());
    let thread = thread.spawn(move || runtime.block_on(listen));
    thread.expect("a thread that interrupts");
}

async fn interrupt_on(mut signals: Signal) {
    while signals.recv().await.is_some() {
        let before = interruptions();
        if !interrupt() {
            say(NOTHING_WAITS);
            continue;
        }
        // It stops where it next awaits, which may be never.
        tokio::time::sleep(REACTION).await;
        let is_over = FOREGROUND.over.load(Ordering::Acquire);
        if ANNOUNCES.load(Ordering::Acquire) && is_over && interruptions() == before {
            say(DOES_NOT_YIELD);
        }
    }
}
