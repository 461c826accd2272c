//! Jupyter's own programs with our kernel: they see what JupyterLab sees.

use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

use crate::common::command::{Ended, LONG, SHORT, all_gone, start_reading};
use crate::common::{FIRST_CELL, clean, notebook, project, python};
use crate::mistakes::plain;
use serde_json::{Value, json};

/// Runs one of Jupyter's programs in the notebooks' folder, with `input` to read.
fn jupyter(program: &str, arguments: &[&str], input: &str) -> Ended {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    let mut command: Command = clean(python());
    let command = command
        .args(["-m", program])
        .args(arguments)
        .current_dir(project().notebooks());
    let running = start_reading(command, file);
    let mark = running.mark.clone();
    let ended = running.finish(LONG);
    all_gone(&mark, SHORT);
    ended
}

/// Executes a notebook with these cells, with or without going on after errors, into `folder`.
fn nbconvert(cells: &[(&str, bool)], allow_errors: bool, folder: &Path) -> Ended {
    let out = format!("--output-dir={}", folder.display());
    let mut arguments = vec![
        "--stdin",
        "--to=notebook",
        "--execute",
        "--output=executed",
        "--ExecutePreprocessor.kernel_name=rust",
        &out,
    ];
    arguments.extend(allow_errors.then_some("--allow-errors"));
    jupyter("nbconvert", &arguments, &notebook(cells))
}

#[test]
fn nbconvert_stops_at_a_cell_that_panics_and_shows_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later");
    let cell = format!("std::fs::write({later:?}, \"\").unwrap();");
    let cells = [
        (FIRST_CELL, false),
        ("panic!(\"as announced\")", false),
        (&cell, false),
    ];
    let ended = nbconvert(&cells, false, folder.path());
    assert!(!ended.status.success(), "{}", ended.text);
    assert!(ended.text.contains("CellExecutionError"), "{}", ended.text);
    assert!(ended.text.contains("as announced"), "{}", ended.text);
    assert!(!later.exists(), "the next cell was executed");
}

#[test]
fn nbconvert_that_allows_errors_goes_on_and_stores_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let cells = [
        (FIRST_CELL, false),
        ("let kept = 42; println!(\"set\");", false),
        ("panic!(\"as announced\")", false),
        ("let n: i32 = \"abc\".parse()?;", false),
        ("let n: i32 = \"\";", false),
        ("println!(\"kept: {kept}\");", false),
    ];
    let ended = nbconvert(&cells, true, folder.path()).succeeded();
    let executed = fs::read(folder.path().join("executed.ipynb"));
    let executed: Value = serde_json::from_slice(&executed.unwrap()).unwrap();
    let outputs = |cell: usize| executed["cells"][cell]["outputs"].as_array().unwrap();
    for (cell, message) in [
        (2, "as announced"),
        (3, "invalid digit"),
        (4, "mismatched types"),
    ] {
        // The error, and nothing else: no panic's text on stderr, no notice as a result.
        let [error] = outputs(cell).as_slice() else {
            panic!("cell {cell}: {:#?}", outputs(cell));
        };
        assert_eq!(error["output_type"], "error");
        assert!(
            error["evalue"].as_str().unwrap().contains(message),
            "{error:#}"
        );
    }
    let [last] = outputs(5).as_slice() else {
        panic!("{:#?}\n{}", outputs(5), ended.text);
    };
    assert_eq!(last["name"], "stdout");
    assert_eq!(last["text"], json!(["kept: 42\n"]));
    // As Jupyter counts: from 1, failed cells too.
    let counts: Vec<_> = (0..6)
        .map(|cell| executed["cells"][cell]["execution_count"].as_u64())
        .collect();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6].map(Some));
}

#[test]
fn jupyter_console_numbers_cells_shows_results_and_errors_and_goes_on() {
    // A line is a cell here, so the course's first cell is out of reach.
    let input = "\
let kept = 40;
print!(\"partial \"); println!(\"line\");
panic!(\"as announced\")
let 国: i32 = \"中\";
kept + 2
";
    let arguments = ["--kernel=rust", "--simple-prompt"];
    let ended = jupyter("jupyter_console", &arguments, input).succeeded();
    for shown in [
        "partial line\n",
        "as announced",
        "mismatched types",
        "In [5]: Out[5]: 42",
        "In [6]:",
    ] {
        assert!(ended.text.contains(shown), "{shown}: {}", ended.text);
    }
    // In colours, and with the marks below what they mark: such a character takes two columns.
    assert!(ended.text.contains("\u{1b}[31m^^^^"), "{}", ended.text);
    let marked = "1 | let 国: i32 = \"中\";\n  |         ---   ^^^^ expected `i32`, found `&str`";
    let shown = plain(&ended.text);
    assert!(shown.contains(marked), "{shown}");
    for warning in ["did not respond", "Timeout", "Traceback"] {
        assert!(!ended.text.contains(warning), "{warning}: {}", ended.text);
    }
}
