//! `lab setup`: installs what is missing, step by step. What is there already is not touched.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::build_folder::is_ready;
use crate::project::Project;
use crate::python::{Environment, PACKAGES, TEST_PACKAGES};
use crate::toolchain::Toolchain;
use crate::{build_folder, kernelspec, warm};

/// What to set up.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// 再装上本项目自己的测试要用的 Python 包
    #[arg(long, hide = true)]
    tests: bool,
}

/// Sets up everything that the notebooks need. Safe to interrupt, and to start twice at once:
/// the second waits for the first.
///
/// # Errors
/// When something is missing that only the user can install, without network, on a full disk, or
/// when a notebook of the course is broken; everything else is then set up all the same.
pub async fn setup(project: &Project, options: &Options) -> Result<Environment> {
    let (environment, warmed) = attempt(project, options).await?;
    warmed?;
    Ok(environment)
}

/// Sets up as [`setup`] does, but where only waiting would be saved, a failure is no more than a
/// warning: whoever broke a notebook needs JupyterLab to mend it, and the others can be run.
///
/// `regardless` says what is done all the same.
///
/// # Errors
/// When JupyterLab or the kernel cannot be installed.
pub async fn setup_or_warn(project: &Project, regardless: &str) -> Result<Environment> {
    let (environment, warmed) = attempt(project, &Options::default()).await?;
    if let Err(error) = warmed {
        eprintln!(
            "警告：{error:#}\n{regardless}，但没有预热的笔记本，第一个单元格要等它的依赖编译完"
        );
    }
    Ok(environment)
}

/// Sets up what nothing works without; the second result is that of warming the build folders.
async fn attempt(project: &Project, options: &Options) -> Result<(Environment, Result<()>)> {
    let _lock = lock(project).await?;
    let bar = spinner("Rust");
    let toolchain = Toolchain::find_or_complete().await;
    bar.finish_and_clear();
    let toolchain = toolchain?;
    done(&format!("Rust：{}", toolchain.version));
    if let Some(remark) = toolchain.remark() {
        println!("  {remark}");
    }

    let environment = Environment::find(project);
    let bar = spinner("Python");
    let mut packages = PACKAGES.to_vec();
    if options.tests {
        packages.extend(TEST_PACKAGES);
    }
    let installed = environment.install(&packages, &bar).await;
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

    let kernel = kernelspec::program(&environment);
    let warmed = warm_all(project, &toolchain, &kernel).await;
    Ok((environment, warmed))
}

/// Waits until no other set-up of this project runs.
async fn lock(project: &Project) -> Result<File> {
    let lock = File::create(project.cache().join("setup.lock")).with_context(|| {
        format!(
            "写不了缓存文件夹 {}：请检查权限和磁盘空间",
            project.cache().display()
        )
    })?;
    let mut told = false;
    // Not `File::lock`, which would keep Ctrl-C waiting too.
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        if !told {
            println!("另一个 lab 正在准备环境，等它结束……");
            told = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(lock)
}

async fn warm_all(project: &Project, toolchain: &Toolchain, kernel: &Path) -> Result<()> {
    build_folder::configuration(project).with_context(|| {
        format!(
            "写不了缓存文件夹 {}：请检查权限和磁盘空间",
            project.cache().display()
        )
    })?;
    let (wanted, mut troubles) = warm::survey(project, toolchain)?;
    for (folder, notebook) in &wanted {
        if !is_ready(folder) {
            println!("  预热构建文件夹：笔记本用到的依赖只在这里编译一次，约需一两分钟");
            let bar = spinner("预热");
            let mut folders = wanted.iter().map(|(folder, _)| folder.as_path());
            let base = folders.find(|folder| is_ready(folder));
            let warmed = warm::warm(project, kernel, folder, base, notebook, &bar).await;
            bar.finish_and_clear();
            troubles.extend(warmed.err());
        }
    }
    if !troubles.is_empty() {
        let troubles: Vec<String> = troubles.iter().map(|error| format!("{error:#}")).collect();
        bail!("{}", troubles.join("\n"));
    }
    warm::forget_others(&wanted);
    done(&format!("构建文件夹：{} 个，已预热", wanted.len()));
    Ok(())
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
