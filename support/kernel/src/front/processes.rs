//! The processes below evcxr: which of them compile, and which runs the cells.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base::process::this_program;
use base::processes::{all, below, command_line};

/// The process in which evcxr runs cells, when it has not connected: the one child of evcxr that
/// is the same program without arguments.
pub fn cells(evcxr: u32) -> Option<u32> {
    let mut children = all().into_iter().filter(|(_, parent)| *parent == evcxr);
    children.find_map(|(process, _)| {
        let alone = command_line(process).len() == 1;
        (alone && is_this_program(process)).then_some(process)
    })
}

/// Whether a process runs this program, under whichever name, and even if another has been put in
/// its place.
pub fn is_this_program(process: u32) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let this = file(&this_program());
    this.is_some() && this == file(Path::new(&format!("/proc/{process}/exe")))
}

/// What evcxr has started to compile a cell: everything below it but the cells' process.
pub fn compilers(evcxr: u32, cells: Option<u32>) -> Vec<u32> {
    below(evcxr, cells).split_off(1)
}
