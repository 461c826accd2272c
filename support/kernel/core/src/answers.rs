//! Requests that the front answers by itself: evcxr answers them never, always the same, or too late.

use serde_json::{Value, json};

use crate::complete;
use crate::evcxr::positions;
use crate::history::History;
use crate::message::Message;

/// The version of the protocol that messages of our own are written in: the first with
/// `iopub_welcome`.
pub const PROTOCOL: &str = "5.4";

/// Whether only evcxr can answer.
pub fn needs_evcxr(request: &Message) -> bool {
    match &*request.kind {
        "execute_request" | "comm_open" => true,
        "complete_request" | "inspect_request" => !positions::is_too_deep(&request.content()),
        _ => false,
    }
}

/// The content of a `kernel_info_reply`.
pub fn kernel_info(rust: &str) -> Value {
    let version = rust.split_whitespace().nth(1).unwrap_or_default();
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "lab",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "Rust",
            "version": version,
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "banner": format!("{rust}，evcxr 0.22"),
        "debugger": false,
        "help_links": [
            { "text": "Rust 标准库", "url": "https://doc.rust-lang.org/stable/std/" },
            { "text": "tokio", "url": "https://docs.rs/tokio" },
        ],
    })
}

/// The content of the reply to a shutdown request.
pub fn shutdown(request: &Message) -> Value {
    json!({ "status": "ok", "restart": request.content()["restart"] == true })
}

/// What there is to answer to a request that needs no evcxr.
pub fn to(request: &Message, rust: &str, history: &History) -> Answer {
    let content = request.content();
    Answer::Reply(match &*request.kind {
        "kernel_info_request" => kernel_info(rust),
        "is_complete_request" => complete::answer(content["code"].as_str().unwrap_or_default()),
        "complete_request" => json!({
            "status": "ok",
            "matches": [],
            "cursor_start": content["cursor_pos"],
            "cursor_end": content["cursor_pos"],
            "metadata": {},
        }),
        "inspect_request" => json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }),
        "history_request" => history.answer(&content),
        // No comm outlives the request that opens it.
        "comm_info_request" => json!({ "status": "ok", "comms": {} }),
        "shutdown_request" => shutdown(request),
        "comm_msg" | "comm_close" => return Answer::Nothing,
        _ => return Answer::Unknown,
    })
}

/// What a request is answered with.
pub enum Answer {
    /// This content.
    Reply(Value),
    /// It wants no answer.
    Nothing,
    /// Nobody knows it.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "rustc 1.95.0 (59807616e 2026-04-14)";

    /// What a request is answered; whether anybody knows it.
    fn answered(kind: &str, content: Value) -> (Option<Value>, bool) {
        let request = Message::new(kind, "1", content);
        match to(&request, RUST, &History::default()) {
            Answer::Reply(content) => (Some(content), true),
            Answer::Nothing => (None, true),
            Answer::Unknown => (None, false),
        }
    }

    #[test]
    fn each_request_has_the_answer_that_the_protocol_wants() {
        for (kind, content, expected) in [
            (
                "is_complete_request",
                json!({ "code": "f(" }),
                &["/status=incomplete"][..],
            ),
            (
                "complete_request",
                json!({ "code": "", "cursor_pos": 3 }),
                &["/matches=[]", "/cursor_start=3", "/cursor_end=3"],
            ),
            ("inspect_request", json!({}), &["/found=false"]),
            ("history_request", json!({}), &["/history=[]"]),
            ("comm_info_request", json!({}), &["/comms={}"]),
            (
                "shutdown_request",
                json!({ "restart": true }),
                &["/restart=true"],
            ),
            ("shutdown_request", json!({}), &["/restart=false"]),
            (
                "kernel_info_request",
                json!({}),
                &["/protocol_version=5.4", "/language_info/version=1.95.0"],
            ),
        ] {
            let (answer, _) = answered(kind, content);
            let answer = answer.unwrap();
            for entry in expected {
                let (path, value) = entry.split_once('=').unwrap();
                let found = answer.pointer(path).unwrap();
                let found = found.as_str().map_or(found.to_string(), str::to_owned);
                assert_eq!(found, value, "{kind}: {answer}");
            }
        }
        for kind in ["comm_msg", "comm_close"] {
            assert_eq!(answered(kind, json!({})), (None, true), "{kind}");
        }
        assert_eq!(answered("no_request", json!({})), (None, false));
    }

    #[test]
    fn only_what_evcxr_knows_is_asked_of_it() {
        let deep = "(".repeat(1000);
        for (kind, code, needs) in [
            ("execute_request", "", true),
            ("execute_request", &*deep, true),
            ("comm_open", "", true),
            ("complete_request", "a", true),
            ("complete_request", &deep, false),
            ("inspect_request", "a", true),
            ("inspect_request", &deep, false),
            ("kernel_info_request", "", false),
            ("comm_msg", "", false),
        ] {
            let request = Message::new(kind, "1", json!({ "code": code }));
            assert_eq!(needs_evcxr(&request), needs, "{kind}");
        }
    }
}
