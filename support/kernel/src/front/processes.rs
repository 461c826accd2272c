//! The processes below evcxr: which of them compile, and which runs the cells.

use std::collections::HashMap;
use std::fs;

/// The parent of a process, if it runs.
pub fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// The process in which evcxr runs cells, when it has not connected: the one child of evcxr that
/// is the same program without arguments.
pub fn cells(evcxr: u32) -> Option<u32> {
    let program = fs::read_link("/proc/self/exe").ok()?;
    let mut children = all().into_iter().filter(|(_, parent)| *parent == evcxr);
    children.find_map(|(process, _)| {
        let same = fs::read_link(format!("/proc/{process}/exe")).ok()? == program;
        let command = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let alone = command.iter().filter(|&&byte| byte == 0).count() == 1;
        (same && alone).then_some(process)
    })
}

/// What evcxr has started to compile a cell: everything below it but the cells' process.
pub fn compilers(evcxr: u32, cells: Option<u32>) -> Vec<u32> {
    below(evcxr, cells).split_off(1)
}

/// A process and everything below it.
pub fn with_all_below(process: u32) -> Vec<u32> {
    below(process, None)
}

fn below(process: u32, except: Option<u32>) -> Vec<u32> {
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

/// Ends a process at once.
pub fn kill(process: u32) {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(process as i32, libc::SIGKILL) };
}

/// Ends a process group at once.
pub fn kill_group(group: u32) {
    // SAFETY: no memory is involved.
    unsafe { libc::killpg(group as i32, libc::SIGKILL) };
}

/// All processes with their parents.
fn all() -> HashMap<u32, u32> {
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
    use std::process::{Command, Stdio};

    #[test]
    fn everything_below_a_process_is_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(parent(shell.id()), Some(std::process::id()));
        let below = loop {
            let below = compilers(shell.id(), None);
            if !below.is_empty() {
                break below;
            }
            std::thread::yield_now();
        };
        assert_eq!(parent(below[0]), Some(shell.id()));
        assert_eq!(compilers(shell.id(), Some(below[0])), Vec::<u32>::new());
        kill(below[0]);
        shell.wait().unwrap();
        assert_eq!(parent(below[0]), None);
    }
}
