//! The programs that a class needs, or who plays one: compiled from the clone that this program is of.

use anyhow::{Context, Result, bail};
use base::caches::is_ours;
use base::process::last_lines;
use base::toolchain::Toolchain;
use lab::programs::{Programs, run};
use lab::project::Project;
use lab::screen::Screen;

/// Compiles those of the programs that are missing or out of date, and says where they are. Those of
/// somebody else are taken as they are: what root compiles there, its owner could not change any more.
///
/// # Errors
/// When cargo cannot, or one is missing that is not ours to compile.
pub fn build(project: &Project, toolchain: &Toolchain, names: &[&str]) -> Result<Programs> {
    let programs = Programs::beside_us()?;
    if Programs::named().is_some() || !is_ours(programs.folder()) {
        let missing = names
            .iter()
            .find(|name| !programs.folder().join(name).is_file());
        return match missing {
            None => Ok(programs),
            Some(name) => bail!(
                "{} 里没有 {name}：请先在克隆里运行 `cargo build`（不用 root），然后重试",
                programs.folder().display()
            ),
        };
    }
    let shown = names.join("、");
    let screen = Screen::new();
    let step = screen.begin("程序");
    let step = match names
        .iter()
        .all(|name| programs.folder().join(name).is_file())
    {
        true => step,
        false => step.announce(&format!("编译 {shown}，要几分钟")),
    };
    let cargo = programs.cargo(project, toolchain, names);
    let output = run(cargo, &step).context("运行不了 cargo")?;
    if !output.status.success() {
        step.clear();
        bail!(
            "编译 {shown} 失败：{}\n（请检查网络和磁盘空间，然后重试；编译好的不会丢失）",
            last_lines(&output.stderr)
        );
    }
    step.done(&format!("程序是新的：{shown}"));
    Ok(programs)
}
