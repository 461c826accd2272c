//! The project as it is committed: what others get does not depend on what is being changed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use base::process::{end_with_us, last_lines};
use walkdir::WalkDir;

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

/// Puts all its files into a folder. Their time is now, because cargo compiles again what is newer than
/// what it has compiled; in whole seconds, because neither a pack nor an image keeps parts of them, and
/// what is compiled is found again by the very times that it was compiled with.
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
    tar.args(["-x", "--no-same-owner", "-C"])
        .arg(to)
        .stdin(files);
    output(&mut tar).context("复制课程失败：请检查磁盘空间")?;
    ensure!(archive.wait()?.success(), "git archive 失败");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = UNIX_EPOCH + Duration::from_secs(now.unwrap_or_default().as_secs());
    date(to, now).context("改不了拷贝出来的文件的时间")
}

/// Gives all files in a folder this time.
fn date(folder: &Path, time: SystemTime) -> io::Result<()> {
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let file = File::options().append(true).open(entry.path())?;
            file.set_modified(time)?;
        }
    }
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
