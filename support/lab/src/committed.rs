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

/// What the programs are made from: they are compiled as it lies here, committed or not.
const COMPILED: [&str; 4] = ["support", "Cargo.toml", "Cargo.lock", ".cargo"];

/// The commit. Says what has been changed since, and where students will not find it, and where they
/// will.
///
/// # Errors
/// When the project's folder is not git's.
pub fn commit(project: &Project) -> Result<String> {
    let commit = output(git(project).args(["rev-parse", "HEAD"]))
        .context("课程取自克隆里最新的提交：请用 git clone 得到的文件夹")?;
    let status = ["status", "--porcelain", "--", "notebooks"];
    let changed = output(git(project).args(status).args(COMPILED))?;
    if let Some(remark) = remark(&changed) {
        println!("{remark}");
    }
    Ok(commit)
}

/// What to say of what has been changed since the commit, as git lists it: two letters and a blank
/// before each path.
fn remark(changed: &str) -> Option<String> {
    if changed.is_empty() {
        return None;
    }
    let is_compiled = |line: &str| {
        let path = line.get(3..).unwrap_or_default().trim_start_matches('"');
        COMPILED.iter().any(|part| path.starts_with(part))
    };
    let mut remark = format!("  没有提交的改动不会在学生的课程里：\n{changed}");
    if changed.lines().any(is_compiled) {
        remark +=
            "\n  程序却是照现在的源码编译的：除了 notebooks/ 里的，这些改动都在学生用的程序里";
    }
    Some(remark)
}

/// The tags of the commit that begin with a `v`.
///
/// # Errors
/// When the project's folder is not git's.
pub fn versions(project: &Project) -> Result<Vec<String>> {
    let tags = output(git(project).args(["tag", "--points-at", "HEAD", "--list", "v*"]))?;
    Ok(tags.lines().map(str::to_owned).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_is_told_and_that_programs_have_it_all_the_same() {
        for (changed, is_told, is_compiled) in [
            ("", false, false),
            (" M notebooks/01-why.ipynb", true, false),
            ("?? notebooks/support.ipynb", true, false),
            (" M support/lab/src/main.rs", true, true),
            (" M notebooks/01-why.ipynb\n M Cargo.lock", true, true),
        ] {
            let remark = remark(changed).unwrap_or_default();
            assert_eq!(remark.contains("课程里"), is_told, "{changed}");
            assert_eq!(remark.contains("程序里"), is_compiled, "{changed}");
        }
    }
}
