//! Whether there is memory for one more kernel.

use std::fs;
use std::path::Path;

/// What a kernel with the notebooks' crates takes at most, and what must be left for cells.
const NEEDED: u64 = 1_500 << 20;

/// Whether a kernel that nobody has asked for yet would take memory that is needed elsewhere.
pub fn is_short() -> bool {
    available().is_some_and(|bytes| bytes < NEEDED)
}

/// The bytes that can still be used: in this machine, and in the control groups that we are in. A
/// container, a student's server on a hub: their limits are not the machine's.
fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| field(&text, "MemAvailable:"));
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/"));
    let groups = group.and_then(|group| of_groups(Path::new("/sys/fs/cgroup"), group));
    machine
        .map(|kilobytes| kilobytes << 10)
        .into_iter()
        .chain(groups)
        .min()
}

/// What the limits of the group and of those around it leave, if there are limits.
fn of_groups(root: &Path, group: &str) -> Option<u64> {
    let innermost = root.join(group);
    let groups = innermost.ancestors().take_while(|at| at.starts_with(root));
    groups.filter_map(of_group).min()
}

fn of_group(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let limit = number("memory.max")?; // none if it is "max"
    let used = number("memory.current")?;
    // Pages of files that nobody has used lately are given up for whoever needs memory.
    let files = read("memory.stat").and_then(|text| field(&text, "inactive_file"));
    Some(limit.saturating_sub(used.saturating_sub(files.unwrap_or(0))))
}

/// The number behind a name.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_group_counts_and_what_files_hold_does_not() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, limit: &str, used: &str| {
            let folder = root.path().join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), used).unwrap();
            fs::write(folder.join("memory.stat"), "anon 5\ninactive_file 100\n").unwrap();
        };
        group("", "max\n", "9000\n");
        group("class", "5000\n", "3000\n");
        group("class/student", "4000\n", "1000\n");
        assert_eq!(of_groups(root.path(), "class/student"), Some(2100));
        assert_eq!(of_groups(root.path(), ""), None);
        assert_eq!(of_groups(root.path(), "elsewhere"), None);
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(available().is_some_and(|bytes| bytes > 0));
    }
}
