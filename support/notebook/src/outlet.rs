//! Where what is displayed goes: to the front, to a stock evcxr, or to a terminal.

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use link::{marker, variable};
use serde_json::{Value, json};

use crate::Bundle;
use crate::connection;
use crate::pump;

/// Whether this is the process in which a kernel runs cells.
pub(crate) fn in_kernel() -> bool {
    std::env::var_os(variable::IS_RUNTIME).is_some()
}

/// Publishes a message after what has been printed so far. False when there is no front.
pub(crate) fn publish(message_type: &str, content: &Value) -> bool {
    #[cfg(test)]
    if recorded::take_down(message_type, content) {
        return true;
    }
    let _ = io::stdout().flush();
    connection::publish(message_type, content)
}

/// An identity for a display: other kernels may display in the same notebook.
pub(crate) fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("notebook-{}-{number}", process::id())
}

/// Publishes `bundle` under `id`. False when there is no front.
pub(crate) fn publish_bundle(message_type: &str, id: &str, bundle: &Bundle) -> bool {
    let content = json!({
        "data": bundle.data(),
        "metadata": {},
        "transient": { "display_id": id },
    });
    publish(message_type, &content)
}

/// Publishes `bundle` under `id` or, without a front, shows it as well as can be.
pub(crate) fn show(message_type: &str, id: &str, bundle: &Bundle) {
    if publish_bundle(message_type, id, bundle) {
        return;
    }
    if in_kernel() {
        print_blocks(bundle);
    } else {
        println!("{}", bundle.text());
    }
}

/// Prints `bundle` the way evcxr takes values: a block for each MIME type, of which it shows the
/// last one of each at the cell's end.
pub(crate) fn print_blocks(bundle: &Bundle) {
    // In one piece: nothing that a background task prints may get into it.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(blocks(bundle).as_bytes());
    let _ = stdout.flush();
}

/// evcxr's blocks for `bundle`.
fn blocks(bundle: &Bundle) -> String {
    let mut blocks = String::new();
    for (mime, value) in bundle.data() {
        let value = match value {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        // Text about evcxr must not be taken for its markers.
        let value = harmless(&value, connection::place_mark().as_deref());
        blocks += &pump::block(mime, &value);
    }
    blocks
}

/// The same text without evcxr's markers, but with the front's `mark` for places.
fn harmless(text: &str, mark: Option<&str>) -> String {
    let broken = |text: &str| text.replace(marker::PREFIX, "EVCXR\u{200b}_");
    match mark {
        Some(mark) => broken(text).replace(&broken(mark), mark),
        None => broken(text),
    }
}

/// What a test published instead of sending it.
#[cfg(test)]
pub(crate) mod recorded {
    use std::cell::RefCell;

    use serde_json::Value;

    thread_local! {
        static MESSAGES: RefCell<Option<Vec<(String, Value)>>> = const { RefCell::new(None) };
    }

    pub(super) fn take_down(message_type: &str, content: &Value) -> bool {
        MESSAGES.with_borrow_mut(|messages| match messages {
            Some(messages) => {
                messages.push((message_type.to_owned(), content.clone()));
                true
            }
            None => false,
        })
    }

    /// The messages that `f` publishes on this thread, as if there were a front.
    pub(crate) fn messages(f: impl FnOnce()) -> Vec<(String, Value)> {
        MESSAGES.set(Some(Vec::new()));
        f();
        MESSAGES.take().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evcxr_gets_a_block_for_each_mime_type() {
        let bundle = Bundle::new("一行\n两行").with("application/json", json!({"a": [1, 2]}));
        assert_eq!(
            blocks(&bundle),
            "EVCXR_BEGIN_CONTENT text/plain\n一行\n两行\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT application/json\n{\"a\":[1,2]}\nEVCXR_END_CONTENT\n"
        );
    }

    #[test]
    fn marks_for_places_stay_as_they_are() {
        let text = "EVCXR_0f_PLACE /a.so:1:2; EVCXR_1f_PLACE 3:4:5;";
        let expected = "EVCXR_0f_PLACE /a.so:1:2; EVCXR\u{200b}_1f_PLACE 3:4:5;";
        assert_eq!(harmless(text, Some("EVCXR_0f_PLACE ")), expected);
    }

    #[test]
    fn a_marker_in_a_text_does_not_end_its_block() {
        let blocks = blocks(&Bundle::new("EVCXR_END_CONTENT\nEVCXR_EXECUTION_COMPLETE"));
        assert_eq!(blocks.matches("EVCXR_END_CONTENT").count(), 1);
        assert!(!blocks.contains("EVCXR_EXECUTION_COMPLETE"));
    }
}
