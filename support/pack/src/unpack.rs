//! What a pack does when it is run: it unpacks itself.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base::files;
use lab::screen::Screen;
use rustix::fs::statvfs;

use crate::archive;

/// How many times longer what has been unpacked is, at most.
const LARGER: u64 = 6;

/// What the script in front says, and the user.
#[derive(clap::Args)]
pub struct Options {
    /// 内容从文件的第几个字节开始
    #[arg(long, value_name = "字节")]
    offset: u64,
    /// 解开的文件夹叫什么
    #[arg(long, value_name = "名字")]
    name: String,
    /// 打好的文件
    #[arg(value_name = "文件")]
    file: PathBuf,
    /// 解开在哪个文件夹里；不写就是文件所在的
    #[arg(value_name = "文件夹")]
    into: Option<PathBuf>,
}

/// Unpacks a pack, whole or not at all.
///
/// # Errors
/// Where it could not be used, or when the file is not whole.
pub fn unpack(options: &Options) -> Result<()> {
    let file = std::path::absolute(&options.file)?;
    let into = match &options.into {
        Some(into) => std::path::absolute(into)?,
        None => file.parent().context("a file has a folder")?.to_owned(),
    };
    let into = into
        .canonicalize()
        .with_context(|| format!("没有文件夹 {}：请先建好它", into.display()))?;
    refuse_unusable(&into)?;
    let place = into.join(&options.name);
    if place.exists() {
        bail!(
            "已经有 {} 了：运行 {}/start 打开它；想重新解开，先把它改名或移走",
            place.display(),
            place.display()
        );
    }
    let packed = fs::metadata(&file)?.len();
    let disk = statvfs(&into).with_context(|| format!("看不了 {} 的磁盘", into.display()))?;
    let free = disk.f_bavail * disk.f_frsize;
    if free < packed * LARGER {
        bail!(
            "磁盘空间不够：{} 所在的还有 {:.1} GB，需要 {:.1} GB",
            into.display(),
            free as f64 / 1e9,
            (packed * LARGER) as f64 / 1e9
        );
    }
    let screen = Screen::new();
    let step = screen.begin("解开").announce("约半分钟");
    files::make_folder(&place, |new| {
        archive::read(&file, options.offset, new, |done, all| {
            step.advance(done >> 20, all >> 20, "MB".to_owned());
        })
        .context("解不开：文件不完整，或者磁盘满了。请和发给你的人对一下大小，重新下载")
    })?;
    step.done(&format!("解开在 {}", place.display()));
    println!("打开笔记本：{}/start", place.display());
    Ok(())
}

/// Refuses a path that a compiler or its caller cannot handle.
fn refuse_unusable(path: &Path) -> Result<()> {
    let bytes = path.as_os_str().as_bytes();
    if bytes
        .iter()
        .any(|byte| byte.is_ascii_whitespace() || *byte == b':')
    {
        bail!(
            "{} 里有空格或冒号，编译单元格的程序用不了：请另选一个文件夹，写在命令后面",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_or_colons_are_refused_and_chinese_ones_are_not() {
        assert!(refuse_unusable(Path::new("/home/学生/课程")).is_ok());
        for path in ["/a b", "/a:b", "/a\tb"] {
            let refusal = refuse_unusable(Path::new(path)).unwrap_err().to_string();
            assert!(refusal.contains(path), "{refusal}");
        }
    }
}
