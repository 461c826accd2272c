//! The processes below evcxr: which of them compile, and which runs the cells.

use std::fs;

use base::processes::{all, below};

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
