//! What takes long is not taken for stuck.

#[path = "../../nest-tokio/tests/child/mod.rs"]
#[allow(dead_code, reason = "only a part of it is needed")]
mod child;

use std::thread;
use std::time::Duration;

use nest_tokio::runtime::Runtime;

#[test]
fn a_search_that_goes_on_is_not_told_to_be_stuck() {
    let stderr = child::stderr_of(|| {
        let search = || {
            notebook::explore(0..14, || async {
                thread::sleep(Duration::from_millis(500))
            })
        };
        let found = Runtime::new().unwrap().block_on(async { search() });
        assert!(found.failure().is_none());
    });
    assert!(!stderr.contains("[nest-tokio]"), "{stderr}");
}
