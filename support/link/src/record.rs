//! Records in the standard output of the process that runs the cells: what the kernel's front is
//! told among what a student prints, at its place in that.
//!
//! A secret of the kernel's tells them from text: 16 hexadecimal digits, behind the last `-` in the
//! name of the socket on which the front listens ([`crate::variable::FRONT`]), so that everybody
//! who must know it does.
//!
//! ```
//! use std::path::Path;
//! use link::record::{self, RETURNED};
//!
//! let secret = record::secret(Path::new("/run/link-0123456789abcdef")).unwrap();
//! assert_eq!(
//!     record::new(secret, RETURNED, b"no such file"),
//!     b"EVCXR_0123456789abcdef_RETURNED 12\nno such file\n",
//! );
//! ```

use std::path::Path;

use crate::marker;

/// The cell's code has come to its end. Nothing is said with it.
pub const ENDED: &str = "ENDED";
/// The cell's code panicked, with this text, or none if it was no text.
pub const PANICKED: &str = "PANICKED";
/// A `?` in the cell's code returned this error.
pub const RETURNED: &str = "RETURNED";
/// The variable of this name has another type now.
pub const CHANGED: &str = "CHANGED";
/// A message of the Jupyter protocol, in JSON, or one of [`told`].
pub const MESSAGE: &str = "MESSAGE";
/// Bytes that were written to standard error. It may stand anywhere, in another record too: one
/// call writes it, and it is no longer than [`WHOLE`].
pub const ERRORS: &str = "ERRORS";
/// The kinds that stand where they were written.
pub const IN_ORDER: [&str; 5] = [ENDED, PANICKED, RETURNED, CHANGED, MESSAGE];

/// The `msg_type` of messages to the front that are no messages of the Jupyter protocol.
pub mod told {
    /// A cell's code begins to run: the path of its `library`, and the number of its `build`.
    pub const BEGUN: &str = "begun";
    /// It has returned: what is shown from here on comes out of buffers.
    pub const RETURNED: &str = "returned";
    /// A panic on the thread of the cells: `message`, `file`, `line`, `column`, `library`, `stack`.
    pub const PANIC: &str = "panic";
    /// The same on another one, which `thread` names.
    pub const PANIC_ELSEWHERE: &str = "panic_elsewhere";
    /// What std writes of a panic: its `text`, and the `stack`.
    pub const REPORT: &str = "report";
}

/// What stands, behind the same [`prefix`], for a place in a student's code within text and
/// displays: the number of the generated file or the path of the library made of it, line and column
/// follow as `1:2:3;`.
pub const PLACE: &str = "PLACE ";

/// What std writes of a panic, between the number of its thread and the place: always in one piece.
pub const PANICS: &str = ") panicked at ";

/// A pipe takes no more bytes than these at once: so many stay together, whoever else writes.
pub const WHOLE: usize = 4096;

/// The secret in the path of the front's socket.
pub fn secret(socket: &Path) -> Option<&str> {
    let (_, secret) = socket.file_name()?.to_str()?.rsplit_once('-')?;
    (!secret.is_empty()).then_some(secret)
}

/// How every record begins; its kind follows.
pub fn prefix(secret: &str) -> String {
    format!("{}{secret}_", marker::PREFIX)
}

/// A record.
pub fn new(secret: &str, kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut record = format!("{}{kind} {}\n", prefix(secret), payload.len()).into_bytes();
    record.extend_from_slice(payload);
    record.push(b'\n');
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_what_stands_behind_the_last_hyphen_of_the_name() {
        for (path, expected) in [
            ("/a-b/link-c-0f", Some("0f")),
            ("link-0f", Some("0f")),
            ("/a-b/link", None),
            ("/link-", None),
            ("/", None),
        ] {
            assert_eq!(secret(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn any_bytes_are_carried_as_they_are() {
        assert_eq!(new("0f", ERRORS, b"\n\xff"), b"EVCXR_0f_ERRORS 2\n\n\xff\n");
        assert_eq!(new("0f", ENDED, b""), b"EVCXR_0f_ENDED 0\n\n");
    }
}
