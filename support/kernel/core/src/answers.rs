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
