//! What the front does.

use bytes::Bytes;
use serde_json::Value;

use crate::event::Then;
use crate::message::Message;

/// Something to be done, in the order of the list it is in.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell all clients.
    Publish(Outgoing),
    /// Tell all clients what evcxr has said, as it came.
    Pass(Message),
    /// Answer a client.
    Reply(Channel, Outgoing),
    /// Answer a client what evcxr has answered.
    PassReply(Message),
    /// Pass a client's request on to evcxr.
    ToEvcxr(Message),
    /// Ask evcxr something of our own: its number, kind and content.
    AskEvcxr(String, &'static str, Value),
    /// Let evcxr read a line that it waits for.
    TellEvcxr(String),
    /// Ask the process for [`Flushed`](crate::FromProcess::Flushed) with this number.
    Flush(u64),
    /// Stop the compiler or, if none is running, ask the process for
    /// [`Interrupted`](crate::FromProcess::Interrupted). Then comes [`Tried`](crate::Event::Tried).
    Interrupt,
    /// Read what the process has written up to now. Then comes [`Drained`](crate::Event::Drained),
    /// before everything else.
    Drain(Then),
    /// Say to a process that has started, or to its `notebook` crate, that it is heard.
    Welcome(u64),
    /// End the process that runs the cells; evcxr starts another.
    Kill,
    /// Let go of the process that is gone: so evcxr notices.
    Forget,
    /// Give the process what it waits to read, or an error number of the system's.
    AnswerInput(Result<String, i32>),
    /// Somebody uses the kernel: it goes first from now on.
    StepForward,
    /// Give memory back that a cell has left.
    Tidy,
    /// What was to be run ahead has been run, or why not.
    Warm(Result<(), String>),
    /// Write a line to the log of whoever has started us.
    Log(String),
    /// End the kernel, with this exit status.
    End(u8),
}

/// A channel on which clients are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Most.
    Shell,
    /// What is answered while a cell is being executed.
    Control,
    /// Questions to the student.
    Stdin,
}

/// A message of our own: number, date and signature are added on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What it is.
    pub kind: String,
    /// The header of the message that it belongs to; empty if there is none.
    pub parent: Bytes,
    /// Who it goes to; nobody in particular if it is published.
    pub identities: Vec<Bytes>,
    /// What it says.
    pub content: Value,
}
