//! Folders with an exported book: which may be replaced.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Stands in the head of every page, so that a later export knows the files it may replace.
pub const MARK: &str = r#"content="lab export" name="generator""#;

/// The folder `out` with links followed, as far as it exists: a book replaces what a link leads to,
/// not the link.
///
/// # Errors
/// When it has no name.
pub fn absolute(out: &Path) -> Result<PathBuf> {
    fs::canonicalize(out)
        .or_else(|_| std::path::absolute(out))
        .context("导出文件夹的名字不能是空的：请用 --out 给出一个")
}

/// Refuses an `out` in which anything is not a page of an earlier export.
///
/// # Errors
/// In that case, and when it cannot be read.
pub fn refuse_foreign_files(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(out).with_context(|| format!("导出文件夹 {} 读不了", out.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_ours = path
            .extension()
            .is_some_and(|extension| extension == "html")
            && fs::read_to_string(&path).is_ok_and(|page| page.contains(MARK));
        ensure!(
            is_ours,
            "导出文件夹 {} 里有不是导出生成的文件 {}：请用 --out 换一个空文件夹，或先移走它",
            out.display(),
            path.file_name().unwrap_or_default().display()
        );
    }
    Ok(())
}
