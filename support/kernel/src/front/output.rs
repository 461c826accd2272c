//! What cells write and show, on its way to the clients.

use std::path::Path;

use ::link::marker;
use serde_json::{Map, Value};
use tokio::time::{Duration, Instant};

use super::Front;
use super::ahead::Ahead;
use super::cells::{self, Current, Ending, Failed};
use super::failure::Panic;
use super::scanner::{Piece, Scanner};
use super::stream::{Batch, Pace, Stream};

/// How long bytes are held back that may become a marker, and a display to which another
/// representation may be added.
const HOLD: Duration = Duration::from_millis(10);

/// How long std's report of a panic is held back that may turn out to be the cell's error.
const REPORT: Duration = Duration::from_millis(500);

/// What has been read and not been sent.
pub struct Output {
    pub batch: Batch,
    scanner: Scanner,
    /// A display, by MIME type: the last one may be the cell's result.
    pub shown: Option<Map<String, Value>>,
    /// Since when something is held back.
    held_since: Option<Instant>,
    /// What std reports of a panic on the thread of the cells, and what is written to stderr behind
    /// it; and since when that is held back.
    report: Vec<u8>,
    report_since: Option<Instant>,
    /// The last text of an `eprintln!`: what a failed `?` says about its error.
    last_eprintln: String,
    /// Set while a cell's code has ended and its output has not all been read.
    pub ending: Option<Ending>,
    /// Flushes asked for.
    pub flushes: u64,
    pace: Pace,
    buffer: Box<[u8]>,
}

impl Default for Output {
    fn default() -> Output {
        Output {
            batch: Batch::default(),
            scanner: Scanner::default(),
            shown: None,
            held_since: None,
            report: Vec::new(),
            report_since: None,
            last_eprintln: String::new(),
            ending: None,
            flushes: 0,
            pace: Pace::default(),
            buffer: vec![0; 1 << 16].into(),
        }
    }
}

impl Output {
    /// Gives up hope for what may be the beginning of a marker.
    pub fn release(&mut self) {
        if let Some(text) = self.scanner.release() {
            self.batch.add(Stream::Stdout, &text);
        }
    }

    /// Lets the report of a panic out after all: somebody has caught it.
    pub fn release_report(&mut self) {
        let report = std::mem::take(&mut self.report);
        self.batch.add(Stream::Stderr, &report);
        self.report_since = None;
    }

    /// Takes what is written to stderr by a process that has not loaded the `notebook` crate.
    fn take_errors(&mut self, bytes: &[u8], process: u32) {
        if self.report_since.is_some() {
            return self.report.extend(bytes);
        }
        // std writes a long one in pieces.
        let begun = self.batch.last_errors().unwrap_or_default().to_vec();
        let written = [&begun, bytes].concat();
        let Some(start) = Panic::reported(&written, process) else {
            return self.batch.add(Stream::Stderr, bytes);
        };
        self.batch.take_back(&begun);
        self.batch.add(Stream::Stderr, &written[..start]);
        self.report.extend(&written[start..]);
        self.report_since = Some(Instant::now());
    }

    /// Nothing more comes from the process that has written so far.
    pub fn lose_source(&mut self) {
        let text = self.scanner.finish();
        self.batch.add(Stream::Stdout, &text);
        self.release_report();
        self.ending = None;
    }
}

impl Front {
    /// Waits until the cells' process has written something that may be read.
    pub(super) async fn readable(&self) -> Stream {
        if let Some(until) = self.output.pace.pause() {
            tokio::time::sleep_until(until).await;
        }
        match &self.link {
            Some((_, link)) => link.readable().await,
            None => std::future::pending().await,
        }
    }

    /// Reads what has been written.
    pub(super) fn read(&mut self, stream: Stream) {
        let mut buffer = std::mem::take(&mut self.output.buffer);
        let read = match &mut self.link {
            Some((_, link)) => link.read(stream, &mut buffer),
            None => 0,
        };
        self.output.pace.count(read);
        self.take(stream, &buffer[..read]);
        self.output.buffer = buffer;
        if self.output.batch.is_full() {
            self.send_text(false);
        }
    }

    /// Reads what has been written up to now, of both streams.
    pub(super) fn read_waiting(&mut self) {
        for stream in [Stream::Stderr, Stream::Stdout] {
            self.read_all(stream);
        }
    }

    /// No more than what is there now: a background task may never stop printing.
    fn read_all(&mut self, stream: Stream) {
        let Some((_, link)) = &mut self.link else {
            return;
        };
        let mut rest = link.waiting(stream);
        let mut bytes = vec![0; rest.min(1 << 16)];
        while rest > 0 {
            let most = rest.min(bytes.len());
            let Some((_, link)) = &mut self.link else {
                return;
            };
            let read = link.read_now(stream, &mut bytes[..most]);
            if read == 0 {
                return;
            }
            rest -= read;
            self.take(stream, &bytes[..read]);
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if stream == Stream::Stderr {
            let link = self.link.as_ref().map(|(_, link)| link);
            return match link.filter(|link| link.notebook().is_none()) {
                Some(link) => self.output.take_errors(bytes, link.process),
                None => self.output.batch.add(stream, bytes),
            };
        }
        for piece in self.output.scanner.feed(bytes) {
            self.take_piece(piece);
        }
        if self.output.scanner.holds() {
            self.output.held_since = Some(Instant::now());
        }
    }

    fn take_piece(&mut self, piece: Piece) {
        match piece {
            // evcxr tries itself out before it listens to us.
            Piece::Text(_) | Piece::Content(..) if !self.is_heard => {}
            Piece::Text(text) => {
                self.show();
                self.output.batch.add(Stream::Stdout, &text);
            }
            Piece::Content(mime, content) => self.take_content(mime, content),
            Piece::Message(message) => self.take_message(&message),
            Piece::Panicked => {
                let printed = self.take_printed_panic();
                if let Some(cell) = self.cell() {
                    cell.panic = cell.panic.take().or(printed);
                    cell.failed = Some(Failed::Panicked);
                }
                self.tell_evcxr(marker::PANICKED);
            }
            Piece::Returned => {
                self.read_all(Stream::Stderr); // what it says about the error
                let known = std::mem::take(&mut self.output.last_eprintln);
                let text = match known.is_empty() {
                    true => self.output.batch.last_error_line().unwrap_or_default(),
                    false => known,
                };
                // It stands in the `error` message.
                self.output.batch.take_back(text.as_bytes());
                if let Some(cell) = self.cell() {
                    cell.failed = Some(Failed::Returned(text));
                }
                self.tell_evcxr(marker::RETURNED);
            }
            Piece::ForEvcxr(line) => self.tell_evcxr(&line),
            Piece::Question(question, secret) => {
                if let Some(cell) = self.cell() {
                    cell.question = Some((question, secret));
                }
            }
            Piece::Ended => self.begin_ending(),
        }
    }

    /// The panic that std has just reported on stderr, which then need not be shown. With the
    /// `notebook` crate it comes as a message.
    fn take_printed_panic(&mut self) -> Option<Panic> {
        let link = self.link.as_ref().map(|(_, link)| link);
        let process = link.filter(|link| link.notebook().is_none())?.process;
        self.read_all(Stream::Stderr);
        let report = std::mem::take(&mut self.output.report);
        self.output.report_since = None;
        let printed = Panic::printed(&report, process);
        let before = printed.as_ref().map_or(report.len(), |(_, start)| *start);
        self.output.batch.add(Stream::Stderr, &report[..before]);
        printed.map(|(panic, _)| panic)
    }

    fn tell_evcxr(&mut self, line: &str) {
        if let Some((_, link)) = &mut self.link {
            link.tell_evcxr(line);
        }
    }

    /// One of the representations of a value.
    fn take_content(&mut self, mime: String, content: String) {
        if self
            .output
            .shown
            .as_ref()
            .is_some_and(|shown| shown.contains_key(&mime))
        {
            self.show(); // that was another value
        }
        let value = match mime.contains("json") {
            true => serde_json::from_str(&content).unwrap_or(Value::String(content)),
            false => Value::String(content),
        };
        self.output.held_since = Some(Instant::now());
        self.output
            .shown
            .get_or_insert_default()
            .insert(mime, value);
    }

    /// A message from the `notebook` crate, or from the process itself.
    fn take_message(&mut self, message: &Value) {
        let content = &message["content"];
        match message["msg_type"].as_str() {
            Some("stderr") => {
                let text = content["text"].as_str().unwrap_or_default();
                self.read_all(Stream::Stderr);
                self.output.batch.add(Stream::Stderr, text.as_bytes());
                self.output.last_eprintln = text.to_owned();
            }
            Some("begun") => {
                if let Some(Current::Cell(cell)) = &self.current
                    && let Some(library) = content["library"].as_str()
                {
                    self.map.add(Path::new(library), cell.count, &cell.code);
                }
            }
            Some("panic") => {
                let panic = Panic::new(content);
                let earlier = match self.cell() {
                    Some(cell) => cell.panic.replace(panic),
                    None => Some(panic),
                };
                if let Some(caught) = earlier {
                    self.report(&caught);
                }
            }
            Some("panic_elsewhere") => self.report(&Panic::elsewhere(content)),
            Some(kind @ ("display_data" | "update_display_data" | "clear_output")) => {
                self.show();
                self.send_text(false);
                self.publish(kind, &self.latest, content);
            }
            _ => {}
        }
    }

    /// Shows a panic that is no error of a cell.
    pub(super) fn report(&mut self, panic: &Panic) {
        let report = panic.report(&self.map);
        self.output.batch.add(Stream::Stderr, report.as_bytes());
    }

    /// Shows what is held back as a display of its own.
    fn show(&mut self) {
        if let Some(data) = self.output.shown.take() {
            self.send_text(false);
            self.publish("display_data", &self.latest, &cells::display(data));
        }
    }

    /// Sends the text that waits; at the `end` of a cell, all of it.
    pub(super) fn send_text(&mut self, end: bool) {
        for (stream, text) in self.output.batch.take(end) {
            let content = serde_json::json!({ "name": stream.name(), "text": text });
            self.publish("stream", &self.latest, &content);
        }
    }

    /// Whether a display that is held back may turn out to be the cell's result.
    fn may_be_result(&mut self) -> bool {
        self.cell().is_some_and(|cell| cell.ends_in_expression)
    }

    /// When something has to be done without an event.
    pub(super) fn next_moment(&mut self) -> Option<Instant> {
        let held = self.output.held_since.map(|since| since + HOLD);
        let report = self.output.report_since.map(|since| since + REPORT);
        let ending = self.output.ending.as_ref().map(|ending| ending.deadline);
        let interruption = self.cell().and_then(|cell| cell.interruption.next_moment());
        let due = self.output.batch.due();
        [
            held,
            report,
            ending,
            interruption,
            due,
            self.tidy,
            self.unused,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn moment_has_come(&mut self) {
        let now = Instant::now();
        let has_come = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if has_come(self.output.held_since.map(|since| since + HOLD)) {
            self.output.held_since = None;
            self.output.release();
            if !self.may_be_result() {
                self.show();
            }
        }
        if has_come(self.output.report_since.map(|since| since + REPORT)) {
            self.output.release_report();
        }
        if has_come(self.output.ending.as_ref().map(|ending| ending.deadline)) {
            self.end_code();
        }
        if has_come(self.output.batch.due()) {
            self.send_text(false);
        }
        if has_come(self.tidy) {
            self.tidy = None;
            give_memory_back();
        }
        if has_come(self.unused) {
            self.unused = None;
            self.ahead = Some(Ahead::rehearsal());
        }
        self.go_on_interrupting(now);
    }

    /// Before the kernel ends without being told to.
    pub(super) fn say_last_words(&mut self) {
        self.read_waiting();
        self.send_text(true);
    }
}

/// A flood of output leaves free memory behind, which the allocator that evcxr has chosen for the
/// whole program would keep.
fn give_memory_back() {
    // SAFETY: any thread may call it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
