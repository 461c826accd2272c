use super::*;
use std::time::{Duration, SystemTime};

/// A notebook's folder with two packages beside it, one of which depends on the other and on a
/// workspace.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for (path, text) in [
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"one\"]\n[workspace.package]\nversion = \"1.0.0\"",
            ),
            (
                "one/Cargo.toml",
                "[package]\nname = \"one\"\nversion.workspace = true\n[dependencies]\ntwo = { path = \"../two\" }",
            ),
            ("one/src/lib.rs", "pub fn one() {}"),
            ("one/tests/test.rs", ""),
            ("one/target/debug/one", ""),
            ("one/.hidden", ""),
            ("two/Cargo.toml", "[package]\nname = \"two-packages\""),
            ("two/src/lib.rs", ""),
            ("two/inner/Cargo.toml", "[package]\nname = \"inner\""),
            ("two/inner/src/lib.rs", ""),
            ("three/src/lib.rs", ""),
            ("notebooks/01.ipynb", ""),
            ("Cargo.lock", "version = 4"),
        ] {
            folder.write(path, text);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn set(&self, cell: &str) -> Result<Set> {
        self.set_with(cell, "rustc 1.95.0 x86_64-unknown-linux-gnu")
    }

    fn set_with(&self, cell: &str, toolchain: &str) -> Result<Set> {
        let lock_file = self.path("Cargo.lock");
        Set::of_cell(cell, &self.path("notebooks"), toolchain, Some(&lock_file))
    }

    fn key(&self, cell: &str) -> String {
        self.set(cell).unwrap().key
    }
}

#[test]
fn the_same_dependencies_have_the_same_key_however_they_are_written() {
    let folder = Folder::new();
    let key = folder.key(":dep one = { path = \"../one\" }\n:dep rand = \"0.9\"");
    let absolute = format!(":dep one = {{path={:?}}}", folder.path("one"));
    for cell in [
        ":dep rand = \"0.9\"\n:dep one = { path = \"../one\" }\nuse rand::rng;",
        "// 注释\n\n:dep rand =\"0.9\"\n  :dep   one  =  {path = \"../notebooks/../one/\"}\nlet x = 1;",
        ":dep rand = \"0.8\"\n:opt 2\n!true\n:dep rand = \"0.9\"\n:dep ../one",
        &format!("{absolute}\n:dep rand = \"0.9\""),
        ":dep one = { path = \"../one\" }\n:dep rand = \"0.9\"\nuse one;\n:dep late = \"1\"",
    ] {
        assert_eq!(folder.key(cell), key, "{cell}");
    }
    let spelled = |key: &str| {
        folder.key(&format!(
            ":dep rand = {{ version = \"0.9\", {key} = false }}"
        ))
    };
    assert_eq!(spelled("default_features"), spelled("default-features"));
    for cell in [
        "",
        ":dep rand = \"0.9\"",
        ":dep one = { path = \"../one\" }\n:dep rand",
        ":dep one = { path = \"../one\" }\n:dep rand = { version = \"0.9\" }",
        ":dep one = { path = \"../one\", features = [\"a\"] }\n:dep rand = \"0.9\"",
        ":dep two = { path = \"../one\", package = \"one\" }\n:dep rand = \"0.9\"",
        ":dep one = { path = \"../one\" }\n:dep rand = \"0.9\"\n:dep more",
    ] {
        assert_ne!(folder.key(cell), key, "{cell}");
    }
}

#[test]
fn a_key_changes_with_all_that_is_compiled_and_with_nothing_else() {
    let folder = Folder::new();
    let cell = ":dep one = { path = \"../one\" }";
    let mut last = folder.key(cell);
    let mut is_other = |path: &str| {
        folder.write(path, "# changed");
        let key = folder.key(cell);
        std::mem::replace(&mut last, key.clone()) != key
    };
    for path in [
        "one/tests/test.rs",
        "one/benches/bench.rs",
        "one/examples/example.rs",
        "one/target/debug/one",
        "one/.hidden",
        "two/inner/src/lib.rs",
        "three/src/lib.rs",
        "notebooks/01.ipynb",
        "README.md",
    ] {
        assert!(!is_other(path), "{path}");
    }
    for path in [
        "one/src/lib.rs",
        "one/build.rs",
        "one/data/table.tsv",
        "two/src/lib.rs",
        "Cargo.lock",
    ] {
        assert!(is_other(path), "{path}");
    }
    // As long as before, and at another time.
    let time = SystemTime::now() + Duration::from_secs(10);
    let file = fs::File::options()
        .append(true)
        .open(folder.path("two/src/lib.rs"));
    file.unwrap().set_modified(time).unwrap();
    assert_ne!(folder.key(cell), last);
    let last = folder.key(cell);
    folder.write(
        "Cargo.toml",
        "[workspace]\n[workspace.package]\nversion = \"1.0.1\"",
    );
    assert_ne!(folder.key(cell), last);
}

#[test]
fn sets_of_one_toolchain_are_of_one_family() {
    let folder = Folder::new();
    let [one, other] = [":dep rand", ":dep one = { path = \"../one\" }"];
    let one = folder.set(one).unwrap();
    folder.write("Cargo.lock", "version = 3");
    assert_eq!(folder.set(other).unwrap().family, one.family);
    let newer = folder.set_with(":dep rand", "rustc 1.96.0").unwrap();
    assert!(newer.family != one.family && newer.key != one.key);
}

#[test]
fn what_evcxr_would_not_take_names_no_set() {
    let folder = Folder::new();
    for cell in [
        ":dep one = { path = \"../missing\" }",
        ":dep three = { path = \"../three\" }",
        ":dep ../three",
        ":dep rand = { version = ",
        ":dep rand 0.9",
    ] {
        assert!(folder.set(cell).is_err(), "{cell}");
    }
}

/// What evcxr 0.22 writes into its manifest for `:dep` lines, in any order (`get_cargo_toml_contents`).
const MANIFEST: &str = r#"
[package]
name = "ctx"
version = "1.0.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]
path = "src/lib.rs"

[dependencies]
two-packages = { path = "{FOLDER}/two" }
rand = "*"
one = { path = "{FOLDER}/one", features = [] }
rayon = "1"
"#;

#[test]
fn a_manifest_of_evcxrs_names_the_same_set_as_the_cell_does() {
    let folder = Folder::new();
    let root = folder.0.path().canonicalize().unwrap();
    let manifest = MANIFEST.replace("{FOLDER}", root.to_str().unwrap());
    let manifest: Table = manifest.parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let toolchain = "rustc 1.95.0 x86_64-unknown-linux-gnu";
    let lock_file = folder.path("Cargo.lock");
    let set = Set::new(dependencies, Path::new(""), toolchain, Some(&lock_file)).unwrap();
    let cell = ":dep one = { path = \"../one\", features = [] }\n:dep rand\n:dep rayon = \"1\"\n\
        :dep ../two\nuse one;";
    assert_eq!(set.key, folder.key(cell));
}
