//! The program as its users meet it: a fresh copy in an awkward place, good days and bad ones.

mod common;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{FIRST_CELL, clean, lab, project};
use lab::project::{CACHE_ENV, PROJECT_ENV};
use lab::python::PACKAGES;
use lab::toolchain::Toolchain;
use serde_json::{Value, json};

/// What a step may take that downloads or compiles, on a busy machine.
const LONG: Duration = Duration::from_secs(480);
/// What any other step may take.
const SHORT: Duration = Duration::from_secs(60);

/// All processes that descend from a command have this in their environment.
const MARK: &str = "LAB_TEST_MARK";

/// A command that has been started, in a process group of its own, as from a terminal.
struct Running {
    child: Child,
    output: PathBuf,
    mark: String,
    _folder: tempfile::TempDir,
    since: Instant,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    /// stdout and stderr, as a terminal would show them.
    text: String,
    took: Duration,
}

fn start(command: &mut Command) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    // A file, not a pipe: a process that is left behind must not keep the test waiting.
    let file = File::options()
        .create(true)
        .append(true)
        .open(&output)
        .unwrap();
    let mark = uuid::Uuid::new_v4().to_string();
    command
        .env(MARK, &mark)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .process_group(0);
    Running {
        child: command.spawn().unwrap(),
        output,
        mark,
        _folder: folder,
        since: Instant::now(),
    }
}

impl Running {
    /// What it has written so far.
    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// Waits until `condition` holds.
    fn until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + limit;
        while !condition() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?} before {what}: {}", self.text());
            assert!(Instant::now() < deadline, "never: {what}: {}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Signals its process group, as Ctrl-C in a terminal does.
    fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let status = Command::new("kill")
            .args(["-s", name, "--", &group])
            .status();
        assert!(status.unwrap().success());
    }

    fn finish(mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ended {
                    status,
                    text: self.text(),
                    took: self.since.elapsed(),
                };
            }
            assert!(
                Instant::now() < deadline,
                "not after {limit:?}: {}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The command lines of the processes that descend from it, itself included.
    fn processes(mark: &str) -> Vec<String> {
        let wanted = format!("{MARK}={mark}");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|process| {
                let environment = fs::read(process.path().join("environ")).unwrap_or_default();
                environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == wanted.as_bytes())
            })
            .map(|process| fs::read(process.path().join("cmdline")).unwrap_or_default())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| !line.is_empty())
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal("KILL");
            let _ = self.child.wait();
        }
    }
}

/// Waits until nothing that descends from the marked command runs.
fn all_gone(mark: &str, limit: Duration) {
    let deadline = Instant::now() + limit;
    loop {
        let left = Running::processes(mark);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn finish(command: &mut Command, limit: Duration) -> Ended {
    start(command).finish(limit)
}

impl Ended {
    fn succeeded(self) -> Ended {
        assert!(self.status.success(), "{}: {}", self.status, self.text);
        self
    }

    /// It failed as a program should: with status 1 and one message, in which all `words` are.
    fn failed_with(self, words: &[&str]) -> Ended {
        assert_eq!(self.status.code(), Some(1), "{}", self.text);
        assert_eq!(self.text.matches("错误：").count(), 1, "{}", self.text);
        assert!(!self.text.contains("panicked"), "{}", self.text);
        for word in words {
            assert!(
                self.text.contains(word),
                "`{word}` is missing: {}",
                self.text
            );
        }
        self
    }
}

/// A project that has what set-up looks for and nothing to wait for.
struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Sandbox {
        let sandbox = Sandbox {
            folder: tempfile::tempdir().unwrap(),
        };
        for folder in ["project/notebooks", "project/support/lab", "bin", "cache"] {
            fs::create_dir_all(sandbox.path(folder)).unwrap();
        }
        let lock = project().root().join("Cargo.lock");
        fs::copy(lock, sandbox.path("project/Cargo.lock")).unwrap();
        let cells = [(":dep fnv = \"1\"", false)];
        fs::write(
            sandbox.path("project/notebooks/01-small.ipynb"),
            notebook(&cells),
        )
        .unwrap();
        symlink(rustc(), sandbox.path("bin/rustc")).unwrap();
        sandbox
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The program, for this project, with nothing on its path but what the test put there.
    fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = clean(lab());
        self.settle(&mut command);
        command.args(arguments);
        command
    }

    fn settle(&self, command: &mut Command) {
        command
            .env(PROJECT_ENV, self.path("project"))
            .env(CACHE_ENV, self.path("cache"))
            .env("PATH", self.path("bin"))
            .current_dir(self.path("project"));
    }

    /// A program made of shell builtins.
    fn script(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// An active environment in which everything is installed, or pip does what `pip` says.
    fn activate(&self, installed: bool, pip: &str, command: &mut Command) {
        let listed = match installed {
            true => PACKAGES.map(|(name, version)| format!("echo {name} {version};")),
            false => Default::default(),
        };
        let listed = listed.join(" ");
        let script = format!("case $1 in -c) {listed} : ;; --version) echo Python 3.12.0 ;; -m) {pip} ;; esac");
        self.script("environment/bin/python", &script);
        command.env("VIRTUAL_ENV", self.path("environment"));
    }

    /// Nothing was installed, and nothing was begun.
    fn is_untouched(&self) {
        assert!(!self.path("project/.venv").exists());
        self.has_no_kernel();
    }

    fn has_no_kernel(&self) {
        let files = walkdir::WalkDir::new(self.folder.path());
        for file in files.into_iter().flatten() {
            let name = file.file_name().to_string_lossy();
            let half_done = name == "kernel.json" || name.contains(".new-");
            assert!(!half_done, "{}", file.path().display());
        }
    }
}

/// The real compiler, not rustup's proxy, which needs more on its path.
fn rustc() -> PathBuf {
    Toolchain::find().unwrap().sysroot.join("bin/rustc")
}

/// A notebook file with these code cells; `true` means that a cell is tagged to fail.
fn notebook(cells: &[(&str, bool)]) -> String {
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
    json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).to_string()
}

// ---- Something is missing ----

#[test]
fn without_python_setup_says_what_to_install() {
    let sandbox = Sandbox::new();
    let ended = finish(&mut sandbox.lab(&["setup"]), SHORT);
    ended.failed_with(&["未找到 python3", "Python ≥ 3.10", "environment.yml"]);
    sandbox.is_untouched();
}

#[test]
fn a_python_that_is_too_old_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.script("bin/python3", "echo Python 3.8.1");
    let ended = finish(&mut sandbox.lab(&["setup"]), SHORT);
    ended.failed_with(&["Python 3.8.1", "太旧", "Python ≥ 3.10"]);
    sandbox.is_untouched();
}

#[test]
fn an_active_environment_without_python_is_named() {
    let sandbox = Sandbox::new();
    let mut setup = sandbox.lab(&["setup"]);
    setup.env("VIRTUAL_ENV", sandbox.path("gone"));
    finish(&mut setup, SHORT).failed_with(&["gone/bin/python", "deactivate"]);
    sandbox.is_untouched();
}

#[test]
fn a_python_without_venv_is_named_with_the_package_to_install() {
    let sandbox = Sandbox::new();
    let python = "case $1 in --version) echo Python 3.11.2 ;; *) echo 'No module named venv' >&2; exit 1 ;; esac";
    sandbox.script("bin/python3", python);
    let ended = finish(&mut sandbox.lab(&["setup"]), SHORT);
    ended.failed_with(&["No module named venv", "python3-venv"]);
}

#[test]
fn without_rust_setup_says_where_to_get_it() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("bin/rustc")).unwrap();
    let ended = finish(&mut sandbox.lab(&["setup"]), SHORT);
    ended.failed_with(&["找不到 rustc", "rustup.rs"]);
    sandbox.is_untouched();
}

/// A `rustc` that answers as if it were another version, with its files elsewhere.
fn fake_rustc(sandbox: &Sandbox, version: &str, sysroot: &Path) {
    let script = format!(
        "case $1 in -vV) echo 'rustc {version}'; echo 'host: x86_64-unknown-linux-gnu' ;; *) echo '{}' ;; esac",
        sysroot.display()
    );
    fs::remove_file(sandbox.path("bin/rustc")).unwrap();
    sandbox.script("bin/rustc", &script);
}

#[test]
fn a_rust_that_is_too_old_is_refused() {
    let sandbox = Sandbox::new();
    fake_rustc(
        &sandbox,
        "1.80.0 (051478957 2024-07-21)",
        &sandbox.path("sysroot"),
    );
    let ended = finish(&mut sandbox.lab(&["setup"]), SHORT);
    ended.failed_with(&["rustc 1.80.0", "太旧", "rustup update", "1.95"]);
    sandbox.is_untouched();
}

#[test]
fn without_the_standard_librarys_sources_setup_says_how_to_get_them() {
    let sandbox = Sandbox::new();
    fake_rustc(
        &sandbox,
        "1.95.0 (59807616e 2026-04-14)",
        &sandbox.path("sysroot"),
    );
    // Debian's package is found in /usr/src, wherever the toolchain is: hide it, as any user may
    // in a namespace of their own.
    let hidden = "mount -t tmpfs none /usr/src && exec \"$0\" \"$@\"";
    let mut probe = clean("unshare");
    probe.args(["-rm", "sh", "-c", hidden, "true"]);
    let mut setup = match finish(&mut probe, SHORT).status.success() {
        true => clean("unshare"),
        false if fs::read_dir("/usr/src").is_ok_and(|mut entries| entries.next().is_some()) => {
            eprintln!("SKIPPED: /usr/src cannot be hidden here, and is not empty");
            return;
        }
        false => clean("env"),
    };
    if setup.get_program() == "unshare" {
        setup.args(["-rm", "sh", "-c", hidden]);
    }
    // Only now: `sh` and `mount` are to be found.
    setup
        .arg("env")
        .arg(format!("PATH={}", sandbox.path("bin").display()));
    setup.arg(lab()).arg("setup");
    let path = std::env::var_os("PATH").unwrap();
    sandbox.settle(&mut setup);
    setup
        .env("PATH", path)
        .env("RUST_SRC_PATH", sandbox.path("nowhere"));
    let ended = finish(&mut setup, SHORT);
    ended.failed_with(&["找不到标准库的源码", "rustup component add rust-src"]);
    sandbox.is_untouched();
}

// ---- No network, no space, no port ----

#[test]
fn crates_that_cannot_be_downloaded_are_named_and_the_folder_is_not_taken_for_warm() {
    let sandbox = Sandbox::new();
    let mut setup = sandbox.lab(&["setup"]);
    sandbox.activate(true, "exit 1", &mut setup);
    setup
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("CARGO_HOME", sandbox.path("cargo"))
        .env("CARGO_HTTP_PROXY", "http://127.0.0.1:9")
        .env("CARGO_NET_RETRY", "0");
    let ended = finish(&mut setup, LONG);
    ended.failed_with(&["01-small.ipynb", "fnv", "网络"]);
    let mut doctor = sandbox.lab(&["doctor"]);
    doctor.env("VIRTUAL_ENV", sandbox.path("environment"));
    let doctor = finish(&mut doctor, SHORT);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(doctor.text.contains("0/1 个已预热"), "{}", doctor.text);
}

#[test]
fn a_full_disk_leaves_no_half_kernel() {
    let sandbox = Sandbox::new();
    // No file may be larger than 10 MB; the program itself is.
    let mut setup = clean("/bin/bash");
    setup
        .args(["-c", "trap '' XFSZ; ulimit -f 10000; exec \"$0\" \"$@\""])
        .arg(lab())
        .arg("setup");
    sandbox.settle(&mut setup);
    sandbox.activate(true, "exit 1", &mut setup);
    let ended = finish(&mut setup, SHORT);
    ended.failed_with(&["kernels/rust/lab", "磁盘空间"]);
    sandbox.has_no_kernel();
}

#[test]
fn a_full_disk_while_packages_are_installed_is_named() {
    let sandbox = Sandbox::new();
    let mut setup = sandbox.lab(&["setup"]);
    let pip = "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2; exit 1";
    sandbox.activate(false, pip, &mut setup);
    let ended = finish(&mut setup, SHORT);
    ended.failed_with(&["No space left on device", "磁盘空间"]);
    sandbox.has_no_kernel();
}

#[test]
fn a_port_in_use_is_refused_before_anything_is_installed() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [&["open", "--port", &port][..], &["--port", &port]] {
        let ended = finish(&mut sandbox.lab(arguments), SHORT);
        ended.failed_with(&[&port, "--port"]);
    }
    sandbox.is_untouched();
}

#[test]
fn other_machines_are_let_in_only_when_asked_for() {
    let sandbox = Sandbox::new();
    for ip in ["0.0.0.0", "::", "192.0.2.1"] {
        let ended = finish(
            &mut sandbox.lab(&["open", "--no-browser", "--ip", ip]),
            SHORT,
        );
        ended.failed_with(&[ip, "--allow-remote"]);
    }
    sandbox.is_untouched();
}

// ---- Set-up is interrupted ----

#[test]
fn an_interrupt_while_pip_runs_ends_pip_and_half_installed_packages_are_installed_again() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let mut setup = sandbox.lab(&["setup"]);
        let (pids, started) = (sandbox.path("pids"), sandbox.path("started"));
        // With a child of its own, and deaf to what a terminal sends.
        let pip = format!(
            "trap '' INT TERM HUP; /bin/sleep 600 & echo 'Installing collected packages: x'; : > {}; wait",
            started.display()
        );
        sandbox.activate(false, &pip, &mut setup);
        let mut running = start(&mut setup);
        let noticed = sandbox.path("cache");
        running.until("pip installs", SHORT, || {
            started.exists() && contains(&noticed, "python-unfinished")
        });
        let mark = running.mark.clone();
        running.signal(signal);
        let ended = running.finish(Duration::from_secs(5));
        assert_eq!(ended.status.code(), Some(code), "{}", ended.text);
        assert!(ended.text.contains("已中断"), "{}", ended.text);
        all_gone(&mark, Duration::from_secs(5));
        // It looks installed now, and is not.
        let mut again = sandbox.lab(&["setup"]);
        let pip = format!(
            "echo \"$@\" > {}; echo tried again >&2; exit 1",
            pids.display()
        );
        sandbox.activate(true, &pip, &mut again);
        finish(&mut again, SHORT).failed_with(&["tried again"]);
        let arguments = fs::read_to_string(&pids).unwrap();
        assert!(arguments.contains("--force-reinstall"), "{arguments}");
    }
}

/// Whether a file of this name is somewhere below `folder`.
fn contains(folder: &Path, name: &str) -> bool {
    let files = walkdir::WalkDir::new(folder);
    files.into_iter().flatten().any(|file| file.file_name() == name)
}
