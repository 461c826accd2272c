//! Recording what the session's code starts, without a word in that code.

mod cell;

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use nest_tokio::task::coop;
use nest_tokio::watch::{Around, Kind, Start, has_yielded};

use crate::Timeline;
use crate::descriptors;
use crate::observer;
use crate::polled::{self, Polled};
use crate::timeline::{Bell, Name, Origin, Recorder, WeakTimeline};

/// From now on, everything that the notebook's code starts is recorded: `tokio::spawn`, `JoinSet`,
/// `LocalSet`, `spawn_blocking`, `block_on`, `#[tokio::main]`, and the cells themselves. Nothing has to be
/// written at the places where that happens.
///
/// ```
/// use nest_tokio as tokio; // in a notebook, `tokio` is nest-tokio already
///
/// async fn fetch(size: u32) -> u32 {
///     tokio::task::yield_now().await;
///     size
/// }
///
/// let watch = notebook::watch();
/// # nest_tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let tasks = [tokio::spawn(fetch(1)), tokio::spawn(fetch(2))];
/// for task in tasks {
///     task.await.unwrap();
/// }
/// # });
/// watch.show(); // two lanes called `fetch`
/// assert!(watch.summary().tasks >= 2);
/// ```
///
/// It is a [`Timeline`]: [`track`](Timeline::track) adds to it what is not started by itself, such as the
/// branches of a `join!`. Recording ends when its last clone is dropped, or with the next call of
/// `watch`. What libraries start is not recorded.
///
/// `cargo bench -p notebook` measures what it costs; unless somebody watches, that is nothing.
pub fn watch() -> Timeline {
    let timeline = Timeline::new();
    observer::install();
    descriptors::make_room();
    *current() = Some(timeline.downgrade());
    WATCHING.store(true, Ordering::Release);
    cell::join(&timeline);
    timeline
}

/// Whether anybody may be watching.
static WATCHING: AtomicBool = AtomicBool::new(false);
static CURRENT: Mutex<Option<WeakTimeline>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<WeakTimeline>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where to record.
pub(crate) fn timeline() -> Option<Timeline> {
    if !WATCHING.load(Ordering::Acquire) {
        return None;
    }
    let mut current = current();
    let timeline = current.as_ref().and_then(WeakTimeline::upgrade);
    if timeline.is_none() {
        *current = None;
        WATCHING.store(false, Ordering::Release);
    }
    timeline
}

pub(crate) fn observe(start: &Start) -> Option<Box<dyn Around>> {
    if start.kind == Kind::BlockOn && cell::is_of_one() {
        return Some(Box::new(cell::WatchedCell::new(*start)));
    }
    let watched = Watched::new(&timeline()?, start)?;
    Some(Box::new(watched))
}

/// A task that is recorded.
struct Watched {
    recorder: Recorder,
    /// Its own waker; made with the first poll.
    bell: Option<(Arc<Bell>, Waker)>,
    is_blocking: bool,
}

impl Watched {
    fn new(timeline: &Timeline, start: &Start) -> Option<Watched> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let place: &'static Location<'static> = start.place;
        let origin = Origin {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            parent: polled::current(),
            kind: start.kind,
            size: start.size,
            place: Some(place),
        };
        Some(Watched {
            recorder: timeline.record(Name::Type(start.name), Some(origin))?,
            bell: None,
            is_blocking: start.kind == Kind::Blocking,
        })
    }

    fn number(&self) -> u32 {
        self.recorder.record().number()
    }
}

impl Around for Watched {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let number = self.number();
        let (bell, waker) = self.bell.get_or_insert_with(|| {
            let bell = Bell::new(self.recorder.record().clone());
            let waker = Waker::from(bell.clone());
            (bell, waker)
        });
        bell.listen(context.waker());
        let current = Polled::begin(number);
        let guard = self.recorder.begin();
        let outcome = poll(&mut Context::from_waker(waker));
        if has_yielded() {
            bell.yields(false);
        } else if !coop::has_budget_remaining() {
            bell.yields(true);
        }
        guard.end(outcome.is_ready());
        drop(current);
        outcome
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        polled::ended(self.number(), self.is_blocking);
    }
}
