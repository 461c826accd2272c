//! Which cell, line and column a place in a file that evcxr generates came from.
//!
//! Each cell is compiled from a file of its own, in which evcxr puts each statement on lines of its
//! own, wraps the last expression, and repeats the items of earlier cells. All of these files have
//! the same name, and code from an earlier one may still be running: a closure, a task. So a place
//! is looked up in the file of the library that the code is in. There the statements of a cell stand
//! one behind the other between lines that only evcxr writes, and items as a whole before them. What
//! is not certain is not said: a wrong place is worse than none.
//!
//! Most cells run without anybody asking, so all work is done when somebody does: a cell costs its
//! code and a name. The file is read through a function that whoever makes the map gives it.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ra_ap_syntax::ast::{Expr, Fn, Item, Use};
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode};

use super::bindings::{bindings, mentions};
use super::trail::{self, Frames, Symbols};

/// What every generated file is called in the messages of rustc and in panics.
pub const GENERATED: &str = "src/lib.rs";

/// The lines before a cell's first statement, of which evcxr writes one, or our cargo in its place.
const OPENERS: [&str; 8] = [
    "std::panic::AssertUnwindSafe(||{",
    "if std::panic::catch_unwind(||{",
    "if let Err(payload) = std::panic::catch_unwind(||{",
    ".block_on(async {",
    // Of the file in which only types and mistakes are looked for:
    ") -> Result<(), EvcxrUserCodeError> {",
    "let _ = (|| -> std::result::Result<(), EvcxrUserCodeError> {",
    // When only mistakes are looked for:
    "if !vars_ok {return evcxr_variable_store;}}",
    "evcxr_variable_store: *mut u8) -> *mut u8 {",
];
/// In the same place: a variable that an earlier cell has made, whatever its type.
const LOADED: (&str, &str) = ("(stringify!(", "));");

/// The line behind a cell's last statement.
const CLOSERS: [&str; 8] = [
    "evcxr_variable_store",
    "Ok::<(), EvcxrUserCodeError>(())",
    "Ok(())})();",
    "Ok(())",
    "});",
    "})) {",
    "}).is_err() {",
    "}) {",
];
/// In the same place: a variable of this cell.
const STORED: &str = "evcxr_variable_store.put_variable::<";
/// The same where only types and mistakes are looked for.
const CHECKED: &str = "evcxr_variable_store(";

/// What evcxr writes before and behind the last expression to show it: first in this way…
const BRACKET: &str = "(\n";
const DISPLAYED: &str = ").evcxr_display();\n";
/// … and if it cannot be shown so, in this one, with a function before it.
const FALLBACK: &str = "fn evcxr_send_text_plain(";
const SENT: &str = "\nevcxr_send_text_plain(&format!(\"";
const SENT_END: &str = ")));\n";

/// The name of the function that a cell becomes, without its number; and of the one in which only
/// types and mistakes are looked for.
const FUNCTION: &str = "pub extern \"C\" fn run_user_code_";
const ANALYSED: &str = "\nasync fn evcxr_analysis_wrapper(\n";

/// In how many files a place is looked up whose library is not known. Each has to be read.
const MOST_FILES: usize = 256;
/// How many answers are kept: a `dbg!` in a loop asks the same again and again.
const MOST_ANSWERS: usize = 1024;

/// Where in which cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The cell's execution count.
    pub count: u64,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            count,
            line,
            column,
            ..
        } = self;
        write!(f, "单元格 [{count}] 第 {line} 行第 {column} 列")
    }
}

impl Place {
    /// Whether a panic may have this place: what it names is where something begins, not the middle
    /// of a name and nothing between.
    fn is_of_a_panic(&self) -> bool {
        let is_of_name = |c: char| c == '_' || c.is_alphanumeric();
        let mut characters = self.text.chars().skip(self.column.saturating_sub(2));
        let before = characters.next().filter(|_| self.column > 1);
        let here = match self.column {
            1 => self.text.chars().next(),
            _ => characters.next(),
        };
        here.is_some_and(|here| match is_of_name(here) {
            true => !before.is_some_and(is_of_name),
            false => !here.is_whitespace() && !")]};,.=+>%^@".contains(here),
        })
    }
}

/// What has become of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// The process that had it is no more.
    Died,
    /// Its type has been defined again.
    OfOldType,
    /// Perhaps it has been moved.
    Unknown,
}

/// Reads a file, if it is there.
type Read = Box<dyn std::ops::Fn(&Path) -> Option<Vec<u8>> + Send + Sync>;

/// The cells, and the libraries that were made of them.
pub struct SourceMap {
    read: Read,
    cells: Vec<CellSource>,
    /// How many of them another process has run, which is no more.
    of_earlier_processes: usize,
    /// Variables whose types have been defined again, and which of the cells had defined them.
    lost: Vec<(String, usize)>,
    builds: Vec<Build>,
    memory: Mutex<Memory>,
}

/// What need not be read or looked for again.
#[derive(Default)]
struct Memory {
    /// The file of a build.
    file: Option<(usize, String)>,
    /// By build, line and column.
    answers: HashMap<(usize, usize, usize), Option<Place>>,
    /// What the library of a build has in it.
    symbols: Option<(usize, Symbols)>,
}

impl Memory {
    /// The file of a build, read if it is not the last one that was.
    fn file(&mut self, build: usize, read: impl FnOnce() -> Option<String>) -> Option<&str> {
        if self.file.as_ref().is_none_or(|(of, _)| *of != build) {
            self.file = Some((build, read()?));
        }
        let (_, file) = self.file.as_ref()?;
        Some(file)
    }

    /// The symbols of a build, read if it is not the last one of which they were.
    fn symbols(&mut self, build: usize, read: impl FnOnce() -> Symbols) -> &Symbols {
        let known = self.symbols.take().filter(|(of, _)| *of == build);
        let (_, symbols) = self
            .symbols
            .insert(known.unwrap_or_else(|| (build, read())));
        symbols
    }
}

/// What a cell was run from.
struct Build {
    number: u64,
    library: Box<Path>,
    /// Which of the cells.
    cell: usize,
}

struct CellSource {
    count: u64,
    code: Box<str>,
    statements: OnceLock<Vec<Statement>>,
}

struct Statement {
    /// What evcxr takes of the cell for it: with the white space and the comments behind it.
    text: Range<usize>,
    /// Where it begins itself: the first one of a cell may have comments before it.
    begin: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// evcxr writes it before the cell's code, and again in later files.
    Item,
    /// The same; but a part of it on each line, and only that.
    Use,
    /// Part of the cell's code.
    Code,
    /// The last one, of which the value is shown.
    Shown,
}

/// Where a statement stands in a generated file.
struct Found<'a> {
    cell: &'a CellSource,
    statement: &'a Statement,
    /// The first of its lines, from 1.
    line: usize,
}

/// Where the file is kept that a library was made from; evcxr overwrites its own.
pub fn kept(library: &Path) -> PathBuf {
    library.with_extension("rs")
}

impl Default for SourceMap {
    /// One that knows no file, and so no place.
    fn default() -> SourceMap {
        SourceMap::new(|_| None)
    }
}

impl SourceMap {
    /// Reads libraries, and the files that they are made from ([`kept`]), in this way.
    pub fn new(
        read: impl std::ops::Fn(&Path) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> SourceMap {
        SourceMap {
            read: Box::new(read),
            cells: Vec::new(),
            of_earlier_processes: 0,
            lost: Vec::new(),
            builds: Vec::new(),
            memory: Mutex::default(),
        }
    }

    /// The code of a cell, as evcxr has made it into this library, begins to run: the function
    /// `run_user_code_` with the number `build`.
    pub fn add(&mut self, build: u64, library: &Path, count: u64, code: &str) {
        let is_known = |cell: &CellSource| cell.count == count && &*cell.code == code;
        if !self.cells.last().is_some_and(is_known) {
            self.cells.push(CellSource::new(count, code)); // not compiled and run once more
        }
        self.builds.push(Build {
            number: build,
            library: library.into(),
            cell: self.cells.len() - 1,
        });
    }

    /// A new process runs the cells: what has been running is gone.
    pub fn begin_anew(&mut self) {
        self.builds.clear();
        self.of_earlier_processes = self.cells.len();
        *self.remembered() = Memory::default();
    }

    /// The last cell that has run and says `let name`, and what has become of that.
    pub fn defining(&self, name: &str) -> Option<(u64, Fate)> {
        let index = self.index_defining(name)?;
        let is_lost = |(lost, of): &(String, usize)| lost == name && *of == index;
        let fate = match index {
            _ if index < self.of_earlier_processes => Fate::Died,
            _ if self.lost.iter().any(is_lost) => Fate::OfOldType,
            _ => Fate::Unknown,
        };
        Some((self.cells[index].count, fate))
    }

    /// A variable is no more, for its type has been defined again. Returns the cell that had defined
    /// it.
    pub fn lose(&mut self, name: &str) -> Option<u64> {
        let index = self.index_defining(name)?;
        self.lost.push((name.to_owned(), index));
        Some(self.cells[index].count)
    }

    fn index_defining(&self, name: &str) -> Option<usize> {
        let defines = |cell: &CellSource| {
            cell.code.contains(name) && bindings(&cell.code).iter().any(|it| it.name == name)
        };
        self.cells.iter().rposition(defines)
    }

    /// The last cell that has run and uses this name.
    pub fn last_mentioning(&self, name: &str) -> Option<u64> {
        let mut cells = self.cells.iter().rev();
        let cell = cells.find(|cell| mentions(&cell.code, name))?;
        Some(cell.count)
    }

    /// The place in a cell that this place in the generated file of `library` is. Without a
    /// library it may be any: then there is an answer only if no two have different ones.
    pub fn find(&self, library: Option<&Path>, line: usize, column: usize) -> Option<Place> {
        let Some(library) = library else {
            return self.find_anywhere(line, column);
        };
        let of = |build: &Build| *build.library == *library;
        self.find_of(self.builds.iter().rposition(of)?, line, column)
    }

    /// The place in a cell that this place in the file of the build with this number is.
    pub fn find_build(&self, number: u64, line: usize, column: usize) -> Option<Place> {
        let of = |build: &Build| build.number == number;
        self.find_of(self.builds.iter().rposition(of)?, line, column)
    }

    /// The same for a file that has not become a library: that of the cell `count` with a mistake
    /// in it. Places that rustc names may be right behind the end of a line.
    pub fn find_in(
        &self,
        generated: &str,
        own: (u64, &str),
        line: usize,
        column: usize,
    ) -> Option<Place> {
        self.in_file(generated, own, |find| find(line, column))
    }

    /// The same for many places in one file: `look` is given what finds each.
    pub fn in_file<T>(
        &self,
        generated: &str,
        (count, code): (u64, &str),
        look: impl FnOnce(&dyn std::ops::Fn(usize, usize) -> Option<Place>) -> T,
    ) -> T {
        let own = CellSource::new(count, code);
        let file = File::new(generated, &own, &self.cells);
        look(&|line, column| file.find(line, column))
    }

    /// The code of the latest cell with this number that has run.
    pub fn code(&self, count: u64) -> Option<&str> {
        let cell = self.cells.iter().rfind(|cell| cell.count == count)?;
        Some(&cell.code)
    }

    /// The line that tells which of the student's functions led to a panic with this stack.
    pub fn trail(&self, stack: &[Frames]) -> Option<String> {
        let names = stack.iter().filter_map(|frames| {
            let of = |build: &Build| *build.library == *frames.library;
            let index = self.builds.iter().rposition(of)?;
            let build = &self.builds[index];
            let (cell, before) = self.cells[..=build.cell].split_last()?;
            let defining = |name: &str| {
                let mut cells = std::iter::once(cell).chain(before.iter().rev());
                let cell = cells.find(|cell| trail::defines(&cell.code, name))?;
                Some(&*cell.code)
            };
            let mut memory = self.remembered();
            let generated = memory.file(index, || self.generated(build))?.to_owned();
            let read = || Symbols::of(&(self.read)(&build.library).unwrap_or_default());
            let symbols = memory.symbols(index, read);
            let source = trail::Source {
                of: &defining,
                count: cell.count,
                code: &cell.code,
                generated: &generated,
            };
            Some(symbols.names(frames, &source))
        });
        trail::line(names.flatten().collect())
    }

    /// The library of a cell's that is being called, if there is one and no other.
    pub fn only_library<'a>(&self, stack: &'a [Frames]) -> Option<&'a Path> {
        let is_known =
            |library: &&Path| self.builds.iter().any(|build| *build.library == **library);
        let mut libraries = stack.iter().map(|frames| &*frames.library).filter(is_known);
        let first = libraries.next()?;
        libraries.all(|other| other == first).then_some(first)
    }

    /// The file that a library was made from.
    fn generated(&self, build: &Build) -> Option<String> {
        String::from_utf8((self.read)(&kept(&build.library))?).ok()
    }

    fn find_anywhere(&self, line: usize, column: usize) -> Option<Place> {
        if self.builds.len() > MOST_FILES {
            return None;
        }
        let mut found = None;
        for build in (0..self.builds.len()).rev() {
            let place = self.find_of(build, line, column);
            match (&found, place.filter(Place::is_of_a_panic)) {
                (Some(one), Some(other)) if *one != other => return None,
                (_, Some(place)) => found = Some(place),
                (_, None) => {}
            }
        }
        found
    }

    fn find_of(&self, build: usize, line: usize, column: usize) -> Option<Place> {
        let mut memory = self.remembered();
        if let Some(answer) = memory.answers.get(&(build, line, column)) {
            return answer.clone();
        }
        let Build { cell, .. } = self.builds[build];
        let generated = memory.file(build, || self.generated(&self.builds[build]))?;
        let file = File::new(generated, &self.cells[cell], &self.cells[..cell]);
        let answer = file.find(line, column);
        if memory.answers.len() == MOST_ANSWERS {
            memory.answers.clear();
        }
        memory.answers.insert((build, line, column), answer.clone());
        answer
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A generated file, and what may stand in it.
struct File<'a> {
    text: &'a str,
    /// Where its lines begin.
    lines: Vec<usize>,
    /// The cell that it was generated for.
    own: &'a CellSource,
    /// Those before it.
    earlier: &'a [CellSource],
}

impl<'a> File<'a> {
    fn new(text: &'a str, own: &'a CellSource, earlier: &'a [CellSource]) -> File<'a> {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes());
        let lines = std::iter::once(0).chain(ends.map(|end| end + 1)).collect();
        File {
            text,
            lines,
            own,
            earlier,
        }
    }

    /// A line from 1, with its end.
    fn line(&self, line: usize) -> Option<&'a str> {
        let start = *self.lines.get(line.checked_sub(1)?)?;
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        Some(&self.text[start..end])
    }

    fn line_of(&self, byte: usize) -> usize {
        self.lines.partition_point(|start| *start <= byte)
    }

    fn find(&self, line: usize, column: usize) -> Option<Place> {
        let text = self.line(line)?;
        let code = self.code();
        // To rustc the brackets around the last expression are a part of it.
        if let Some(shown) = code.iter().flatten().find(|found| found.line == line + 1)
            && shown.statement.kind == Kind::Shown
        {
            let bracket = text.trim_end().chars().count();
            let is_bracket = column == bracket || column + 1 == bracket && text.ends_with("&(\n");
            return is_bracket.then(|| shown.cell.place(shown.statement.begin));
        }
        let here = |found: &&Found| (found.line..found.line + found.height()).contains(&line);
        let found = match code.iter().flatten().find(here) {
            Some(found) => found,
            None => &self.item(line, text, code.as_deref())?,
        };
        found.place(line, column)
    }

    /// The statements of the cell, if it is certain where they stand.
    fn code(&self) -> Option<Vec<Found<'a>>> {
        let (mut before, mut shown) = (String::new(), None);
        for statement in self.own.statements() {
            match statement.kind {
                Kind::Code => before += &self.own.written(statement),
                Kind::Shown => shown = Some(self.own.written(statement)),
                Kind::Item | Kind::Use => {}
            }
        }
        if before.is_empty() && shown.is_none() {
            return None;
        }
        let mut possible = self
            .lines
            .iter()
            .enumerate()
            .skip(1)
            .filter_map(|(index, start)| {
                let opener = self.text[self.lines[index - 1]..*start].trim();
                let is_opener = OPENERS.contains(&opener)
                    || opener.ends_with(LOADED.1) && opener.contains(LOADED.0);
                let rest = is_opener.then(|| self.text[*start..].strip_prefix(&*before))??;
                let end = self.text.len() - rest.len();
                let of_shown = match &shown {
                    Some(shown) => start_of_shown(rest, shown)? + end,
                    None if is_closer(rest) => end,
                    None => return None,
                };
                Some((index + 1, of_shown))
            });
        let (mut line, of_shown) = possible.next().filter(|_| possible.next().is_none())?;
        let mut code = Vec::new();
        for statement in self.own.statements() {
            match statement.kind {
                Kind::Item | Kind::Use => continue,
                Kind::Code => {}
                Kind::Shown => line = self.line_of(of_shown),
            }
            let found = Found {
                cell: self.own,
                statement,
                line,
            };
            line += found.height();
            code.push(found);
        }
        Some(code)
    }

    /// The item around a line. evcxr repeats it in the file of each later cell, until it is defined
    /// again: so of cells with the same item it is the newest one's.
    fn item(&self, line: usize, text: &str, code: Option<&[Found]>) -> Option<Found<'a>> {
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() || line >= self.end_of_items(code) {
            return None;
        }
        let mut longest: Option<Found> = None;
        let cells = std::iter::once(self.own).chain(self.earlier.iter().rev());
        let finder = memchr::memmem::Finder::new(text);
        for cell in cells.filter(|cell| finder.find(cell.code.as_bytes()).is_some()) {
            for found in self.copies(cell, line, text) {
                let Some(known) = &longest else {
                    longest = Some(found);
                    continue;
                };
                let (within, around) = match found.height() > known.height() {
                    true => (known, &found),
                    false => (&found, known),
                };
                if !around.lines().contains(&within.line) || within.lines().end > around.lines().end
                {
                    return None; // neither stands within the other
                }
                if found.height() > known.height() {
                    longest = Some(found);
                }
            }
        }
        longest
    }

    /// The items of a cell that stand in the file as a whole, around a line.
    fn copies(&self, cell: &'a CellSource, line: usize, text: &str) -> Vec<Found<'a>> {
        let is_item = |statement: &&Statement| matches!(statement.kind, Kind::Item | Kind::Use);
        let mut copies = Vec::new();
        for statement in cell.statements().iter().filter(is_item) {
            let written = cell.written(statement);
            for (above, same) in written.lines().enumerate() {
                let Some(first) = line.checked_sub(above).filter(|_| same == text) else {
                    continue;
                };
                if self.stands_at(first, &written) && cell.is_meant(statement, first, self) {
                    copies.push(Found {
                        cell,
                        statement,
                        line: first,
                    });
                }
            }
        }
        copies
    }

    fn stands_at(&self, line: usize, written: &str) -> bool {
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line));
        start.is_some_and(|start| self.text[*start..].starts_with(written))
    }

    /// The line that ends the items.
    fn end_of_items(&self, code: Option<&[Found]>) -> usize {
        let begins = |name: &'static str| {
            memchr::memmem::find_iter(self.text.as_bytes(), name).map(|at| self.line_of(at))
        };
        let mut functions = begins(FUNCTION).chain(begins(ANALYSED));
        let function = match code.and_then(|code| code.first()) {
            Some(first) => functions.take_while(|line| *line < first.line).last(),
            None => functions.next(), // a cell's text may look like another one
        };
        function.unwrap_or(0)
    }
}

/// Whether a cell's statements end before this text.
fn is_closer(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    CLOSERS.contains(&line.trim_end()) || line.starts_with(STORED) || line.starts_with(CHECKED)
}

/// Where evcxr has wrapped the last expression, in the text behind the statements before it.
fn start_of_shown(text: &str, shown: &str) -> Option<usize> {
    let (bracket, behind) = match text.strip_prefix(BRACKET) {
        Some(_) => (BRACKET.len(), DISPLAYED),
        None if text.starts_with(FALLBACK) => {
            let sent = text.find(SENT)?;
            (sent + text[sent..].find(BRACKET)? + BRACKET.len(), SENT_END)
        }
        None => return None,
    };
    let rest = text[bracket..].strip_prefix(shown)?;
    rest.starts_with(behind).then_some(bracket)
}

impl Found<'_> {
    /// How many lines it has.
    fn height(&self) -> usize {
        self.cell.written(self.statement).matches('\n').count()
    }

    fn lines(&self) -> Range<usize> {
        self.line..self.line + self.height()
    }

    /// The place in its cell.
    fn place(&self, line: usize, column: usize) -> Option<Place> {
        let text = self.cell.written(self.statement);
        let within = offset(&text, line - self.line + 1, column)?;
        let end = self.statement.text.end;
        let place = self
            .cell
            .place((self.statement.text.start + within).min(end));
        Some(place)
    }
}

impl CellSource {
    fn new(count: u64, code: &str) -> CellSource {
        CellSource {
            count,
            code: code.into(),
            statements: OnceLock::new(),
        }
    }

    fn statements(&self) -> &[Statement] {
        self.statements.get_or_init(|| statements(&self.code))
    }

    /// How evcxr writes a statement.
    fn written(&self, statement: &Statement) -> String {
        let text = &self.code[statement.text.clone()];
        match text.ends_with('\n') {
            true => text.to_owned(),
            false => text.to_owned() + "\n",
        }
    }

    /// Whether a copy of an item at this line of a file is this one's, if the cell has it twice.
    fn is_meant(&self, statement: &Statement, line: usize, file: &File) -> bool {
        let written = self.written(statement);
        let same: Vec<_> = self
            .statements()
            .iter()
            .filter(|other| other.kind == statement.kind && self.written(other) == written)
            .collect();
        let index = |statement: &Statement| {
            let of = |other: &&Statement| other.text == statement.text;
            same.iter().copied().position(|other| of(&other))
        };
        let copies: Vec<usize> = match same.len() {
            1 => return true,
            _ => (1..=file.lines.len())
                .filter(|line| file.stands_at(*line, &written))
                .collect(),
        };
        let copy = copies.iter().position(|copy| *copy == line);
        match copies.len() {
            1 => index(statement) == Some(same.len() - 1), // the last definition of a name
            there if there == same.len() => index(statement) == copy,
            _ => false,
        }
    }

    fn place(&self, offset: usize) -> Place {
        let before = &self.code[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.code[start..].lines().next().unwrap_or_default();
        Place {
            count: self.count,
            line: before.matches('\n').count() + 1,
            column: self.code[start..offset].chars().count() + 1,
            text: line.to_owned(),
        }
    }
}

/// The byte at a line and a column, both from 1; columns are characters, and the end of the line is
/// one.
pub(crate) fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let start: usize = lines.by_ref().take(line - 1).map(str::len).sum();
    let line = lines.next()?.trim_end_matches(['\n', '\r']);
    let mut ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    let within = ends.nth(column.checked_sub(1)?)?;
    Some(start + within)
}

/// Splits a cell as evcxr does, with its parser.
fn statements(code: &str) -> Vec<Statement> {
    let rust = start_of_rust(code);
    const PRELUDE: &str = "fn f(){";
    let whole = format!("{PRELUDE}{}\n}}", &code[rust..]);
    let parsed = SourceFile::parse(&whole, Edition::Edition2024);
    let list = parsed
        .syntax_node()
        .children()
        .next()
        .and_then(Fn::cast)
        .and_then(|function| function.body())
        .and_then(|body| body.stmt_list());
    let Some(list) = list else {
        return Vec::new();
    };
    let nodes: Vec<SyntaxNode> = list.syntax().children().collect();
    let in_code = |at| (usize::from(at) - PRELUDE.len() + rust).min(code.len());
    let mut start = rust;
    let mut found = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let next = nodes.get(index + 1);
        let end = next.map_or(code.len(), |next| in_code(next.text_range().start()));
        if start == end {
            break;
        }
        let kind = kind(node, next.is_none());
        let begin = match (kind, Use::cast(node.clone())) {
            (Kind::Use, Some(item)) => item.use_token().map(|token| token.text_range().start()),
            _ => None,
        };
        let begin = in_code(begin.unwrap_or(node.text_range().start()));
        let text = match kind {
            Kind::Use => begin..in_code(node.text_range().end()),
            _ => start..end,
        };
        found.push(Statement { text, begin, kind });
        start = end;
    }
    found
}

fn kind(node: &SyntaxNode, is_last: bool) -> Kind {
    if Expr::can_cast(node.kind()) {
        return if is_last { Kind::Shown } else { Kind::Code };
    }
    match Item::cast(node.clone()) {
        Some(Item::Use(item)) if item.use_tree().is_some() => Kind::Use,
        Some(Item::Use(_)) => Kind::Code,
        Some(_) => Kind::Item,
        None if node.kind() == SyntaxKind::ATTR => Kind::Item,
        None => Kind::Code,
    }
}

/// Where the commands to evcxr end, which stand before all Rust.
pub fn start_of_rust(code: &str) -> usize {
    let mut start = 0;
    for line in code.split_inclusive('\n') {
        let text = line.trim();
        let is_rust = !(text.is_empty() || line.starts_with("//") || line.starts_with('!'));
        if is_rust && !line.trim_start_matches(' ').starts_with(':') {
            break;
        }
        start += line.len();
    }
    start
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    type Files = Arc<Mutex<HashMap<PathBuf, String>>>;

    /// How evcxr writes a cell's code into a file.
    #[derive(Clone, Copy, Default)]
    struct Style {
        /// Whether the last expression can be shown by itself.
        displays: bool,
        awaits: bool,
        /// Whether a `?` stands in the code.
        returns: bool,
        /// Whether there are variables.
        stores: bool,
        /// Whether it only looks for mistakes.
        checks: bool,
        /// Whether our cargo has put its own lines in the place of evcxr's.
        ours: bool,
    }

    /// Cells that have been run, each from a file that evcxr would write for it.
    struct Course {
        files: Files,
        map: SourceMap,
        /// What evcxr repeats: the names of items with their texts, and what has no name.
        items: Vec<(Option<String>, String)>,
        style: Style,
    }

    impl Course {
        fn new() -> Course {
            let files = Files::default();
            let read = files.clone();
            Course {
                files,
                map: SourceMap::new(move |path| {
                    let file = read.lock().unwrap().get(path).cloned();
                    file.map(String::into_bytes)
                }),
                items: Vec::new(),
                style: Style::default(),
            }
        }

        fn library(count: u64) -> PathBuf {
            PathBuf::from(format!("/build/libcode_{count}.so"))
        }

        fn file(&self, count: u64) -> String {
            self.files.lock().unwrap()[&kept(&Course::library(count))].clone()
        }

        fn run(&mut self, count: u64, code: &str) {
            let file = self.generate(count, code);
            let library = Course::library(count);
            self.files.lock().unwrap().insert(kept(&library), file);
            self.map.add(count + 100, &library, count, code);
        }

        /// As evcxr's `ContextState::apply` and `code_to_compile` do it.
        fn generate(&mut self, count: u64, code: &str) -> String {
            let mut body = String::new();
            for statement in &statements(code) {
                let mut text = code[statement.text.clone()].to_owned();
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                match statement.kind {
                    Kind::Use => {
                        let uses = text.trim().to_owned() + "\n";
                        self.items.retain(|(_, item)| *item != uses);
                        self.items.push((None, uses));
                    }
                    Kind::Item => {
                        let name = text
                            .split(|c: char| !c.is_alphanumeric() && c != '_')
                            .skip_while(|word| !["fn", "struct", "mod"].contains(word))
                            .nth(1)
                            .filter(|_| !text.contains("impl"))
                            .map(str::to_owned);
                        let same = |other: &Option<String>| name.is_some() && *other == name;
                        self.items.retain(|(other, _)| !same(other));
                        self.items.push((name, text));
                    }
                    Kind::Code => body += &text,
                    Kind::Shown if self.style.displays => {
                        body += &format!("(\n{text}).evcxr_display();\n");
                    }
                    Kind::Shown => {
                        body +=
                            "fn evcxr_send_text_plain(text: &str)\n{\n    use std::io::Write;\n}\n";
                        body +=
                            &format!("evcxr_send_text_plain(&format!(\"{{:?}}\",&(\n{text})));\n");
                    }
                }
            }
            let Style {
                awaits,
                returns,
                stores,
                checks,
                ours,
                ..
            } = self.style;
            if stores {
                body += "evcxr_variable_store.put_variable::<i32>(stringify!(n), n);\n";
            }
            if awaits {
                let end = if returns {
                    "Ok::<(), EvcxrUserCodeError>(())\n"
                } else {
                    ""
                };
                body = format!("x\n.block_on(async {{\n{body}{end}}});\n");
            } else if returns {
                body = format!(
                    "let _ = (|| -> std::result::Result<(), EvcxrUserCodeError> {{\n{body}Ok(())}})();\n"
                );
            }
            let load = "let n = evcxr_variable_store.take_variable::<i32>(stringify!(n));\n";
            let (mut before, mut after) = match (checks, stores) {
                (true, true) => (load, "evcxr_variable_store\n}\n"),
                (true, false) => (
                    "evcxr_variable_store: *mut u8) -> *mut u8 {\n",
                    "evcxr_variable_store\n}\n",
                ),
                (false, true) => (
                    "match std::panic::catch_unwind(\n  std::panic::AssertUnwindSafe(||{\n",
                    "})) { \n  Ok(_) => {}\n}}\n",
                ),
                (false, false) => ("if std::panic::catch_unwind(||{\n", "}).is_err() {\n}\n"),
            };
            if ours && !checks && stores {
                after = "})) {\n  Ok(_) => {}\n  Err(payload) => {\n}}\n";
            } else if ours && !checks {
                before = "if let Err(payload) = std::panic::catch_unwind(||{\n";
                after = "}) {\n    crate::evcxr_kernel::panicked(&*payload);\n}\n";
            }
            let items: String = self.items.iter().map(|(_, text)| &**text).collect();
            format!(
                "#![allow(unused)] macro_rules! dbg {{ () => {{}} }}\n{items}#[unsafe(no_mangle)]\n\
                 const N: u64 = {count}; pub extern \"C\" fn run_user_code_{count}(\n{before}{body}{after}"
            )
        }

        /// Where a piece of the file of cell `count` came from.
        fn find(&self, count: u64, piece: &str) -> Option<(u64, usize, usize)> {
            let at = self.file(count).find(piece).expect("it is there");
            self.find_at(count, at)
        }

        /// The same for the last piece like that.
        fn find_last(&self, count: u64, piece: &str) -> Option<(u64, usize, usize)> {
            let at = self.file(count).rfind(piece).expect("it is there");
            self.find_at(count, at)
        }

        fn find_at(&self, count: u64, at: usize) -> Option<(u64, usize, usize)> {
            let (line, column) = position(&self.file(count), at);
            let library = Course::library(count);
            let place = self.map.find(Some(&library), line, column);
            assert_eq!(self.map.find_build(count + 100, line, column), place);
            place.map(|place| (place.count, place.line, place.column))
        }
    }

    fn position(text: &str, at: usize) -> (usize, usize) {
        let before = &text[..at];
        let line = before.rsplit('\n').next().unwrap();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// One cell, in each way in which evcxr writes its file.
    fn each_way(code: &str, check: impl std::ops::Fn(&Course)) {
        for bits in 0..64 {
            let is_set = |bit: u32| bits >> bit & 1 == 1;
            let mut course = Course::new();
            course.style = Style {
                displays: is_set(0),
                awaits: is_set(1),
                returns: is_set(2),
                stores: is_set(3),
                checks: is_set(4),
                ours: is_set(5),
            };
            course.run(2, code);
            check(&course);
        }
    }

    #[test]
    fn statements_on_one_line_are_told_apart() {
        let code = "let b = 1; let nothing: Option<u8> = None; nothing.unwrap();";
        each_way(code, |course| {
            assert_eq!(course.find(2, "unwrap"), Some((2, 1, 52)));
            assert_eq!(course.find(2, "b = 1"), Some((2, 1, 5)));
        });
        each_way("let n = 5;\nn", |course| {
            assert_eq!(course.find(2, "5;"), Some((2, 1, 9)));
            assert_eq!(course.find(2, "n\n)"), Some((2, 2, 1)));
            // What fails is the whole expression, which for rustc begins at the bracket.
            assert_eq!(course.find(2, "(\nn"), Some((2, 2, 1)));
            if course.file(2).contains("&(\nn") {
                assert_eq!(course.find(2, "&(\nn"), Some((2, 2, 1)));
                assert_eq!(course.find(2, ",&(\nn"), None);
            }
        });
        each_way("  // why\n  nothing.unwrap()", |course| {
            assert_eq!(course.find(2, "(\n  //"), Some((2, 2, 3)));
            assert_eq!(course.find(2, "unwrap"), Some((2, 2, 11)));
        });
    }

    #[test]
    fn each_kind_of_text_is_found_where_it_is() {
        for (code, piece, place) in [
            ("one();\r\n\ttwo();\r\n\tthree()", "three", (3, 2)),
            ("let 名 = \"中文🇨🇳\"; 名.fail();", "名.fail", (1, 17)),
            ("a(); /* b */ c(); // d\n\n// e\nf();", "f()", (4, 1)),
            ("a(); /* b */ c(); // d\n\n// e\nf();", "c()", (1, 14)),
            ("let t = r#\"raw\nb();\n\"#; b();", "b();", (2, 1)),
            ("let t = r#\"raw\nb();\n\"#; b();", "t = r", (1, 5)),
            ("boom!(1,\n  two);", "two", (2, 3)),
            ("if a {\n    b();\n}\nc();", "b()", (2, 5)),
            ("let f = || {\n    g()\n};", "g()", (2, 5)),
            (":dep a = \"1\"\n\n// why\nfail();", "fail", (4, 1)),
            (
                "/// doc\n#[derive(Debug)]\nstruct Q { q: u8 }",
                "q: u8",
                (3, 12),
            ),
            ("#![allow(a)]\nb();", "allow(a)", (1, 4)),
            (
                "a(); struct P; impl P {\n  fn b() {}\n} c();",
                "b()",
                (2, 6),
            ),
            (
                "mod m {\n  pub fn d() {\n    fn e() { f() }\n  }\n}",
                "f()",
                (3, 14),
            ),
            ("use std::fmt; use std::io;", "std::io", (1, 19)),
            ("macro_rules! m { () => { x() } }\nm!();", "x()", (1, 26)),
            ("macro_rules! m { () => { x() } }\nm!();", "m!();", (2, 1)),
            ("let a = b(;\nlet c = 1;", "b(;", (1, 9)),
            ("fn f() {\n    1 +\n}", "1 +", (2, 5)),
        ] {
            each_way(code, |course| {
                let expected = Some((2, place.0, place.1));
                assert_eq!(course.find(2, piece), expected, "{piece} in {code}");
            });
        }
    }

    #[test]
    fn code_of_an_earlier_cell_is_found_in_the_file_that_it_runs_from() {
        let mut course = Course::new();
        let closure =
            "// one\n// two\nlet checked = Box::new(|n| {\n    assert!(n > 0);\n    n\n});";
        course.run(2, closure);
        course.run(3, "fn helper() {\n    panic!(\"helper\")\n}");
        course.run(4, &format!("{}checked(-5)", "let a = 1;\n".repeat(8)));
        assert_eq!(course.find(2, "assert"), Some((2, 4, 5)));
        assert_eq!(course.find(4, "checked(-5)"), Some((4, 9, 1)));
        // An item is compiled again with each later cell.
        assert_eq!(course.find(4, "panic"), Some((3, 2, 5)));
        // Until it is defined again, or just the same is.
        course.run(5, "fn helper() {\n    panic!(\"new\")\n}");
        assert_eq!(course.find(5, "panic"), Some((5, 2, 5)));
        course.run(6, "fn helper() {\n    panic!(\"helper\")\n}");
        course.run(7, "helper();");
        assert_eq!(course.find(7, "panic"), Some((6, 2, 5)));
        assert_eq!(course.find(4, "panic"), Some((3, 2, 5)));
    }

    #[test]
    fn the_same_statement_elsewhere_does_not_confuse() {
        let mut course = Course::new();
        course.run(2, "check();");
        course.run(3, "check();\nif true {\ncheck();\n}");
        assert_eq!(course.find(3, "check"), Some((3, 1, 1)));
        assert_eq!(course.find_last(3, "check"), Some((3, 3, 1)));
        course.run(4, "check();\nlet y = 1;\n  check(); last();");
        assert_eq!(course.find(4, "check"), Some((4, 1, 1)));
        assert_eq!(course.find_last(4, "check"), Some((4, 3, 3)));
        // A cell that was run twice.
        course.run(5, "check();");
        assert_eq!(course.find(5, "check"), Some((5, 1, 1)));
        assert_eq!(course.find(2, "check"), Some((2, 1, 1)));
        course.run(8, "again();");
        course.run(9, "again();");
        assert_eq!(course.find(9, "again"), Some((9, 1, 1)));
        // What a cell calls stands in another's item as well.
        course.run(6, "fn all() {\ncheck();\n}");
        course.run(7, "check();");
        assert_eq!(course.find(7, "check"), Some((6, 2, 1)));
        assert_eq!(course.find_last(7, "check"), Some((7, 1, 1)));
    }

    #[test]
    fn lines_like_those_around_a_cells_statements_do_not_confuse() {
        for item in [
            // Before the same statement a line like evcxr's, and behind it none…
            "fn all() {\nprintln!(stringify!(a));\ncheck();\nmore();\n}",
            // … or the other way round.
            "fn all() {\nlet s = f(g());\ncheck();\nOk(())\n}",
        ] {
            let mut course = Course::new();
            course.run(2, item);
            course.run(3, "check();");
            assert_eq!(course.find(3, "check"), Some((2, 3, 1)));
            assert_eq!(course.find_last(3, "check"), Some((3, 1, 1)));
        }
    }

    #[test]
    fn behind_the_items_stands_none() {
        let mut course = Course::new();
        let item = "fn inner() {\nfail();\n}";
        course.run(2, item);
        // The cell's statements stand where nobody expects them.
        let header = "#[unsafe(no_mangle)]\npub extern \"C\" fn run_user_code_3(\nunknown {\n";
        let file = format!("#![allow(unused)]\n{item}\n{header}{{\n{item}\n}}\n");
        let code = format!("{{\n{item}\n}}");
        let place = |at: usize| {
            let (line, column) = position(&file, at);
            course.map.find_in(&file, (3, &code), line, column)
        };
        let first = place(file.find("fail").unwrap()).unwrap();
        assert_eq!((first.count, first.line), (2, 2));
        assert_eq!(place(file.rfind("fail").unwrap()), None);
    }

    #[test]
    fn an_item_within_another_is_not_mistaken_for_it() {
        // Whichever of them is the newer one; the inner one is almost as long.
        let inner = "fn inner() {\nfail();\na();\nb();\nc();\nd();\n}";
        let outer = format!("mod m {{\n{inner}\n}}");
        let mut course = Course::new();
        course.run(2, &outer);
        course.run(3, inner);
        course.run(4, "go();");
        assert_eq!(course.find(4, "fail"), Some((2, 3, 1)));
        assert_eq!(course.find_last(4, "fail"), Some((3, 2, 1)));
        let mut course = Course::new();
        course.run(2, "fn inner() {\nfail();\n}");
        course.run(3, "mod m {\nfn inner() {\nfail();\n}\n}");
        course.run(4, "go();");
        assert_eq!(course.find(4, "fail"), Some((2, 2, 1)));
        assert_eq!(course.find_last(4, "fail"), Some((3, 3, 1)));
        course.run(5, "{\nfn inner() {\nfail();\n}\n}\ninner();");
        assert_eq!(course.find_last(5, "fail"), Some((5, 3, 1)));
    }

    #[test]
    fn what_a_cell_has_twice_is_told_apart_if_it_can_be() {
        let mut course = Course::new();
        course.run(2, "impl A {\n  x();\n}\nimpl A {\n  x();\n}\na();");
        assert_eq!(course.find(2, "x()"), Some((2, 2, 3)));
        assert_eq!(course.find_last(2, "x()"), Some((2, 5, 3)));
        // Of a name only the last definition is there.
        course.run(3, "fn f() {\n  y();\n}\nfn f() {\n  y();\n}\na();");
        assert_eq!(course.find(3, "y()"), Some((3, 5, 3)));
    }

    #[test]
    fn a_short_line_within_a_longer_statement_is_not_meant() {
        let mut course = Course::new();
        course.run(2, "n");
        course.run(3, "let good = spawn(async {\n    let n = 1;\n    n\n});\nn");
        assert_eq!(course.find(3, "    n\n"), Some((3, 3, 5 - 4)));
        assert_eq!(course.find(3, "let n"), Some((3, 2, 5)));
    }

    #[test]
    fn a_text_like_what_evcxr_writes_leads_to_no_wrong_place() {
        let fake = "let fake = r#\"\npub extern \"C\" fn run_user_code_2(\n  \
                    std::panic::AssertUnwindSafe(||{\nlet fake = 1;\n\"#; fail();";
        each_way(fake, |course| {
            assert_eq!(course.find_last(2, "fail"), Some((2, 5, 5)));
        });
        // An item that holds the whole of the file of a later cell.
        let mut course = Course::new();
        let imitation = course.generate(2, "fail();");
        let item = format!("const T: &str = r##\"{imitation}\"##;");
        course.run(2, &item);
        course.run(3, "fail();");
        assert_eq!(course.find_last(3, "fail"), None);
        let lines = imitation[..imitation.find("fail").unwrap()].matches('\n');
        let place = course.find(3, "fail").map(|(count, line, _)| (count, line));
        let right = (2, lines.count() + 1);
        assert!(place.is_none_or(|place| place == right), "{place:?}");
    }

    #[test]
    fn what_evcxr_writes_itself_is_no_place() {
        each_way("n", |course| {
            for piece in ["run_user_code", "allow", "no_mangle"] {
                assert_eq!(course.find(2, piece), None, "{piece}");
            }
            assert_eq!(course.map.find(Some(&Course::library(2)), 99, 1), None);
            assert_eq!(course.map.find(Some(Path::new("/other.so")), 1, 1), None);
            assert_eq!(course.map.find_build(7, 1, 1), None);
            assert_eq!(course.map.find(Some(&Course::library(2)), 0, 0), None);
        });
    }

    #[test]
    fn without_a_library_only_what_cannot_be_another_place_is_one() {
        let mut course = Course::new();
        course.run(2, "first();");
        let file = course.file(2);
        let (line, column) = position(&file, file.find("first").unwrap());
        let place = course.map.find(None, line, column).unwrap();
        assert_eq!((place.count, &*place.text), (2, "first();"));
        course.run(3, "second();");
        assert_eq!(course.map.find(None, line, column), None);
        course.map.begin_anew();
        course.run(4, "third();");
        let place = course.map.find(None, line, column).unwrap();
        assert_eq!((place.count, &*place.text), (4, "third();"));
    }

    #[test]
    fn a_place_where_nothing_begins_is_not_taken_for_a_panics() {
        let mut course = Course::new();
        course.run(2, "a_long_name(); other.fail();");
        let file = course.file(2);
        let (line, column) = position(&file, file.find("fail").unwrap());
        let found = |course: &Course| Some(course.map.find(None, line, column)?.count);
        assert_eq!(found(&course), Some(2));
        for (count, other) in [(3, "let x = 1; middle_of_a_name();"), (4, "x = 1;")] {
            course.run(count, other);
            assert_eq!(found(&course), Some(2), "{other}");
        }
        for (at, is_one) in [
            ("|name", true),
            ("na|me", false),
            ("a.|b()", true),
            ("a|.b()", false),
            ("v|[1]", true),
            ("f(|)", false),
            ("a | + b", false),
            ("|\"text\"", true),
            ("x|", false),
            ("|)name", false),
        ] {
            let place = Place {
                count: 2,
                line: 1,
                column: at.find('|').unwrap() + 1,
                text: at.replace('|', ""),
            };
            assert_eq!(place.is_of_a_panic(), is_one, "{at}");
        }
    }

    #[test]
    fn what_cells_have_called_a_variable_is_known() {
        let mut course = Course::new();
        course.run(2, "let a1 = 1; let mut b: u8 = 2;");
        course.run(3, "drop(b);");
        for (name, cell) in [("a1", Some(2)), ("b", Some(2)), ("a", None), ("c", None)] {
            let defined = course.map.defining(name);
            assert_eq!(defined, cell.map(|cell| (cell, Fate::Unknown)), "{name}");
        }
        assert_eq!(course.map.last_mentioning("b"), Some(3));
        assert_eq!(course.map.last_mentioning("a1"), Some(2));
        assert_eq!(course.map.code(3), Some("drop(b);"));
        assert_eq!(course.map.code(9), None);
        assert_eq!(course.map.lose("b"), Some(2));
        assert_eq!(course.map.lose("c"), None);
        assert_eq!(course.map.defining("b"), Some((2, Fate::OfOldType)));
        course.run(4, "let b = 1;");
        assert_eq!(course.map.defining("b"), Some((4, Fate::Unknown)));
        course.map.begin_anew();
        course.run(5, "let c = 1;");
        assert_eq!(course.map.defining("b"), Some((4, Fate::Died)));
        assert_eq!(course.map.defining("c"), Some((5, Fate::Unknown)));
    }

    #[test]
    fn a_number_that_is_used_again_means_the_newest_build() {
        let mut course = Course::new();
        course.run(2, "first();");
        course.run(2, "other();");
        assert_eq!(course.find(2, "other"), Some((2, 1, 1)));
        let place = course.map.find_build(102, 4, 1);
        assert!(place.is_none_or(|place| place.text == "other();"));
    }

    #[test]
    fn a_mistake_in_a_cell_that_never_ran_has_its_place() {
        let mut course = Course::new();
        course.run(2, "fn helper() {\n    ok()\n}");
        course.style.checks = true;
        let code = "struct Q;\r\nlet a = 1; helper(\n";
        let file = course.generate(3, code);
        let place = |piece: &str| {
            let at = file.find(piece).unwrap() + piece.find('(').unwrap_or_default();
            let (line, column) = position(&file, at);
            let place = course.map.find_in(&file, (3, code), line, column)?;
            Some((place.count, place.line, place.column))
        };
        assert_eq!(place("helper(\n"), Some((3, 2, 18)));
        assert_eq!(place("Q;"), Some((3, 1, 8)));
        assert_eq!(place("ok()"), Some((2, 2, 7)));
        let end = file.find("helper(\n").unwrap() + "helper(".len();
        let (line, column) = position(&file, end);
        let place = course.map.find_in(&file, (3, code), line, column);
        assert_eq!(
            place.map(|place| place.column),
            Some(19),
            "the end of the line"
        );
    }

    #[test]
    fn the_same_place_is_looked_for_once_and_little_is_remembered() {
        let mut course = Course::new();
        course.run(2, "first();");
        let file = course.file(2);
        let (line, column) = position(&file, file.find("first").unwrap());
        let place = course.map.find_build(102, line, column);
        course.files.lock().unwrap().clear();
        assert_eq!(course.map.find_build(102, line, column), place);
        for column in 0..3 * MOST_ANSWERS {
            course.map.find_build(102, line, column);
        }
        assert!(course.map.remembered().answers.len() <= MOST_ANSWERS);
    }

    #[test]
    fn what_is_known_of_one_file_is_not_forgotten_with_the_next() {
        let mut course = Course::new();
        for count in [2, 3] {
            course.run(count, "first();");
        }
        let file = course.file(2);
        let (line, column) = position(&file, file.find("first").unwrap());
        let place = course.map.find_build(102, line, column);
        assert!(place.is_some());
        course.map.find_build(103, line, column);
        course.files.lock().unwrap().clear();
        assert_eq!(course.map.find_build(102, line, column), place);
    }

    #[test]
    fn a_place_without_a_library_is_looked_for_in_so_many_files_and_no_more() {
        let mut course = Course::new();
        course.run(2, "first();");
        let file = course.file(2);
        let (line, column) = position(&file, file.find("first").unwrap());
        let library = Course::library(2);
        for build in 1..MOST_FILES {
            course.map.add(build as u64, &library, 2, "first();");
        }
        assert!(course.map.find(None, line, column).is_some());
        course.map.add(0, &library, 2, "first();");
        assert_eq!(course.map.find(None, line, column), None);
    }

    #[test]
    fn a_trail_has_the_names_of_the_library_that_each_address_is_in() {
        let (library, inner) = trail::tests::library_with_inner();
        let mut map = SourceMap::new(move |path| match path.to_str()? {
            "/libcode_1.so" => Some(library.clone()),
            _ => Some(Vec::new()),
        });
        let told = |map: &SourceMap, library: &str| {
            let stack = serde_json::json!([[library, [inner + 1]]]);
            map.trail(&trail::frames(&stack))
        };
        for (build, library) in [(1, "/libcode_1.so"), (2, "/libcode_2.so")] {
            map.add(build, Path::new(library), build, "fn inner() {}");
        }
        for (library, names) in [
            ("/libcode_1.so", Some("经过的函数：inner")),
            ("/libcode_2.so", None),
            ("/libcode_1.so", Some("经过的函数：inner")),
            ("/libcode_3.so", None),
        ] {
            assert_eq!(told(&map, library).as_deref(), names, "{library}");
        }
    }

    #[test]
    fn a_cell_is_split_as_evcxr_does_it() {
        let (item, uses, code, shown) = ("item", "use", "code", "shown");
        for (cell, expected) in [
            ("a(); b", &[(code, "a(); "), (shown, "b")][..]),
            (
                "#[cfg(a)]\n// c\nuse a::b;\nc();",
                &[(uses, "use a::b;"), (code, "c();")],
            ),
            ("use ;", &[(code, "use ;")]),
            (
                "macro_rules! m { () => {} }",
                &[(item, "macro_rules! m { () => {} }")],
            ),
            (
                "#![allow(a)]\nb();",
                &[(item, "#![allow(a)]\n"), (code, "b();")],
            ),
            (
                "fn f() {}\nlet a = 1;",
                &[(item, "fn f() {}\n"), (code, "let a = 1;")],
            ),
        ] {
            let split: Vec<(&str, &str)> = statements(cell)
                .iter()
                .map(|statement| {
                    let kind = match statement.kind {
                        Kind::Item => item,
                        Kind::Use => uses,
                        Kind::Code => code,
                        Kind::Shown => shown,
                    };
                    (kind, &cell[statement.text.clone()])
                })
                .collect();
            assert_eq!(split, expected, "{cell}");
        }
    }

    #[test]
    fn commands_end_where_rust_begins() {
        for (commands, rust) in [
            ("", ""),
            ("", "a();\n:dep b"),
            (":dep a\n", "b"),
            ("  :dep a\n", "b"),
            ("\n \n// c\n!ls\n:dep a\n", "b"),
            (":dep a\n:dep b\n", ""),
            ("", "  // c\n:dep a"),
            ("", "\t:dep a\n"),
            ("", " !a"),
        ] {
            let code = format!("{commands}{rust}");
            assert_eq!(start_of_rust(&code), commands.len(), "{code:?}");
        }
    }

    /// Statements, each with a number that no other has.
    fn any_cells() -> impl properties::proptest::strategy::Strategy<Value = (u32, Vec<String>)> {
        use properties::proptest::prelude::*;
        let statement = prop::sample::select(
            &[
                "let a# = f(#);",
                "g(#);",
                "if c { g(#); }",
                "let b# = || {\n    g(#)\n};",
                "let t# = r\"raw\n# \";",
                "fn f#() {\r\n\tg(#)\r\n}",
                "struct S# { x: [u8; #] }\nimpl S# {\n    fn m() {}\n}",
                "/// doc\n#[derive(Debug)]\nenum E# { A }",
                "mod m# {\n    fn f() {\n        g(#)\n    }\n}",
                "m!(# 中文\n  🇨🇳);",
                "use a#::b#;",
                "#![allow(a#)]",
                "fn same() { g(#) }",
                "static C#: u8 = #;",
                "loop { break; }",
                "g(0);",
            ][..],
        );
        let between = prop::sample::select(
            &[
                "\n",
                " ",
                "\r\n",
                "\n\n",
                "  \n\t",
                " // c\n",
                " /* d */ ",
                "\n// e\n  ",
            ][..],
        );
        let last =
            prop::sample::select(&["", "g(#)", "v#.len() // f", "if c { # } else { 0 }"][..]);
        let first = prop::sample::select(&["", ":dep a = \"1\"\n", "// c\n\n", "  /* c */ "][..]);
        let cell = (
            first,
            prop::collection::vec((statement, between), 0..6),
            last,
        )
            .prop_map(|(first, middle, last)| {
                let middle: String = middle.iter().map(|(a, b)| format!("{a}{b}")).collect();
                format!("{first}{middle}{last}")
            });
        let cells = prop::collection::vec(cell, 1..5).prop_map(|cells| {
            let mut number = 1000;
            let numbered = |code: String| {
                // One for each statement; a place is known by it.
                let mut parts = code.split('#');
                let mut numbered = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    number += 1;
                    numbered += &format!("{number}{part}");
                }
                numbered
            };
            cells.into_iter().map(numbered).collect()
        });
        (any::<u32>(), cells)
    }

    #[test]
    fn every_place_that_is_found_is_right_and_what_is_unique_is_found() {
        properties::holds(&any_cells(), |(style, cells): (u32, Vec<String>)| {
            let mut course = Course::new();
            for (index, code) in cells.iter().enumerate() {
                let is_set = |bit: u32| style >> ((bit + 6 * index as u32) % 32) & 1 == 1;
                course.style = Style {
                    displays: is_set(0),
                    awaits: is_set(1),
                    returns: is_set(2),
                    stores: is_set(3),
                    checks: is_set(4),
                    ours: is_set(5),
                };
                course.run(index as u64 + 2, code);
            }
            for index in 0..cells.len() {
                let count = index as u64 + 2;
                let file = course.file(count);
                // Some of the places, others each time, and all numbers.
                let numbers = |at: usize| file[at..].starts_with(|c: char| c.is_ascii_digit());
                let some = |at: usize| (at + style as usize).is_multiple_of(11) || numbers(at);
                for (at, character) in file.char_indices().filter(|(at, _)| some(*at)) {
                    let (line, column) = position(&file, at);
                    let library = Course::library(count);
                    let place = course.map.find(Some(&library), line, column);
                    if let Some(place) = &place {
                        let cell = &cells[place.count as usize - 2];
                        let there = cell.split('\n').nth(place.line - 1).unwrap();
                        let found = there.chars().nth(place.column - 1);
                        let ends = "\r\n".contains(character) || file[at..].starts_with("(\n");
                        assert!(
                            found == Some(character) || ends || character == '&',
                            "{character:?} at {line}:{column} of [{count}] as {place:?}"
                        );
                    }
                    // A number that is there once, and in one cell once, is that one.
                    let number: String = file[at..].chars().take(4).collect();
                    if number.parse::<u32>().is_ok_and(|number| number > 1000)
                        && file[at..].len() > 4
                    {
                        let holds = |cell: &&String| cell.contains(&number);
                        let of = cells.iter().position(|cell| holds(&cell)).unwrap();
                        let place = place.unwrap_or_else(|| panic!("no place: {number} in {file}"));
                        assert_eq!(place.count, of as u64 + 2, "{number}");
                        let before = &cells[of][..cells[of].find(&number).unwrap()];
                        assert_eq!(place.line, before.matches('\n').count() + 1, "{number}");
                    }
                }
            }
        });
    }

    #[test]
    fn no_code_and_no_file_makes_it_panic() {
        let any = (
            properties::text(20),
            properties::text(20),
            0..9_usize,
            0..40_usize,
        );
        properties::holds(&any, |(code, file, line, column)| {
            let mut course = Course::new();
            course.run(2, &code);
            let map = &course.map;
            let _ = map.find(Some(&Course::library(2)), line, column);
            let _ = map.find_in(&file, (3, &code), line, column);
            let _ = map.find_in(&(code.clone() + &file), (3, &code), line, column);
        });
    }
}
