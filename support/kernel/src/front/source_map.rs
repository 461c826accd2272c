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
    pub fn add(&mut self, library: &Path, count: u64, code: &str) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands around a cell's code in the file.
    const BEFORE: &str = "#![allow(unused)]\npub extern \"C\" fn run_user_code_1() {\n";

    /// Cells that have been run, each from a file that evcxr would write for it.
    struct Course {
        folder: tempfile::TempDir,
        map: SourceMap,
        items: String,
    }

    impl Course {
        fn new() -> Course {
            Course {
                folder: tempfile::tempdir().unwrap(),
                map: SourceMap::default(),
                items: String::new(),
            }
        }

        fn library(&self, count: u64) -> PathBuf {
            self.folder.path().join(format!("libcode_{count}.so"))
        }

        fn run(&mut self, count: u64, code: &str) {
            let (mut items, mut body) = (String::new(), String::new());
            let cell = Cell::new(count, code);
            for (index, statement) in cell.statements.iter().enumerate() {
                let next = cell.statements.get(index + 1);
                let end = next.map_or(code.len(), |next| next.start);
                let mut text = code[statement.start..end].to_owned();
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                if statement.is_item {
                    items += &text;
                } else if next.is_none() && !text.trim_end().ends_with([';', '}']) {
                    body += &format!("evcxr_send_text_plain(&format!(\"{{:?}}\",&(\n{text})));\n");
                } else {
                    body += &text;
                }
            }
            self.items += &items;
            let file = format!("{}{BEFORE}{body}}}\n", self.items);
            let library = self.library(count);
            fs::write(kept(&library), file).unwrap();
            self.map.add(&library, count, code);
        }

        /// Where a piece of the file of cell `count` came from.
        fn find(&self, count: u64, piece: &str) -> Option<(u64, usize, usize)> {
            let library = self.library(count);
            let file = fs::read_to_string(kept(&library)).unwrap();
            self.find_at(count, file.find(piece).unwrap())
        }

        fn find_at(&self, count: u64, at: usize) -> Option<(u64, usize, usize)> {
            let library = self.library(count);
            let (line, column) = self.position(count, at);
            let place = self.map.find(Some(&library), line, column)?;
            Some((place.count, place.line, place.column))
        }

        fn position(&self, count: u64, at: usize) -> (usize, usize) {
            let file = fs::read_to_string(kept(&self.library(count))).unwrap();
            let before = &file[..at];
            let line = before.rsplit('\n').next().unwrap();
            (before.matches('\n').count() + 1, line.chars().count() + 1)
        }
    }

    #[test]
    fn statements_on_one_line_are_told_apart() {
        let mut course = Course::new();
        course.run(2, "let n = 5;\nn");
        let code = "let b = 1; let nothing: Option<u8> = None; nothing.unwrap();";
        course.run(3, code);
        let column = code.find("unwrap").unwrap() + 1;
        assert_eq!(course.find(3, "unwrap"), Some((3, 1, column)));
        assert_eq!(course.find(2, "5;"), Some((2, 1, 9)));
        assert_eq!(course.find(2, "n\n)"), Some((2, 2, 1)));
        // What fails is the whole expression, which for rustc begins at the bracket.
        assert_eq!(course.find(2, "(\nn"), Some((2, 2, 1)));
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
    }

    #[test]
    fn the_same_statement_elsewhere_does_not_confuse() {
        let mut course = Course::new();
        course.run(2, "check();");
        course.run(3, "check();\nif true {\ncheck();\n}");
        assert_eq!(
            course.find(3, "check"),
            None,
            "which one may not be certain"
        );
        course.run(4, "check();\nlet y = 1;\n  check(); last();");
        assert_eq!(course.find(4, "check"), Some((4, 1, 1)));
        let file = fs::read_to_string(kept(&course.library(4))).unwrap();
        let second = file.rfind("check").unwrap();
        assert_eq!(course.find_at(4, second), Some((4, 3, 3)));
        // A cell that was run twice.
        course.run(5, "check();");
        assert_eq!(course.find(5, "check"), Some((5, 1, 1)));
        assert_eq!(course.find(2, "check"), Some((2, 1, 1)));
    }

    #[test]
    fn a_short_line_within_a_longer_statement_is_not_meant() {
        let mut course = Course::new();
        course.run(2, "n");
        course.run(3, "let good = spawn(async {\n    let n = 1;\n    n\n});\nn");
        assert_eq!(course.find(3, "    n\n"), Some((3, 3, 1)));
        assert_eq!(course.find(3, "let n"), Some((3, 2, 5)));
    }

    #[test]
    fn columns_are_characters_and_lines_may_end_in_any_way() {
        let mut course = Course::new();
        course.run(
            2,
            "let 名 = \"中文🇨🇳\"; 名.fail();\r\n\tlet b = 2;\r\n\tb.fail()",
        );
        assert_eq!(course.find(2, "名.fail"), Some((2, 1, 17)));
        assert_eq!(course.find(2, "b.fail"), Some((2, 3, 2)));
    }

    #[test]
    fn commands_and_comments_before_a_cell_count_as_lines() {
        let mut course = Course::new();
        course.run(2, ":dep a = \"1\"\n\n// why\nfail();");
        assert_eq!(course.find(2, "fail"), Some((2, 4, 1)));
    }

    #[test]
    fn what_evcxr_writes_itself_is_no_place() {
        let mut course = Course::new();
        course.run(2, "n");
        assert_eq!(course.find(2, "run_user_code"), None);
        assert_eq!(course.find(2, "evcxr_send"), None);
        assert_eq!(course.map.find(Some(&course.library(2)), 99, 1), None);
        assert_eq!(course.map.find(Some(Path::new("/other.so")), 1, 1), None);
    }

    #[test]
    fn without_a_library_only_what_cannot_be_another_place_is_one() {
        let mut course = Course::new();
        course.run(2, "first();");
        let (line, column) = course.position(2, BEFORE.len());
        let place = course.map.find(None, line, column).unwrap();
        assert_eq!((place.count, &*place.text), (2, "first();"));
        course.run(3, "second();");
        assert_eq!(course.map.find(None, line, column), None);
    }
}
