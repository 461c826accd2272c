//! The library is loaded by the process that runs a kernel's cells, also when that has no threads.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

/// What this process's child, which loads the library in a kernel without threads, says on stderr.
fn said_without_threads(front: Option<&std::path::Path>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "nothing_happens", "--nocapture"])
        .env("EVCXR_IS_RUNTIME", "1")
        // std asks for threads with a stack that no machine has.
        .env("RUST_MIN_STACK", "70368744177664")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    if let Some(front) = front {
        child.env("NOTEBOOK_FRONT", front);
    }
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn nothing_happens() {
    notebook::print!("");
}

#[test]
fn without_threads_a_kernel_starts_all_the_same_and_says_what_is_missing() {
    let said = said_without_threads(None);
    assert!(said.contains("单元格的进程要到空闲时才结束"), "{said}");
    assert!(said.contains("无法接管标准输出"), "{said}");
}

#[test]
fn nor_does_it_need_them_where_there_is_a_front() {
    let path = std::env::temp_dir().join(format!("notebook-load-{}", std::process::id()));
    let front = UnixListener::bind(&path).unwrap();
    let welcome = std::thread::spawn(move || {
        let mut guest = front.accept().unwrap().0;
        guest.read_exact(&mut [0]).unwrap();
        guest.write_all(b"W12345678").unwrap();
    });
    let said = said_without_threads(Some(&path));
    welcome.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(said.contains("连不上内核的前端"), "{said}");
}
