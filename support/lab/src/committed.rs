//! The project as it is committed: what others get does not depend on what is being changed.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base::process::{end_with_us, last_lines};

use crate::project::Project;

/// The commit. Says what has been changed since, and will not be in there.
///
/// # Errors
/// When the project's folder is not git's.
pub fn commit(project: &Project) -> Result<String> {
    let commit = output(git(project).args(["rev-parse", "HEAD"]))
        .context("课程取自克隆里最新的提交：请用 git clone 得到的文件夹")?;
    let changed = output(git(project).args(["status", "--porcelain", "notebooks", "support"]))?;
    if !changed.is_empty() {
        println!("  没有提交的改动不会发给学生：\n{changed}");
    }
    Ok(commit)
}

/// Puts all its files into a folder, with today's times: cargo compiles again what is newer than what it
/// has compiled.
///
/// # Errors
/// On a full disk.
pub fn unpack(project: &Project, to: &Path) -> Result<()> {
    let mut archive = git(project)
        .args(["archive", "HEAD"])
        .stdout(Stdio::piped())
        .spawn()?;
    let files = archive.stdout.take().context("stdout is piped")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--touch", "--no-same-owner", "-C"])
        .arg(to)
        .stdin(files);
    output(&mut tar).context("复制课程失败：请检查磁盘空间")?;
    ensure!(archive.wait()?.success(), "git archive 失败");
    Ok(())
}

fn git(project: &Project) -> Command {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "-C"])
        .arg(project.root());
    git
}

/// Runs a program to its end, and returns what it prints.
///
/// # Errors
/// When it cannot be run or fails, with the last that it said.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_os_string();
    let name = Path::new(&name).file_name().unwrap_or(&name).display();
    // One that nobody waits for would be in the next one's way.
    end_with_us(command);
    let output = command
        .output()
        .with_context(|| format!("运行不了 {name}"))?;
    if !output.status.success() {
        bail!(
            "{name} 失败：{}",
            last_lines(&[output.stdout, output.stderr].concat())
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}
