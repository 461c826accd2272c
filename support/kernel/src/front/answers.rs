//! Requests that the front answers by itself: evcxr answers them never, or always the same.

use serde_json::{Value, json};

use super::wire::{Message, PROTOCOL};
use super::{Front, complete};

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

impl Front {
    /// Answers a request of the shell channel that does not need evcxr.
    pub(super) fn answer(&mut self, request: &Message) {
        let content = request.content();
        let reply = match &*request.kind {
            "kernel_info_request" => Some(kernel_info(&self.rust)),
            "is_complete_request" => Some(complete::answer(
                content["code"].as_str().unwrap_or_default(),
            )),
            "history_request" => Some(self.history.answer(&content)),
            // No comm outlives the request that opens it.
            "comm_info_request" => Some(json!({ "status": "ok", "comms": {} })),
            "shutdown_request" => {
                let content = json!({ "status": "ok", "restart": content["restart"] == true });
                self.end = Some(None);
                Some(content)
            }
            "comm_msg" | "comm_close" => None,
            kind => {
                eprintln!("[front] {kind} is not answered");
                None
            }
        };
        self.publish_state("busy", &request.header);
        if let Some(content) = reply {
            self.outer.shell.send(self.reply_to(request, &content));
        }
        self.publish_state("idle", &request.header);
    }
}
