//! What a cell's process writes to standard output, taken apart: text for the student, text for
//! stderr, and what the process says about itself.
//!
//! It says that in *records*: `EVCXR_SECRET_KIND LENGTH`, a newline, so many bytes, and a newline. The
//! secret is the kernel's own, so no text of a student's is ever taken for one. A record need not
//! begin a line. Records with what is written to stderr may even stand within another: they are
//! taken out first.
//!
//! Two kinds of lines are without a secret, since crates of others print them: something to show,
//! between two lines, and what the crate `evcxr_input` says before it reads. They can neither end nor
//! fail a cell.

use link::marker::{ASKS, ASKS_SECRETLY, CONTENT, CONTENT_END};
use link::record;
use serde_json::Value;

/// No line that begins a record is longer.
const LONGEST: usize = 80;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text for the student.
    Text(Vec<u8>),
    /// What was written to stderr.
    Errors(Vec<u8>),
    /// The cell's code has come to its end.
    Ended,
    /// The cell's code panicked, with this text.
    Panicked(String),
    /// A `?` in the cell's code returned this error.
    Returned(String),
    /// The variable of this name has another type now.
    Changed(String),
    /// A message from the process.
    Message(Value),
    /// Something to show, of this MIME type.
    Content(String, String),
    /// What will be asked when standard input is read next, and whether the answer is not to be
    /// seen.
    Question(String, bool),
}

/// Takes bytes, gives pieces.
pub struct Scanner {
    /// How a record begins.
    prefix: Vec<u8>,
    /// What may become a record of stderr, or a part of one.
    raw: Vec<u8>,
    /// Standard output alone, as far as it may become something else than text.
    held: Vec<u8>,
    /// How much of `held` has been searched for the end of a content.
    searched: usize,
}

impl Scanner {
    /// For a kernel with this secret.
    pub fn new(secret: &str) -> Scanner {
        Scanner {
            prefix: record::prefix(secret).into_bytes(),
            raw: Vec::new(),
            held: Vec::new(),
            searched: 0,
        }
    }

    /// The pieces that are complete with these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.raw.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut used = 0;
        loop {
            let rest = &self.raw[used..];
            let at = find(rest, &self.prefix).unwrap_or(rest.len() - tail(rest, &self.prefix));
            self.held.extend_from_slice(&rest[..at]);
            used += at;
            let rest = &self.raw[used..];
            match head(rest, &self.prefix, &[record::ERRORS]) {
                Head::Whole { start, length, .. } if rest.len() > start + length => {
                    let errors = rest[start..start + length].to_vec();
                    // What stands before it was written before it.
                    self.take_pieces(&mut pieces);
                    add(&mut pieces, Piece::Errors(errors));
                    used += start + length + 1;
                }
                Head::Whole { .. } | Head::Open => break,
                Head::Other => {
                    let length = self.prefix.len();
                    self.held.extend_from_slice(&rest[..length]);
                    used += length;
                }
            }
        }
        self.raw.drain(..used);
        self.take_pieces(&mut pieces);
        pieces
    }

    /// What is held back, if it is not worth waiting for: it has only begun like something else.
    pub fn release(&mut self) -> Option<Vec<u8>> {
        let certain = self.raw.len() >= self.prefix.len()
            || self.held.starts_with(&self.prefix)
            || names().any(|name| self.held.starts_with(name));
        (!certain && self.holds()).then(|| self.finish())
    }

    /// Everything that is held back, when nothing more can come.
    pub fn finish(&mut self) -> Vec<u8> {
        self.searched = 0;
        [
            std::mem::take(&mut self.held),
            std::mem::take(&mut self.raw),
        ]
        .concat()
    }

    /// Whether something is held back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty() || !self.raw.is_empty()
    }

    fn take_pieces(&mut self, pieces: &mut Vec<Piece>) {
        while let Some((piece, used)) = self.next() {
            self.held.drain(..used);
            self.searched = 0;
            add(pieces, piece);
        }
    }

    /// The first complete piece of what is held, and its length there.
    fn next(&mut self) -> Option<(Piece, usize)> {
        let held = &self.held[..];
        if held.is_empty() {
            return None;
        }
        let begin = |start: &[u8]| find(held, start).unwrap_or(held.len() - tail(held, start));
        let at = names().map(begin).fold(begin(&self.prefix), usize::min);
        if at > 0 {
            return Some((Piece::Text(held[..at].to_vec()), at));
        }
        match head(held, &self.prefix, &record::IN_ORDER) {
            Head::Whole {
                kind,
                start,
                length,
            } => {
                let payload = held.get(start..start + length)?;
                held.get(start + length)?; // the newline behind it
                let used = start + length + 1;
                let text = || String::from_utf8_lossy(payload).into_owned();
                let piece = match kind {
                    record::ENDED => Piece::Ended,
                    record::PANICKED => Piece::Panicked(text()),
                    record::RETURNED => Piece::Returned(text()),
                    record::CHANGED => Piece::Changed(text()),
                    _ => match serde_json::from_slice(payload) {
                        Ok(message) => Piece::Message(message),
                        Err(_) => Piece::Text(held[..used].to_vec()),
                    },
                };
                return Some((piece, used));
            }
            Head::Open => return None,
            _ if held.starts_with(&self.prefix) => {
                let used = self.prefix.len();
                return Some((Piece::Text(held[..used].to_vec()), used));
            }
            _ => {}
        }
        let newline = memchr::memchr(b'\n', held)?;
        let line = String::from_utf8_lossy(&held[..newline]);
        let whole = newline + 1;
        let piece = if let Some(mime) = line.strip_prefix(CONTENT) {
            let mime = mime.trim().to_owned();
            return self.content(mime, whole);
        } else if let Some(prompt) = line.strip_prefix(ASKS) {
            Piece::Question(prompt.to_owned(), false)
        } else {
            let prompt = line.strip_prefix(ASKS_SECRETLY)?;
            Piece::Question(prompt.to_owned(), true)
        };
        Some((piece, whole))
    }

    /// A content whose first line ends at `start`, once its end is there.
    fn content(&mut self, mime: String, start: usize) -> Option<(Piece, usize)> {
        let from = self.searched.max(start);
        let rest = &self.held[from..];
        let end = format!("{CONTENT_END}\n").into_bytes();
        let of_cell = |kind: &str| [&self.prefix[..], kind.as_bytes()].concat();
        let length = end.len();
        // A panic while the value was being shown, or a text that was never meant for this: there is
        // no end, and the record is next.
        let ends = [
            (end, length),
            (of_cell(record::PANICKED), 0),
            (of_cell(record::ENDED), 0),
        ];
        let found = ends
            .iter()
            .filter_map(|(text, length)| Some((find(rest, text)?, *length)));
        let Some((at, length)) = found.min() else {
            let longest = ends.iter().map(|(text, _)| text.len()).max();
            let searched = self.held.len().saturating_sub(longest.unwrap_or_default());
            self.searched = searched.max(start);
            return None;
        };
        let at = from + at;
        let used = at + length;
        let content = String::from_utf8_lossy(&self.held[start..at]);
        let content = content.strip_suffix('\n').unwrap_or(&content).to_owned();
        Some((Piece::Content(mime, content), used))
    }
}

/// How the lines without a secret begin.
fn names<'a>() -> impl Iterator<Item = &'a [u8]> {
    [CONTENT, ASKS, ASKS_SECRETLY]
        .into_iter()
        .map(str::as_bytes)
}

/// What a record's first line says.
enum Head<'a> {
    Whole {
        kind: &'a str,
        /// Where what it carries begins.
        start: usize,
        length: usize,
    },
    /// It may still become one.
    Open,
    /// It is none, or of another kind.
    Other,
}

/// The head of a record of one of these kinds, at the beginning of `bytes`.
fn head<'a>(bytes: &[u8], prefix: &[u8], kinds: &[&'a str]) -> Head<'a> {
    let Some(line) = bytes.strip_prefix(prefix) else {
        return match prefix.starts_with(bytes) {
            true => Head::Open,
            false => Head::Other,
        };
    };
    let whole = memchr::memchr(b'\n', &line[..line.len().min(LONGEST)]);
    let line_text = String::from_utf8_lossy(&line[..whole.unwrap_or(line.len().min(LONGEST))]);
    for kind in kinds {
        let Some(newline) = whole else {
            let begun = line_text.starts_with(&format!("{kind} "));
            if kind.starts_with(&*line_text) || (begun && line.len() < LONGEST) {
                return Head::Open;
            }
            continue;
        };
        let length = line_text
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(' '));
        if let Some(length) = length.and_then(|length| length.parse().ok()) {
            return Head::Whole {
                kind,
                start: prefix.len() + newline + 1,
                length,
            };
        }
    }
    Head::Other
}

/// Adds a piece; text joins the text before it.
fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    match (piece, pieces.last_mut()) {
        (Piece::Text(more), Some(Piece::Text(text))) => text.extend(more),
        (Piece::Errors(more), Some(Piece::Errors(text))) => text.extend(more),
        (piece, _) => pieces.push(piece),
    }
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, pattern)
}

/// The length of the longest end of `text` that is a beginning of `pattern`, and not all of it.
fn tail(text: &[u8], pattern: &[u8]) -> usize {
    (1..pattern.len().min(text.len() + 1))
        .rev()
        .find(|&length| text.ends_with(&pattern[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use properties::proptest::prelude::*;
    use serde_json::json;

    const SECRET: &str = "5ec2e7";

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn record(kind: &str, payload: &str) -> Vec<u8> {
        record::new(SECRET, kind, payload.as_bytes())
    }

    /// All pieces of what is written in chunks of this size; text in one piece.
    fn scan(output: &[u8], size: usize) -> Vec<Piece> {
        let mut scanner = Scanner::new(SECRET);
        let mut pieces: Vec<Piece> = Vec::new();
        for chunk in output.chunks(size) {
            for piece in scanner.feed(chunk) {
                add(&mut pieces, piece);
            }
        }
        let rest = scanner.finish();
        if !rest.is_empty() {
            add(&mut pieces, Piece::Text(rest));
        }
        pieces
    }

    #[test]
    fn bytes_pass_as_they_are_written() {
        let mut scanner = Scanner::new(SECRET);
        for chunk in ["\r⠋ 思考", "\u{8}\u{8}", "no newline"] {
            assert_eq!(scanner.feed(chunk.as_bytes()), [text(chunk)]);
        }
    }

    #[test]
    fn records_are_found_wherever_the_chunks_are_cut() {
        let output = [
            b"partial".to_vec(),
            record(record::PANICKED, "two\nlines"),
            b"more\nEVCXR_BEGIN_CONTENT text/html\n<b>\n1</b>\nEVCXR_END_CONTENT\n".to_vec(),
            record(record::MESSAGE, "{\"a\":1}"),
            record(record::RETURNED, "ParseIntError"),
            b"EVCXR_INPUT_REQUEST:a: b?\nEVCXR_INPUT_REQUEST_PASSWORD:p?\n".to_vec(),
            record(record::CHANGED, "x"),
            record(record::ERRORS, "to stderr"),
            record(record::ENDED, ""),
            b"background".to_vec(),
        ]
        .concat();
        let expected = [
            text("partial"),
            Piece::Panicked("two\nlines".into()),
            text("more\n"),
            Piece::Content("text/html".into(), "<b>\n1</b>".into()),
            Piece::Message(json!({"a": 1})),
            Piece::Returned("ParseIntError".into()),
            Piece::Question("a: b?".into(), false),
            Piece::Question("p?".into(), true),
            Piece::Changed("x".into()),
            Piece::Errors("to stderr".into()),
            Piece::Ended,
            text("background"),
        ];
        for size in 1..=output.len() {
            assert_eq!(scan(&output, size), expected, "in chunks of {size}");
        }
    }

    #[test]
    fn what_goes_to_stderr_may_stand_within_anything() {
        let errors = record(record::ERRORS, "!");
        let message = record(record::MESSAGE, "{\"a\":\"bcd\"}");
        for at in 0..message.len() {
            let output = [&message[..at], &errors, &message[at..]].concat();
            for size in [1, 7, output.len()] {
                let mut pieces = scan(&output, size);
                pieces.sort_by_key(|piece| matches!(piece, Piece::Errors(_)));
                let expected = [
                    Piece::Message(json!({"a": "bcd"})),
                    Piece::Errors("!".into()),
                ];
                assert_eq!(pieces, expected, "at {at}, in chunks of {size}");
            }
        }
    }

    #[test]
    fn no_text_is_taken_for_a_record() {
        for line in [
            "EVCXR_EXECUTION_COMPLETE\n",
            "EVCXR_PANIC_NOTIFICATION\n",
            "the marker is EVCXR_ERROR_OCCURRED\n",
            "EVCXR_VARIABLE_CHANGED_TYPE:x\n",
            "EVCXR_SOMETHING\n",
            "EVCXR_0ther5_ENDED 0\n\n",
            "EVCXR_ EVCXR_ EVCXR_x",
            "EVCXR_5ec2e7_ENDED\n",
            "EVCXR_5ec2e7_ENDED x\n\n",
            "EVCXR_5ec2e7_UNKNOWN 0\n\n",
        ] {
            for size in [1, 5, line.len()] {
                assert_eq!(scan(line.as_bytes(), size), [text(line)]);
                // It does not hide what comes behind it either.
                let output = [line.as_bytes(), &record(record::ENDED, "")].concat();
                assert_eq!(scan(&output, size), [text(line), Piece::Ended]);
            }
        }
    }

    #[test]
    fn what_cannot_become_a_record_any_more_does_not_wait() {
        let head = |length: usize| {
            let zeros = "0".repeat(length - "ENDED ".len());
            format!("EVCXR_5ec2e7_ENDED {zeros}")
        };
        for (written, waits) in [
            ("EVCXR_5ec2e7_END", true),
            ("EVCXR_5ec2e7_ENDED 0", true),
            ("EVCXR_5ec2e7_UNKN", false),
            (&head(LONGEST - 1), true),
            (&head(LONGEST), false),
        ] {
            let expected = if waits { vec![] } else { vec![text(written)] };
            let mut scanner = Scanner::new(SECRET);
            assert_eq!(scanner.feed(written.as_bytes()), expected, "{written}");
        }
    }

    #[test]
    fn a_beginning_that_leads_nowhere_is_released() {
        let mut scanner = Scanner::new(SECRET);
        assert_eq!(scanner.feed(b"an E"), [text("an ")]);
        assert!(scanner.holds());
        assert_eq!(scanner.release(), Some(b"E".to_vec()));
        assert_eq!(scanner.release(), None);
        assert_eq!(scanner.feed(b"EVCXR_BEGIN_CONTE"), []);
        assert_eq!(scanner.release(), Some(b"EVCXR_BEGIN_CONTE".to_vec()));
        // A whole name is certain to be followed by the rest of its line.
        for certain in [
            "EVCXR_BEGIN_CONTENT text/ht",
            "EVCXR_5ec2e7_",
            "EVCXR_5ec2e7_ERRORS 3\nab",
        ] {
            let mut scanner = Scanner::new(SECRET);
            assert_eq!(scanner.feed(certain.as_bytes()), []);
            assert_eq!(scanner.release(), None, "{certain}");
        }
    }

    #[test]
    fn what_is_shown_and_has_no_end_does_not_swallow_the_end_of_the_cell() {
        for (kind, end) in [
            (record::PANICKED, Piece::Panicked(String::new())),
            (record::ENDED, Piece::Ended),
        ] {
            let begun = b"EVCXR_BEGIN_CONTENT text/plain\nhalf\n".to_vec();
            let output = [begun, record(kind, "")].concat();
            for size in [1, 9, output.len()] {
                let pieces = scan(&output, size);
                let shown = Piece::Content("text/plain".into(), "half".into());
                assert_eq!(pieces.len(), 2);
                assert_eq!(pieces[0], shown);
                assert_eq!(pieces[1], end);
            }
        }
    }

    #[test]
    fn a_content_ends_where_its_own_end_is() {
        let content = |text: &str| {
            format!("EVCXR_BEGIN_CONTENT text/plain\n{text}\nEVCXR_END_CONTENT\n").into_bytes()
        };
        let half = b"EVCXR_BEGIN_CONTENT text/plain\nhalf\n".to_vec();
        let shown = |text: &str| Piece::Content("text/plain".into(), text.into());
        let ended = || record(record::ENDED, "");
        for (output, expected) in [
            ([content("1"), ended()].concat(), [shown("1"), Piece::Ended]),
            (
                [half, ended(), content("2")].concat(),
                [shown("half"), Piece::Ended],
            ),
        ] {
            for size in [1, 9, output.len()] {
                let pieces = scan(&output, size);
                assert_eq!(pieces[..2], expected, "in chunks of {size}");
                assert!(pieces[2..].iter().all(|piece| *piece == shown("2")));
            }
        }
    }

    /// Something that a process writes, and what is found of it.
    fn written() -> impl Strategy<Value = (Vec<u8>, Piece)> {
        let payload = || properties::text(8);
        prop_oneof![
            payload().prop_map(|text| (text.clone().into_bytes(), Piece::Text(text.into()))),
            Just((record(record::ENDED, ""), Piece::Ended)),
            payload().prop_map(|text| (record(record::PANICKED, &text), Piece::Panicked(text))),
            payload().prop_map(|text| (record(record::RETURNED, &text), Piece::Returned(text))),
            payload().prop_map(|text| (record(record::CHANGED, &text), Piece::Changed(text))),
            payload().prop_map(|text| {
                let message = json!({ "text": text });
                (
                    record(record::MESSAGE, &message.to_string()),
                    Piece::Message(message),
                )
            }),
        ]
    }

    #[test]
    fn whatever_is_written_in_whichever_chunks_is_found_as_it_was_meant() {
        let errors = (any::<prop::sample::Index>(), properties::text(8));
        let inputs = (
            prop::collection::vec(written(), 0..8),
            prop::collection::vec(errors, 0..4),
            1usize..40,
        );
        properties::holds(&inputs, |(written, errors, size)| {
            let mut output: Vec<u8> = Vec::new();
            let mut expected = Vec::new();
            for (bytes, piece) in written {
                output.extend(bytes);
                if piece != Piece::Text(Vec::new()) {
                    add(&mut expected, piece);
                }
            }
            // What goes to stderr gets in between anywhere; the last is put there first.
            let place = |at: &prop::sample::Index| at.index(output.len() + 1);
            let mut errors: Vec<(usize, String)> = errors
                .into_iter()
                .map(|(at, text)| (place(&at), text))
                .collect();
            errors.sort_by_key(|(at, _)| *at);
            let said: String = errors.iter().map(|(_, text)| text.as_str()).collect();
            for (at, text) in errors.iter().rev() {
                output.splice(*at..*at, record(record::ERRORS, text));
            }
            let (mut found, mut heard) = (Vec::new(), Vec::new());
            for piece in scan(&output, size) {
                match piece {
                    Piece::Errors(bytes) => heard.extend(bytes),
                    piece => add(&mut found, piece),
                }
            }
            assert_eq!(found, expected);
            assert_eq!(String::from_utf8(heard).unwrap(), said);
        });
    }

    #[test]
    fn no_bytes_make_it_fail_and_none_are_lost() {
        let parts = [
            "EVCXR_",
            SECRET,
            "_",
            "ENDED",
            "ERRORS",
            "MESSAGE",
            " ",
            "0",
            "3",
            "99",
            "\n",
            "x",
            "EVCXR_BEGIN_CONTENT ",
            "EVCXR_END_CONTENT\n",
            "EVCXR_INPUT_REQUEST:",
            "\u{1f}中",
        ];
        let inputs = (
            prop::collection::vec(prop::sample::select(parts.to_vec()), 0..30),
            1usize..20,
        );
        properties::holds(&inputs, |(parts, size)| {
            let output = parts.concat();
            let pieces = scan(output.as_bytes(), size);
            // All that is not a name or a record is still there.
            let text: usize = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) | Piece::Errors(text) => {
                        text.iter().filter(|byte| **byte == b'x').count()
                    }
                    Piece::Content(mime, content) => {
                        mime.matches('x').count() + content.matches('x').count()
                    }
                    Piece::Question(text, _) => text.matches('x').count(),
                    Piece::Panicked(text) | Piece::Returned(text) | Piece::Changed(text) => {
                        text.matches('x').count()
                    }
                    Piece::Ended | Piece::Message(_) => 0,
                })
                .sum();
            assert_eq!(text, output.matches('x').count(), "{pieces:?}");
        });
    }
}
