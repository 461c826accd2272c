//! The kernel and the runner are compiled: by cargo, from the workspace that this program is of, so
//! that features, and with them the largest crates, are the same for all.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use base::process::last_lines;
use base::toolchain::Toolchain;
use link::variable;

use crate::log;
use crate::project::Project;
use crate::screen::{Screen, Step};

/// What the course itself needs of them.
pub const NEEDED: [&str; 2] = ["kernel", "runner"];

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The folder with programs that somebody has compiled already, if one is named.
    pub fn named() -> Option<Programs> {
        let folder = std::env::var_os(variable::PROGRAMS).filter(|folder| !folder.is_empty())?;
        Some(Programs {
            folder: folder.into(),
        })
    }

    /// Where they are or will be: beside this program.
    ///
    /// # Errors
    /// When it does not know where it is itself.
    pub fn beside_us() -> Result<Programs> {
        let here = std::env::current_exe().context("找不到自己的程序文件")?;
        let folder = here.parent().context("a program has a folder")?.to_owned();
        Ok(Programs::named().unwrap_or(Programs { folder }))
    }

    /// The folder that they are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Jupyter's kernel.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("kernel")
    }

    /// What runs notebooks without a browser.
    pub fn runner(&self) -> PathBuf {
        self.folder.join("runner")
    }

    /// The first of these programs that is not there; the others may be out of date.
    pub fn lacks<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let missing = |name: &&&str| !self.folder.join(name).is_file();
        names.iter().find(missing).copied()
    }

    /// Has `cargo` compile those of these programs that are missing or out of date. What somebody has
    /// compiled already only has to be there.
    ///
    /// # Errors
    /// When cargo cannot, without network or on a full disk.
    pub fn build(&self, names: &[&str], cargo: Command, step: &Step) -> Result<()> {
        if Programs::named().is_some() {
            return match self.lacks(names) {
                None => Ok(()),
                Some(name) => bail!(
                    "{} 里没有 {name}：请检查环境变量 {}",
                    self.folder.display(),
                    variable::PROGRAMS
                ),
            };
        }
        let output = run(cargo, step).context("运行不了 cargo")?;
        if !output.status.success() {
            bail!(
                "编译 {} 失败：{}\n（请检查网络和磁盘空间，然后重试；编译好的不会丢失）",
                names.join("、"),
                last_lines(&output.stderr)
            );
        }
        Ok(())
    }

    /// The command that compiles programs of the workspace.
    pub fn cargo(&self, project: &Project, toolchain: &Toolchain, programs: &[&str]) -> Command {
        let mut cargo = Command::new(toolchain.cargo());
        cargo
            .args(["build", "--locked"])
            .args(programs.iter().map(|name| format!("--bin={name}")))
            .current_dir(project.root());
        // Where this program was put, and as it was compiled, in whichever way cargo was told.
        if let (Some(target), Some(profile)) = (self.folder.parent(), self.folder.file_name()) {
            let profile = match profile.to_str() {
                Some("debug") => "dev".as_ref(),
                _ => profile,
            };
            cargo.arg("--target-dir").arg(target);
            cargo.arg("--profile").arg(profile);
        }
        cargo
    }
}

/// Compiles those of the programs that are missing or out of date, and says where they are: what a class
/// needs besides, whoever plays one, or who makes a pack.
///
/// # Errors
/// When cargo cannot, or when those that somebody has compiled already are not all there.
pub fn bring_up_to_date(
    project: &Project,
    toolchain: &Toolchain,
    names: &[&str],
) -> Result<Programs> {
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

/// Runs cargo, and shows how far it is.
pub fn run(mut cargo: Command, step: &Step) -> std::io::Result<std::process::Output> {
    cargo
        .env("CARGO_TERM_PROGRESS_WHEN", "always")
        .env("CARGO_TERM_PROGRESS_WIDTH", "100")
        .env("CARGO_TERM_COLOR", "never");
    log::finish(cargo, |_, line| {
        if let Some((done, all, what)) = progress(line) {
            step.advance(done, all, what.to_owned());
        }
    })
}

/// How far cargo says it is, in its bar: `    Building [====>    ] 12/345: serde, syn(build)`.
fn progress(line: &str) -> Option<(u64, u64, &str)> {
    let (_, behind) = line.split_once(']')?;
    let (numbers, what) = behind.split_once(':').unwrap_or((behind, ""));
    let (done, all) = numbers.split_once('/')?;
    Some((
        done.trim().parse().ok()?,
        all.trim().parse().ok()?,
        what.trim(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_bar_is_understood_and_nothing_else_is_taken_for_it() {
        for (line, expected) in [
            (
                "    Building [=====>      ] 123/456: syn, serde_derive(build)",
                Some((123, 456, "syn, serde_derive(build)")),
            ),
            ("    Building [>   ] 0/3", Some((0, 3, ""))),
            (" Downloading [===>  ] 7 / 30", Some((7, 30, ""))),
            ("   Compiling serde v1.0.0", None),
            ("warning: [x] 1/2a", None),
            ("", None),
        ] {
            assert_eq!(progress(line), expected, "{line}");
        }
    }
}
