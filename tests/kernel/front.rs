//! What our kernel promises to every Jupyter client: live output, displays, errors that stop,
//! interrupts that cancel, and a life and death without remains.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::common::{self, LIMIT, failure, notebook_kernel, ok, run, until};
use crate::kernel::child;
use base::ipynb::Notebook;
use base::processes::{self, children, runs};
use jupyter_protocol::{
    CommInfoRequest, CompleteRequest, ExecuteRequest, HistoryRequest, InputReply, InspectRequest,
    InterruptRequest, IsCompleteRequest, JupyterMessage, JupyterMessageContent, KernelInfoRequest,
    ReplyStatus,
};
use jupyter_zmq_client::{
    ClientControlConnection, ClientIoPubConnection, ClientShellConnection, ClientStdinConnection,
    create_client_control_connection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, create_client_stdin_connection_with_identity,
    peer_identity_for_session,
};
use link::variable;
use runner::client::{KernelClient, Outcome};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{timeout, timeout_at};

/// How long a student waits between two interrupts.
const AGAIN: Duration = Duration::from_millis(300);
/// What hangs does not answer within.
const SOON: Duration = Duration::from_secs(20);

/// A second client of a kernel, that sees each message.
pub struct Client {
    shell: ClientShellConnection,
    iopub: ClientIoPubConnection,
    control: ClientControlConnection,
    stdin: ClientStdinConnection,
}

impl Client {
    pub async fn new(kernel: &KernelClient) -> Client {
        let (connection, session) = (kernel.connection(), "second");
        let identity = peer_identity_for_session(session).unwrap();
        let mut client = Client {
            shell: create_client_shell_connection_with_identity(
                connection,
                session,
                identity.clone(),
            )
            .await
            .unwrap(),
            iopub: create_client_iopub_connection(connection, "", session)
                .await
                .unwrap(),
            control: create_client_control_connection(connection, session)
                .await
                .unwrap(),
            stdin: create_client_stdin_connection_with_identity(connection, session, identity)
                .await
                .unwrap(),
        };
        let welcome = client.published().await;
        assert_eq!(welcome.header.msg_type, "iopub_welcome");
        client
    }

    /// Sends a request; returns its number.
    pub async fn ask(&mut self, request: impl Into<JupyterMessage>) -> String {
        let request = request.into();
        let id = request.header.msg_id.clone();
        self.shell.send(request).await.unwrap();
        id
    }

    pub async fn execute(&mut self, code: &str) -> String {
        self.ask(ExecuteRequest::new(code.to_owned())).await
    }

    async fn published(&mut self) -> JupyterMessage {
        timeout(LIMIT, self.iopub.read()).await.unwrap().unwrap()
    }

    pub async fn reply(&mut self) -> JupyterMessage {
        timeout(LIMIT, self.shell.read()).await.unwrap().unwrap()
    }

    pub async fn interrupt(&mut self) {
        self.control.send(InterruptRequest {}.into()).await.unwrap();
        timeout(LIMIT, self.control.read()).await.unwrap().unwrap();
    }

    /// What is published for a request, as (type, content), until it is idle.
    pub async fn until_idle(&mut self, id: &str) -> Vec<(String, Value)> {
        let mut messages = Vec::new();
        while !of_request(self.published().await, id, &mut messages) {}
        messages
    }

    /// Interrupts a cell that cannot be cancelled, as a student would: once, and when `told` what
    /// the next one does, again. Returns what is published from then on until it is idle.
    pub async fn press_until_idle(&mut self, id: &str, told: &str) -> Vec<(String, Value)> {
        self.interrupt().await;
        let mut text = String::new();
        while !text.contains(told) {
            if let JupyterMessageContent::StreamContent(stream) = self.published().await.content {
                text += &stream.text;
            }
        }
        // Until it can have been read, an interrupt does nothing.
        let mut messages = Vec::new();
        loop {
            self.interrupt().await;
            let again = tokio::time::Instant::now() + AGAIN;
            while let Ok(message) = timeout_at(again, self.iopub.read()).await {
                if of_request(message.unwrap(), id, &mut messages) {
                    return messages;
                }
            }
        }
    }

    /// Runs a cell and returns what it shows.
    pub async fn shown(&mut self, code: &str) -> Vec<(String, Value)> {
        let id = self.execute(code).await;
        let messages = self.until_idle(&id).await;
        assert_eq!(status(&self.reply().await), ReplyStatus::Ok, "{messages:?}");
        messages
    }

    /// Waits for text that ends so, and returns all of it.
    pub async fn text_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            if let JupyterMessageContent::StreamContent(stream) = self.published().await.content {
                text += &stream.text;
            }
        }
        text
    }
}

/// Adds a message that is about this request to `messages`. Returns whether it is the last.
fn of_request(message: JupyterMessage, id: &str, messages: &mut Vec<(String, Value)>) -> bool {
    if message
        .parent_header
        .is_none_or(|parent| parent.msg_id != id)
    {
        return false;
    }
    let kind = message.header.msg_type;
    let content = serde_json::to_value(message.content).unwrap();
    if content["execution_state"] == "idle" {
        return true;
    }
    if !["status", "execute_input"].contains(&&*kind) {
        messages.push((kind, content));
    }
    false
}

pub fn status(reply: &JupyterMessage) -> ReplyStatus {
    match &reply.content {
        JupyterMessageContent::ExecuteReply(reply) => reply.status.clone(),
        other => panic!("{other:?}"),
    }
}

fn text(messages: &[(String, Value)]) -> String {
    let texts = messages
        .iter()
        .filter_map(|(_, content)| content["text"].as_str());
    texts.collect()
}

/// Code that waits until `file` exists.
fn wait_for(file: &Path) -> String {
    format!(
        "while !std::path::Path::new({file:?}).exists() {{ std::thread::sleep(std::time::Duration::from_millis(2)); }}"
    )
}

#[test]
fn output_arrives_as_it_is_written_without_a_newline() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        let code = format!(
            "print!(\"\\r⠋ a\"); {} print!(\"\\u{{8}}b\"); {} eprintln!(\"c\");",
            wait_for(&first),
            wait_for(&second)
        );
        let id = client.execute(&code).await;
        // The cell does not go on before we have seen what it wrote.
        assert_eq!(client.text_until("a").await, "\r⠋ a");
        fs::write(first, "").unwrap();
        assert_eq!(client.text_until("b").await, "\u{8}b");
        fs::write(second, "").unwrap();
        let rest = client.until_idle(&id).await;
        assert_eq!(
            rest,
            [("stream".into(), json!({"name": "stderr", "text": "c\n"}))]
        );
    });
}

#[test]
fn background_tasks_are_heard_between_cells_and_belong_to_the_latest() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let folder = tempfile::tempdir().unwrap();
        let go = folder.path().join("go");
        let spawn = format!(
            "let thread = std::thread::spawn(|| {{ {} println!(\"late\"); }});",
            wait_for(&go)
        );
        client.shown(&spawn).await;
        let latest = client.execute("").await;
        client.until_idle(&latest).await;
        fs::write(go, "").unwrap();
        let message = client.published().await;
        assert_eq!(message.parent_header.unwrap().msg_id, latest);
        let content = serde_json::to_value(message.content).unwrap();
        assert_eq!(content["text"], "late\n");
    });
}

#[test]
fn what_child_processes_write_is_shown_and_what_is_no_utf8_is_replaced() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let code = "{ std::process::Command::new(\"sh\").args([\"-c\", \"echo child; printf 'a\\\\377b'\"])\
            .stdin(std::process::Stdio::null()).status().unwrap(); }";
        assert_eq!(text(&client.shown(code).await), "child\na\u{fffd}b");
    });
}

#[test]
fn a_flood_of_lines_is_whole_and_makes_few_messages() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let begun = std::time::Instant::now();
        let messages = client
            .shown("for i in 0..100_000 { println!(\"line {i}\"); }")
            .await;
        let expected: String = (0..100_000).map(|i| format!("line {i}\n")).collect();
        assert!(text(&messages) == expected);
        // One each time that somebody looks, which is every 20 ms, however busy the machine is.
        let looks = begun.elapsed().as_millis() as usize / 20;
        assert!(messages.len() < 50 + looks, "{}", messages.len());
    });
}

#[test]
fn a_client_that_does_not_read_stalls_neither_a_cell_nor_another_client() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let deaf = Client::new(&kernel).await;
        // Far more than any buffer on the way holds.
        let flood = "for i in 0..40 { println!(\"{i} {}\", \"x\".repeat(1 << 20)); }";
        let execution = ok(&mut kernel, flood).await;
        assert!(execution.stream("stdout").len() > 40 << 20);
        drop(deaf);
    });
}

#[test]
fn displays_are_shown_where_they_are_made_and_the_last_expression_is_the_result() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let block = |text: &str| {
            format!(
                "println!(\"EVCXR_BEGIN_CONTENT text/html\\n<b>{text}</b>\\nEVCXR_END_CONTENT\");"
            )
        };
        let code = format!(
            "{}println!(\"between\");{}{}42",
            block("1"),
            block("2"),
            block("3")
        );
        let shown = client.shown(&code).await;
        let kinds: Vec<&str> = shown.iter().map(|(kind, _)| &**kind).collect();
        assert_eq!(
            kinds[..3],
            ["display_data", "stream", "display_data"],
            "{shown:?}"
        );
        assert_eq!(shown[0].1["data"], json!({"text/html": "<b>1</b>"}));
        let (kind, last) = shown.last().unwrap();
        assert_eq!(
            (&**kind, &last["data"]["text/plain"]),
            ("execute_result", &json!("42"))
        );
        // The value of a loop is none.
        assert_eq!(client.shown("for _ in 0..1 {}").await, []);
        // A cell that ends with a statement has no result.
        let shown = client.shown(&block("4")).await;
        assert_eq!(shown[0].0, "display_data");
    });
}

#[test]
fn a_panic_is_an_error_that_names_the_line_in_the_cell() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "// zero\nfn half(n: u32) -> u32 {\n    assert!(n % 2 == 0, \"{n} is odd\");\n    n / 2\n}").await;
        for (code, message, place) in [
            (
                "let a = half(2);\n\nhalf(3)",
                "3 is odd",
                "单元格 [2] 第 3 行",
            ),
            (
                "let x: Option<u8> = None;\nprintln!(\"before\");\n    x.unwrap()",
                "`None`",
                "第 3 行第 7 列",
            ),
            (
                "tokio::task::yield_now().await;\nlet v: Vec<u8> = vec![];\nlet w = v[7];",
                "out of bounds",
                "第 3 行第 10 列",
            ),
        ] {
            let execution = kernel.execute(code, LIMIT).await.unwrap();
            let Outcome::Failed(said) = &execution.outcome else {
                panic!("{execution:?}")
            };
            assert!(said.contains(message), "{said}");
            let errors: Vec<_> = execution
                .outputs
                .iter()
                .filter(|o| o["output_type"] == "error")
                .collect();
            let traceback = errors[0]["traceback"].to_string();
            assert!(
                errors.len() == 1 && traceback.contains(place),
                "{traceback}"
            );
            assert!(
                !traceback.contains("evcxr") && !execution.stream("stderr").contains("panicked")
            );
        }
    });
}

#[test]
fn the_place_of_a_panic_is_found_in_any_text() {
    run(async {
        let mut kernel = notebook_kernel().await;
        // Windows' ends of lines, tabs, wide characters; an item, which later cells repeat.
        let helper = "fn helper(深: u8) -> u8 {\r\n\tlet s = \"中文\"; if 深 == 0 { panic!(\"{s}\") } 深\r\n}";
        ok(&mut kernel, helper).await;
        for (code, place) in [
            ("helper(0);", "单元格 [2] 第 2 行第 34 列"),
            (
                "let text = r#\"raw\nv[3];\n\"#; let v: Vec<u8> = vec![];\n/* why */ v[3]; // end",
                "单元格 [4] 第 4 行第 12 列",
            ),
            (
                "struct P; impl P { fn get(&self) { None::<i32>.unwrap(); } }\n/// doc\n#[derive(Debug)]\nstruct Q;\nP.get()",
                "单元格 [5] 第 1 行第 48 列",
            ),
            (
                "  // indented\n  None::<u8>.unwrap()",
                "单元格 [6] 第 2 行第 14 列",
            ),
            (
                "macro_rules! boom { ($x:expr) => { panic!(\"boom {}\", $x) } }\nboom!(3);",
                "单元格 [7] 第 2 行第 1 列",
            ),
            (
                "#![allow(unused_variables)]\nmod inner {\n    pub fn deep() {\n        fn deeper() { None::<u8>.unwrap(); }\n        deeper()\n    }\n}\ninner::deep();",
                "单元格 [8] 第 4 行第 34 列",
            ),
            // Text that looks like what evcxr writes.
            (
                "let text = r#\"\n  std::panic::AssertUnwindSafe(||{\nfail.unwrap();\n\"#; let fail: Option<u8> = None;\nfail.unwrap();",
                "单元格 [9] 第 5 行第 6 列",
            ),
            // The same name once more.
            (
                "fn helper(深: u8) -> u8 {\n    None.unwrap()\n}\nhelper(1)",
                "单元格 [10] 第 2 行第 10 列",
            ),
        ] {
            let traceback = failure_shown(&mut kernel, code).await;
            assert!(traceback.contains(place), "{code}: {traceback}");
        }
        kernel.shutdown().await.unwrap();
    });
}

/// What a cell that fails shows of its error.
async fn failure_shown(kernel: &mut KernelClient, code: &str) -> String {
    let execution = kernel.execute(code, LIMIT).await.unwrap();
    let mut outputs = execution.outputs.iter();
    let error = outputs.find(|output| output["output_type"] == "error");
    error.map_or_else(String::new, |error| error["traceback"].to_string())
}

#[test]
fn the_place_of_a_panic_is_right_or_not_said() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let course: &[(&str, Option<&str>)] = &[
            (
                "let good = tokio::spawn(async {\n    let n = 1;\n    n\n});",
                None,
            ),
            (
                "let broken = tokio::spawn(async { if true { panic!(\"in a task\") } 1 });",
                None,
            ),
            ("good.await.unwrap();", None),
            ("broken.await.unwrap();", Some("单元格 [5] 第 1 行第 14 列")),
            ("let n = 5;\nn", None),
            (
                "let b = 1; let nothing: Option<u8> = None; nothing.unwrap();",
                Some("单元格 [7] 第 1 行第 52 列"),
            ),
            (
                "// one\n// two\nlet checked: Box<dyn Fn(i32) -> i32> = Box::new(|n| {\n    assert!(n > 0, \"negative: {n}\");\n    n\n});",
                None,
            ),
            (
                "let a = 1;\nlet c = 2;\nlet d = 3;\nlet e = 4;\nlet f = 5;\nlet g = 6;\nlet h = 7;\nlet i = 8;\nchecked(-5)",
                Some("单元格 [8] 第 4 行第 5 列"),
            ),
            // std says which line of the cell led there, where the compiler lets it.
            (
                "let shared = std::cell::RefCell::new(1);\n{\n    let first = shared.borrow_mut();\n    let second = shared.borrow_mut();\n}",
                Some("单元格 [10] 第 4 行第 25 列"),
            ),
            (
                "let zero = 5 - \"5\".parse::<i32>()?;\n10 / zero",
                Some("单元格 [11] 第 2 行第 1 列"),
            ),
            // The same cell once more, and the same line in another.
            (
                "let x: Result<u8, u8> = Err(1);\nx.unwrap();",
                Some("单元格 [12] 第 2 行第 3 列"),
            ),
            (
                "let x: Result<u8, u8> = Err(1);\nx.unwrap();",
                Some("单元格 [13] 第 2 行第 3 列"),
            ),
            (
                "let y = 0;\n\nlet x: Result<u8, u8> = Err(1);\nx.unwrap();",
                Some("单元格 [14] 第 4 行第 3 列"),
            ),
        ];
        for (code, place) in course {
            let execution = kernel.execute(code, LIMIT).await.unwrap();
            let errors: Vec<String> = execution
                .outputs
                .iter()
                .filter(|output| output["output_type"] == "error")
                .map(|error| error["traceback"].to_string())
                .collect();
            match place {
                Some(place) => assert!(
                    errors.len() == 1 && errors[0].contains(place),
                    "{code}: {errors:?}"
                ),
                None => assert_eq!(execution.outcome, Outcome::Ok, "{code}"),
            }
        }
        // In the middle of std nobody has told it.
        let execution = kernel
            .execute("let sum: u8 = [200u8, 100].iter().sum();", LIMIT)
            .await
            .unwrap();
        let Outcome::Failed(message) = &execution.outcome else {
            panic!("{execution:?}")
        };
        assert!(
            message.contains("overflow") && !message.contains("单元格"),
            "{message}"
        );
        let shown = format!("{:?}", execution.outputs);
        assert!(!shown.contains(".rs"), "{shown}");
    });
}

#[test]
fn a_notebook_without_any_dep_has_live_output_errors_and_kills_too() {
    run(async {
        let mut kernel = common::kernel().await;
        let mut client = Client::new(&kernel).await;
        client
            .execute("eprint!(\"turning\"); std::thread::sleep(std::time::Duration::from_secs(3));")
            .await;
        client.text_until("turning").await;
        ok(
            &mut kernel,
            "fn check(n: i32) -> i32 {\n    assert!(n > 0, \"negative: {n}\");\n    n\n}",
        )
        .await;
        ok(&mut kernel, "let kept = 7;").await;
        let execution = kernel
            .execute("println!(\"before\");\ncheck(-4)", LIMIT)
            .await
            .unwrap();
        let Outcome::Failed(message) = &execution.outcome else {
            panic!("{execution:?}");
        };
        assert!(message.contains("negative: -4"), "{message}");
        let place = "单元格 [2] 第 2 行第 5 列";
        assert!(
            format!("{:?}", execution.outputs).contains(place),
            "{execution:?}"
        );
        assert_eq!(execution.stream("stdout"), "before\n");
        assert_eq!(execution.stream("stderr"), "");
        // One that std reports in pieces, and one that comes late to its end.
        let long = failure(&mut kernel, "panic!(\"{}\", \"长\".repeat(3000));").await;
        assert_eq!(long.matches('长').count(), 3000, "{long}");
        let slow = "struct Slow;\nimpl Drop for Slow {\n    fn drop(&mut self) {\n        std::thread::sleep(std::time::Duration::from_millis(200));\n    }\n}\nlet slow = Slow;\npanic!(\"after the report\");";
        let execution = kernel.execute(slow, LIMIT).await.unwrap();
        assert!(
            matches!(&execution.outcome, Outcome::Failed(said) if said.contains("after the report")),
            "{execution:?}"
        );
        assert_eq!(execution.stream("stderr"), "");
        let caught = "let caught = std::panic::catch_unwind(|| panic!(\"caught\")).is_err();";
        let execution = ok(&mut kernel, caught).await;
        assert!(
            execution.stream("stderr").contains("caught"),
            "{execution:?}"
        );
        let message = failure(&mut kernel, "\"x\".parse::<u8>()?;").await;
        assert!(message.contains("invalid digit"), "{message}");
        let death = failure(&mut kernel, "std::process::exit(3);").await;
        assert!(death.contains("exit status: 3"), "{death}");
        assert_eq!(ok(&mut kernel, "check(4)").await.result(), Some("4"));
    });
}

#[test]
fn a_caught_panic_and_one_of_a_background_task_are_text_and_no_error() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let caught = ok(
            &mut kernel,
            "let caught = std::panic::catch_unwind(|| panic!(\"caught\")).is_err();",
        )
        .await;
        let place = "thread 'main' panicked at 单元格 [2] 第 1 行第 42 列:\ncaught\n";
        assert!(caught.stream("stderr").contains(place), "{caught:?}");
        let task = ok(
            &mut kernel,
            "let failed = tokio::spawn(async { panic!(\"in a task\") }).await.is_err();",
        )
        .await;
        let place = "thread 'tokio-rt-worker' panicked at 单元格 [3] 第 1 行第 35 列:\nin a task\n";
        assert!(task.stream("stderr").contains(place), "{task:?}");
    });
}

#[test]
fn the_error_of_a_question_mark_is_whole_and_shown_once() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let code = "eprintln!(\"before\");\nErr::<(), _>(std::io::Error::other(\"broken\"))?;";
        let execution = kernel.execute(code, LIMIT).await.unwrap();
        let Outcome::Failed(said) = &execution.outcome else {
            panic!("{execution:?}")
        };
        assert!(said.contains("broken"), "{said}");
        assert_eq!(execution.stream("stderr"), "before\n");
    });
}

#[test]
fn after_an_error_the_cells_that_wait_are_aborted_unless_asked_not_to_be() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        for (stop_on_error, expected) in [(true, ReplyStatus::Aborted), (false, ReplyStatus::Ok)] {
            let failing = ExecuteRequest {
                stop_on_error,
                ..ExecuteRequest::new("panic!(\"stop\")".to_owned())
            };
            client.ask(failing).await;
            let waiting = client.execute("println!(\"next\");").await;
            assert_eq!(status(&client.reply().await), ReplyStatus::Error);
            assert_eq!(status(&client.reply().await), expected);
            let shown = text(&client.until_idle(&waiting).await);
            assert_eq!(shown == "next\n", expected == ReplyStatus::Ok);
            // What comes after the reply is executed.
            assert_eq!(text(&client.shown("println!(\"later\");").await), "later\n");
        }
    });
}

#[test]
fn a_second_interrupt_ends_what_cannot_be_cancelled_and_says_what_is_lost() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "fn kept() -> i32 { 7 }\nlet lost = 1;").await;
        let mut client = Client::new(&kernel).await;
        for busy in [
            "println!(\"busy\"); loop {}",
            "tokio::task::yield_now().await; println!(\"busy\"); loop {}",
        ] {
            let id = client.execute(busy).await;
            client.text_until("busy\n").await;
            let shown = client.press_until_idle(&id, "都会丢失。\n").await;
            let error = &shown.last().unwrap().1;
            assert_eq!(error["ename"], "已终止");
            let told = error["traceback"].to_string();
            assert!(told.contains("丢了的") && told.contains("还在的"), "{told}");
            assert_eq!(status(&client.reply().await), ReplyStatus::Error);
            let shown = client.shown("kept()").await;
            assert_eq!(shown[0].1["data"]["text/plain"], "7");
        }
        let message = failure(&mut kernel, "lost").await;
        assert!(message.contains("cannot find value"), "{message}");
    });
}

#[test]
fn an_interrupt_while_a_cell_is_compiled_stops_the_compiler() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "let x = 42;").await;
        let mut client = Client::new(&kernel).await;
        // Takes rustc a minute.
        let slow = format!(
            "println!(\"never\");\nconst N: u64 = {{ let mut i = 0u64; while i < 1 << {} {{ i += 1; }} i }};\nprintln!(\"{{N}}\");",
            40
        );
        let slow = format!("#[allow(long_running_const_eval)]\n{slow}");
        let id = client.execute(&slow).await;
        let evcxr = child(kernel.id().unwrap()).unwrap();
        until("rustc runs", || {
            programs_below(evcxr).iter().any(|name| name == "rustc")
        })
        .await;
        client.interrupt().await;
        let shown = client.until_idle(&id).await;
        assert_eq!(shown.last().unwrap().1["ename"], "已中断", "{shown:?}");
        assert!(!text(&shown).contains("never"));
        assert_eq!(status(&client.reply().await), ReplyStatus::Error);
        assert_eq!(client.shown("x").await[0].1["data"]["text/plain"], "42");
    });
}

#[test]
fn an_interrupt_that_races_with_the_end_of_a_cell_never_hits_the_next() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        client.shown("let x = 1;").await;
        for wait in 0..12 {
            let code = format!(
                "println!(\"begun\"); tokio::time::sleep(std::time::Duration::from_millis({})).await;",
                wait % 4
            );
            let id = client.execute(&code).await;
            client.text_until("begun\n").await;
            client.interrupt().await;
            client.until_idle(&id).await;
            client.reply().await;
            let next = "tokio::time::sleep(std::time::Duration::from_millis(30)).await; x";
            assert_eq!(client.shown(next).await[0].1["data"]["text/plain"], "1");
        }
    });
}

#[test]
fn cells_are_counted_from_one_and_silent_ones_not_at_all() {
    run(async {
        let mut kernel = common::kernel().await;
        assert_eq!(
            ok(&mut kernel, common::FIRST_CELL).await.execution_count,
            Some(1)
        );
        let mut client = Client::new(&kernel).await;
        let silent = ExecuteRequest {
            silent: true,
            ..ExecuteRequest::new("40 + 2".to_owned())
        };
        let id = client.ask(silent).await;
        assert_eq!(client.until_idle(&id).await, []);
        client.reply().await;
        let unstored = ExecuteRequest {
            store_history: false,
            ..ExecuteRequest::new("1 + 1".to_owned())
        };
        let id = client.ask(unstored).await;
        assert_eq!(client.until_idle(&id).await.len(), 1);
        client.reply().await;
        assert_eq!(ok(&mut kernel, "2 + 2").await.execution_count, Some(2));
        let history = HistoryRequest::Tail {
            n: 10,
            output: false,
            raw: true,
        };
        client.ask(history).await;
        let JupyterMessageContent::HistoryReply(reply) = client.reply().await.content else {
            panic!()
        };
        let reply = serde_json::to_value(reply).unwrap();
        assert_eq!(reply["history"].as_array().unwrap().len(), 2, "{reply}");
    });
}

#[test]
fn requests_that_evcxr_never_answers_are_answered() {
    run(async {
        let kernel = common::kernel().await;
        let mut client = Client::new(&kernel).await;
        for (code, expected) in [
            ("1 + 1", "complete"),
            ("fn f() {", "incomplete"),
            ("fn f( }", "invalid"),
        ] {
            client
                .ask(IsCompleteRequest {
                    code: code.to_owned(),
                })
                .await;
            let reply = serde_json::to_value(client.reply().await.content).unwrap();
            assert_eq!(reply["status"], expected, "{code}");
        }
        client.ask(CommInfoRequest { target_name: None }).await;
        assert_eq!(client.reply().await.header.msg_type, "comm_info_reply");
        client.ask(KernelInfoRequest {}).await;
        let reply = serde_json::to_value(client.reply().await.content).unwrap();
        assert_eq!(reply["language_info"]["name"], "Rust");
    });
}

/// Completes at the end of each text, and looks among the proposals for the name that it begins.
async fn completes(client: &mut Client, wanted: &[(&str, &str)]) {
    for (code, name) in wanted {
        let request = CompleteRequest {
            code: (*code).to_owned(),
            cursor_pos: code.chars().count(),
        };
        client.ask(request).await;
        let reply = serde_json::to_value(client.reply().await.content).unwrap();
        let matches = reply["matches"].as_array().unwrap();
        let has = |text: &Value| text.as_str().is_some_and(|text| text.starts_with(name));
        assert!(
            matches.iter().any(has),
            "{code} is not completed to {name}: {reply}"
        );
    }
}

async fn inspects(client: &mut Client, name: &str, expected: &str) {
    let inspect = InspectRequest {
        code: name.to_owned(),
        cursor_pos: name.chars().count(),
        detail_level: Some(0),
    };
    client.ask(inspect).await;
    let reply = serde_json::to_value(client.reply().await.content).unwrap();
    assert!(
        reply["data"].to_string().contains(expected),
        "{name}: {reply}"
    );
}

/// evcxr counts graphemes, offers what an editor would fill in, and explains only what its code ends
/// in.
#[test]
fn names_are_completed_and_inspected_wherever_they_stand() {
    run(async {
        let kernel = common::kernel().await;
        let mut client = Client::new(&kernel).await;
        let cell =
            "let inspected = 5; let r#match = 1; let 变量 = vec![1]; enum E { A(u8), B { c: u8 } }";
        client.shown(cell).await;
        let flags = "let flags = [\"🇨🇳\", \"🇮🇳\"]; String::new().le";
        for (code, start, offered) in [
            (flags, 40, "len()"),
            ("// 中文\r\n变量.le", 10, "len()"),
            ("fo", 0, "for"),
            ("mat", 0, "match"),
            ("whi", 0, "while let"),
            ("inspected.cla", 10, "clamp()"),
            ("let x = E::", 11, "B {}"),
        ] {
            let request = CompleteRequest {
                code: code.to_owned(),
                cursor_pos: code.chars().count(),
            };
            client.ask(request).await;
            let reply = serde_json::to_value(client.reply().await.content).unwrap();
            assert_eq!(reply["cursor_start"], start, "{code}: {reply}");
            let matches = reply["matches"].as_array().unwrap();
            assert!(matches.contains(&offered.into()), "{code}: {reply}");
            assert!(!reply.to_string().contains('$'), "{code}: {reply}");
            // What JupyterLab inserts.
            let types = &reply["metadata"]["_jupyter_types_experimental"];
            let texts = types.as_array().unwrap().iter().map(|of| &of["text"]);
            assert!(texts.eq(matches), "{code}: {reply}");
        }
        for (code, cursor, expected) in [
            ("inspected", 0, "i32"),
            ("inspected", 3, "i32"),
            ("inspected", 9, "i32"),
            ("r#match + 1", 2, "i32"),
            ("变量.len()", 0, "Vec<i32>"),
            ("变量.len()", 4, "usize"),
            ("\"🇨🇳\"; inspected", 8, "i32"),
            ("let a = 1;\r\ninspected", 14, "i32"),
            ("println!(\"{}\", inspected)", 18, "i32"),
            ("println!(\"{inspected}\")", 13, "i32"),
            ("let q = 1; println!(\"{}\", q)", 26, "i32"),
        ] {
            let inspect = InspectRequest {
                code: code.to_owned(),
                cursor_pos: cursor,
                detail_level: Some(0),
            };
            client.ask(inspect).await;
            let reply = serde_json::to_value(client.reply().await.content).unwrap();
            let text = reply["data"].to_string();
            assert!(text.contains(expected), "{code} at {cursor}: {reply}");
        }
    });
}

/// Cells that a student is still writing, or that are wrong; the cursor is at `|`.
const BROKEN: [&str; 18] = [
    "fn f( {\n    let n = 1; insp|",
    "let s = \"never ends; inspected.cla|",
    "let x = inspected.|",
    "println!(\"{}\", inspected.cla|",
    "println!(\"{inspected:?} {}\", insp|;",
    "match inspected { 1 => inspected.cla|",
    "struct S { a: u8, \nlet y = insp|",
    "}}}} insp|",
    "let x: = inspected.cla|;",
    "/* never ends inspected.|",
    "for i in 0.. { if i > { insp|",
    "#[derive(\nstruct T; insp|",
    "use std::{collections::|",
    "std::thread::spawn(move || { std::thread::sle|",
    "let r = r#\"never ends {inspected.|",
    "async { async move { inspected.|",
    "let a: Vec<Vec<Vec<Vec<Vec<Vec<u8>>> = inspected.|",
    "inspected.clamp(inspected.clamp(inspected.clamp(|",
];

#[test]
fn in_a_broken_cell_completion_and_inspection_answer_as_quickly_as_elsewhere() {
    run(async {
        let kernel = common::kernel().await;
        let mut client = Client::new(&kernel).await;
        client.shown("let inspected = 5;").await;
        let mut ask = async |marked: &str| {
            let (before, behind) = marked.split_once('|').unwrap();
            let (code, cursor_pos) = (format!("{before}{behind}"), before.chars().count());
            let since = std::time::Instant::now();
            let complete = CompleteRequest {
                code: code.clone(),
                cursor_pos,
            };
            client.ask(complete).await;
            let reply = timeout(SOON, client.reply()).await;
            let reply = reply.unwrap_or_else(|_| panic!("not completed: {marked}"));
            assert_eq!(reply.header.msg_type, "complete_reply", "{marked}");
            let inspect = InspectRequest {
                code,
                cursor_pos,
                detail_level: Some(0),
            };
            client.ask(inspect).await;
            let reply = timeout(SOON, client.reply()).await;
            let reply = reply.unwrap_or_else(|_| panic!("not inspected: {marked}"));
            assert_eq!(reply.header.msg_type, "inspect_reply", "{marked}");
            since.elapsed()
        };
        let deep = format!("{}inspected.|", "(".repeat(5000));
        let mut of_well = Vec::new();
        let mut of_broken = Vec::new();
        for broken in BROKEN.iter().copied().chain([&*deep]) {
            of_well.push(ask("let x = inspected.cla|mp(1, 2);").await);
            // Twice: another kernel's compiler may be in the way of one.
            let took = ask(broken).await.min(ask(broken).await);
            of_broken.push((took, broken));
        }
        of_well.sort();
        of_broken.sort();
        let well = of_well[of_well.len() / 2];
        let (median, (longest, of)) = (of_broken[of_broken.len() / 2].0, of_broken.last().unwrap());
        println!("well: {well:?}, broken: {median:?}, the longest {longest:?}: {of:.60}");
        assert!(
            median < well * 2 + Duration::from_millis(50),
            "{of_broken:#?}"
        );
        assert!(
            *longest < well * 5 + Duration::from_millis(500),
            "{of_broken:#?}"
        );
        // And goes on.
        let shown = client.shown("inspected").await;
        let is_result = |(kind, content): &(String, Value)| {
            kind == "execute_result" && content["data"]["text/plain"] == "5"
        };
        assert!(shown.iter().any(is_result), "{shown:?}");
    });
}

/// rust-analyzer is told of a part of the sources only: it must be the part that the course uses.
#[test]
fn what_most_of_the_course_uses_is_completed_and_inspected() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let cell = "let numbers = vec![1, 2, 3];
            let client = reqwest::Client::new();
            let (sender, receiver) = tokio::sync::mpsc::channel::<i32>(1);
            let task = tokio::spawn(async { 1 });
            let body = serde_json_of(); fn serde_json_of() -> String { String::new() }";
        client.shown(cell).await;
        let wanted = [
            ("numbers.is_em", "is_empty"),
            ("client.ge", "get"),
            ("client.get(\"\").se", "send"),
            ("sender.try_se", "try_send"),
            ("task.abo", "abort"),
            ("body.to_upp", "to_uppercase"),
            ("std::collections::HashM", "HashMap"),
            ("std::time::Duration::from_mil", "from_millis"),
            ("tokio::time::sle", "sleep"),
            ("tokio::fs::read_to_s", "read_to_string"),
            ("tokio::task::spawn_bl", "spawn_blocking"),
            ("tokio::runtime::Runtime::ne", "new"),
            ("tokio::sync::Sema", "Semaphore"),
            ("futures::stream::it", "iter"),
            ("futures::future::join_a", "join_all"),
            ("reqwest::StatusCode::NOT_F", "NOT_FOUND"),
            ("rayon::prelude::IntoPar", "IntoParallelIterator"),
            ("notebook::disp", "display"),
            ("notebook::Timeline::ne", "new"),
            ("flags::serv", "server"),
        ];
        completes(&mut client, &wanted).await;
        inspects(&mut client, "numbers", "Vec<i32>").await;
        inspects(&mut client, "client", "Client").await;
        inspects(&mut client, "sender", "Sender<i32>").await;
    });
}

#[test]
fn what_the_last_notebooks_use_is_completed() {
    let notebooks: [(&str, &[(&str, &str)]); 2] = [
        (
            "05",
            &[
                ("axum::Router::<()>::new().rou", "route"),
                ("axum::extract::Quer", "Query"),
                ("axum::http::StatusCode::NOT_F", "NOT_FOUND"),
                ("tower::ServiceEx", "ServiceExt"),
                ("tower_http::services::ServeD", "ServeDir"),
                ("serde_json::to_val", "to_value"),
                ("serde::Seri", "Serialize"),
                ("tokio_tungstenite::connect_a", "connect_async"),
                ("html_escape::encode_te", "encode_text"),
                ("unicode_names2::na", "name"),
            ],
        ),
        (
            "06",
            &[
                ("sqlx::AnyPool::conn", "connect"),
                ("redis::Client::op", "open"),
                ("tracing::Span::cur", "current"),
                ("tracing_subscriber::Reg", "Registry"),
                ("tokio_util::sync::Cancel", "CancellationToken"),
                ("tokio_util::task::TaskTracker::ne", "new"),
                ("tempfile::tempd", "tempdir"),
            ],
        ),
    ];
    run(async {
        for (name, wanted) in notebooks {
            let notebook = &common::project().select(&[name.to_owned()]).unwrap()[0];
            let kernel = common::kernel_for(notebook).await;
            let mut client = Client::new(&kernel).await;
            let cells = Notebook::load(notebook).unwrap().code_cells();
            client.shown(&cells[0].source).await;
            completes(&mut client, wanted).await;
        }
    });
}

#[test]
fn a_cell_can_ask_for_input_and_an_interrupt_ends_the_question() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        client.shown(":dep evcxr_input = \"1\"").await;
        let code = "print!(\"asking\"); let name = evcxr_input::get_string(\"name: first?\"); println!(\"<{name}>\"); loop { tokio::task::yield_now().await; }";
        let id = client.ask_with_input(code).await;
        let (question, prompt, secret) = client.question().await;
        assert_eq!((&*prompt, secret), ("name: first?", false));
        let answer = InputReply {
            value: "小明".to_owned(),
            ..InputReply::default()
        };
        client
            .stdin
            .send(JupyterMessage::new(answer, Some(&question)))
            .await
            .unwrap();
        assert_eq!(client.text_until("<小明>\n").await, "asking<小明>\n");
        client.interrupt().await;
        client.until_idle(&id).await;
        client.reply().await;
        let id = client
            .ask_with_input(&code.replace("get_string", "get_password"))
            .await;
        assert!(client.question().await.2, "a password");
        client.interrupt().await;
        let shown = client.until_idle(&id).await;
        assert_eq!(shown.last().unwrap().1["ename"], "已中断", "{shown:?}");
    });
}

/// A cell that reads a line and prints it.
const READS: &str = "let mut line = String::new();\nprint!(\"name? \");\nstd::io::stdin().read_line(&mut line)?;\nprintln!(\"<{}>\", line.trim_end());";

impl Client {
    /// Executes a cell in a front-end with an input box.
    pub async fn ask_with_input(&mut self, code: &str) -> String {
        let request = ExecuteRequest {
            allow_stdin: true,
            ..ExecuteRequest::new(code.to_owned())
        };
        self.ask(request).await
    }

    /// Waits for the question of a cell. Returns its prompt, and whether it is a secret.
    async fn question(&mut self) -> (JupyterMessage, String, bool) {
        let question = timeout(LIMIT, self.stdin.read()).await.unwrap().unwrap();
        let content = serde_json::to_value(&question.content).unwrap();
        let prompt = content["prompt"].as_str().unwrap().to_owned();
        (question, prompt, content["password"] == true)
    }

    /// Waits for a question, and answers it.
    pub async fn type_in(&mut self, line: &str) {
        let (question, ..) = self.question().await;
        let answer = InputReply {
            value: line.to_owned(),
            ..InputReply::default()
        };
        let answer = JupyterMessage::new(answer, Some(&question));
        self.stdin.send(answer).await.unwrap();
    }
}

#[test]
fn what_a_cell_reads_from_standard_input_the_student_types() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let id = client.ask_with_input(READS).await;
        assert_eq!(
            client.text_until("? ").await,
            "name? ",
            "before the question"
        );
        client.type_in("小明").await;
        assert_eq!(text(&client.until_idle(&id).await), "<小明>\n");
        client.reply().await;
        // More than once, in pieces of any size, and by way of tokio.
        let code = "use std::io::Read;\nuse tokio::io::AsyncBufReadExt;\n\
            let mut one = [0u8; 1];\nstd::io::stdin().lock().read_exact(&mut one)?;\n\
            let mut rest = String::new();\nstd::io::stdin().read_line(&mut rest)?;\n\
            let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();\n\
            let next = lines.next_line().await?;\n\
            println!(\"{} {:?} {:?}\", one[0], rest, next);";
        let long = "长".repeat(5000);
        let id = client.ask_with_input(code).await;
        client.type_in("abc").await;
        client.type_in(&long).await;
        let expected = format!("97 \"bc\\n\" Some(\"{long}\")\n");
        assert_eq!(text(&client.until_idle(&id).await), expected);
    });
}

#[test]
fn an_interrupt_ends_a_question_and_keeps_variables() {
    run(async {
        // With `notebook`, which cancels waits, and without.
        for mut kernel in [notebook_kernel().await, common::kernel().await] {
            ok(&mut kernel, "let kept = 42;").await;
            let mut client = Client::new(&kernel).await;
            let stubborn = format!("loop {{ {} }}", READS.replace("?;", ".ok();"));
            for (code, presses) in [
                (READS, 1),
                (&*READS.replace("?;", ".unwrap();"), 1),
                (&*stubborn, 2),
            ] {
                let id = client.ask_with_input(code).await;
                client.question().await;
                let shown = match presses {
                    1 => {
                        client.interrupt().await;
                        client.until_idle(&id).await
                    }
                    // It asks again and again: that is a loop which nothing can cancel.
                    _ => client.press_until_idle(&id, "都会丢失。\n").await,
                };
                let ended = ["已中断", "已终止"][presses - 1];
                assert_eq!(shown.last().unwrap().1["ename"], ended, "{code}: {shown:?}");
                client.reply().await;
                if presses == 1 {
                    assert_eq!(client.shown("kept").await[0].1["data"]["text/plain"], "42");
                }
            }
        }
    });
}

#[test]
fn where_nobody_can_type_a_read_fails_at_once_and_says_why() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let execution = kernel.execute(READS, LIMIT).await.unwrap();
        assert!(
            matches!(execution.outcome, Outcome::Failed(_)),
            "{execution:?}"
        );
        assert!(
            execution.stream("stderr").contains("没有输入框"),
            "{execution:?}"
        );
        // A task that reads while no cell is executed.
        let mut client = Client::new(&kernel).await;
        let folder = tempfile::tempdir().unwrap();
        let go = folder.path().join("go");
        let spawn = format!(
            "let reads = std::thread::spawn(|| {{ {} std::io::stdin().read_line(&mut String::new()).is_err() }});",
            wait_for(&go)
        );
        client.shown(&spawn).await;
        fs::write(go, "").unwrap();
        client.text_until("读不到标准输入。\n").await;
        let joined = client.shown("reads.join().unwrap()").await;
        assert_eq!(joined[0].1["data"]["text/plain"], "true");
    });
}

#[test]
fn a_program_that_a_cell_starts_reads_nothing_and_never_the_kernels_commands() {
    run(async {
        for mut kernel in [notebook_kernel().await, common::kernel().await] {
            let background =
                "let mut child = std::process::Command::new(\"cat\").spawn().unwrap();";
            ok(&mut kernel, background).await;
            for (code, expected) in [
                ("40 + 2", "42"),
                ("41 + 2", "43"),
                ("child.wait().unwrap().success()", "true"),
                (
                    "std::process::Command::new(\"cat\").status()?.success()",
                    "true",
                ),
                ("std::fs::read_to_string(\"/dev/stdin\").unwrap()", "\"\""),
            ] {
                assert_eq!(
                    ok(&mut kernel, code).await.result(),
                    Some(expected),
                    "{code}"
                );
            }
        }
    });
}

#[test]
fn a_message_with_a_wrong_signature_is_dropped_and_logged() {
    run(async {
        let mut kernel = common::kernel().await;
        let mut forged = kernel.connection().clone();
        forged.key = "guess".to_owned();
        let identity = peer_identity_for_session("forger").unwrap();
        let mut shell = create_client_shell_connection_with_identity(&forged, "forger", identity)
            .await
            .unwrap();
        shell
            .send(ExecuteRequest::new("std::process::exit(1)".to_owned()).into())
            .await
            .unwrap();
        let mut control = create_client_control_connection(&forged, "forger")
            .await
            .unwrap();
        control
            .send(jupyter_protocol::ShutdownRequest { restart: false }.into())
            .await
            .unwrap();
        until("it is logged, twice", || {
            kernel.log().matches("wrong signature").count() == 2
        })
        .await;
        assert_eq!(ok(&mut kernel, "40 + 2").await.result(), Some("42"));
    });
}

#[test]
fn what_belongs_to_a_kernel_is_closed_to_others() {
    run(async {
        let kernel = notebook_kernel().await;
        let evcxr = child(kernel.id().unwrap()).unwrap();
        let value = |name: &str| processes::variable(evcxr, name).unwrap();
        let socket = value(variable::FRONT);
        assert!(fs::metadata(&socket).is_ok());
        for path in [socket, value(variable::BUILD)] {
            let folder = Path::new(&path).parent().unwrap();
            let mode = fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", folder.display());
        }
    });
}

#[test]
fn a_cell_whose_process_is_killed_fails_and_the_next_one_runs() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "fn kept() -> i32 { 7 }").await;
        for (code, reason) in [
            (
                "println!(\"last words\"); std::process::abort();",
                "SIGABRT",
            ),
            (
                "println!(\"last words\"); std::process::exit(3);",
                "exit status: 3",
            ),
            (
                "print!(\"last words\\n\"); { std::process::Command::new(\"kill\").args([\"-KILL\", &std::process::id().to_string()]).status().unwrap(); } loop {}",
                "SIGKILL",
            ),
        ] {
            let execution = kernel.execute(code, LIMIT).await.unwrap();
            let Outcome::Failed(message) = &execution.outcome else {
                panic!("{execution:?}")
            };
            assert!(message.contains(reason), "{message}");
            assert_eq!(execution.stream("stdout"), "last words\n");
            assert_eq!(ok(&mut kernel, "kept()").await.result(), Some("7"));
        }
    });
}

#[test]
fn a_stack_that_overflows_is_called_one_and_where_to_look_is_said() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        let deep = "fn deep(n: u64) -> u64 { if n == 0 { 0 } else { 1 + deep(n + 1) } }";
        let on_a_thread = format!("{deep}\nstd::thread::spawn(|| deep(1)).join().unwrap()");
        for (cell, name) in [
            (format!("{deep}\ndeep(1)"), "栈溢出"),
            // Which std does not notice there.
            (on_a_thread, "进程已结束"),
        ] {
            let id = client.execute(&cell).await;
            let shown = client.until_idle(&id).await;
            let error = &shown.last().unwrap().1;
            assert_eq!(error["ename"], name, "{shown:?}");
            let told = error["traceback"].to_string();
            for said in ["栈用完了", "递归", "丢了的"] {
                assert!(told.contains(said), "{told}");
            }
            client.reply().await;
        }
        // Whoever prints the same has not overflowed anything.
        let text = "eprintln!(\"\\nthread 'main' (1) has overflowed its stack\\nfatal runtime error: stack overflow, aborting\");";
        assert_eq!(client.shown(text).await.len(), 1);
    });
}

#[test]
fn an_interrupt_cancels_a_wait_for_ctrl_c_like_any_other() {
    run(async {
        let kernel = notebook_kernel().await;
        let mut client = Client::new(&kernel).await;
        client.shown("let kept = 42;").await;
        let code = "println!(\"begun\");\ntokio::select! {\n    _ = tokio::signal::ctrl_c() => println!(\"ctrl-c\"),\n    \
            _ = std::future::pending::<()>() => {}\n}";
        let id = client.execute(code).await;
        client.text_until("begun\n").await;
        client.interrupt().await;
        let shown = client.until_idle(&id).await;
        assert_eq!(shown.last().unwrap().1["ename"], "已中断", "{shown:?}");
        assert!(!text(&shown).contains("ctrl-c"));
        client.reply().await;
        assert_eq!(client.shown("kept").await[0].1["data"]["text/plain"], "42");
    });
}

/// Whether this is how a cell ends when evcxr does: who asks just before is told, and who asks behind
/// that meets nobody.
pub fn tells_of_evcxrs_end(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::KernelDied => true,
        Outcome::Failed(message) => message.contains("evcxr 自己结束了"),
        _ => false,
    }
}

#[test]
fn when_evcxr_is_killed_the_kernel_ends_with_an_error() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let front = kernel.id().unwrap();
        let evcxr = child(front).unwrap();
        let cells = children(evcxr);
        processes::signal(evcxr, Signal::KILL);
        let outcome = kernel
            .execute("1", Duration::from_secs(30))
            .await
            .unwrap()
            .outcome;
        assert!(tells_of_evcxrs_end(&outcome), "{outcome:?}");
        until("the kernel ends", || !runs(front)).await;
        until("it says why", || kernel.log().contains("evcxr 自己结束了")).await;
        until("all processes end", || {
            !cells.iter().any(|process| runs(*process))
        })
        .await;
    });
}

#[test]
fn a_warning_in_a_path_dependency_is_no_error_of_a_cell() {
    run(async {
        let mut kernel = notebook_kernel().await;
        let folder = tempfile::tempdir().unwrap();
        let manifest = "[package]\nname = \"careless\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
        fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(
            folder.path().join("src/lib.rs"),
            "fn unused() {}\npub fn seven() -> i32 { 7 }\n",
        )
        .unwrap();
        ok(
            &mut kernel,
            &format!(":dep careless = {{ path = {:?} }}", folder.path()),
        )
        .await;
        assert_eq!(
            ok(&mut kernel, "careless::seven()").await.result(),
            Some("7")
        );
        let message = failure(&mut kernel, "let f = || careless::seven();").await;
        assert!(
            message.contains("闭包") && !message.contains("never used"),
            "{message}"
        );
    });
}

#[test]
fn a_kernel_can_be_restarted_in_the_middle_of_a_cell() {
    run(async {
        let kernel = notebook_kernel().await;
        let evcxr = child(kernel.id().unwrap()).unwrap();
        let processes = [vec![evcxr], children(evcxr)].concat();
        let mut client = Client::new(&kernel).await;
        client.execute("println!(\"begun\"); loop {}").await;
        client.text_until("begun\n").await;
        let restart = jupyter_protocol::ShutdownRequest { restart: true };
        client.control.send(restart.into()).await.unwrap();
        let reply = timeout(LIMIT, client.control.read())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            serde_json::to_value(reply.content).unwrap()["restart"],
            true
        );
        until("all processes end", || {
            !processes.iter().any(|process| runs(*process))
        })
        .await;
    });
}

/// The names of all programs below a process.
fn programs_below(process: u32) -> Vec<String> {
    let below = processes::below(process, None).split_off(1);
    let name = |process: u32| fs::read_to_string(format!("/proc/{process}/comm")).ok();
    let names = below.into_iter().filter_map(name);
    names.map(|name| name.trim().to_owned()).collect()
}
