//! Messages as they travel: signed frames of JSON, of which we read the headers and pass on the
//! rest as it came.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use kernel_core::{Message, Outgoing, PROTOCOL};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use zeromq::ZmqMessage;

/// What separates the addresses of a message from the message.
const DELIMITER: &[u8] = b"<IDS|MSG>";

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

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    msg_id: String,
    msg_type: String,
}

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

/// A message of our own, with its number and date.
pub fn new(outgoing: Outgoing, session: &str) -> Message {
    let id = uuid::Uuid::new_v4().to_string();
    let message = request(&id, &outgoing.kind, &outgoing.content, session);
    Message {
        identities: outgoing.identities,
        parent: match outgoing.parent.is_empty() {
            true => message.parent,
            false => outgoing.parent,
        },
        ..message
    }
}

/// A message of our own with this number, which belongs to no other.
pub fn request(id: &str, kind: &str, content: &Value, session: &str) -> Message {
    let header = json!({
        "msg_id": id,
        "msg_type": kind,
        "session": session,
        "username": "kernel",
        "date": chrono::Utc::now().to_rfc3339(),
        "version": PROTOCOL,
    });
    Message {
        kind: kind.to_owned(),
        id: id.to_owned(),
        header: header.to_string().into(),
        parent: Bytes::from_static(b"{}"),
        metadata: Bytes::from_static(b"{}"),
        content: content.to_string().into(),
        ..Message::default()
    }
}

/// The frames to send, signed.
pub fn frames(message: Message, key: &Key) -> ZmqMessage {
    let parts = [
        &message.header,
        &message.parent,
        &message.metadata,
        &message.content,
    ];
    let digest = key.digest(parts);
    let signature = digest.map(|mac| hex::encode(mac.finalize().into_bytes()));
    let mut frames = message.identities;
    frames.push(Bytes::from_static(DELIMITER));
    frames.push(signature.unwrap_or_default().into());
    frames.extend([
        message.header,
        message.parent,
        message.metadata,
        message.content,
    ]);
    frames.extend(message.buffers);
    ZmqMessage::try_from(frames).expect("there are frames")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let parent = Bytes::from_static(br#"{"msg_id": "p", "msg_type": "execute_request"}"#);
        let outgoing = Outgoing {
            kind: "stream".to_owned(),
            parent,
            identities: vec![Bytes::from_static(b"topic")],
            content: json!({"text": "你好"}),
        };
        new(outgoing, "s")
    }

    #[test]
    fn what_is_signed_is_read_back_and_nothing_of_it_is_lost() {
        let key = Key::new("secret");
        let mut sent = message();
        sent.buffers = vec![Bytes::from_static(b"raw")];
        let read = parse(frames(sent.clone(), &key), &key).unwrap();
        assert_eq!(read.content()["text"], "你好");
        assert_eq!((&*read.kind, &*read.parent_id), ("stream", "p"));
        assert_eq!(read.identities, sent.identities);
        assert_eq!(read.buffers, sent.buffers);
        assert_eq!((read.header, read.parent), (sent.header, sent.parent));
    }

    #[test]
    fn a_wrong_signature_is_refused_and_so_is_a_changed_message() {
        let key = Key::new("secret");
        assert!(parse(frames(message(), &Key::new("guess")), &key).is_err());
        assert!(parse(frames(message(), &Key::new("")), &key).is_err());
        let mut frames = super::frames(message(), &key).into_vec();
        *frames.last_mut().unwrap() = Bytes::from_static(br#"{"text": "hello"}"#);
        assert!(parse(ZmqMessage::try_from(frames).unwrap(), &key).is_err());
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let key = Key::new("");
        assert!(parse(frames(message(), &key), &key).is_ok());
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
            assert!(parse(ZmqMessage::try_from(frames).unwrap(), &key).is_err());
        }
    }

    /// Any message: its headers are JSON, all the rest is any bytes.
    fn any_message() -> impl properties::proptest::strategy::Strategy<Value = Message> {
        use properties::proptest::prelude::*;
        let bytes = || prop::collection::vec(any::<u8>(), 0..8).prop_map(Bytes::from);
        let address = bytes().prop_filter("an address", |bytes| bytes != DELIMITER);
        (
            (
                properties::text(4),
                properties::text(4),
                properties::text(4),
            ),
            (bytes(), bytes()),
            prop::collection::vec(address, 0..3),
            prop::collection::vec(bytes(), 0..3),
        )
            .prop_map(
                |((kind, id, parent_id), (metadata, content), identities, buffers)| {
                    let kind = format!("a{kind}");
                    Message {
                        header: json!({ "msg_id": id, "msg_type": kind }).to_string().into(),
                        parent: json!({ "msg_id": parent_id }).to_string().into(),
                        identities,
                        kind,
                        id,
                        parent_id,
                        metadata,
                        content,
                        buffers,
                    }
                },
            )
    }

    #[test]
    fn any_message_is_read_as_it_was_sent() {
        for key in [Key::new("secret"), Key::new("")] {
            properties::holds(&any_message(), |sent| {
                assert_eq!(parse(frames(sent.clone(), &key), &key).unwrap(), sent);
            });
        }
    }

    #[test]
    fn one_bit_that_is_another_makes_a_signed_message_worthless() {
        use properties::proptest::prelude::*;
        let any = (any_message(), any::<prop::sample::Index>());
        let key = Key::new("secret");
        properties::holds(&any, |(message, bit)| {
            let mut frames = frames(message.clone(), &key).into_vec();
            // The signature and what it signs: addresses and buffers are not signed in Jupyter.
            let signed = message.identities.len() + 1..message.identities.len() + 6;
            let lengths: Vec<usize> = frames[signed.clone()].iter().map(Bytes::len).collect();
            let mut bit = bit.index(lengths.iter().sum::<usize>() * 8);
            for (index, length) in signed.zip(lengths) {
                if bit < length * 8 {
                    let mut frame = frames[index].to_vec();
                    frame[bit / 8] ^= 1 << (bit % 8);
                    // Hexadecimal digits mean the same in either case.
                    if frame.eq_ignore_ascii_case(&frames[index]) && length == 64 {
                        return;
                    }
                    frames[index] = frame.into();
                    break;
                }
                bit -= length * 8;
            }
            let read = parse(ZmqMessage::try_from(frames).unwrap(), &key);
            assert!(read.is_err(), "{read:?}");
        });
    }

    #[test]
    fn whatever_comes_from_a_socket_is_read_or_refused() {
        use properties::proptest::prelude::*;
        let frame = prop_oneof![
            2 => Just(Bytes::from_static(DELIMITER)),
            1 => Just(Bytes::from_static(br#"{"msg_type": "a", "msg_id": 1}"#)),
            1 => Just(Bytes::from_static(br#"{"msg_type": "a"}"#)),
            2 => prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from),
            1 => properties::text(9).prop_map(Bytes::from),
        ];
        let any = prop::collection::vec(frame, 1..9);
        properties::holds(&any, |frames| {
            for key in [Key::new("secret"), Key::new("")] {
                let message = ZmqMessage::try_from(frames.clone()).unwrap();
                if let Ok(read) = parse(message, &key) {
                    assert!(!read.kind.is_empty());
                }
            }
        });
    }
}
