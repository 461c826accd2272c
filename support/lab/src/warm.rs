//! Warming build folders: what a first cell would have to wait for is done at set-up.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use indicatif::ProgressBar;

use crate::build_folder;
use crate::client::{Execution, Kernel, Outcome};
use crate::ipynb::Notebook;
use crate::kernel::BUILD_FOLDER_ENV;
use crate::project::{PROJECT_ENV, Project};
use crate::toolchain::Toolchain;

/// How long compiling everything may take, on a slow machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Cells that make the compiler do, once, what every notebook needs: the first inferred type and
/// the first await.
const REHEARSAL: [&str; 3] = [
    "let warm = vec![1, 2, 3];",
    "warm.len()",
    "tokio::task::yield_now().await;",
];

/// Folders that notebooks need, each with a notebook that needs it.
pub type Wanted = Vec<(PathBuf, PathBuf)>;

/// The folders that the course's notebooks need, and what is wrong with those of the notebooks
/// that cannot be read.
///
/// A notebook without code needs none.
///
/// # Errors
/// When the course or the project's own files cannot be read.
pub fn survey(project: &Project, toolchain: &Toolchain) -> Result<(Wanted, Vec<Error>)> {
    let (mut folders, mut troubles): (Wanted, _) = (Vec::new(), Vec::new());
    for path in project.course()? {
        let notebook = match Notebook::load(&path) {
            Ok(notebook) => notebook,
            Err(error) => {
                troubles.push(error);
                continue;
            }
        };
        if notebook.code_cells().is_empty() {
            continue;
        }
        let folder = build_folder::warmed(project, toolchain, &notebook.dep_lines())?;
        if !folders.iter().any(|(known, _)| *known == folder) {
            folders.push((folder, path));
        }
    }
    Ok((folders, troubles))
}

/// Warms `folder` by running the first cell of `notebook` and a few more in it, with the program
/// `kernel`: the installed one, which stays when this one is built anew. Interrupted, it
/// goes on from there the next time. What `base`, another warmed folder, has compiled already is
/// taken from there.
///
/// # Errors
/// When a crate cannot be downloaded or compiled.
pub async fn warm(
    project: &Project,
    kernel: &Path,
    folder: &Path,
    base: Option<&Path>,
    notebook: &Path,
    bar: &ProgressBar,
) -> Result<()> {
    build_folder::begin(folder, base).context("建不了构建文件夹：请检查磁盘空间")?;
    let mut command = Command::new(kernel);
    command
        .arg("kernel")
        .env(PROJECT_ENV, project.root())
        .env(BUILD_FOLDER_ENV, folder)
        .current_dir(project.notebooks());
    let (progress, mut compiled) = (bar.clone(), 0);
    let listener = move |line: &str| {
        if let Some(package) = line.trim_start().strip_prefix("Compiling ") {
            compiled += 1;
            progress.set_message(format!("编译第 {compiled} 个包：{package}"));
        }
    };
    bar.set_message("启动内核");
    let name = notebook.file_name().unwrap_or_default().display();
    let failed = || format!("预热 {name} 的依赖失败");
    let mut kernel = Kernel::start_with(command, listener)
        .await
        .with_context(failed)?;
    let first = Notebook::load(notebook)?
        .code_cells()
        .first()
        .map(|cell| cell.source.clone())
        .with_context(|| format!("{name} 没有代码单元格：请从 git 恢复"))?;
    for code in [first.as_str()].into_iter().chain(REHEARSAL) {
        let cause = match kernel.execute(code, LIMIT).await {
            Ok(Execution { outcome, .. }) => match cause(&outcome, &kernel) {
                Some(cause) => cause,
                None => continue,
            },
            Err(error) => format!("{error:#}{}", kernel.log()),
        };
        bail!(
            "{}：{cause}\n（请检查网络、磁盘空间和这个笔记本的第一格，然后重试；编译好的不会丢失）",
            failed()
        );
    }
    kernel.shutdown().await?;
    build_folder::set_ready(folder)
}

/// Why a cell has failed, if it has.
fn cause(outcome: &Outcome, kernel: &Kernel) -> Option<String> {
    match outcome {
        Outcome::Ok => None,
        Outcome::Failed(message) if message.trim().is_empty() => Some(kernel.log()),
        Outcome::Failed(message) => {
            Some(message.lines().map(|line| format!("\n  {line}")).collect())
        }
        Outcome::TimedOut => Some(format!("超过 {} 分钟没有结束", LIMIT.as_secs() / 60)),
        Outcome::KernelDied => Some(format!("内核退出了{}", kernel.log())),
    }
}

/// Removes warmed folders that no notebook needs any more.
pub fn forget_others(wanted: &[(PathBuf, PathBuf)]) {
    let wanted: BTreeSet<&Path> = wanted.iter().map(|(folder, _)| folder.as_path()).collect();
    let Some(parent) = wanted.first().and_then(|folder| folder.parent()) else {
        return;
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        // The tools that a folder is warmed with lie beside it, under its name.
        if !wanted.contains(entry.path().with_extension("").as_path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_notebook_of_text_needs_nothing_and_a_broken_one_stops_no_other() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("notebooks")).unwrap();
        for file in ["Cargo.toml", "Cargo.lock"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let project = Project::at(folder.path()).unwrap();
        let cell = |kind| json!({"cell_type": kind, "metadata": {}, "source": "1"});
        let notebook =
            |kind| json!({"cells": [cell(kind)], "metadata": {}, "nbformat": 4}).to_string();
        for (name, text) in [
            ("01-text.ipynb", notebook("markdown")),
            ("02-broken.ipynb", "{".to_owned()),
            ("03-code.ipynb", notebook("code")),
        ] {
            fs::write(project.notebooks().join(name), text).unwrap();
        }
        // Any will do: nothing is compiled.
        let toolchain = Toolchain {
            version: "rustc 1.95.0".into(),
            host: "x86_64-unknown-linux-gnu".into(),
            sysroot: PathBuf::new(),
            sources: PathBuf::new(),
        };
        let (wanted, troubles) = survey(&project, &toolchain).unwrap();
        let needing: Vec<&PathBuf> = wanted.iter().map(|(_, notebook)| notebook).collect();
        assert_eq!(needing, [&project.notebooks().join("03-code.ipynb")]);
        let [trouble] = &troubles[..] else {
            panic!("{troubles:?}")
        };
        assert!(trouble.to_string().contains("02-broken.ipynb"));
        fs::remove_dir_all(project.cache()).unwrap();
    }
}
