//! What a program prints, of which a test asks.

use std::process::{Command, Stdio};

/// Runs `body` in a process of its own, which is this test started once more, and returns what
/// that process writes to stderr.
pub fn stderr_of(body: fn()) -> String {
    stderr_with(&[], body)
}

/// [`stderr_of`], with these variables in the process's environment.
pub fn stderr_with(environment: &[(&str, &str)], body: fn()) -> String {
    const CHILD: &str = "NEST_TOKIO_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        body();
        std::process::exit(0);
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}
