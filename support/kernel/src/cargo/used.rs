//! What a cell depends on: the packages that cargo says it has used, and what they are made from.
//!
//! Only those. Beside them in a build folder lies what other cells use, or what another folder's
//! packages were compiled to (sets begin with the nearest one): whether that is as it was makes no
//! difference, and it may be gone.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::{SAID_BY_CARGO, is_named};
use super::names::{hashed, library, library_of};

/// Packages that cargo has used.
#[derive(Default)]
pub struct Used {
    /// What their files are told apart from other compilations by.
    hashes: HashSet<String>,
    /// Libraries of which there is only one.
    without_hash: HashSet<String>,
    /// From here on, only what may change. Manifests:
    manifests: Vec<PathBuf>,
    /// The files in which rustc says what it has read.
    dep_infos: Vec<PathBuf>,
    /// Whether one of them has a build script: what that depends on only cargo knows.
    has_script: bool,
}

/// What path dependencies are made from. Crates of a registry never change.
#[derive(Serialize, Deserialize, Default)]
pub struct Sources {
    /// Their files and manifests, with when they were changed.
    files: BTreeMap<PathBuf, i128>,
    /// The variables that they ask for by name, with `env!` for example.
    variables: BTreeMap<String, Option<String>>,
}

impl Used {
    /// Hears one of cargo's messages.
    pub fn hear(&mut self, message: &Value) {
        if message["target"]["name"] == "ctx" {
            return;
        }
        let paths = |value: &Value| -> Vec<PathBuf> {
            let listed = value.as_array().into_iter().flatten().chain([value]);
            listed
                .filter_map(Value::as_str)
                .map(PathBuf::from)
                .collect()
        };
        let is_script = message["reason"] == "build-script-executed";
        let files = match is_script {
            true => paths(&message["out_dir"]),
            false => paths(&message["filenames"]),
        };
        for file in &files {
            let hash = file.iter().rev().find_map(|name| hashed(Path::new(name)));
            match hash {
                Some((_, hash)) => self.hashes.extend([hash.to_owned()]),
                None => self.without_hash.extend(library(file).map(str::to_owned)),
            }
        }
        let id = message["package_id"].as_str().unwrap_or_default();
        if ["registry+", "sparse+"]
            .iter()
            .any(|kind| id.starts_with(kind))
        {
            return;
        }
        self.has_script |= is_script;
        if message["reason"] == "compiler-artifact" {
            self.manifests.extend(paths(&message["manifest_path"]));
            self.dep_infos
                .extend(files.iter().filter_map(|file| dep_info(file)));
        }
    }

    /// Whether a file or folder of cargo's is of one of these packages, as far as its name says of
    /// which it is.
    pub fn includes(&self, path: &Path) -> bool {
        let Some((package, hash)) = hashed(path) else {
            return true;
        };
        self.hashes.contains(hash) || self.without_hash.contains(&library_of(package))
    }
}

/// The file in which rustc says what a library was made from. Cargo may name a second place of a
/// library, one folder above.
fn dep_info(library: &Path) -> Option<PathBuf> {
    let name = format!("{}.d", self::library(library)?);
    let folder = library.parent()?;
    Some(match folder.ends_with("deps") {
        true => folder.join(name),
        false => folder.join("deps").join(name),
    })
}

impl Sources {
    /// What a cell depends on that uses these packages; `None` if that is not certain.
    pub fn of(used: &Used) -> Option<Sources> {
        let mut sources = Sources::default();
        if used.has_script {
            return None;
        }
        for manifest in &used.manifests {
            sources.add_file(manifest.clone())?;
        }
        for dep_info in &used.dep_infos {
            sources.add(&fs::read_to_string(dep_info).ok()?)?;
        }
        Some(sources)
    }

    /// Adds what one of the files says that rustc writes for make: `target: source source` for each
    /// target, blanks in names escaped, and `# env-dep:NAME=value`.
    fn add(&mut self, text: &str) -> Option<()> {
        for source in sources(text) {
            self.add_file(source)?;
        }
        for variable in text
            .lines()
            .filter_map(|line| line.strip_prefix("# env-dep:"))
        {
            let name = variable.split('=').next()?;
            if !is_named(name, &SAID_BY_CARGO) {
                self.variables
                    .insert(name.to_owned(), std::env::var(name).ok());
            }
        }
        Some(())
    }

    fn add_file(&mut self, path: PathBuf) -> Option<()> {
        let time = changed_at(&path)?;
        self.files.insert(path, time);
        Some(())
    }

    /// Whether nothing of it has changed.
    pub fn are_as_they_were(&self) -> bool {
        let file = |(path, time): (&PathBuf, &i128)| changed_at(path) == Some(*time);
        let variable =
            |(name, value): (&String, &Option<String>)| std::env::var(name).ok() == *value;
        self.files.iter().all(file) && self.variables.iter().all(variable)
    }
}

/// When a file was last changed, in nanoseconds; `None` if that cannot be said.
fn changed_at(path: &Path) -> Option<i128> {
    let file = fs::metadata(path).ok()?;
    Some(i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec()))
}

/// The sources that may change which one of the files names that rustc writes for make.
fn sources(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(_, names)| {
            names
                .replace("\\ ", "\0")
                .split(' ')
                .map(path)
                .collect::<Vec<_>>()
        })
        .filter(|source| source.is_absolute())
        .filter(|source| !is_of_a_registry(source) && !is_generated(source))
        .collect()
}

/// Whether one of the files that rustc writes for make says nothing that a cell depends on.
pub fn never_changes(dep_info: &Path) -> bool {
    fs::read_to_string(dep_info).is_ok_and(|text| sources(&text).is_empty())
}

/// A name in which a blank is written as a NUL.
fn path(name: &str) -> PathBuf {
    PathBuf::from(name.replace('\0', " "))
}

/// Whether a build script has written it, in whichever build folder: the sources of its package
/// stand beside it.
fn is_generated(source: &Path) -> bool {
    let parts: Vec<_> = source.iter().collect();
    parts.windows(3).any(|parts| {
        parts[0] == "build" && parts[2] == "out" && hashed(Path::new(parts[1])).is_some()
    })
}

fn is_of_a_registry(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    parts.windows(2).any(|pair| pair == ["registry", "src"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn artifact(id: &str, name: &str, file: &str) -> Value {
        json!({
            "reason": "compiler-artifact", "package_id": id, "manifest_path": "/w/Cargo.toml",
            "target": { "name": name }, "filenames": [file],
        })
    }

    const OWN: &str = "path+file:///w#part@1.0.0";
    const REGISTRY: &str = "registry+https://index#serde@1.0.0";

    #[test]
    fn what_may_change_is_what_comes_from_no_registry_and_is_not_the_cell() {
        let hashed = "/t/debug/deps/libpart-0123456789abcdef.rlib";
        for (id, name, file, dep_info) in [
            (OWN, "part", hashed, "/t/debug/deps/part-0123456789abcdef.d"),
            (OWN, "part", "/t/debug/libpart.so", "/t/debug/deps/part.d"),
            (OWN, "ctx", "/t/debug/libctx.so", ""),
            (REGISTRY, "serde", hashed, ""),
        ] {
            let mut used = Used::default();
            used.hear(&artifact(id, name, file));
            let expected = (!dep_info.is_empty()).then(|| PathBuf::from(dep_info));
            let manifest = expected.as_ref().map(|_| PathBuf::from("/w/Cargo.toml"));
            assert_eq!(used.dep_infos, Vec::from_iter(expected), "{file}");
            assert_eq!(used.manifests, Vec::from_iter(manifest), "{file}");
        }
    }

    #[test]
    fn of_several_compilations_of_a_package_only_the_used_one_is_included() {
        let mut used = Used::default();
        let hashed = "/t/debug/deps/libserde-0000000000000001.rlib";
        let script = "/t/debug/build/serde-0000000000000002/build-script-build";
        used.hear(&artifact(REGISTRY, "serde", hashed));
        used.hear(&artifact(REGISTRY, "build-script-build", script));
        used.hear(&artifact(
            OWN,
            "nest_tokio",
            "/t/debug/deps/libnest_tokio.so",
        ));
        used.hear(&json!({
            "reason": "build-script-executed", "package_id": REGISTRY,
            "out_dir": "/t/debug/build/serde-0000000000000003/out",
        }));
        for (path, is_included) in [
            ("deps/libserde-0000000000000001.rmeta", true),
            ("deps/libserde-0000000000000009.rmeta", false),
            (".fingerprint/serde-0000000000000001", true),
            (".fingerprint/serde-0000000000000009", false),
            ("build/serde-0000000000000002", true),
            ("build/serde-0000000000000003", true),
            ("build/serde-0000000000000009", false),
            ("deps/libnest_tokio.rlib", true),
            (".fingerprint/nest-tokio-0000000000000009", true),
            (".fingerprint", true),
            (".rustc_info.json", true),
        ] {
            assert_eq!(used.includes(Path::new(path)), is_included, "{path}");
        }
    }

    #[test]
    fn only_a_registrys_build_scripts_are_certain() {
        for (id, has_script) in [
            (REGISTRY, false),
            ("sparse+https://index/#serde@1.0.0", false),
            (OWN, true),
            ("git+https://host/one?rev=1#1.0.0", true),
        ] {
            let mut used = Used::default();
            used.hear(&json!({ "reason": "build-script-executed", "package_id": id }));
            assert_eq!(used.has_script, has_script, "{id}");
        }
    }
}
