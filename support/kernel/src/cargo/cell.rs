//! How a cell is compiled: the call of rustc that cargo made for the one before.
//!
//! Of the environment only what makes a difference is kept, by name. The rest may hold passwords,
//! and files should not.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::used::{Sources, Used};
use super::{FLAGS, RUSTC_ENV, first_await, linker, real, tell};
use base::files;

/// How cargo has last called rustc for a cell.
const CALL: &str = ".lab-rustc";
/// That, and under which circumstances it would do so again.
const RECIPE: &str = ".lab-cell";

/// With which cargo has rustc compile a cell.
const COMPILES: &str = "--emit=dep-info,link";

/// In how many parts rustc compiles a cell. Of 1, 2, 4, 16 and 256 these were the fastest, by a little.
const PARTS: &str = "-Ccodegen-units=2";

/// Files that belong to one build folder and are never copied.
pub const FILES: [&str; 2] = [CALL, RECIPE];

/// What cargo says to rustc, and to the macros that run in it; these and all that begin so.
pub(super) const SAID_BY_CARGO: [&str; 8] = [
    "CARGO",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_*",
    "CARGO_PKG_*",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_RUSTC_CURRENT_DIR",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
];
/// What changes how cargo calls rustc.
const SAID_TO_CARGO: [&str; 12] = [
    "CARGO_BUILD_*",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_HOME",
    "CARGO_INCREMENTAL",
    "CARGO_PROFILE_*",
    "CARGO_TARGET_*",
    "EVCXR_CORE_EXTERN",
    "EVCXR_FORCE_DYLIB",
    "EVCXR_RUSTC_WRAPPER",
    "PATH",
    "RUSTC*",
    "RUSTFLAGS",
];

/// Arguments and environment of a program, as far as it is kept.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
pub struct Call {
    pub arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// How a cell is compiled.
#[derive(Serialize, Deserialize)]
pub struct Recipe {
    /// How evcxr calls cargo.
    cargo: Call,
    /// How cargo then calls rustc.
    rustc: Call,
    /// With what rustc calls the linker itself (`linker.rs`).
    linker: Vec<String>,
    /// What manifest and lock file said, as a number.
    manifest: u64,
    sources: Sources,
}

impl Call {
    /// How cargo calls this program in the place of rustc; `None` if that is not text.
    pub fn of_rustc(arguments: &[OsString]) -> Option<Call> {
        Call::of_this(arguments, &SAID_BY_CARGO)
    }

    /// How evcxr calls this program in the place of cargo.
    pub fn of_cargo(arguments: &[OsString]) -> Option<Call> {
        Call::of_this(arguments, &SAID_TO_CARGO)
    }

    fn of_this(arguments: &[OsString], kept: &[&str]) -> Option<Call> {
        let arguments = arguments
            .iter()
            .map(|text| text.to_str().map(str::to_owned));
        let environment = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| is_named(name, kept)))
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
            && self.arguments.iter().any(|text| text == COMPILES)
    }

    /// The call with which a cell is there soonest: its warnings are for the student, and it is small
    /// and compiled once. What rustc would keep for the next time is read and written for nothing,
    /// and parts to be compiled side by side are soon smaller than what each costs.
    pub fn for_a_cell(mut self) -> Call {
        let mut arguments: Vec<String> = Vec::new();
        for argument in self.arguments {
            let is_other = ["incremental=", "codegen-units="]
                .iter()
                .any(|option| argument.starts_with(option));
            if is_other && arguments.last().is_some_and(|last| last == "-C") {
                arguments.pop();
            } else if argument != FLAGS {
                arguments.push(argument);
            }
        }
        arguments.push(PARTS.to_owned());
        self.arguments = arguments;
        self
    }

    /// Remembers a call of rustc. If that is not possible, the next cell takes the long way.
    pub fn remember(&self) {
        if let Ok(text) = serde_json::to_vec(self) {
            let _ = files::replace_private(Path::new(CALL), |file| file.write_all(&text));
        }
    }

    /// Calls rustc in this way. Returns its diagnostics, and whether it ended well.
    fn run(&self, more: &[String]) -> Result<(Vec<Value>, bool)> {
        let output = Command::new(real(RUSTC_ENV, "rustc"))
            .args(&self.arguments)
            .args(more)
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

    /// The call that only checks what this one compiles. Nothing that is compiled is left from it.
    fn only_checking(&self) -> Call {
        let mut call = self.clone();
        for argument in &mut call.arguments {
            if argument == COMPILES {
                "--emit=metadata".clone_into(argument);
            }
        }
        call
    }

    /// Whether this is the same call, but for the first word: what is to be done.
    fn is_like(&self, other: &Call) -> bool {
        self.arguments.get(1..) == other.arguments.get(1..) && self.environment == other.environment
    }

    /// What stands behind an argument.
    pub fn option(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|text| text == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

impl Recipe {
    /// How to compile or check a cell for which evcxr calls cargo in this way, if that is known.
    pub fn known(cargo: &Call) -> Option<Recipe> {
        let recipe: Recipe = read(RECIPE)?;
        let known = recipe.cargo.is_like(cargo) && recipe.manifest == manifest()?;
        (known && recipe.sources.are_as_they_were()).then_some(recipe)
    }

    /// Forgets how a cell is compiled: cargo is about to call rustc anew.
    pub fn forget() {
        for file in FILES {
            let _ = fs::remove_file(file);
        }
    }

    /// Remembers how cargo has just called rustc, if it has, and what it has used.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(cargo: Call, used: &Used) -> Result<()> {
        let (Some(rustc), Some(manifest)) = (read::<Call>(CALL), manifest()) else {
            return Ok(());
        };
        // Unless it is certain what would make a difference, cargo finds that out again.
        let Some(sources) = Sources::of(used) else {
            return Ok(());
        };
        let recipe = Recipe {
            cargo,
            manifest,
            sources,
            linker: linker::arguments(&rustc),
            rustc,
        };
        let recipe = serde_json::to_vec(&recipe)?;
        files::replace_private(Path::new(RECIPE), |file| file.write_all(&recipe))
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
        tell::diagnose(&messages);
        tell(&messages)?;
        if !well {
            return Ok(ExitCode::from(FAILED));
        }
        let folder = self.rustc.option("--out-dir").context("cargo names it")?;
        let artifact = json!({
            "reason": "compiler-artifact",
            "target": { "name": "ctx" },
            "filenames": [Path::new(folder).join("libctx.so")],
        });
        println!("{artifact}");
        Ok(ExitCode::SUCCESS)
    }

    /// Has rustc check a cell, and tells evcxr what cargo would tell. Cargo would first compile what
    /// checking needs of all dependencies, once more; what they are compiled to has that, too.
    ///
    /// # Errors
    /// When rustc cannot be called.
    pub fn check(&self) -> Result<ExitCode> {
        let (messages, well) = self.rustc.only_checking().run(&[])?;
        tell::diagnose(&messages);
        tell(&messages)?;
        Ok(match well {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(FAILED),
        })
    }
}

/// Whether cargo, in its last call, has come to the cell itself: then all dependencies are compiled.
pub fn was_reached() -> bool {
    Path::new(CALL).exists()
}

/// How cargo ends when rustc has failed.
const FAILED: u8 = 101;

/// Passes on what the real cargo says to evcxr, unless that does not `hear` it. Returns what rustc
/// has said of the cell, and what cargo has used.
pub fn pass_on(said: impl Read, hears: bool) -> (Vec<Value>, Used) {
    let mut messages = Vec::new();
    let mut used = Used::default();
    let mut stdout = std::io::stdout();
    for line in BufReader::new(said).split(b'\n').map_while(Result::ok) {
        let value: Value = serde_json::from_slice(&line).unwrap_or_default();
        used.hear(&value);
        let is_of_cell = value["reason"] == "compiler-message" && value["target"]["name"] == "ctx";
        if is_of_cell {
            messages.push(value["message"].clone());
        }
        if hears && !(is_of_cell && is_a_warning(&value["message"])) {
            let _ = stdout
                .write_all(&line)
                .and_then(|()| stdout.write_all(b"\n"));
        }
    }
    if hears && let Some(refused) = first_await::refused(&messages) {
        let _ = writeln!(stdout, "{}", of_the_cell(&refused));
    }
    (messages, used)
}

/// evcxr would take it for an error.
fn is_a_warning(message: &Value) -> bool {
    message["level"] == "warning"
}

/// Tells evcxr what rustc has said, as cargo does.
fn tell(messages: &[Value]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let refused = first_await::refused(messages);
    let errors = messages.iter().filter(|message| !is_a_warning(message));
    for message in errors.chain(&refused) {
        writeln!(stdout, "{}", of_the_cell(message))?;
    }
    Ok(())
}

/// A message of rustc's as cargo passes it on.
fn of_the_cell(message: &Value) -> Value {
    json!({ "reason": "compiler-message", "message": message })
}

/// Whether a variable has one of these names, or begins with one that ends in a `*`.
pub(super) fn is_named(variable: &str, names: &[&str]) -> bool {
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => variable.starts_with(beginning),
        None => variable == *name,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_compiled_in_few_parts_with_its_warnings_and_keeps_nothing_for_the_next() {
        for (by_cargo, ours) in [
            ("src/lib.rs -C rpath", "src/lib.rs -C rpath"),
            ("-C codegen-units=16 -C metadata=1", "-C metadata=1"),
            ("-C incremental=/a -C strip=debuginfo", "-C strip=debuginfo"),
            ("-L /b -C incremental=/a", "-L /b"),
            ("-Awarnings -Cprefer-dynamic", "-Cprefer-dynamic"),
        ] {
            let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let call = Call {
                arguments: words(by_cargo),
                environment: BTreeMap::new(),
            };
            let expected = words(&format!("{ours} {PARTS}"));
            assert_eq!(call.for_a_cell().arguments, expected, "{by_cargo}");
        }
    }
}
