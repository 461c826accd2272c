//! What the session's code starts, told to those who want to know.

use std::cell::Cell;
use std::sync::Once;

use nest_tokio::watch::{self, Around, Start};

use crate::explore;

/// From now on there is somebody to be told.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        watch::observe(observe);
    });
}

thread_local! {
    static OVERLOOKS: Cell<bool> = const { Cell::new(false) };
}

/// What this thread starts next is of no interest to anybody.
pub(crate) fn overlook_next() {
    OVERLOOKS.set(true);
}

fn observe(start: &Start) -> Option<Box<dyn Around>> {
    if OVERLOOKS.take() {
        return None;
    }
    if let Some(answer) = explore::observe(start) {
        return answer;
    }
    crate::watch::observe(start)
}
