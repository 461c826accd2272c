//! When which task ran: a picture of any set of futures.

mod axis;
mod figures;
mod fold;
mod lints;
pub(crate) mod name;
mod processor;
mod record;
mod svg;
mod table;
mod text;
mod ticks;
pub(crate) mod tree;
mod wake;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use axis::Unit;
pub(crate) use axis::words;
pub(crate) use figures::Picture;
pub use figures::{LongestPoll, Summary};
pub(crate) use record::{Clock, Name, Origin, Record, Recorder, Task};
pub(crate) use wake::Bell;

use crate::{Bundle, Handle, Show, display, live};

/// Tasks kept that were seen when they were started; the others are counted.
const MOST_SEEN: usize = 20_000;
/// Of these, those with all the polls that a record has room for.
const MOST_IN_DETAIL: usize = 1_000;

/// Lanes up to which each task that was seen has its own.
const MOST_APART: usize = 100;

/// Records when futures are polled, wait and end, and draws it.
///
/// Wrap each future in [`track`](Self::track) and run them in whatever way: `join!`, `select!`,
/// `FuturesUnordered`, `buffer_unordered`, spawned, on any runtime. Then [`show`](Self::show), or
/// `timeline` as the last expression of a cell.
///
/// ```
/// use nest_tokio as tokio;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let timeline = notebook::Timeline::new();
/// tokio::join!(
///     timeline.track("CN", sleep(Duration::from_millis(30))),
///     timeline.track("IN", sleep(Duration::from_millis(20))),
/// );
/// timeline.show();
/// assert_eq!(timeline.summary().peak, 2);
/// # });
/// ```
///
/// # The picture
/// A lane a task, in the order in which they were created, on a clock that starts with the first of
/// them. Solid marks are polls: the time in which the task had a thread, whose number is in the
/// colour and the mark. The pale bar between them is waiting, a dotted line the time before the
/// first poll. At its end a lane says whether the task completed (how long it took, from its first
/// poll), was cancelled (✕: dropped before it completed), panicked (▲), or has not ended (▸). The
/// curve below counts the tasks in progress: polled at least once, and not yet ended. Hovering says
/// more. Long times in which no task is in progress (between two cells) are cut short and marked ≈.
/// The sentences below name the longest poll, tasks that never yielded, the peak.
///
/// It is one SVG element within the page, without scripts, in the colours of the theme.
///
#[doc = concat!("<div>", include_str!("pictures/timeline.svg"), "</div>")]
///
/// # Limits
/// Some hundred polls of a task are kept one by one. When there are more, the closest
/// ones are merged into one mark: the number of polls and the time spent in them stay
/// exact, the gaps between them are gone, and the picture says so. A record takes 10 kB at most.
/// What is tracked by hand is kept without limit, and the first 2,000 are drawn. Of what
/// [`watch`](crate::watch()) sees 20,000 tasks are kept, the first thousand with all these polls, and the
/// others are counted; more than a hundred are drawn with those of the same name in one lane. A future that is dropped by
/// a panic in which it was not itself polled counts as cancelled; an interrupt within its
/// own nested `block_on` as a panic.
///
/// Tracking costs well below 200 ns a poll: `cargo bench -p notebook` measures it.
#[derive(Clone, Default)]
pub struct Timeline {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Set when the first task is created: that is its zero.
    clock: OnceLock<Clock>,
    records: Mutex<Vec<Arc<Record>>>,
    /// Tasks that were seen when they were started, and were too many to keep.
    more: AtomicUsize,
}

impl Timeline {
    /// A timeline without tasks. Clones are the same timeline.
    pub fn new() -> Timeline {
        Timeline::default()
    }

    /// `future`, recorded under `label`. Its output, its panics and the context in which it runs
    /// are not changed.
    ///
    /// Labels need not differ: `CN` and `CN` become `CN #1` and `CN #2` in the picture.
    ///
    /// ```
    /// use futures::{StreamExt, stream};
    ///
    /// # nest_tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let timeline = notebook::Timeline::new();
    /// let lengths: Vec<usize> = stream::iter(["CN", "IN", "US"])
    ///     .map(|code| timeline.track(code, async move { code.len() }))
    ///     .buffer_unordered(2)
    ///     .collect()
    ///     .await;
    /// assert_eq!(lengths, [2, 2, 2]);
    /// # });
    /// ```
    pub fn track<F: IntoFuture>(
        &self,
        label: impl Into<String>,
        future: F,
    ) -> Tracked<F::IntoFuture> {
        let record = Arc::new(Record::new(
            Name::Given(label.into()),
            None,
            self.clock(),
            record::MAX_SPANS,
        ));
        self.records().push(record.clone());
        Tracked {
            future: future.into_future(),
            recorder: Recorder::new(record),
        }
    }

    /// A task that is seen when it is started, unless there have been too many.
    pub(crate) fn record(&self, name: Name, origin: Option<Origin>) -> Option<Recorder> {
        let mut records = self.records();
        if records.len() >= MOST_SEEN {
            self.inner.more.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let most_spans = match records.len() < MOST_IN_DETAIL {
            true => record::MAX_SPANS,
            false => record::FEW_SPANS,
        };
        let record = Arc::new(Record::new(name, origin, self.clock(), most_spans));
        records.push(record.clone());
        Some(Recorder::new(record))
    }

    pub(crate) fn downgrade(&self) -> WeakTimeline {
        WeakTimeline(Arc::downgrade(&self.inner))
    }

    fn clock(&self) -> Clock {
        self.inner.clock.get_or_init(Clock::start).clone()
    }

    /// Measures by this; to be called before there is a task.
    pub(crate) fn set_clock(&self, clock: Clock) {
        let _ = self.inner.clock.set(clock);
    }

    pub(crate) fn records(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Record>>> {
        self.inner
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known up to now.
    pub(crate) fn picture(&self) -> Picture {
        self.picture_of(usize::MAX)
    }

    /// The same, with tasks of one kind together if there are more than `most`.
    fn picture_of(&self, most: usize) -> Picture {
        let records = self.records().clone();
        let clock = self.inner.clock.get();
        let (now, length) = clock.map_or((0, 1.0), |clock| (clock.now(), clock.unit()));
        let tasks = records
            .iter()
            .map(|record| record.task(now, length))
            .collect();
        let now = record::scaled(now, length);
        let tasks = fold::fold(tasks, most);
        let unit = match clock {
            Some(Clock::Steps(_)) => Unit::Steps,
            _ => Unit::Time,
        };
        Picture::of(tasks, now, unit, self.inner.more.load(Ordering::Relaxed))
    }

    /// Displays the picture as it is now; the [`Handle`] can
    /// [`update`](Handle::update) it (`handle.update(&timeline)`) while the tasks run.
    pub fn show(&self) -> Handle {
        display(self)
    }

    /// Displays the picture and draws it anew, a few times a second, until the cell ends; what remains
    /// is the whole picture. Where displays cannot be updated that is all there is.
    ///
    /// ```
    /// let watch = notebook::watch();
    /// watch.live();
    /// ```
    pub fn live(&self) -> Handle {
        live::show(self)
    }

    /// The picture as it grows: small, and without what nobody can read in so short a time.
    pub(crate) fn sketch(&self) -> Bundle {
        let picture = self.picture_of(svg::SKETCH.lanes);
        Bundle::new(text::draw(&picture)).with("text/html", svg::draw_within(&picture, svg::SKETCH))
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        self.bundle().evcxr_display();
    }

    /// The picture as SVG, to save in a file.
    pub fn svg(&self) -> String {
        svg::draw(&self.picture())
    }

    /// What is wrong with the tasks that [`watch`](crate::watch()) has seen, a sentence each: a task that
    /// blocked its thread or never yielded, wakes itself in a circle, waits though nobody can wake it,
    /// has a huge future, or was never polled. It stands under the picture as well.
    ///
    /// ```
    /// # nest_tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let watch = notebook::watch();
    /// let stuck = nest_tokio::spawn(std::future::pending::<()>());
    /// nest_tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    /// assert!(watch.lints()[0].contains("没有谁拿着它的 waker"));
    /// # });
    /// ```
    pub fn lints(&self) -> Vec<String> {
        self.picture().lints()
    }

    /// The figures, to calculate with.
    ///
    /// ```
    /// let timeline = notebook::Timeline::new();
    /// drop(timeline.track("从未等待", async {}));
    /// let summary = timeline.summary();
    /// assert_eq!((summary.tasks, summary.cancelled, summary.never_polled), (1, 1, 1));
    /// ```
    pub fn summary(&self) -> Summary {
        self.picture().summary()
    }
}

/// A timeline that may be gone.
pub(crate) struct WeakTimeline(Weak<Inner>);

impl WeakTimeline {
    pub(crate) fn upgrade(&self) -> Option<Timeline> {
        let inner = self.0.upgrade()?;
        Some(Timeline { inner })
    }
}

impl Show for Timeline {
    fn bundle(&self) -> Bundle {
        let picture = self.picture_of(MOST_APART);
        let html = svg::draw(&picture) + &table::draw(&picture);
        Bundle::new(text::draw(&picture)).with("text/html", html)
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

pin_project! {
    /// A future whose life a [`Timeline`] records: see [`Timeline::track`].
    #[must_use = "future 是惰性的：要有人 .await 它或者 spawn 它才会执行"]
    pub struct Tracked<F> {
        // Dropped before `recorder`, which takes that for a cancellation.
        #[pin]
        future: F,
        recorder: Recorder,
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let poll = this.recorder.begin();
        let output = this.future.poll(cx);
        poll.end(output.is_ready());
        output
    }
}

impl<F> fmt::Debug for Tracked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
    use std::task::Waker;
    use std::time::{Duration, Instant};

    use futures::executor::block_on;
    use futures::future::{join, select};
    use futures::stream::{FuturesUnordered, StreamExt};
    use record::End;

    use super::*;

    /// Ready when it is polled for the `n`th time.
    fn ready_after(n: u32) -> impl Future<Output = u32> {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == n {
                Poll::Ready(n)
            } else {
                Poll::Pending
            }
        })
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ends(timeline: &Timeline) -> Vec<Option<End>> {
        let tasks = timeline.picture().tasks;
        tasks
            .iter()
            .map(|task| task.end.map(|(_, end)| end))
            .collect()
    }

    #[test]
    fn polls_are_counted_and_the_output_passes_through() {
        let timeline = Timeline::new();
        let futures = (
            timeline.track("a", ready_after(3)),
            timeline.track("b", ready_after(5)),
        );
        assert_eq!(block_on(join(futures.0, futures.1)), (3, 5));
        let picture = timeline.picture();
        let polls: Vec<_> = picture.tasks.iter().map(|task| task.polls).collect();
        assert_eq!(polls, [3, 5]);
        assert_eq!(timeline.summary().completed, 2);
        assert_eq!(
            (timeline.summary().peak, timeline.summary().threads),
            (2, 1)
        );
    }

    #[test]
    fn what_is_dropped_before_its_end_is_cancelled() {
        let timeline = Timeline::new();
        let fast = Box::pin(timeline.track("fast", ready(1)));
        let slow = Box::pin(timeline.track("slow", pending::<u32>()));
        drop(block_on(select(fast, slow)));
        drop(timeline.track("never", ready(1)));
        let expected = [End::Completed, End::Cancelled, End::Cancelled].map(Some);
        assert_eq!(ends(&timeline), expected);
        assert_eq!(timeline.summary().never_polled, 2);
    }

    #[test]
    fn a_panic_is_recorded_and_propagates_unchanged() {
        let timeline = Timeline::new();
        let mut future = Box::pin(timeline.track("bad", async { panic_any(42_u8) }));
        let payload = catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&42_u8));
        drop(future);
        assert_eq!(ends(&timeline), [Some(End::Panicked)]);
    }

    #[test]
    fn a_task_that_is_being_polled_can_be_seen() {
        let timeline = Timeline::new();
        let seen = timeline.clone();
        let look = async move { (seen.picture(), seen.svg()) };
        let (picture, svg) = block_on(timeline.track("looks", look));
        let task = &picture.tasks[0];
        assert!(task.in_poll && task.end.is_none());
        assert_eq!((task.polls, task.spans.len()), (1, 1));
        assert!(svg.contains("还没有返回"));
    }

    #[test]
    fn tasks_on_a_runtime_show_their_threads_and_can_be_aborted() {
        let runtime = nest_tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let timeline = Timeline::new();
            let here = timeline.track("here", nest_tokio::task::yield_now());
            here.await;
            let blocking = timeline.track("there", async {
                std::thread::sleep(Duration::from_millis(12))
            });
            nest_tokio::spawn(blocking).await.unwrap();
            let aborted = nest_tokio::spawn(timeline.track("aborted", pending::<()>()));
            nest_tokio::task::yield_now().await;
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_cancelled());
            let summary = timeline.summary();
            assert!(summary.threads >= 2);
            assert_eq!((summary.completed, summary.cancelled), (2, 1));
            assert_eq!(summary.never_yielded, ["there"]);
            let longest = summary.longest_poll.unwrap();
            assert_eq!(longest.label, "there");
            assert!(longest.duration >= Duration::from_millis(12));
        });
    }

    #[test]
    fn it_can_be_drawn_while_tasks_run_on_many_threads() {
        let runtime = nest_tokio::runtime::Runtime::new().unwrap();
        let timeline = Timeline::new();
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                runtime.spawn(timeline.track(n.to_string(), async {
                    for _ in 0..500 {
                        nest_tokio::task::yield_now().await;
                    }
                }))
            })
            .collect();
        while tasks.iter().any(|task| !task.is_finished()) {
            let svg = timeline.svg();
            assert!(roxmltree::Document::parse(&svg).is_ok());
            assert!(timeline.summary().peak <= 50);
        }
        let summary = timeline.summary();
        assert_eq!((summary.completed, summary.unfinished), (50, 0));
        assert!(summary.polls >= 50 * 501);
    }

    #[test]
    fn any_set_of_futures_can_be_tracked() {
        let timeline = Timeline::new();
        let mut futures: FuturesUnordered<_> = (1..=20)
            .map(|n| timeline.track(n.to_string(), ready_after(n)))
            .collect();
        let mut sum = 0;
        block_on(async {
            while let Some(n) = futures.next().await {
                sum += n;
            }
        });
        assert_eq!(sum, 210);
        let summary = timeline.summary();
        assert_eq!((summary.completed, summary.polls), (20, 210));
        // The first may complete before the last is polled.
        assert!(summary.peak >= 19);
    }

    #[test]
    fn the_clock_starts_with_the_first_task() {
        let timeline = Timeline::new();
        std::thread::sleep(Duration::from_millis(20));
        let before = Instant::now();
        block_on(timeline.track("a", ready(())));
        assert!(timeline.summary().elapsed <= before.elapsed());
    }

    #[test]
    fn a_tracked_future_goes_where_its_future_goes() {
        fn is_send<T: Send>(_: &T) {}
        is_send(&Timeline::new().track("a", async {}));
        let not_send = std::rc::Rc::new(1);
        let timeline = Timeline::new();
        let local = timeline.track("b", async move { *not_send });
        assert_eq!(block_on(local), 1);
        // What is not a future yet, too.
        assert_eq!(block_on(timeline.track("c", ready(3))), 3);
    }

    #[test]
    fn an_update_replaces_the_picture() {
        let messages = crate::outlet::recorded::messages(|| {
            let timeline = Timeline::new();
            let handle = timeline.show();
            block_on(timeline.track("<CN>", ready(())));
            handle.update(&timeline);
        });
        let data = &messages[1].1["data"];
        assert!(data["text/html"].as_str().unwrap().contains("&lt;CN&gt;"));
        assert!(data["text/plain"].as_str().unwrap().contains("<CN> "));
        assert_eq!(messages[1].0, "update_display_data");
    }
}
