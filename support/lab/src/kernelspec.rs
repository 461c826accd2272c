//! The entry by which Jupyter finds the kernel.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use base::files;
use link::{pack, variable};

use crate::project::Project;
use crate::python::Environment;

/// As a stock evcxr kernel is called, so that the notebooks open with either.
const NAME: &str = "rust";
const LOGO: &str = include_str!("../assets/logo.svg");

/// Where the course explains what, by the kinds of mistakes.
const SECTIONS: &str = "support/lab/sections.toml";

/// Where the entry is, or will be.
pub fn folder(environment: &Environment) -> PathBuf {
    environment.jupyter_data().join("kernels").join(NAME)
}

/// The program that Jupyter starts.
pub fn program(environment: &Environment) -> PathBuf {
    folder(environment).join("kernel")
}

/// Writes the entry, with a copy of the program `kernel`: one in `target/` is gone after `cargo clean`.
///
/// # Errors
/// When a file cannot be written.
pub fn install(project: &Project, environment: &Environment, kernel: &Path) -> Result<()> {
    let folder = folder(environment);
    fs::create_dir_all(&folder)
        .with_context(|| format!("建不了 {}：请检查权限和磁盘空间", folder.display()))?;
    files::remove_leftovers(&folder);
    let program = program(environment);
    if !same(kernel, &program) {
        let mut source =
            File::open(kernel).with_context(|| format!("读不了程序 {}", kernel.display()))?;
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

/// Whether the entry is there, complete, and for this project.
pub fn is_installed(project: &Project, environment: &Environment) -> bool {
    let folder = folder(environment);
    let program = program(environment);
    let found: Option<Value> = fs::read(folder.join("kernel.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    found == Some(spec(project, &program)) && program.is_file()
}

/// Whether the entry's program is this one.
pub fn is_of(environment: &Environment, kernel: &Path) -> bool {
    same(kernel, &program(environment))
}

/// What the kernel finds in its environment: all that it knows of the course.
pub fn variables(project: &Project) -> Vec<(String, String)> {
    let in_clone = |path: &str| project.root().join(path).display().to_string();
    let mut variables = vec![
        (variable::LOCK.to_owned(), in_clone("Cargo.lock")),
        (variable::SECTIONS.to_owned(), in_clone(SECTIONS)),
    ];
    if let Some(pack) = pack::here() {
        variables.push((variable::PACK.to_owned(), pack.display().to_string()));
    }
    // Where several users share a cache, each has another of their own.
    let caches = [variable::SHARED_CACHE, variable::CACHE];
    let named = caches
        .iter()
        .find_map(|name| Some((*name, std::env::var_os(name)?)));
    variables.extend(named.map(|(name, folder)| (name.to_owned(), folder.display().to_string())));
    variables
}

fn spec(project: &Project, program: &Path) -> Value {
    let environment: Map<String, Value> = variables(project)
        .into_iter()
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    json!({
        "argv": [program, "{connection_file}"],
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
