//! Over files that evcxr 0.22.0 has generated, in `examples/`.

use std::ffi::c_void;
use std::fs;
use std::process::Command;
use std::sync::Mutex;

use super::*;

const SECRET: &str = "0123456789abcdef";
/// A cell without variables, with one statement.
const PLAIN: &str = include_str!("examples/plain.rs");
/// One with variables and a `?`, and an expression at its end.
const QUESTION: &str = include_str!("examples/question.rs");
/// One in a notebook that awaits.
const AWAIT: &str = include_str!("examples/await.rs");

/// What evcxr and its own code say in words that any cell may say.
const PLAIN_WORDS: [&str; 3] = [
    "println!(\"EVCXR_PANIC_NOTIFICATION\")",
    "println!(\"{VARIABLE_CHANGED_TYPE}{name}\")",
    "evcxr_internal_runtime::USER_ERROR_OCCURRED)",
];

fn rewritten(text: &str) -> String {
    rewrite(text, SECRET).unwrap()
}

/// `QUESTION` with other statements.
fn with_statements(statements: &str) -> String {
    let start = QUESTION.find("let n: i32").unwrap();
    let end = QUESTION.find("Ok(())})();").unwrap();
    format!("{}{statements}{}", &QUESTION[..start], &QUESTION[end..])
}

/// What rustc says of a file, as far as it is an error.
fn errors(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lib.rs");
    fs::write(&file, text).unwrap();
    let output = rustc()
        .args(["--emit=metadata", "-o"])
        .arg(folder.path().join("checked"))
        .arg(&file)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

fn rustc() -> Command {
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=cdylib", "-Awarnings"]);
    rustc
}

#[test]
fn a_file_with_an_await_is_told_from_one_without() {
    let are_async = [PLAIN, QUESTION, AWAIT].map(is_async);
    assert_eq!(are_async, [false, false, true]);
    assert!(is_async(&rewritten(AWAIT)));
}

#[test]
fn every_kind_of_file_says_in_records_what_evcxr_says_in_plain_words() {
    for (name, text, said) in [
        ("plain", PLAIN, 1),
        ("question", QUESTION, 3),
        ("await", AWAIT, 3),
    ] {
        let count = |text: &str| {
            PLAIN_WORDS
                .iter()
                .filter(|word| text.contains(**word))
                .count()
        };
        assert_eq!(count(text), said, "{name}");
        let new = rewritten(text);
        assert_eq!(count(&new), 0, "{name}: {new}");
        assert_eq!(rewritten(&new), new, "{name}: once more changes nothing");
    }
    assert_eq!(errors(&rewritten(PLAIN)), "");
    assert_eq!(errors(&rewritten(QUESTION)), "");
}

#[test]
fn no_line_of_a_students_is_moved() {
    let cell = "let text = \"一\";\n    dbg!(text, text);\nif true {\n\tdbg!();\n}\n";
    for text in [
        PLAIN.replace("println!(\"hello\");\n", cell),
        with_statements(cell),
    ] {
        let new = rewritten(&text);
        assert_eq!(new.lines().count(), text.lines().count());
        let start = text[..text.find(cell).unwrap()].matches('\n').count();
        let lines = |text: &str| -> Vec<String> {
            text.lines()
                .skip(start)
                .take(5)
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(lines(&new), lines(&text));
        assert_eq!(lines(&new).join("\n") + "\n", cell);
        assert_eq!(errors(&new), "");
    }
}

#[test]
fn what_only_looks_like_evcxrs_code_is_left_alone() {
    let quoted = format!("let quoted = r##\"\n{PLAIN}{QUESTION}\"##;\n");
    let commented = format!("/*\n{QUESTION}*/\n");
    for statements in [&quoted, &commented] {
        let new = rewritten(&with_statements(statements));
        assert!(new.contains(statements), "{new}");
        assert_eq!(errors(&new), "");
        // Among the items, before all of evcxr's code.
        let item = format!("fn item() {{\n{statements}}}\n");
        let new = rewritten(&QUESTION.replacen("fn marked", &format!("{item}fn marked"), 1));
        assert!(new.contains(&item), "{new}");
        assert_eq!(errors(&new), "");
    }
}

#[test]
fn what_does_not_compile_is_left_to_rustc() {
    for broken in [
        "let s = \"never ends;\n",
        "f(;\n",
        "/* never ends\n",
        "}\n",
        "let c = ');\n",
    ] {
        let text = with_statements(broken);
        assert_eq!(rewritten(&text), text, "{broken}");
    }
}

#[test]
fn the_same_is_so_outside_of_all_brackets() {
    for broken in ["/* never ends\n", "const S: &str = \"never ends\n"] {
        let text = PLAIN.replacen(HEADER, &format!("{broken}{HEADER}"), 1);
        assert_eq!(rewritten(&text), text, "{broken}");
    }
}

#[test]
fn a_build_has_the_number_of_its_function() {
    assert_eq!(build("run_user_code_12"), Some(12));
    for other in ["run_user_code_", "run_user_code_x", "evcxr_cell", "12"] {
        assert_eq!(build(other), None, "{other}");
    }
}

#[test]
fn a_cell_that_is_only_compiled_for_its_errors_needs_no_catch() {
    let text = with_statements("wrong();\n")
        .replace(CATCH, "")
        .replace(CAUGHT, "");
    let new = rewritten(&text);
    assert!(new.contains(HEADER), "evcxr calls it as it is: {new}");
    // A student's own is none of evcxr's.
    let own = format!("let a = 1;\n{CATCH}a;\n}})) {{ _ => {{}} }}\n");
    let text = with_statements("wrong();\n")
        .replace(CATCH, "")
        .replace(CAUGHT, "")
        .replace("wrong();\n", &own);
    assert!(rewritten(&text).contains(&own));
    let bare = PLAIN.replace(CATCH_BARE, "").replace(CAUGHT_BARE, "");
    assert!(rewritten(&bare).contains("println!(\"hello\");\nevcxr_variable_store\n}"));
    // A student's own is none of evcxr's.
    let own = bare.replace(
        "println!(\"hello\");\n",
        "if std::panic::catch_unwind(||{\nwrong();\n}).is_err() {\n}\n",
    );
    assert!(rewritten(&own).contains("}).is_err() {\n}\n"));
}

#[test]
fn a_file_without_statements_stays_as_it_is() {
    let header = PLAIN.find(HEADER).unwrap();
    let text = format!("{}{HEADER}7{EMPTY}", &PLAIN[..header]);
    assert_eq!(rewritten(&text), text);
}

#[test]
fn another_evcxr_is_noticed_and_named() {
    for (text, missing) in [
        (PLAIN, ALLOW),
        (PLAIN, HEADER),
        (PLAIN, BARE),
        (PLAIN, END),
        (QUESTION, STORE),
        (QUESTION, "EVCXR_PANIC_NOTIFICATION"),
        (QUESTION, RUNTIME),
        (QUESTION, CHANGED),
        (QUESTION, "USER_ERROR_OCCURRED);"),
        (QUESTION, SHOW_ERROR[0]),
    ] {
        let other = text.replace(missing, &missing.replace(|c: char| c.is_alphabetic(), "x"));
        let error = rewrite(&other, SECRET).expect_err(missing);
        assert!(error.to_string().contains("升级 evcxr"), "{error}");
    }
}

#[test]
fn dbg_prints_the_place_and_is_std_s_otherwise() {
    let uses = with_statements(
        "let a = dbg!(1 + 1, \"二\");\ndbg!();\nlet b: Vec<u8> = dbg!(vec![a.0],);\nlet n = b;\n",
    );
    assert_eq!(errors(&rewritten(&uses)), "");
    assert!(rewritten(&uses).contains(&format!("EVCXR_{SECRET}_PLACE 5:")));
    // What cannot be shown is named at its place in the cell.
    let wrong = with_statements("struct Opaque;\n    dbg!(Opaque);\n");
    let line = wrong[..wrong.find("dbg!").unwrap()].matches('\n').count() + 1;
    let said = errors(&rewritten(&wrong));
    assert!(said.contains(&format!("lib.rs:{line}:10")), "{said}");
    assert!(
        said.contains("`Opaque` doesn't implement `Debug`"),
        "{said}"
    );
}

#[test]
fn a_dbg_is_std_s_whatever_stands_before_it() {
    for statements in [
        "use std::fmt::Debug;\ndbg!(1);\n",
        "let b = !dbg!(true);\n",
        "fn f<'a>(x: &'a u8) -> impl Sized + use<'a> { dbg!(x) }\n",
    ] {
        let new = rewritten(&with_statements(statements));
        assert!(new.contains("_PLACE 5:"), "{statements}");
        assert_eq!(errors(&new), "", "{statements}");
    }
}

#[test]
fn a_dbg_of_ones_own_is_ones_own() {
    for own in [
        "macro_rules! dbg { ($e:expr) => { $e + 1 } }\nlet n: i32 = dbg!(1);\n",
        "mod own { macro_rules! mine { ($e:expr) => { $e + 1 } }\npub(crate) use mine; }\n\
         use own::mine as dbg;\nlet n: i32 = dbg!(1);\n",
        "let dbg = 5; let n: i32 = dbg;\n",
    ] {
        let new = rewritten(&with_statements(own));
        assert!(!new.contains("evcxr_dbg"), "{own}");
        assert_eq!(errors(&new), "", "{own}");
    }
}

#[test]
fn attributes_of_the_file_stay_before_everything_else() {
    let attributes = "#![allow(\n    unused\n)]\n#![warn(missing_docs)] // why\n";
    let text = with_statements("dbg!(1);\n").replace(ALLOW, &format!("{ALLOW}{attributes}"));
    let new = rewritten(&text);
    assert_eq!(errors(&new), "");
    assert_eq!(new.lines().count(), text.lines().count());
    assert!(
        new.contains("#![warn(missing_docs)]#[allow(unused_macros)]"),
        "{new}"
    );
}

#[test]
fn what_documents_the_file_stays_before_everything_else() {
    for (doc, last) in [
        ("//! doc\n", "//! doc\n"),
        ("/*! doc */\n", "/*! doc */\n"),
        (
            "//! doc\n//! more\n#![warn(missing_docs)]\n",
            "#![warn(missing_docs)]",
        ),
    ] {
        let text = with_statements("dbg!(1);\n").replace(ALLOW, &format!("{ALLOW}{doc}"));
        let new = rewritten(&text);
        assert_eq!(errors(&new), "", "{doc}");
        assert_eq!(new.lines().count(), text.lines().count());
        let expected = format!("{last}#[allow(unused_macros)]");
        assert!(new.contains(&expected), "{new}");
    }
}

/// What a cell has told.
static TOLD: Mutex<Vec<(u8, String)>> = Mutex::new(Vec::new());

extern "C" fn tell(kind: u8, text: *const u8, length: usize) {
    // SAFETY: a cell passes a text.
    let text = unsafe { std::slice::from_raw_parts(text, length) };
    let text = String::from_utf8(text.to_vec()).unwrap();
    TOLD.lock().unwrap().push((kind, text));
}

#[test]
fn a_cell_tells_how_it_ended_and_keeps_its_variables() {
    let fuse = "struct Fuse;\nimpl Drop for Fuse { fn drop(&mut self) { panic!(\"in drop\") } }\n";
    let load = "let x = evcxr_variable_store.take_variable::<i32>(stringify!(x));\n";
    let store =
        "evcxr_variable_store.put_variable::<i32>(stringify!(x), x);\nevcxr_variable_store\n}";
    let cell = |build: u32, load: &str, statements: &str, store: &str| {
        with_statements(statements)
            .replace("run_user_code_5", &format!("run_user_code_{build}"))
            .replacen("fn marked", &format!("{fuse}fn marked"), 1)
            .replace("vars_ok &= evcxr_variable_store.check_variable::<i32>(stringify!(x));\n", "")
            .replace("let x = evcxr_variable_store.take_variable::<i32>(stringify!(x));\n", load)
            .replace("evcxr_variable_store.put_variable::<i32>(stringify!(x), x);\nevcxr_variable_store\n}", store)
    };
    let none = "evcxr_variable_store\n}";
    let put = "evcxr_variable_store.put_variable::<i32>(stringify!(x), 7);\n";
    let cells = [
        (cell(1, "", put, none), None),
        // A variable that is not put back is dropped at the end.
        (
            cell(
                2,
                &format!("{load}let fuse = Fuse;\n"),
                "let n = 1;\n",
                store,
            ),
            Some((b'P', "in drop")),
        ),
        (
            cell(
                3,
                load,
                "assert_eq!(x, 7);\n\"no\".parse::<i32>()?;\n",
                store,
            ),
            Some((b'R', "invalid digit found in string")),
        ),
        (
            cell(4, load, "panic!(\"{x}\");\n", store),
            Some((b'P', "7")),
        ),
        (
            cell(5, load, "std::panic::panic_any(5);\n", store),
            Some((b'P', "")),
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut variables: *mut c_void = std::ptr::null_mut();
    for (number, (text, told)) in cells.iter().enumerate() {
        let build = number + 1;
        let (file, library) = (
            folder.path().join("lib.rs"),
            folder.path().join(format!("{build}.so")),
        );
        fs::write(&file, rewritten(text)).unwrap();
        let output = rustc().arg("-o").arg(&library).arg(&file).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // SAFETY: it is of the types that we have generated.
        unsafe {
            let library = libloading::Library::new(&library).unwrap();
            let begin: libloading::Symbol<Begin> = library.get(BEGIN.as_bytes()).unwrap();
            begin(tell)(false);
            let name = format!("run_user_code_{build}");
            let run: libloading::Symbol<extern "C" fn(*mut c_void) -> *mut c_void> =
                library.get(name.as_bytes()).unwrap();
            variables = run(variables);
            std::mem::forget(library);
        }
        let heard = std::mem::take(&mut *TOLD.lock().unwrap());
        let told: Vec<_> = told
            .iter()
            .map(|(kind, text)| (*kind, (*text).to_owned()))
            .collect();
        assert_eq!(heard, told, "cell {build}");
    }
}
