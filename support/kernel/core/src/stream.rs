//! Text on its way to the clients: what is written within a moment becomes one message.

use std::time::Duration;

use crate::Moment;

/// How long text waits for more.
const MOMENT: Duration = Duration::from_millis(20);
/// The same during a flood: nobody reads so fast.
const FLOOD_MOMENT: Duration = Duration::from_millis(100);
/// Bytes of a batch that is a flood.
const FLOOD: usize = 64 << 10;
/// Bytes that do not wait for more.
const FULL: usize = 256 << 10;
/// Changes between stdout and stderr that are kept in order within a batch: more than anybody reads
/// of a moment. A program that writes to both in turns as fast as it can would make a message of
/// each line.
const CHANGES: usize = 200;

/// What a process may write as fast as it can.
const BURST: usize = 64 << 20;
/// Bytes per second from then on. Nobody reads so much; a cell that never stops printing would
/// only keep two processors busy, its own and ours, that others may need.
const PACE: usize = 1 << 20;

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// How fast output is read: while it is not, the process waits, as one does whose pipe is full.
#[derive(Default)]
pub struct Pace {
    /// When all that has been read would have been written at the pace.
    level: Moment,
}

impl Pace {
    /// So much has been read.
    pub fn count(&mut self, bytes: usize, now: Moment) {
        let time = Duration::from_secs_f64(bytes as f64 / PACE as f64);
        self.level = self.level.max(now) + time;
    }

    /// Until when nothing more is to be read, if it is too much now.
    pub fn pause(&self, now: Moment) -> Option<Moment> {
        let burst = Duration::from_secs_f64(BURST as f64 / PACE as f64);
        let until = self.level.saturating_sub(burst);
        (until > now).then_some(until)
    }
}

/// Text that has not been sent.
#[derive(Default)]
pub struct Batch {
    chunks: Vec<(Stream, Vec<u8>)>,
    bytes: usize,
    since: Option<Moment>,
    flood: bool,
}

impl Batch {
    pub fn add(&mut self, stream: Stream, bytes: &[u8], now: Moment) {
        if bytes.is_empty() {
            return;
        }
        self.since.get_or_insert(now);
        self.bytes += bytes.len();
        let count = self.chunks.len();
        let same = |(known, _): &&mut (Stream, Vec<u8>)| *known == stream;
        let chunk = match count < CHANGES {
            true => self.chunks.last_mut().filter(same),
            false => self.chunks.iter_mut().rev().find(same),
        };
        match chunk {
            Some((_, text)) => text.extend_from_slice(bytes),
            None => self.chunks.push((stream, bytes.to_vec())),
        }
    }

    /// When it is to be sent.
    pub fn due(&self) -> Option<Moment> {
        let since = self.since?;
        Some(match self.flood {
            true => since + FLOOD_MOMENT,
            false => since + MOMENT,
        })
    }

    /// Whether it is to be sent at once.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    /// Takes what is there, in its order. Unless it is the `end`, the beginning of a character
    /// waits for its rest; whatever else is no UTF-8 is replaced.
    pub fn take(&mut self, end: bool, now: Moment) -> Vec<(Stream, String)> {
        self.flood = !end && self.bytes >= FLOOD;
        let (mut texts, mut rest) = (Vec::new(), Vec::new());
        for (stream, mut bytes) in self.chunks.drain(..) {
            let waits = if end { 0 } else { unfinished(&bytes) };
            rest.push((stream, bytes.split_off(bytes.len() - waits)));
            if !bytes.is_empty() {
                texts.push((stream, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        (self.bytes, self.since) = (0, None);
        for (stream, bytes) in rest {
            self.add(stream, &bytes, now);
        }
        texts
    }

    /// Removes `text` from the end of what has been written to stderr, if that is how it ends.
    pub fn take_back(&mut self, text: &[u8]) -> bool {
        let mut chunks = self.chunks.iter_mut().rev();
        let stderr = chunks.find(|(stream, _)| *stream == Stream::Stderr);
        let Some((_, bytes)) = stderr.filter(|(_, bytes)| bytes.ends_with(text)) else {
            return false;
        };
        bytes.truncate(bytes.len() - text.len());
        true
    }

    /// What has last been written to stderr and not been sent.
    pub fn last_errors(&self) -> Option<&[u8]> {
        let mut chunks = self.chunks.iter().rev();
        let (_, bytes) = chunks.find(|(stream, _)| *stream == Stream::Stderr)?;
        Some(bytes)
    }
}

/// How many bytes at the end begin a character of UTF-8 without completing it.
fn unfinished(bytes: &[u8]) -> usize {
    let last = &bytes[bytes.len().saturating_sub(3)..];
    let end = last.utf8_chunks().last().map_or(&[][..], |it| it.invalid());
    match std::str::from_utf8(end) {
        Err(error) if error.error_len().is_none() => end.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Stderr, Stdout};

    const NOW: Moment = Moment::from_secs(1);

    fn owned(texts: &[(Stream, &str)]) -> Vec<(Stream, String)> {
        texts.iter().map(|(s, text)| (*s, (*text).into())).collect()
    }

    #[test]
    fn a_batch_keeps_the_order_and_joins_what_belongs_together() {
        let mut batch = Batch::default();
        for (stream, text) in [(Stdout, "a"), (Stdout, "b"), (Stderr, "!"), (Stdout, "c")] {
            batch.add(stream, text.as_bytes(), NOW);
        }
        let expected = owned(&[(Stdout, "ab"), (Stderr, "!"), (Stdout, "c")]);
        assert_eq!(batch.take(true, NOW), expected);
        assert_eq!((batch.take(true, NOW), batch.due()), (vec![], None));
    }

    #[test]
    fn many_changes_make_few_messages() {
        let mut batch = Batch::default();
        for _ in 0..1000 {
            batch.add(Stdout, b"o\n", NOW);
            batch.add(Stderr, b"e\n", NOW);
        }
        let texts = batch.take(true, NOW);
        assert_eq!(texts.len(), CHANGES);
        assert_eq!(
            texts.iter().map(|(_, text)| text.len()).sum::<usize>(),
            4000
        );
    }

    #[test]
    fn a_character_that_is_cut_waits_for_its_rest() {
        let mut batch = Batch::default();
        for character in ["é", "中", "😀", "a"] {
            for (index, byte) in character.bytes().enumerate() {
                batch.add(Stdout, &[byte], NOW);
                let whole = index + 1 == character.len();
                let expected = owned(&[(Stdout, character)][..usize::from(whole)]);
                assert_eq!(batch.take(false, NOW), expected);
            }
        }
        assert_eq!(batch.take(true, NOW), vec![]);
    }

    #[test]
    fn only_a_character_that_may_be_completed_is_unfinished() {
        let text = "é中😀a中中";
        for cut in 0..=text.len() {
            let whole = (0..=cut).rev().find(|at| text.is_char_boundary(*at));
            let bytes = &text.as_bytes()[..cut];
            assert_eq!(unfinished(bytes), cut - whole.unwrap(), "{cut}");
        }
        for (bytes, expected) in [
            (&b"\xff"[..], 0),
            (b"\x80\x80\x80\x80", 0),
            (b"\x80\x80\x80\xe4", 1),
            (b"\xff\xe4\xb8", 2),
            (b"\xe4a", 0),
        ] {
            assert_eq!(unfinished(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        let mut batch = Batch::default();
        batch.add(Stdout, b"a\xffb\xe4\xb8", NOW);
        assert_eq!(batch.take(false, NOW), owned(&[(Stdout, "a\u{fffd}b")]));
        assert_eq!(batch.take(true, NOW), owned(&[(Stdout, "\u{fffd}")]));
    }

    #[test]
    fn text_can_be_taken_back_before_it_is_sent() {
        let mut batch = Batch::default();
        batch.add(Stderr, b"before\nParseIntError\n", NOW);
        batch.add(Stdout, b"out", NOW);
        assert!(!batch.take_back(b"other\n"));
        assert!(batch.take_back(b"ParseIntError\n"));
        assert_eq!(
            batch.take(true, NOW),
            owned(&[(Stderr, "before\n"), (Stdout, "out")])
        );
    }

    #[test]
    fn much_is_read_at_once_and_what_never_ends_at_a_pace() {
        let mut pace = Pace::default();
        pace.count(60_000_000, NOW);
        assert_eq!(pace.pause(NOW), None);
        let mut pace = Pace::default();
        pace.count(BURST, NOW);
        assert_eq!(pace.pause(NOW), None);
        pace.count(100 * PACE, NOW);
        assert_eq!(pace.pause(NOW), Some(NOW + Duration::from_secs(100)));
        assert_eq!(pace.pause(NOW + Duration::from_secs(100)), None);
    }

    #[test]
    fn a_flood_makes_few_messages() {
        let mut batch = Batch::default();
        batch.add(Stdout, b"x", NOW);
        assert_eq!(batch.due(), Some(NOW + MOMENT));
        for (bytes, end, wait) in [
            (FLOOD - 2, false, MOMENT),
            (FLOOD - 1, false, FLOOD_MOMENT),
            (FLOOD - 1, true, MOMENT), // what comes next is of another cell
        ] {
            batch.add(Stdout, &vec![b'x'; bytes], NOW);
            batch.take(end, NOW);
            batch.add(Stdout, b"x", NOW);
            assert_eq!(batch.due(), Some(NOW + wait), "{bytes}");
        }
        batch.add(Stdout, &vec![b'x'; FULL - 2], NOW);
        assert!(!batch.is_full());
        batch.add(Stderr, b"x", NOW);
        assert!(batch.is_full());
    }
}
