//! axe-core, which finds what keeps people from reading a page: for this project's own tests of the
//! pages that are exported.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use base::npm;

use crate::project::Project;
use crate::screen::Screen;

/// The script that a page is given, once it is [installed](install).
pub fn script(project: &Project) -> PathBuf {
    folder(project).join("node_modules/axe-core/axe.min.js")
}

fn folder(project: &Project) -> PathBuf {
    project.cache().join("axe")
}

/// Installs it; without npm, says that the tests will have to do without.
///
/// # Errors
/// Without network, or on a full disk.
pub fn install(project: &Project, screen: &Screen) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.arg("--version").stdin(Stdio::null());
    if !script(project).is_file() && npm.output().is_err() {
        screen.say("  没有 npm（Debian：apt install npm）：测试里不检查导出的网页是否人人能读");
        return Ok(());
    }
    let lock = project.root().join("tests/lab/browser/axe");
    let is_new = npm::install(&lock, &folder(project))
        .context("安装 axe-core 失败（请检查网络和磁盘空间，然后重试）")?;
    if is_new {
        screen.say(&format!("✓ axe-core：{}", folder(project).display()));
    }
    Ok(())
}
