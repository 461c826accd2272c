//! What a student is told about code that does not compile, or that rustc warns of: as much as in a
//! terminal, once, and with the places named by cell.

use crate::common::{assert_in_order, kernel, notebook_kernel, ok, run};
use runner::client::{Execution, KernelClient, Outcome};
use std::time::Duration;

/// What a cell that must fail shows of that, without colours.
pub async fn told(kernel: &mut KernelClient, code: &str) -> String {
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

/// A text without its colours.
pub fn plain(text: &str) -> String {
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

/// evcxr makes cells `async` when it meets the first `.await`, and rustc offers one only there.
#[test]
fn where_the_first_await_was_forgotten_rustc_offers_it_and_nothing_else_changes() {
    run(async {
        let mut kernel = notebook_kernel().await; // [1]
        ok(
            &mut kernel,
            "async fn f() -> u32 { 1 }\nasync fn text() -> String { String::new() }\nlet kept = 7;",
        )
        .await; // [2]
        for (code, pieces) in [
            (
                "let x: u32 = f();",
                &[
                    "error[E0308]: mismatched types",
                    "--> 单元格 [3]:1:14",
                    "expected `u32`, found future",
                    "help: consider `await`ing on the `Future`",
                    "1 | let x: u32 = f().await;",
                ][..],
            ),
            (
                "println!(\"{}\", text().len());",
                &[
                    "error[E0599]",
                    "--> 单元格 [4]:1:23",
                    "help: consider `await`ing on the `Future`",
                    "text().await.len()",
                ][..],
            ),
            // No type can be found out here, so evcxr only has it checked.
            (
                "let x = Vec::new(); let y: u32 = f();",
                &["help: consider `await`ing on the `Future`"][..],
            ),
        ] {
            let said = told(&mut kernel, code).await;
            assert_in_order(code, &said, pieces);
            assert_eq!(said.matches("E0728").count(), 0, "{said}");
        }
        let said = told(&mut kernel, "let n: u32 = \"\"; let m = kept + 1;").await;
        assert!(!said.contains("await"), "{said}");
        let kept = ok(&mut kernel, "println!(\"{kept} {}\", f().await)").await;
        assert_eq!(kept.stream("stdout"), "7 1\n");
    });
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
            // It is missed behind the cell's end.
            (
                "let list = vec![1, 2, 3;",
                &[
                    "error: mismatched closing delimiter",
                    "--> 单元格 [11]:1:16",
                    "unclosed delimiter",
                    "括号没有成对",
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

/// Each in a kernel in which the cells before have run; what is advised is run as it is advised.
#[test]
fn what_evcxr_refuses_is_said_with_why_and_with_ways_out_that_work() {
    run(async {
        let mut kernel = notebook_kernel().await; // [1]
        let before = "use std::pin::pin;\nasync fn one() -> u32 { 1 }\n\
            fn evens() -> impl Iterator<Item = u32> { (0..6).filter(|n| n % 2 == 0) }\n\
            let list = vec![1, 2, 3];\nlet text = String::from(\" cn \");\n\
            let lock = tokio::sync::Mutex::new(5);\none().await;";
        ok(&mut kernel, before).await; // [2]
        for (code, message, advised) in [
            (
                "let double = |n: u32| n * 2;",
                "变量 double 是闭包",
                &["let double: Box<dyn Fn(u32) -> _> = Box::new(|n: u32| n * 2);"][..],
            ),
            (
                "let waits = async { 5 };",
                "变量 waits 是还没有执行的 future",
                &[
                    "let waits = async { 5 }.await;",
                    "let waits = tokio::spawn(async { 5 });",
                    "Box::pin(async { 5 });",
                ],
            ),
            (
                "let later = one();",
                "变量 later 是还没有执行的 future",
                &["let later: std::pin::Pin<Box<dyn Future<Output = u32>>> = Box::pin(one());"],
            ),
            (
                "let mut pinned = pin!(one());",
                "变量 pinned 被 pin! 固定",
                &[
                    "let mut pinned: std::pin::Pin<Box<dyn Future<Output = u32>>> = Box::pin(one());",
                ],
            ),
            (
                "let numbers = evens();",
                "变量 numbers 的类型是 impl Iterator<Item = u32>",
                &[
                    "let numbers: Box<dyn Iterator<Item = u32>> = Box::new(evens());",
                    "let numbers: Vec<_> = evens().collect();",
                ],
            ),
            (
                "let doubled = (1..4).map(|n| n * 2);",
                "变量 doubled 的类型是 ",
                &["let doubled: Vec<_> = (1..4).map(|n| n * 2).collect();"],
            ),
            (
                "let part = &list[1..];",
                "变量 part 借用了 list",
                &["let part = list[1..].to_owned();"],
            ),
            (
                "let trimmed = text.trim();",
                "变量 trimmed 借用了 text",
                &["let trimmed = text.trim().to_owned();"],
            ),
            (
                "let guard = lock.lock().await;",
                "变量 guard 借用了 lock",
                &["{ let guard = lock.lock().await; … }"],
            ),
            (
                "let chosen = tokio::select! { n = one() => n };",
                "变量 chosen 的类型",
                &["let chosen: 类型 = tokio::select! { n = one() => n };"],
            ),
        ] {
            let told = told(&mut kernel, code).await;
            assert_in_order(code, &told, &[&[message], advised, &["大括号"]].concat());
            assert!(!told.contains("persist"), "{told}");
            for line in advised.iter().filter(|line| !line.contains(['…', '类'])) {
                let line = told
                    .lines()
                    .find_map(|told| told.find(line).map(|at| &told[at..]));
                // What stands in the box is not known before.
                ok(&mut kernel, line.unwrap()).await;
            }
        }
        // What rustc says of these is about how evcxr keeps them.
        for (code, message, advised) in [
            (
                "let mut codes = vec![1];\nlet first = &codes[0];\ncodes.push(2);\nprintln!(\"{first}\");",
                "变量 first 借用了 codes",
                "let first = codes[0].to_owned();",
            ),
            (
                "let mut count = 0;\nlet mut add = || count += 1;\nadd();\nprintln!(\"{count}\");",
                "变量 add 是闭包",
                "let mut add: Box<dyn FnMut() -> _> = Box::new(move || count += 1);",
            ),
        ] {
            let told = told(&mut kernel, code).await;
            assert_in_order(code, &told, &["error[E0", message, advised, "大括号"]);
            assert!(!told.contains("requirement that"), "{told}");
        }
        assert_eq!(ok(&mut kernel, "double(4)").await.result(), Some("8"));
        assert_eq!(ok(&mut kernel, "later.await").await.result(), Some("1"));
    });
}

#[test]
fn a_variable_that_is_gone_is_told_of_with_the_cell_that_took_it() {
    run(async {
        let mut kernel = notebook_kernel().await; // [1]
        ok(&mut kernel, "struct Point { x: u32 }").await; // [2]
        ok(
            &mut kernel,
            "let text = String::from(\"cn\");\nlet point = Point { x: 1 };",
        )
        .await; // [3]
        ok(&mut kernel, "drop(text);").await; // [4]
        let moved = told(&mut kernel, "text.len()").await; // [5]
        assert_in_order(
            "text",
            &moved,
            &[
                "error[E0425]",
                "text 在单元格 [3] 里定义过",
                "单元格 [4]",
                "text.clone()",
            ],
        );
        let redefined = ok(
            &mut kernel,
            "struct Point { x: u32, y: u32 }\nlet other = 1;",
        )
        .await; // [6]
        let warned = [redefined.stream("stderr"), redefined.stream("stdout")].concat();
        assert!(!warned.contains("redefined"), "{warned}");
        let lost = told(&mut kernel, "point.x").await; // [7]
        assert_in_order("point", &lost, &["point", "单元格 [3]", "再执行一次"]);
        assert!(!lost.contains("redefined"), "{lost}");
    });
}

/// Without the `notebook` crate, and none of ours.
#[test]
fn a_panic_names_the_functions_that_led_to_it_in_any_notebook() {
    run(async {
        let mut kernel = kernel().await;
        let before = "fn parse(text: &str) -> u32 { text.parse().unwrap() }\n\
            fn load(text: &str) -> u32 { parse(text) }\n\
            fn long() { panic!(\"{}\", \"长\".repeat(400)) }";
        ok(&mut kernel, before).await; // [1]
        let kept = "let kept: Box<dyn Fn(&str) -> u32 + Send + Sync> = Box::new(|t| load(t));";
        ok(&mut kernel, kept).await; // [2]
        for (code, pieces) in [
            (
                "load(\"三\");", // [3]
                &["panic", "单元格 [1] 第 1 行", "经过的函数：load → parse"][..],
            ),
            (
                "kept(\"三\");",
                &["单元格 [1] 第 1 行", "单元格 [2] 里的闭包 → load → parse"],
            ),
            // std writes it in pieces.
            (
                "long();",
                &["长长", "单元格 [1] 第 3 行", "经过的函数：long"],
            ),
        ] {
            let told = told(&mut kernel, code).await;
            assert_in_order(code, &told, pieces);
            for internal in ["run_user_code", "core::", "evcxr", "RUST_BACKTRACE"] {
                assert!(!told.contains(internal), "{told}");
            }
        }
        // Caught, and on another thread.
        for (code, whose, first) in [
            (
                "let caught = std::panic::catch_unwind(|| load(\"三\")).is_err();", // [6]
                "thread 'main' panicked at 单元格 [1]",
                "经过的函数：单元格 [6] 里的闭包 → load → parse\n",
            ),
            (
                "let joined = std::thread::spawn(|| load(\"三\")).join().is_err();",
                "thread '<unnamed>' panicked at 单元格 [1]",
                "经过的函数：单元格 [7] 里的闭包 → load → parse\n",
            ),
        ] {
            let told = warnings(&ok(&mut kernel, code).await);
            assert_in_order(code, &told, &[whose, "InvalidDigit", first]);
            assert_eq!(told.matches("panicked").count(), 1, "{told}");
        }
        // What only looks like it.
        let code = "eprint!(\"(he) panicked at noon\");";
        let told = warnings(&ok(&mut kernel, code).await);
        assert_eq!(told, "(he) panicked at noon");
    });
}

/// With the `notebook` crate, which knows of a panic while what led to it is still being called.
#[test]
fn a_panic_names_the_functions_of_the_students_that_led_to_it() {
    run(async {
        let mut kernel = notebook_kernel().await; // [1]
        let before = "fn parse(text: &str) -> u32 { text.parse().unwrap() }\n\
            async fn load(text: &str) -> u32 { tokio::task::yield_now().await; parse(text) }\n\
            struct Flag;\nimpl Flag { fn size(&self) -> u32 { parse(\"三\") } }\n\
            impl Drop for Flag { fn drop(&mut self) {} }";
        ok(&mut kernel, before).await; // [2]
        for (code, trail) in [
            ("parse(\"三\");", "经过的函数：parse"), // [3]
            ("load(\"三\").await;", "经过的函数：async fn load → parse"),
            ("Flag.size();", "经过的函数：Flag::size → parse"),
            (
                "let sum: u32 = [1].iter().map(|_| parse(\"三\")).sum();",
                "经过的函数：单元格 [6] 里的闭包 → parse",
            ),
        ] {
            let told = told(&mut kernel, code).await;
            assert_in_order(code, &told, &["panic", "单元格 [2] 第 1 行", trail]);
            assert!(told.lines().any(|line| line.trim() == trail), "{told}");
            for internal in ["run_user_code", "core::", "tokio", "evcxr"] {
                assert!(!told.contains(internal), "{told}");
            }
        }
        let direct = told(
            &mut kernel,
            "let nothing: Option<u8> = None;\nnothing.unwrap();",
        )
        .await;
        assert!(!direct.contains("经过"), "{direct}");
        // In a task, which is reported as std does.
        let code = "tokio::spawn(async { load(\"三\").await }).await.unwrap();"; // [8]
        let execution = kernel.execute(code, Duration::from_secs(60)).await.unwrap();
        assert_in_order(
            code,
            &warnings(&execution),
            &[
                "panicked at 单元格 [2]",
                "经过的函数：单元格 [8] 里的 async 块 → async fn load → parse",
            ],
        );
    });
}
