//! The programs that a class needs, or who plays one: compiled from the clone that this program is of.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, bail};
use base::process::last_lines;
use base::toolchain::Toolchain;
use lab::programs::{Programs, run};
use lab::project::Project;
use lab::screen::Screen;

/// Compiles those of the programs that are missing or out of date, and says where they are.
///
/// # Errors
/// When cargo cannot, or when those that somebody has compiled already are not all there.
pub fn build(project: &Project, toolchain: &Toolchain, names: &[&str]) -> Result<Programs> {
    let programs = Programs::beside_us()?;
    let missing = |name: &&&str| !programs.folder().join(name).is_file();
    let missing = names.iter().find(missing);
    if Programs::named().is_some() {
        return match missing {
            None => Ok(programs),
            Some(name) => bail!("{} 里没有 {name}", programs.folder().display()),
        };
    }
    let shown = names.join("、");
    let screen = Screen::new();
    let step = screen.begin("程序");
    let step = match missing {
        None => step,
        Some(_) => step.announce(&format!("编译 {shown}，要几分钟")),
    };
    let mut cargo = programs.cargo(project, toolchain, names);
    // What root compiles in somebody's clone, its owner could not change any more.
    let owner = fs::metadata(programs.folder())?;
    if owner.uid() != rustix::process::geteuid().as_raw() {
        cargo.uid(owner.uid()).gid(owner.gid());
    }
    let output = run(cargo, &step).context("运行不了 cargo")?;
    if !output.status.success() {
        step.clear();
        bail!(
            "编译 {shown} 失败：{}\n（请检查网络和磁盘空间，然后重试；也可以先自己在 {} 运行 `cargo build`。编译好的不会丢失）",
            last_lines(&output.stderr),
            project.root().display()
        );
    }
    step.done(&format!("程序是新的：{shown}"));
    Ok(programs)
}
