//! The public conformance suite for kernels, `jupyter_kernel_test`, with every sample filled in.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::command::{LONG, SHORT, all_gone, start};
use crate::common::{FIRST_CELL, clean, kernelspec, project, python};
use base::toolchain::Toolchain;
use serde_json::{Map, Value, json};

/// Tests in the suite, as of the version that set-up installs: twelve of a kernel, and one of the
/// welcome on its output channel.
const TESTS: u64 = 13;

/// Runs the suite, and returns what it says of itself at its end. `command` gets the kernel's name
/// and the first cell in its environment.
fn suite(command: &mut Command, tests: &[&str]) -> Value {
    let program = "tests/kernel/conformance/test_rust_kernel.py";
    command
        .arg(project().root().join(program))
        .args(tests)
        .env("FOLDER", project().notebooks());
    let running = start(command);
    let mark = running.mark.clone();
    // Prints everything, for when the test fails.
    let ended = running.finish(LONG).succeeded();
    all_gone(&mark, SHORT);
    // Its own line, but for what a kernel may have written to standard error just before.
    let report = ended.text.rfind("{\"run\"").map(|at| &ended.text[at..]);
    let report = report.and_then(|report| report.lines().next());
    serde_json::from_str(report.expect("a report at the end")).unwrap()
}

#[test]
fn our_kernel_conforms_to_the_protocol() {
    let mut command = clean(python());
    command.env("KERNEL", "rust").env("FIRST_CELL", FIRST_CELL);
    let report = suite(&mut command, &[]);
    assert_eq!(report["failed"], json!([]));
    assert_eq!(report["run"], TESTS);
    // Payloads are deprecated by the protocol, and Rust's documentation is shown by inspection.
    assert_eq!(
        report["skipped"],
        json!({"test_pager": "No code page something"})
    );
}

/// What the front is for. It also shows that the suite can fail.
#[test]
fn stock_evcxr_fails_where_the_front_helps() {
    let folder = tempfile::tempdir().unwrap();
    enter_stock(folder.path());
    let mut command = clean(python());
    command
        .env("JUPYTER_PATH", folder.path())
        .env("KERNEL", "stock")
        .env("FIRST_CELL", "");
    let helped = ["test_display_data", "test_error", "test_is_complete"];
    let plain = "test_execute_result";
    let report = suite(&mut command, &[&helped[..], &[plain]].concat());
    assert_eq!(report["failed"], json!(helped), "{report}");
}

/// A kernelspec for the same program without anything of ours around it.
fn enter_stock(folder: &Path) {
    let build = folder.join("build");
    let program = kernelspec().program();
    let stock = runner::stock::stock(&program, &Toolchain::find().unwrap(), &build);
    let environment: Map<String, Value> = stock
        .get_envs()
        .filter_map(|(name, value)| {
            Some((name.to_str()?.to_owned(), json!(value?.to_string_lossy())))
        })
        .collect();
    let spec = json!({
        "argv": [program, "--control_file", "{connection_file}"],
        "display_name": "stock", "language": "rust",
        "interrupt_mode": "message", "env": environment,
    });
    let entry = folder.join("kernels/stock");
    fs::create_dir_all(&build).unwrap();
    fs::create_dir_all(&entry).unwrap();
    fs::write(entry.join("kernel.json"), spec.to_string()).unwrap();
}
