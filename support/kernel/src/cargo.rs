//! The `cargo` and the `rustc` that evcxr finds first: this program under their names.
//!
//! **rustc** is the real one; it writes down how it is called for a cell.
//!
//! **cargo** gives cells the versions of a lock file, if there is one (`pinned.rs`), keeps what
//! dependencies are compiled to for the next kernel (`sets.rs`), and does not call the real one where
//! it can do without:
//!
//! - A cell, to compile or only to check. Most of what a student waits for after a small one is cargo
//!   finding out that nothing has changed: 80 of 140 ms. So the call of rustc that cargo makes for
//!   one cell is made again for the next (`cell.rs`), as long as everything that cargo would look at
//!   is as it was: its own command line and environment, manifest, lock file, and the sources of path
//!   dependencies (`used.rs`). What is for larger and older crates is left out, and rustc calls the
//!   linker itself, without gcc in between (`linker.rs`).
//! - A question (`questions.rs`): evcxr and rust-analyzer ask some twenty at each start.
//!   What it depends on is in more than one manifest (`manifests.rs`).
//!
//! Before a cell is compiled, it changes what evcxr has generated around it ([`generated`]).
//!
//! If an `.await` is forgotten before there was any, rustc is asked as if there had been one
//! (`first_await.rs`).
//!
//! What takes long it tells the student (`progress.rs`), and what rustc says of a cell the front
//! (`tell.rs`).

mod cell;
mod first_await;
mod linker;
mod manifests;
mod names;
mod pinned;
mod progress;
mod questions;
mod sets;
mod shared;
mod tell;
mod used;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};
use link::{record, variable};

use crate::pack;
use cell::{Call, Recipe};
use kernel_core::GENERATED;
use kernel_core::evcxr::generated;
use questions::Question;
pub use sets::Set;
pub use sets::store::Stores;

/// The real cargo.
pub const CARGO_ENV: &str = "LAB_CARGO";
/// The real rustc.
pub const RUSTC_ENV: &str = "LAB_RUSTC";
/// The user's `CARGO_HOME`; empty if there is none.
const HOME_ENV: &str = "LAB_CARGO_HOME";
/// What of the toolchain makes a difference for what it compiles.
pub const TOOLCHAIN_ENV: &str = "LAB_TOOLCHAIN";
/// The user's own store of sets and answers.
pub const STORE_ENV: &str = "LAB_STORE";

/// evcxr takes warnings of a path dependency for errors of the cell.
const FLAGS: &str = "-Awarnings";

/// What manifest and lock file were after the last call of cargo. Not their times: evcxr writes
/// several manifests in one second.
const SEEN: [(&str, &str); 2] = [("Cargo.toml", ".lab-toml"), ("Cargo.lock", ".lab-lock")];

/// Gives `command`, evcxr or what stands before it, a `cargo` and a `rustc` of ours in the folder
/// `home`: where rust-analyzer looks first of all, in the `bin` of `CARGO_HOME`. The real cargo gets
/// the real one. Returns that `bin`, for the search path.
///
/// # Errors
/// When a link cannot be made.
pub fn stand_before(command: &mut Command, home: &Path, kernel: &Path) -> Result<PathBuf> {
    let bin = home.join("bin");
    fs::create_dir_all(&bin)?;
    // Whoever asks rustup for the real cargo would get round ours: there is no rustup here.
    let none = Path::new("/bin/false");
    for (name, program) in [("cargo", kernel), ("rustc", kernel), ("rustup", none)] {
        match symlink(program, bin.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error)?,
            _ => {}
        }
    }
    command
        .env("CARGO_HOME", home)
        .env(HOME_ENV, std::env::var_os("CARGO_HOME").unwrap_or_default());
    Ok(bin)
}

/// Does what this program does under the name of another; `None` under its own.
pub fn by_name(name: &Path, arguments: impl Iterator<Item = OsString>) -> Option<Result<ExitCode>> {
    match name.file_name()?.to_str()? {
        "cargo" => Some(cargo(arguments.collect())),
        "rustc" => Some(rustc(arguments.collect())),
        _ => None,
    }
}

/// A program that is named in the environment, or else found under its own name.
fn real(variable: &str, name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| name.into()))
}

/// The real cargo; in a pack, with the settings of that.
fn real_cargo() -> Command {
    let mut cargo = Command::new(real(CARGO_ENV, "cargo"));
    cargo.args(pack::settings());
    cargo
}

fn exec(mut command: Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("运行不了 {}", command.get_program().display()))
}

/// Whether the working directory is the folder that evcxr builds in.
fn builds_here() -> bool {
    let build = std::env::var_os(variable::BUILD);
    build.is_some_and(|build| std::env::current_dir().is_ok_and(|here| here == *build))
}

fn rustc(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut command = Command::new(real(RUSTC_ENV, "rustc"));
    if builds_here()
        && let Some(call) = Call::of_rustc(&arguments)
        && call.is_for_a_cell()
    {
        let call = call.for_a_cell();
        call.remember();
        command.args(&call.arguments);
    } else {
        command.args(arguments);
    }
    exec(command)
}

fn cargo(arguments: Vec<OsString>) -> Result<ExitCode> {
    match std::env::var_os(HOME_ENV).filter(|home| !home.is_empty()) {
        // SAFETY: there is no other thread.
        Some(home) => unsafe { std::env::set_var("CARGO_HOME", home) },
        // SAFETY: likewise.
        None => unsafe { std::env::remove_var("CARGO_HOME") },
    }
    let mut command = real_cargo();
    if !builds_here() {
        command.args(&arguments);
        return exec(command);
    }
    manifests::spell_anew();
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    // SAFETY: there is no other thread.
    unsafe { std::env::set_var("RUSTFLAGS", format!("{flags} {FLAGS}")) };
    shared::use_own_if_needed();
    if let Some(question) = Question::new(&arguments) {
        questions::use_our_lock(&mut command, &arguments);
        return question.answer(|resolves| match resolves {
            true => with_our_versions(|| command.output()),
            false => command.output().context("运行不了 cargo"),
        });
    }
    command.args(&arguments);
    let task = arguments.first().and_then(|task| task.to_str());
    let call = match task {
        Some("build" | "check") => Call::of_cargo(&arguments),
        _ => None,
    };
    // What evcxr only has checked is another file, and never runs.
    if task == Some("build") {
        tell_in_records()?;
    }
    let Some(call) = call else {
        let status = with_our_versions(|| command.status())?;
        return Ok(code_of(status));
    };
    if let Some(recipe) = Recipe::known(&call) {
        return match task {
            Some("check") => recipe.check(),
            _ => recipe.compile(),
        };
    }
    if task == Some("build") {
        return build(call, command, true);
    }
    // To check a cell, cargo would compile what checking needs of all dependencies, and nothing that
    // running it needs.
    if sets::are_needed() {
        let mut first = real_cargo();
        first.arg("build").args(&arguments[1..]);
        build(call.clone(), first, false)?;
        if let Some(recipe) = Recipe::known(&call) {
            return recipe.check();
        }
    }
    let checked =
        sets::provide_and_build(|progress| with_our_versions(|| progress.run(&mut command, true)));
    Ok(code_of(checked?.0))
}

/// Has the cell tell the front how it ends in records, with the secret of this kernel.
fn tell_in_records() -> Result<()> {
    let Some(front) = std::env::var_os(variable::FRONT) else {
        return Ok(());
    };
    let (Some(secret), Ok(text)) = (
        record::secret(Path::new(&front)),
        fs::read_to_string(GENERATED),
    ) else {
        return Ok(()); // cargo says what is wrong with the file
    };
    let told = generated::rewrite(&text, secret)?;
    if told != text {
        fs::write(GENERATED, told).with_context(|| format!("写不了 {GENERATED}"))?;
    }
    Ok(())
}

/// Has the real cargo compile a cell, and remembers how it does that. `hears` says whether evcxr
/// is told.
fn build(call: Call, mut command: Command, hears: bool) -> Result<ExitCode> {
    Recipe::forget();
    let (status, used) = sets::provide_and_build(|progress| {
        with_our_versions(|| progress.run(&mut command, hears))
    })?;
    Recipe::remember(call, &used)?;
    Ok(code_of(status))
}

fn code_of(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().map_or(1, |code| code as u8))
}

/// Whether manifest or lock file have changed since the last call of the real cargo.
fn has_changed() -> bool {
    let same = |file, copy| matches!((fs::read(file), fs::read(copy)), (Ok(file), Ok(copy)) if file == copy);
    SEEN.iter().any(|(file, copy)| !same(file, copy))
}

/// Runs the real cargo. When manifest or lock file have changed, puts the wanted versions back
/// into the lock file first.
fn with_our_versions<T>(run: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
    let has_changed = has_changed();
    if has_changed
        && let Some(wanted) = std::env::var_os(variable::LOCK)
        && let Err(error) = pinned::pin(Path::new(""), Path::new(&wanted))
    {
        eprintln!("[kernel] 没能固定依赖的版本：{error:#}");
    }
    if has_changed {
        shared::decide();
    }
    let done = run().context("运行不了 cargo")?;
    if has_changed {
        for (file, copy) in SEEN {
            let _ = fs::copy(file, copy);
        }
    }
    Ok(done)
}
