//! What the integration tests share: the program, kernels in a clean environment, and cells.
#![allow(dead_code)] // each test target uses a part of it

pub mod command;

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use base::processes;
use base::toolchain::Toolchain;
use lab::project::Project;
use lab::python::Environment;
use link::variable;
use runner::client::{Execution, KernelClient, Outcome};
use runner::kernelspec::KernelSpec;
use rustix::process::Signal;
use serde_json::{Value, json};

/// What a single cell may take here: a stock kernel compiles everything in its first one.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The first cell of every notebook of the course.
pub const FIRST_CELL: &str = r#":dep tokio = { package = "nest-tokio", path = "../support/nest-tokio" }
:dep notebook = { path = "../support/notebook" }
:dep flags = { path = "../support/flags", default-features = false }
:dep futures = "0.3"
:dep reqwest = { version = "0.13", default-features = false, features = ["json"] }
:dep rayon = "1"
use notebook::{eprintln, print, println};"#;

/// The folder with our programs: cargo puts them above the tests.
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let programs = test.parent().and_then(Path::parent);
    programs
        .expect("a test lies in target/PROFILE/deps")
        .to_owned()
}

/// One of our programs.
pub fn program(name: &str) -> PathBuf {
    let program = programs().join(name);
    assert!(
        program.is_file(),
        "{} is missing: `cargo build` makes it",
        program.display()
    );
    program
}

/// The program of the course.
pub fn lab() -> PathBuf {
    program("lab")
}

/// This clone.
pub fn project() -> Project {
    Project::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// A command in a clean environment: `cargo test` sets variables that would hide faults. In whichever
/// terminal it is run, programs show the same. What cargo has just compiled is not compiled again.
pub fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = base::environment::clean(program);
    command
        .env_remove("TERM")
        .env(variable::PROGRAMS, programs());
    command
}

/// Sets this clone up, with the tools of the tests, once.
pub fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = clean(lab())
            .args(["setup", "--tests"])
            .current_dir(project().root())
            .status()
            .unwrap();
        assert!(status.success(), "`lab setup` failed: {status}");
    });
}

/// The Python of this clone's environment, with JupyterLab and the tools of the tests.
pub fn python() -> PathBuf {
    set_up();
    project().root().join(".venv/bin/python")
}

/// A port on loopback that nobody listens on. It is none of those that Linux gives to whoever asks for
/// any: a server listens only after a while, and kernels that start meanwhile ask for five each.
pub fn free_port() -> u16 {
    loop {
        let port = 10_000 + (uuid::Uuid::new_v4().as_u128() % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Writes a program. A child does, by `install`: what this process has open for writing, a child that
/// another test starts at this moment has open, too, and Linux runs no program that somebody writes.
pub fn write_program(path: &Path, text: &str) {
    let mut install = Command::new("install");
    install.args(["-D", "-m", "755", "/dev/stdin"]).arg(path);
    let mut install = install.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = install.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(install.wait().unwrap().success());
}

/// A notebook file with these code cells; `true` means that a cell is tagged to fail.
pub fn notebook(cells: &[(&str, bool)]) -> String {
    let cells: Vec<Value> = cells
        .iter()
        .enumerate()
        .map(|(number, (source, fails))| {
            let metadata = match fails {
                true => json!({"tags": ["raises-exception"]}),
                false => json!({}),
            };
            json!({
                "cell_type": "code", "id": format!("cell-{number}"), "metadata": metadata,
                "execution_count": null, "outputs": [], "source": source,
            })
        })
        .collect();
    let kernel = json!({"name": "rust", "display_name": "Rust", "language": "rust"});
    json!({
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    })
    .to_string()
}

/// Runs a test with kernels in it, for at most ten minutes.
pub fn run(test: impl Future<Output = ()>) {
    run_within(Duration::from_secs(600), test);
}

/// Runs a test with kernels in it that have much to do.
pub fn run_within(limit: Duration, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(limit, test).await })
        .unwrap_or_else(|_| panic!("the test ends within {limit:?}"));
}

/// The entry by which Jupyter finds our kernel.
pub fn kernelspec() -> KernelSpec {
    set_up();
    let environment = Environment::at(project().root().join(".venv"), PathBuf::new());
    KernelSpec::load(&lab::kernelspec::folder(&environment)).unwrap()
}

/// The command of our kernel, in the notebooks' folder.
pub fn kernel_command() -> Command {
    let spec = kernelspec();
    let mut command = clean(&spec.argv[0]);
    command
        .args(&spec.argv[1..])
        .envs(&spec.environment)
        .current_dir(project().notebooks());
    command
}

/// Our kernel, in the notebooks' folder, its first cell not yet run.
pub async fn kernel() -> KernelClient {
    KernelClient::start_with(kernel_command(), |_| ())
        .await
        .unwrap()
}

/// Our kernel for this notebook: it begins with what was warmed for its first cell.
pub async fn kernel_for(notebook: &Path) -> KernelClient {
    kernel_with(notebook, []).await
}

/// Our kernel for this notebook, with these variables in its environment.
pub async fn kernel_with(
    notebook: &Path,
    variables: impl IntoIterator<Item = (&'static str, String)>,
) -> KernelClient {
    let mut command = kernel_command();
    command.env(variable::NOTEBOOK, notebook).envs(variables);
    KernelClient::start_with(command, |_| ()).await.unwrap()
}

/// Our kernel with the first cell run.
pub async fn notebook_kernel() -> KernelClient {
    let mut kernel = kernel().await;
    ok(&mut kernel, FIRST_CELL).await;
    kernel
}

/// A stock kernel: the same program as plain evcxr, with nothing of ours around it. It can find the
/// standard library's sources, and what it has compiled is there the next time: it takes minutes, so
/// it is told, as users can, not to optimise. Two at a time must not compile in the same place.
pub async fn stock_kernel(place: &str) -> KernelClient {
    let folder = project().cache().join("stock").join(place);
    let (build, configuration) = (folder.join("build"), folder.join("config"));
    for folder in [&build, &configuration] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let settings = "[evcxr]\nopt_level = \"0\"\n";
    std::fs::write(configuration.join("evcxr.toml"), settings).unwrap();
    let program = kernelspec().program();
    let stock = runner::stock::stock(&program, &Toolchain::find().unwrap(), &build);
    let mut command = clean(program);
    command
        .args(stock.get_args())
        .envs(
            stock
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("EVCXR_CONFIG_DIR", configuration)
        .current_dir(project().notebooks());
    KernelClient::start_with(command, |_| ()).await.unwrap()
}

/// Checks that a cell's text has all of these pieces, in this order.
pub fn assert_in_order(cell: &str, text: &str, pieces: &[&str]) {
    let mut rest = text;
    for piece in pieces {
        let at = rest.find(piece);
        let at = at.unwrap_or_else(|| panic!("{cell}: {piece:?} is not in {text:?}"));
        rest = &rest[at + piece.len()..];
    }
}

/// Runs a cell that must succeed.
pub async fn ok(kernel: &mut KernelClient, code: &str) -> Execution {
    let execution = kernel.execute(code, LIMIT).await.unwrap();
    assert_eq!(
        execution.outcome,
        Outcome::Ok,
        "{code}\n{:#?}",
        execution.outputs
    );
    execution
}

/// Runs a cell that must fail, and returns its message.
pub async fn failure(kernel: &mut KernelClient, code: &str) -> String {
    match kernel.execute(code, LIMIT).await.unwrap().outcome {
        Outcome::Failed(message) => message,
        other => panic!("{other:?} instead of a failure: {code}"),
    }
}

/// Waits until `condition` holds, for at most half a minute.
pub async fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(Duration::from_secs(30), what, condition).await;
}

/// Waits until `condition` holds.
pub async fn until_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs `code`, and interrupts the kernel, as Jupyter does, once the cell has begun.
pub async fn interrupted(kernel: &mut KernelClient, code: &str) -> Execution {
    let folder = tempfile::tempdir().unwrap();
    let begun = folder.path().join("begun");
    let code = format!("{{ std::fs::write({begun:?}, \"\").unwrap(); }}\n{code}");
    let group = kernel.id().unwrap();
    let interrupt = async {
        until("the cell begins", || begun.exists()).await;
        processes::signal_group(group, Signal::INT);
    };
    let (execution, ()) = tokio::join!(kernel.execute(&code, LIMIT), interrupt);
    execution.unwrap()
}
