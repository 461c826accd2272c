//! What the kernel's front decides, and nothing of how it hears and speaks: a state machine.
//! `front.on(event, now)` returns what is to be done; no socket, clock or process is in here, so that
//! every order of events is a test of a few microseconds.
//!
//! ```text
//! JupyterLab ⇄ shell of the front ⇄ evcxr ⇄ cells
//!                 │ events  ↑ actions
//!                 └→ this ──┘
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `event.rs`, `action.rs` | what the front hears, what it does |
//! | `message.rs` | a message of the Jupyter protocol |
//! | `front.rs` | the whole: whose turn it is |
//! | `execution.rs` | a cell from its request to its reply |
//! | `interrupt.rs` | interrupts of a cell |
//! | `ahead.rs` | what is run before anybody asks |
//! | `output.rs` | what cells write and show, to the clients |
//! | `scanner.rs` | records and markers in what cells write |
//! | `stream.rs` | text in batches |
//! | `notice.rs` | what takes long, told in the cell that waits |
//! | `teach.rs`, `advice.rs`, `advice/` | why something is a mistake, and what to write instead |
//! | [`evcxr`] | what is known of evcxr, and nowhere written down |
//! | `diagnosis.rs` | what rustc says of a cell, as in a terminal |
//! | `failure.rs` | what a student is told about a cell that failed |
//! | `answers.rs` | requests that need no evcxr |
//! | `complete.rs`, `history.rs` | two of those |
//!
//! ```
//! use std::time::Duration;
//! use kernel_core::{Action, Event, Front, Message, Setup};
//!
//! let mut front = Front::new(Setup { secret: "5ec2e7".into(), ..Setup::default() });
//! let request = Message::new("kernel_info_request", "1", serde_json::json!({}));
//! let actions = front.on(Event::Shell(request), Duration::ZERO);
//! let replies = actions.iter().filter(|action| matches!(action, Action::Reply(..)));
//! assert_eq!(replies.count(), 1);
//! ```

mod action;
mod advice;
mod ahead;
mod answers;
mod complete;
mod diagnosis;
pub mod evcxr;
mod event;
mod execution;
mod failure;
mod front;
mod history;
mod interrupt;
mod message;
mod notice;
mod output;
mod scanner;
mod stream;
mod teach;

pub use action::{Action, Channel, Outgoing};
pub use ahead::may_be_run_ahead;
pub use answers::PROTOCOL;
pub use diagnosis::Diagnosis;
pub use evcxr::source_map::{GENERATED, SourceMap, kept};
pub use event::{Event, Found, FromProcess, Then, Tried};
pub use front::{Front, Setup};
pub use message::Message;
pub use stream::{Pace, Stream};
pub use teach::Teacher;

/// Time since the front began.
pub type Moment = std::time::Duration;

#[cfg(test)]
mod tests;
