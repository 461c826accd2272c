//! The entry by which Jupyter finds the kernel.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::files;
use crate::project::{CACHE_ENV, PROJECT_ENV, Project, WARM_ENV};
use crate::python::Environment;

/// As a stock evcxr kernel is called, so that the notebooks open with either.
const NAME: &str = "rust";
const LOGO: &str = include_str!("../assets/logo.svg");

/// Where the entry is, or will be.
pub fn folder(environment: &Environment) -> PathBuf {
    environment.jupyter_data().join("kernels").join(NAME)
}

/// The program that Jupyter starts.
pub fn program(environment: &Environment) -> PathBuf {
    folder(environment).join("lab")
}

/// Writes the entry, with a copy of this program: one in `target/` is gone after `cargo clean`.
///
/// # Errors
/// When a file cannot be written.
pub fn install(project: &Project, environment: &Environment) -> Result<()> {
    let folder = folder(environment);
    fs::create_dir_all(&folder)
        .with_context(|| format!("建不了 {}：请检查权限和磁盘空间", folder.display()))?;
    files::remove_leftovers(&folder);
    let program = program(environment);
    let here = std::env::current_exe().context("找不到自己的程序文件")?;
    if !same(&here, &program) {
        let mut source = File::open(&here).context("读不了自己的程序文件")?;
        files::replace(&program, |file| {
            io::copy(&mut source, file)?;
            let original = source.metadata()?;
            file.set_permissions(original.permissions())?;
            file.set_modified(original.modified()?)
        })?;
    }
    files::replace(&folder.join("logo-svg.svg"), |file| {
        file.write_all(LOGO.as_bytes())
    })?;
    let spec = serde_json::to_string_pretty(&spec(project, &program))?;
    files::replace(&folder.join("kernel.json"), |file| {
        file.write_all(spec.as_bytes())
    })
}

/// Whether the entry is there, complete, and for this project and this program.
pub fn is_installed(project: &Project, environment: &Environment) -> bool {
    let folder = folder(environment);
    let program = program(environment);
    let found: Option<Value> = fs::read(folder.join("kernel.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    found == Some(spec(project, &program))
        && std::env::current_exe().is_ok_and(|here| same(&here, &program))
}

fn spec(project: &Project, program: &Path) -> Value {
    let mut environment = json!({ PROJECT_ENV: project.root() });
    // Where several users share what is warmed, each has a cache of their own.
    for name in [WARM_ENV, CACHE_ENV] {
        if let Some(folder) = std::env::var_os(name) {
            environment[name] = json!(folder.to_string_lossy());
            break;
        }
    }
    json!({
        "argv": [program, "kernel", "{connection_file}"],
        "display_name": "Rust",
        "language": "rust",
        // The front knows whom to interrupt.
        "interrupt_mode": "message",
        "env": environment,
    })
}

/// Whether `copy` is a copy of `program`, made by [`install`]; or that file itself.
fn same(program: &Path, copy: &Path) -> bool {
    let facts = |path| {
        fs::metadata(path)
            .and_then(|m| Ok((m.len(), m.modified()?)))
            .ok()
    };
    facts(program).is_some() && facts(program) == facts(copy)
}
