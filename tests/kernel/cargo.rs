//! The `cargo` that evcxr finds: when it calls the real one, and what it says when it does not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use crate::common::write_program;
use link::variable;
use serde_json::json;

/// What the kernel tells its cargo, by the names that it has for that.
const CARGO: &str = "LAB_CARGO";
const RUSTC: &str = "LAB_RUSTC";
const STORE: &str = "LAB_STORE";
const TOOLCHAIN: &str = "LAB_TOOLCHAIN";

/// A build folder, and programs in the places of cargo and rustc that say who they are.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let here = Folder { folder };
        fs::create_dir_all(here.path("build/deps")).unwrap();
        for (name, text) in [("Cargo.toml", ""), ("Cargo.lock", "version = 4")] {
            fs::write(here.path("build").join(name), text).unwrap();
        }
        fs::write(here.path("wanted.lock"), "version = 4").unwrap();
        // As cargo does, this one calls rustc for a build, is asked who it is, and says what it uses.
        let cargo = "echo real cargo \"$@\"\n\
            cat \"${0%/bin/cargo}/used\"\n\
            [ \"$1\" = build ] && \"$RUSTC\" --crate-name ctx --emit=dep-info,link --target x86_64-unknown-linux-gnu --out-dir deps\n\
            exit 0\n";
        let rustc = "echo '{\"$message_type\": \"diagnostic\", \"message\": \"careful\"}' >&2\n\
            exit ${STATUS:-0}\n";
        fs::write(here.path("used"), "").unwrap();
        for folder in ["bin", "named", "store"] {
            fs::create_dir_all(here.path(folder)).unwrap();
        }
        for name in ["cargo", "rustc"] {
            let kernel = env!("CARGO_BIN_EXE_kernel");
            symlink(kernel, here.path("named").join(name)).unwrap();
        }
        here.program("bin/cargo", cargo);
        here.program("bin/rustc", rustc);
        here
    }

    fn program(&self, name: &str, script: &str) {
        write_program(&self.path(name), &format!("#!/bin/sh\n{script}"));
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().canonicalize().unwrap();
        folder.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// From now on cargo says that it uses a package, of which rustc says this.
    fn uses(&self, dep_info: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path("part")).unwrap();
        self.write("part/Cargo.toml", "");
        fs::write(self.path("build/deps/part.d"), dep_info).unwrap();
        let artifact = json!({
            "reason": "compiler-artifact",
            "package_id": "path+file:///part#1.0.0",
            "manifest_path": self.path("part/Cargo.toml"),
            "target": { "name": "part" },
            "filenames": [self.path("build/deps/libpart.rlib")],
        });
        self.write("used", &format!("{artifact}\n"));
    }

    /// What evcxr hears when it calls `cargo`, but for `RAND`, and with which status it ends.
    fn call(&self, arguments: &[&str], variable: (&str, &str)) -> (String, i32) {
        let output = Command::new(self.path("named/cargo"))
            .args(arguments)
            .current_dir(self.path("build"))
            .env_remove(variable::FRONT)
            .env_remove(variable::SHARED_CACHE)
            .env(variable::BUILD, self.path("build"))
            .env(CARGO, self.path("bin/cargo"))
            .env(RUSTC, self.path("bin/rustc"))
            .env(STORE, self.path("store"))
            .env(TOOLCHAIN, "rustc 1.95.0")
            .env(variable::LOCK, self.path("wanted.lock"))
            .env("RUSTC", self.path("named/rustc"))
            .env(variable.0, variable.1)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (said.replace(RAND, ""), output.status.code().unwrap())
    }

    fn build(&self) -> (String, i32) {
        self.call(&["build"], ("UNUSED", ""))
    }
}

fn is_direct((said, status): &(String, i32)) -> bool {
    let artifact =
        r#"{"reason":"compiler-artifact","target":{"name":"ctx"},"filenames":["deps/libctx.so"]}"#;
    let message = r#"{"reason":"compiler-message","message":{"$message_type":"diagnostic","message":"careful"}}"#;
    *status == 0 && *said == format!("{message}\n{artifact}\n")
}

#[test]
fn cargo_is_called_for_a_cell_only_when_something_has_changed() {
    let folder = Folder::new();
    let source = folder.path("source.rs");
    folder.write("source.rs", "one");
    let listed = format!("deps/libpart.rlib: {}\n", source.display());
    folder.uses(&listed);
    let through_cargo = |(said, _): (String, i32)| said.starts_with("real cargo build");
    assert!(through_cargo(folder.build()));
    assert!(is_direct(&folder.build()));
    assert!(is_direct(&folder.build()));

    folder.write("build/Cargo.toml", "[package]");
    assert!(through_cargo(folder.build()));
    assert!(is_direct(&folder.build()));

    fs::remove_file(&source).unwrap(); // as changed as can be, whatever the clock says
    assert!(through_cargo(folder.build()));
    assert!(
        through_cargo(folder.build()),
        "what is not there is not known"
    );
    folder.write("source.rs", "two");
    assert!(through_cargo(folder.build()));
    assert!(is_direct(&folder.build()));

    let another = ("RUSTFLAGS", "-Copt-level=2");
    assert!(through_cargo(folder.call(&["build"], another)));
}

#[test]
fn what_is_not_certain_is_left_to_cargo() {
    let through_cargo = |(said, _): (String, i32)| said.starts_with("real cargo build");
    // What a file of sources says cannot be read: it is no text.
    let folder = Folder::new();
    folder.uses([0xff]);
    assert!(through_cargo(folder.build()));
    assert!(through_cargo(folder.build()));
    // A dependency has a build script, which may look at anything.
    let folder = Folder::new();
    let script = r#"{"reason": "build-script-executed", "package_id": "path+file:///part#1.0.0"}"#;
    folder.write("used", script);
    assert!(through_cargo(folder.build()));
    assert!(through_cargo(folder.build()));
    folder.write("used", "");
    assert!(through_cargo(folder.build()));
    assert!(is_direct(&folder.build()));
}

/// A set begins with the nearest one, perhaps of another folder, which is gone since.
#[test]
fn what_lies_in_a_build_folder_and_is_not_used_makes_nothing_uncertain() {
    let folder = Folder::new();
    folder.write(
        "build/deps/other.d",
        "deps/libother.rlib: /gone/src/lib.rs\n",
    );
    folder.build();
    assert!(is_direct(&folder.build()));
}

#[test]
fn what_build_scripts_have_written_in_a_folder_that_is_gone_makes_nothing_uncertain() {
    let folder = Folder::new();
    let generated = "/gone/target/debug/build/part-0123456789abcdef/out/generated.rs";
    folder.uses(format!(
        "deps/libpart.rlib: /home/registry/src/part/src/lib.rs {generated}\n"
    ));
    folder.build();
    assert!(is_direct(&folder.build()));
}

#[test]
fn a_manifest_is_spelled_as_cargo_wants_it_and_belongs_to_no_workspace_above_it() {
    let folder = Folder::new();
    let manifest = |key: &str| {
        format!(
            "[package]\nname = \"ctx\"\n[dependencies]\nplot = {{ version = \"1\", {key} = false }}\n"
        )
    };
    folder.write("build/Cargo.toml", &manifest("default_features"));
    folder.build();
    let written = fs::read_to_string(folder.path("build/Cargo.toml")).unwrap();
    let expected = manifest("default-features") + "\n[workspace]\n";
    assert_eq!(written, expected);
}

#[test]
fn of_the_environment_only_what_is_asked_for_by_name_makes_a_difference_and_is_kept() {
    let folder = Folder::new();
    folder.write("source.rs", "");
    let source = folder.path("source.rs");
    let listed = format!(
        "deps/libpart.rlib: {}\n\n# env-dep:ASKED\n# env-dep:CARGO_PKG_NAME=part\n",
        source.display()
    );
    folder.uses(&listed);
    folder.call(&["build"], ("PASSWORD", "canary"));
    assert!(is_direct(&folder.call(&["build"], ("PASSWORD", "another"))));
    let (said, _) = folder.call(&["build"], ("ASKED", "1"));
    assert!(said.starts_with("real cargo build"), "{said}");
    for file in [".lab-rustc", ".lab-cell"] {
        let file = folder.path("build").join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            !text.contains("canary") && !text.contains("PASSWORD"),
            "{text}"
        );
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn a_cell_is_checked_as_it_is_compiled_without_cargo() {
    let folder = Folder::new();
    assert!(
        folder
            .call(&["check"], ("UNUSED", ""))
            .0
            .starts_with("real cargo check")
    );
    folder.build();
    // It says with which arguments it is called.
    let rustc = "echo \"{\\\"\\$message_type\\\": \\\"diagnostic\\\", \\\"message\\\": \\\"$*\\\"}\" >&2\n\
        exit ${STATUS:-0}\n";
    folder.program("bin/rustc", rustc);
    for (failing, expected) in [("0", 0), ("1", 101)] {
        let (said, status) = folder.call(&["check"], ("STATUS", failing));
        assert_eq!(status, expected, "{said}");
        assert!(
            said.starts_with(r#"{"reason":"compiler-message""#),
            "{said}"
        );
        assert!(
            said.contains("--emit=metadata") && !said.contains("link"),
            "{said}"
        );
    }
    assert!(is_direct(&{
        folder.program(
            "bin/rustc",
            "echo '{\"$message_type\": \"diagnostic\", \"message\": \"careful\"}' >&2\n",
        );
        folder.build()
    }));
}

#[test]
fn a_cell_that_does_not_compile_fails_as_with_cargo() {
    let folder = Folder::new();
    let failing = ("STATUS", "1");
    folder.call(&["build"], failing);
    let (said, status) = folder.call(&["build"], failing);
    assert_eq!(status, 101);
    assert!(
        said.starts_with(r#"{"reason":"compiler-message""#),
        "{said}"
    );
    assert!(!said.contains("compiler-artifact"), "{said}");
}

#[test]
fn a_cell_is_linked_by_rustcs_own_linker_or_else_as_with_cargo() {
    let folder = Folder::new();
    let linker = folder.path("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    fs::create_dir_all(linker.parent().unwrap()).unwrap();
    fs::write(&linker, "").unwrap();
    // It says by which linker it is told to link, and fails with what `$BAD` names.
    let rustc = "case \" $* \" in *rust-lld*) by=own;; *) by=cc;; esac\n\
        echo $by >> linked\n\
        [ \"$BAD\" = $by ] && text='linking with `it` failed' bad=1 || text=careful bad=0\n\
        echo \"{\\\"\\$message_type\\\": \\\"diagnostic\\\", \\\"message\\\": \\\"$text\\\"}\" >&2\n\
        exit $bad\n";
    folder.program("bin/rustc", rustc);
    let linked = || {
        let by = fs::read_to_string(folder.path("build/linked")).unwrap();
        fs::remove_file(folder.path("build/linked")).unwrap();
        by.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    folder.build();
    assert_eq!(linked(), ["cc"], "cargo's own call");
    assert!(is_direct(&folder.build()));
    assert_eq!(linked(), ["own"]);

    let bad = ("BAD", "own");
    assert!(is_direct(&folder.call(&["build"], bad)));
    assert_eq!(linked(), ["own", "cc"]);
}

#[test]
fn a_question_is_asked_once_for_each_manifest_and_any_folder_knows_the_answer() {
    let folder = Folder::new();
    let ask = || folder.call(&["locate-project"], ("UNUSED", "")).0;
    let answer = ask();
    assert_eq!(answer, "real cargo locate-project\n");
    folder.program("bin/cargo", "echo another\n");
    assert_eq!(ask(), answer);
    folder.write("build/Cargo.toml", "[package]");
    assert_eq!(ask(), "another\n");
}

#[test]
fn in_which_order_evcxr_lists_dependencies_makes_no_difference_for_a_question() {
    let folder = Folder::new();
    let ask = || folder.call(&["metadata"], ("UNUSED", "")).0;
    folder.write("build/Cargo.toml", "[dependencies]\na = \"1\"\nb = \"2\"\n");
    let answer = ask();
    folder.program("bin/cargo", "echo another\n");
    folder.write("build/Cargo.toml", "[dependencies]\nb = \"2\"\na = \"1\"\n");
    assert_eq!(ask(), answer);
    folder.write("build/Cargo.toml", "[dependencies]\nb = \"2\"\na = \"3\"\n");
    assert_eq!(ask(), "another\n");
}

#[test]
fn a_question_is_asked_again_when_the_manifest_of_a_path_dependency_has_changed() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("part")).unwrap();
    let depends = format!(
        "[dependencies]\npart = {{ path = {:?} }}\n",
        folder.path("part")
    );
    folder.write("build/Cargo.toml", &depends);
    let ask = || folder.call(&["metadata"], ("UNUSED", "")).0;
    let is_asked = |name: &str| {
        folder.program("bin/cargo", &format!("echo {name}\n"));
        ask() == format!("{name}\n")
    };
    assert!(is_asked("one"));
    assert!(
        is_asked("two"),
        "its manifest cannot be read: nothing is certain"
    );
    folder.write("part/Cargo.toml", "[features]\n");
    assert!(is_asked("three"));
    assert!(!is_asked("four"));
    folder.write("part/Cargo.toml", "[features]\na = []\n");
    assert!(is_asked("five"));
}

#[test]
fn elsewhere_it_is_the_real_cargo() {
    let folder = Folder::new();
    let elsewhere = folder.path("bin");
    let (said, _) = folder.call(
        &["locate-project"],
        (variable::BUILD, elsewhere.to_str().unwrap()),
    );
    assert_eq!(said, "real cargo locate-project\n");
    assert!(!folder.path("store/answers").exists());
}

/// A cargo that compiles nothing but says so, and leaves a file where compiled dependencies lie. That
/// it uses it it says in `RAND`.
const COMPILES: &str = "deps=target/x/debug/deps\n\
    mkdir -p $deps\n\
    [ -e $deps/librand-0123456789abcdef.rlib ] && echo fresh || echo compiled\n\
    echo rand > $deps/librand-0123456789abcdef.rlib\n\
    echo 'version = 4' > Cargo.lock\n\
    cat \"${0%/bin/cargo}/used\"\n\
    [ -z \"$BROKEN\" ] || exit 101\n\
    \"$RUSTC\" --crate-name ctx --emit=dep-info,link --target x --out-dir deps\n\
    exit ${STATUS:-0}\n";

const RAND: &str = r#"{"reason":"compiler-artifact","package_id":"registry+x","filenames":["librand-0123456789abcdef.rlib"]}
"#;

/// Another kernel's build folder, empty, in the place of the one that was there.
fn another_kernel(folder: &Folder) {
    fs::remove_dir_all(folder.path("build")).unwrap();
    fs::create_dir_all(folder.path("build/deps")).unwrap();
    folder.write("build/Cargo.toml", "[dependencies]\nrand = \"0.9\"\n");
    folder.write("used", RAND);
}

#[test]
fn what_dependencies_are_compiled_to_is_there_for_the_next_kernel() {
    let folder = Folder::new();
    folder.program("bin/cargo", COMPILES);
    another_kernel(&folder);
    // The dependencies were not compiled: nothing is kept.
    assert_eq!(
        folder.call(&["build"], ("BROKEN", "1")),
        ("compiled\n".to_owned(), 101)
    );
    another_kernel(&folder);
    // Only the cell was not.
    assert_eq!(
        folder.call(&["build"], ("STATUS", "101")),
        ("compiled\n".to_owned(), 101)
    );
    another_kernel(&folder);
    assert_eq!(folder.build(), ("fresh\n".to_owned(), 0));
    another_kernel(&folder);
    folder.write("build/Cargo.toml", "[dependencies]\nrand = \"0.8\"\n");
    assert_eq!(folder.build(), ("compiled\n".to_owned(), 0));
}

#[test]
fn what_was_not_finished_goes_on_in_the_next_kernel() {
    let folder = Folder::new();
    folder.program("bin/cargo", COMPILES);
    another_kernel(&folder);
    folder.call(&["build"], ("BROKEN", "1"));
    // As the kernel does at its end.
    let place = fs::read_to_string(folder.path("build/.lab-unfinished")).unwrap();
    fs::rename(folder.path("build/target"), place).unwrap();
    another_kernel(&folder);
    fs::create_dir_all(folder.path("build/target/x/debug/deps")).unwrap();
    folder.write("build/target/x/debug/deps/present", "");
    assert_eq!(folder.build(), ("fresh\n".to_owned(), 0));
    assert!(!folder.path("build/.lab-unfinished").exists());
}

#[test]
fn a_build_folder_in_use_gets_what_is_named_later() {
    let folder = Folder::new();
    folder.program("bin/cargo", COMPILES);
    another_kernel(&folder);
    folder.build();
    another_kernel(&folder);
    let rand = fs::read_to_string(folder.path("build/Cargo.toml")).unwrap();
    folder.write("build/Cargo.toml", "");
    assert_eq!(
        folder.build(),
        ("compiled\n".to_owned(), 0),
        "without dependencies"
    );
    fs::remove_dir_all(folder.path("build/target")).unwrap();
    folder.write("build/Cargo.toml", &rand);
    assert_eq!(folder.build(), ("fresh\n".to_owned(), 0));
}

#[test]
fn to_check_a_cell_its_dependencies_are_compiled_and_not_only_checked() {
    let folder = Folder::new();
    folder.program("bin/cargo", COMPILES);
    another_kernel(&folder);
    let (said, status) = folder.call(&["check"], ("UNUSED", ""));
    assert!(
        said.starts_with(r#"{"reason":"compiler-message""#),
        "{said}"
    );
    assert_eq!(status, 0);
    another_kernel(&folder);
    assert_eq!(folder.build(), ("fresh\n".to_owned(), 0));
}

#[test]
fn what_is_being_compiled_elsewhere_is_waited_for() {
    let folder = Folder::new();
    folder.program("bin/cargo", COMPILES);
    another_kernel(&folder);
    folder.build();
    // As if another kernel were still at it.
    let sets = fs::read_dir(folder.path("store/sets")).unwrap().flatten();
    let set = sets
        .map(|entry| entry.path())
        .find(|path| path.is_dir())
        .unwrap();
    fs::remove_file(set.join("ready")).unwrap();
    let held = fs::File::create(set.with_extension("lock")).unwrap();
    held.lock().unwrap();
    another_kernel(&folder);
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| folder.build());
        // It waits for what we hold; the system lists who waits.
        let since = std::time::Instant::now();
        while !fs::read_to_string("/proc/locks")
            .unwrap()
            .contains("-> FLOCK")
        {
            assert!(since.elapsed().as_secs() < 60, "nobody waits");
            std::thread::yield_now();
        }
        fs::write(set.join("ready"), "").unwrap();
        drop(held);
        second.join().unwrap()
    });
    assert_eq!(second, ("fresh\n".to_owned(), 0));
}
