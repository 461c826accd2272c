//! Every notebook, cell by cell, in a live kernel: in order, twice in one kernel, and from the top
//! after an interrupt half-way. What the text around a cell says about its output is asserted.

mod common;

use std::collections::HashMap;

use common::{LIMIT, project, run};
use lab::client::{Execution, Kernel, Outcome};
use lab::ipynb::{Cell, Notebook};

/// What the course says about a notebook's cells, by their ids.
struct Expected {
    /// The beginning of the file name.
    notebook: &'static str,
    /// What cells print: all of these, in this order.
    prints: &'static [(&'static str, &'static [&'static str])],
    /// How the cells fail that are meant to (tag `raises-exception`): part of the message.
    fails: &'static [(&'static str, &'static str)],
    /// A cell in the middle that takes long enough to be interrupted.
    interrupted_at: &'static str,
}

/// One for each notebook.
const COURSE: [Expected; 2] = [WHY_COROUTINES, DEFINE_AND_RUN];

const WHY_COROUTINES: Expected = Expected {
    notebook: "01",
    interrupted_at: "supervisor",
    fails: &[
        (
            "nested-original",
            "Cannot start a runtime from within a runtime",
        ),
        ("interrupt", "已取消"),
    ],
    prints: &[
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
    ],
};

const DEFINE_AND_RUN: Expected = Expected {
    notebook: "02",
    interrupted_at: "join",
    fails: &[("question-mark", "没有 XX 的国旗")],
    prints: &[
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
    ],
};

/// Loads the notebook whose file name begins with `name`.
fn load(name: &str) -> Notebook {
    Notebook::load(&project().select(&[name.to_owned()]).unwrap()[0]).unwrap()
}

/// Runs a cell and checks how it ended.
async fn execute(kernel: &mut Kernel, cell: &Cell, expected: &Expected) -> Execution {
    let execution = kernel.execute(&cell.source, LIMIT).await.unwrap();
    let id = &cell.id;
    if cell.raises_exception() {
        let known = expected.fails.iter().find(|(known, _)| known == id);
        let (_, message) = known.unwrap_or_else(|| panic!("{id}: how does it fail?"));
        let Outcome::Failed(said) = &execution.outcome else {
            panic!("{id}: {execution:#?}");
        };
        assert!(said.contains(message), "{id}: {said}");
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
async fn execute_all(kernel: &mut Kernel, notebook: &Notebook, expected: &Expected) {
    let mut prints: HashMap<&str, &[&str]> = expected.prints.iter().copied().collect();
    for cell in notebook.code_cells() {
        let stdout = execute(kernel, &cell, expected).await.stream("stdout");
        let mut rest = stdout.as_str();
        for piece in prints.remove(cell.id.as_str()).unwrap_or_default() {
            let at = rest.find(piece);
            let at = at.unwrap_or_else(|| panic!("{}: {piece:?} is not in {stdout:?}", cell.id));
            rest = &rest[at + piece.len()..];
        }
    }
    assert!(prints.is_empty(), "no such cells: {prints:?}");
}

#[test]
fn every_notebook_runs_in_order_and_again() {
    run(async {
        for expected in &COURSE {
            let notebook = load(expected.notebook);
            let mut kernel = common::kernel().await;
            execute_all(&mut kernel, &notebook, expected).await;
            execute_all(&mut kernel, &notebook, expected).await;
            kernel.shutdown().await.unwrap();
        }
    });
}

#[test]
fn every_notebook_runs_from_the_top_after_an_interrupt_half_way() {
    run(async {
        for expected in &COURSE {
            run_after_an_interrupt(expected).await;
        }
    });
}

/// Runs the notebook up to the cell in the middle, interrupts that one, and runs all from the top.
async fn run_after_an_interrupt(expected: &Expected) {
    let notebook = load(expected.notebook);
    let mut kernel = common::kernel().await;
    for cell in notebook.code_cells() {
        if cell.id == expected.interrupted_at {
            let execution = common::interrupted(&mut kernel, &cell.source).await;
            let outcome = &execution.outcome;
            assert!(matches!(outcome, Outcome::Failed(_)), "{execution:#?}");
            break;
        }
        execute(&mut kernel, &cell, expected).await;
    }
    execute_all(&mut kernel, &notebook, expected).await;
    kernel.shutdown().await.unwrap();
}

#[test]
fn every_notebook_runs_on_a_stock_kernel_too() {
    run(async {
        for expected in &COURSE {
            let notebook = load(expected.notebook);
            let mut kernel = common::stock_kernel(&common::stock_folder("course")).await;
            execute_all(&mut kernel, &notebook, expected).await;
            kernel.shutdown().await.unwrap();
        }
    });
}

#[test]
fn every_notebook_of_the_course_is_tested_here() {
    let course = project().course().unwrap();
    let names: Vec<_> = course
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy())
        .collect();
    assert_eq!(names.len(), COURSE.len(), "{names:?}");
    for (name, expected) in names.iter().zip(&COURSE) {
        assert!(name.starts_with(expected.notebook), "{name}");
    }
}
