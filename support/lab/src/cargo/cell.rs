//! How a cell is compiled: the call of rustc that cargo made for the one before.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{RUSTC_ENV, linker, real};
use crate::files;

/// How cargo has last called rustc for a cell.
const CALL: &str = ".lab-rustc";
/// That, and under which circumstances it would do so again.
const CELL: &str = ".lab-cell";

/// Files that belong to one build folder and are never copied.
pub const FILES: [&str; 2] = [CALL, CELL];

/// Variables by which a cargo shares its processors with those it starts, for as long as it runs.
const JOBSERVER: [&str; 3] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// Arguments and environment of a program.
#[derive(Serialize, Deserialize, PartialEq)]
pub struct Call {
    pub arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// How a cell is compiled.
#[derive(Serialize, Deserialize)]
pub struct Cell {
    /// How evcxr calls cargo.
    cargo: Call,
    /// How cargo then calls rustc.
    rustc: Call,
    /// With what rustc calls the linker itself (`linker.rs`).
    linker: Vec<String>,
    /// What manifest and lock file said, as a number.
    manifest: u64,
    /// The files of path dependencies, with when they were changed.
    sources: Vec<(PathBuf, i128)>,
}

impl Call {
    /// How this program is called; `None` if that is not text.
    pub fn of_this(arguments: &[std::ffi::OsString]) -> Option<Call> {
        let arguments = arguments
            .iter()
            .map(|text| text.to_str().map(str::to_owned));
        let environment = std::env::vars_os()
            .filter(|(name, _)| !JOBSERVER.iter().any(|known| name == known))
            .map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Some(Call {
            arguments: arguments.collect::<Option<_>>()?,
            environment: environment.collect::<Option<_>>()?,
        })
    }

    /// Whether it calls rustc to compile a cell.
    pub fn is_for_a_cell(&self) -> bool {
        self.arguments
            .starts_with(&["--crate-name".to_owned(), "ctx".to_owned()])
            && self
                .arguments
                .iter()
                .any(|text| text == "--emit=dep-info,link")
    }

    /// Remembers a call of rustc. If that is not possible, the next cell takes the long way.
    pub fn remember(&self) {
        if let Ok(text) = serde_json::to_vec(self) {
            let _ = fs::write(CALL, text);
        }
    }

    /// Calls rustc in this way. Returns its diagnostics, and whether it ended well.
    fn run(&self, more: &[String]) -> Result<(Vec<Value>, bool)> {
        let output = Command::new(real(RUSTC_ENV, "rustc"))
            .args(&self.arguments)
            .args(more)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .output()
            .context("运行不了 rustc")?;
        let mut diagnostics = Vec::new();
        for line in output.stderr.split(|byte| *byte == b'\n') {
            match serde_json::from_slice::<Value>(line) {
                Ok(message) if message["$message_type"] == "diagnostic" => {
                    diagnostics.push(message)
                }
                Ok(message) if message.is_object() => {}
                _ if line.is_empty() => {}
                _ => eprintln!("{}", String::from_utf8_lossy(line)),
            }
        }
        Ok((diagnostics, output.status.success()))
    }

    /// What stands behind an argument.
    pub fn option(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|text| text == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

impl Cell {
    /// How to compile a cell for which evcxr calls cargo in this way, if that is known.
    pub fn known(cargo: &Call) -> Option<Cell> {
        let cell: Cell = read(CELL)?;
        let unchanged = |(path, time): &(PathBuf, i128)| changed_at(path) == *time;
        let known = cell.cargo == *cargo && cell.manifest == manifest()?;
        (known && cell.sources.iter().all(unchanged)).then_some(cell)
    }

    /// Forgets how a cell is compiled: cargo is about to call rustc anew.
    pub fn forget() {
        for file in FILES {
            let _ = fs::remove_file(file);
        }
    }

    /// Remembers how cargo has just called rustc, if it has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(cargo: Call) -> Result<()> {
        let (Some(rustc), Some(manifest)) = (read::<Call>(CALL), manifest()) else {
            return Ok(());
        };
        let cell = Cell {
            cargo,
            manifest,
            sources: sources(&rustc),
            linker: linker::arguments(&rustc),
            rustc,
        };
        let cell = serde_json::to_vec(&cell)?;
        files::replace(Path::new(CELL), |file| file.write_all(&cell))
    }

    /// Calls rustc, and tells evcxr what cargo would tell.
    ///
    /// # Errors
    /// When rustc cannot be called.
    pub fn compile(&self) -> Result<ExitCode> {
        let (mut messages, mut well) = self.rustc.run(&self.linker)?;
        let is_of_linker =
            |message: &Value| message["message"].as_str().is_some_and(linker::has_failed);
        // `cc` may know better.
        if !well && !self.linker.is_empty() && messages.iter().any(is_of_linker) {
            (messages, well) = self.rustc.run(&[])?;
        }
        let mut stdout = std::io::stdout().lock();
        for message in messages {
            let message = json!({ "reason": "compiler-message", "message": message });
            writeln!(stdout, "{message}")?;
        }
        if !well {
            return Ok(ExitCode::from(101)); // as cargo
        }
        let folder = self.rustc.option("--out-dir").context("cargo names it")?;
        let artifact = json!({
            "reason": "compiler-artifact",
            "target": { "name": "ctx" },
            "filenames": [Path::new(folder).join("libctx.so")],
        });
        writeln!(stdout, "{artifact}")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn manifest() -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::read(file).ok()?.hash(&mut hasher);
    }
    Some(hasher.finish())
}

/// When a file was last changed, in nanoseconds; 0 if it is not there.
fn changed_at(path: &Path) -> i128 {
    fs::metadata(path).map_or(0, |file| {
        i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec())
    })
}

/// The files of the path dependencies that a cell is linked with, and their manifests. Crates of a
/// registry never change.
fn sources(call: &Call) -> Vec<(PathBuf, i128)> {
    let Some(folder) = call.option("--out-dir") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "d") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        // `target: source source`, blanks in names escaped; a line for each target.
        let sources = text.lines().filter_map(|line| line.split_once(": "));
        let names = sources.map(|(_, names)| names.replace("\\ ", "\0"));
        for name in names.flat_map(|names| names.split(' ').map(str::to_owned).collect::<Vec<_>>())
        {
            let source = PathBuf::from(name.replace('\0', " "));
            if source.is_absolute() && !is_of_a_registry(&source) {
                let manifests = source
                    .ancestors()
                    .skip(1)
                    .map(|folder| folder.join("Cargo.toml"));
                found.extend(manifests.take(4).find(|manifest| manifest.is_file()));
                found.push(source);
            }
        }
    }
    found.sort();
    found.dedup();
    let when = |path: PathBuf| (changed_at(&path), path);
    found
        .into_iter()
        .map(when)
        .map(|(time, path)| (path, time))
        .collect()
}

fn is_of_a_registry(source: &Path) -> bool {
    let parts: Vec<_> = source.iter().collect();
    parts.windows(2).any(|pair| pair == ["registry", "src"])
}
