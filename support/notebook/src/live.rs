//! A picture that grows while its cell runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::{Bundle, Handle, Timeline, display};

/// How often it is drawn anew.
const EVERY: Duration = Duration::from_millis(250);

/// What grows, until the cell ends.
static GROWING: Mutex<Vec<Arc<Growing>>> = Mutex::new(Vec::new());

struct Growing {
    timeline: Timeline,
    handle: Handle,
}

fn growing() -> MutexGuard<'static, Vec<Arc<Growing>>> {
    GROWING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows `timeline`, and shows it again as it grows.
pub(crate) fn show(timeline: &Timeline) -> Handle {
    let first = timeline.sketch();
    let handle = display(&first);
    let picture = Arc::new(Growing {
        timeline: timeline.clone(),
        handle: handle.clone(),
    });
    growing().push(picture.clone());
    // Without a thread it is drawn when the cell ends.
    let _ = thread::Builder::new()
        .name("notebook-live".into())
        .spawn(move || grow(&picture, first));
    handle
}

fn grow(picture: &Arc<Growing>, mut shown: Bundle) {
    loop {
        thread::sleep(EVERY);
        let sketch = picture.timeline.sketch();
        // Under the lock: nothing comes behind the last one.
        let growing = growing();
        if !growing.iter().any(|other| Arc::ptr_eq(other, picture)) {
            return;
        }
        if sketch != shown {
            picture.handle.update(&sketch);
            shown = sketch;
        }
    }
}

/// The cell has ended: what remains is the whole picture.
pub(crate) fn end() {
    for picture in growing().drain(..) {
        picture.handle.update(&picture.timeline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::recorded;

    #[test]
    fn what_remains_is_the_whole_picture_and_nothing_comes_behind_it() {
        let messages = recorded::messages(|| {
            let timeline = Timeline::new();
            show(&timeline);
            drop(timeline.track("later", async {}));
            end();
            end();
        });
        let types: Vec<&str> = messages.iter().map(|message| &*message.0).collect();
        assert_eq!(types, ["display_data", "update_display_data"]);
        let last = messages[1].1["data"]["text/html"].as_str().unwrap();
        assert!(last.contains("later"), "{last}");
        assert!(growing().is_empty());
    }
}
