//! When which task ran: a picture of any set of futures.

mod axis;
mod figures;
mod record;
mod svg;
mod text;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;

use figures::Picture;
pub use figures::{LongestPoll, Summary};
use record::{Record, Recorder};

use crate::{Bundle, Handle, Show, display};

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
/// more. The sentences below name the longest poll, tasks that never yielded, the peak.
///
/// It is one SVG element within the page, without scripts, in the colours of the theme.
///
/// # Limits
/// Some hundred polls of a task are kept one by one. When there are more, the closest
/// ones are merged into one mark: the number of polls and the time spent in them stay
/// exact, the gaps between them are gone, and the picture says so. A record takes 10 kB at most.
/// Tasks are kept without limit; the first 2,000 are drawn. A future that is dropped by
/// a panic in which it was not itself polled counts as cancelled; an interrupt within its
/// own nested `block_on` as a panic.
///
/// Tracking costs some 100 ns a poll: `cargo bench -p notebook` measures it.
#[derive(Clone, Default)]
pub struct Timeline {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Zero on the clock: when the first task was created.
    start: OnceLock<Instant>,
    records: Mutex<Vec<Arc<Record>>>,
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
        Tracked {
            future: future.into_future(),
            recorder: self.record(label.into()),
        }
    }

    fn record(&self, label: String) -> Recorder {
        let now = Instant::now();
        let start = *self.inner.start.get_or_init(|| now);
        let record = Arc::new(Record::new(label, start, now));
        self.records().push(record.clone());
        Recorder::new(record)
    }

    fn records(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Record>>> {
        self.inner
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known up to now.
    fn picture(&self) -> Picture {
        let records = self.records().clone();
        let start = self.inner.start.get().copied();
        let now = start.map_or(0, |start| record::nanos(start, Instant::now()));
        Picture::new(records.iter().map(|record| record.task(now)).collect(), now)
    }

    /// Displays the picture as it is now; the [`Handle`] can
    /// [`update`](Handle::update) it (`handle.update(&timeline)`) while the tasks run.
    pub fn show(&self) -> Handle {
        display(self)
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        self.bundle().evcxr_display();
    }

    /// The picture as SVG, to save in a file.
    pub fn svg(&self) -> String {
        svg::draw(&self.picture())
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

impl Show for Timeline {
    fn bundle(&self) -> Bundle {
        let picture = self.picture();
        Bundle::new(text::draw(&picture)).with("text/html", svg::draw(&picture))
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
