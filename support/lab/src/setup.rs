//! `lab setup`: installs what is missing, step by step. What is there already is not touched.

use std::fs::{File, TryLockError};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::build_folder::is_ready;
use crate::project::Project;
use crate::python::Environment;
use crate::toolchain::Toolchain;
use crate::{build_folder, kernelspec, warm};

/// Sets up everything that the notebooks need. Safe to interrupt, and to start twice at once:
/// the second waits for the first.
///
/// # Errors
/// When something is missing that only the user can install, without network, or on a full disk.
pub async fn setup(project: &Project) -> Result<Environment> {
    let lock = File::create(project.cache().join("setup.lock"))
        .context("写不了缓存文件夹：请检查磁盘空间")?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        println!("另一个 lab 正在准备环境，等它结束……");
        lock.lock()?;
    }
    let toolchain = Toolchain::find()?;
    done(&format!("Rust：{}", toolchain.version));

    let environment = Environment::find(project);
    let bar = spinner("Python");
    let installed = environment.install(&bar);
    bar.finish_and_clear();
    installed?;
    done(&format!("JupyterLab：{}", environment.folder().display()));

    if !kernelspec::is_installed(project, &environment) {
        kernelspec::install(project, &environment)?;
    }
    done(&format!(
        "内核 Rust：{}",
        kernelspec::folder(&environment).display()
    ));

    build_folder::configuration(project)?;
    let wanted = warm::wanted(project, &toolchain)?;
    for (folder, notebook) in &wanted {
        if !is_ready(folder) {
            println!("  预热构建文件夹：笔记本用到的依赖只在这里编译一次，约需一两分钟");
            let bar = spinner("预热");
            let warmed = warm::warm(project, folder, notebook, &bar).await;
            bar.finish_and_clear();
            warmed?;
        }
    }
    warm::forget_others(&wanted);
    done(&format!("构建文件夹：{} 个，已预热", wanted.len()));
    Ok(environment)
}

fn done(what: &str) {
    println!("✓ {what}");
}

fn spinner(prefix: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {prefix}（{elapsed}）{wide_msg}")
        .expect("the template is well-formed");
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_prefix(prefix.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
