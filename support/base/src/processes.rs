//! What runs on this machine, as `/proc` tells it, and what it takes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// Whether a process runs: it is there, and has not ended.
pub fn runs(process: u32) -> bool {
    let state = fields(process).unwrap_or_default();
    !state.is_empty() && !state.starts_with(" Z")
}

/// The program that a process runs and its arguments; nothing of one that has ended, or that is so
/// new that Linux has not written them down: whoever starts a process is told so a moment earlier.
pub fn command_line(process: u32) -> Vec<OsString> {
    words(process, "cmdline")
}

/// What a process was given as an environment variable when it was started; nothing of one whose
/// [`command_line`] is not there yet.
pub fn variable(process: u32, name: &str) -> Option<OsString> {
    words(process, "environ").into_iter().find_map(|entry| {
        let value = entry.as_bytes().strip_prefix(name.as_bytes())?;
        Some(OsStr::from_bytes(value.strip_prefix(b"=")?).to_owned())
    })
}

/// What stands in one of a process's files, each word with a zero behind it.
fn words(process: u32, file: &str) -> Vec<OsString> {
    let text = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
    let words = text.split_inclusive(|byte| *byte == 0);
    words
        .map(|word| OsString::from_vec(word.strip_suffix(&[0]).unwrap_or(word).to_vec()))
        .collect()
}

/// The parent of a process, if it runs.
pub fn parent(process: u32) -> Option<u32> {
    fields(process)?.split_whitespace().nth(1)?.parse().ok()
}

/// The processor time that a process and its ended children have taken; nothing of one that has
/// ended itself.
pub fn time(process: u32) -> Duration {
    let fields = fields(process).unwrap_or_default();
    // Behind the name: its own time in user and system mode, then its children's.
    let ticks = fields.split_whitespace().skip(11).take(4);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(1000 * ticks / rustix::param::clock_ticks_per_second().max(1))
}

/// What `/proc/PROCESS/stat` says behind the name in parentheses, which may contain anything.
fn fields(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.to_owned())
}

/// What a process has started, the earliest first, and has not ended.
pub fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let numbers = |list: String| -> Vec<u32> {
        let words = list.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    lists.flat_map(numbers).collect()
}

/// A process and everything below it, but nothing below `except`, nor that.
pub fn below(process: u32, except: Option<u32>) -> Vec<u32> {
    let parents = all();
    let mut found = vec![process];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        let children = parents.iter().filter(|(_, its)| **its == parent);
        found.extend(
            children
                .map(|(process, _)| *process)
                .filter(|process| Some(*process) != except),
        );
        next += 1;
    }
    found
}

/// The memory that a process takes, in bytes: of a page that several share, each has its part. None
/// of one that has just ended.
pub fn memory(process: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Sends a process a signal; nothing happens if it has ended.
pub fn signal(process: u32, signal: Signal) {
    if let Some(process) = pid(process) {
        let _ = rustix::process::kill_process(process, signal);
    }
}

/// Sends a process group a signal; nothing happens if it has ended.
pub fn signal_group(group: u32, signal: Signal) {
    if let Some(group) = pid(group) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn pid(process: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process).ok()?)
}

/// The processes of the user with this number.
pub fn of_user(user: u32) -> impl Iterator<Item = u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(move |entry| entry.metadata().is_ok_and(|found| found.uid() == user))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// All processes with their parents.
pub fn all() -> HashMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            Some((process, parent(process)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::{Command, Stdio};

    #[test]
    fn everything_below_a_process_is_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .env("SHELL_OF_A_TEST", "a b")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(parent(shell.id()), Some(std::process::id()));
        // Linux writes them down last.
        while variable(shell.id(), "SHELL_OF_A_TEST").is_none() {
            std::thread::yield_now();
        }
        assert_eq!(command_line(shell.id())[1..], ["-c", "sleep 60 & wait"]);
        assert_eq!(variable(shell.id(), "SHELL_OF_A_TEST"), Some("a b".into()));
        assert_eq!(variable(shell.id(), "SHELL_OF"), None);
        let found = loop {
            let found = below(shell.id(), None).split_off(1);
            if !found.is_empty() {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(parent(found[0]), Some(shell.id()));
        assert_eq!(children(shell.id()), found);
        assert_eq!(below(shell.id(), Some(found[0])), [shell.id()]);
        signal(found[0], Signal::KILL);
        while runs(shell.id()) {
            std::thread::yield_now();
        }
        // It has ended, and nobody has asked how.
        assert!(Path::new(&format!("/proc/{}", shell.id())).exists());
        shell.wait().unwrap();
        assert_eq!(parent(found[0]), None);
    }
}
