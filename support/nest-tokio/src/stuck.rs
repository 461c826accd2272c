//! Names what does not end: a nested wait that nothing wakes up, and a task that blocks its thread
//! where we see no wait, above all in another executor's `block_on`.

use std::io::{self, Write};
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// How long the watching thread sleeps.
const TICK: Duration = Duration::from_millis(500);
/// After so many ticks a thread is asked what it is at: between 5 and 5.5 s.
const PATIENCE: u32 = 11;

/// The watching thread's clock: cheaper to read than a real one at each poll.
static TICKS: AtomicU32 = AtomicU32::new(1);
static POSTS: Mutex<Vec<Weak<Post>>> = Mutex::new(Vec::new());

thread_local! {
    static POST: Arc<Post> = Post::open();
}

/// What a thread can be at.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum At {
    /// Nothing that anybody waits for.
    Nothing,
    /// Parked in a nested wait.
    Wait,
    /// Polling a task.
    Task,
    /// Waiting for the threads of a dropped runtime.
    Drop,
}

/// What one thread is at.
struct Post {
    thread: libc::pid_t,
    at: AtomicU8,
    /// The place in the program, if `at` has one.
    place: AtomicPtr<Location<'static>>,
    /// The tick at which it began; 0 once that has been told.
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
            at: AtomicU8::new(At::Nothing as u8),
            place: AtomicPtr::new(ptr::null_mut()),
            since: AtomicU32::new(0),
        });
        let mut posts = POSTS.lock().unwrap_or_else(PoisonError::into_inner);
        posts.push(Arc::downgrade(&post));
        post
    }

    fn set(&self, at: u8, place: *mut Location<'static>) {
        self.at.store(at, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
        let now = TICKS.load(Ordering::Relaxed);
        self.since.store(now, Ordering::Release);
    }

    /// Tells once what the thread has been at for too long.
    fn look(&self, now: u32) {
        let since = self.since.load(Ordering::Acquire);
        let age = now.wrapping_sub(since);
        if since == 0 || age == 0 || !age.is_multiple_of(PATIENCE) {
            return;
        }
        let at = self.at.load(Ordering::Relaxed);
        if at == At::Nothing as u8 || at == At::Task as u8 && !self.is_blocked() {
            return;
        }
        // SAFETY: null, or from the `&'static` of `Here::enter`.
        let place = unsafe { self.place.load(Ordering::Relaxed).as_ref() };
        let told = self
            .since
            .compare_exchange(since, 0, Ordering::Acquire, Ordering::Relaxed);
        if told.is_ok() {
            tell(at, place);
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
        let now = TICKS.fetch_add(1, Ordering::Relaxed) + 1;
        let mut posts = POSTS.lock().unwrap_or_else(PoisonError::into_inner);
        posts.retain(|post| post.upgrade().inspect(|post| post.look(now)).is_some());
    }
}

fn tell(at: u8, place: Option<&Location<'_>>) {
    let place = place.map_or(String::new(), |place| {
        format!("{}:{} ", place.file(), place.line())
    });
    let what = if at == At::Wait as u8 {
        "的嵌套 block_on 已经 5 秒没有进展。如果它等的是同一个 LocalSet 里的另一个任务，\
         或等的是外层要在它之后才做的事，就会一直等下去：请改用 .await，或者中断此单元格。"
    } else if at == At::Task as u8 {
        "生成的任务已经把它的线程堵住了 5 秒：它在等锁、通道或另一个线程，或者在别的执行器的 block_on 里\
         （比如 futures::executor::block_on；在 tokio 的任务里它可能永远等不到）。请改用 .await，或 tokio 的 block_on。"
    } else {
        "drop 一个 Runtime 已经等了 5 秒：它的 spawn_blocking 或某个任务还占着线程不放。\
         不想等就用 shutdown_background，或者中断此单元格。"
    };
    let _ = writeln!(io::stderr(), "[nest-tokio] {place}{what}");
}

/// While it lives its thread is at something; then again at what it was at before.
pub(crate) struct Here(u8, *mut Location<'static>);

impl Here {
    pub(crate) fn enter(at: At, place: Option<&'static Location<'static>>) -> Here {
        let place = place.map_or(ptr::null_mut(), |place| ptr::from_ref(place).cast_mut());
        // A thread that ends has no post any more.
        let before = POST.try_with(|post| {
            let at_before = post.at.load(Ordering::Relaxed);
            let before = Here(at_before, post.place.load(Ordering::Relaxed));
            post.set(at as u8, place);
            before
        });
        before.unwrap_or_else(|_| Here(At::Nothing as u8, ptr::null_mut()))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let _ = POST.try_with(|post| post.set(self.0, self.1));
    }
}

/// [`tokio::task::block_in_place`].
#[track_caller]
pub fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    let _here = Here::enter(At::Nothing, None); // blocking is what it is for
    tokio::task::block_in_place(f)
}
