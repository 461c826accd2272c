//! A message of the Jupyter protocol: its headers as far as the front reads them, and the frames.

use bytes::Bytes;
use serde_json::Value;

/// A message that has come, from a client or from evcxr.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Who it is from on a ROUTER socket, and who it goes to; the topic on iopub.
    pub identities: Vec<Bytes>,
    /// What it is: `execute_request`…
    pub kind: String,
    /// Its number, by which answers refer to it.
    pub id: String,
    /// The number of the message that it belongs to; empty if there is none.
    pub parent_id: String,
    /// Its header, as it came.
    pub header: Bytes,
    /// The header of the message that this one belongs to.
    pub parent: Bytes,
    /// As it came.
    pub metadata: Bytes,
    /// As it came: JSON.
    pub content: Bytes,
    /// Binary parts behind it.
    pub buffers: Vec<Bytes>,
}

impl Message {
    /// A message as small as it can be: its kind, its number and its content.
    ///
    /// ```
    /// use kernel_core::Message;
    ///
    /// let message = Message::new("execute_request", "7", serde_json::json!({ "code": "1 + 1" }));
    /// assert_eq!(message.content()["code"], "1 + 1");
    /// ```
    pub fn new(kind: &str, id: &str, content: Value) -> Message {
        Message {
            kind: kind.to_owned(),
            id: id.to_owned(),
            header: format!(r#"{{"msg_id":"{id}","msg_type":"{kind}"}}"#).into(),
            metadata: Bytes::from_static(b"{}"),
            parent: Bytes::from_static(b"{}"),
            content: content.to_string().into(),
            ..Message::default()
        }
    }

    /// The content; `Null` if it is no JSON.
    pub fn content(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap_or_default()
    }

    /// The same message with another content.
    pub fn with_content(mut self, content: &Value) -> Message {
        self.content = content.to_string().into();
        self
    }

    /// The same message to somebody else.
    pub fn addressed_to(mut self, identities: Vec<Bytes>) -> Message {
        self.identities = identities;
        self
    }
}
