//! Frames on the socket between the front and the process that runs the cells: a byte that says
//! what it is, and a number. They look the same in either direction.
//!
//! ```
//! use link::frame::{self, FLUSH};
//!
//! let sent = frame::new(FLUSH, 7);
//! assert_eq!(frame::parts(&sent), (FLUSH, 7));
//! ```

use std::time::Duration;

/// The length of a frame.
pub const LENGTH: usize = 9;
/// The first byte of the process that runs the cells. The answer is [`WELCOME`].
pub const HELLO: u8 = 0;
/// The front reads what the process writes.
pub const WELCOME: u8 = b'W';
/// How long the front may take to let a process in.
pub const WELCOME_WITHIN: Duration = Duration::from_secs(5);
/// The first byte of a process that runs no cells and only has something to tell the student: lines
/// of JSON follow, with a `notice`, or with what rustc has said; that is answered by a byte.
pub const SAYS: u8 = b'S';
/// Send this frame back, behind everything that there is to say of the cell that has ended.
pub const FLUSH: u8 = b'F';
/// Cancel what the cell waits for; the answer's number is one of the three below.
pub const INTERRUPT: u8 = b'I';
/// No cell's code is running.
pub const FOUND_NOTHING: u64 = 0;
/// Code that does not wait for anything: it cannot be cancelled.
pub const FOUND_BUSY: u64 = 1;
/// A wait, which has been cancelled.
pub const FOUND_WAIT: u64 = 2;
/// The cell whose code has just ended did so because a wait was cancelled.
pub const INTERRUPTED: u8 = b'U';
/// The process wants something to read from standard input, and waits for the answer: an
/// [`ANSWER`], and the bytes behind it.
pub const INPUT: u8 = b'R';
/// How long the two numbers of an answer are: an error of the system's or 0, and how many bytes
/// follow.
pub const ANSWER: usize = 8;

/// A frame with a number.
pub fn new(what: u8, number: u64) -> [u8; LENGTH] {
    let mut frame = [what; LENGTH];
    frame[1..].copy_from_slice(&number.to_le_bytes());
    frame
}

/// What a frame says, and its number.
pub fn parts(frame: &[u8; LENGTH]) -> (u8, u64) {
    let [what, number @ ..] = *frame;
    (what, u64::from_le_bytes(number))
}
