//! `nest-tokio`'s promises in live kernels: a stock evcxr kernel with the one line, and ours.

use crate::common::{self, FIRST_CELL, failure, interrupted, ok, run};
use runner::client::{KernelClient, Outcome};

/// The one line, and what the matrix itself uses.
const ONE_LINE: &str = r#":dep tokio = { package = "nest-tokio", path = "../support/nest-tokio" }
:dep futures = "0.3"
:dep reqwest = { version = "0.13", default-features = false, features = ["blocking"] }"#;

const MATRIX: &str = include_str!("../../support/nest-tokio/tests/nesting/matrix.rs");

const PLACES: [&str; 11] = [
    "top_level",
    "in_await",
    "in_spawned_task",
    "in_current_thread_task",
    "in_spawn_blocking",
    "in_std_thread",
    "in_local_set",
    "in_local_set_driven_by_tokio",
    "in_paused_time",
    "in_paused_task",
    "in_ten_nested",
];

/// Tries every way in every place from a cell, which `before` makes a sync or an await cell.
async fn try_matrix(kernel: &mut KernelClient, before: &str) {
    for place in PLACES {
        let cell = format!(
            "{before}for (name, way) in WAYS {{\n    \
                 assert_eq!({place}(way), 42, \"{{name}}\");\n\
             }}\nprintln!(\"all well\");"
        );
        assert_eq!(
            ok(kernel, &cell).await.stream("stdout"),
            "all well\n",
            "{place}"
        );
    }
}

/// Tries the cases that are easy to get wrong from a cell.
async fn try_cases(kernel: &mut KernelClient, before: &str) {
    let cell = format!(
        "{before}for (name, case) in CASES {{\n    \
             assert_eq!(case(), 42, \"{{name}}\");\n\
         }}\nprintln!(\"all well\");"
    );
    assert_eq!(ok(kernel, &cell).await.stream("stdout"), "all well\n");
}

/// What lives on from cell to cell, and what a sync cell may do.
async fn try_session(kernel: &mut KernelClient) {
    ok(kernel, "let task = tokio::spawn(async { tokio::time::sleep(Duration::from_millis(50)).await; 42 });").await;
    ok(
        kernel,
        "let sleep = tokio::time::sleep(Duration::from_millis(1));",
    )
    .await;
    ok(kernel, "let handle = tokio::runtime::Handle::current();").await;
    ok(kernel, "handle.block_on(sleep);").await;
    assert_eq!(
        ok(kernel, "handle.block_on(task).unwrap()").await.result(),
        Some("42")
    );
}

#[test]
fn with_the_one_line_a_stock_kernel_nests_everywhere() {
    run(async {
        let mut kernel = common::stock_kernel("first").await;
        ok(&mut kernel, ONE_LINE).await;
        ok(&mut kernel, MATRIX).await;
        try_matrix(&mut kernel, "").await;
        try_cases(&mut kernel, "").await;
        try_session(&mut kernel).await;
        // From here on every cell is an await cell.
        ok(&mut kernel, "tokio::task::yield_now().await;").await;
        try_matrix(&mut kernel, "tokio::task::yield_now().await;\n").await;
        try_cases(&mut kernel, "tokio::task::yield_now().await;\n").await;
        try_session(&mut kernel).await;
        let blocking = r#"
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            });
            reqwest::blocking::get(format!("http://{address}")).unwrap().text().unwrap()"#;
        assert_eq!(ok(&mut kernel, blocking).await.result(), Some("\"ok\""));
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn in_our_kernel_the_matrix_holds_in_await_cells_too() {
    run(async {
        let mut kernel = common::kernel().await;
        ok(&mut kernel, FIRST_CELL).await;
        ok(&mut kernel, MATRIX).await;
        try_matrix(&mut kernel, "tokio::task::yield_now().await;\n").await;
        kernel.shutdown().await.unwrap();
    });
}

/// Each of these would take an hour.
const WAITS: [&str; 5] = [
    // In a task, from where the interrupt has to go to the task's own wait.
    "#[tokio::main] async fn inner() { tokio::time::sleep(std::time::Duration::from_secs(3600)).await; }
#[tokio::main] async fn outer() { tokio::spawn(async { inner() }).await.unwrap() }
outer();",
    "let runtime = tokio::runtime::Runtime::new().unwrap();
runtime.spawn_blocking(|| std::thread::sleep(std::time::Duration::from_secs(3600)));
drop(runtime);",
    "#[tokio::main] async fn occupied() {
    tokio::task::spawn_blocking(|| std::thread::sleep(std::time::Duration::from_secs(3600)));
}
occupied();",
    "#[tokio::main(flavor = \"current_thread\", start_paused = true)]
async fn paused() { std::future::pending::<()>().await }
paused();",
    "#[tokio::main(flavor = \"current_thread\", start_paused = true)]
async fn paused_task() {
    tokio::spawn(async { tokio::runtime::Handle::current().block_on(std::future::pending::<()>()) }).await.unwrap()
}
paused_task();",
];

#[test]
fn an_interrupt_ends_waits_in_tasks_in_drops_and_in_paused_time() {
    run(async {
        let mut kernel = common::notebook_kernel().await;
        ok(&mut kernel, "let kept = 41;").await;
        ok(&mut kernel, "tokio::task::yield_now().await;").await;
        for wait in WAITS {
            let execution = interrupted(&mut kernel, wait).await;
            let Outcome::Failed(message) = &execution.outcome else {
                panic!("{:?}: {wait}", execution.outcome);
            };
            assert!(message.contains("已取消"), "{message}: {wait}");
        }
        assert_eq!(ok(&mut kernel, "kept + 1").await.result(), Some("42"));
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn what_blocks_a_task_is_named_with_its_cell_and_line() {
    run(async {
        let mut kernel = common::notebook_kernel().await;
        ok(&mut kernel, "let one = 1;").await;
        let cell = "println!(\"{one}\");
tokio::spawn(async {
    let _nobody_sends = std::sync::mpsc::channel::<()>();
    _nobody_sends.1.recv()
});
std::thread::sleep(std::time::Duration::from_secs(8));";
        let execution = ok(&mut kernel, cell).await;
        let stderr = execution.stream("stderr");
        let place = format!(
            "单元格 [{}] 第 2 行第 1 列 ",
            execution.execution_count.unwrap()
        );
        assert!(
            stderr.contains(&(place + "生成的任务已经把它的线程堵住了 5 秒")),
            "{stderr}"
        );
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn tokios_own_runtime_still_refuses_to_nest() {
    run(async {
        let mut kernel = common::notebook_kernel().await;
        let cell = "tokio::spawn(async {\n    \
                tokio::original::runtime::Runtime::new().unwrap().block_on(async {});\n\
            }).await.unwrap();";
        let message = failure(&mut kernel, cell).await;
        assert!(
            message.contains("Cannot start a runtime from within a runtime"),
            "{message}"
        );
        kernel.shutdown().await.unwrap();
    });
}
