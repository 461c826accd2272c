//! JupyterLab and all that it needs, as wheels for every version of Python that students may have.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::process::last_lines;
use lab::log;
use lab::python::{Environment, NEWEST_IN_PACK, OLDEST, PACKAGES};
use lab::screen::Step;

/// The versions of CPython.
pub fn pythons() -> String {
    let versions = (OLDEST..=NEWEST_IN_PACK).map(|minor| format!("3.{minor}"));
    versions.collect::<Vec<_>>().join(",")
}

const SCRIPT: &str = include_str!("../assets/wheels.py");

/// Downloads them into a folder.
///
/// # Errors
/// Without network, or where a package has no wheel for one of these versions.
pub fn download(environment: &Environment, to: &Path, step: &Step) -> Result<()> {
    let mut python = Command::new(environment.python());
    python.args(["-c", SCRIPT]).arg(to).arg(pythons());
    python.args(PACKAGES.map(|(name, version)| format!("{name}=={version}")));
    let output = log::finish(python, |_, line| {
        if let Some(what) = line.strip_prefix("== ") {
            step.bar().set_message(what.to_owned());
        }
    });
    let output = output.with_context(|| format!("运行不了 {}", environment.python().display()))?;
    ensure!(
        output.status.success(),
        "下载 Python 包失败：{}\n（请检查网络和磁盘空间，然后重试）",
        last_lines(&output.stderr)
    );
    Ok(())
}
