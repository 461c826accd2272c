//! What the notebooks depend on: sets of `:dep` lines, most of which several notebooks share. The
//! kernel keeps what it has compiled for a set; so each is compiled when the first cell of one of its
//! notebooks is executed, once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, bail};
use base::ipynb::Notebook;
use base::process::{end_with_us, in_its_own_session, last_lines};
use base::toolchain::Toolchain;
use link::variable;

use crate::kernelspec;
use crate::log;
use crate::programs::{self, Programs};
use crate::project::Project;
use crate::python::Environment;
use crate::screen::Step;

/// What notebooks depend on that begin alike.
#[derive(Clone, Debug)]
pub struct Set {
    /// The `:dep` lines.
    lines: BTreeSet<String>,
    /// One of the notebooks: its first cell has these lines.
    pub notebook: PathBuf,
}

impl Set {
    /// The notebook's name.
    pub fn name(&self) -> String {
        let name = self.notebook.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// The sets of these notebooks, in their order, and what is wrong with the notebooks that cannot be
/// read. A notebook without code depends on nothing.
pub fn survey(notebooks: &[PathBuf]) -> (Vec<Set>, Vec<Error>) {
    let (mut sets, mut troubles): (Vec<Set>, _) = (Vec::new(), Vec::new());
    for path in notebooks {
        let notebook = match Notebook::load(path) {
            Ok(notebook) => notebook,
            Err(error) => {
                troubles.push(error);
                continue;
            }
        };
        let cells = notebook.code_cells();
        let Some(first) = cells.first() else { continue };
        let lines = first.source.lines().map(str::trim);
        let lines: BTreeSet<String> = lines
            .filter(|line| line.starts_with(":dep "))
            .map(str::to_owned)
            .collect();
        if !sets.iter().any(|set| set.lines == lines) {
            sets.push(Set {
                lines,
                notebook: path.clone(),
            });
        }
    }
    (sets, troubles)
}

/// Those of the sets that nobody has compiled yet, as the kernel says.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn missing(sets: &[Set], kernel: &Path, environment: &[(String, String)]) -> Result<Vec<Set>> {
    if sets.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = Command::new(kernel);
    command
        .arg("--ready")
        .args(sets.iter().map(|set| &set.notebook))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("运行不了 {}", kernel.display()))?;
    if !output.status.success() {
        // It says what is wrong with each notebook.
        let said = last_lines(&output.stderr).replace("错误：", "");
        bail!("看不懂第一格里的 :dep：{said}");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let missing: Vec<&Path> = text.lines().map(Path::new).collect();
    let is_missing = |set: &&Set| missing.contains(&set.notebook.as_path());
    Ok(sets.iter().filter(is_missing).cloned().collect())
}

/// Downloads the crates of the sets, as far as they are not there.
///
/// # Errors
/// When cargo cannot, without network for one.
pub fn download(project: &Project, toolchain: &Toolchain, sets: &[Set], step: &Step) -> Result<()> {
    for (number, set) in sets.iter().enumerate() {
        if set.lines.is_empty() {
            continue;
        }
        let folder = project.cache().join("download").join(number.to_string());
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("src/lib.rs"), "")?;
        fs::write(folder.join("Cargo.toml"), manifest(set)?)?;
        // With the versions that cells get.
        fs::copy(project.root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
        let mut cargo = Command::new(toolchain.cargo());
        cargo
            .args(["fetch", "--target", &toolchain.host])
            .current_dir(&folder);
        let output = programs::run(cargo, step).context("运行不了 cargo")?;
        if !output.status.success() {
            bail!(
                "下载 {} 的依赖失败：{}\n（请检查网络和磁盘空间，然后重试；下载好的不会丢失）",
                set.name(),
                last_lines(&output.stderr)
            );
        }
    }
    Ok(())
}

/// A package that depends on what a set names, and is a workspace of its own.
///
/// # Errors
/// Never, for a notebook in a folder.
pub fn manifest(set: &Set) -> Result<String> {
    let folder = set.notebook.parent().context("a notebook has a folder")?;
    let mut text = String::from(
        "[package]\nname = \"download\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n",
    );
    for line in &set.lines {
        let line = line.trim_start_matches(":dep ").trim();
        let line = match line.split_once("path = \"") {
            Some((before, behind)) => {
                let (path, after) = behind.split_once('"').unwrap_or((behind, ""));
                let path = folder.join(path);
                let path = path.canonicalize().unwrap_or(path);
                format!("{before}path = \"{}\"{after}", path.display())
            }
            None => line.to_owned(),
        };
        text += &match line.contains('=') {
            true => line,
            false => format!("{line} = \"*\""),
        };
        text.push('\n');
    }
    Ok(text)
}

/// The command that lets `runner` execute the first cells of sets, in the kernel whose entry is in the
/// folder `kernel`.
fn warm_command(runner: &Path, kernel: &Path, sets: &[Set]) -> Command {
    let mut command = Command::new(runner);
    command
        .arg("warm")
        .arg("--kernel")
        .arg(kernel)
        .args(sets.iter().map(|set| &set.notebook))
        .stdin(Stdio::null());
    command
}

/// Compiles sets: `runner` executes their first cells in the kernel whose entry is in the folder `kernel`.
///
/// # Errors
/// When a crate cannot be downloaded or compiled.
pub fn warm(runner: &Path, kernel: &Path, sets: &[Set], step: &Step) -> Result<()> {
    if sets.is_empty() {
        return Ok(());
    }
    let mut compiled = 0;
    let command = warm_command(runner, kernel, sets);
    let output = log::finish(command, |_, line| {
        if let Some(package) = line.strip_prefix("Compiling ") {
            compiled += 1;
            step.bar()
                .set_message(format!("编译第 {compiled} 个包：{package}"));
        }
    });
    let output = output.with_context(|| format!("运行不了 {}", runner.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.trim().trim_start_matches("错误："));
    }
    Ok(())
}

/// Sets that are compiled while everything else goes first.
///
/// # Errors
/// When the runner does not start.
pub fn warm_behind(
    programs: &Programs,
    environment: &Environment,
    sets: &[Set],
) -> Result<std::process::Child> {
    let kernel = kernelspec::folder(environment);
    let mut command = warm_command(&programs.runner(), &kernel, sets);
    command
        .env(variable::BEHIND, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    in_its_own_session(&mut command);
    end_with_us(&mut command);
    command
        .spawn()
        .with_context(|| format!("运行不了 {}", programs.runner().display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_notebook_of_text_needs_nothing_and_a_broken_one_stops_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let cell = |kind, source| json!({"cell_type": kind, "metadata": {}, "source": source});
        let notebook = |kind, source| {
            json!({"cells": [cell(kind, source)], "metadata": {}, "nbformat": 4}).to_string()
        };
        let paths: Vec<PathBuf> = [
            ("01-text.ipynb", notebook("markdown", "1")),
            ("02-broken.ipynb", "{".to_owned()),
            (
                "03-code.ipynb",
                notebook("code", ":dep a = \"1\"\n:dep b = \"1\"\nuse a;"),
            ),
            (
                "04-same.ipynb",
                notebook("code", ":dep b = \"1\"\n:dep a = \"1\""),
            ),
            ("05-none.ipynb", notebook("code", "1")),
        ]
        .into_iter()
        .map(|(name, text)| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
        let (sets, troubles) = survey(&paths);
        let names: Vec<String> = sets.iter().map(Set::name).collect();
        assert_eq!(names, ["03-code", "05-none"]);
        let [trouble] = &troubles[..] else {
            panic!("{troubles:?}")
        };
        assert!(trouble.to_string().contains("02-broken.ipynb"));
    }

    #[test]
    fn a_package_depends_on_what_a_set_names() {
        let set = Set {
            lines: [
                ":dep a = { path = \"../here\", features = [] }",
                ":dep b",
                ":dep c = \"1\"",
            ]
            .map(str::to_owned)
            .into(),
            notebook: "/no/notebooks/01.ipynb".into(),
        };
        let manifest = manifest(&set).unwrap();
        let dependencies = manifest.split_once("[dependencies]\n").unwrap().1;
        assert_eq!(
            dependencies,
            "a = { path = \"/no/notebooks/../here\", features = [] }\nb = \"*\"\nc = \"1\"\n"
        );
    }
}
