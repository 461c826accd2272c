//! Programs that tests start: with a limit, with their output, and with nothing left behind.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a step may take that downloads or compiles, on a busy machine.
pub const LONG: Duration = Duration::from_secs(1200);
/// What any other step may take.
pub const SHORT: Duration = Duration::from_secs(60);

/// All processes that descend from a command have this in their environment.
pub const MARK: &str = "LAB_TEST_MARK";

/// A command that has been started, in a process group of its own, as from a terminal.
pub struct Running {
    pub child: Child,
    pub output: PathBuf,
    pub mark: String,
    _folder: tempfile::TempDir,
    pub since: Instant,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// stdout and stderr, as a terminal would show them.
    pub text: String,
    pub took: Duration,
}

/// Starts a command with nothing to read.
pub fn start(command: &mut Command) -> Running {
    start_reading(command, Stdio::null())
}

/// Starts a command that reads `input`.
pub fn start_reading(command: &mut Command, input: impl Into<Stdio>) -> Running {
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
        .stdin(input)
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

/// Starts a command that is told to end when the test is killed: a server would go on for ever.
pub fn start_server(command: &mut Command) -> Running {
    base::process::get_when_we_end(command, rustix::process::Signal::TERM);
    start(command)
}

impl Running {
    /// What it has written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// Waits until `condition` holds.
    pub fn until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + limit;
        while !condition() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?} before {what}: {}", self.text());
            assert!(Instant::now() < deadline, "never: {what}: {}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Signals its process group, as Ctrl-C in a terminal does.
    pub fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let status = Command::new("kill")
            .args(["-s", name, "--", &group])
            .status();
        assert!(status.unwrap().success());
    }

    pub fn finish(mut self, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Shown when the test fails, or with `--nocapture`.
                println!("{}[{status}, {:?}]", self.text(), self.since.elapsed());
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
    pub fn processes(mark: &str) -> Vec<String> {
        marked(mark)
            .map(|process| fs::read(process.join("cmdline")).unwrap_or_default())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| !line.is_empty())
            .collect()
    }
}

/// The folders below `/proc` of the processes with this mark.
fn marked(mark: &str) -> impl Iterator<Item = PathBuf> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|process| process.path())
        .filter(move |process| {
            let environment = fs::read(process.join("environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == wanted.as_bytes())
        })
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal("KILL");
            let _ = self.child.wait();
            // What has a process group of its own, as kernels have, goes too.
            kill(&self.mark);
        }
    }
}

/// Ends whatever descends from the marked command.
fn kill(mark: &str) {
    for process in marked(mark) {
        let id = process.file_name().unwrap_or_default();
        let _ = Command::new("kill").arg("-KILL").arg(id).status();
    }
}

/// Waits until nothing that descends from the marked command runs.
pub fn all_gone(mark: &str, limit: Duration) {
    let deadline = Instant::now() + limit;
    loop {
        let left = Running::processes(mark);
        if left.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            // Or an endless loop would be in the way of all later tests.
            kill(mark);
            panic!("left behind: {left:#?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn finish(command: &mut Command, limit: Duration) -> Ended {
    start(command).finish(limit)
}

impl Ended {
    pub fn succeeded(self) -> Ended {
        assert!(self.status.success(), "{}: {}", self.status, self.text);
        self
    }

    /// It failed as a program should: with status 1 and one message, in which all `words` are.
    pub fn failed_with(self, words: &[&str]) -> Ended {
        assert_eq!(self.status.code(), Some(1), "{}", self.text);
        assert_eq!(self.text.matches("错误：").count(), 1, "{}", self.text);
        assert!(!self.text.contains("thread 'main'"), "{}", self.text);
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
