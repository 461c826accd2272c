//! A cell as a task: the one that starts the others.
//!
//! It may already be running when somebody begins to watch, so whatever the thread of the cells waits
//! for is held in this way from the start.

use std::cell::RefCell;
use std::mem;
use std::task::{Context, Poll};
use std::thread;

use nest_tokio::watch::{Around, Start};

use super::Watched;
use crate::Timeline;
use crate::polled::{self, Polled};

thread_local! {
    /// The cell whose poll is not watched, and what it becomes if somebody begins to in there.
    static POLLED: RefCell<Option<(Start, Option<Watched>)>> = const { RefCell::new(None) };
}

/// Whether what this thread is about to wait for is a cell: nothing of ours is being polled.
pub(super) fn is_of_one() -> bool {
    (polled::is_first_thread() || cfg!(test)) && polled::current().is_none()
}

pub(super) struct WatchedCell {
    start: Start,
    watched: Option<Watched>,
}

impl WatchedCell {
    pub(super) fn new(start: Start) -> WatchedCell {
        WatchedCell {
            start,
            watched: None,
        }
    }
}

/// The cell that runs on this thread is one of the tasks of `timeline` from now on.
pub(super) fn join(timeline: &Timeline) {
    POLLED.with_borrow_mut(|polled| {
        let Some((start, watched)) = polled else {
            return;
        };
        *watched = Watched::new(timeline, start).inspect(|watched| {
            mem::forget(watched.recorder.begin());
            polled::becomes(watched.number());
        });
    });
}

impl Around for WatchedCell {
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        /// However the poll ends, the thread is as it was before.
        struct Restore(Option<(Start, Option<Watched>)>);
        impl Drop for Restore {
            fn drop(&mut self) {
                let polled = POLLED.replace(self.0.take());
                if let (true, Some((_, Some(watched)))) = (thread::panicking(), polled) {
                    drop(watched.recorder.resume());
                }
            }
        }

        if self.watched.is_none() {
            let timeline = super::timeline();
            self.watched = timeline.and_then(|timeline| Watched::new(&timeline, &self.start));
        }
        if let Some(watched) = &mut self.watched {
            return watched.poll(context, poll);
        }
        let _restore = Restore(POLLED.replace(Some((self.start, None))));
        let _current = Polled::begin(0);
        let outcome = poll(context);
        self.watched = POLLED.with_borrow_mut(|polled| polled.as_mut()?.1.take());
        if let Some(watched) = &self.watched {
            watched.recorder.resume().end(outcome.is_ready());
        }
        outcome
    }
}
