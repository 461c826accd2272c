//! What the student hears of cargo when it compiles dependencies, and for how long.
//!
//! We tell the front, which shows the latest line in the cell. Nothing is said of what takes a
//! moment.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::cell;
use super::tell::{self, Connection};
use super::used::Used;

/// How long compiling may take before anything is said of it.
const QUIET: Duration = Duration::from_secs(2);

/// What is said of one call of cargo.
#[derive(Default)]
pub struct Progress {
    front: Option<Connection>,
    /// Since when another kernel is waited for.
    waits: Option<Instant>,
    /// Since when packages are compiled, and how many have begun.
    compiles: Option<Instant>,
    packages: usize,
    latest: String,
}

impl Progress {
    /// Another kernel is compiling what is needed.
    pub fn wait(&mut self) {
        self.waits = Some(Instant::now());
        self.say("另一个内核正在编译这些依赖，等它完成……");
    }

    /// Whether another kernel has been waited for.
    pub fn has_waited(&self) -> bool {
        self.waits.is_some()
    }

    /// It has done so, or given up.
    pub fn end_waiting(&mut self, done: bool) {
        let took = self.waits.map(|since| since.elapsed()).unwrap_or_default();
        self.say(&match done {
            true => format!("另一个内核编译好了这些依赖，等了{}。", words(took)),
            false => "另一个内核没有编译完，现在接着编译……".to_owned(),
        });
    }

    /// Runs cargo, and says which package it compiles. What it says of the cell goes on to evcxr,
    /// unless that does not `hear` it, and to the front. Returns what it has used, too.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&mut self, command: &mut Command, hears: bool) -> io::Result<(ExitStatus, Used)> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut cargo = command.spawn()?;
        let stdout = cargo.stdout.take().expect("is a pipe");
        let stderr = cargo.stderr.take();
        let passing = thread::spawn(move || cell::pass_on(stdout, hears));
        let (sender, lines) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut stderr = stderr.map(BufReader::new);
            let mut line = Vec::new();
            while let Some(stderr) = &mut stderr
                && stderr
                    .read_until(b'\n', &mut line)
                    .is_ok_and(|read| read > 0)
            {
                let _ = io::stderr().write_all(&line);
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                line.clear();
            }
        });
        loop {
            let quiet = self
                .compiles
                .map(|since| QUIET.saturating_sub(since.elapsed()));
            let line = match quiet.filter(|left| !left.is_zero()) {
                Some(left) => lines.recv_timeout(left),
                None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match line {
                Ok(line) => self.take(&line),
                Err(RecvTimeoutError::Timeout) => self.say_latest(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let _ = reader.join();
        let status = cargo.wait()?;
        let (messages, used) = passing.join().expect("it does not panic");
        tell::diagnose(&messages);
        Ok((status, used))
    }

    /// A line of cargo's.
    fn take(&mut self, line: &str) {
        let Some(package) = compiled(line) else {
            return;
        };
        self.packages += 1;
        package.clone_into(&mut self.latest);
        let since = *self.compiles.get_or_insert_with(Instant::now);
        if since.elapsed() >= QUIET {
            self.say_latest();
        }
    }

    fn say_latest(&mut self) {
        let (number, package) = (self.packages, &self.latest);
        self.say(&format!(
            "编译依赖：第 {number} 个包 {package}（第一次用到，要几分钟，以后不用）"
        ));
    }

    /// All has been compiled, or it has failed. What is said now stays.
    pub fn end(&mut self, done: bool) {
        let took = self
            .compiles
            .map(|since| since.elapsed())
            .unwrap_or_default();
        if self.front.is_none() {
            return; // it was too short to say anything
        }
        self.say(&match done {
            true => format!(
                "依赖编译好了：{} 个包，用了{}。",
                self.packages,
                words(took)
            ),
            false => "依赖没有编译成功。".to_owned(),
        });
    }

    /// Without a front nobody hears it.
    fn say(&mut self, line: &str) {
        if self.front.is_none() {
            self.front = Connection::connect();
        }
        if let Some(front) = &mut self.front {
            front.notice(line);
        }
    }
}

/// The package that cargo says it compiles, unless it is the cell.
fn compiled(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_compiled = matches!(words.next()?, "Compiling" | "Checking");
    words
        .next()
        .filter(|package| is_compiled && *package != "ctx")
}

/// A duration, as one says it, with a blank before it.
fn words(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "不到 1 秒".to_owned(),
        seconds @ 1..60 => format!(" {seconds} 秒"),
        seconds => format!(" {} 分 {} 秒", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_and_the_cell_is_none() {
        for (line, package) in [
            ("   Compiling tokio v1.53.0\n", Some("tokio")),
            ("    Checking serde v1.0.0 (/a b)", Some("serde")),
            ("   Compiling ctx v1.0.0 (/build)", None),
            ("    Finished `dev` profile", None),
            ("   Compiling", None),
            ("", None),
        ] {
            assert_eq!(compiled(line), package, "{line}");
        }
    }

    #[test]
    fn durations_are_said_as_one_says_them() {
        let said = [0, 1, 59, 60, 132].map(|seconds| words(Duration::from_secs(seconds)));
        let expected = ["不到 1 秒", " 1 秒", " 59 秒", " 1 分 0 秒", " 2 分 12 秒"];
        assert_eq!(said, expected);
    }
}
