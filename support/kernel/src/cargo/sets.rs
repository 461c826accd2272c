//! Sets: what the dependencies of cells are compiled to, kept for the next kernel.
//!
//! A kernel's build folder begins empty. When cells have named crates and cargo is about to build
//! with them for the first time, it gets the set of just these: from a store ([`store`]), if anybody
//! has compiled it before. If nobody has, cargo compiles it here, as far as the most similar set
//! leaves anything to compile, and it goes to the store. Who needs it meanwhile waits.
//!
//! A set's key changes with everything that would make it useless: the toolchain, the lock file, the
//! dependencies and the sources of those that are folders.

mod copy;
pub mod store;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::{Context, Result, bail};
use base::files;
use link::variable;
use toml::{Table, Value};
use walkdir::WalkDir;

use super::cell;
use super::progress::Progress;
use super::used::Used;
use super::{FLAGS, TOOLCHAIN_ENV, manifests, pinned};
use crate::build_folder::{UNFINISHED, cargo_config};
use crate::pack;
use store::Stores;

/// In a build folder: the dependencies that it has been provided with last.
const PROVIDED: &str = ".lab-set";

/// What cells depend on, and with what it is compiled.
#[derive(Debug)]
pub struct Set {
    key: String,
    /// Only sets of one family have something in common: those of one toolchain. Of which versions
    /// they are cargo sees for itself.
    family: String,
    /// One line for each dependency, sorted.
    dependencies: Vec<String>,
}

impl Set {
    /// The set that a cell in `folder` names, if it is the first one.
    ///
    /// # Errors
    /// When evcxr would not take one of its `:dep` lines either.
    pub fn of_cell(
        cell: &str,
        folder: &Path,
        toolchain: &str,
        lock_file: Option<&Path>,
    ) -> Result<Set> {
        Set::new(&named_by(cell, folder)?, folder, toolchain, lock_file)
    }

    /// The set that the manifest in the working directory names; `None` if there are no stores, or
    /// nothing is certain.
    fn needed_here() -> Option<Set> {
        let toolchain = std::env::var(TOOLCHAIN_ENV).ok()?;
        let lock_file = std::env::var_os(variable::LOCK).map(PathBuf::from);
        let manifest: Table = fs::read_to_string("Cargo.toml").ok()?.parse().ok()?;
        let dependencies = manifest.get("dependencies").and_then(Value::as_table);
        let dependencies = dependencies.cloned().unwrap_or_default();
        Set::new(
            &dependencies,
            Path::new(""),
            &toolchain,
            lock_file.as_deref(),
        )
        .ok()
    }

    /// The set of these dependencies, with paths relative to `folder`.
    fn new(
        dependencies: &Table,
        folder: &Path,
        toolchain: &str,
        lock_file: Option<&Path>,
    ) -> Result<Set> {
        let mut lines = Vec::new();
        for (name, dependency) in dependencies {
            lines.push(format!("{name} = {}", normal(dependency, folder)?));
        }
        lines.sort();
        let mut family = DefaultHasher::new();
        (toolchain, cargo_config(), FLAGS).hash(&mut family);
        let family = format!("{:016x}", family.finish());
        let mut key = DefaultHasher::new();
        (&family, &lines, lock(lock_file)).hash(&mut key);
        let found = manifests::of_dependencies(dependencies, folder)
            .context("path 指向的文件夹里没有能用的 Cargo.toml")?;
        for (manifest, (text, is_package)) in found {
            text.hash(&mut key);
            if is_package {
                stamps(&manifest).hash(&mut key);
            }
        }
        Ok(Set {
            key: format!("{:016x}", key.finish()),
            family,
            dependencies: lines,
        })
    }

    /// The name of the set in stores.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the mark in a build folder says that has been provided with this set.
    fn mark(&self) -> String {
        self.dependencies.join("\n")
    }

    fn is_provided(&self) -> bool {
        fs::read_to_string(PROVIDED).is_ok_and(|mark| mark == self.mark())
    }

    fn set_provided(&self) {
        // Without it, it is provided again.
        let _ = files::replace_private(Path::new(PROVIDED), |file| {
            file.write_all(self.mark().as_bytes())
        });
    }
}

/// Whether the manifest in the working directory names dependencies.
pub fn are_needed() -> bool {
    Set::needed_here().is_some_and(|set| !set.dependencies.is_empty())
}

/// Provides the build folder, the working directory, with what its manifest names, and has `cargo`
/// build in it; what it uses then is kept. Returns what `cargo` does.
///
/// # Errors
/// When cargo cannot be run.
pub fn provide_and_build(
    cargo: impl FnOnce(&mut Progress) -> Result<(ExitStatus, Used)>,
) -> Result<(ExitStatus, Used)> {
    let mut progress = Progress::default();
    let needed = Set::needed_here().filter(|set| !set.is_provided());
    let Some(set) = needed else {
        return cargo(&mut progress);
    };
    let stores = Stores::in_environment();
    if provide(&stores, &set) {
        return cargo(&mut progress);
    }
    let Some(own) = stores.own() else {
        return cargo(&mut progress);
    };
    // Nobody compiles what another is compiling; held until it has been published.
    let held = own.lock(&set.key, || progress.wait());
    if progress.has_waited() {
        let is_there = provide(&stores, &set);
        progress.end_waiting(is_there);
        if is_there {
            drop(held);
            return cargo(&mut progress);
        }
    }
    let unfinished = own.unfinished(&set.key);
    // Somebody was interrupted, or had no network, perhaps at once: the most similar set has the
    // rest. (It stays until the set is complete.)
    let _ = copy::merge(&unfinished, Path::new("target"));
    if let Some(folder) = stores.nearest(&set) {
        put(&folder);
    }
    let _ = fs::write(UNFINISHED, unfinished.as_os_str().as_encoded_bytes());
    let (status, used) = cargo(&mut progress)?;
    let are_compiled = status.success() || cell::was_reached();
    progress.end(are_compiled);
    if are_compiled {
        let _ = fs::remove_file(UNFINISHED);
        set.set_provided();
        if own.publish(&set, Path::new(""), &used).is_ok() {
            own.prune(store::limit(), &set.key);
        }
    }
    Ok((status, used))
}

/// Gives the build folder the set, if it is in a store.
fn provide(stores: &Stores, set: &Set) -> bool {
    let provided = stores.find(&set.key).is_some_and(|folder| put(&folder));
    if provided {
        stores.touch(&set.key);
        set.set_provided();
    }
    provided
}

/// Puts what lies in a set's folder into the build folder; false if something of it has vanished.
fn put(folder: &Path) -> bool {
    if copy::merge(&folder.join("target"), Path::new("target")).is_err() {
        return false;
    }
    // The versions it was compiled with; those that cells use already stay.
    let known = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let more = fs::read_to_string(folder.join("Cargo.lock")).unwrap_or_default();
    match known.is_empty() {
        true => fs::write("Cargo.lock", more).is_ok(),
        false => {
            pinned::merge(&more, &known).is_ok_and(|merged| fs::write("Cargo.lock", merged).is_ok())
        }
    }
}

/// The text of the lock file.
pub fn lock(file: Option<&Path>) -> String {
    file.and_then(|file| fs::read_to_string(file).ok())
        .unwrap_or_default()
}

/// A dependency as text: the same for all ways to write the same.
fn normal(dependency: &Value, folder: &Path) -> Result<String> {
    let mut normal = serde_json::to_value(dependency)?;
    if let Some(path) = normal.get_mut("path")
        && let Some(text) = path.as_str()
    {
        let whole = folder.join(text).canonicalize();
        let whole = whole.with_context(|| format!("没有文件夹 {text}"))?;
        *path = pack::anywhere(whole).to_string_lossy().into();
    }
    normal.sort_all_objects();
    Ok(normal.to_string())
}

/// The files that a package is made from, with their lengths and when they were changed. Not what
/// only its tests use.
fn stamps(manifest: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    const UNUSED: [&str; 4] = ["target", "tests", "benches", "examples"];
    let Some(package) = manifest.parent() else {
        return BTreeMap::new();
    };
    let is_part = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_other = name.starts_with('.') || UNUSED.contains(&&*name);
        let is_package = entry.file_type().is_dir() && entry.path().join("Cargo.toml").exists();
        entry.depth() == 0 || !(is_other || is_package)
    };
    WalkDir::new(package)
        .into_iter()
        .filter_entry(is_part)
        .flatten()
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| {
            let found = fs::metadata(entry.path()).ok()?;
            let path = entry.path().strip_prefix(package).ok()?.to_owned();
            Some((path, (found.len(), found.mtime(), found.mtime_nsec())))
        })
        .collect()
}

/// The dependencies that a cell's `:dep` lines name, understood as evcxr does.
fn named_by(cell: &str, folder: &Path) -> Result<Table> {
    let mut named = Table::new();
    for line in cell.lines() {
        let command = line.trim_start_matches(' ');
        if let Some(words) = command.strip_prefix(":dep ") {
            let (name, config) = dependency(words.trim_start_matches(' '), folder)?;
            let line = manifests::spelled_anew(&format!("{name} = {config}"));
            let parsed: Table = line.parse().with_context(|| format!("看不懂 {command}"))?;
            // Of the lines for one crate, the last one counts.
            named.extend(parsed);
        }
        let is_rust = !(line.trim().is_empty()
            || line.starts_with("//")
            || line.starts_with('!')
            || command.starts_with(':'));
        if is_rust {
            break;
        }
    }
    Ok(named)
}

/// Name and configuration of what stands behind `:dep`.
fn dependency(words: &str, folder: &Path) -> Result<(String, String)> {
    let end = words.find(['=', ' ']).unwrap_or(words.len());
    let (name, rest) = words.split_at(end);
    let rest = rest.trim_start_matches(' ');
    let config = match rest.strip_prefix('=') {
        Some(config) => config.trim_start_matches(' '),
        None if rest.is_empty() => "\"*\"",
        None => bail!("看不懂 :dep {words}"),
    };
    if !name.starts_with(['.', '/']) {
        return Ok((name.to_owned(), config.to_owned()));
    }
    let manifest = folder.join(name).join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("读不了 {}", manifest.display()))?;
    let package = text.parse::<Table>()?;
    let package = package.get("package").and_then(|table| table.get("name"));
    let package = package.and_then(Value::as_str);
    let package = package.with_context(|| format!("{} 没有包的名字", manifest.display()))?;
    Ok((package.to_owned(), format!("{{ path = {name:?} }}")))
}

#[cfg(test)]
mod tests;
