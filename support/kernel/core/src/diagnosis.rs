//! What rustc says of a cell, told as in a terminal: once, with all its labels, notes, helps and
//! suggestions, and with every place named by cell, line and column. rustc's own renderer draws it.

use std::collections::HashSet;
use std::ops::Range;

use annotate_snippets::renderer::{AnsiColor, Style};
use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet,
};
use serde_json::Value;

use crate::evcxr::source_map::{GENERATED, Place, SourceMap, offset, start_of_rust};

/// Columns of a drawing: what a notebook shows without scrolling, nearly.
const WIDTH: usize = 110;
/// Suggestions of which one is to be chosen, at most.
const MOST_CHOICES: usize = 4;
/// How a place in the generated file begins in a text.
const IN_TEXT: &str = "src/lib.rs:";
/// How evcxr's own names begin: what is said of them says nothing to a student.
const INTERNAL: &str = "evcxr_";
/// How evcxr keeps a variable for later cells.
const KEPT: &str = "evcxr_variable_store.put_variable::<";
/// The same where only types and mistakes are looked for.
const CHECKED: &str = "evcxr_variable_store(";
/// What it asks of what it keeps.
const KEEPS: [&str; 2] = [
    "fn put_variable<T: 'static>(",
    "fn evcxr_variable_store<T: 'static>(",
];
/// Lints whose warnings a student would be worse off without.
const LINTS: [&str; 2] = ["unused_must_use", "unconditional_recursion"];

/// What rustc has said of a file that evcxr has generated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    generated: String,
    /// rustc's messages, as it writes them in JSON.
    messages: Vec<Value>,
}

/// One of its messages, for a student.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// rustc's code, or the name of a lint.
    pub code: Option<String>,
    /// Its first sentence.
    pub message: String,
    /// The same as rustc has written it, with places in the generated file.
    pub original: String,
    /// All that it says, without places and colours.
    pub all: String,
    /// The drawing, with colours.
    pub drawing: String,
    /// The variable that evcxr keeps for later cells, if it is that which is wrong.
    pub kept: Option<String>,
    /// Where it is.
    place: Place,
}

/// The cell that was compiled, and those before it.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    pub map: &'a SourceMap,
    pub count: u64,
    pub code: &'a str,
}

impl Diagnosis {
    /// Of this file, these messages.
    pub fn new(generated: String, messages: Vec<Value>) -> Diagnosis {
        Diagnosis {
            generated,
            messages,
        }
    }

    /// Whether a message may say something to a student.
    pub fn wants(message: &Value) -> bool {
        let lint = message["code"]["code"].as_str().unwrap_or_default();
        message["level"] == "error" || LINTS.contains(&lint)
    }

    /// The errors in cells, in their order there.
    pub fn errors(&self, cells: Cells) -> Vec<Told> {
        self.told(cells, |message| message["level"] == "error")
    }

    /// The warnings about the cell itself, in their order there, and one for a line.
    pub fn warnings(&self, cells: Cells) -> Vec<Told> {
        let mut told = self.told(cells, |message| {
            message["level"] == "warning"
                && LINTS.contains(&message["code"]["code"].as_str().unwrap_or_default())
        });
        let mut lines = HashSet::new();
        told.retain(|told| told.place.count == cells.count && lines.insert(told.place.line));
        told
    }

    fn told(&self, cells: Cells, wanted: impl Fn(&Value) -> bool) -> Vec<Told> {
        let own = (cells.count, cells.code);
        let mut told: Vec<Told> = cells.map.in_file(&self.generated, own, |find| {
            let drawer = Drawer { cells, find };
            let wanted = self.messages.iter().filter(|message| wanted(message));
            wanted.filter_map(|message| drawer.tell(message)).collect()
        });
        told.sort_by_key(|told| (told.place.count, told.place.line, told.place.column));
        told.dedup_by(|one, other| one.drawing == other.drawing);
        told
    }
}

/// Draws messages.
struct Drawer<'a> {
    cells: Cells<'a>,
    find: &'a dyn Fn(usize, usize) -> Option<Place>,
}

/// A part of a cell's code.
struct Part {
    place: Place,
    bytes: Range<usize>,
}

impl<'a> Drawer<'a> {
    /// None if it is about nothing that stands in a cell.
    fn tell(&self, message: &Value) -> Option<Told> {
        let original = text(message, "message");
        let message = &self.named(message.clone());
        let spans = spans_of(message);
        // A bracket that is missing is missed where evcxr's code goes on.
        let (primary, others): (Vec<&Value>, Vec<&Value>) =
            spans.iter().partition(|span| span["is_primary"] == true);
        let places = primary.into_iter().chain(others);
        let place = places.filter_map(|span| self.part(span)).next()?.place;
        let sentence = text(message, "message");
        let code = message["code"]["code"].as_str();
        let level = level(text(message, "level"));
        let mut title = level.clone().primary_title(sentence);
        if let Some(code) = code {
            title = title.id(code);
        }
        let mut first = Group::with_title(title);
        for snippet in self.snippets(&spans) {
            first = first.element(snippet);
        }
        for note in self.labels_elsewhere(&spans) {
            first = first.element(Level::NOTE.message(note));
        }
        let mut more = Vec::new();
        let mut kept = spans.iter().find_map(|span| kept_by_evcxr(span));
        let mut all = vec![sentence];
        all.extend(spans.iter().map(|span| text(span, "label")));
        for child in message["children"].as_array().into_iter().flatten() {
            let sentence = text(child, "message");
            if sentence.contains(INTERNAL) || sentence.contains("on by default") {
                continue;
            }
            let spans = spans_of(child);
            let variable = spans.iter().find_map(|span| kept_by_evcxr(span));
            let is_of_evcxr = |span: &&Value| {
                let line = text(&span["text"][0], "text");
                KEEPS.iter().any(|function| line.contains(function))
            };
            if variable.is_some() || spans.iter().any(is_of_evcxr) {
                kept = kept.or(variable);
                continue;
            }
            all.push(sentence);
            all.extend(spans.iter().map(|span| text(span, "label")));
            all.extend(spans.iter().map(|span| text(span, "suggested_replacement")));
            match spans.is_empty() {
                true => first = first.element(self::level(text(child, "level")).message(sentence)),
                false => more.extend(self.group(child, &spans)),
            }
        }
        let mut report = vec![first];
        report.extend(more);
        let drawing = renderer().render(&report);
        Some(Told {
            code: code.map(str::to_owned),
            message: sentence.to_owned(),
            original: original.to_owned(),
            all: all.join("\n"),
            drawing,
            kept,
            place,
        })
    }

    /// The same with the names of cells in all texts: rustc writes of a closure where it is.
    fn named(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.named_text(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.named(value)).collect(),
            Value::Object(values) => {
                let values = values.into_iter();
                let named = values.map(|(name, value)| (name, self.named(value)));
                Value::Object(named.collect())
            }
            value => value,
        }
    }

    fn named_text(&self, text: &str) -> String {
        let mut named = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(IN_TEXT) {
            named += before;
            let digits = |text: &str| {
                let end = text
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(text.len());
                let number = text[..end].parse::<usize>().ok()?;
                Some((number, end))
            };
            let place = digits(after).and_then(|(line, end)| {
                let (column, length) = digits(after[end..].strip_prefix(':')?)?;
                Some(((self.find)(line, column), end + 1 + length))
            });
            let Some((place, length)) = place else {
                named += IN_TEXT;
                rest = after;
                continue;
            };
            rest = &after[length..];
            // Behind it stands its end, as `: line:column`.
            let behind = rest
                .strip_prefix(": ")
                .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
            rest = behind.unwrap_or(rest);
            named += &match place {
                Some(place) => format!("{}:{}:{}", name(place.count), place.line, place.column),
                None => "…".to_owned(),
            };
        }
        named + rest
    }

    /// A note or a help that has places of its own.
    fn group<'b>(&self, child: &'b Value, spans: &[&'b Value]) -> Vec<Group<'b>>
    where
        'a: 'b,
    {
        let title = || level(text(child, "level")).secondary_title(text(child, "message"));
        let edits: Vec<(Option<Part>, &str)> = spans
            .iter()
            .filter_map(|span| {
                let replacement = span["suggested_replacement"].as_str()?;
                Some((self.edited(span, replacement), replacement))
            })
            .collect();
        if edits.is_empty() {
            let mut group = Group::with_title(title());
            for snippet in self.snippets(spans) {
                group = group.element(snippet);
            }
            let elsewhere = spans.iter().filter(|span| self.part(span).is_none());
            let elsewhere: Vec<&&Value> = elsewhere.collect();
            match &elsewhere[..] {
                [] => {}
                [span] => {
                    let label = Some(text(span, "label")).filter(|label| !label.is_empty());
                    group = group
                        .elements(origin(span))
                        .elements(label.map(|label| Level::NOTE.no_name().message(label)));
                }
                // Of many, only what they are is of interest.
                many => {
                    let labels = many.iter().map(|span| text(span, "label"));
                    for label in labels.filter(|label| !label.is_empty()).take(MOST_CHOICES) {
                        group = group.element(Level::NOTE.no_name().message(label));
                    }
                }
            }
            return vec![group];
        }
        // Where nothing of a cell stands, or of several, there is only what to write.
        let cell = edits[0].0.as_ref().map(|part| part.place.count);
        let is_in_cell = |part: &Option<Part>| {
            part.as_ref()
                .is_some_and(|part| Some(part.place.count) == cell)
        };
        if !edits.iter().all(|(part, _)| is_in_cell(part)) {
            let mut group = Group::with_title(title());
            let lines = edits.iter().map(|(_, text)| text.trim());
            for line in lines.filter(|line| !line.is_empty()).take(MOST_CHOICES) {
                group = group.element(Level::HELP.no_name().message(line));
            }
            return vec![group];
        }
        let edits: Vec<(Part, &str)> = edits
            .into_iter()
            .filter_map(|(part, text)| Some((part?, text)))
            .collect();
        let overlap = |one: &Range<usize>, other: &Range<usize>| {
            one == other || (one.start < other.end && other.start < one.end)
        };
        let choices = edits.iter().enumerate().any(|(index, (part, _))| {
            edits[..index]
                .iter()
                .any(|(other, _)| overlap(&part.bytes, &other.bytes))
        });
        let snippet = |edits: &[(Part, &'b str)]| {
            let count = edits[0].0.place.count;
            let patches = edits
                .iter()
                .map(|(part, text)| Patch::new(part.bytes.clone(), *text));
            Snippet::source(self.code(count))
                .path(name(count))
                .patches(patches)
        };
        let mut group = Group::with_title(title());
        match choices {
            true => {
                for edit in edits.chunks(1).take(MOST_CHOICES) {
                    group = group.element(snippet(edit));
                }
            }
            false => group = group.element(snippet(&edits)),
        }
        vec![group]
    }

    /// What is said of places in no cell, each as a sentence of its own.
    fn labels_elsewhere(&self, spans: &[&Value]) -> Vec<String> {
        let elsewhere = spans.iter().filter(|span| self.part(span).is_none());
        let sentence = |span: &&&Value| {
            let label = Some(text(span, "label")).filter(|label| !label.is_empty())?;
            if span["file_name"] != GENERATED {
                return Some(match file_of(span) {
                    Some(file) => format!("{label}（{file}）"),
                    None => label.to_owned(),
                });
            }
            // Behind the cell's code.
            label
                .contains("dropped here")
                .then(|| format!("{label}（这一格结束时）"))
        };
        elsewhere.filter_map(|span| sentence(&span)).collect()
    }

    /// One for each cell that something is marked in, that of the first mark first.
    fn snippets<'b>(&self, spans: &[&'b Value]) -> Vec<Snippet<'b, Annotation<'b>>>
    where
        'a: 'b,
    {
        let mut marks: Vec<(u64, Vec<Annotation>)> = Vec::new();
        let primary = spans.iter().filter(|span| span["is_primary"] == true);
        let secondary = spans.iter().filter(|span| span["is_primary"] != true);
        for span in primary.chain(secondary) {
            let Some(part) = self.part(span) else {
                continue;
            };
            let kind = match span["is_primary"] == true {
                true => AnnotationKind::Primary,
                false => AnnotationKind::Context,
            };
            let mut mark = kind.span(part.bytes);
            if let Some(label) = span["label"].as_str().filter(|label| !label.is_empty()) {
                mark = mark.label(label);
            }
            let count = part.place.count;
            match marks.iter_mut().find(|(known, _)| *known == count) {
                Some((_, marks)) => marks.push(mark),
                None => marks.push((count, vec![mark])),
            }
        }
        let snippet = |(count, marks): (u64, Vec<Annotation<'b>>)| {
            Snippet::source(self.code(count))
                .path(name(count))
                .annotations(marks)
        };
        marks.into_iter().map(snippet).collect()
    }

    /// The code of a cell.
    fn code(&self, count: u64) -> &'a str {
        match count == self.cells.count {
            true => self.cells.code,
            false => self.cells.map.code(count).unwrap_or_default(),
        }
    }

    /// What a suggestion replaces, if it is in a cell. rustc imports at the beginning of the file.
    fn edited(&self, span: &Value, replacement: &str) -> Option<Part> {
        if replacement.trim_start().starts_with("use ") {
            let start = start_of_rust(self.cells.code);
            let line = self.cells.code[..start].matches('\n').count() + 1;
            let place = Place {
                count: self.cells.count,
                line,
                column: 1,
                text: String::new(),
            };
            let bytes = start..start;
            return Some(Part { place, bytes });
        }
        self.part(span)
    }

    /// The part of a cell that a span of rustc's is: of a macro's insides, its call.
    fn part(&self, span: &Value) -> Option<Part> {
        let mut span = span;
        while span["file_name"] != GENERATED {
            span = &span["expansion"]["span"];
            if span.is_null() {
                return None;
            }
        }
        let number = |name: &str| Some(span[name].as_u64()? as usize);
        let place = (self.find)(number("line_start")?, number("column_start")?)?;
        let code = self.code(place.count);
        let start = offset(code, place.line, place.column)?;
        let end = (self.find)(number("line_end")?, number("column_end")?)
            .filter(|end| end.count == place.count)
            .and_then(|end| offset(code, end.line, end.column))
            .filter(|end| *end >= start);
        // The last expression's end is in what evcxr has put around it.
        let end = end.unwrap_or_else(|| {
            let rest = &code[start..];
            start + rest.find('\n').unwrap_or(rest.len())
        });
        Some(Part {
            place,
            bytes: start..end,
        })
    }
}

/// rustc's renderer, in colours that can be read in a notebook, light or dark: Jupyter has darker ones
/// for what is bright or bold, and shows errors on red.
fn renderer() -> Renderer {
    let colour = |colour: AnsiColor| colour.on_default();
    Renderer::styled()
        .term_width(WIDTH)
        .error(colour(AnsiColor::Red))
        .warning(colour(AnsiColor::Yellow).bold())
        .note(Style::new().bold())
        .help(colour(AnsiColor::Green))
        .line_num(colour(AnsiColor::Blue))
        .context(colour(AnsiColor::Blue))
        .addition(colour(AnsiColor::Green))
        .removal(colour(AnsiColor::Red))
}

/// What a cell is called.
fn name(count: u64) -> String {
    format!("单元格 [{count}]")
}

fn level(name: &str) -> Level<'static> {
    match name {
        "warning" => Level::WARNING,
        "note" | "failure-note" => Level::NOTE,
        "help" => Level::HELP,
        _ => Level::ERROR,
    }
}

/// The variable that evcxr keeps at this place of the generated file, if it does.
fn kept_by_evcxr(span: &Value) -> Option<String> {
    let line = text(&span["text"][0], "text");
    let variable = match line.split_once(KEPT) {
        Some((_, rest)) => rest.split_once("(stringify!(")?.1,
        None => line.trim().strip_prefix(CHECKED)?,
    };
    Some(variable.split_once(')')?.0.to_owned())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn spans_of(message: &Value) -> Vec<&Value> {
    message["spans"].as_array().into_iter().flatten().collect()
}

/// Where something stands that is in no cell: the crate, and the file in it.
fn origin(span: &Value) -> Option<Origin<'static>> {
    let origin = Origin::path(file_of(span)?);
    Some(match span["line_start"].as_u64() {
        Some(line) => origin.line(line as usize),
        None => origin,
    })
}

/// The file of a crate that something stands in.
fn file_of(span: &Value) -> Option<String> {
    let file = span["file_name"].as_str()?;
    if file == GENERATED {
        return None;
    }
    let after = |mark: &str| file.split_once(mark).map(|(_, rest)| rest);
    if let Some(rest) = after("/library/").filter(|_| file.contains("rust")) {
        return Some(format!("标准库 {rest}"));
    }
    if let Some((_, rest)) = after("/registry/src/").and_then(|rest| rest.split_once('/')) {
        return Some(rest.to_owned());
    }
    // The folder of the crate, and what is in it.
    let (before, rest) = file.split_once("/src/")?;
    let folder = before.rsplit('/').next().unwrap_or(before);
    Some(format!("{folder}/src/{rest}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use serde_json::json;

    use super::*;

    /// Cells of items, each on lines of its own, and a last one with items and then statements.
    struct Course {
        map: SourceMap,
        items: String,
        count: u64,
    }

    impl Course {
        fn new(cells: &[&str]) -> Course {
            let mut course = Course {
                map: SourceMap::default(),
                items: String::new(),
                count: 0,
            };
            for cell in cells {
                course.count += 1;
                let library = format!("libcode_{}.so", course.count);
                course
                    .map
                    .add(course.count, library.as_ref(), course.count, cell);
                course.items += &format!("{cell}\n");
            }
            course
        }

        /// What rustc says of a cell: with the first of its lines being items.
        fn diagnosis(&self, items: &str, body: &str) -> (Diagnosis, String) {
            let generated = format!(
                "#![allow(unused_imports, unused_mut, dead_code)]\n{}{items}#[unsafe(no_mangle)]\n\
                 pub extern \"C\" fn run_user_code_9(\nevcxr_variable_store: *mut u8) -> *mut u8 {{\n\
                 if std::panic::catch_unwind(||{{\n{body}}}).is_err() {{\n    \
                 println!(\"EVCXR_PANIC_NOTIFICATION\");\n}}\nevcxr_variable_store\n}}\n",
                self.items
            );
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("src")).unwrap();
            std::fs::write(folder.path().join(GENERATED), &generated).unwrap();
            let output = Command::new("rustc")
                .args([
                    "--edition",
                    "2024",
                    "--crate-type",
                    "cdylib",
                    "--emit",
                    "metadata",
                ])
                .args(["--error-format", "json", "-o", "out", GENERATED])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let lines = String::from_utf8(output.stderr).unwrap();
            let messages = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            let diagnosis = Diagnosis::new(generated, messages.collect());
            (diagnosis, format!("{items}{body}"))
        }

        fn errors(&self, items: &str, body: &str) -> Vec<Told> {
            let (diagnosis, code) = self.diagnosis(items, body);
            diagnosis.errors(Cells {
                map: &self.map,
                count: self.count + 1,
                code: &code,
            })
        }
    }

    fn plain(told: &Told) -> String {
        let mut text = String::new();
        let mut rest = &*told.drawing;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            text += before;
            rest = after.split_once('m').unwrap().1;
        }
        text + rest
    }

    /// What a mistake in the third cell looks like, behind two that define a function and a type.
    fn looks(items: &str, body: &str) -> String {
        let course = Course::new(&["async fn f() -> u32 { 1 }", "struct Flag { name: String }"]);
        let told = course.errors(items, body);
        told.iter().map(plain).collect::<Vec<_>>().join("\n\n")
    }

    #[test]
    fn a_mistake_looks_as_in_a_terminal_and_names_the_cell() {
        let expected = "\
error[E0308]: mismatched types
 --> 单元格 [3]:2:18
  |
2 |     let x: u32 = f();
  |            ---   ^^^ expected `u32`, found future
  |            |
  |            expected due to this
  |
note: calling an async function returns a future
 --> 单元格 [3]:2:18
  |
2 |     let x: u32 = f();
  |                  ^^^
help: consider `await`ing on the `Future`
  |
2 |     let x: u32 = f().await;
  |                     ++++++";
        assert_eq!(
            looks("async fn g() {\n    let x: u32 = f();\n}\n", ""),
            expected
        );
    }

    #[test]
    fn marks_stand_below_wide_characters() {
        let text = looks("", "let 国旗: u32 = \"中国\";\n");
        let mut lines = text.lines().skip_while(|line| !line.contains("let"));
        let (code, marks) = (lines.next().unwrap(), lines.next().unwrap());
        let before = &code[..code.find('"').unwrap()];
        let columns = before.chars().map(|c| 1 + usize::from(!c.is_ascii()));
        assert_eq!(marks.find("^^^^^^ "), Some(columns.sum()), "{text}");
    }

    #[test]
    fn all_that_rustc_says_is_there_and_nothing_of_evcxrs() {
        for (items, body, pieces) in [
            (
                "use std::rc::Rc;\nfn spawn<T: Send>(_: T) {}\n",
                "let 计数 = Rc::new(1);\nspawn(async move { println!(\"{计数}\"); });\n",
                &[
                    "error: future cannot be sent between threads safely",
                    "4 | spawn(async move { println!(\"{计数}\"); });",
                    "`{async block@单元格 [3]:4:7}`",
                    "^^^^ has type `Rc<i32>` which is not `Send`",
                    "note: required by a bound in `spawn`",
                    "2 | fn spawn<T: Send>(_: T) {}",
                ][..],
            ),
            // An import belongs to the beginning of this cell, whichever cell is the first.
            (
                "",
                "let m = HashMap::<u32, u32>::new();\n",
                &[
                    "help: consider importing",
                    "1 + use std::collections::HashMap;",
                ],
            ),
            // The place in an earlier cell is named by that.
            (
                "",
                "let flag = Flag { nome: String::new() };\n",
                &[
                    "--> 单元格 [3]:1:19",
                    "1 | let flag = Flag { nome: String::new() };",
                    "name",
                ],
            ),
            // In the order of the cell.
            (
                "",
                "let x: i32 = \"a\";\nlet y: u8 = no_such(1);\n",
                &["E0308", "单元格 [3]:1:14", "E0425", "单元格 [3]:2:13"],
            ),
            // A macro's mistake is where it is called.
            (
                "",
                "println!(\"{}\");\n",
                &["单元格 [3]:1:11", "1 | println!(\"{}\");"],
            ),
        ] {
            let text = looks(items, body);
            let mut rest = &*text;
            for piece in pieces {
                let at = rest.find(piece);
                let at = at.unwrap_or_else(|| panic!("{piece} is not in {text}"));
                rest = &rest[at + piece.len()..];
            }
            assert!(
                !text.contains(INTERNAL) && !text.contains(GENERATED),
                "{text}"
            );
        }
    }

    #[test]
    fn what_nobody_uses_is_warned_of_once_for_a_line_and_in_its_own_cell() {
        let course = Course::new(&["async fn f() -> u32 { 1 }"]);
        let warnings = |course: &Course, items: &str, body: &str| {
            let (diagnosis, code) = course.diagnosis(items, body);
            let cells = Cells {
                map: &course.map,
                count: course.count + 1,
                code: &code,
            };
            let warnings = diagnosis.warnings(cells);
            warnings.iter().map(plain).collect::<Vec<_>>()
        };
        let told = warnings(&course, "", "f();\nlet unused = 3;\n");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("warning[unused_must_use]: unused implementer of `Future`"));
        assert!(told[0].contains("1 | f();"));
        assert!(!told[0].contains("on by default"), "{told:?}");
        // It was warned of in its own cell, once.
        let course = Course::new(&["async fn f() -> u32 { 1 }", "async fn g() {\n    f();\n}"]);
        assert_eq!(warnings(&course, "", "let x = 1;\n"), [""; 0]);
        let endless = "fn r() {\n    r()\n}\n";
        let told = warnings(&course, endless, "");
        assert!(
            told[0].contains("cannot return without recursing"),
            "{told:?}"
        );
    }

    #[test]
    fn several_mistakes_are_one_error_with_the_first_code() {
        let told = Course::new(&[]).errors("", "let x: i32 = \"a\";\nlet y: u8 = no_such(1);\n");
        let more = |told: &Told| vec![format!("more of {}", told.message)];
        let error = crate::failure::of_mistakes(&told, more);
        assert_eq!(error["ename"], "E0308");
        let says = "mismatched types；cannot find function `no_such` in this scope";
        assert_eq!(error["evalue"], says);
        let mut expected: Vec<&str> = told[0].drawing.lines().collect();
        expected.extend(["more of mismatched types", ""]);
        expected.extend(told[1].drawing.lines());
        let last = more(&told[1]);
        expected.push(&last[0]);
        let lines = error["traceback"].as_array().unwrap().iter();
        assert_eq!(
            lines.filter_map(Value::as_str).collect::<Vec<_>>(),
            expected
        );
        let without_code = Told {
            code: None,
            ..told[0].clone()
        };
        let error = crate::failure::of_mistakes(&[without_code], more);
        assert_eq!(error["ename"], "编译错误");
    }

    #[test]
    fn what_stands_in_no_cell_is_not_told() {
        let course = Course::new(&[]);
        let code = "let x = 1;\n";
        let (diagnosis, _) = course.diagnosis("fn other() -> u8 { \"\" }\n", code);
        // As if the cell did not have the first line.
        let cells = Cells {
            map: &course.map,
            count: 1,
            code,
        };
        assert_eq!(diagnosis.errors(cells), []);
    }

    /// A second cell, and where its lines stand in the file that is made of it.
    const CODE: &str = "let x = f();\nlet y = x + x;\n";
    const LINES: [u64; 2] = [7, 8];
    /// Where the first cell, `fn f() {}`, does; and a line of evcxr's behind the second one's.
    const ITEM: u64 = 2;
    const BEHIND: u64 = 9;

    /// What is told of a message of rustc's about that cell.
    fn told(message: &Value) -> Vec<Told> {
        let course = Course::new(&["fn f() {}"]);
        let generated = format!(
            "#![allow(unused_imports, unused_mut, dead_code)]\n{}#[unsafe(no_mangle)]\n\
             pub extern \"C\" fn run_user_code_9(\nevcxr_variable_store: *mut u8) -> *mut u8 {{\n\
             if std::panic::catch_unwind(||{{\n{CODE}}}).is_err() {{\n}}\n\
             evcxr_variable_store\n}}\n",
            course.items
        );
        let diagnosis = Diagnosis::new(generated, vec![message.clone()]);
        let cells = Cells {
            map: &course.map,
            count: 2,
            code: CODE,
        };
        match message["level"] == "error" {
            true => diagnosis.errors(cells),
            false => diagnosis.warnings(cells),
        }
    }

    fn span(line: u64, columns: Range<u64>) -> Value {
        json!({
            "file_name": GENERATED, "is_primary": true, "label": null,
            "line_start": line, "line_end": line,
            "column_start": columns.start, "column_end": columns.end,
        })
    }

    /// The same span with other fields.
    fn with(span: Value, fields: Value) -> Value {
        let mut span = span;
        let all = span.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        span
    }

    fn message(level: &str, spans: &[Value], children: &[Value]) -> Value {
        let code = json!({ "code": "unused_must_use" });
        json!({ "level": level, "message": "it is wrong", "code": code, "spans": spans, "children": children })
    }

    fn child(spans: &[Value]) -> Value {
        json!({ "level": "help", "message": "do this", "spans": spans })
    }

    /// The drawing of an error with this child.
    fn drawn(child: Value) -> String {
        let told = told(&message("error", &[span(LINES[0], 9..12)], &[child]));
        plain(&told[0])
    }

    #[test]
    fn a_message_is_about_what_it_marks_first() {
        let second = |line| with(span(line, 1..4), json!({ "is_primary": false }));
        for (spans, count) in [
            ([second(ITEM), span(LINES[0], 1..4)], 1),
            ([second(LINES[0]), span(ITEM, 1..4)], 0),
        ] {
            assert_eq!(told(&message("warning", &spans, &[])).len(), count);
        }
    }

    #[test]
    fn a_variable_that_evcxr_keeps_is_known_and_not_how_it_does_that() {
        let of_evcxr = |line: &str| with(span(BEHIND, 1..4), json!({ "text": [{ "text": line }] }));
        let bound = "    pub fn put_variable<T: 'static>(";
        for (line, kept) in [
            (
                "evcxr_variable_store.put_variable::<i32>(stringify!(y), y);",
                Some("y"),
            ),
            ("  evcxr_variable_store(y);", Some("y")),
            (bound, None),
        ] {
            let first = || span(LINES[0], 9..12);
            let note = child(&[of_evcxr(line)]);
            let told = told(&message("error", &[first()], &[note]));
            assert_eq!(told[0].kept.as_deref(), kept, "{line}");
            assert!(!plain(&told[0]).contains("do this"), "{line}");
            let told = self::told(&message("error", &[first(), of_evcxr(line)], &[]));
            assert_eq!(told[0].kept.as_deref(), kept, "{line}");
        }
    }

    #[test]
    fn what_ends_behind_a_cell_is_marked_to_the_end_of_its_line() {
        let end = json!({ "line_end": BEHIND, "column_end": 2 });
        let told = told(&message("error", &[with(span(LINES[0], 9..12), end)], &[]));
        assert!(plain(&told[0]).ends_with(" ^^^^"), "{}", plain(&told[0]));
    }

    #[test]
    fn edits_are_shown_together_unless_one_of_them_is_to_be_chosen() {
        let edit = |line, columns, text: &str| {
            with(
                span(line, columns),
                json!({ "suggested_replacement": text }),
            )
        };
        let here = |columns, text: &str| edit(LINES[1], columns, text);
        for (edits, shown) in [
            (
                [here(9..10, "(a"), here(13..14, "b)")],
                &["2 - let y = x + x;", "2 + let y = (a + b);"][..],
            ),
            // Side by side, whichever comes first.
            (
                [here(9..10, "a"), here(10..14, "b")],
                &["2 - let y = x + x;", "2 + let y = ab;"],
            ),
            (
                [here(13..14, "b"), here(9..13, "a")],
                &["2 - let y = x + x;", "2 + let y = ab;"],
            ),
            // In the same place.
            (
                [here(9..9, "a"), here(9..9, "b")],
                &["2 | let y = ax + x;", "2 | let y = bx + x;"],
            ),
            (
                [here(9..12, "a"), here(10..14, "b")],
                &[
                    "2 - let y = x + x;",
                    "2 + let y = a x;",
                    "2 - let y = x + x;",
                    "2 + let y = xb;",
                ],
            ),
            (
                [here(10..14, "b"), here(9..12, "a")],
                &[
                    "2 - let y = x + x;",
                    "2 + let y = xb;",
                    "2 - let y = x + x;",
                    "2 + let y = a x;",
                ],
            ),
            // In no cell, and in two.
            ([edit(1, 1..1, " no cell "), here(9..9, "")], &["= no cell"]),
            ([edit(ITEM, 4..5, "a"), here(9..9, "b")], &["= a", "= b"]),
        ] {
            let drawing = drawn(child(&edits));
            let (_, help) = drawing.split_once("help: do this\n").unwrap();
            let lines = help.lines().map(str::trim);
            let lines: Vec<&str> = lines.filter(|line| line.contains([';', '='])).collect();
            assert_eq!(lines, shown);
        }
    }

    #[test]
    fn what_stands_in_no_cell_is_named_by_its_crate() {
        let other = |file: &str, label: &str| {
            let of = json!({ "file_name": file, "is_primary": false, "label": label });
            with(span(BEHIND, 1..2), of)
        };
        // Behind the mark that each drawing has.
        let rest = |drawing: &str| {
            let (_, rest) = drawing.split_once(" ^^^").unwrap();
            let lines = rest.lines().map(str::trim);
            let lines = lines.filter(|line| !["", "|", "help: do this"].contains(line));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let tokio = |label: &str| other("/r/registry/src/index/tokio-1.0/src/lib.rs", label);
        for (spans, shown) in [
            (
                &[tokio("there")][..],
                &["--> tokio-1.0/src/lib.rs:9", "= there"][..],
            ),
            (&[tokio("")], &["--> tokio-1.0/src/lib.rs:9"]),
            (
                &[tokio("one"), tokio(""), tokio("two")],
                &["= one", "= two"],
            ),
        ] {
            assert_eq!(rest(&drawn(child(spans))), shown);
        }
        for (file, label, shown) in [
            (
                "/rust/library/core/src/a.rs",
                "a",
                &["= note: a（标准库 core/src/a.rs）"][..],
            ),
            ("a.rs", "a", &["= note: a"]),
            ("a.rs", "", &[]),
            (
                GENERATED,
                "`x` dropped here",
                &["= note: `x` dropped here（这一格结束时）"],
            ),
            (GENERATED, "of evcxr", &[]),
        ] {
            let spans = [span(LINES[0], 9..12), other(file, label)];
            let told = told(&message("error", &spans, &[]));
            assert_eq!(rest(&plain(&told[0])), shown, "{file}, {label}");
        }
    }

    #[test]
    fn a_file_is_named_as_its_crate_has_it() {
        for (file, name) in [
            (
                "/rustc/5980/library/core/src/option.rs",
                Some("标准库 core/src/option.rs"),
            ),
            ("/home/a/library/b.rs", None),
            (
                "/r/registry/src/index-1/tokio-1.0/src/lib.rs",
                Some("tokio-1.0/src/lib.rs"),
            ),
            (
                "/home/a/notebook/src/print.rs",
                Some("notebook/src/print.rs"),
            ),
            ("a/src/b.rs", Some("a/src/b.rs")),
            ("b.rs", None),
            (GENERATED, None),
        ] {
            let found = file_of(&json!({ "file_name": file }));
            assert_eq!(found.as_deref(), name, "{file}");
        }
        assert_eq!(file_of(&json!({})), None);
    }

    #[test]
    fn only_errors_and_few_warnings_are_wanted() {
        let wants = |level: &str, lint: Option<&str>| {
            let code = lint.map(|lint| json!({ "code": lint }));
            Diagnosis::wants(&json!({ "level": level, "code": code }))
        };
        assert!(wants("error", None) && wants("error", Some("E0308")));
        assert!(wants("warning", Some(LINTS[0])));
        assert!(!wants("warning", Some("dead_code")) && !wants("warning", None));
    }
}
