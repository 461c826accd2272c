//! Names what does not end. Who waits here notices it himself; who blocks the thread that polls him,
//! above all in another executor's `block_on`, is watched by a thread.

use std::panic::Location;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::session::say;

/// After so long something is named…
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// … by a thread that sleeps no longer than this.
pub(crate) const TICK: Duration = Duration::from_millis(500);
/// After so many ticks a task is looked at: between 5 and 5.5 s.
const TICKS_OF_PATIENCE: u32 = 11;

/// What is wrong with a wait that nobody can end.
pub(crate) const FORGOTTEN: &str =
    "的等待不会结束：没有谁还能唤醒这个 future（它没有登记 waker）。中断此单元格即可继续。";
/// With a wait that something waits for.
pub(crate) const NESTED: &str = "的嵌套 block_on 已经 5 秒没有进展。如果它等的是同一个 LocalSet 里的另一个任务，\
     或等的是外层要在它之后才做的事，就会一直等下去：请改用 .await，或者中断此单元格。";
/// With the drop of a runtime.
pub(crate) const DROP: &str = "drop 一个 Runtime 已经等了 5 秒：它的 spawn_blocking 或某个任务还占着线程不放。\
     不想等就用 shutdown_background，或者中断此单元格。";
/// With a task.
const TASK: &str = "生成的任务已经把它的线程堵住了 5 秒：它在等锁、通道或另一个线程，或者在别的执行器的 block_on 里\
     （比如 futures::executor::block_on；在 tokio 的任务里它可能永远等不到）。请改用 .await，或 tokio 的 block_on。";

/// A place in the program.
pub(crate) type Place = &'static Location<'static>;

/// How places are named.
pub(crate) static NAME: Mutex<fn(Place) -> Option<String>> =
    Mutex::new(|place| Some(format!("{}:{}", place.file(), place.line())));

/// Names what is wrong at a place, or somewhere.
pub(crate) fn tell(place: Option<Place>, what: &str) {
    let name = *NAME.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place.and_then(name).map(|place| place + " ");
    say(&format!("[nest-tokio] {}{what}", place.unwrap_or_default()));
}

/// The watching thread's clock: cheaper to read than a real one at each poll.
static TICKS: AtomicU32 = AtomicU32::new(1);
static POSTS: Mutex<Vec<Weak<Post>>> = Mutex::new(Vec::new());

thread_local! {
    static POST: Arc<Post> = Post::open();
}

/// What one thread polls.
#[derive(Default)]
struct Post {
    thread: libc::pid_t,
    /// The [`Place`] where that was spawned; null if it is not a task, or may block.
    task: AtomicPtr<Location<'static>>,
    /// The tick at which it began; 0 if there is nothing to be named, any more.
    since: AtomicU32,
}

impl Post {
    fn open() -> Arc<Post> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // Without threads there are other things to be told.
            let watch = thread::Builder::new().name("nest-tokio-watch".into());
            let _ = watch.stack_size(64 << 10).spawn(watch_all);
        });
        let post = Arc::new(Post {
            // SAFETY: it has no conditions.
            thread: unsafe { libc::gettid() },
            ..Post::default()
        });
        let mut posts = POSTS.lock().unwrap_or_else(PoisonError::into_inner);
        posts.push(Arc::downgrade(&post));
        post
    }

    /// Returns what it was before.
    fn set(&self, task: *mut Location<'static>) -> *mut Location<'static> {
        let before = self.task.load(Relaxed);
        self.task.store(task, Relaxed);
        let now = TICKS.load(Relaxed);
        let since = if task.is_null() { 0 } else { now };
        self.since.store(since, Release);
        before
    }

    /// Names once what has blocked the thread for too long.
    fn look(&self, now: u32) {
        let since = self.since.load(Acquire);
        let age = now.wrapping_sub(since);
        if since == 0 || age == 0 || !age.is_multiple_of(TICKS_OF_PATIENCE) || !self.is_blocked() {
            return;
        }
        // SAFETY: null, or from the `Place` of `Here::enter`.
        let task = unsafe { self.task.load(Relaxed).as_ref() };
        if self.since.compare_exchange(since, 0, Acquire, Relaxed) == Ok(since) {
            tell(task, TASK);
        }
    }

    /// Whether the thread waits for another one, without a limit of time. It may also sleep, read or
    /// compute, which ends.
    fn is_blocked(&self) -> bool {
        let path = format!("/proc/self/task/{}/syscall", self.thread);
        let Ok(call) = std::fs::read_to_string(path) else {
            return true; // the kernel does not say
        };
        let mut parts = call.split(' ');
        parts.next() == Some(&libc::SYS_futex.to_string()) && parts.nth(3) == Some("0x0")
    }
}

fn watch_all() {
    loop {
        thread::sleep(TICK);
        let now = TICKS.fetch_add(1, Relaxed) + 1;
        let mut posts = POSTS.lock().unwrap_or_else(PoisonError::into_inner);
        posts.retain(|post| post.upgrade().inspect(|post| post.look(now)).is_some());
    }
}

/// While it lives its thread polls a task, or does what is no task's; then what it did before.
pub(crate) struct Here(*mut Location<'static>);

impl Here {
    pub(crate) fn enter(task: Option<Place>) -> Here {
        let task = task.map_or(ptr::null_mut(), |place| ptr::from_ref(place).cast_mut());
        // A thread that ends has no post any more.
        let before = POST.try_with(|post| post.set(task));
        Here(before.unwrap_or(ptr::null_mut()))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let _ = POST.try_with(|post| post.set(self.0));
    }
}

/// [`tokio::task::block_in_place`].
#[track_caller]
pub fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    let _here = Here::enter(None); // blocking is what it is for
    tokio::task::block_in_place(f)
}
