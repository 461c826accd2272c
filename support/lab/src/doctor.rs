//! `lab doctor`: what is installed, what is missing, what to do about it.

use anyhow::Result;
use base::advice::spelled;
use base::toolchain::Toolchain;

use crate::project::Project;
use crate::python::{Environment, PACKAGES};
use crate::{kernelspec, log, sets, survey};

/// Prints one line for each thing that is needed. Returns whether all is well.
///
/// Installs nothing and needs no network.
///
/// # Errors
/// When the notebooks themselves cannot be read.
pub fn doctor(project: &Project) -> Result<bool> {
    let environment = Environment::find(project);
    let setup = spelled("setup");
    println!("项目：{}", project.root().display());
    println!("缓存：{}", project.cache().display());
    let log = log::path(project);
    if log.is_file() {
        println!("上一次准备的经过：{}", log.display());
    }
    let mut all_well = match Toolchain::find() {
        Ok(toolchain) => good(&format!(
            "{}，标准库源码在 {}",
            toolchain.version,
            toolchain.sources.display()
        )),
        Err(error) => bad(&format!("{error:#}")),
    };
    all_well &= match survey::has_linker() {
        true => good("链接器 cc"),
        false => bad(survey::NO_LINKER),
    };
    let missing = environment.missing(&PACKAGES);
    all_well &= match (missing.is_empty(), environment.check()) {
        (true, _) => good(&format!("Python 环境 {}", environment.folder().display())),
        (false, Ok(version)) => bad(&format!(
            "{version}，{} 里缺少 {}：请运行 `{setup}`",
            environment.folder().display(),
            missing.join("、")
        )),
        (false, Err(error)) => bad(&format!("{error:#}")),
    };
    let is_installed = kernelspec::is_installed(project, &environment);
    all_well &= match is_installed {
        true => good(&format!(
            "内核 Rust：{}",
            kernelspec::folder(&environment).display()
        )),
        false => bad(&format!("内核 Rust 没有安装，或者是旧的：请运行 `{setup}`")),
    };
    let (wanted, troubles) = sets::survey(&project.course()?);
    for trouble in troubles {
        all_well &= bad(&format!("{trouble:#}"));
    }
    if is_installed {
        let kernel = kernelspec::program(&environment);
        let missing = sets::missing(&wanted, &kernel, &kernelspec::variables(project));
        all_well &= match missing {
            Ok(missing) if missing.is_empty() => {
                good(&format!("笔记本的依赖：{} 组，已编译好", wanted.len()))
            }
            Ok(missing) => bad(&format!(
                "笔记本的依赖：{}/{} 组已编译好，其余的会让第一个单元格等上一两分钟：请运行 `{setup}`",
                wanted.len() - missing.len(),
                wanted.len()
            )),
            Err(error) => bad(&format!("{error:#}")),
        };
    }
    Ok(all_well)
}

fn good(what: &str) -> bool {
    println!("✓ {what}");
    true
}

fn bad(what: &str) -> bool {
    println!("✗ {what}");
    false
}
