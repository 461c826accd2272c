//! The programs that a class needs, or who plays one: compiled from the clone that this program is of.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use anyhow::Result;
use base::toolchain::Toolchain;
use lab::programs::Programs;
use lab::project::Project;
use lab::screen::Screen;

/// Compiles those of the programs that are missing or out of date, and says where they are.
///
/// # Errors
/// When cargo cannot, or when those that somebody has compiled already are not all there.
pub fn build(project: &Project, toolchain: &Toolchain, names: &[&str]) -> Result<Programs> {
    let programs = Programs::beside_us()?;
    let shown = names.join("、");
    let screen = Screen::new();
    let step = screen.begin("程序");
    let step = match programs.lacks(names) {
        None => step,
        Some(_) => step.announce(&format!("编译 {shown}，要几分钟")),
    };
    let mut cargo = programs.cargo(project, toolchain, names);
    // What root compiles in somebody's clone, its owner could not change any more.
    let owner = fs::metadata(programs.folder())?;
    if owner.uid() != rustix::process::geteuid().as_raw() {
        cargo.uid(owner.uid()).gid(owner.gid());
    }
    if let Err(error) = programs.build(names, cargo, &step) {
        step.clear();
        return Err(error);
    }
    step.done(&format!("程序是新的：{shown}"));
    Ok(programs)
}
