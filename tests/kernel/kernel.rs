//! Our kernel, alive: output, interrupts, failures, versions, build folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{self, LIMIT, failure, interrupted, notebook_kernel, ok, project, run, until};
use crate::mistakes::told;
use base::processes::{self, runs};
use base::toolchain::Toolchain;
use link::variable;
use runner::client::{KernelClient, Outcome};
use rustix::process::Signal;
use walkdir::WalkDir;

#[test]
fn a_partial_line_at_the_end_of_a_cell_never_hangs_the_kernel() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let flushed =
            "{ use std::io::Write; print!(\"flushed\"); std::io::stdout().flush().unwrap(); }";
        for _ in 0..2 {
            let unflushed = ok(&mut kernel, "print!(\"unflushed\");").await;
            assert_eq!(unflushed.stream("stdout"), "unflushed");
            assert_eq!(ok(&mut kernel, flushed).await.stream("stdout"), "flushed");
            // And now once more in async mode.
            ok(&mut kernel, "tokio::task::yield_now().await;").await;
        }
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn much_output_from_a_background_task_does_not_hang_the_end_of_a_cell() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let flood = "let flood = tokio::spawn(async {\n    \
                for i in 0..20_000 { print!(\"{i} \"); if i % 100 == 0 { println!(); tokio::task::yield_now().await; } }\n\
            });";
        ok(&mut kernel, flood).await;
        ok(&mut kernel, "print!(\"meanwhile\");").await;
        ok(&mut kernel, "flood.await.unwrap();").await;
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn values_of_the_notebook_crate_are_results_and_displays_of_their_kind() {
    run(async {
        let mut kernel = notebook_kernel().await;
        for (value, kind, content) in [
            ("notebook::text(42)", "text/plain", "42"),
            ("notebook::markdown(\"**b**\")", "text/markdown", "**b**"),
            ("notebook::html(\"<b>b</b>\")", "text/html", "<b>b</b>"),
            ("notebook::latex(\"x^2\")", "text/latex", "x^2"),
            ("notebook::json(&[40, 2])", "application/json", "[40,2]"),
            (
                "notebook::svg(\"<svg viewBox='0 0 1 1'/>\")",
                "text/html",
                "<svg",
            ),
            (
                "notebook::png(b\"\\x89PNG\\r\\n\\x1a\\n\")",
                "image/png",
                "iVBORw0KGgo=",
            ),
            ("notebook::table([(40, 2)])", "text/html", "nb-table"),
            (
                "notebook::images([(\"a\", b\"\")])",
                "text/html",
                "nb-images",
            ),
            ("notebook::Timeline::new()", "text/html", "nb-timeline"),
        ] {
            for (code, place) in [
                (value.to_owned(), "execute_result"),
                (format!("{value}.show();"), "display_data"),
            ] {
                let execution = ok(&mut kernel, &code).await;
                let [output] = &execution.outputs[..] else {
                    panic!("{code}: {:#?}", execution.outputs);
                };
                assert_eq!(output["output_type"], place, "{code}");
                let data = &output["data"];
                assert!(data[kind].to_string().contains(content), "{code}: {data}");
                assert!(data["text/plain"].is_string(), "{code}: {data}");
            }
        }
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn displays_change_in_place_from_tasks_and_from_later_cells() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let code = "{
            let bars = notebook::multi_progress();
            let tasks: Vec<_> = (0..3).map(|_| {
                let bar = bars.add(notebook::progress_bar(20));
                tokio::spawn(async move {
                    for _ in 0..20 { bar.inc(1); tokio::task::yield_now().await; }
                    bar.finish();
                })
            }).collect();
            for task in tasks { task.await.unwrap(); }
        }";
        let bars = ok(&mut kernel, code).await;
        let [output] = &bars.outputs[..] else {
            panic!("{:#?}", bars.outputs);
        };
        for kind in ["text/plain", "text/html"] {
            let text = output["data"][kind].as_str().unwrap();
            assert_eq!(text.matches(" 20/20").count(), 3, "{text}");
        }

        let before = ok(&mut kernel, "let place = notebook::display(\"before\");").await;
        let update = "{
            let place = place.clone();
            tokio::spawn(async move { place.update(\"after\") }).await.unwrap();
        }";
        assert_eq!(
            ok(&mut kernel, update).await.outputs,
            Vec::<serde_json::Value>::new()
        );
        let shown = kernel.outputs(before.index);
        assert_eq!(shown[0]["data"]["text/plain"], "after", "{shown:#?}");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn what_a_cell_prints_before_it_exits_is_not_lost() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let execution = kernel.execute("println!(\"last words\"); std::process::exit(3)", LIMIT);
        let execution = execution.await.unwrap();
        assert!(
            matches!(execution.outcome, Outcome::Failed(_)),
            "{execution:?}"
        );
        assert_eq!(execution.stream("stdout"), "last words\n");
        ok(&mut kernel, "println!(\"the kernel goes on\");").await;
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn an_interrupt_ends_the_cell_and_keeps_variables_and_background_tasks() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(
            &mut kernel,
            "let (sender, receiver) = tokio::sync::oneshot::channel::<u32>();",
        )
        .await;
        ok(
            &mut kernel,
            "let task = tokio::spawn(receiver); let x = 41;",
        )
        .await;
        for wait in [
            "std::future::pending::<()>().await;",
            "tokio::runtime::Runtime::new().unwrap().block_on(std::future::pending::<()>());",
            "tokio::spawn(async { std::future::pending::<()>().await }).await.unwrap();",
        ] {
            let execution = interrupted(&mut kernel, wait).await;
            let Outcome::Failed(message) = &execution.outcome else {
                panic!("{:?}: {wait}", execution.outcome);
            };
            assert!(message.contains("已取消"), "{message}");
            let stderr = execution.stream("stderr");
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
        assert_eq!(ok(&mut kernel, "x + 1").await.result(), Some("42"));
        ok(&mut kernel, "sender.send(7).unwrap();").await;
        assert_eq!(
            ok(&mut kernel, "task.await.unwrap().unwrap()")
                .await
                .result(),
            Some("7")
        );
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn an_interrupt_while_idle_does_not_hit_the_next_cell() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "let x = 42;").await;
        ok(&mut kernel, "tokio::task::yield_now().await;").await;
        kernel.interrupt().await.unwrap();
        let cell = "tokio::time::sleep(std::time::Duration::from_millis(500)).await; x";
        assert_eq!(ok(&mut kernel, cell).await.result(), Some("42"));
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn an_interrupt_of_code_that_never_awaits_says_that_it_cannot() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let busy = "std::thread::sleep(std::time::Duration::from_secs(2));";
        let execution = interrupted(&mut kernel, busy).await;
        let stderr = execution.stream("stderr");
        assert_eq!(execution.outcome, Outcome::Ok);
        assert!(stderr.contains("未能中断"), "{stderr}");
        assert!(stderr.contains("再次中断将终止"), "{stderr}");
        ok(&mut kernel, "tokio::task::yield_now().await;").await;
        let stderr = interrupted(&mut kernel, busy).await.stream("stderr");
        assert!(stderr.contains("等待中断"), "{stderr}");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn a_panic_and_a_failed_question_mark_are_failures_with_their_message() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "let x = 42;").await;
        for before in ["", "tokio::task::yield_now().await;\n"] {
            let panic =
                format!("{before}print!(\"partial\"); if x == 42 {{ panic!(\"as announced\") }}");
            let message = failure(&mut kernel, &panic).await;
            assert!(message.contains("as announced"), "{message}");
            let question = format!("{before}let n: i32 = \"abc\".parse()?;");
            let message = failure(&mut kernel, &question).await;
            assert!(message.contains("invalid digit"), "{message}");
            assert_eq!(ok(&mut kernel, "x").await.result(), Some("42"));
        }
        let message = failure(&mut kernel, "let n: i32 = \"\";").await;
        assert!(message.contains("mismatched types"), "{message}");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn the_first_mistake_compiles_no_dependency() {
    run(async {
        for (mistake, message) in [
            ("let nope = no_such_function(1);", "cannot find function"),
            ("let wrong: i32 = \"\";", "mismatched types"),
        ] {
            let mut kernel = notebook_kernel().await;
            let build = build_folder(&kernel);
            let compiled = || -> BTreeSet<PathBuf> {
                let files = WalkDir::new(build.join("target")).into_iter().flatten();
                files
                    .map(|file| file.into_path())
                    .filter(|path| {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        name.ends_with(".rmeta") && !name.starts_with("libctx")
                    })
                    .collect()
            };
            let before = compiled();
            assert!(before.len() > 20, "{before:?}");
            let said = failure(&mut kernel, mistake).await;
            assert!(said.contains(message), "{said}");
            assert_eq!(compiled(), before, "{mistake}");
        }
    });
}

#[test]
fn starting_a_kernel_changes_no_file_of_the_users() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        // An entry of somebody's own in each place where Jupyter looks.
        let places = [
            home.join(".local/share/jupyter"),
            folder.path().join("data"),
            folder.path().join("environment/share/jupyter"),
            folder.path().join("xdg/jupyter"),
        ];
        for place in &places {
            let entry = place.join("kernels/rust");
            fs::create_dir_all(&entry).unwrap();
            fs::write(
                entry.join("kernel.json"),
                "{\"argv\": [\"somebody's own\"]}",
            )
            .unwrap();
        }
        let files = || -> Vec<(PathBuf, String)> {
            let files = WalkDir::new(folder.path()).sort_by_file_name();
            let files = files.into_iter().flatten().map(|file| file.into_path());
            files
                .map(|path| (path.clone(), fs::read_to_string(path).unwrap_or_default()))
                .collect()
        };
        let before = files();
        let real = |name: &str, below: &str| {
            let own = std::env::home_dir().unwrap().join(below);
            std::env::var_os(name).map_or(own, PathBuf::from)
        };
        let environment = places[2].to_str().unwrap();
        let several = format!("{environment}:{}", places[1].display());
        let data = places[1].to_str().unwrap();
        let xdg = folder.path().join("xdg");
        for variables in [
            vec![],
            vec![("JUPYTER_PATH", environment)],
            vec![("JUPYTER_PATH", &*several), ("CONDA_PREFIX", environment)],
            vec![("JUPYTER_DATA_DIR", data), ("JUPYTERHUB_USER", "ann")],
            vec![("XDG_DATA_HOME", xdg.to_str().unwrap())],
        ] {
            let mut command = common::kernel_command();
            command
                .env("HOME", &home)
                .env("CARGO_HOME", real("CARGO_HOME", ".cargo"))
                .env("RUSTUP_HOME", real("RUSTUP_HOME", ".rustup"))
                .env("LAB_CACHE", real("XDG_CACHE_HOME", ".cache"));
            if let Some(cache) = std::env::var_os("LAB_CACHE") {
                command.env("LAB_CACHE", cache);
            }
            command.envs(variables.iter().copied());
            let mut kernel = KernelClient::start_with(command, |_| ()).await.unwrap();
            let said = ok(&mut kernel, "std::env::var(\"JUPYTER_PATH\").ok()").await;
            let expected = variables.iter().find(|(name, _)| *name == "JUPYTER_PATH");
            let expected = format!("{:?}", expected.map(|(_, value)| *value));
            assert_eq!(
                said.result(),
                Some(&*expected),
                "cells see what the user has set"
            );
            kernel.shutdown().await.unwrap();
            assert_eq!(files(), before, "{variables:?}");
        }
    });
}

#[test]
fn cells_get_the_versions_of_the_lock_file_transitive_ones_too() {
    run(async {
        let mut kernel = notebook_kernel().await;
        // Not in the lock file: resolved and downloaded as ever.
        ok(
            &mut kernel,
            ":dep fnv = \"1\"\nlet map: fnv::FnvHashMap<u8, u8> = Default::default();",
        )
        .await;
        ok(&mut kernel, "map.len()").await;
        let wanted = fs::read_to_string(project().root().join("Cargo.lock")).unwrap();
        let used = fs::read_to_string(build_folder(&kernel).join("Cargo.lock")).unwrap();
        let wanted: Vec<String> = packages(&wanted);
        let strays: Vec<String> = packages(&used)
            .into_iter()
            .filter(|package| !wanted.contains(package))
            .collect();
        assert!(strays.len() == 2, "only `ctx` and `fnv`: {strays:?}");
        assert!(
            packages(&used)
                .iter()
                .any(|package| package.starts_with("hyper "))
        );
        kernel.shutdown().await.unwrap();
    });
}

/// "name version" of each package in a lock file.
fn packages(lock: &str) -> Vec<String> {
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let text = |key| package[key].as_str().unwrap();
            format!("{} {}", text("name"), text("version"))
        })
        .collect()
}

/// Where the kernel builds its cells.
pub(crate) fn build_folder(kernel: &KernelClient) -> PathBuf {
    let evcxr = child(kernel.id().unwrap()).expect("evcxr runs");
    let folder = processes::variable(evcxr, variable::BUILD);
    folder.expect("evcxr is told where to build").into()
}

/// The first child of a process: of a kernel that is evcxr, of evcxr the process that runs the cells.
pub(crate) fn child(parent: u32) -> Option<u32> {
    processes::children(parent).first().copied()
}

#[test]
fn a_kernel_that_ends_leaves_no_folder_and_no_process() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "println!(\"here\");").await;
        let folder = build_folder(&kernel);
        let evcxr = child(kernel.id().unwrap()).unwrap();
        let cells = child(evcxr).unwrap();
        assert!(folder.is_dir());
        kernel.shutdown().await.unwrap();
        assert!(!folder.exists());
        until("all processes end", || !runs(evcxr) && !runs(cells)).await;
    });
}

#[test]
fn a_killed_kernel_leaves_no_process_and_the_next_one_clears_its_folder() {
    run(async {
        // A cache of their own: any kernel that starts clears what killed ones have left.
        let cache = tempfile::tempdir().unwrap();
        let start = || {
            let mut command = common::kernel_command();
            command.env(variable::CACHE, cache.path());
            KernelClient::start_with(command, |_| ())
        };
        let mut kernel = start().await.unwrap();
        ok(&mut kernel, "println!(\"here\");").await;
        let folder = build_folder(&kernel);
        let front = kernel.id().unwrap();
        let evcxr = child(front).unwrap();
        let cells = child(evcxr).unwrap();
        // In the middle of a cell that never ends by itself.
        let endless = tokio::spawn(async move {
            let _ = kernel.execute("loop {}", LIMIT).await;
            kernel
        });
        until("the cell runs", || busy(cells)).await;
        processes::signal(front, Signal::KILL);
        until("all processes end", || !runs(evcxr) && !runs(cells)).await;
        assert!(folder.exists());
        let next = start().await.unwrap();
        assert!(!folder.exists());
        next.shutdown().await.unwrap();
        drop(endless.await);
    });
}

/// Whether a process has used a good part of a second of processor time.
fn busy(process: u32) -> bool {
    processes::time(process) > Duration::from_millis(300)
}

#[test]
fn cells_of_other_opt_levels_use_the_same_compiled_dependencies() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let deps = build_folder(&kernel)
            .join("target")
            .join(Toolchain::find().unwrap().host)
            .join("debug/deps");
        let copies = || {
            let files = fs::read_dir(&deps).unwrap().flatten();
            let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names
                .filter(|name| name.starts_with("libtokio-") && name.ends_with(".rlib"))
                .count()
        };
        let before = copies();
        assert!(before > 0);
        ok(&mut kernel, ":opt 2").await;
        ok(&mut kernel, "println!(\"optimised\");").await;
        assert_eq!(copies(), before, "tokio was compiled again");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn a_kernel_runs_however_long_the_path_of_its_folder_is() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        // Sockets' paths have at most 107 bytes. What a kernel adds to the folder of caches:
        let added = "/kernel/kernels/0123456789ab".len();
        for length in [84, 86, 95, 110] {
            let missing = length - added - folder.path().as_os_str().len() - 1;
            let cache = folder.path().join("a".repeat(missing));
            let mut command = common::kernel_command();
            command.env(variable::CACHE, cache);
            let mut kernel = KernelClient::start_with(command, |_| ()).await.unwrap();
            let execution = ok(&mut kernel, "print!(\"{}\", 1 + 1);").await;
            assert_eq!(execution.stream("stdout"), "2", "{length}");
            kernel.shutdown().await.unwrap();
        }
    });
}

#[test]
fn a_start_that_finds_a_port_taken_is_tried_again() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let once = folder.path().join("once");
        let script = format!(
            "[ -e {once} ] || {{ touch {once}; echo 'Address already in use' >&2; exit 1; }}\n\
             exec {kernel} \"$0\"",
            once = once.display(),
            kernel = common::kernelspec().program().display(),
        );
        let mut command = common::clean("sh");
        command
            .envs(common::kernelspec().environment)
            .args(["-c", &script])
            .current_dir(common::project().notebooks());
        let mut kernel = KernelClient::start_with(command, |_| ()).await.unwrap();
        common::ok(&mut kernel, "assert_eq!(6 * 7, 42);").await;
        assert!(once.exists());
    });
}

/// A copy of our kernel in a folder of its own.
fn copied() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("kernel");
    // By a child, see `common::write_program`.
    let mut copy = Command::new("cp");
    let copy = copy.arg(common::kernelspec().program()).arg(&program);
    assert!(copy.status().unwrap().success());
    (folder, program)
}

/// A set-up brings a new one while a notebook is open.
#[test]
fn a_kernel_whose_program_is_replaced_goes_on_as_before() {
    run(async {
        let (folder, program) = copied();
        let mut command = common::clean(&program);
        command
            .env(variable::CACHE, folder.path().join("cache"))
            .current_dir(folder.path());
        let mut kernel = KernelClient::start_with(command, |_| ()).await.unwrap();
        ok(&mut kernel, "let kept = 7;").await;
        let another = folder.path().join("another");
        common::write_program(&another, "#!/bin/sh\nexit 1\n");
        fs::rename(&another, &program).unwrap();
        assert_eq!(ok(&mut kernel, "kept").await.result(), Some("7"));
        let said = told(&mut kernel, "let wrong: u32 = \"\";").await;
        assert!(said.contains("单元格 [3]:1:18"), "{said}");
        kernel.shutdown().await.unwrap();
    });
}

/// Not in this clone, which need not be there any more, and without a lock file.
#[test]
fn a_kernel_that_was_copied_elsewhere_runs_any_notebook_and_its_second_start_is_warm() {
    run(async {
        let (folder, program) = copied();
        let start = || {
            let mut command = common::clean(&program);
            command
                .env(variable::LOCK, folder.path().join("gone/Cargo.lock"))
                .env(variable::CACHE, folder.path().join("cache"))
                .current_dir(folder.path());
            let compiled = Arc::new(AtomicUsize::new(0));
            let count = compiled.clone();
            let listener = move |line: &str| {
                let is_one = line.trim_start().starts_with("Compiling fnv ");
                count.fetch_add(usize::from(is_one), Ordering::SeqCst);
            };
            (KernelClient::start_with(command, listener), compiled)
        };
        for expected in [1, 0] {
            let (kernel, compiled) = start();
            let mut kernel = kernel.await.unwrap();
            ok(&mut kernel, "let mut message = \"Hello \".to_owned();").await;
            ok(&mut kernel, "pub fn twice(x: i32) -> i32 { x + x + 1 }").await;
            ok(&mut kernel, "message.push_str(\"world!\");").await;
            ok(&mut kernel, "pub fn twice(x: i32) -> i32 { 2 * x }").await;
            let hash = ":dep fnv = \"1\"\nuse std::hash::Hasher;\nlet mut hasher = fnv::FnvHasher::default();\nhasher.write(b\"a\");\nhasher.finish()";
            assert_eq!(
                ok(&mut kernel, hash).await.result(),
                Some("12638187200555641996")
            );
            let shown = "pub struct Bold(pub String);\nimpl Bold {\n    pub fn evcxr_display(&self) {\n        println!(\"EVCXR_BEGIN_CONTENT text/html\\n<b>{}</b>\\nEVCXR_END_CONTENT\", self.0);\n    }\n}\nBold(format!(\"{message} {}\", twice(21)))";
            let execution = ok(&mut kernel, shown).await;
            let html = &execution.outputs[0]["data"]["text/html"];
            assert_eq!(html, "<b>Hello world! 42</b>");
            assert_eq!(compiled.load(Ordering::SeqCst), expected);
            kernel.shutdown().await.unwrap();
        }
    });
}
