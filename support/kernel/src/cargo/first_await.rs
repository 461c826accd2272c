//! What rustc says of a forgotten `.await`, in a cell before a kernel's first one, too.
//!
//! "Consider `await`ing" rustc says only where one can: in `async` code. evcxr makes a cell such when
//! rustc refuses an `.await` in it (E0728), and compiles it again. A cell in which the first one was
//! forgotten has none, so evcxr is told that one was refused.

use std::fs;

use kernel_core::GENERATED;
use kernel_core::evcxr::generated;
use serde_json::Value;
use toml::Table;

/// An `.await` where none can be.
const REFUSED: &str = "E0728";

/// How rustc names a future, in a type or in a label.
const FUTURE: [&str; 3] = ["impl Future<", "found future", "expected future"];

/// The one of rustc's messages that is about a future, as if an `.await` had been refused in its
/// place; `None` if there is none, if that was really so, or if evcxr could do nothing: the cell is
/// `async` already, or its manifest names no tokio, which evcxr would have compiled.
pub fn refused(messages: &[Value]) -> Option<Value> {
    let could_be_async = || {
        let generated = fs::read_to_string(GENERATED).is_ok_and(|text| !generated::is_async(&text));
        let manifest: Option<Table> = fs::read_to_string("Cargo.toml").ok()?.parse().ok();
        Some(generated && manifest?.get("dependencies")?.get("tokio").is_some())
    };
    let message = about_a_future(messages)?;
    could_be_async()?.then(|| {
        let mut message = message.clone();
        message["code"]["code"] = REFUSED.into();
        message
    })
}

fn about_a_future(messages: &[Value]) -> Option<&Value> {
    let is_refused = |message: &Value| message["code"]["code"] == REFUSED;
    let is_about_one = |message: &&Value| {
        let shown = message["rendered"].as_str().unwrap_or_default();
        message["level"] == "error" && FUTURE.iter().any(|text| shown.contains(text))
    };
    match messages.iter().any(is_refused) {
        true => None,
        false => messages.iter().find(is_about_one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_error_about_a_future_is_taken_for_a_forgotten_await() {
        let message = |level: &str, code: &str, shown: &str| json!({ "level": level, "code": { "code": code }, "rendered": shown });
        let label = "expected `u32`, found future";
        let typed = "no method named `len` found for opaque type `impl Future<Output = u32>`";
        for (messages, found) in [
            (vec![message("error", "E0308", label)], Some(0)),
            (
                vec![
                    message("error", "E0425", "x"),
                    message("error", "E0599", typed),
                ],
                Some(1),
            ),
            (vec![message("warning", "", typed)], None),
            (
                vec![message("error", "E0308", "expected `u32`, found `&str`")],
                None,
            ),
            (
                vec![
                    message("error", "E0308", label),
                    message("error", REFUSED, "x"),
                ],
                None,
            ),
            (vec![], None),
        ] {
            let expected = found.map(|index: usize| &messages[index]);
            assert_eq!(about_a_future(&messages), expected);
        }
    }
}
