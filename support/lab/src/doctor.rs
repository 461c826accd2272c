//! `lab doctor`: what is installed, what is missing, what to do about it.

use anyhow::Result;

use crate::build_folder::is_ready;
use crate::project::Project;
use crate::python::{self, Environment};
use crate::toolchain::Toolchain;
use crate::{kernelspec, warm};

/// Prints one line for each thing that is needed. Returns whether all is well.
///
/// Installs nothing and needs no network.
///
/// # Errors
/// When the notebooks themselves cannot be read.
pub fn doctor(project: &Project) -> Result<bool> {
    let environment = Environment::find(project);
    println!("项目：{}", project.root().display());
    println!("缓存：{}", project.cache().display());
    let toolchain = Toolchain::find();
    let mut all_well = match &toolchain {
        Ok(toolchain) => good(&format!(
            "{}，标准库源码在 {}",
            toolchain.version,
            toolchain.sources.display()
        )),
        Err(error) => bad(&format!("{error:#}")),
    };
    all_well &= match linker() {
        true => good("链接器 cc"),
        false => bad("找不到链接器 cc：请安装 gcc（Debian：apt install build-essential）"),
    };
    let missing = environment.missing(&python::PACKAGES);
    all_well &= match (missing.is_empty(), python::python_version()) {
        (true, _) => good(&format!("Python 环境 {}", environment.folder().display())),
        (false, Ok(version)) => bad(&format!(
            "{version}，{} 里缺少 {}：请运行 `cargo run -- setup`",
            environment.folder().display(),
            missing.join("、")
        )),
        (false, Err(error)) => bad(&format!("{error:#}")),
    };
    all_well &= match kernelspec::is_installed(project, &environment) {
        true => good(&format!(
            "内核 Rust：{}",
            kernelspec::folder(&environment).display()
        )),
        false => bad("内核 Rust 没有安装，或者是旧的：请运行 `cargo run -- setup`"),
    };
    if let Ok(toolchain) = &toolchain {
        let (wanted, troubles) = warm::survey(project, toolchain)?;
        for trouble in troubles {
            all_well &= bad(&format!("{trouble:#}"));
        }
        let ready = wanted.iter().filter(|(folder, _)| is_ready(folder)).count();
        all_well &= match ready == wanted.len() {
            true => good(&format!("构建文件夹：{ready} 个，已预热")),
            false => bad(&format!(
                "构建文件夹：{ready}/{} 个已预热，其余的会让第一个单元格等上一两分钟：请运行 `cargo run -- setup`",
                wanted.len()
            )),
        };
    }
    Ok(all_well)
}

/// Whether rustc will find the linker that it calls by default.
fn linker() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("cc").is_file())
}

fn good(what: &str) -> bool {
    println!("✓ {what}");
    true
}

fn bad(what: &str) -> bool {
    println!("✗ {what}");
    false
}
