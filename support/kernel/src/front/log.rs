//! A log of messages, for who looks for a fault: `LAB_LOG=messages` has the front write what it hears
//! and what it does to its standard error, which is Jupyter's log. Texts, what a student has typed
//! and what cells write, are left out unless it is `LAB_LOG=texts`.

use kernel_core::{Action, Event, Message};
use link::variable;
use serde_json::Value;
use tracing::level_filters::LevelFilter;

/// Writes down what happens, if somebody has asked for it.
pub struct Log {
    /// None if nobody has; else whether texts are written, too.
    texts: Option<bool>,
}

impl Log {
    /// As the environment says.
    pub fn new() -> Log {
        let wanted = std::env::var(variable::LOG).unwrap_or_default();
        let texts = match &*wanted {
            "messages" => Some(false),
            "texts" => Some(true),
            _ => None,
        };
        if texts.is_some() {
            // Another one cannot have been set: this is the only place.
            let _ = tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_max_level(LevelFilter::DEBUG)
                .try_init();
        }
        Log { texts }
    }

    /// Something has been heard.
    pub fn event(&self, event: &Event) {
        let Some(texts) = self.texts else { return };
        let what = match event {
            Event::Shell(message) => format!("shell {}", request(message, texts)),
            Event::Control(message) => format!("control {}", request(message, texts)),
            Event::Stdin(message) => format!("stdin {}", request(message, texts)),
            Event::Replied(message) => format!("evcxr replies {}", request(message, texts)),
            Event::Published(message) => format!("evcxr publishes {}", request(message, texts)),
            Event::Written(stream, bytes) if !texts => {
                format!("{} bytes on {}", bytes.len(), stream.name())
            }
            Event::Written(stream, bytes) => {
                format!("{} {:?}", stream.name(), String::from_utf8_lossy(bytes))
            }
            Event::Diagnosed(_) if !texts => "rustc has said something".to_owned(),
            Event::Notice(guest, _) if !texts => format!("a notice of {guest}"),
            other => format!("{other:?}"),
        };
        tracing::debug!(target: "front", "← {what}");
    }

    /// Something is done.
    pub fn action(&self, action: &Action) {
        let Some(texts) = self.texts else { return };
        let what = match action {
            Action::Publish(message) => {
                format!(
                    "publish {} {}",
                    message.kind,
                    content(&message.content, texts)
                )
            }
            Action::Reply(channel, message) => format!(
                "{channel:?} {} {}",
                message.kind,
                content(&message.content, texts)
            ),
            Action::Pass(message) => format!("pass {}", request(message, texts)),
            Action::PassReply(message) => format!("pass the reply {}", request(message, texts)),
            Action::ToEvcxr(message) => format!("to evcxr {}", request(message, texts)),
            Action::AskEvcxr(id, kind, asked) => {
                format!("ask evcxr {kind} {id} {}", content(asked, texts))
            }
            Action::AnswerInput(Ok(_)) if !texts => "answer what was asked for".to_owned(),
            other => format!("{other:?}"),
        };
        tracing::debug!(target: "front", "→ {what}");
    }
}

fn request(message: &Message, texts: bool) -> String {
    let about = content(&message.content(), texts);
    format!("{} {} {about}", message.kind, message.id)
}

/// What a content says; without texts only what is short and the protocol's own.
fn content(content: &Value, texts: bool) -> String {
    if texts {
        return content.to_string();
    }
    let known = ["status", "execution_state", "execution_count", "silent"];
    let said = known.iter().filter_map(|name| {
        let value = content.get(*name)?;
        Some(format!("{name}={value}"))
    });
    said.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_text_is_in_the_log_unless_asked_for() {
        let cell = json!({ "code": "let password = 1;", "silent": false });
        let reply = json!({ "status": "error", "evalue": "password", "execution_count": 3 });
        for text in [cell, reply] {
            assert!(!content(&text, false).contains("password"));
            assert!(content(&text, true).contains("password"));
        }
    }
}
