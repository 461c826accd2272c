//! Finds evcxr's marker lines in what a cell's process writes, and lets everything else through
//! byte by byte.
//!
//! A marker need not begin a line: text printed without a newline stands before it. So only bytes
//! that may still become a marker are held back.

use link::marker::{
    self, ASKS, ASKS_SECRETLY, CONTENT, CONTENT_END, ENDED, FOR_EVCXR, MESSAGE, PANICKED, RETURNED,
};
use serde_json::Value;

/// How every marker begins.
const PREFIX: &[u8] = marker::PREFIX.as_bytes();

/// No marker's name is longer.
const LONGEST: usize = 64;

/// What was found.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Text for the student.
    Text(Vec<u8>),
    /// The cell's code has come to its end.
    Ended,
    /// The cell's code panicked.
    Panicked,
    /// A `?` in the cell's code returned an error.
    Returned,
    /// Something to show, of this MIME type.
    Content(String, String),
    /// A message from the `notebook` crate.
    Message(Value),
    /// A line for evcxr, without its newline.
    ForEvcxr(String),
    /// What will be asked when standard input is read next, and whether the answer is not to be
    /// seen.
    Question(String, bool),
}

/// Takes bytes, gives pieces.
#[derive(Default)]
pub struct Scanner {
    held: Vec<u8>,
    /// How much of `held` has been searched for the end of a content.
    searched: usize,
}

impl Scanner {
    /// The pieces that are complete with these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.held.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while let Some((piece, used)) = self.next() {
            self.held.drain(..used);
            self.searched = 0;
            match (piece, pieces.last_mut()) {
                (Piece::Text(more), Some(Piece::Text(text))) => text.extend(more),
                (piece, _) => pieces.push(piece),
            }
        }
        pieces
    }

    /// What is held back, if it is not worth waiting for: less than a marker's name.
    pub fn release(&mut self) -> Option<Vec<u8>> {
        let certain = marker::ALL
            .iter()
            .any(|marker| self.held.starts_with(marker.as_bytes()));
        (!certain && !self.held.is_empty()).then(|| std::mem::take(&mut self.held))
    }

    /// Everything that is held back, when nothing more can come.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether something is held back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The first complete piece of what is held, and its length there.
    fn next(&mut self) -> Option<(Piece, usize)> {
        let held = &self.held[..];
        let at = match find(held, PREFIX) {
            Some(at) => at,
            // The end may be the beginning of a marker.
            None => held.len() - tail(held),
        };
        if at > 0 {
            return Some((Piece::Text(held[..at].to_vec()), at));
        }
        let Some(newline) = memchr::memchr(b'\n', held) else {
            let line = String::from_utf8_lossy(&held[..held.len().min(LONGEST)]);
            let possible = marker::ALL
                .iter()
                .any(|marker| marker.starts_with(&*line) || line.starts_with(marker))
                || held.len() < PREFIX.len();
            return (!possible).then(|| text(held, PREFIX.len()));
        };
        let line = String::from_utf8_lossy(&held[..newline]);
        let whole = newline + 1;
        let piece = match &*line {
            ENDED => Piece::Ended,
            PANICKED => Piece::Panicked,
            RETURNED => Piece::Returned,
            line if line.starts_with(FOR_EVCXR) => Piece::ForEvcxr(line.to_owned()),
            line if line.starts_with(ASKS) => Piece::Question(line[ASKS.len()..].to_owned(), false),
            line if line.starts_with(ASKS_SECRETLY) => {
                Piece::Question(line[ASKS_SECRETLY.len()..].to_owned(), true)
            }
            line => match (line.strip_prefix(CONTENT), line.strip_prefix(MESSAGE)) {
                (Some(mime), _) => return self.content(mime.trim().to_owned(), whole),
                (_, Some(json)) => match serde_json::from_str(json) {
                    Ok(message) => Piece::Message(message),
                    Err(_) => return Some(text(held, PREFIX.len())),
                },
                _ => return Some(text(held, PREFIX.len())),
            },
        };
        Some((piece, whole))
    }

    /// A content whose first line ends at `start`, once its end is there.
    fn content(&mut self, mime: String, start: usize) -> Option<(Piece, usize)> {
        let from = self.searched.max(start);
        let [end, panicked] = [CONTENT_END, PANICKED].map(|marker| format!("{marker}\n"));
        for (marker, cut) in [(&end, false), (&panicked, true)] {
            let Some(at) = find(&self.held[from..], marker.as_bytes()) else {
                continue;
            };
            let end = from + at;
            let content = String::from_utf8_lossy(&self.held[start..end]);
            let content = content.strip_suffix('\n').unwrap_or(&content).to_owned();
            // A panic while the value was being shown: there is no end, and the panic is next.
            let used = if cut { end } else { end + marker.len() };
            return Some((Piece::Content(mime, content), used));
        }
        self.searched = self.held.len().saturating_sub(panicked.len());
        None
    }
}

fn text(held: &[u8], length: usize) -> (Piece, usize) {
    (Piece::Text(held[..length].to_vec()), length)
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, pattern)
}

/// The length of the longest end of `text` that is a beginning of [`PREFIX`].
fn tail(text: &[u8]) -> usize {
    (1..PREFIX.len())
        .rev()
        .find(|&length| text.ends_with(&PREFIX[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn bytes_pass_as_they_are_written() {
        let mut scanner = Scanner::default();
        for chunk in ["\r⠋ 思考", "\u{8}\u{8}", "no newline"] {
            assert_eq!(scanner.feed(chunk.as_bytes()), [text(chunk)]);
        }
    }

    #[test]
    fn markers_are_found_wherever_the_chunks_are_cut() {
        let output = "partialEVCXR_PANIC_NOTIFICATION\nmore\nEVCXR_BEGIN_CONTENT text/html\n<b>\n1\
            </b>\nEVCXR_END_CONTENT\nEVCXR_NOTEBOOK_MESSAGE {\"a\":1}\nEVCXR_ERROR_OCCURRED\n\
            EVCXR_INPUT_REQUEST:a: b?\nEVCXR_INPUT_REQUEST_PASSWORD:p?\nEVCXR_VARIABLE_CHANGED_TYPE:x\nEVCXR_EXECUTION_COMPLETE\nbackground";
        let expected = [
            text("partial"),
            Piece::Panicked,
            text("more\n"),
            Piece::Content("text/html".into(), "<b>\n1</b>".into()),
            Piece::Message(serde_json::json!({"a": 1})),
            Piece::Returned,
            Piece::Question("a: b?".into(), false),
            Piece::Question("p?".into(), true),
            Piece::ForEvcxr("EVCXR_VARIABLE_CHANGED_TYPE:x".into()),
            Piece::Ended,
            text("background"),
        ];
        for size in 1..=output.len() {
            let mut scanner = Scanner::default();
            let mut pieces: Vec<Piece> = Vec::new();
            for chunk in output.as_bytes().chunks(size) {
                for piece in scanner.feed(chunk) {
                    match (piece, pieces.last_mut()) {
                        (Piece::Text(more), Some(Piece::Text(text))) => text.extend(more),
                        (piece, _) => pieces.push(piece),
                    }
                }
            }
            assert_eq!(pieces, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        for line in [
            "EVCXR_SOMETHING\n",
            "an EVCXR_EXECUTION_COMPLETE in a line\n",
            "EVCXR_NOTEBOOK_MESSAGE no JSON\n",
            "EVCXR_ EVCXR_ EVCXR_x",
        ] {
            assert_eq!(Scanner::default().feed(line.as_bytes()), [text(line)]);
        }
    }

    #[test]
    fn a_beginning_that_leads_nowhere_is_released() {
        let mut scanner = Scanner::default();
        assert_eq!(scanner.feed(b"an E"), [text("an ")]);
        assert!(scanner.holds());
        assert_eq!(scanner.release(), Some(b"E".to_vec()));
        assert_eq!(scanner.release(), None);
        // A whole name is certain to be followed by the rest of its line.
        assert_eq!(scanner.feed(b"EVCXR_BEGIN_CONTENT text/ht"), []);
        assert_eq!(scanner.release(), None);
    }

    #[test]
    fn a_panic_while_a_value_is_shown_ends_the_content() {
        let mut scanner = Scanner::default();
        let output = b"EVCXR_BEGIN_CONTENT text/plain\nhalf\nEVCXR_PANIC_NOTIFICATION\n";
        assert_eq!(
            scanner.feed(output),
            [
                Piece::Content("text/plain".into(), "half".into()),
                Piece::Panicked
            ]
        );
    }
}
