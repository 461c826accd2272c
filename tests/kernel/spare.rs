//! Spare kernels: one that is taken is like any other, one that does not fit is left alone, and
//! none outlives its `lab open`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::FromRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::front::tells_of_evcxrs_end;
use crate::common::command::{LONG, MARK, Running, SHORT, all_gone, start};
use crate::common::{
    self, FIRST_CELL, LIMIT, clean, failure, free_port, interrupted, kernel_command, kernelspec,
    lab, notebook, ok, project, run, set_up, until, until_within, write_program,
};
use base::ipynb::Notebook;
use base::process::{get_when_we_end, in_its_own_session};
use base::processes::{below, runs, signal};
use lab::project::PROJECT_ENV;
use lab::python::PACKAGES;
use link::variable::CACHE as CACHE_ENV;
use link::variable::NOTEBOOK as NOTEBOOK_ENV;
use link::variable::SPARES as SPARES_ENV;
use runner::client::{KernelClient, Outcome};
use rustix::process::Signal;
use serde_json::{Value, json};

/// In the command line of a spare.
const SPARE: &str = "kernel --spare ";

/// A spare kernel without its `lab open`.
struct Spare {
    process: Child,
    words: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Spare {
    fn start() -> Spare {
        set_up();
        let folder = tempfile::tempdir().unwrap();
        let mut command = kernel_command();
        command
            .arg("--spare")
            .arg(folder.path().join("0"))
            .arg(first())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        in_its_own_session(&mut command);
        let mut process = command.spawn().unwrap();
        let words = BufReader::new(process.stdout.take().unwrap());
        let spare = Spare {
            process,
            words,
            folder,
        };
        while !spare.waits() {
            std::thread::sleep(Duration::from_millis(10));
        }
        spare
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("0")
    }

    /// Whether nobody has taken it.
    fn waits(&self) -> bool {
        self.socket().exists()
    }

    /// The next that it says.
    fn word(&mut self) -> String {
        let mut word = String::new();
        self.words.read_line(&mut word).unwrap();
        word.trim().to_owned()
    }

    /// The command of a kernel for `notebook` that may take it.
    fn command(&self, notebook: &Path) -> Command {
        let mut command = kernel_command();
        command
            .env(SPARES_ENV, self.folder.path())
            .env(NOTEBOOK_ENV, notebook);
        command
    }

    async fn taken(&self) -> KernelClient {
        let kernel = KernelClient::start_with(self.command(&first()), |_| ()).await;
        assert!(!self.waits(), "it has been taken");
        kernel.unwrap()
    }

    /// Everything that belongs to it.
    fn processes(&self) -> Vec<u32> {
        below(self.process.id(), None)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first notebook of the course.
fn first() -> PathBuf {
    project().course().unwrap().swap_remove(0)
}

fn kill(process: u32) {
    signal(process, Signal::KILL);
}

/// As in a kernel that has run the first cell and nothing else.
async fn is_fresh_after_its_first_cell(kernel: &mut KernelClient) {
    let execution = ok(kernel, FIRST_CELL).await;
    assert_eq!(execution.execution_count, Some(1));
    assert_eq!(execution.outputs, Vec::<Value>::new());
    assert_eq!(ok(kernel, ":vars").await.result(), Some(""));
    let explained = failure(kernel, ":explain").await;
    assert!(explained.contains("No last error"), "{explained}");
    ok(kernel, "let x = vec![1, 2, 3];").await;
    let cell = "tokio::task::yield_now().await;\nprintln!(\"{}\", x.len());";
    let execution = ok(kernel, cell).await;
    assert_eq!(execution.execution_count, Some(5));
    assert_eq!(execution.stream("stdout"), "3\n");
    let message = failure(kernel, "let y = 1;\npanic!(\"as announced\");").await;
    assert!(message.contains("as announced"), "{message}");
    let vars = ok(kernel, ":vars").await;
    assert_eq!(vars.result(), Some("x: Vec<i32>\n"));
}

#[test]
fn a_spare_that_is_taken_is_like_a_kernel_that_has_run_nothing() {
    run(async {
        let mut spare = Spare::start();
        assert_eq!(spare.word(), "warm");
        let mut kernel = spare.taken().await;
        assert_eq!(spare.word(), "taken");
        is_fresh_after_its_first_cell(&mut kernel).await;
        is_fresh_after_its_first_cell(&mut common::kernel().await).await;
        kernel.shutdown().await.unwrap();
        assert!(spare.process.wait().unwrap().success());
    });
}

#[test]
fn a_spare_can_be_taken_before_it_is_warm() {
    run(async {
        let spare = Spare::start();
        let mut kernel = spare.taken().await;
        is_fresh_after_its_first_cell(&mut kernel).await;
    });
}

#[test]
fn another_first_cell_finds_nothing_of_what_was_run_ahead() {
    run(async {
        let mut spare = Spare::start();
        assert_eq!(spare.word(), "warm");
        let mut kernel = spare.taken().await;
        ok(&mut kernel, " ").await; // decides nothing
        let message = failure(&mut kernel, "tokio::task::yield_now();").await;
        assert!(message.contains("tokio"), "{message}");
        let message = failure(&mut kernel, "notebook::println!();").await;
        assert!(message.contains("notebook"), "{message}");
        let execution = ok(&mut kernel, FIRST_CELL).await;
        assert_eq!(execution.execution_count, Some(4));
        ok(&mut kernel, "tokio::task::yield_now().await;").await;
    });
}

#[test]
fn a_kernel_that_starts_early_is_like_one_that_starts_when_its_turn_comes() {
    run(async {
        let (spec, first) = (kernelspec(), first());
        let start = || KernelClient::start_early(&spec, &first);
        let (one, other) = tokio::join!(start(), start());
        let (mut one, mut other) = (one.unwrap(), other.unwrap());
        is_fresh_after_its_first_cell(&mut one).await;
        let message = failure(&mut other, "tokio::task::yield_now();").await;
        assert!(message.contains("tokio"), "{message}");
    });
}

#[test]
fn a_first_cell_that_does_something_is_run_once_and_one_that_fails_fails_when_it_is_asked_for() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let start = async |cell: &str| {
            let path = folder.path().join("one.ipynb");
            fs::write(&path, notebook(&[(cell, false)])).unwrap();
            KernelClient::start_early(&kernelspec(), &path)
                .await
                .unwrap()
        };
        let mark = folder.path().join("mark");
        let does = format!(
            "{{ let old = std::fs::read_to_string({mark:?}).unwrap_or_default(); std::fs::write({mark:?}, old + \"here\").unwrap(); }}"
        );
        let mut kernel = start(&does).await;
        let execution = ok(&mut kernel, &does).await;
        assert_eq!(execution.execution_count, Some(1));
        assert_eq!(fs::read_to_string(mark).unwrap(), "here");
        let fails = "use nobody::knows::this;";
        let mut kernel = start(fails).await;
        let message = failure(&mut kernel, fails).await;
        assert!(message.contains("nobody"), "{message}");
        assert_eq!(ok(&mut kernel, "1 + 1").await.result(), Some("2"));
    });
}

#[test]
fn a_taken_spare_is_interrupted_by_a_signal_and_by_a_message() {
    run(async {
        let spare = Spare::start();
        let mut kernel = spare.taken().await;
        ok(&mut kernel, FIRST_CELL).await;
        ok(&mut kernel, "let x = 42;").await;
        let wait = "std::future::pending::<()>().await;";
        // `interrupted` sends the signal.
        let execution = interrupted(&mut kernel, wait).await;
        let Outcome::Failed(message) = &execution.outcome else {
            panic!("{:?}", execution.outcome);
        };
        assert!(message.contains("已取消"), "{message}");
        kernel.interrupt().await.unwrap();
        assert_eq!(ok(&mut kernel, "x").await.result(), Some("42"));
    });
}

#[test]
fn a_taken_spare_ends_with_the_process_that_jupyter_started_and_that_with_it() {
    run(async {
        let mut spare = Spare::start();
        let kernel = spare.taken().await;
        until("evcxr runs", || spare.processes().len() > 1).await;
        let processes = spare.processes();
        kill(kernel.id().unwrap());
        until("all of it ends", || !processes.iter().any(|id| runs(*id))).await;
        spare.process.wait().unwrap();

        let spare = Spare::start();
        let mut kernel = spare.taken().await;
        ok(&mut kernel, FIRST_CELL).await;
        kill(spare.processes()[1]);
        let outcome = kernel.execute("1", LIMIT).await.unwrap().outcome;
        assert!(tells_of_evcxrs_end(&outcome), "{outcome:?}");
    });
}

#[test]
fn a_taken_spare_has_let_go_of_its_ports_when_it_ends() {
    run(async {
        let spare = Spare::start();
        let mut kernel = spare.taken().await;
        ok(&mut kernel, FIRST_CELL).await;
        let connection = kernel.connection().clone();
        // Until the process that was started has ended.
        kernel.shutdown().await.unwrap();
        for port in [
            connection.shell_port,
            connection.iopub_port,
            connection.stdin_port,
            connection.control_port,
            connection.hb_port,
        ] {
            TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    });
}

#[test]
fn two_kernels_never_share_a_spare() {
    run(async {
        let spare = Spare::start();
        let start = || KernelClient::start_with(spare.command(&first()), |_| ());
        let (one, other) = tokio::join!(start(), start());
        let (mut one, mut other) = (one.unwrap(), other.unwrap());
        assert!(!spare.waits());
        for (kernel, x) in [(&mut one, "1"), (&mut other, "2")] {
            ok(kernel, &format!("let x = {x};")).await;
        }
        assert_eq!(ok(&mut one, "x").await.result(), Some("1"));
        assert_eq!(ok(&mut other, "x").await.result(), Some("2"));
    });
}

#[test]
fn a_spare_that_is_not_just_right_is_left_alone() {
    run(async {
        let spare = Spare::start();
        let folder = tempfile::tempdir().unwrap();
        let differs = folder.path().join("differs.ipynb");
        let cell = format!("{FIRST_CELL}\nuse std::time::Duration;");
        fs::write(&differs, notebook(&[(&cell, false)])).unwrap();
        let other = project().notebooks().join("05-web-server.ipynb"); // with another first cell
        let mut elsewhere = spare.command(&first());
        elsewhere.current_dir(folder.path());
        let mut unnamed = spare.command(&first());
        unnamed.env_remove(NOTEBOOK_ENV);
        for command in [
            spare.command(&differs),
            spare.command(&other),
            elsewhere,
            unnamed,
        ] {
            let mut kernel = KernelClient::start_with(command, |_| ()).await.unwrap();
            assert_eq!(ok(&mut kernel, "1 + 1").await.result(), Some("2"));
            assert!(spare.waits());
        }
        spare.taken().await;
    });
}

/// `lab open`, with JupyterLab, on this clone.
struct Open {
    running: Running,
    port: u16,
    token: String,
    folder: tempfile::TempDir,
}

impl Open {
    fn start(spares: &str) -> Open {
        set_up();
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut running = start(
            clean(lab())
                .args(["open", "--no-browser", "--spares", spares])
                .args(["--port", &port.to_string()])
                .env("JUPYTER_RUNTIME_DIR", folder.path())
                .env("JUPYTER_CONFIG_DIR", folder.path())
                .env("TMPDIR", folder.path())
                .current_dir(project().root()),
        );
        let mut token = None;
        running.until("Jupyter writes down its token", LONG, || {
            let files = fs::read_dir(folder.path()).unwrap().flatten();
            token = files
                .filter(|file| file.path().extension().is_some_and(|end| end == "json"))
                .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
                .find_map(|server: Value| server["token"].as_str().map(str::to_owned));
            token.is_some()
        });
        Open {
            running,
            port,
            token: token.unwrap(),
            folder,
        }
    }

    /// Starts a kernel for a notebook, as the browser does; returns its number.
    fn open(&mut self, notebook: &str) -> String {
        let client = reqwest::blocking::Client::builder().no_proxy().build();
        let client = client.unwrap();
        let (url, header) = (
            format!("http://127.0.0.1:{}/api/sessions", self.port),
            format!("token {}", self.token),
        );
        let session = json!({
            "path": notebook, "name": notebook, "type": "notebook", "kernel": { "name": "rust" },
        });
        let mut kernel = None;
        self.running.until("a kernel starts", LONG, || {
            let request = client.post(&url).header("Authorization", &header);
            let answer = request.json(&session).timeout(SHORT).send();
            let answer: Option<Value> = answer.ok().and_then(|answer| answer.json().ok());
            kernel = answer.and_then(|answer| answer["kernel"]["id"].as_str().map(str::to_owned));
            kernel.is_some()
        });
        kernel.unwrap()
    }

    /// How many kernels run that Jupyter has started, and how many spares.
    fn count(&self) -> (usize, usize) {
        Open::counted(&self.running.mark)
    }

    /// The same of the processes with this mark.
    fn counted(mark: &str) -> (usize, usize) {
        let processes = Running::processes(mark);
        let with = |words: &str| processes.iter().filter(|line| line.contains(words)).count();
        (with("rust/kernel /"), with(SPARE))
    }

    /// The sockets of spares that can be taken.
    fn waiting(&self) -> usize {
        let folders = fs::read_dir(self.folder.path()).unwrap().flatten();
        folders
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("lab"))
            .flat_map(|folder| {
                let mode = folder.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "others could take a spare");
                fs::read_dir(folder.path()).into_iter().flatten()
            })
            .count()
    }

    fn take_a_spare(&mut self) {
        while self.waiting() == 0 {
            assert!(self.running.since.elapsed() < LONG, "a spare is kept");
            std::thread::sleep(Duration::from_millis(50));
        }
        let name = first().file_name().unwrap().to_string_lossy().into_owned();
        self.open(&name);
        while self.waiting() == 1 {
            assert!(self.running.since.elapsed() < LONG, "it is taken");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.count(), (1, 1));
    }
}

#[test]
fn when_lab_open_is_told_to_end_no_spare_and_no_kernel_is_left() {
    let mut open = Open::start("1");
    open.take_a_spare();
    let mark = open.running.mark.clone();
    let id = open.running.child.id();
    let told = Command::new("kill").arg(id.to_string()).status();
    assert!(told.unwrap().success());
    open.running.finish(SHORT);
    all_gone(&mark, SHORT);
    let left = fs::read_dir(open.folder.path()).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("lab"));
    assert_eq!(left.count(), 0, "the sockets' folder is gone");
}

#[test]
fn when_lab_open_is_killed_no_spare_and_no_kernel_is_left() {
    let mut open = Open::start("1");
    open.take_a_spare();
    let mark = open.running.mark.clone();
    kill(open.running.child.id());
    open.running.finish(SHORT);
    all_gone(&mark, SHORT);
}

/// A terminal, and what was written on it.
struct Terminal {
    keyboard: fs::File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs a command in a new one.
    fn run(command: &mut Command) -> (Terminal, Child) {
        let (mut ours, mut its) = (0, 0);
        let nothing = std::ptr::null_mut();
        // SAFETY: two integers to write to; the rest may be null.
        let opened =
            unsafe { libc::openpty(&mut ours, &mut its, nothing, nothing.cast(), nothing.cast()) };
        assert_eq!(opened, 0);
        // SAFETY: nobody else owns these descriptors.
        let (ours, its) = unsafe { (fs::File::from_raw_fd(ours), fs::File::from_raw_fd(its)) };
        command
            .stdin(its.try_clone().unwrap())
            .stdout(its.try_clone().unwrap())
            .stderr(its);
        in_its_own_session(command);
        get_when_we_end(command, Signal::TERM);
        // SAFETY: async-signal-safe, and no memory is involved.
        unsafe {
            command.pre_exec(|| match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let process = command.spawn().unwrap();
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, written) = (ours.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                written.lock().unwrap().extend(&bytes[..read]);
            }
        });
        let keyboard = ours;
        (Terminal { keyboard, screen }, process)
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    async fn until(&self, text: &str) {
        let text = text.as_bytes();
        until_within(LIMIT, "it is on the screen", || {
            let screen = self.screen.lock().unwrap();
            screen.windows(text.len()).any(|part| part == text)
        })
        .await;
    }
}

#[test]
fn in_a_terminal_the_first_ctrl_c_asks_and_the_second_ends_everything() {
    run(async {
        set_up();
        let mark = uuid::Uuid::new_v4().to_string();
        let (mut terminal, mut process) = Terminal::run(
            clean(lab())
                .args(["open", "--no-browser", "--port", &free_port().to_string()])
                .env(MARK, &mark)
                .current_dir(project().root()),
        );
        terminal.until("token=").await;
        terminal.press("\u{3}");
        terminal.until("y/[n]").await;
        let spares = |line: &&String| line.contains(SPARE);
        assert_eq!(Running::processes(&mark).iter().filter(spares).count(), 1);
        terminal.press("\u{3}");
        until("it ends", || process.try_wait().unwrap().is_some()).await;
        all_gone(&mark, SHORT);
    });
}

#[test]
fn in_a_terminal_run_shows_how_far_it_is() {
    run(async {
        set_up();
        let cells = Notebook::load(&first()).unwrap().code_cells().len();
        let (terminal, mut process) = Terminal::run(
            clean(lab())
                .args(["run", "00"])
                .env("TERM", "xterm") // or nothing is drawn
                .current_dir(project().root()),
        );
        terminal.until(&format!("/{cells} 个单元格")).await;
        until_within(LIMIT, "it ends", || process.try_wait().unwrap().is_some()).await;
        assert!(process.wait().unwrap().success());
    });
}

#[test]
fn no_spare_is_kept_when_none_is_wanted() {
    let mut open = Open::start("0");
    let name = first().file_name().unwrap().to_string_lossy().into_owned();
    open.open(&name);
    // What a kernel starts is a copy of it until it is another program.
    let mark = open.running.mark.clone();
    let is_alone = || Open::counted(&mark) == (1, 0);
    open.running.until("one kernel, no spare", SHORT, is_alone);
    open.running.signal("TERM");
    open.running.finish(SHORT);
    all_gone(&mark, SHORT);
}

#[test]
fn a_spare_that_cannot_be_made_is_given_up_with_one_message_and_jupyter_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = |below: &str| folder.path().join(below);
    for below in ["notebooks", "support/lab", "environment/bin"] {
        fs::create_dir_all(path(below)).unwrap();
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(project().root().join(file), path(file)).unwrap();
    }
    // Nothing to run ahead, and nothing to warm.
    fs::write(path("notebooks/01-text.ipynb"), notebook(&[])).unwrap();
    let installed = PACKAGES.map(|(name, version)| format!("echo {name} {version};"));
    let python = format!(
        "#!/bin/sh\ncase $1 in -c) {} : ;; --version) echo Python 3.12.0 ;; -m) exec /bin/sleep 60 ;; esac\n",
        installed.join(" ")
    );
    write_program(&path("environment/bin/python"), &python);
    let mut running = start(
        clean(lab())
            .args(["open", "--no-browser", "--spares", "3"])
            .env(PROJECT_ENV, folder.path())
            .env(CACHE_ENV, path("cache"))
            .env("VIRTUAL_ENV", path("environment"))
            .current_dir(folder.path()),
    );
    let mark = running.mark.clone();
    let output = running.output.clone();
    let text = || fs::read_to_string(&output).unwrap();
    let message = "没有备用的内核";
    running.until("it is given up", SHORT, || text().contains(message));
    let count = |word: &str| {
        let processes = Running::processes(&mark);
        processes.iter().filter(|line| line.contains(word)).count()
    };
    running.until("no spare is left", SHORT, || count(SPARE) == 0);
    assert_eq!(count("sleep"), 1, "Jupyter is open");
    running.signal("TERM");
    let ended = running.finish(SHORT);
    assert_eq!(ended.text.matches(message).count(), 1, "{}", ended.text);
    assert_eq!(ended.status.code(), Some(128 + 15), "Jupyter's status");
    all_gone(&mark, SHORT);
}
