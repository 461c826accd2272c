//! A corpus of wrong cells, in `corpus/`: each is told with all that rustc says of the same code by
//! itself, at its place, and with why it is wrong.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::common::{FIRST_CELL, notebook_kernel, ok, run};
use crate::mistakes::told;
use runner::client::KernelClient;

/// What the cells are about, and how many there must be.
const FILES: [(&str, &str, usize); 2] = [
    ("async", include_str!("corpus/async.toml"), 60),
    ("plain", include_str!("corpus/plain.toml"), 60),
];

/// What the wrong cells use.
const BEFORE: &str = "\
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
#[derive(Debug)]
struct Flag { code: String, size: u32 }
async fn fetch(code: &str) -> Result<Flag, String> { Ok(Flag { code: code.to_owned(), size: 1 }) }
async fn one() -> u32 { 1 }
fn takes(text: String) -> usize { text.len() }
trait Show { fn show(&self) -> String; }
";

/// What rustc says of its own files, and of lints.
const NOT_COMPARED: [&str; 3] = [
    "the full name for the type has been written to",
    "consider using `--verbose`",
    "on by default",
];
/// How rustc calls what stands in the function that a cell is for it.
const INSIDE: &str = "cell::{closure#0}::";

#[derive(Deserialize)]
struct Corpus {
    cell: Vec<Wrong>,
}

/// A wrong cell.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrong {
    code: String,
    /// What it must show, in this order; in Chinese why it is wrong.
    shows: Vec<String>,
}

fn corpus() -> Vec<Wrong> {
    let cells = FILES.iter().flat_map(|(name, text, least)| {
        let corpus: Corpus = toml::from_str(text).unwrap();
        assert!(corpus.cell.len() >= *least, "{name}: {}", corpus.cell.len());
        corpus.cell
    });
    cells.collect()
}

/// rustc, without a kernel around it, but with the crates of its cells.
struct Rustc {
    arguments: Vec<String>,
}

impl Rustc {
    /// As the kernel's cells are compiled.
    async fn of(kernel: &mut KernelClient) -> Rustc {
        let code = "std::fs::read_to_string(\"/proc/self/maps\").unwrap().lines()\
            .find_map(|line| Some(line[line.find('/')?..].to_owned()).filter(|file| file.contains(\"libcode_\"))).unwrap()";
        let shown = ok(kernel, code).await;
        let library = PathBuf::from(shown.result().unwrap().trim_matches('"'));
        let call = library
            .ancestors()
            .find_map(|folder| std::fs::read(folder.join(".lab-rustc")).ok());
        let call: Value = serde_json::from_slice(&call.unwrap()).unwrap();
        let all: Vec<&str> = call["arguments"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let pairs = all
            .windows(2)
            .filter(|pair| ["--extern", "-L"].contains(&pair[0]));
        Rustc {
            arguments: pairs.flatten().map(|word| word.to_string()).collect(),
        }
    }

    /// Its errors for a cell in a function, and how many lines stand before that.
    fn errors(&self, code: &str) -> (Vec<Value>, usize) {
        let (_, uses) = FIRST_CELL.rsplit_once('\n').unwrap();
        let (returned, end) = match code.contains('?') {
            true => (" -> Result<(), Box<dyn std::error::Error>>", "Ok(())\n"),
            false => ("", ""),
        };
        let before = format!("{uses}\n{BEFORE}async fn cell(){returned} {{\n");
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(
            folder.path().join("src/lib.rs"),
            format!("{before}{code};\n{end}}}\n"),
        )
        .unwrap();
        let output = Command::new("rustc")
            .args([
                "--edition=2024",
                "--crate-type=lib",
                "--emit=metadata",
                "--error-format=json",
                "-Awarnings",
                "src/lib.rs",
            ])
            .args(&self.arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let messages = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let errors = messages.filter(|message| {
            message["level"] == "error" && !message["spans"].as_array().unwrap().is_empty()
        });
        (errors.collect(), before.matches('\n').count())
    }
}

/// What rustc says in one of its messages, line by line, and the places of its errors.
#[derive(Default)]
struct Said {
    lines: Vec<String>,
    places: Vec<(u64, u64)>,
}

fn collect(message: &Value, said: &mut Said) {
    let mut add = |text: &Value| {
        let lines = text.as_str().unwrap_or_default().lines();
        said.lines.extend(lines.map(|line| line.trim().to_owned()));
    };
    add(&message["message"]);
    for span in message["spans"].as_array().unwrap() {
        add(&span["label"]);
        add(&span["suggested_replacement"]);
    }
    for child in message["children"].as_array().unwrap() {
        collect(child, said);
    }
}

/// What of rustc's is missing in what is told of a cell.
fn missing(errors: &[Value], before: usize, count: u64, told: &str) -> Vec<String> {
    let mut said = Said::default();
    for error in errors {
        collect(error, &mut said);
        let spans = error["spans"].as_array().unwrap().iter();
        said.places.extend(
            spans
                .filter(|span| span["is_primary"] == true && span["file_name"] == "src/lib.rs")
                .map(|span| {
                    (
                        span["line_start"].as_u64().unwrap() - before as u64,
                        span["column_start"].as_u64().unwrap(),
                    )
                }),
        );
    }
    let lines = said.lines.iter().map(|line| in_cell(line, before, count));
    let places = said
        .places
        .iter()
        .map(|(line, column)| format!("单元格 [{count}]:{line}:{column}"));
    let of_the_machine = |line: &String| NOT_COMPARED.iter().any(|text| line.contains(text));
    lines
        .chain(places.take(1))
        .filter(|line| !told.contains(&**line) && !of_the_machine(line))
        .collect()
}

/// A line of rustc's with the cell's name in the place of the file's.
fn in_cell(line: &str, before: usize, count: u64) -> String {
    let line = line.replace(INSIDE, "");
    let mut named = String::new();
    let mut rest = &*line;
    while let Some((text, place)) = rest.split_once("src/lib.rs:") {
        named += text;
        let end = place
            .find(|c: char| !c.is_ascii_digit() && c != ':' && c != ' ')
            .unwrap_or(place.len());
        let mut numbers = place[..end]
            .split([':', ' '])
            .filter(|number| !number.is_empty());
        let mut number = || numbers.next().unwrap().parse::<usize>().unwrap();
        named += &format!(
            "单元格 [{count}]:{}:{}",
            number().saturating_sub(before),
            number()
        );
        rest = &place[end..];
    }
    named + rest
}

/// Whether somebody says in Chinese why it is wrong.
fn explains(told: &str) -> bool {
    let is_chinese = |c: char| ('\u{4e00}'..'\u{9fff}').contains(&c);
    let mut lines = told
        .lines()
        .filter(|line| line.starts_with("  ") && !line.trim_start().starts_with(['|', '=', '-']));
    lines.any(|line| line.replace("单元格", "").contains(is_chinese))
}

#[test]
fn a_wrong_cell_is_told_as_rustc_tells_it_at_its_place_and_with_why_it_is_wrong() {
    run(async {
        let mut kernel = notebook_kernel().await; // [1]
        ok(&mut kernel, BEFORE).await; // [2]
        ok(&mut kernel, "one().await;").await; // [3]
        let rustc = Rustc::of(&mut kernel).await; // [4]
        let cells = corpus();
        // By itself, beside the kernel.
        let (code, waits) = (cells.clone(), Instant::now());
        let alone = std::thread::spawn(move || {
            let errors: Vec<_> = code.iter().map(|cell| rustc.errors(&cell.code)).collect();
            errors
        });
        let since = Instant::now();
        let mut all = Vec::new();
        let mut longest = Duration::ZERO;
        for cell in &cells {
            let since = Instant::now();
            all.push(told(&mut kernel, &cell.code).await);
            longest = longest.max(since.elapsed());
        }
        println!(
            "{} wrong cells on one kernel: {:.1?}, the longest {longest:.2?}",
            cells.len(),
            since.elapsed()
        );
        let alone = alone.join().unwrap();
        println!("with rustc by itself: {:.1?}", waits.elapsed());
        let mut wrong = Vec::new();
        for (index, ((cell, told), (errors, before))) in
            cells.iter().zip(&all).zip(&alone).enumerate()
        {
            let mut faults = missing(errors, *before, index as u64 + 5, told);
            faults.extend(
                errors
                    .is_empty()
                    .then(|| "rustc finds nothing wrong".to_owned()),
            );
            faults.extend((!explains(told)).then(|| "nothing says why".to_owned()));
            let mut rest = &**told;
            for piece in &cell.shows {
                match rest.find(piece) {
                    Some(at) => rest = &rest[at + piece.len()..],
                    None => faults.push(format!("does not show {piece}")),
                }
            }
            let internal = ["evcxr_", "src/lib.rs"]
                .iter()
                .filter(|text| told.contains(**text));
            faults.extend(internal.map(|text| format!("shows {text}")));
            if !faults.is_empty() {
                wrong.push(format!(
                    "{}\n--- faults:\n{}\n--- told:\n{told}",
                    cell.code,
                    faults.join("\n")
                ));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {}:\n\n{}",
            wrong.len(),
            cells.len(),
            wrong.join("\n\n=====\n")
        );
    });
}
