//! Which cell, line and column a place in a file that evcxr generates came from.
//!
//! Each cell is compiled from a file of its own, in which evcxr puts each statement on lines of its
//! own, wraps the last expression, and repeats the items of earlier cells. All of these files have
//! the same name, and code from an earlier one may still be running: a closure, a task. So a place
//! is looked up in the file of the library that the code is in, and a statement is found there as
//! a whole, as it stands in its cell. What is not certain is not said: a wrong place is worse than
//! none.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ra_ap_syntax::ast::{HasModuleItem, Item};
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode};

/// What every generated file is called in the messages of rustc and in panics.
pub const GENERATED: &str = "src/lib.rs";

/// What evcxr writes before the last expression, which it shows.
const BRACKET: &str = "(\n";

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

/// The cells, and the libraries that were made of them.
#[derive(Default)]
pub struct SourceMap {
    cells: Vec<Rc<Cell>>,
    builds: Vec<Build>,
}

struct Cell {
    count: u64,
    code: String,
    statements: Vec<Statement>,
}

struct Statement {
    /// Where its text is in the cell.
    start: usize,
    end: usize,
    /// Whether evcxr repeats it in later files.
    is_item: bool,
}

/// What a cell was run from.
struct Build {
    library: PathBuf,
    cell: Rc<Cell>,
}

/// Where the file is kept that a library was made from; evcxr overwrites its own.
pub fn kept(library: &Path) -> PathBuf {
    library.with_extension("rs")
}

impl SourceMap {
    /// The code of a cell, as evcxr has made it into this library, begins to run.
    pub fn add(&mut self, _build: u64, library: &Path, count: u64, code: &str) {
        let known = self.cells.last().filter(|cell| cell.count == count);
        let cell = match known.filter(|cell| cell.code == code) {
            Some(cell) => cell.clone(), // compiled and run once more
            None => {
                let cell = Rc::new(Cell::new(count, code));
                self.cells.push(cell.clone());
                cell
            }
        };
        let library = library.to_owned();
        self.builds.push(Build { library, cell });
    }

    pub fn find_build(&self, _build: u64, _line: usize, _column: usize) -> Option<Place> {
        None
    }
    /// The place in a cell that this place in the generated file of `library` is. Without a
    /// library it may be any: then there is an answer only if no two have different ones.
    pub fn find(&self, library: Option<&Path>, line: usize, column: usize) -> Option<Place> {
        let possible = |build: &&Build| library.is_none_or(|library| library == build.library);
        let found: HashSet<Place> = self
            .builds
            .iter()
            .filter(possible)
            .filter_map(|build| {
                let generated = fs::read_to_string(kept(&build.library)).ok()?;
                self.find_in(build, &generated, line, column)
            })
            .collect();
        let mut found = found.into_iter();
        found.next().filter(|_| found.next().is_none())
    }

    fn find_in(&self, build: &Build, generated: &str, line: usize, column: usize) -> Option<Place> {
        let at = offset(generated, line, column)?;
        self.find_at(build, generated, at).or_else(|| {
            // The brackets that evcxr puts around the last expression are a part of it to rustc.
            let inside = generated[at..]
                .starts_with(BRACKET)
                .then(|| at + BRACKET.len())?;
            self.find_at(build, generated, inside)
        })
    }

    fn find_at(&self, build: &Build, generated: &str, at: usize) -> Option<Place> {
        let own = build.cell.count;
        let mut found: Option<(usize, Place)> = None;
        // The newest first: an item that is defined again replaces the earlier one.
        for cell in self.cells.iter().rev().filter(|cell| cell.count <= own) {
            for statement in &cell.statements {
                let length = statement.end - statement.start;
                let is_there = cell.count == own || statement.is_item;
                // A short one may stand within a longer one by chance, not the other way round.
                if !is_there
                    || found
                        .as_ref()
                        .is_some_and(|(longest, _)| *longest >= length)
                {
                    continue;
                }
                if let Some(within) = cell.offset_within(statement, generated, at) {
                    found = Some((length, cell.place(within)?));
                }
            }
        }
        Some(found?.1)
    }
}

impl Cell {
    fn new(count: u64, code: &str) -> Cell {
        Cell {
            count,
            code: code.to_owned(),
            statements: statements(code),
        }
    }

    fn text(&self, statement: &Statement) -> &str {
        &self.code[statement.start..statement.end]
    }

    /// If the statement stands in the generated file around `at`: where that is in the cell. None
    /// either if the cell has it more often than the file, and so it may be another one.
    fn offset_within(&self, statement: &Statement, generated: &str, at: usize) -> Option<usize> {
        let text = self.text(statement);
        let starts: Vec<usize> = occurrences(generated, text).collect();
        let index = starts
            .iter()
            .position(|start| (*start..start + text.len()).contains(&at))?;
        let same: Vec<&Statement> = self
            .statements
            .iter()
            .filter(|other| self.text(other) == text)
            .collect();
        let meant = match (same.len(), starts.len()) {
            (1, 1) => same[0],
            (there, here) if there == here => same[index], // evcxr keeps their order
            _ => return None,
        };
        Some(meant.start + at - starts[index])
    }

    fn place(&self, offset: usize) -> Option<Place> {
        let before = &self.code[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Place {
            count: self.count,
            line: before.matches('\n').count() + 1,
            column: self.code[start..offset].chars().count() + 1,
            text: self.code[start..].lines().next()?.to_owned(),
        })
    }
}

/// The byte at a line and a column, both from 1; columns are characters.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text[start..].find('\n')? + 1;
    }
    let line = text[start..].split('\n').next()?;
    let (within, _) = line.char_indices().nth(column.checked_sub(1)?)?;
    Some(start + within)
}

/// Where `part` stands in `text` on lines of its own, as evcxr writes statements.
fn occurrences(text: &str, part: &str) -> impl Iterator<Item = usize> {
    text.match_indices(part)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let begins = at == 0 || text.as_bytes()[at - 1] == b'\n';
            let rest = text[at + part.len()..].trim_start_matches([' ', '\t', '\r']);
            begins && (rest.is_empty() || rest.starts_with('\n'))
        })
}

/// Splits a cell as evcxr does, with its parser; leaves out the white space behind statements,
/// and comments, which it keeps with the statement before.
fn statements(code: &str) -> Vec<Statement> {
    let rust = start_of_rust(code);
    const PRELUDE: &str = "fn f(){";
    let parsed = SourceFile::parse(
        &format!("{PRELUDE}{}\n}}", &code[rust..]),
        Edition::Edition2024,
    );
    let Some(Item::Fn(whole)) = parsed.tree().items().next() else {
        return Vec::new();
    };
    let Some(list) = whole.body().and_then(|body| body.stmt_list()) else {
        return Vec::new();
    };
    let nodes: Vec<SyntaxNode> = list.syntax().children().collect();
    let mut start = rust;
    let mut found = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let end = nodes.get(index + 1).map_or(code.len(), |next| {
            let next = usize::from(next.text_range().start());
            (next - PRELUDE.len() + rust).min(code.len())
        });
        let text = code[start..end].trim_end();
        if !text.is_empty() {
            found.push(Statement {
                start,
                end: start + text.len(),
                is_item: Item::can_cast(node.kind()) && node.kind() != SyntaxKind::MACRO_CALL,
            });
        }
        start = end;
    }
    found
}

/// Where the commands to evcxr end, which stand before all Rust.
fn start_of_rust(code: &str) -> usize {
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
