//! The student's own functions that led to a panic, by name: from the addresses on the stack, and the
//! symbols of the cells' libraries.
//!
//! Each cell is a small library of the crate `ctx`, which repeats the items of earlier cells, so
//! that its symbols take no time to read; debug information it has none. What evcxr and we put
//! around a cell, std, tokio and all other crates say nothing to a student and are left out. A
//! symbol calls the body of an `async fn`, an `async` block and a closure the same: `{{closure}}`.
//! Which of them it is, the cells' code knows, or it is not said.

use std::ops::Range;
use std::path::PathBuf;

use object::{Object, ObjectSymbol};
use rustc_demangle::demangle;
use serde_json::Value;

/// Of a longer trail the middle is left out.
const FIRST: usize = 4;
const LAST: usize = 8;

/// The crate that every cell is.
const CRATE: &str = "ctx";
/// How what has no name of its own is called.
const IN_CELL: &str = "单元格 [";
/// The functions into which evcxr and we put a cell's statements.
const OF_CELL: [&str; 2] = ["run_user_code_", "evcxr_cell"];
/// Modules that are not the student's.
const INTERNAL: &str = "evcxr_";
/// What evcxr puts around a cell's statements besides what catches panics, each of which is a closure
/// to rustc: how it begins.
const AROUND: [&str; 2] = [
    "\n.block_on(async {\n",
    "\nlet _ = (|| -> std::result::Result<(), EvcxrUserCodeError> {\n",
];

/// Addresses of code on the stack of a panic, in one library: the panic's own first.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    pub library: PathBuf,
    addresses: Vec<u64>,
}

/// What has been written of a stack ([`link::stack`]).
pub fn frames(stack: &Value) -> Vec<Frames> {
    let parts = stack.as_array().into_iter().flatten();
    let frames = parts.filter_map(|part| {
        let addresses = part[1].as_array()?.iter();
        Some(Frames {
            library: part[0].as_str()?.into(),
            addresses: addresses.filter_map(Value::as_u64).collect(),
        })
    });
    frames.collect()
}

/// A cell's code, and whether that defines the function that is looked for.
pub struct Source<'a> {
    /// The code that says `fn` and this name, if some does.
    pub of: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The cell that the library was made of.
    pub count: u64,
    pub code: &'a str,
    /// The file that it was made from.
    pub generated: &'a str,
}

/// What the crate of the cells has in a library: where each function's code lies, and its symbol.
#[derive(Default)]
pub struct Symbols(Vec<(Range<u64>, String)>);

impl Symbols {
    /// Those of a library; none if it is none.
    pub fn of(library: &[u8]) -> Symbols {
        let Ok(file) = object::File::parse(library) else {
            return Symbols::default();
        };
        let symbols = file.symbols().filter_map(|symbol| {
            let name = symbol.name().ok().filter(|name| name.contains(CRATE))?;
            let code = symbol.address()..symbol.address().checked_add(symbol.size())?;
            Some((code, format!("{:#}", demangle(name))))
        });
        Symbols(symbols.collect())
    }

    /// The names of the student's functions at these addresses, in the same order.
    pub fn names(&self, frames: &Frames, source: &Source) -> Vec<String> {
        let of = |address: &u64| {
            let mut symbols = self.0.iter();
            let (_, symbol) = symbols.find(|(code, _)| code.contains(address))?;
            readable(symbol, source)
        };
        frames.addresses.iter().filter_map(of).collect()
    }
}

/// How a student would call the function that a symbol is of; None if it is none of theirs.
fn readable(symbol: &str, source: &Source) -> Option<String> {
    let path = segments(symbol);
    let first = *path.first()?;
    if first != CRATE && !is_own_impl(first)
        || path
            .iter()
            .any(|segment| segment.starts_with(INTERNAL) && *segment != OF_CELL[1])
    {
        return None;
    }
    let is_closure = |segment: &&str| segment.trim_start_matches('{').starts_with("closure");
    let closures = path
        .iter()
        .rev()
        .take_while(|segment| is_closure(segment))
        .count();
    let named = &path[..path.len() - closures];
    // What stands within a closure has no name of that.
    let start = named.iter().rposition(is_closure).map_or(0, |at| at + 1);
    let name: Vec<&str> = named[start..]
        .iter()
        .filter(|segment| **segment != CRATE)
        .map(|segment| type_of(segment))
        .collect();
    let last = name.last()?;
    if OF_CELL.iter().any(|function| last.starts_with(function)) {
        let around = AROUND
            .iter()
            .filter(|text| source.generated.contains(**text));
        let has_own = closures > 1 + around.count();
        return has_own.then(|| format!("{IN_CELL}{}] 里的{}", source.count, block(source.code)));
    }
    let code = (source.of)(last).unwrap_or_default();
    let is_async = closures > 0 && is_async(code, last);
    let name = match is_async {
        true => format!("async fn {}", name.join("::")),
        false => name.join("::"),
    };
    Some(match closures - usize::from(is_async) {
        0 => name,
        _ => format!("{name} 里的{}", block(code)),
    })
}

/// The parts of a path, with those of types in one piece.
fn segments(symbol: &str) -> Vec<&str> {
    let mut open = 0;
    let mut start = 0;
    let mut segments = Vec::new();
    for (at, character) in symbol.char_indices() {
        match character {
            '<' => open += 1,
            '>' if !symbol[..at].ends_with('-') => open -= 1,
            ':' if open == 0 && symbol[at..].starts_with("::") => {
                segments.push(&symbol[start..at]);
                start = at + 2;
            }
            _ => {}
        }
    }
    segments.push(&symbol[start..]);
    segments
}

/// Whether `<A as B>` is a type or a trait of the student's.
fn is_own_impl(segment: &str) -> bool {
    let inside = segment.trim_start_matches('<');
    let (kind, of_trait) = inside.split_once(" as ").unwrap_or((inside, ""));
    segment.starts_with('<')
        && [kind, of_trait].iter().any(|path| {
            path.trim_start_matches("impl ")
                .trim_start_matches(['&', '('])
                .trim_start_matches("mut ")
                .starts_with("ctx::")
        })
}

/// The name of the type alone: `Flag` for `<ctx::Flag<T> as core::fmt::Debug>` and for
/// `<impl ctx::Load for ctx::Flag<T>>`.
fn type_of(segment: &str) -> &str {
    let Some(inside) = segment.strip_prefix('<') else {
        return segment;
    };
    let kind = match inside.strip_prefix("impl ") {
        Some(inside) => inside.split_once(" for ").map_or(inside, |(_, kind)| kind),
        None => inside.split_once(" as ").map_or(inside, |(kind, _)| kind),
    };
    let end = kind.find(['<', '>']).unwrap_or(kind.len());
    kind[..end].rsplit("::").next().unwrap_or(kind)
}

/// Whether a cell says `async fn` and this name.
fn is_async(code: &str, name: &str) -> bool {
    let mut functions = code.match_indices("fn ").filter(|(at, _)| {
        let rest = code[at + 3..].trim_start();
        let behind = rest.strip_prefix(name);
        behind.is_some_and(|behind| !behind.starts_with(is_of_name))
    });
    functions.any(|(at, _)| {
        let before = code[..at].trim_end();
        let before = before.strip_suffix("unsafe").unwrap_or(before).trim_end();
        before.ends_with("async")
    })
}

/// Whether a cell defines a function of this name.
pub fn defines(code: &str, name: &str) -> bool {
    let mut names = code.match_indices(name);
    names.any(|(at, _)| {
        let before = code[..at].trim_end();
        before.len() < at
            && before.ends_with("fn")
            && !code[at + name.len()..].starts_with(is_of_name)
    })
}

fn is_of_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// What has no name, as far as the code says which it is.
fn block(code: &str) -> &'static str {
    let words: Vec<&str> = code.split_whitespace().collect();
    let is_block = |pair: &[&str]| {
        pair[0].ends_with("async") && (pair[1].starts_with('{') || pair[1].starts_with("move"))
    };
    let has_blocks = words.windows(2).any(is_block) || code.contains("async{");
    match (has_blocks, code.contains('|')) {
        (true, false) => " async 块",
        (false, true) => "闭包",
        _ => "闭包或 async 块",
    }
}

/// The line that tells them; `names` begins with the panic's own function.
pub fn line(mut names: Vec<String>) -> Option<String> {
    names.reverse();
    let mut steps: Vec<(String, usize)> = Vec::new();
    for name in names {
        match steps.last_mut() {
            Some((last, times)) if *last == name => *times += 1,
            // `#[tokio::main]` makes an `async fn` into a function that runs its body.
            Some((last, times)) if *times == 1 && name == format!("async fn {last}") => {
                *last = name
            }
            _ => steps.push((name, 1)),
        }
    }
    let mut shown: Vec<String> = steps
        .into_iter()
        .map(|(name, times)| match times {
            1 => name,
            _ => format!("{name}（反复）"), // only what is nearest to the panic is known
        })
        .collect();
    if shown.len() > FIRST + LAST + 1 {
        shown.splice(FIRST..shown.len() - LAST, ["…".to_owned()]);
    }
    // The panic's own place says in which cell it is.
    let says_more = shown.iter().any(|name| !name.starts_with(IN_CELL));
    says_more.then(|| format!("经过的函数：{}", shown.join(" → ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A library of a cell, and where in it the code of its function `inner` begins.
    pub fn library_with_inner() -> (Vec<u8>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let (file, library) = (folder.path().join("lib.rs"), folder.path().join("lib.so"));
        let code = "#[inline(never)]\nfn inner() { std::hint::black_box(1); }\n\
            #[unsafe(no_mangle)]\npub extern \"C\" fn run_user_code_1() { inner() }\n";
        std::fs::write(&file, code).unwrap();
        let status = std::process::Command::new("rustc")
            .args([
                "--edition=2024",
                "--crate-type=cdylib",
                "--crate-name=ctx",
                "-o",
            ])
            .args([&library, &file])
            .status();
        assert!(status.unwrap().success());
        let bytes = std::fs::read(&library).unwrap();
        let symbols = object::File::parse(&*bytes).unwrap();
        let inner = symbols
            .symbols()
            .find(|symbol| symbol.name().unwrap().contains("5inner"));
        let inner = inner.unwrap().address();
        (bytes, inner)
    }

    const CODE: &str = "async fn fetch(n: u32) {}\nfn apply() { [1].map(|n| n); }\n\
        #[tokio::main]\nasync fn main() {}";

    fn told(symbol: &str, code: &str, generated: &str) -> Option<String> {
        let source = Source {
            of: &|name| [CODE].into_iter().find(|code| defines(code, name)),
            count: 5,
            code,
            generated,
        };
        readable(symbol, &source)
    }

    #[test]
    fn a_symbol_is_called_as_the_student_would() {
        for (symbol, expected) in [
            ("ctx::parse", Some("parse")),
            ("ctx::Flag::new", Some("Flag::new")),
            ("<ctx::Flag as core::fmt::Debug>::fmt", Some("Flag::fmt")),
            ("<ctx::Flag<T> as ctx::Load>::load", Some("Flag::load")),
            (
                "<&mut ctx::Flag as core::ops::drop::Drop>::drop",
                Some("Flag::drop"),
            ),
            ("ctx::<impl ctx::Load for u32>::load", Some("u32::load")),
            ("ctx::outer::inner", Some("outer::inner")),
            (
                "<ctx::Flag<fn() -> u8> as ctx::Load>::load",
                Some("Flag::load"),
            ),
            ("ctx::fetch", Some("fetch")), // makes the future
            ("ctx::fetch::{{closure}}", Some("async fn fetch")),
            (
                "ctx::fetch::{{closure}}::{{closure}}",
                Some("async fn fetch 里的闭包"),
            ),
            ("ctx::apply::{{closure}}", Some("apply 里的闭包")),
            ("ctx::run_user_code_4::{{closure}}::helper", Some("helper")),
            ("core::option::Option<T>::unwrap", None),
            ("core::ptr::drop_in_place<ctx::Flag>", None),
            (
                "<core::iter::Map<ctx::A> as core::iter::Iterator>::next",
                None,
            ),
            (
                "ctx::evcxr_internal_runtime::VariableStore::take_variable",
                None,
            ),
            ("ctx::evcxr_kernel::panicked", None),
            ("run_user_code_4", None),
            ("main", None),
            ("", None),
        ] {
            assert_eq!(told(symbol, "", "").as_deref(), expected, "{symbol}");
        }
    }

    #[test]
    fn of_a_cells_own_code_only_what_the_student_has_put_around_it_is_told() {
        let awaits = "catch_unwind(||{\nx\n.block_on(async {\n";
        for (symbol, code, generated, expected) in [
            ("ctx::evcxr_cell", "", "", None),
            ("ctx::evcxr_cell::{{closure}}", "", "", None),
            ("ctx::run_user_code_3::{{closure}}", "", awaits, None),
            (
                "ctx::evcxr_cell::{{closure}}::{{closure}}",
                "",
                awaits,
                None,
            ),
            (
                "ctx::evcxr_cell::{{closure}}::{{closure}}",
                "v.iter().map(|n| n)",
                "",
                Some("单元格 [5] 里的闭包"),
            ),
            (
                "ctx::evcxr_cell::{{closure}}::{{closure}}::{{closure}}",
                "tokio::spawn(async move { 1 });",
                awaits,
                Some("单元格 [5] 里的 async 块"),
            ),
            (
                "ctx::evcxr_cell::{{closure}}::{{closure}}::{{closure}}",
                "tokio::spawn(async { f(|n| n) });",
                awaits,
                Some("单元格 [5] 里的闭包或 async 块"),
            ),
        ] {
            let told = told(symbol, code, generated);
            assert_eq!(told.as_deref(), expected, "{symbol}");
        }
    }

    #[test]
    fn a_cell_defines_a_function_where_it_says_fn_and_its_name() {
        for (code, expected) in [
            ("fn f() {}", true),
            ("async fn\n f<T>() {}", true),
            ("f(); fn f() {}", true),
            ("f();", false),
            ("let f = 1;", false),
            ("fnf();", false),
            ("fn f2() {}", false),
            ("fn f_() {}", false),
            ("fn ff() {}", false),
        ] {
            assert_eq!(defines(code, "f"), expected, "{code}");
        }
    }

    #[test]
    fn a_trail_is_told_from_its_beginning_and_not_at_any_length() {
        let line = |names: &[&str]| line(names.iter().map(|name| name.to_string()).collect());
        assert_eq!(line(&[]), None);
        assert_eq!(line(&["单元格 [5] 里的闭包"]), None);
        let told = line(&["parse", "async fn main", "main"]);
        assert_eq!(told.as_deref(), Some("经过的函数：async fn main → parse"));
        let told = line(&["stop", "count", "count", "count"]);
        assert_eq!(told.as_deref(), Some("经过的函数：count（反复） → stop"));
        let told = |count: usize| {
            let names = (0..count).map(|n| n.to_string()).collect();
            super::line(names).unwrap()
        };
        assert!(told(40).contains("36 → … → 7"), "{}", told(40));
        assert!(told(FIRST + LAST + 2).contains('…'));
        assert!(!told(FIRST + LAST + 1).contains('…'));
    }

    #[test]
    fn a_library_of_a_cell_has_the_names_of_its_functions() {
        let (bytes, inner) = library_with_inner();
        let library = "lib.so";
        let frames = frames(&serde_json::json!([
            [library, [inner + 1, 1, u64::MAX]],
            [7, []],
            [library],
        ]));
        assert_eq!(frames.len(), 1);
        let source = Source {
            of: &|_| None,
            count: 1,
            code: "",
            generated: "",
        };
        assert_eq!(Symbols::of(&bytes).names(&frames[0], &source), ["inner"]);
        let none = Symbols::of(b"no library");
        assert_eq!(none.names(&frames[0], &source), [""; 0]);
    }
}
