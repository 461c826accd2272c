//! Messages as they travel: signed frames of JSON, of which we read the headers and pass on the
//! rest as it came.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use zeromq::ZmqMessage;

/// What separates the addresses of a message from the message.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// The version of the protocol that messages of our own are written in: the first with
/// `iopub_welcome`.
pub const PROTOCOL: &str = "5.4";

/// Signs messages and checks signatures; with an empty key nobody does.
#[derive(Clone)]
pub struct Key(Option<Hmac<Sha256>>);

impl Key {
    pub fn new(key: &str) -> Key {
        let mac = Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
        Key((!key.is_empty()).then_some(mac))
    }

    fn digest(&self, parts: [&Bytes; 4]) -> Option<Hmac<Sha256>> {
        let mut mac = self.0.clone()?;
        parts.into_iter().for_each(|part| mac.update(part));
        Some(mac)
    }
}

/// A message whose signature was right, or one of our own.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who it is from on a ROUTER socket, and who it goes to; the topic on iopub.
    pub identities: Vec<Bytes>,
    /// What it is: `execute_request`…
    pub kind: String,
    /// Its number, by which answers refer to it.
    pub id: String,
    /// The number of the message that it belongs to; empty if there is none.
    pub parent_id: String,
    /// The frames, as they came.
    pub header: Bytes,
    /// The header of the message that this one belongs to.
    pub parent: Bytes,
    metadata: Bytes,
    content: Bytes,
    buffers: Vec<Bytes>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    msg_id: String,
    msg_type: String,
}

impl Message {
    /// Reads what came from a socket.
    ///
    /// # Errors
    /// When it is no message, or its signature is wrong.
    pub fn parse(frames: ZmqMessage, key: &Key) -> Result<Message> {
        let mut identities = frames.into_vec();
        let delimiter = identities
            .iter()
            .position(|frame| frame == DELIMITER)
            .context("no delimiter")?;
        let mut frames = identities.split_off(delimiter).into_iter().skip(1);
        let signature = frames.next().context("no signature")?;
        let mut next = || frames.next().context("a frame is missing");
        let (header, parent, metadata, content) = (next()?, next()?, next()?, next()?);
        if let Some(mac) = key.digest([&header, &parent, &metadata, &content]) {
            let signature = hex::decode(&signature).context("the signature is not hexadecimal")?;
            if mac.verify_slice(&signature).is_err() {
                bail!("wrong signature");
            }
        }
        let Header { msg_id, msg_type } = serde_json::from_slice(&header)?;
        ensure!(!msg_type.is_empty(), "no message type");
        let parent_header: Header = serde_json::from_slice(&parent).unwrap_or_default();
        Ok(Message {
            identities,
            kind: msg_type,
            id: msg_id,
            parent_id: parent_header.msg_id,
            header,
            parent,
            metadata,
            content,
            buffers: frames.collect(),
        })
    }

    /// A message of our own; `parent` is the header of what it belongs to.
    pub fn new(kind: &str, parent: &Bytes, session: &str, content: &Value) -> Message {
        let id = uuid::Uuid::new_v4().to_string();
        let header = json!({
            "msg_id": id,
            "msg_type": kind,
            "session": session,
            "username": "kernel",
            "date": chrono::Utc::now().to_rfc3339(),
            "version": PROTOCOL,
        });
        Message {
            identities: Vec::new(),
            kind: kind.to_owned(),
            id,
            parent_id: String::new(),
            header: header.to_string().into(),
            parent: match parent.is_empty() {
                true => Bytes::from_static(b"{}"),
                false => parent.clone(),
            },
            metadata: Bytes::from_static(b"{}"),
            content: content.to_string().into(),
            buffers: Vec::new(),
        }
    }

    /// The same message for other ears: on its way between the two sides of the front.
    pub fn addressed_to(mut self, identities: Vec<Bytes>) -> Message {
        self.identities = identities;
        self
    }

    /// The content; null if it is not JSON.
    pub fn content(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap_or_default()
    }

    /// The frames to send, signed.
    pub fn frames(self, key: &Key) -> ZmqMessage {
        let digest = key.digest([&self.header, &self.parent, &self.metadata, &self.content]);
        let signature = digest.map(|mac| hex::encode(mac.finalize().into_bytes()));
        let mut frames = self.identities;
        frames.push(Bytes::from_static(DELIMITER));
        frames.push(signature.unwrap_or_default().into());
        frames.extend([self.header, self.parent, self.metadata, self.content]);
        frames.extend(self.buffers);
        ZmqMessage::try_from(frames).expect("there are frames")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let parent = Bytes::from_static(br#"{"msg_id": "p", "msg_type": "execute_request"}"#);
        Message::new("stream", &parent, "s", &json!({"text": "你好"}))
            .addressed_to(vec![Bytes::from_static(b"topic")])
    }

    #[test]
    fn what_is_signed_is_read_back_and_nothing_of_it_is_lost() {
        let key = Key::new("secret");
        let mut sent = message();
        sent.buffers = vec![Bytes::from_static(b"raw")];
        let read = Message::parse(sent.clone().frames(&key), &key).unwrap();
        assert_eq!(read.content()["text"], "你好");
        assert_eq!((&*read.kind, &*read.parent_id), ("stream", "p"));
        assert_eq!(read.identities, sent.identities);
        assert_eq!(read.buffers, sent.buffers);
        assert_eq!((read.header, read.parent), (sent.header, sent.parent));
    }

    #[test]
    fn a_wrong_signature_is_refused_and_so_is_a_changed_message() {
        let key = Key::new("secret");
        assert!(Message::parse(message().frames(&Key::new("guess")), &key).is_err());
        assert!(Message::parse(message().frames(&Key::new("")), &key).is_err());
        let mut frames = message().frames(&key).into_vec();
        *frames.last_mut().unwrap() = Bytes::from_static(br#"{"text": "hello"}"#);
        assert!(Message::parse(ZmqMessage::try_from(frames).unwrap(), &key).is_err());
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let key = Key::new("");
        assert!(Message::parse(message().frames(&key), &key).is_ok());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let key = Key::new("");
        for frames in [
            vec!["hello"],
            vec!["<IDS|MSG>", "", "{}"],
            vec!["<IDS|MSG>", "", "{}", "{}", "{}", "{}"],
            vec!["<IDS|MSG>", "", "no JSON", "{}", "{}", "{}"],
        ] {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            assert!(Message::parse(ZmqMessage::try_from(frames).unwrap(), &key).is_err());
        }
    }
}
