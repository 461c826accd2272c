//! The manifests that a manifest depends on: those of path dependencies, and of theirs. What cargo
//! answers about the one depends on what all of them say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::pack;

const MANIFEST: &str = "Cargo.toml";
const DEPENDENCIES: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// `:dep` lines of public notebooks spell a key in a way that cargo refuses in the edition that evcxr
/// writes into its manifest.
const OLD_SPELLING: &str = "default_features";
const NEW_SPELLING: &str = "default-features";

/// Dependencies as cargo wants them spelled.
pub fn spelled_anew(text: &str) -> String {
    text.replace(OLD_SPELLING, NEW_SPELLING)
}

/// Spells the manifest in the working directory as cargo wants it: as a workspace of its own, too, since
/// a cache that lies inside of one is no part of that; and where a pack is, with its paths.
pub fn spell_anew() {
    let Ok(text) = fs::read_to_string(MANIFEST) else {
        return; // cargo says what is wrong with it
    };
    let new = pack::placed(alone(spelled_anew(&text)));
    if new != text {
        // If that is not possible, cargo says what it refuses.
        let _ = fs::write(MANIFEST, new);
    }
}

/// A manifest that belongs to no workspace above it.
fn alone(mut manifest: String) -> String {
    if !manifest.lines().any(|line| line.trim() == "[workspace]") {
        manifest += "\n[workspace]\n";
    }
    manifest
}

/// The texts of the manifest at `path` and of all that it depends on; `None` if one of them cannot
/// be read.
pub fn all(path: &Path) -> Option<BTreeMap<PathBuf, String>> {
    let found = follow(vec![(path.to_owned(), true)])?;
    let texts = found.into_iter().map(|(path, (text, _))| (path, text));
    Some(texts.collect())
}

/// The same for a table of dependencies in `folder`; and whether something depends on the package,
/// or it is only a workspace.
pub fn of_dependencies(
    dependencies: &Table,
    folder: &Path,
) -> Option<BTreeMap<PathBuf, (String, bool)>> {
    let manifest = Table::from_iter([(
        DEPENDENCIES[0].to_owned(),
        Value::Table(dependencies.clone()),
    )]);
    let packages = self::dependencies(&manifest, folder).into_iter();
    follow(packages.map(|path| (path, true)).collect())
}

fn follow(mut waiting: Vec<(PathBuf, bool)>) -> Option<BTreeMap<PathBuf, (String, bool)>> {
    let mut found: BTreeMap<PathBuf, (String, bool)> = BTreeMap::new();
    while let Some((path, is_package)) = waiting.pop() {
        let path = path.canonicalize().ok()?; // or a circle would have no end
        if let Some((_, known)) = found.get_mut(&path) {
            *known |= is_package;
            continue;
        }
        let text = fs::read_to_string(&path).ok()?;
        let table: Table = text.parse().ok()?;
        let folder = path.parent()?;
        let inherits = is_inheriting(&Value::Table(table.clone()));
        let workspace = inherits.then(|| workspace(folder)).flatten();
        waiting.extend(
            dependencies(&table, folder)
                .into_iter()
                .map(|path| (path, true)),
        );
        // All that its workspace names: which of it is meant makes no difference.
        let workspace = workspace.filter(|workspace| *workspace != path);
        waiting.extend(workspace.map(|workspace| (workspace, false)));
        found.insert(path, (text, is_package));
    }
    Some(found)
}

/// The manifests of the path dependencies that a manifest in `folder` names.
fn dependencies(manifest: &Table, folder: &Path) -> Vec<PathBuf> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(|targets| targets.values());
    let workspace = manifest.get("workspace");
    let tables = targets.chain(workspace).filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in tables.chain([manifest]) {
        let kinds = DEPENDENCIES
            .iter()
            .filter_map(|kind| table.get(*kind)?.as_table());
        for dependency in kinds.flat_map(|kind| kind.values()) {
            let path = dependency.get("path").and_then(Value::as_str);
            found.extend(path.map(|path| folder.join(path).join(MANIFEST)));
        }
    }
    found
}

/// Whether something in it is `workspace = true`.
fn is_inheriting(value: &Value) -> bool {
    match value {
        Value::Table(table) => table.iter().any(|(key, value)| {
            (key == "workspace" && value.as_bool() == Some(true)) || is_inheriting(value)
        }),
        Value::Array(values) => values.iter().any(is_inheriting),
        _ => false,
    }
}

/// The manifest of the workspace that `folder` is in.
fn workspace(folder: &Path) -> Option<PathBuf> {
    let manifests = folder.ancestors().map(|folder| folder.join(MANIFEST));
    manifests
        .filter(|manifest| manifest.is_file())
        .find(|manifest| {
            let text = fs::read_to_string(manifest).unwrap_or_default();
            text.parse::<Table>()
                .is_ok_and(|table| table.contains_key("workspace"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, manifests: &[(&str, &str)]) {
        for (path, text) in manifests {
            let path = folder.join(path).join(MANIFEST);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn manifests_are_found_through_paths_targets_and_the_workspace() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        write(
            &folder,
            &[
                (
                    "cell",
                    "[dependencies]\na = { path = \"../ws/a\" }\nserde = \"1\"",
                ),
                (
                    "ws",
                    "[workspace]\n[workspace.dependencies]\nb = { path = \"b\" }",
                ),
                (
                    "ws/a",
                    "[dependencies]\nb.workspace = true\n[target.'cfg(unix)'.dependencies]\nc = { path = \"../c\" }",
                ),
                ("ws/b", "[build-dependencies]\na = { path = \"../a\" }"),
                ("ws/c", ""),
                ("ws/unused", ""),
            ],
        );
        let found = all(&folder.join("cell").join(MANIFEST)).unwrap();
        let mut expected =
            ["cell", "ws", "ws/a", "ws/b", "ws/c"].map(|name| folder.join(name).join(MANIFEST));
        expected.sort();
        let found: Vec<PathBuf> = found.into_keys().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_manifest_is_made_a_workspace_of_its_own_once() {
        let once = alone("[package]\nname = \"ctx\"".to_owned());
        let table: Table = once.parse().unwrap();
        assert!(table.contains_key("workspace"));
        assert_eq!(alone(once.clone()), once);
    }

    #[test]
    fn a_manifest_that_is_missing_or_broken_makes_nothing_certain() {
        let folder = tempfile::tempdir().unwrap();
        let cell = folder.path().join("cell").join(MANIFEST);
        assert_eq!(all(&cell), None);
        write(
            folder.path(),
            &[("cell", "[dependencies]\na = { path = \"../a\" }")],
        );
        assert_eq!(all(&cell), None);
        write(folder.path(), &[("a", "[")]);
        assert_eq!(all(&cell), None);
        write(folder.path(), &[("a", "")]);
        assert_eq!(all(&cell).unwrap().len(), 2);
    }
}
