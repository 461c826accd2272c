//! What a student's processes take: memory, each shared page counted in parts, and processor time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base::processes::{self, of_user};
use rustix::process::Signal;

/// What several processes take together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Bytes of memory: of a page that several processes share, each has its part.
    pub memory: u64,
    /// Processor time, of those that have ended too.
    pub time: Duration,
}

/// The number of a system user, if there is one.
pub fn number(account: &str) -> Option<u32> {
    let output = Command::new("id").arg("-u").arg(account).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// What a student's processes take.
pub fn of_student(account: &str) -> Usage {
    let all = number(account).into_iter().flat_map(of_user);
    Usage {
        memory: all.filter_map(processes::memory).sum(),
        time: group_time(account).unwrap_or_default(),
    }
}

/// The memory of those of a student's spare kernels that nobody has taken.
pub fn of_spares(account: &str) -> u64 {
    let all = number(account).into_iter().flat_map(of_user);
    all.filter(|process| waits(*process))
        .flat_map(|spare| processes::below(spare, None))
        .filter_map(processes::memory)
        .sum()
}

/// Whether a process is a spare kernel that waits: its socket goes when it is taken.
fn waits(process: u32) -> bool {
    match &processes::command_line(process)[..] {
        [_, what, socket, ..] => what == "--spare" && Path::new(socket).exists(),
        _ => false,
    }
}

/// The processor time that a student's control group has counted. Asking the processes would not do:
/// what a killed kernel and its compilers have taken, nobody else knows.
fn group_time(account: &str) -> Option<Duration> {
    let groups = Path::new("/sys/fs/cgroup");
    let name = Path::new("rust-async-class").join(account);
    if let Ok(text) = fs::read_to_string(groups.join(&name).join("cpu.stat")) {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))?;
        return line.parse().map(Duration::from_micros).ok();
    }
    let file = groups.join("cpuacct").join(name).join("cpuacct.usage");
    let text = fs::read_to_string(file).ok()?;
    text.trim().parse().map(Duration::from_nanos).ok()
}

/// What the hub takes, with the proxy and the culler, which it has started as root. They live as
/// long as it does.
pub fn of_hub(hub: u32) -> Usage {
    let is_of_hub = |process: &u32| *process == hub || processes::parent(*process) == Some(hub);
    let mut usage = Usage::default();
    for process in of_user(0).filter(is_of_hub) {
        usage.memory += processes::memory(process).unwrap_or(0);
        usage.time += processes::time(process);
    }
    usage
}

/// Kills whatever still runs as this user, one process by its number after the other.
pub fn end_all(account: &str) {
    // Never root's, and never those of a user of the system.
    let Some(user @ 1000..) = number(account) else {
        return;
    };
    for process in of_user(user) {
        processes::signal(process, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory() {
        let all = of_user(rustix::process::getuid().as_raw());
        assert!(all.filter_map(processes::memory).sum::<u64>() > 1 << 20);
    }
}
