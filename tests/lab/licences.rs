//! Everything that a lock file names may be used here: its licence and where it comes from are among
//! what `.cargo/deny.toml` allows.

use std::collections::BTreeSet;
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::vec;

use serde_json::Value;
use toml::Table;

/// The folders with lock files: the workspace, and a package apart from it.
const LOCKED: [&str; 2] = [".", "support/nest-tokio/loom"];

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    folder.canonicalize().unwrap()
}

fn table(path: &str) -> Table {
    let text = fs::read_to_string(root().join(path)).unwrap();
    text.parse().unwrap()
}

/// The licences that `.cargo/deny.toml` allows.
fn allowed(deny: &Table) -> BTreeSet<&str> {
    let names = deny["licenses"]["allow"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap()).collect()
}

/// What cargo knows of every crate in a folder's lock file, those for other platforms included. It
/// downloads the few that nothing here is compiled from.
fn crates(folder: &str) -> Vec<Value> {
    let mut command = Command::new("timeout");
    command
        .args(["300", "cargo", "metadata", "--locked", "--all-features"])
        .arg("--format-version=1")
        .current_dir(root().join(folder));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let mut known: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(crates) = known["packages"].take() else {
        panic!("cargo metadata names no packages");
    };
    crates
}

/// Whether who accepts the licences `allowed` may use what is under `expression`, as crates write it:
/// SPDX, or with `/` for `OR`.
fn may_be_used(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let spaced = spaced.replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.into_iter().peekable();
    let answer = one_of(&mut words, allowed);
    assert_eq!(words.next(), None, "{expression}");
    answer
}

type Words<'a> = Peekable<vec::IntoIter<&'a str>>;

fn one_of(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut answer = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        answer |= all_of(words, allowed);
    }
    answer
}

fn all_of(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut answer = licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        answer &= licence(words, allowed);
    }
    answer
}

fn licence(words: &mut Words, allowed: &BTreeSet<&str>) -> bool {
    let mut name = words.next().expect("a licence").to_owned();
    if name == "(" {
        let answer = one_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return answer;
    }
    if words.next_if_eq(&"WITH").is_some() {
        name += " WITH ";
        name += words.next().expect("an exception");
    }
    allowed.contains(name.as_str())
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for (expression, answer) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0 / MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0", false),
        ("MIT OR ISC AND GPL-3.0", true), // AND binds tighter
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
    ] {
        assert_eq!(may_be_used(expression, &allowed), answer, "{expression}");
    }
}

#[test]
fn whatever_a_lock_file_names_may_be_used_and_no_licence_is_allowed_for_nothing() {
    let deny = table(".cargo/deny.toml");
    let allowed = allowed(&deny);
    let crates = LOCKED.map(|folder| {
        let (crates, lock) = (crates(folder), table(&format!("{folder}/Cargo.lock")));
        assert_eq!(crates.len(), lock["package"].as_array().unwrap().len());
        crates
    });
    let crates = crates.concat();
    let expressions: BTreeSet<&str> = crates
        .iter()
        .map(|one| {
            let expression = one["license"].as_str();
            let expression = expression.unwrap_or_else(|| panic!("{} has none", one["id"]));
            assert!(
                may_be_used(expression, &allowed),
                "{}: {expression}",
                one["id"]
            );
            expression
        })
        .collect();
    for licence in &allowed {
        let mut fewer = allowed.clone();
        fewer.remove(licence);
        let needed = expressions.iter().any(|one| !may_be_used(one, &fewer));
        assert!(needed, "nothing needs {licence}");
    }
}

#[test]
fn whatever_a_lock_file_names_comes_from_the_default_registry_or_lies_here() {
    let deny = table(".cargo/deny.toml");
    for unknown in ["unknown-registry", "unknown-git"] {
        assert_eq!(deny["sources"][unknown].as_str(), Some("deny"));
    }
    // Without these, cargo-deny allows the default registry alone.
    for more in ["allow-registry", "allow-git", "allow-org"] {
        assert!(deny["sources"].get(more).is_none(), "{more}");
    }
    // As every lock file names it, whatever mirror serves it.
    let registry = concat!(
        "registry+https://github.com/rust-lang/",
        "crates",
        ".io-index"
    );
    let members: Table = table("Cargo.toml");
    let members = members["workspace"]["members"].as_array().unwrap().iter();
    let members = members.map(|folder| folder.as_str().unwrap());
    let names: BTreeSet<String> = members
        .chain([LOCKED[1]])
        .map(|folder| {
            let manifest = table(&format!("{folder}/Cargo.toml"));
            manifest["package"]["name"].as_str().unwrap().to_owned()
        })
        .collect();
    let locks = LOCKED.map(|folder| table(&format!("{folder}/Cargo.lock")));
    let packages = locks
        .iter()
        .flat_map(|lock| lock["package"].as_array().unwrap());
    for package in packages {
        match package.get("source").map(|source| source.as_str().unwrap()) {
            Some(source) => {
                assert_eq!(source, registry, "{}", package["name"]);
                assert!(package.get("checksum").is_some(), "{}", package["name"]);
            }
            None => {
                let name = package["name"].as_str().unwrap();
                assert!(names.contains(name), "{name} is no member");
            }
        }
    }
}
