//! What a student is told about code that does not compile, or that rustc warns of: as much as in a
//! terminal, once, and with the places named by cell.

use crate::common::{assert_in_order, failure, notebook_kernel, ok, run};
use runner::client::{Execution, KernelClient, Outcome};
use std::time::Duration;

/// What a cell that must fail shows of that, without colours.
async fn told(kernel: &mut KernelClient, code: &str) -> String {
    let execution = kernel
        .execute(code, Duration::from_secs(120))
        .await
        .unwrap();
    assert!(
        matches!(execution.outcome, Outcome::Failed(_)),
        "{code}: {:?}",
        execution.outcome
    );
    let errors = execution.outputs.iter();
    let errors: Vec<_> = errors
        .filter(|output| output["output_type"] == "error")
        .collect();
    assert_eq!(errors.len(), 1, "{code}: once");
    let lines = errors[0]["traceback"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.as_str()).collect();
    plain(&lines.join("\n"))
}

fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain += before;
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

fn warnings(execution: &Execution) -> String {
    plain(&execution.stream("stderr"))
}

#[test]
fn a_mistake_is_told_with_all_that_rustc_says() {
    run(async {
        let mut kernel = notebook_kernel().await; // [1]
        ok(
            &mut kernel,
            "async fn f() -> u32 { 1 }\nfn take(text: String) {}",
        )
        .await; // [2]
        ok(&mut kernel, "let n: u32 = f().await;").await; // [3]
        let guard = "let shared = std::sync::Arc::new(std::sync::Mutex::new(1));\n\
            tokio::spawn(async move {\n    let guard = shared.lock().unwrap();\n    \
            tokio::task::yield_now().await;\n    drop(guard);\n});";
        let moved = "let text = String::from(\"中国\");\nlet task = tokio::spawn(async move { text.len() });\nprintln!(\"{text}\");";
        for (code, pieces) in [
            (
                "let x: u32 = f();",
                &[
                    "error[E0308]: mismatched types",
                    "--> 单元格 [4]:1:14",
                    "1 | let x: u32 = f();",
                    "expected `u32`, found future",
                    "help: consider `await`ing on the `Future`",
                    "1 | let x: u32 = f().await;",
                ][..],
            ),
            (
                guard,
                &[
                    "error: future cannot be sent between threads safely",
                    "--> 单元格 [5]:2:1",
                    "has type `std::sync::MutexGuard<'_, i32>` which is not `Send`",
                    "await occurs here, with `guard` maybe used later",
                    "required by a bound in",
                ][..],
            ),
            (
                moved,
                &[
                    "error[E0382]: borrow of moved value: `text`",
                    "单元格 [6]:3:12",
                    "value moved here",
                    "value borrowed here after move",
                ][..],
            ),
            // What it has to do with is in an earlier cell.
            (
                "take(1);",
                &[
                    "error[E0308]",
                    "--> 单元格 [7]:1:6",
                    "--> 单元格 [2]:2:4",
                    "fn take(text: String)",
                ][..],
            ),
            // A place in rustc's own sentence is one in the cell, too.
            (
                "fn copies<T: Copy>(_: T) {}\ncopies(async {});",
                &[
                    "error[E0277]",
                    "`{async block@单元格 [8]:2:8}: Copy` is not satisfied",
                    "--> 单元格 [8]:2:1",
                ][..],
            ),
            // Without a type evcxr takes another way.
            (
                "let nope = no_such_function(1);",
                &[
                    "error[E0425]",
                    "--> 单元格 [9]:1:12",
                    "not found in this scope",
                ][..],
            ),
            (
                "let a: u8 = \"\"; let b: u8 = no_such(1);",
                &[
                    "error[E0308]",
                    "单元格 [10]:1:13",
                    "error[E0425]",
                    "单元格 [10]:1:29",
                ][..],
            ),
        ] {
            let told = told(&mut kernel, code).await;
            assert_in_order(code, &told, pieces);
            for internal in ["evcxr", "src/lib.rs"] {
                assert!(!told.contains(internal), "{told}");
            }
        }
        assert_eq!(ok(&mut kernel, "n").await.result(), Some("1"));
    });
}

#[test]
fn a_future_that_nobody_awaits_is_warned_of_once_and_the_cell_is_well() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(
            &mut kernel,
            "async fn f() -> u32 { 1 }\nfn g() -> Result<u32, String> { Ok(1) }",
        )
        .await;
        // The first cell behind another :dep goes the long way, through cargo.
        for code in ["f();\nlet unused = 1;", "f();", "g();"] {
            let warned = warnings(&ok(&mut kernel, code).await);
            assert_eq!(warned.matches("warning").count(), 1, "{warned}");
            assert_in_order(
                code,
                &warned,
                &[
                    "unused_must_use",
                    "must be used",
                    "单元格 [",
                    ":1:1",
                    code.lines().next().unwrap(),
                ],
            );
        }
        for code in [
            "f().await;",
            "let _ = g();",
            "let kept = f().await;\nkept",
            "#[allow(unused_must_use)]\nfn quiet() { g(); }",
        ] {
            assert_eq!(warnings(&ok(&mut kernel, code).await), "", "{code}");
        }
        // What is warned of in one cell is not warned of again in the next.
        ok(&mut kernel, "async fn forgets() {\n    f();\n}").await;
        assert_eq!(warnings(&ok(&mut kernel, "forgets().await;").await), "");
    });
}

#[test]
fn what_evcxr_refuses_is_said_in_its_own_words_and_not_as_rustcs() {
    run(async {
        let mut kernel = notebook_kernel().await;
        for (code, name) in [
            ("let h = async { 5 };", "h"),
            ("let c = |n: i32| n + 1;", "c"),
        ] {
            let message = failure(&mut kernel, code).await;
            assert!(message.contains(&format!("变量 {name} ")), "{message}");
        }
    });
}
