//! The program as its users meet it: a fresh copy in an awkward place, good days and bad ones.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::a_newcomer::interrupted;
use crate::common::command::{Ended, LONG, SHORT, all_gone, finish, start};
use crate::common::{self, FIRST_CELL, clean, lab, notebook, project, write_program};
use base::toolchain::Toolchain;
use lab::project::PROJECT_ENV;
use lab::python::PACKAGES;
use link::variable::CACHE as CACHE_ENV;
use serde_json::json;

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
        for file in ["Cargo.toml", "Cargo.lock"] {
            let copy = sandbox.path("project").join(file);
            fs::copy(project().root().join(file), copy).unwrap();
        }
        let cells = [(":dep fnv = \"1\"", false)];
        fs::write(
            sandbox.path("project/notebooks/01-small.ipynb"),
            notebook(&cells),
        )
        .unwrap();
        symlink(rustc(), sandbox.path("bin/rustc")).unwrap();
        sandbox.script("bin/cc", "exit 0");
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
        write_program(&self.path(path), &format!("#!/bin/sh\n{text}\n"));
    }

    /// An active environment in which everything is installed, or pip does what `pip` says.
    fn activate(&self, installed: bool, pip: &str, command: &mut Command) {
        let listed = match installed {
            true => PACKAGES.map(|(name, version)| format!("echo {name} {version};")),
            false => Default::default(),
        };
        let listed = listed.join(" ");
        let script = format!(
            "case $1 in -c) {listed} : ;; --version) echo Python 3.12.0 ;; -m) {pip} ;; esac"
        );
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
            let half_done = name == "kernel.json" || name.starts_with(".lab-new-");
            assert!(!half_done, "{}", file.path().display());
        }
    }
}

/// This machine's toolchain, whole even where nothing has been set up yet.
fn toolchain() -> Toolchain {
    Toolchain::find_or_complete().unwrap()
}

/// The real compiler, not rustup's proxy, which needs more on its path.
fn rustc() -> PathBuf {
    toolchain().sysroot.join("bin/rustc")
}

// ---- Something is missing ----

#[test]
fn a_cache_folder_that_evcxr_cannot_use_is_refused_by_name_and_a_usual_one_is_passed_over() {
    let sandbox = Sandbox::new();
    let unusable = sandbox.path("with space");
    let mut setup = sandbox.lab(&["setup"]);
    setup.env(CACHE_ENV, &unusable);
    finish(&mut setup, SHORT).failed_with(&["with space", CACHE_ENV, "空格"]);
    let mut doctor = sandbox.lab(&["doctor"]);
    doctor
        .env_remove(CACHE_ENV)
        .env("XDG_CACHE_HOME", &unusable)
        .env("HOME", sandbox.path("home"));
    let ended = finish(&mut doctor, SHORT);
    let cache = ended
        .text
        .lines()
        .find_map(|line| line.strip_prefix("缓存："));
    let cache = Path::new(cache.expect("doctor says where the cache is"));
    assert!(
        cache.starts_with(sandbox.path("home/.cache")),
        "{}",
        ended.text
    );
    assert_eq!(fs::metadata(cache).unwrap().mode() & 0o777, 0o700);
    assert!(!unusable.exists());
    sandbox.is_untouched();
}

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
fn all_that_is_missing_is_said_at_once_and_before_anything_is_begun() {
    let sandbox = Sandbox::new();
    for name in ["rustc", "cc"] {
        fs::remove_file(sandbox.path("bin").join(name)).unwrap();
    }
    let ended = finish(&mut sandbox.lab(&["setup"]), SHORT);
    ended.failed_with(&[
        "✗ 找不到 rustc",
        "✗ 找不到链接器",
        "✗ 未找到 python3",
        "3 样东西",
    ]);
    sandbox.is_untouched();
}

#[test]
fn a_first_set_up_says_what_it_will_do_and_keeps_what_its_programs_say() {
    let sandbox = Sandbox::new();
    let mut setup = sandbox.lab(&["setup"]);
    let pip = "echo Collecting nothing; echo the cause >&2; exit 1";
    sandbox.activate(false, pip, &mut setup);
    let text = finish(&mut setup, SHORT).failed_with(&["the cause"]).text;
    let place = |words: &str| {
        let place = text.find(words);
        place.unwrap_or_else(|| panic!("{words} is not in {text}"))
    };
    let order = [
        "✓ Rust",
        "✓ 磁盘",
        "下载 crate：",
        "第一次要准备的",
        "安装 JupyterLab：约",
        "错误：",
    ];
    assert!(order.map(place).is_sorted(), "{text}");
    let doctor = finish(&mut sandbox.lab(&["doctor"]), SHORT).text;
    let log = doctor
        .lines()
        .find_map(|line| line.strip_prefix("上一次准备的经过："));
    let log = fs::read_to_string(log.expect("doctor names the log")).unwrap();
    for said in ["Collecting nothing", "the cause", "第一次要准备的"] {
        assert!(log.contains(said), "{log}");
    }
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

/// As [`Sandbox::lab`], where no sources lie in /usr/src: Debian's package is found there, wherever
/// the toolchain is. Hidden as any user may, in a namespace of their own; `None` where that is
/// impossible.
fn lab_without_packaged_sources(sandbox: &Sandbox, arguments: &[&str]) -> Option<Command> {
    let hidden = "mount -t tmpfs none /usr/src && exec \"$0\" \"$@\"";
    let mut probe = clean("unshare");
    probe.args(["-rm", "sh", "-c", hidden, "true"]);
    let mut command = match finish(&mut probe, SHORT).status.success() {
        true => clean("unshare"),
        false if fs::read_dir("/usr/src").is_ok_and(|mut entries| entries.next().is_some()) => {
            let skipped = "SKIPPED: /usr/src cannot be hidden here, and is not empty";
            assert!(std::env::var_os("CI").is_none(), "{skipped}");
            // Past libtest, which keeps what `eprintln!` says to itself when a test passes.
            let _ = writeln!(std::io::stderr(), "{skipped}");
            return None;
        }
        false => clean("env"),
    };
    if command.get_program() == "unshare" {
        command.args(["-rm", "sh", "-c", hidden]);
    }
    // Only now: `sh` and `mount` are to be found.
    command
        .arg("env")
        .arg(format!("PATH={}", sandbox.path("bin").display()));
    command.arg(lab()).args(arguments);
    let path = std::env::var_os("PATH").unwrap();
    sandbox.settle(&mut command);
    command
        .env("PATH", path)
        .env("RUST_SRC_PATH", sandbox.path("nowhere"));
    Some(command)
}

#[test]
fn without_the_standard_librarys_sources_setup_says_how_to_get_them() {
    let sandbox = Sandbox::new();
    fake_rustc(
        &sandbox,
        "1.95.0 (59807616e 2026-04-14)",
        &sandbox.path("sysroot"),
    );
    for task in ["setup", "doctor"] {
        let Some(mut command) = lab_without_packaged_sources(&sandbox, &[task]) else {
            return;
        };
        let ended = finish(&mut command, SHORT);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text);
        for words in ["找不到标准库的源码", "1.95", "apt install", "RUST_SRC_PATH"] {
            assert!(ended.text.contains(words), "{}", ended.text);
        }
        sandbox.is_untouched();
    }
}

/// rustup, with toolchains of its own: this machine's, as far as rustup and rustc need it, under
/// several names and without rust-src.
struct Rustup<'a> {
    sandbox: &'a Sandbox,
    names: [String; 3],
}

impl Rustup<'_> {
    /// `None` where rustup does not own this machine's toolchain.
    fn new(sandbox: &Sandbox) -> Option<Rustup<'_>> {
        let machine = toolchain();
        let rustlib = machine.sysroot.join("lib/rustlib");
        let path = std::env::var_os("PATH").unwrap();
        let mut folders = std::env::split_paths(&path);
        let Some(folder) = folders.find(|folder| folder.join("rustup").is_file()) else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: there is no rustup");
            return None;
        };
        if !rustlib.join("multirust-channel-manifest.toml").is_file() {
            let _ = writeln!(std::io::stderr(), "SKIPPED: the toolchain is not rustup's");
            return None;
        }
        // In the place of rustc it starts the one that was chosen.
        fs::remove_file(sandbox.path("bin/rustc")).unwrap();
        for name in ["rustup", "rustc"] {
            symlink(folder.join("rustup"), sandbox.path("bin").join(name)).unwrap();
        }
        let rustup = Rustup {
            sandbox,
            names: ["1.95.0", "1.95.1", "1.95.2"].map(|name| format!("{name}-{}", machine.host)),
        };
        for name in &rustup.names {
            let files = walkdir::WalkDir::new(&machine.sysroot);
            let is_needed = |entry: &walkdir::DirEntry| {
                let below = entry.path().strip_prefix(&machine.sysroot).unwrap();
                let other = !below.starts_with("lib") && !below.starts_with("bin");
                let target = below.starts_with(Path::new("lib/rustlib").join(&machine.host));
                below.as_os_str().is_empty() || !other && !target
            };
            for file in files.into_iter().filter_entry(is_needed) {
                let file = file.unwrap();
                let below = file.path().strip_prefix(&machine.sysroot).unwrap();
                let to = rustup.toolchain(name).join(below);
                if file.file_type().is_dir() {
                    fs::create_dir_all(to).unwrap();
                // What rustup writes to must be a file of its own.
                } else if file.path().parent() == Some(&rustlib)
                    || fs::hard_link(file.path(), &to).is_err()
                {
                    fs::copy(file.path(), to).unwrap();
                }
            }
            if rustup.has_sources(name) {
                rustup.run(&["component", "remove", "rust-src", "--toolchain", name]);
            }
        }
        assert!(rustup.with_sources().is_empty());
        Some(rustup)
    }

    fn home(&self) -> PathBuf {
        self.sandbox.path("rustup")
    }

    fn toolchain(&self, name: &str) -> PathBuf {
        self.home().join("toolchains").join(name)
    }

    fn run(&self, arguments: &[&str]) {
        let mut rustup = clean("rustup");
        rustup.args(arguments).env("RUSTUP_HOME", self.home());
        finish(&mut rustup, SHORT).succeeded();
    }

    fn has_sources(&self, name: &str) -> bool {
        let library = "lib/rustlib/src/rust/library/core/src/lib.rs";
        self.toolchain(name).join(library).is_file()
    }

    /// The toolchains that have the library's sources.
    fn with_sources(&self) -> Vec<&str> {
        let names = self.names.iter().map(String::as_str);
        names.filter(|name| self.has_sources(name)).collect()
    }

    fn lab(&self, task: &str) -> Option<Command> {
        let mut command = lab_without_packaged_sources(self.sandbox, &[task])?;
        command.env("RUSTUP_HOME", self.home());
        Some(command)
    }
}

#[test]
fn setup_adds_the_sources_to_the_very_toolchain_that_is_used_and_says_so() {
    let sandbox = Sandbox::new();
    let Some(rustup) = Rustup::new(&sandbox) else {
        return;
    };
    let [first, second, third] = &rustup.names;
    let project = sandbox.path("project");
    let file = format!("[toolchain]\nchannel = \"{first}\"\n");
    fs::write(project.join("rust-toolchain.toml"), file).unwrap();
    let Some(mut doctor) = rustup.lab("doctor") else {
        return;
    };
    let text = finish(&mut doctor, SHORT).text;
    let advice = format!("rustup component add rust-src --toolchain {first}");
    assert!(
        text.contains("✗ 找不到标准库的源码") && text.contains(&advice),
        "{text}"
    );

    let mut offline = rustup.lab("setup").unwrap();
    offline.env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9");
    finish(&mut offline, LONG).failed_with(&["rust-src", "网络", "RUST_SRC_PATH"]);
    assert!(rustup.with_sources().is_empty());
    sandbox.is_untouched();

    // By a file, by an override, which is stronger, and by a variable, which is stronger still.
    let set_up = |name: &str, variable: Option<&str>| {
        let mut setup = rustup.lab("setup").unwrap();
        if let Some(variable) = variable {
            setup.env("RUSTUP_TOOLCHAIN", variable);
        }
        let ended = finish(&mut setup, LONG);
        let said = [
            &*format!("用 rustup 给工具链 {name} 添加 rust-src"),
            "✓ 标准库的源码：",
            "✓ Rust：",
            "未找到 python3",
        ];
        ended.failed_with(&said);
    };
    set_up(first, None);
    assert_eq!(rustup.with_sources(), [first]);
    let folder = project.to_str().unwrap();
    rustup.run(&["override", "set", third, "--path", folder]);
    set_up(third, None);
    assert_eq!(rustup.with_sources(), [first, third]);
    set_up(second, Some(second));
    assert_eq!(rustup.with_sources(), [first, second, third]);

    // There is nothing more to add, or to say.
    let again = finish(&mut rustup.lab("setup").unwrap(), SHORT);
    let text = again.failed_with(&["✓ Rust：", "未找到 python3"]).text;
    assert!(
        !text.contains("rust-src") && !text.contains("源码"),
        "{text}"
    );
}

#[test]
fn elsewhere_than_on_linux_the_build_stops_at_once_and_says_where_it_runs() {
    for target in [
        "x86_64-pc-windows-msvc",
        "aarch64-apple-darwin",
        "x86_64-unknown-freebsd",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut build = clean("cargo");
        build
            .args(["build", "--locked", "--bin=lab", "--target", target])
            .arg("--target-dir")
            .arg(folder.path())
            .current_dir(project().root());
        let ended = finish(&mut build, SHORT);
        assert!(!ended.status.success(), "{}", ended.text);
        for words in [
            "只在 Linux 上运行",
            "Linux only",
            "WSL2",
            "Docker",
            "Binder",
        ] {
            assert!(ended.text.contains(words), "{}", ended.text);
        }
        // Nothing else was compiled first.
        let compiled = ended.text.matches("Compiling ").count();
        assert_eq!(compiled, 1, "{}", ended.text);
    }
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
    assert!(doctor.text.contains("0/1 组已编译好"), "{}", doctor.text);
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
    // From a set-up that was killed: no process has such a number.
    let kernel = sandbox.path("environment/share/jupyter/kernels/rust");
    fs::create_dir_all(&kernel).unwrap();
    fs::write(kernel.join(".lab-new-99999999-half"), "half").unwrap();
    let ended = finish(&mut setup, SHORT);
    ended.failed_with(&["kernels/rust/kernel", "磁盘空间"]);
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
        assert!(
            ended.text.contains("已中断。做完的步骤不会丢失"),
            "{}",
            ended.text
        );
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

#[test]
fn jupyterlab_opens_on_the_guide_where_there_is_one() {
    let sandbox = Sandbox::new();
    let write = |name: &str| {
        let file = sandbox.path("project/notebooks").join(name);
        fs::write(file, notebook(&[])).unwrap();
    };
    write("01-small.ipynb"); // nothing to warm
    let arguments = || {
        let mut open = sandbox.lab(&["open", "--spares", "0"]);
        sandbox.activate(true, "echo \"$@\"", &mut open);
        finish(&mut open, SHORT).succeeded().text
    };
    let without = arguments();
    assert!(
        without.contains("-m jupyterlab") && !without.contains("default_url"),
        "{without}"
    );
    write("00-guide.ipynb");
    let with = arguments();
    let page = "--LabApp.default_url=/lab/tree/00-guide.ipynb ";
    assert!(with.contains(page), "{with}");
}

#[test]
fn a_set_up_that_waits_for_another_says_so_and_can_be_interrupted() {
    let sandbox = Sandbox::new();
    let mut setup = sandbox.lab(&["setup"]);
    let started = sandbox.path("started");
    let pip = format!(": > {}; exec /bin/sleep 600", started.display());
    sandbox.activate(false, &pip, &mut setup);
    let mut first = start(&mut setup);
    first.until("pip runs", SHORT, || started.exists());
    let mut second = start(&mut sandbox.lab(&["setup"]));
    let output = second.output.clone();
    second.until("it waits", SHORT, || {
        let text = fs::read_to_string(&output).unwrap_or_default();
        text.contains("另一个 lab 正在准备环境")
    });
    interrupted(second);
    assert!(
        first.child.try_wait().unwrap().is_none(),
        "{}",
        first.text()
    );
    interrupted(first);
}

#[test]
fn commands_end_quietly_when_nobody_reads_what_they_print() {
    // As if the signal had ended them; or as they end anyway.
    let piped = 128 + rustix::process::Signal::PIPE.as_raw();
    let commands: [(&[&str], i32); 6] = [
        (&["--help"], 0),
        (&["--version"], 0),
        (&["doctor"], piped),
        (&["fmt", "--check"], piped),
        (&["setup"], piped),
        (&["run", "no-such-notebook"], 1),
    ];
    for (arguments, status) in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = clean(lab());
        command.args(arguments).current_dir(project().root());
        command.stdout(writer.try_clone().unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        // Behind `2>&1 | head`.
        let ended = command.stderr(writer).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}");
    }
}

#[test]
fn an_interrupted_run_leaves_no_kernel() {
    common::set_up();
    let folder = tempfile::tempdir().unwrap();
    let (file, started) = (
        folder.path().join("endless.ipynb"),
        folder.path().join("started"),
    );
    let endless = format!("std::fs::write({started:?}, \"\").unwrap(); loop {{}}");
    fs::write(&file, notebook(&[(&endless, false)])).unwrap();
    let mut run = clean(lab());
    run.arg("run").arg(&file).current_dir(project().root());
    let mut running = start(&mut run);
    running.until("the cell runs", LONG, || started.exists());
    let ended = interrupted(running);
    // Nothing of a run is kept.
    assert!(!ended.text.contains("不会丢失"), "{}", ended.text);
}

/// Whether a file of this name is somewhere below `folder`.
pub fn contains(folder: &Path, name: &str) -> bool {
    let files = walkdir::WalkDir::new(folder);
    files
        .into_iter()
        .flatten()
        .any(|file| file.file_name() == name)
}

// ---- `lab run` says what failed ----

/// A folder with a notebook with these cells, and the program, to be started there in this clone's
/// environment.
pub fn lab_with(name: &str, cells: &[(&str, bool)]) -> (tempfile::TempDir, Command) {
    common::set_up();
    let folder = tempfile::tempdir().unwrap();
    let notebooks = folder.path().join("notebooks");
    fs::create_dir(&notebooks).unwrap();
    // Where the first cell's relative paths lead.
    symlink(
        project().root().join("support"),
        folder.path().join("support"),
    )
    .unwrap();
    fs::write(notebooks.join(name), notebook(cells)).unwrap();
    let mut command = clean(lab());
    command
        .current_dir(notebooks)
        .env(PROJECT_ENV, project().root());
    (folder, command)
}

/// Runs a notebook with these cells in this clone's environment; each must fail within `seconds`.
fn run(name: &str, cells: &[(&str, bool)], seconds: &str) -> Ended {
    let (_folder, mut run) = lab_with(name, cells);
    run.args(["run", "--timeout", seconds]).arg(name);
    let running = start(&mut run);
    let mark = running.mark.clone();
    let ended = running.finish(LONG);
    // Whatever became of the kernel, nothing of it stays.
    all_gone(&mark, Duration::from_secs(10));
    ended
}

#[test]
fn a_cell_that_panics_ends_the_run_with_notebook_cell_and_cause() {
    let cells = [
        (FIRST_CELL, false),
        ("println!(\"so far, so good\");", false),
        ("panic!(\"the cause\")", false),
    ];
    let ended = run("50-panics.ipynb", &cells, "120");
    ended.failed_with(&[
        "50-panics.ipynb",
        "第 3 个",
        "the cause",
        "panic!(\"the cause\")",
    ]);
}

#[test]
fn a_question_mark_that_fails_ends_the_run_with_notebook_cell_and_cause() {
    let cells = [
        (FIRST_CELL, false),
        ("let n: i32 = \"abc\".parse()?;", false),
    ];
    let ended = run("51-fails.ipynb", &cells, "120");
    ended.failed_with(&["51-fails.ipynb", "第 2 个", "invalid digit"]);
}

#[test]
fn a_cell_that_does_not_compile_ends_the_run_with_notebook_cell_and_cause() {
    let cells = [("let n = 1;", false), ("let text: String = n;", false)];
    let ended = run("52-does-not-compile.ipynb", &cells, "120");
    ended.failed_with(&["52-does-not-compile.ipynb", "第 2 个", "mismatched types"]);
}

#[test]
fn a_first_cell_that_names_an_unknown_crate_ends_the_run() {
    let cells = [(":dep nowhere = { path = \"../support/nowhere\" }", false)];
    let ended = run("53-unknown.ipynb", &cells, "120");
    ended.failed_with(&["53-unknown.ipynb", "第 1 个", "support/nowhere"]);
}

#[test]
fn a_cell_that_takes_longer_than_allowed_ends_the_run_with_notebook_cell_and_cause() {
    let cells = [("loop {}", false)];
    let ended = run("54-endless.ipynb", &cells, "3");
    ended.failed_with(&["54-endless.ipynb", "第 1 个", "超过 3 秒", "--timeout"]);
}

#[test]
fn a_cell_that_kills_the_kernel_ends_the_run_with_notebook_cell_and_cause() {
    let kill = "let kernel = std::os::unix::process::parent_id().to_string();\n\
        std::process::Command::new(\"kill\").args([\"-KILL\", &kernel]).status().unwrap();\n\
        loop { std::thread::sleep(std::time::Duration::from_secs(1)); }";
    let ended = run(
        "55-kills.ipynb",
        &[(FIRST_CELL, false), (kill, false)],
        "120",
    );
    assert!(ended.took < SHORT, "{:?}: {}", ended.took, ended.text);
    ended.failed_with(&["55-kills.ipynb", "第 2 个", "evcxr 自己结束了", "signal: 9"]);
}

#[test]
fn a_cell_that_aborts_ends_the_run_with_notebook_cell_and_cause() {
    let cells = [(FIRST_CELL, false), ("std::process::abort()", false)];
    let ended = run("56-aborts.ipynb", &cells, "120");
    assert!(ended.took < SHORT, "{:?}: {}", ended.took, ended.text);
    ended.failed_with(&["56-aborts.ipynb", "第 2 个"]);
}

#[test]
fn a_tagged_cell_may_fail_and_must() {
    let cells = [
        (FIRST_CELL, false),
        ("panic!(\"as announced\")", true),
        ("let n: i32 = \"\";", true),
        ("println!(\"still here\");", false),
        ("println!(\"no failure\");", true),
    ];
    let ended = run("57-tagged.ipynb", &cells, "120");
    ended.failed_with(&["57-tagged.ipynb", "第 5 个", "raises-exception", "却成功了"]);
}

#[test]
fn a_broken_notebook_file_is_named_with_what_is_wrong() {
    common::set_up();
    let folder = tempfile::tempdir().unwrap();
    let old = json!({"worksheets": [], "metadata": {}, "nbformat": 3, "nbformat_minor": 0});
    for (name, text, words) in [
        (
            "no-json.ipynb",
            "{\"cells\": [".to_owned(),
            ["no-json.ipynb", "JSON"],
        ),
        ("empty.ipynb", String::new(), ["empty.ipynb", "JSON"]),
        ("old.ipynb", old.to_string(), ["old.ipynb", "nbformat"]),
        ("list.ipynb", "[1]".to_owned(), ["list.ipynb", "笔记本"]),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        for task in ["run", "fmt", "export"] {
            let mut command = clean(lab());
            command.arg(task).arg(&file).current_dir(project().root());
            finish(&mut command, SHORT).failed_with(&words);
        }
    }
}

#[test]
fn a_broken_notebook_of_the_course_stops_setup_only_at_its_end_and_no_other_notebook() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("project/notebooks/01-small.ipynb"), "{").unwrap();
    let text = json!({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
    let file = sandbox.path("project/notebooks/02-text.ipynb");
    fs::write(file, text.to_string()).unwrap();
    let lab = |arguments: &[&str]| {
        let mut command = sandbox.lab(arguments);
        sandbox.activate(true, "exit 1", &mut command);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        finish(&mut command, LONG)
    };
    let setup = lab(&["setup"]).failed_with(&["01-small.ipynb", "JSON"]);
    assert!(setup.text.contains("✓ 内核 Rust"), "{}", setup.text);
    // A notebook without code cells is no reason to fail either; what is wrong with others is nothing
    // to who runs this one.
    let run = lab(&["run", "02"]).succeeded();
    assert!(!run.text.contains("01-small.ipynb"), "{}", run.text);
    // What is asked for is read first.
    let run = lab(&["run"]).failed_with(&["01-small.ipynb", "JSON"]);
    assert!(!run.text.contains("✓"), "{}", run.text);
}

#[test]
fn a_foreign_folder_is_refused_before_the_notebooks_are_run() {
    let sandbox = Sandbox::new();
    let out = sandbox.path("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("mine.txt"), "").unwrap();
    let mut export = sandbox.lab(&["export", "--out"]);
    finish(export.arg(&out), SHORT).failed_with(&["mine.txt", "--out"]);
    sandbox.is_untouched();
}

#[test]
fn an_unknown_notebook_name_lists_the_known_ones() {
    for task in ["run", "fmt", "export"] {
        let mut command = clean(lab());
        command.args([task, "77"]).current_dir(project().root());
        let ended = finish(&mut command, SHORT);
        ended.failed_with(&["77", "01-why-coroutines", "02-define-and-run"]);
    }
}

#[test]
fn wrong_usage_is_status_2() {
    for (arguments, message) in [
        (&["nonsense"][..], "没有 nonsense 这个命令"),
        (&["--nonsense"], "这里不能用 --nonsense"),
        (
            &["open", "--port", "many"],
            "--port 的值不能是“many”：要写 0 到 65535 的整数",
        ),
        (&["run", "--timeout"], "--timeout 后面缺一个值"),
        // Nothing would be run, nothing could succeed, and no clock goes so far.
        (
            &["run", "--repeat", "0"],
            "--repeat 的值不能是“0”：要写 1 到 1000 的整数",
        ),
        (
            &["run", "--timeout", "0"],
            "--timeout 的值不能是“0”：要写 1 到 86400 的整数",
        ),
        (
            &["export", "--timeout", "18446744073709551615"],
            "--timeout 的值不能是“18446744073709551615”：要写 1 到 86400 的整数",
        ),
        (
            &["--port", "9000", "--no-browser", "doctor"],
            "--port <端口>, --no-browser 不能写在命令 doctor 的前面",
        ),
        (&["open", "--port", "1", "--port", "2"], "--port 只能写一次"),
        (&["--allow-remote=1"], "--allow-remote 后面不能有值 1"),
    ] {
        let mut command = clean(lab());
        command.args(arguments).current_dir(project().root());
        let ended = finish(&mut command, SHORT);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.text);
        assert!(ended.text.contains(message), "{}", ended.text);
        assert!(ended.text.contains("--help"), "{}", ended.text);
        assert!(!ended.text.contains("Usage"), "{}", ended.text);
    }
}
