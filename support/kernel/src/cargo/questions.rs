//! Questions to cargo whose answers are known.
//!
//! At each start evcxr and rust-analyzer ask cargo some twenty things that have not changed since
//! another kernel asked: whether each `:dep` line can be resolved, which packages there are, for
//! which target. Answers lie in the stores of the sets ([`super::sets`]).
//!
//! Of the packages rust-analyzer is told only those that a cell can have to do with. Its memory
//! and the time of its first type inference go with the number of crates.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result};
use serde_json::Value;

use link::variable;

use super::sets::store::Stores;
use crate::pack;

use super::{TOOLCHAIN_ENV, manifests, sets};

/// In the manifest with which evcxr asks whether a dependency can be resolved.
const RESOLVABLE: &str = "name = \"evcxr_dummy_validate_dep\"";
/// In cargo's answer, if a dependency can be resolved and is of no use.
const OF_NO_USE: &str = "ignoring invalid dependency";
/// With which rust-analyzer asks not to touch the lock file; that one is ours.
const OWN_LOCK: [&str; 2] = ["-Zlockfile-path", "--lockfile-path"];
const OWN_LOCK_ENV: &str = "CARGO_RESOLVER_LOCKFILE_PATH";

/// How far from the cell a package may be that rust-analyzer is told of: the crates of the `:dep`
/// lines are 1, those that they use, and show in their own interfaces, 2. Parts of a package that
/// are named after it (`serde_core` of `serde`) are as near as itself.
pub const FAR: usize = 2;

/// What libraries are made with and do not show; the largest ones.
pub const INSIDE: [&str; 10] = [
    "base64",
    "console",
    "http-body-util",
    "hyper",
    "hyper-util",
    "libc",
    "rlimit",
    "tower",
    "tower-http",
    "unicode-width",
];

/// A question to cargo.
pub struct Question {
    /// Under which its answer is kept.
    name: String,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    /// Whether a dependency can be resolved: evcxr reads no more of the answer.
    Resolvable,
    /// What rust-analyzer has to load.
    Packages,
    /// What the user has set for cargo.
    Settings,
    Other,
}

impl Question {
    /// Asked with these arguments in the working directory; `None` if it is no question.
    pub fn new(arguments: &[OsString]) -> Option<Question> {
        let arguments: Option<Vec<&str>> = arguments.iter().map(|text| text.to_str()).collect();
        let arguments = arguments?;
        let asks = |name| arguments.contains(&name);
        let known = match *arguments.first()? {
            "metadata" | "locate-project" | "--version" => true,
            "rustc" => asks("--print"),
            "-Z" => asks("config"),
            _ => false,
        };
        if !known {
            return None;
        }
        let manifest = fs::read_to_string("Cargo.toml").unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        let toolchain = std::env::var(TOOLCHAIN_ENV).unwrap_or_default();
        let lock_file = std::env::var_os(variable::LOCK).map(PathBuf::from);
        (toolchain, sets::lock(lock_file.as_deref()), FAR, INSIDE).hash(&mut hasher);
        // What cannot be told apart from another question is asked anew.
        for text in manifests::all(Path::new("Cargo.toml"))?.into_values() {
            let mut lines: Vec<&str> = text.lines().collect();
            if text == manifest {
                lines.sort_unstable(); // evcxr lists dependencies in any order
            }
            lines.hash(&mut hasher);
        }
        let mut lock_file = false;
        for argument in &arguments {
            // A file of the moment follows.
            if !std::mem::replace(&mut lock_file, *argument == OWN_LOCK[1]) {
                without_place(argument).hash(&mut hasher);
            }
        }
        let kind = match arguments[0] {
            "metadata" if manifest.contains(RESOLVABLE) => Kind::Resolvable,
            "metadata" if asks("--filter-platform") && !asks("--no-deps") => Kind::Packages,
            "-Z" => Kind::Settings,
            _ => Kind::Other,
        };
        Some(Question {
            name: format!("{:016x}", hasher.finish()),
            kind,
        })
    }

    /// Prints the answer; `ask` gets it if it is not known.
    ///
    /// # Errors
    /// When cargo cannot be asked.
    pub fn answer(&self, ask: impl FnOnce(bool) -> Result<Output>) -> Result<ExitCode> {
        let mut stdout = std::io::stdout().lock();
        let stores = Stores::in_environment();
        if let Some(answer) = stores.answer(&self.name) {
            stdout.write_all(with_place(&answer).as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let resolves = [Kind::Resolvable, Kind::Packages].contains(&self.kind);
        let output = ask(resolves)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        eprint!("{stderr}");
        if let Some(explanation) = pack::explanation(&stderr) {
            eprintln!("{explanation}");
        }
        if !output.status.success() || stderr.contains(OF_NO_USE) {
            stdout.write_all(&output.stdout)?;
            return Ok(ExitCode::from(
                output.status.code().map_or(1, |code| code as u8),
            ));
        }
        let answer = String::from_utf8(output.stdout).context("cargo 的回答不是文本")?;
        let answer = match self.kind {
            Kind::Packages => prune(&answer).unwrap_or(answer),
            Kind::Settings => wanted_settings(&answer),
            _ => answer,
        };
        stdout.write_all(answer.as_bytes())?;
        let kept = match self.kind {
            Kind::Resolvable => String::new(),
            _ => without_place(&answer),
        };
        stores.keep_answer(&self.name, &kept);
        Ok(ExitCode::SUCCESS)
    }
}

/// Of all that is set for cargo, what rust-analyzer cannot do without. There may be passwords among
/// the rest, of a proxy for example, and answers lie in folders that a class shares.
fn wanted_settings(settings: &str) -> String {
    let lines = settings.split_inclusive('\n');
    lines
        .filter(|line| line.starts_with("build.target"))
        .collect()
}

/// Makes rust-analyzer's cargo use the build folder's lock file, which holds our versions, and not
/// a copy of what it was before.
pub fn use_our_lock(command: &mut Command, arguments: &[OsString]) {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == OWN_LOCK[1] {
            arguments.next();
        } else if argument != OWN_LOCK[0] {
            command.arg(argument);
        }
    }
    command.env_remove(OWN_LOCK_ENV);
}

/// What stands for the build folder in an answer that is kept.
const BUILD: &str = "{BUILD}";

fn without_place(text: &str) -> String {
    match std::env::var(variable::BUILD) {
        Ok(build) if !build.is_empty() => text.replace(&build, BUILD),
        _ => text.to_owned(),
    }
}

fn with_place(text: &str) -> String {
    text.replace(BUILD, &std::env::var(variable::BUILD).unwrap_or_default())
}

/// Cargo's metadata without the packages that no cell has to do with; `None` if it is not as
/// expected.
fn prune(metadata: &str) -> Option<String> {
    let mut metadata: Value = serde_json::from_str(metadata).ok()?;
    let kept = near(&metadata)?;
    let is_kept = |id: &Value| id.as_str().is_some_and(|id| kept.contains(id));
    let packages = metadata["packages"].as_array_mut()?;
    packages.retain(|package| is_kept(&package["id"]));
    let nodes = metadata["resolve"]["nodes"].as_array_mut()?;
    nodes.retain(|node| is_kept(&node["id"]));
    for node in nodes {
        node["dependencies"].as_array_mut()?.retain(is_kept);
        node["deps"]
            .as_array_mut()?
            .retain(|dep| is_kept(&dep["pkg"]));
    }
    Some(metadata.to_string())
}

/// The packages within [`FAR`]. What procedural macros are made of runs in the compiler, far from
/// any cell.
fn near(metadata: &Value) -> Option<HashSet<String>> {
    let packages: HashMap<&str, &Value> = metadata["packages"]
        .as_array()?
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let name = |id: &str| {
        packages
            .get(id)
            .and_then(|package| package["name"].as_str())
    };
    let is_macro = |id: &str| {
        let targets = packages
            .get(id)
            .and_then(|package| package["targets"].as_array());
        let mut kinds = targets.into_iter().flatten().map(|target| &target["kind"]);
        kinds.any(|kind| kind.to_string().contains("proc-macro"))
    };
    let nodes = metadata["resolve"]["nodes"].as_array()?;
    let nodes: HashMap<&str, &Value> = nodes
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let root = metadata["resolve"]["root"].as_str()?;
    let mut near = HashMap::from([(root, 0)]);
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        let distance = near[id];
        let below = nodes
            .get(id)
            .and_then(|node| node["dependencies"].as_array());
        for below in below.into_iter().flatten().filter_map(Value::as_str) {
            let part = name(id)
                .zip(name(below))
                .and_then(|(whole, part)| part.strip_prefix(whole));
            let is_part = part.is_some_and(|rest| rest.starts_with(['-', '_']));
            let distance = distance + usize::from(!is_part);
            let is_inside = distance > 1 && name(below).is_some_and(|name| INSIDE.contains(&name));
            if distance <= FAR
                && !is_inside
                && near.get(below).is_none_or(|known| distance < *known)
            {
                near.insert(below, distance);
                if !is_macro(below) {
                    waiting.push(below);
                }
            }
        }
    }
    Some(near.into_keys().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, kind: &str) -> Value {
        json!({ "id": name, "name": name, "targets": [{ "kind": [kind] }] })
    }

    fn node(name: &str, dependencies: &[&str]) -> Value {
        let deps: Vec<Value> = dependencies.iter().map(|id| json!({ "pkg": id })).collect();
        json!({ "id": name, "dependencies": dependencies, "deps": deps })
    }

    #[test]
    fn what_is_far_from_a_cell_is_left_out_and_parts_are_as_near_as_the_whole() {
        let metadata = json!({
            "packages": [
                package("ctx", "cdylib"),
                package("nest-tokio", "lib"),
                package("tokio", "lib"),
                package("tokio-macros", "proc-macro"),
                package("syn", "lib"),
                package("mio", "lib"),
                package("libc", "lib"),
            ],
            "resolve": { "root": "ctx", "nodes": [
                node("ctx", &["nest-tokio"]),
                node("nest-tokio", &["tokio", "libc"]),
                node("tokio", &["tokio-macros", "mio"]),
                node("tokio-macros", &["syn"]),
                node("syn", &[]),
                node("mio", &[]),
                node("libc", &[]),
            ]},
        });
        let pruned: Value = serde_json::from_str(&prune(&metadata.to_string()).unwrap()).unwrap();
        let ids = |list: &Value| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            list.map(|one| one["id"].as_str().unwrap().to_owned())
                .collect()
        };
        let near = ["ctx", "nest-tokio", "tokio", "tokio-macros"];
        assert_eq!(ids(&pruned["packages"]), near);
        assert_eq!(ids(&pruned["resolve"]["nodes"]), near);
        assert_eq!(
            pruned["resolve"]["nodes"][1],
            node("nest-tokio", &["tokio"])
        );
        assert_eq!(
            pruned["resolve"]["nodes"][2],
            node("tokio", &["tokio-macros"])
        );
    }

    #[test]
    fn of_the_settings_no_secrets_are_kept() {
        let settings = "build.target = \"x\" # /a/config.toml\nhttp.proxy = \"http://me:secret@proxy\"\n\
            registry.token = \"secret\"\n# CARGO_HTTP_PROXY=secret\n";
        assert_eq!(
            wanted_settings(settings),
            "build.target = \"x\" # /a/config.toml\n"
        );
    }

    #[test]
    fn what_a_cell_names_itself_is_never_left_out() {
        let metadata = json!({
            "packages": [package("ctx", "cdylib"), package("libc", "lib")],
            "resolve": { "root": "ctx", "nodes": [node("ctx", &["libc"]), node("libc", &[])] },
        });
        assert!(near(&metadata).unwrap().contains("libc"));
    }
}
