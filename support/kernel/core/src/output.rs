//! What cells write and show, on its way to the clients.

use std::path::Path;
use std::time::Duration;

use link::record::{self, told};
use serde_json::{Map, Value, json};

use crate::Moment;
use crate::action::Action;
use crate::evcxr::words;
use crate::event::Then;
use crate::execution::{Failed, display};
use crate::failure::{NOTE, Panic};
use crate::front::{Ending, Front, Turn};
use crate::scanner::{Piece, Scanner};
use crate::stream::{Batch, Stream};

/// How long bytes are held back that may become a record, and a display to which another
/// representation may be added.
const HOLD: Duration = Duration::from_millis(10);
/// How long std's report of a panic is held back that may turn out to be the cell's error.
const REPORT: Duration = Duration::from_millis(500);
/// Bytes that are enough to know a process by its last words.
const LAST_WORDS: usize = 512;
/// Longest wait for the answer to a flush.
const FLUSH: Duration = Duration::from_secs(1);
/// Stands where a place in a cell would, if it is not certain.
const UNSURE: &str = "某处";

/// What has been read and not been sent.
pub struct Output {
    pub batch: Batch,
    scanner: Scanner,
    /// How a place in a cell begins, in what is written to stderr.
    place: String,
    /// A display, by MIME type: the last one may be the cell's result.
    pub shown: Option<Map<String, Value>>,
    /// The last display of a cell whose code has returned: the value of its last expression.
    pub value: Option<Map<String, Value>>,
    /// Until when something is held back.
    hold: Option<Moment>,
    /// The end of what a cell's process has written to stderr.
    pub last_words: Vec<u8>,
    /// What std reports of a panic on the thread of the cells, and what is written to stderr behind
    /// it; and until when that is held back.
    report: Vec<u8>,
    /// What was being called then.
    report_stack: Value,
    report_until: Option<Moment>,
}

impl Output {
    /// For a kernel with this secret.
    pub fn new(secret: &str) -> Output {
        Output {
            batch: Batch::default(),
            scanner: Scanner::new(secret),
            place: record::prefix(secret) + record::PLACE,
            shown: None,
            value: None,
            hold: None,
            last_words: Vec::new(),
            report: Vec::new(),
            report_stack: Value::Null,
            report_until: None,
        }
    }

    /// Bytes and displays that are held back.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        let text = self.batch.due().is_some() || self.scanner.holds();
        self.report.len()
            + usize::from(text)
            + usize::from(self.shown.is_some())
            + usize::from(self.value.is_some())
    }

    /// When something is to be done without an event.
    pub fn moment(&self) -> Option<Moment> {
        let moments = [self.hold, self.report_until, self.batch.due()];
        moments.into_iter().flatten().min()
    }

    /// Gives up hope for what may be the beginning of a record.
    pub fn release(&mut self, now: Moment) {
        if let Some(text) = self.scanner.release() {
            self.batch.add(Stream::Stdout, &text, now);
        }
    }

    /// Lets the report of a panic out after all: somebody has caught it.
    pub fn release_report(&mut self, now: Moment) {
        let report = std::mem::take(&mut self.report);
        self.batch.add(Stream::Stderr, &report, now);
        self.report_until = None;
    }

    /// Takes what std has written to stderr in a process of this number that has not loaded the
    /// `notebook` crate.
    fn take_errors(&mut self, bytes: &[u8], process: u32, now: Moment) {
        if self.report_until.is_some() {
            return self.report.extend(bytes);
        }
        // std writes a long one in pieces.
        let begun = self.batch.last_errors().unwrap_or_default().to_vec();
        let written = [&begun, bytes].concat();
        let Some(start) = Panic::reported(&written, process) else {
            return self.batch.add(Stream::Stderr, bytes, now);
        };
        self.batch.take_back(&begun);
        self.batch.add(Stream::Stderr, &written[..start], now);
        self.report.extend(&written[start..]);
        self.report_until = Some(now + REPORT);
    }

    /// Nothing more comes from the process that has written so far.
    pub fn lose_source(&mut self, now: Moment) {
        let text = self.scanner.finish();
        self.batch.add(Stream::Stdout, &text, now);
        self.release_report(now);
    }
}

impl Front {
    /// Something has been written.
    pub(crate) fn take_written(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stderr => self.output.batch.add(stream, bytes, self.now),
            Stream::Stdout => {
                for piece in self.output.scanner.feed(bytes) {
                    self.take_piece(piece);
                }
                if self.output.scanner.holds() {
                    self.output.hold = Some(self.now + HOLD);
                }
            }
        }
        if self.output.batch.is_full() {
            self.send_text(false);
        }
    }

    fn take_piece(&mut self, piece: Piece) {
        match piece {
            // evcxr tries itself out before it listens to us.
            Piece::Text(_) | Piece::Errors(_) | Piece::Content(..) if !self.is_heard() => {}
            Piece::Text(text) => {
                self.show();
                self.output.batch.add(Stream::Stdout, &text, self.now);
            }
            Piece::Errors(bytes) => self.take_errors(&bytes),
            Piece::Content(mime, content) => self.take_content(mime, content),
            Piece::Message(message) => self.take_message(&message),
            Piece::Panicked(text) => {
                let printed = self.take_printed_panic();
                if let Turn::Cell(cell) = &mut self.turn {
                    let unreported = || (!text.is_empty()).then(|| Panic::unreported(text));
                    let caught = printed.is_some().then(|| cell.panic.take()).flatten();
                    cell.panic = printed.or(cell.panic.take()).or_else(unreported);
                    cell.failed = Some(Failed::Panicked);
                    if let Some(caught) = caught {
                        self.report(&caught);
                    }
                }
                self.tell_evcxr(words::PANICKED);
            }
            Piece::Returned(error) => {
                if let Turn::Cell(cell) = &mut self.turn {
                    cell.failed = Some(Failed::Returned(error));
                }
                self.tell_evcxr(words::RETURNED);
            }
            Piece::Changed(variable) => {
                self.lose_variable(&variable);
                self.tell_evcxr(&format!("{}{variable}", words::CHANGED_TYPE));
            }
            Piece::Question(question, secret) => {
                if let Turn::Cell(cell) = &mut self.turn {
                    cell.question = Some((question, secret));
                }
            }
            Piece::Ended => self.begin_ending(),
        }
    }

    /// A variable's type has been defined again, and its value is of the old one.
    fn lose_variable(&mut self, name: &str) {
        let again = match self.map.lose(name) {
            Some(count) => format!("把单元格 [{count}] 再执行一次"),
            None => "再用 let 定义一次".to_owned(),
        };
        let notice = format!(
            "[变量丢了] {name} 的类型重新定义过，旧的值是旧类型的，不能再用：要它，{again}。\n"
        );
        self.output
            .batch
            .add(Stream::Stderr, notice.as_bytes(), self.now);
    }

    fn tell_evcxr(&mut self, line: &str) {
        self.act(Action::TellEvcxr(line.to_owned()));
    }

    /// What std has written to stderr.
    fn take_errors(&mut self, bytes: &[u8]) {
        if bytes.starts_with(NOTE.as_bytes()) {
            return;
        }
        self.show();
        let words = &mut self.output.last_words;
        words.extend_from_slice(bytes);
        words.drain(..words.len().saturating_sub(LAST_WORDS));
        let places = self.with_places(bytes);
        let bytes = places.as_deref().unwrap_or(bytes);
        let process = self.process.as_ref();
        match process.filter(|process| process.notebook.is_none()) {
            Some(process) => self.output.take_errors(bytes, process.process, self.now),
            None => self.output.batch.add(Stream::Stderr, bytes, self.now),
        }
    }

    /// The same text, if there are places in it, with the cells that they are in.
    fn with_places(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let begin = self.output.place.as_bytes();
        let mut rest = bytes;
        let mut text = Vec::new();
        let mut next = Some(memchr::memmem::find(rest, begin)?);
        while let Some(at) = next {
            let place = &rest[at + begin.len()..];
            let end = memchr::memchr(b';', place)?;
            text.extend_from_slice(&rest[..at]);
            let found = std::str::from_utf8(&place[..end])
                .ok()
                .and_then(|place| self.place_of(place));
            text.extend_from_slice(found.as_deref().unwrap_or(UNSURE).as_bytes());
            rest = &place[end + 1..];
            next = memchr::memmem::find(rest, begin);
        }
        Some([&text, rest].concat())
    }

    /// From the number of a build or the path of its library, a line and a column.
    fn place_of(&self, place: &str) -> Option<String> {
        let mut parts = place.trim().rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        let build = parts.next()?;
        let place = match build.parse() {
            Ok(number) => self.map.find_build(number, line, column),
            Err(_) => self.map.find(Some(Path::new(build)), line, column),
        };
        Some(place?.to_string())
    }

    /// The same in the texts of something that is shown.
    fn put_places(&self, data: &mut Value) {
        for value in data.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let Value::String(text) = value else {
                continue;
            };
            if let Some(places) = self.with_places(text.as_bytes()) {
                *text = String::from_utf8_lossy(&places).into_owned();
            }
        }
    }

    /// The panic that std has just reported on stderr, which then need not be shown. With the
    /// `notebook` crate it comes as a message.
    fn take_printed_panic(&mut self) -> Option<Panic> {
        let process = self.process.as_ref();
        let process = process
            .filter(|process| process.notebook.is_none())?
            .process;
        let report = std::mem::take(&mut self.output.report);
        self.output.report_until = None;
        let printed = Panic::printed(&report, process, &self.output.report_stack);
        let before = printed.as_ref().map_or(report.len(), |(_, start)| *start);
        self.output
            .batch
            .add(Stream::Stderr, &report[..before], self.now);
        printed.map(|(panic, _)| panic)
    }

    /// One of the representations of a value.
    fn take_content(&mut self, mime: String, content: String) {
        let shown = self.output.shown.as_ref();
        if shown.is_some_and(|shown| shown.contains_key(&mime)) {
            self.show(); // that was another value
        }
        let places = self.with_places(content.as_bytes());
        let content = places.map_or(content, |places| {
            String::from_utf8_lossy(&places).into_owned()
        });
        let value = match mime.contains("json") {
            true => serde_json::from_str(&content).unwrap_or(Value::String(content)),
            false => Value::String(content),
        };
        self.output.hold = Some(self.now + HOLD);
        let shown = self.output.shown.get_or_insert_default();
        shown.insert(mime, value);
    }

    /// A message from the `notebook` crate, or from the process itself.
    fn take_message(&mut self, message: &Value) {
        let content = &message["content"];
        match message["msg_type"].as_str() {
            Some(told::BEGUN) => {
                let Turn::Cell(cell) = &mut self.turn else {
                    return;
                };
                if let Some(library) = content["library"].as_str() {
                    let build = content["build"].as_u64().unwrap_or_default();
                    let library = Path::new(library);
                    self.map.add(build, library, cell.count, &cell.code);
                }
                for warning in cell.warnings(&self.map) {
                    let more = self.teacher.of_mistake(&warning);
                    let text = [warning.drawing, more.join("\n")].join("\n");
                    let text = text.trim_end().to_owned() + "\n";
                    self.output
                        .batch
                        .add(Stream::Stderr, text.as_bytes(), self.now);
                }
            }
            Some(told::RETURNED) => {
                if matches!(&self.turn, Turn::Cell(cell) if cell.ends_in_expression) {
                    self.output.value = self.output.shown.take();
                }
            }
            Some(told::PANIC) => self.take_panic(Panic::new(content)),
            Some(told::PANIC_ELSEWHERE) => self.report(&Panic::elsewhere(content)),
            Some(told::REPORT) => self.take_report(content),
            Some(kind @ ("display_data" | "update_display_data" | "clear_output")) => {
                self.show();
                self.send_text(false);
                let mut content = content.clone();
                if let Some(data) = content.get_mut("data") {
                    self.put_places(data);
                }
                self.publish_output(kind, content);
            }
            _ => {}
        }
    }

    /// A panic on the thread of the cells, which may be the error of one.
    fn take_panic(&mut self, panic: Panic) {
        let earlier = match &mut self.turn {
            Turn::Cell(cell) => cell.panic.replace(panic),
            _ => Some(panic),
        };
        if let Some(caught) = earlier {
            self.report(&caught);
        }
    }

    /// What std has written of a panic, in one piece or the piece in which it says so; a student's
    /// text may look the same.
    fn take_report(&mut self, content: &Value) {
        let text = content["text"].as_str().unwrap_or_default();
        let stack = &content["stack"];
        let process = self.process.as_ref().map_or(0, |process| process.process);
        match Panic::whole(text, stack, process).filter(|_| self.is_heard()) {
            Some((panic, true)) => {
                self.output.release_report(self.now);
                self.take_panic(panic);
            }
            Some((panic, false)) => self.report(&panic),
            None => {
                self.take_piece(Piece::Errors(text.into()));
                let report = &self.output.report;
                if Panic::is_being_reported(report, process) {
                    self.output.report_stack = stack.clone();
                }
            }
        }
    }

    /// Shows a panic that is no error of a cell.
    pub(crate) fn report(&mut self, panic: &Panic) {
        let report = panic.report(&self.map);
        self.output
            .batch
            .add(Stream::Stderr, report.as_bytes(), self.now);
    }

    /// Shows what is held back as a display of its own.
    pub(crate) fn show(&mut self) {
        if let Some(data) = self.output.shown.take() {
            self.send_text(false);
            self.publish_output("display_data", display(data));
        }
    }

    /// Sends the text that waits; at the `end` of a cell, all of it.
    pub(crate) fn send_text(&mut self, end: bool) {
        for (stream, text) in self.output.batch.take(end, self.now) {
            self.publish_output("stream", json!({ "name": stream.name(), "text": text }));
        }
    }

    /// Text that evcxr publishes: of a process that has not connected.
    pub(crate) fn take_stream(&mut self, content: &Value) {
        let stream = match content["name"].as_str() {
            Some("stderr") => Stream::Stderr,
            _ => Stream::Stdout,
        };
        let text = content["text"].as_str().unwrap_or_default();
        self.output.batch.add(stream, text.as_bytes(), self.now);
    }

    /// Does what has been waiting for this moment.
    pub(crate) fn output_moment(&mut self) {
        let now = self.now;
        let has_come = |moment: Option<Moment>| moment.is_some_and(|moment| moment <= now);
        if has_come(self.output.hold) {
            self.output.hold = None;
            self.output.release(now);
            // What may turn out to be the cell's result waits for its end.
            if !matches!(&self.turn, Turn::Cell(cell) if cell.ends_in_expression) {
                self.show();
            }
        }
        if has_come(self.output.report_until) {
            self.output.release_report(now);
        }
        if has_come(self.output.batch.due()) {
            self.send_text(false);
        }
        let process = self.process.as_ref();
        let ending = process.and_then(|process| process.ending.as_ref());
        if has_come(ending.map(|ending| ending.deadline)) {
            self.act(Action::Drain(Then::EndCode));
        }
    }

    /// A cell's code has come to its end. What it has asked the `notebook` crate for before, an
    /// interrupt above all, is done when that has answered once more.
    fn begin_ending(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        if process.notebook.is_none() {
            return self.act(Action::Drain(Then::EndCode));
        }
        self.flushes += 1;
        process.ending = Some(Ending {
            flush: self.flushes,
            deadline: self.now + FLUSH,
        });
        self.act(Action::Flush(self.flushes));
    }

    /// Everything that the code wrote has been read: evcxr may hear that it has ended.
    pub(crate) fn end_code(&mut self) {
        self.output.release(self.now);
        self.output.release_report(self.now);
        if let Some(process) = &mut self.process {
            process.ending = None;
            self.tell_evcxr(words::ENDED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setup;
    use crate::evcxr::source_map::SourceMap;

    /// What evcxr makes of the cell `tasks;`.
    const GENERATED: &str = "#![allow(unused_imports, unused_mut, dead_code)]\n#[unsafe(no_mangle)]\n\
        pub extern \"C\" fn run_user_code_1(\nevcxr_variable_store: *mut u8) -> *mut u8 {\n\
        if std::panic::catch_unwind(||{\ntasks;\n}).is_err() {\n}\nevcxr_variable_store\n}\n";

    #[test]
    fn places_in_displays_are_named_by_cell_and_line_or_not_at_all() {
        let mut map = SourceMap::new(|_| Some(GENERATED.into()));
        map.add(7, Path::new("/k/libcode_1.so"), 3, "tasks;");
        let front = Front::new(Setup {
            secret: "5ec2e7".into(),
            map,
            ..Setup::default()
        });
        let place = "单元格 [3] 第 1 行第 1 列";
        for (mark, expected) in [
            ("/k/libcode_1.so:6:1", place),
            ("7:6:1", place),
            ("/k/libcode_2.so:6:1", UNSURE),
            ("/k/libcode_1.so:1:1", UNSURE),
            ("8:6:1", UNSURE),
            ("nothing", UNSURE),
        ] {
            let mut data = json!({
                "text/plain": format!("at EVCXR_5ec2e7_PLACE {mark}; and EVCXR_0_PLACE 7:6:1;"),
                "application/json": { "a": 1 },
            });
            front.put_places(&mut data);
            let told = format!("at {expected} and EVCXR_0_PLACE 7:6:1;");
            assert_eq!(data["text/plain"], told, "{mark}");
        }
    }
}
