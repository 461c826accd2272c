//! Every notebook, cell by cell, in a live kernel: in order, twice in one kernel, and from the top
//! after an interrupt half-way. What the text around a cell says about its output is asserted.

mod common;

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use common::{LIMIT, project, run};
use lab::client::{Execution, Kernel, Outcome};
use lab::ipynb::{Cell, Notebook};

/// What a cell must print: all of these, in this order.
type Expected = &'static [(&'static str, &'static [&'static str])];

const WHY_COROUTINES: Expected = &[
    ("threads", &["余额："]),
    ("tasks", &["余额：200\n"]),
    ("await-between", &["读到 0", "读到 0", "余额：100\n"]),
    (
        "spinner-thread-run",
        &[
            "\r| thinking!\r/ thinking!\r- thinking!\r\\ thinking!",
            "\r           \r",
            "Answer: 42\n",
            "画过的帧：|/-\\",
        ],
    ),
    (
        "supervisor",
        &[
            "spinner object: JoinHandle { id: Id(",
            "\r| thinking!",
            "\r           \r",
            "已取消：true\nAnswer: 42\n",
            "画过的帧：|/-\\",
        ],
    ),
    ("blocking", &["已取消：true\nAnswer: 42\n画过的帧数：0\n"]),
    ("nested", &["已取消：true\nAnswer: 42\n"]),
    ("drop-spinner", &["Err(Elapsed(()))\n画过的帧：|"]),
    (
        "after",
        &[
            "中断以后仍在增加：true\n",
            "JoinError::Cancelled(Id(",
            "已取消：true",
        ],
    ),
    ("check-1", &["还没有通过：余额应为 200，得到 100\n"]),
    ("check-2", &["还没有通过：动画应有 4 帧，只画了 0 帧\n"]),
];

const DEFINE_AND_RUN: Expected = &[
    ("lazy", &["已经调用 answer()\nanswer 开始执行\n结果：42\n"]),
    ("boxed", &["造好了，还没有执行\n"]),
    ("boxed-run", &["answer 开始执行\n结果：42\n"]),
    (
        "block-on",
        &["answer 开始执行\nblock_on：42\nanswer 开始执行\nmain：42\n"],
    ),
    ("join", &["依次：甲、乙", "一起：甲、乙"]),
    ("spawn", &["单元格结束时，任务完成了吗？false\n"]),
    (
        "spawn-later",
        &["现在完成了吗？true\n返回值：在两个单元格之间完成\n"],
    ),
    (
        "join-handle",
        &["线程：1\n任务：1\n取消以后，is_cancelled：true\n丢弃句柄以后：我还在执行\n"],
    ),
    ("joinset", &["完成：乙\n完成：丙\n完成：甲\n全部完成\n"]),
    (
        "select",
        &["快的：完成\n快的：收尾\n慢的：收尾\n胜出：快的\n"],
    ),
    (
        "timeout",
        &["来得及：完成\n来得及：收尾\nOk(())\n来不及：收尾\nErr(Elapsed(()))\n"],
    ),
    ("try-join", &["Ok(2)\nErr(\"没有 XX 的国旗\")"]),
    (
        "countdown",
        &["Pending\nPending\nReady(\"发射\")\n交给运行时：发射\n"],
    ),
    ("block-on-by-hand", &["(\"发射\", 3)\n(42, 1)\n((), "]),
    ("check-1", &["还没有通过：用了"]),
    ("check-2", &["还没有通过：第一次轮询应回答 Pending\n"]),
];

/// How the cells fail that are meant to, by id.
const FAILURES: [(&str, &str); 3] = [
    (
        "nested-original",
        "Cannot start a runtime from within a runtime",
    ),
    ("interrupt", "已中断"),
    ("question-mark", "没有 XX 的国旗"),
];

/// Loads the notebook whose file name begins with `name`.
fn load(name: &str) -> Notebook {
    Notebook::load(&project().select(&[name.to_owned()]).unwrap()[0]).unwrap()
}

/// Runs a cell and checks how it ended.
async fn execute(kernel: &mut Kernel, cell: &Cell) -> Execution {
    let execution = kernel.execute(&cell.source, LIMIT).await.unwrap();
    let id = &cell.id;
    if cell.raises_exception() {
        let known = FAILURES.iter().find(|(known, _)| known == id);
        let (_, message) = known.unwrap_or_else(|| panic!("{id}: how does it fail?"));
        let stderr = execution.stream("stderr");
        assert!(
            matches!(execution.outcome, Outcome::Failed(_)),
            "{id}: {execution:#?}"
        );
        assert!(stderr.contains(message), "{id}: {stderr}");
    } else {
        assert_eq!(
            execution.outcome,
            Outcome::Ok,
            "{id}: {:#?}",
            execution.outputs
        );
        assert_eq!(execution.stream("stderr"), "", "{id}");
    }
    execution
}

/// Runs all cells in order and checks what they print.
async fn execute_all(kernel: &mut Kernel, notebook: &Notebook, expected: Expected) {
    let mut expected: HashMap<&str, &[&str]> = expected.iter().copied().collect();
    for cell in notebook.code_cells() {
        let stdout = execute(kernel, &cell).await.stream("stdout");
        let mut rest = stdout.as_str();
        for piece in expected.remove(cell.id.as_str()).unwrap_or_default() {
            let at = rest.find(piece);
            let at = at.unwrap_or_else(|| panic!("{}: {piece:?} is not in {stdout:?}", cell.id));
            rest = &rest[at + piece.len()..];
        }
    }
    assert!(expected.is_empty(), "no such cells: {expected:?}");
}

fn runs_twice(name: &str, expected: Expected) {
    let notebook = load(name);
    run(async {
        let mut kernel = common::kernel().await;
        execute_all(&mut kernel, &notebook, expected).await;
        execute_all(&mut kernel, &notebook, expected).await;
        kernel.shutdown().await.unwrap();
    });
}

/// Runs the notebook up to the cell `at`, interrupts that one, and runs all from the top.
fn runs_after_an_interrupt(name: &str, at: &str, expected: Expected) {
    let notebook = load(name);
    run(async {
        let mut kernel = common::kernel().await;
        for cell in notebook.code_cells() {
            if cell.id != at {
                execute(&mut kernel, &cell).await;
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let started = folder.path().join("started");
            // After the cell's `use` lines, which are no statements.
            let signal = format!("{{ std::fs::write({started:?}, \"\").unwrap(); }}\n");
            let code = signal + &cell.source;
            let group = kernel.id().unwrap();
            let interrupt = async {
                while !started.exists() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let group = format!("-{group}");
                assert!(
                    Command::new("kill")
                        .args(["-INT", "--", &group])
                        .status()
                        .unwrap()
                        .success()
                );
            };
            let (execution, ()) = tokio::join!(kernel.execute(&code, LIMIT), interrupt);
            let execution = execution.unwrap();
            assert!(
                matches!(execution.outcome, Outcome::Failed(_)),
                "{execution:#?}"
            );
            break;
        }
        execute_all(&mut kernel, &notebook, expected).await;
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn why_coroutines_runs_in_order_and_again() {
    runs_twice("01", WHY_COROUTINES);
}

#[test]
fn why_coroutines_runs_after_an_interrupt_half_way() {
    runs_after_an_interrupt("01", "supervisor", WHY_COROUTINES);
}

#[test]
fn define_and_run_runs_in_order_and_again() {
    runs_twice("02", DEFINE_AND_RUN);
}

#[test]
fn define_and_run_runs_after_an_interrupt_half_way() {
    runs_after_an_interrupt("02", "join", DEFINE_AND_RUN);
}

#[test]
fn every_notebook_of_the_course_is_tested_here() {
    let names: Vec<String> = project()
        .course()
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy()[..2].to_owned())
        .collect();
    assert_eq!(names, ["01", "02"]);
}
