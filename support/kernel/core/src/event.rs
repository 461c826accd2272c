//! What the front hears.

use crate::diagnosis::Diagnosis;
use crate::message::Message;
use crate::stream::Stream;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A client's request, whose turn comes.
    Shell(Message),
    /// A client's request that is answered at once.
    Control(Message),
    /// What a student has typed.
    Stdin(Message),
    /// evcxr can be asked.
    Listening,
    /// evcxr's reply to a request.
    Replied(Message),
    /// What evcxr publishes.
    Published(Message),
    /// evcxr is gone; how, in its own words.
    Ended(String),
    /// Of the connection with this number: a process that runs cells, or its `notebook` crate.
    Process(u64, FromProcess),
    /// What the process that is connected now has written.
    Written(Stream, Vec<u8>),
    /// [`Action::Drain`](crate::Action::Drain) has been done.
    Drained(Then),
    /// [`Action::Interrupt`](crate::Action::Interrupt) has been done.
    Tried(Tried),
    /// What rustc has said of the cell that is being compiled.
    Diagnosed(Diagnosis),
    /// Our cargo, on the connection with this number, has something to tell the student.
    Notice(u64, String),
    /// Somebody takes this kernel, which was a spare.
    Taken,
    /// An interrupt that came as a signal, or from whoever keeps this kernel.
    Interrupt,
    /// The moment that [`Front::next_moment`](crate::Front::next_moment) has named.
    Moment,
}

/// What comes from the process that runs the cells.
#[derive(Clone, Debug, PartialEq)]
pub enum FromProcess {
    /// It has been started; its process number.
    Started(u32),
    /// Its `notebook` crate has been loaded, in the process of this number.
    Loaded(u32),
    /// Everything that has been asked for before the time of this number has been done.
    Flushed(u64),
    /// What an interrupt has found.
    Interrupted(Found),
    /// It waits for something to read.
    WantsInput,
    /// The cell whose code has just ended did so because a wait was cancelled.
    Unwound,
    /// The connection is gone, and so, in a moment, is the process.
    Gone,
}

/// What an interrupt found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No cell's code is running.
    Nothing,
    /// Code that does not wait for anything: it cannot be cancelled.
    Busy,
    /// A wait, which has been cancelled.
    Wait,
}

/// What has become of an interrupt on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// A compiler was running, and has been stopped.
    StoppedCompiler,
    /// The process that runs the cells has been asked; its answer comes.
    Asked,
    /// There is no compiler, and nobody to ask.
    NobodyThere,
}

/// What is next when everything has been read that was written up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// evcxr hears that the cell's code has ended.
    EndCode,
    /// The student is asked.
    Ask,
    /// The process is forgotten.
    Forget,
}
