//! What is written down of one task while it runs.
//!
//! Times are nanoseconds on the timeline's clock. What is called for each poll is not generic, so
//! that it is compiled once, optimised, and not into every cell.

use std::mem;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use nest_tokio::watch::Kind;

use super::figures::BLOCKING;
use super::name;
use super::processor;
use super::ticks;
use super::wake::{Bell, Slot, Wake, Wakes};
use crate::polled::Cause;

/// Spans kept of one task; beyond it the closest are merged. Of very many tasks fewer are.
pub(crate) const MAX_SPANS: usize = 256;
pub(crate) const FEW_SPANS: usize = 24;

/// The record of one task.
pub(crate) struct Record {
    name: Name,
    origin: Option<Origin>,
    clock: Clock,
    created: u64,
    /// Whether nothing more is written down.
    is_closed: AtomicBool,
    /// What has woken it since its last poll.
    woken: Slot,
    /// Who can wake it: of tasks that are watched.
    bell: OnceLock<Weak<Bell>>,
    /// Start of the poll that has not returned, or [`NOT_POLLED`], and its thread. Beside the lock,
    /// so that a poll takes it once; changed by the poll alone, and back to `NOT_POLLED` under the lock.
    polled_since: AtomicU64,
    polled_on: AtomicU32,
    state: Mutex<State>,
}

const NOT_POLLED: u64 = u64::MAX;

/// No poll of fewer ticks is worth asking how long a tick is.
const MAYBE_LONG: u64 = 1_000_000;

/// So many ticks or steps, in nanoseconds or steps.
pub(crate) fn scaled(ticks: u64, unit: f64) -> u64 {
    match unit == 1.0 {
        true => ticks,
        false => (ticks as f64 * unit) as u64,
    }
}

/// What a task is called.
pub(crate) enum Name {
    Given(String),
    /// As the type of this name is.
    Type(&'static str),
}

/// Of a task that was seen when it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// In the order of all that were started; from 1.
    pub(crate) number: u32,
    /// The task that started it.
    pub(crate) parent: Option<u32>,
    pub(crate) kind: Kind,
    /// Bytes of its future.
    pub(crate) size: usize,
    pub(crate) place: Option<&'static Location<'static>>,
}

/// What times are measured with.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// In [ticks] since then.
    Time(u64),
    /// In polls of all tasks.
    Steps(Arc<AtomicU64>),
}

impl Clock {
    /// One that begins now.
    pub(crate) fn start() -> Clock {
        Clock::Time(ticks::now())
    }

    /// What one of its units is, in nanoseconds or steps.
    pub(crate) fn unit(&self) -> f64 {
        match self {
            Clock::Time(_) => ticks::length(),
            Clock::Steps(_) => 1.0,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        match self {
            Clock::Time(start) => ticks::now().saturating_sub(*start),
            Clock::Steps(steps) => steps.load(Ordering::Relaxed),
        }
    }
}

#[derive(Clone)]
struct State {
    spans: Vec<Span>,
    most_spans: usize,
    wakes: Wakes,
    merged: bool,
    /// Polls that are no farther apart may become one span; when they have become too many.
    close: u64,
    polls: u64,
    longest: Option<Span>,
    /// The longest poll that kept its thread and did nothing meanwhile.
    blocked: Option<Span>,
    /// The longest that kept it to calculate.
    computed: Option<Span>,
    end: Option<(u64, End)>,
}

/// One poll, or several that were too many to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Time within polls: `end - start` if it is one.
    pub(crate) busy: u64,
    pub(crate) polls: u64,
    /// Number of the thread, or [`SEVERAL_THREADS`].
    pub(crate) thread: u32,
}

pub(crate) const SEVERAL_THREADS: u32 = 0;

impl Span {
    fn of_poll(start: u64, end: u64, thread: u32) -> Span {
        Span {
            start,
            end,
            busy: end - start,
            polls: 1,
            thread,
        }
    }

    /// This and a later span as one.
    pub(crate) fn and(self, later: Span) -> Span {
        Span {
            start: self.start,
            end: self.end.max(later.end),
            busy: self.busy + later.busy,
            polls: self.polls + later.polls,
            thread: if self.thread == later.thread {
                self.thread
            } else {
                SEVERAL_THREADS
            },
        }
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Cancelled,
    Panicked,
}

/// A copy of a record, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) label: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) created: u64,
    /// The last of those that led to a poll.
    pub(crate) wakes: Vec<Wake>,
    /// How many there were, and how many of them were its own doing.
    pub(crate) wake_counts: (u64, u64),
    /// A wake-up that no poll has followed yet.
    pub(crate) woken: Option<Wake>,
    /// How many hold its waker, if that is known.
    pub(crate) holders: Option<usize>,
    /// In order of time; the last may be a poll that has not returned.
    pub(crate) spans: Vec<Span>,
    /// Whether some of the spans are several polls.
    pub(crate) merged: bool,
    /// Whether the last span is a poll that has not returned.
    pub(crate) in_poll: bool,
    pub(crate) polls: u64,
    pub(crate) longest: Option<Span>,
    /// The longest poll that kept its thread for long and did nothing meanwhile.
    pub(crate) blocked: Option<Span>,
    /// The longest that kept it for long to calculate.
    pub(crate) computed: Option<Span>,
    /// `None` if it has not ended.
    pub(crate) end: Option<(u64, End)>,
}

impl Record {
    pub(crate) fn new(
        name: Name,
        origin: Option<Origin>,
        clock: Clock,
        most_spans: usize,
    ) -> Record {
        Record {
            name,
            origin,
            created: clock.now(),
            clock,
            is_closed: AtomicBool::new(false),
            woken: Slot::default(),
            bell: OnceLock::new(),
            polled_since: AtomicU64::new(NOT_POLLED),
            polled_on: AtomicU32::new(SEVERAL_THREADS),
            state: Mutex::new(State::new(most_spans)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The number of a task that was seen when it was started.
    pub(crate) fn number(&self) -> u32 {
        self.origin.map_or(0, |origin| origin.number)
    }

    /// What happens from now on is of no interest.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn set_bell(&self, bell: Weak<Bell>) {
        let _ = self.bell.set(bell);
    }

    /// Somebody has woken it. Only the first one before each poll counts.
    pub(crate) fn wake(&self, cause: impl FnOnce() -> Cause) {
        if !self.woken.is_free() || self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let cause = cause();
        let time = match cause == Cause::Task(self.number()) {
            // By itself: the moment within its poll matters to nobody.
            true => self.polled_since.load(Ordering::Relaxed),
            false => self.now(),
        };
        self.woken.put(cause, time);
    }

    /// Returns the wake-up that this poll is the answer to.
    #[inline(never)]
    fn begin_poll(&self) -> Option<Wake> {
        self.polled_on.store(thread_number(), Ordering::Relaxed);
        let now = self.now();
        if let Clock::Time(start) = &self.clock {
            processor::begin(start + now);
        }
        self.polled_since.store(now, Ordering::Release);
        self.woken.take()
    }

    #[inline(never)]
    fn end_poll(&self, wake: Option<Wake>, outcome: Option<End>) {
        let now = self.now();
        let thread = self.polled_on.load(Ordering::Relaxed);
        let mut state = self.state();
        let start = self.polled_since.load(Ordering::Relaxed);
        self.polled_since.store(NOT_POLLED, Ordering::Relaxed);
        if let Some(wake) = wake {
            state.wakes.push(wake, self.number());
        }
        let span = Span::of_poll(start.min(now), now, thread);
        state.push(span);
        if span.busy >= MAYBE_LONG && matches!(self.clock, Clock::Time(_)) {
            let time = scaled(span.busy, self.clock.unit());
            if time >= BLOCKING {
                state.kept_thread(span, time);
            }
        }
        if let (Some(outcome), None) = (outcome, state.end) {
            state.end = Some((now, outcome));
        }
    }

    /// The future has been dropped; if it had not ended, that ended it.
    fn dropped(&self) {
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let now = self.now();
        let mut state = self.state();
        state.end.get_or_insert((now, End::Cancelled));
    }

    /// A copy as of `now`, with times in a unit of the clock's.
    pub(crate) fn task(&self, now: u64, unit: f64) -> Task {
        let state = self.state();
        // In this order, or a task that is polled just now would seem to be one that waits and that
        // nobody can wake: who wakes a task notes that, and then lets go of its waker; a poll notes
        // that it has begun, and then takes the wake-up. It does not end while we have the state.
        let bell = self.bell.get();
        let holders = bell.map(|bell| bell.strong_count().saturating_sub(2));
        let woken = self.woken.get();
        let since = self.polled_since.load(Ordering::Acquire);
        let thread = self.polled_on.load(Ordering::Relaxed);
        let in_poll = since != NOT_POLLED;
        let mut state = state.clone();
        if in_poll {
            // It may have begun after `now` was read.
            state.add(Span::of_poll(since, now.max(since), thread));
        }
        let time = |ticks| scaled(ticks, unit);
        let span = |span: Span| Span {
            start: time(span.start),
            end: time(span.end),
            busy: time(span.busy),
            ..span
        };
        let wake = |wake: Wake| Wake {
            time: time(wake.time),
            ..wake
        };
        let mut origin = self.origin;
        let label = match &self.name {
            Name::Given(name) => name.clone(),
            Name::Type(name) => name::of(name, origin.as_ref()),
        };
        if let Some(origin) = origin.as_mut().filter(|_| label == name::CELL) {
            origin.place = None;
        }
        Task {
            label,
            origin,
            created: time(self.created),
            wakes: state.wakes.last().into_iter().map(wake).collect(),
            wake_counts: state.wakes.counts(),
            woken: woken.map(wake),
            holders,
            spans: state.spans.into_iter().map(span).collect(),
            merged: state.merged,
            in_poll,
            polls: state.polls,
            longest: state.longest.map(span),
            blocked: state.blocked.map(span),
            computed: state.computed.map(span),
            end: state.end.map(|(at, end)| (time(at), end)),
        }
    }
}

impl State {
    /// Of a task of which so many spans are kept.
    fn new(most_spans: usize) -> State {
        State {
            spans: Vec::new(),
            most_spans,
            wakes: Wakes::default(),
            merged: false,
            close: 0,
            polls: 0,
            longest: None,
            blocked: None,
            computed: None,
            end: None,
        }
    }

    /// A poll was a long one, of so many nanoseconds.
    fn kept_thread(&mut self, span: Span, time: u64) {
        let spent = processor::end(Duration::from_nanos(time));
        let blocking = Duration::from_nanos(BLOCKING);
        if spent.own < blocking {
            return; // it stood in line for a processor
        }
        let long = blocking - processor::AGE;
        let longest = match (spent.waiting >= long, spent.calculating >= long) {
            (true, _) => &mut self.blocked,
            (false, true) => &mut self.computed,
            (false, false) => return, // its computer had something else to do
        };
        if longest.is_none_or(|longest| longest.busy < span.busy) {
            *longest = Some(span);
        }
    }

    /// A poll has returned.
    fn push(&mut self, span: Span) {
        // Of very many polls most would be merged later anyway, into spans of about as many.
        let usual = self.polls / (2 * self.most_spans as u64);
        let last = self
            .spans
            .last_mut()
            .filter(|last| last.polls < usual && span.start.saturating_sub(last.end) <= self.close);
        match last {
            Some(last) => {
                *last = last.and(span);
                self.count(span);
            }
            None => self.add(span),
        }
    }

    /// As a span of its own.
    fn add(&mut self, span: Span) {
        if self.spans.len() == self.most_spans {
            self.close = merge_closest(&mut self.spans);
            self.merged = true;
        }
        self.spans.push(span);
        self.count(span);
    }

    fn count(&mut self, span: Span) {
        self.polls += 1;
        if self.longest.is_none_or(|longest| longest.busy < span.busy) {
            self.longest = Some(span);
        }
    }
}

/// Merges neighbours, the closest ones first, until at most three quarters are left.
///
/// Two by two, so that polls at regular intervals become shorter spans at regular intervals and
/// not a single long one. Returns the widest gap that was closed.
pub(crate) fn merge_closest(spans: &mut Vec<Span>) -> u64 {
    let gap = |pair: &[Span]| pair[1].start.saturating_sub(pair[0].end);
    let mut gaps: Vec<u64> = spans.windows(2).map(gap).collect();
    if gaps.is_empty() {
        return 0;
    }
    let middle = gaps.len() / 2;
    let (_, &mut close, _) = gaps.select_nth_unstable(middle);
    let mut merged = Vec::with_capacity(spans.len());
    let mut rest = spans.iter().copied().peekable();
    while let Some(span) = rest.next() {
        let next = rest.next_if(|next| next.start.saturating_sub(span.end) <= close);
        merged.push(next.map_or(span, |next| span.and(next)));
    }
    *spans = merged;
    close
}

/// The number of the calling thread: 1 for the first that asks. (Rust's own are not public.)
fn thread_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static NUMBER: u32 = {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            debug_assert_ne!(number, SEVERAL_THREADS);
            number
        };
    }
    NUMBER.try_with(|number| *number).unwrap_or(SEVERAL_THREADS)
}

/// Belongs to a tracked future, and is dropped with it.
pub(crate) struct Recorder(Arc<Record>);

impl Recorder {
    pub(crate) fn new(record: Arc<Record>) -> Recorder {
        Recorder(record)
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.0
    }

    /// To be called before each poll.
    #[inline]
    pub(crate) fn begin(&self) -> PollGuard<'_> {
        PollGuard(&self.0, self.0.begin_poll())
    }

    /// The poll that [`begin`](Self::begin) has begun, where what that gave is forgotten.
    pub(crate) fn resume(&self) -> PollGuard<'_> {
        PollGuard(&self.0, None)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.dropped();
    }
}

/// A poll that has not returned. Dropped instead of ended, it has panicked.
pub(crate) struct PollGuard<'a>(&'a Record, Option<Wake>);

impl PollGuard<'_> {
    /// The poll has returned.
    #[inline]
    pub(crate) fn end(self, ready: bool) {
        self.0.end_poll(self.1, ready.then_some(End::Completed));
        mem::forget(self);
    }
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        self.0.end_poll(self.1, Some(End::Panicked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls(times: impl IntoIterator<Item = (u64, u64)>) -> State {
        let mut state = State::new(MAX_SPANS);
        for (start, end) in times {
            state.push(Span::of_poll(start, end, 1));
        }
        state
    }

    #[test]
    fn memory_is_bounded_and_figures_stay_exact() {
        let state = polls((0..1_000_000).map(|n| (10 * n, 10 * n + 3)));
        assert!(state.spans.len() <= MAX_SPANS);
        assert!(state.merged);
        assert_eq!(state.polls, 1_000_000);
        assert_eq!(
            state.spans.iter().map(|span| span.polls).sum::<u64>(),
            1_000_000
        );
        assert_eq!(
            state.spans.iter().map(|span| span.busy).sum::<u64>(),
            3_000_000
        );
        assert_eq!(state.spans.last().unwrap().end, 9_999_993);
        assert!(state.spans.is_sorted_by(|a, b| a.end < b.start));
    }

    #[test]
    fn the_closest_are_merged_and_long_waits_stay() {
        // Ten bursts of a hundred polls, a second apart.
        let burst = |n: u64| {
            (0..100).map(move |m| (n * 1_000_000_000 + m * 20, n * 1_000_000_000 + m * 20 + 10))
        };
        let state = polls((0..10).flat_map(burst));
        let long_waits = state
            .spans
            .windows(2)
            .filter(|pair| pair[1].start - pair[0].end > 900_000_000);
        assert_eq!(long_waits.count(), 9);
    }

    #[test]
    fn merging_keeps_every_poll_whatever_the_number() {
        for count in 0..20 {
            let mut spans = polls((0..count).map(|n| (n * n, n * n + 1))).spans;
            merge_closest(&mut spans);
            assert_eq!(spans.iter().map(|span| span.polls).sum::<u64>(), count);
            assert!(
                spans.len() as u64 <= (count * 3).div_ceil(4).max(1),
                "{count}"
            );
        }
    }

    #[test]
    fn spans_of_two_threads_are_of_several() {
        let span = |start, thread| Span {
            start,
            end: start + 1,
            busy: 1,
            polls: 1,
            thread,
        };
        assert_eq!(span(0, 1).and(span(5, 1)).thread, 1);
        assert_eq!(span(0, 1).and(span(5, 2)).thread, SEVERAL_THREADS);
        assert_eq!(thread_number(), thread_number());
        let other = std::thread::spawn(thread_number).join().unwrap();
        assert_ne!(thread_number(), other);
    }
}
