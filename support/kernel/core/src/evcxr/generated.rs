//! The file that evcxr generates for a cell, and what is changed in it before it is compiled.
//!
//! evcxr's code around a cell prints that the cell panicked, returned an error, or lost a variable,
//! in words that any cell may print. Ours writes records that have a secret in them
//! ([`link::record`]), says what the error was, catches what panics when the cell's last variables
//! are dropped, and lets the process flush std's buffer. `dbg!` prints a place that the front knows.
//! No line is added, and nothing on a line of the student's is moved: evcxr and the front know by
//! line and column what came from which cell.
//!
//! What this relies on, of evcxr 0.22 (`eval_context.rs`: `code_to_compile`, `wrap_user_code`,
//! `error_trait_code`; `evcxr_internal_runtime.rs`):
//!
//! ```text
//! #![allow(…)]
//! attributes and items of this cell and earlier ones
//! struct EvcxrUserCodeError and its From        if the cell has a `?`: ERROR
//! mod evcxr_internal_runtime                    if there are variables: RUNTIME, CHANGED
//! #[unsafe(no_mangle)]                          HEADER
//! pub extern "C" fn run_user_code_N(
//! parameters, variables                         STORE, or BARE without variables, or EMPTY
//! catch_unwind of the statements, or the statements alone to find out about errors
//! if they panicked                              CAUGHT, or CAUGHT_BARE
//! variables                                     END
//! ```
//!
//! That is the file that it compiles. To find out about errors or types alone it has another checked,
//! that never runs and is none of ours.
//!
//! Everything is looked for among the tokens, at its depth of brackets, and of several the last or
//! the one at a known place: a student's text that looks the same is left alone. A file whose
//! brackets or quotes do not match is left alone as a whole: it does not compile.

use anyhow::{Context, Result, bail};
use ra_ap_rustc_lexer::{DocStyle, FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

const ALLOW: &str = "#![allow(unused_imports, unused_mut, dead_code)]\n";

const HEADER: &str = "#[unsafe(no_mangle)]\npub extern \"C\" fn run_user_code_";
/// How the function's name begins, at the end of that.
const NAME: &str = "run_user_code_";
/// With variables.
const STORE: &str = "(\nmut evcxr_variable_store: *mut evcxr_internal_runtime::VariableStore)\n  \
    -> *mut evcxr_internal_runtime::VariableStore {\nif evcxr_variable_store.is_null() {\n";
/// Without.
const BARE: &str = "(\nevcxr_variable_store: *mut u8) -> *mut u8 {\n";
/// Without statements.
const EMPTY: &str = "(\nmut x: *mut std::os::raw::c_void) -> *mut std::os::raw::c_void {x}\n";
const END: &str = "evcxr_variable_store\n}\n";

const CATCH: &str = "match std::panic::catch_unwind(\n  std::panic::AssertUnwindSafe(||{\n";
const CATCH_BARE: &str = "if std::panic::catch_unwind(||{\n";
const CAUGHT: &str =
    "})) { \n  Ok(_) => {}\n  Err(_) => {\n    println!(\"EVCXR_PANIC_NOTIFICATION\");\n}}\n";
const CAUGHT_BARE: &str = "}).is_err() {\n    println!(\"EVCXR_PANIC_NOTIFICATION\");\n}\n";
/// How deep in brackets the first bracket of these stands.
const DEPTH: usize = 4;
const DEPTH_BARE: usize = 3;

/// Where `async` statements get their runtime from.
const ASYNC: &str = "evcxr_variable_store.lazy_arc(\"evcxr_tokio_runtime\"";

const RUNTIME: &str = "mod evcxr_internal_runtime {\n";
const CHANGED: &str = "            eprintln!(\"The type of the variable {name} was redefined, so was lost.\",);\n            \
    println!(\"{VARIABLE_CHANGED_TYPE}{name}\");\n";

/// What stands before and behind the trait and the format that an error is shown with.
const ERROR_STRUCT: &str = "struct EvcxrUserCodeError {}\n";
const ERROR: [&str; 3] = [
    "            impl<T: ",
    "> From<T> for EvcxrUserCodeError {\n                fn from(error: T) -> Self {\n",
    "                    println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);\n                    \
        EvcxrUserCodeError {}\n                }\n            }\n        \n",
];
const SHOW_ERROR: [&str; 2] = ["                    eprintln!(\"", "\", error);\n"];

/// What the process that runs a cell calls first in its library.
pub const BEGIN: &str = "evcxr_kernel_begin";
/// It takes what the cell tells its end with, and returns what flushes std's buffer for standard
/// output. That wants `false`.
pub type Begin = unsafe extern "C" fn(Tell) -> extern "C" fn(bool);
/// What is told, one of the three below, and a text with its length.
pub type Tell = extern "C" fn(u8, *const u8, usize);
/// The cell panicked; with what.
pub const PANICKED: u8 = b'P';
/// A `?` returned an error; which.
pub const RETURNED: u8 = b'R';
/// A variable has another type now; its name.
pub const CHANGED_TYPE: u8 = b'C';

/// What we put there.
const CELL: &str = include_str!("generated/cell.rs");
const GUARD: &str = include_str!("generated/guard.rs");
/// Where that stands in the first of these.
const OF_GUARD: &str = "/* GUARD */";
const GUARDED: &str = include_str!("generated/guarded.rs");
const DBG: &str = include_str!("generated/dbg.rs");

/// The number of the file that a cell's function of this name stands in.
pub fn build(name: &str) -> Option<u64> {
    name.strip_prefix(NAME)?.parse().ok()
}

/// Whether a cell's statements are `async` in the file: it has had an `.await`, or an earlier one.
pub fn is_async(text: &str) -> bool {
    text.contains(ASYNC)
}

/// The file with our records in it.
///
/// # Errors
/// When the file is not what this evcxr generates.
pub fn rewrite(text: &str, secret: &str) -> Result<String> {
    let Some(tokens) = tokens(text) else {
        return Ok(text.to_owned()); // rustc says why
    };
    let at_depth = |depth: usize, beginning: &str| {
        let mut tokens = tokens.iter().rev();
        tokens
            .find(|token| token.depth == depth && text[token.at..].starts_with(beginning))
            .map(|token| token.at)
    };
    let ours = one_line(CELL);
    let (begin, end) = ours.split_once(OF_GUARD).expect("it stands there");
    if at_depth(0, begin).is_some() {
        return Ok(text.to_owned());
    }
    if !text.starts_with(ALLOW) {
        bail!(unexpected("第一行"));
    }
    let header = at_depth(0, HEADER).with_context(|| unexpected("单元格的函数"))?;
    let name = header + HEADER.len();
    let build: String = text[name..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let parameters = name + build.len();
    let rest = &text[parameters..];
    if rest == EMPTY {
        return Ok(text.to_owned());
    }
    if !rest.ends_with(END) {
        bail!(unexpected("单元格函数的结尾"));
    }

    let mut changes = Changes::new(text);
    if uses_dbg(text, &tokens) {
        let dbg = one_line(DBG)
            .replace("SECRET", secret)
            .replace("BUILD", &build);
        changes.put(end_of_attributes(text, &tokens), 0, &dbg);
    }
    let guard = match rest.starts_with(STORE) {
        true => one_line(GUARD),
        false => String::new(),
    };
    changes.put(header, 0, &[begin, &guard, end].concat());
    if let Some(function) = rest.strip_prefix(BARE) {
        let at = at_depth(DEPTH_BARE, CAUGHT_BARE).filter(|_| function.starts_with(CATCH_BARE));
        if let Some(at) = at {
            let catch = "if let Err(payload) = std::panic::catch_unwind(||{\n";
            changes.put(text.len() - function.len(), CATCH_BARE.len(), catch);
            let told = "}) {\n    crate::evcxr_kernel::panicked(&*payload);\n}\n";
            changes.put(at, CAUGHT_BARE.len(), told);
        }
        return Ok(changes.done());
    }
    if !rest.starts_with(STORE) {
        bail!(unexpected("单元格函数的参数"));
    }
    if let Some(at) = at_depth(DEPTH, CAUGHT) {
        let told = "})) {\n  Ok(_) => {}\n  Err(payload) => {\n    \
            crate::evcxr_kernel::panicked(&*payload);\n}}\n";
        changes.put(at, CAUGHT.len(), told);
        let name = &text[header + HEADER.len() - NAME.len()..parameters];
        let around = one_line(GUARDED).replace("NAME", name) + "\nfn evcxr_cell";
        changes.put(header, parameters - header, &around);
    } else if catches(rest) {
        bail!(unexpected("对 panic 的处理"));
    }
    let runtime = at_depth(0, RUNTIME).with_context(|| unexpected("变量的模块"))?;
    let module = &text[runtime..header];
    let Some(at) = module.find(CHANGED).filter(|_| module.ends_with("\n}\n")) else {
        bail!(unexpected("变量类型变化的通知"));
    };
    let told = "            crate::evcxr_kernel::tell(b'C', name);\n\n";
    changes.put(runtime + at, CHANGED.len(), told);
    if let Some(at) = at_depth(0, ERROR_STRUCT) {
        let (at, length, told) = returned(&text[..runtime], at + ERROR_STRUCT.len())
            .with_context(|| unexpected("对 ? 的处理"))?;
        changes.put(at, length, &told);
    }
    Ok(changes.done())
}

fn unexpected(what: &str) -> String {
    format!(
        "evcxr 生成的代码里，{what}与预期不同：内核是按 evcxr 0.22 写的，升级 evcxr 时要一起改 {}",
        file!()
    )
}

/// Whether the statements of a cell with variables stand in a `catch_unwind` of evcxr's.
fn catches(function: &str) -> bool {
    const CHECKED: &str = "if !vars_ok {return evcxr_variable_store;}}\n";
    let Some(checked) = function.find(CHECKED) else {
        return true;
    };
    let loads = |line: &&str| {
        line.starts_with("let ") && line.contains("evcxr_variable_store.take_variable::<")
    };
    let rest = &function[checked + CHECKED.len()..];
    let loaded: usize = rest
        .split_inclusive('\n')
        .take_while(loads)
        .map(str::len)
        .sum();
    rest[loaded..].starts_with(CATCH)
}

/// What `From` says of an error, where that stands and how long it is. `text` ends with it, and
/// `start` is behind the declaration of evcxr's error.
fn returned(text: &str, start: usize) -> Option<(usize, usize, String)> {
    let [before, between, behind] = ERROR;
    let after_trait = text[start..].strip_prefix(before)?;
    let (_, shows) = after_trait.split_once(between)?;
    let shown = shows.strip_suffix(behind)?;
    let [show, error] = SHOW_ERROR;
    let format = shown.strip_prefix(show)?.strip_suffix(error)?;
    let at = text.len() - shows.len();
    let (note, _) = behind.split_once('\n')?;
    let told = format!(
        "                    crate::evcxr_kernel::returned(::std::format_args!(\"{format}\", error));\n\n"
    );
    Some((at, shown.len() + note.len() + 1, told))
}

/// A token that is no blank and no comment.
struct Token {
    at: usize,
    length: usize,
    kind: TokenKind,
    /// How many brackets are open before it.
    depth: usize,
}

/// The tokens of a text; `None` if brackets or quotes do not match.
fn tokens(text: &str) -> Option<Vec<Token>> {
    use TokenKind::{CloseBrace, CloseBracket, CloseParen, OpenBrace, OpenBracket, OpenParen};
    let mut open = Vec::new();
    let mut tokens = Vec::new();
    let mut at = 0;
    for token in tokenize(text, FrontmatterAllowed::No) {
        let (kind, length) = (token.kind, token.len as usize);
        let depth = open.len();
        match kind {
            OpenParen => open.push(CloseParen),
            OpenBrace => open.push(CloseBrace),
            OpenBracket => open.push(CloseBracket),
            CloseParen | CloseBrace | CloseBracket if open.pop()? != kind => return None,
            TokenKind::BlockComment {
                terminated: false, ..
            } => return None,
            TokenKind::Literal { kind, .. } if is_open(kind) => return None,
            _ => {}
        }
        if !matches!(
            kind,
            TokenKind::Whitespace
                | TokenKind::LineComment {
                    doc_style: None | Some(DocStyle::Outer)
                }
                | TokenKind::BlockComment {
                    doc_style: None | Some(DocStyle::Outer),
                    ..
                }
        ) {
            tokens.push(Token {
                at,
                length,
                kind,
                depth,
            });
        }
        at += length;
    }
    open.is_empty().then_some(tokens)
}

/// Whether a literal has no end.
fn is_open(kind: LiteralKind) -> bool {
    use LiteralKind::{Byte, ByteStr, CStr, Char, RawByteStr, RawCStr, RawStr, Str};
    match kind {
        Char { terminated } | Byte { terminated } => !terminated,
        Str { terminated } | ByteStr { terminated } | CStr { terminated } => !terminated,
        RawStr { n_hashes } | RawByteStr { n_hashes } | RawCStr { n_hashes } => n_hashes.is_none(),
        LiteralKind::Int { .. } | LiteralKind::Float { .. } => false,
    }
}

/// Whether `dbg!` is called, and is std's: nobody defines or imports another.
fn uses_dbg(text: &str, tokens: &[Token]) -> bool {
    let word = |token: &Token| &text[token.at..token.at + token.length];
    let mut is_called = false;
    let mut imports = false;
    for (index, token) in tokens.iter().enumerate() {
        match word(token) {
            // Not the one in `impl Trait + use<'a>`.
            "use" => {
                imports = tokens
                    .get(index + 1)
                    .is_none_or(|next| next.kind != TokenKind::Lt)
            }
            ";" => imports = false,
            "dbg" | "r#dbg" => {
                let before = index.checked_sub(1).map(|before| word(&tokens[before]));
                let before_that = index.checked_sub(2).map(|before| word(&tokens[before]));
                let defines = before == Some("macro")
                    || (before == Some("!") && before_that == Some("macro_rules"));
                if imports || defines {
                    return false;
                }
                is_called |= tokens
                    .get(index + 1)
                    .is_some_and(|next| next.kind == TokenKind::Bang);
            }
            _ => {}
        }
    }
    is_called
}

/// Where the first item may stand: behind the attributes of the file.
fn end_of_attributes(text: &str, tokens: &[Token]) -> usize {
    let mut end = 0;
    let mut rest = tokens;
    loop {
        match rest {
            [
                Token {
                    kind: TokenKind::Pound,
                    ..
                },
                Token {
                    kind: TokenKind::Bang,
                    ..
                },
                ..,
            ] => {
                let close =
                    |token: &Token| token.kind == TokenKind::CloseBracket && token.depth == 1;
                let Some(close) = rest.iter().position(close) else {
                    return end;
                };
                end = rest[close].at + 1;
                rest = &rest[close + 1..];
            }
            [
                Token {
                    at, length, kind, ..
                },
                tail @ ..,
            ] if is_doc(*kind) => {
                // What follows stands on the next line, or behind the comment's end.
                end = at + length + usize::from(text[at + length..].starts_with('\n'));
                rest = tail;
            }
            _ => return end,
        }
    }
}

/// Whether it is a comment that documents the file.
fn is_doc(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. }
    )
}

/// A Rust file without line comments, on one line, and a blank.
fn one_line(file: &str) -> String {
    let lines = file
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    lines.flat_map(|line| [line, " "]).collect()
}

/// A text of which parts are replaced.
struct Changes<'a> {
    text: &'a str,
    /// Where, how many bytes, by what.
    changes: Vec<(usize, usize, String)>,
}

impl Changes<'_> {
    fn new(text: &str) -> Changes<'_> {
        Changes {
            text,
            changes: Vec::new(),
        }
    }

    fn put(&mut self, at: usize, length: usize, new: &str) {
        let lines = |text: &str| text.matches('\n').count();
        debug_assert_eq!(lines(&self.text[at..at + length]), lines(new), "{new}");
        self.changes.push((at, length, new.to_owned()));
    }

    fn done(mut self) -> String {
        self.changes.sort_by_key(|(at, ..)| *at); // stable: what is put in first stands first
        let mut done = String::with_capacity(self.text.len() * 2);
        let mut from = 0;
        for (at, length, new) in &self.changes {
            done += &self.text[from..*at];
            done += new;
            from = at + length;
        }
        done + &self.text[from..]
    }
}

#[cfg(test)]
mod tests;
