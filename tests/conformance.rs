//! The public conformance suite for kernels, `jupyter_kernel_test`, with every sample filled in.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::command::{LONG, all_gone, start};
use common::{FIRST_CELL, clean, lab, project, python, stock_folder};
use lab::toolchain::Toolchain;
use serde_json::{Value, json};

/// Tests in the suite, as of the version that set-up installs: twelve of a kernel, and one of the
/// welcome on its output channel.
const TESTS: u64 = 13;

/// What the suite says of itself at its end.
fn suite(command: &mut Command) -> Value {
    let program = project()
        .root()
        .join("tests/conformance/test_rust_kernel.py");
    command
        .arg(program)
        .env("FIRST_CELL", FIRST_CELL)
        .env("FOLDER", project().notebooks());
    let running = start(command);
    let mark = running.mark.clone();
    // Prints everything, for when the test fails.
    let ended = running.finish(LONG).succeeded();
    all_gone(&mark, common::command::SHORT);
    let report = ended.text.lines().rfind(|line| line.starts_with('{'));
    serde_json::from_str(report.expect("a report in the last line")).unwrap()
}

#[test]
fn our_kernel_conforms_to_the_protocol() {
    let report = suite(clean(python()).env("KERNEL", "rust"));
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
    enter_stock(&folder.path().join("kernels/stock"));
    let report = suite(
        clean(python())
            .env("JUPYTER_PATH", folder.path())
            .env("KERNEL", "stock"),
    );
    let failed = report["failed"].as_array().unwrap();
    for test in ["test_display_data", "test_error", "test_is_complete"] {
        assert!(failed.contains(&json!(test)), "{test}: {report}");
    }
}

/// A kernelspec for the same program without anything of ours around it.
fn enter_stock(folder: &Path) {
    let toolchain = Toolchain::find().unwrap();
    let stock = lab::kernel::stock(lab(), &toolchain, &stock_folder("conformance"));
    let environment: serde_json::Map<String, Value> = stock
        .get_envs()
        .filter_map(|(name, value)| {
            Some((name.to_str()?.to_owned(), json!(value?.to_string_lossy())))
        })
        .collect();
    let spec = json!({
        "argv": [lab(), "--control_file", "{connection_file}"],
        "display_name": "stock", "language": "rust",
        // Evcxr is interrupted by a message.
        "interrupt_mode": "message", "env": environment,
    });
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("kernel.json"), spec.to_string()).unwrap();
}
