//! The `cargo` and the `rustc` that evcxr finds first: this program under their names.
//!
//! **cargo** gives cells the versions of the workspace's lock file ([`crate::pinned`]), and compiles
//! a cell without the real cargo when that would do nothing but call rustc. Most of what a student
//! waits for after a small cell is cargo finding out that nothing has changed: 80 of 140 ms. So the
//! call of rustc that cargo makes for one cell is written down and made again for the next, as long
//! as everything that cargo would look at is as it was: its own command line and environment,
//! manifest, lock file, and the sources of path dependencies.
//!
//! **rustc** is the real one; it writes down how it is called for a cell.
//!
//! In the same way evcxr's question whether a `:dep` line can be resolved is answered from memory if
//! the answer was yes before: each costs a tenth of a second, and the notebooks have six to fourteen.
//!
//! In a class all share one folder of crates, to which only root writes. A crate that is not in there
//! is downloaded to the student's own; since cargo tells crates apart by where they lie, that kernel
//! then compiles all of its dependencies.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{files, pinned};

/// The real cargo.
pub const CARGO_ENV: &str = "LAB_CARGO";
/// The real rustc.
pub const RUSTC_ENV: &str = "LAB_RUSTC";
/// The lock file with the versions to use.
pub const LOCK_ENV: &str = "LAB_LOCK";
/// evcxr's build folder; cargo is left alone everywhere else.
pub const BUILD_ENV: &str = "EVCXR_TMPDIR";

/// evcxr takes warnings of a path dependency for errors of the cell.
pub(crate) const FLAGS: &str = "-Awarnings";

/// What manifest and lock file were after the last call of cargo. Not their times: evcxr writes
/// several manifests in one second.
const SEEN: [(&str, &str); 2] = [("Cargo.toml", ".lab-toml"), ("Cargo.lock", ".lab-lock")];
/// How cargo has last called rustc for a cell.
const CALL: &str = ".lab-rustc";
/// That, and under which circumstances it would do so again.
const CELL: &str = ".lab-cell";
/// The manifests that could be resolved, as numbers.
const RESOLVED: &str = ".lab-resolved";
/// Says that the crates which are shared are not enough for this build folder.
const OWN_CRATES: &str = ".lab-own-crates";
/// The manifest with which evcxr asks whether a dependency can be resolved.
const QUESTION: &str = "name = \"evcxr_dummy_validate_dep\"";

/// Variables by which a cargo shares its processors with those it starts, for as long as it runs.
const JOBSERVER: [&str; 3] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// Puts the programs that evcxr finds first into the folder `tools`.
///
/// # Errors
/// When one cannot be written.
pub fn write_tools(tools: &Path, lab: &Path) -> Result<()> {
    // Whoever asks rustup for the real cargo would get round ours: there is no rustup here.
    for (name, program) in [
        ("cargo", lab),
        ("rustc", lab),
        ("rustup", Path::new("/bin/false")),
    ] {
        match symlink(program, tools.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error)?,
            _ => {}
        }
    }
    Ok(())
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

fn exec(mut command: Command) -> Result<ExitCode> {
    let error = command.exec();
    Err(error).with_context(|| format!("运行不了 {}", command.get_program().display()))
}

/// Whether the working directory is the folder that evcxr builds in.
fn builds_here() -> bool {
    let build = std::env::var_os(BUILD_ENV);
    build.is_some_and(|build| std::env::current_dir().is_ok_and(|here| here == *build))
}

fn rustc(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut command = Command::new(real(RUSTC_ENV, "rustc"));
    let texts: Vec<&str> = arguments.iter().filter_map(|text| text.to_str()).collect();
    let is_of_a_cell = texts.starts_with(&["--crate-name", "ctx"])
        && texts.contains(&"--emit=dep-info,link")
        && texts.len() == arguments.len();
    if is_of_a_cell && builds_here() {
        let call = Call {
            arguments: texts.into_iter().map(str::to_owned).collect(),
            environment: environment(),
        };
        // Without it the next cell takes the long way.
        let _ = fs::write(CALL, serde_json::to_vec(&call)?);
    }
    command.args(arguments);
    exec(command)
}

/// This process's environment, as far as it means something to the next one.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !JOBSERVER.contains(&&**name))
        .collect()
}

fn cargo(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut command = Command::new(real(CARGO_ENV, "cargo"));
    command.args(&arguments);
    if !builds_here() {
        return exec(command);
    }
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    // SAFETY: there is no other thread.
    unsafe { std::env::set_var("RUSTFLAGS", format!("{flags} {FLAGS}")) };
    if Path::new(OWN_CRATES).exists() {
        use_own_crates();
    }
    let changed = SEEN.iter().any(|(file, copy)| !same(file, copy));
    if arguments == ["metadata", "--format-version=1"]
        && let Some(question) = question()
    {
        return resolve(command, question);
    }
    let builds = arguments.first().is_some_and(|task| task == "build");
    if !builds {
        return call(command, changed);
    }
    let arguments = arguments
        .into_iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let circumstances = Circumstances {
        arguments,
        environment: environment(),
    };
    if !changed
        && let Some(cell) = read::<Cell>(CELL)
        && cell.circumstances == circumstances
        && cell
            .sources
            .iter()
            .all(|(path, time)| changed_at(path) == *time)
    {
        return cell.call.compile();
    }
    let _ = fs::remove_file(CALL);
    let code = call(command, changed)?;
    if let Some(call) = read::<Call>(CALL) {
        let cell = Cell {
            sources: sources(&call),
            call,
            circumstances,
        };
        let cell = serde_json::to_vec(&cell)?;
        files::replace(Path::new(CELL), |file| file.write_all(&cell))?;
    }
    Ok(code)
}

fn read<T: for<'a> Deserialize<'a>>(path: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn same(file: &str, copy: &str) -> bool {
    matches!((fs::read(file), fs::read(copy)), (Ok(file), Ok(copy)) if file == copy)
}

/// Calls the real cargo. When manifest or lock file have changed, puts the workspace's versions
/// back into the lock file first.
fn call(mut command: Command, changed: bool) -> Result<ExitCode> {
    let wanted = std::env::var_os(LOCK_ENV).filter(|_| changed);
    if let Some(wanted) = &wanted
        && let Err(error) = pinned::pin(Path::new(""), Path::new(wanted))
    {
        eprintln!("[lab] 没能固定依赖的版本：{error:#}");
    }
    if wanted.is_some() && shared_crates_are_too_few() {
        fs::write(OWN_CRATES, "")?;
        use_own_crates();
    }
    let status = command
        .status()
        .with_context(|| format!("运行不了 {}", command.get_program().display()))?;
    if wanted.is_some() {
        for (file, copy) in SEEN {
            let _ = fs::copy(file, copy);
        }
    }
    Ok(ExitCode::from(status.code().map_or(1, |code| code as u8)))
}

/// Whether cargo's folder is somebody else's, and not all that is needed is in there.
fn shared_crates_are_too_few() -> bool {
    // SAFETY: always succeeds.
    let user = unsafe { libc::geteuid() };
    let folder = std::env::var_os("CARGO_HOME").and_then(|folder| fs::metadata(folder).ok());
    if folder.is_none_or(|folder| folder.uid() == user) {
        return false;
    }
    let host = Command::new(real(RUSTC_ENV, "rustc"))
        .args(["--print", "host-tuple"])
        .output();
    let host = host.map(|output| output.stdout).unwrap_or_default();
    // Not what only other systems need.
    let complete = Command::new(real(CARGO_ENV, "cargo"))
        .args(["fetch", "--offline", "--quiet", "--target"])
        .arg(String::from_utf8_lossy(&host).trim())
        .stderr(Stdio::null())
        .status();
    !complete.is_ok_and(|status| status.success())
}

/// Gives cargo the user's own folder, with the settings of the shared one: they say where crates
/// come from.
fn use_own_crates() {
    let shared = PathBuf::from(std::env::var_os("CARGO_HOME").unwrap_or_default());
    let Some(own) = std::env::home_dir().map(|home| home.join(".cargo")) else {
        return;
    };
    let (settings, copy) = (shared.join("config.toml"), own.join("config.toml"));
    if settings.is_file() && !copy.exists() {
        let _ = fs::create_dir_all(&own).and_then(|()| fs::copy(settings, copy));
    }
    // SAFETY: there is no other thread.
    unsafe { std::env::set_var("CARGO_HOME", own) };
}

/// The number of evcxr's question whether a dependency can be resolved.
fn question() -> Option<String> {
    let manifest = fs::read_to_string("Cargo.toml").ok()?;
    let mut hasher = DefaultHasher::new();
    manifest.hash(&mut hasher);
    manifest
        .contains(QUESTION)
        .then(|| format!("{:016x}", hasher.finish()))
}

/// Whether a dependency can be resolved: evcxr takes a success without a word for a yes.
fn resolve(command: Command, question: String) -> Result<ExitCode> {
    let known = fs::read_to_string(RESOLVED).unwrap_or_default();
    if known.lines().any(|line| line == question) {
        return Ok(ExitCode::SUCCESS);
    }
    let code = call(command, true)?;
    if code == ExitCode::SUCCESS {
        fs::write(RESOLVED, format!("{known}{question}\n"))?;
    }
    Ok(code)
}

/// How cargo calls rustc.
#[derive(Serialize, Deserialize)]
struct Call {
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// How evcxr calls cargo.
#[derive(Serialize, Deserialize, PartialEq)]
struct Circumstances {
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// How a cell is compiled.
#[derive(Serialize, Deserialize)]
struct Cell {
    call: Call,
    circumstances: Circumstances,
    /// The files of path dependencies, with when they were changed.
    sources: Vec<(PathBuf, i128)>,
}

impl Call {
    fn option(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|text| text == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    /// Calls rustc, and tells evcxr what cargo would tell.
    fn compile(&self) -> Result<ExitCode> {
        let mut rustc = Command::new(real(RUSTC_ENV, "rustc"))
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stderr(Stdio::piped())
            .spawn()
            .context("运行不了 rustc")?;
        let stderr = rustc.stderr.take().context("stderr is piped")?;
        let mut stdout = std::io::stdout().lock();
        for line in BufReader::new(stderr).split(b'\n') {
            let line = line?;
            match serde_json::from_slice::<Value>(&line) {
                Ok(message) if message["$message_type"] == "diagnostic" => {
                    let message = json!({ "reason": "compiler-message", "message": message });
                    writeln!(stdout, "{message}")?;
                }
                Ok(message) if message.is_object() => {}
                _ => eprintln!("{}", String::from_utf8_lossy(&line)),
            }
        }
        if !rustc.wait()?.success() {
            return Ok(ExitCode::from(101)); // as cargo
        }
        let library =
            Path::new(self.option("--out-dir").context("cargo names it")?).join("libctx.so");
        let artifact = json!({
            "reason": "compiler-artifact",
            "target": { "name": "ctx" },
            "filenames": [library],
        });
        writeln!(stdout, "{artifact}")?;
        Ok(ExitCode::SUCCESS)
    }
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
