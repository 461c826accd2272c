//! What a student is told about a cell that failed: what happened and where, and nothing of the
//! machinery that noticed it.

use std::path::PathBuf;

use link::record;
use serde_json::{Value, json};

use crate::diagnosis::Told;
use crate::evcxr::source_map::{GENERATED, Place, SourceMap};
use crate::evcxr::trail::{self, Frames};

/// What stands in the names of the standard library's files: without its sources, and with them.
const OF_STD: [&str; 2] = ["/rustc/", "/rustlib/src/rust/library/"];

/// How it says where more could be seen: evcxr's and tokio's functions.
pub const NOTE: &str = "note: run with `RUST_BACKTRACE=1`";

/// A panic, on the thread that runs the cells unless another is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panic {
    pub message: String,
    thread: Option<String>,
    file: String,
    line: usize,
    column: usize,
    /// What holds the code at this place, if that is known.
    library: Option<PathBuf>,
    /// What was being called.
    stack: Vec<Frames>,
}

impl Panic {
    /// Of which nothing is known but its text: whoever should have reported it has not.
    pub fn unreported(message: String) -> Panic {
        Panic {
            message,
            ..Panic::default()
        }
    }

    /// From what the `notebook` crate writes.
    pub fn new(content: &Value) -> Panic {
        let text = |key: &str| content[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| content[key].as_u64().unwrap_or_default() as usize;
        Panic {
            message: text("message"),
            thread: None,
            file: text("file"),
            line: number("line"),
            column: number("column"),
            library: content["library"].as_str().map(PathBuf::from),
            stack: trail::frames(&content["stack"]),
        }
    }

    /// The same for a panic on another thread.
    pub fn elsewhere(content: &Value) -> Panic {
        Panic {
            thread: content["thread"].as_str().map(str::to_owned),
            ..Panic::new(content)
        }
    }

    /// From what std writes of a panic in one piece, and what was being called: how one tells without
    /// the `notebook` crate. Also says whether it is on the thread of the cells.
    pub fn whole(report: &str, stack: &Value, process: u32) -> Option<(Panic, bool)> {
        let (thread, said) = report
            .strip_prefix("\nthread '")?
            .split_once(record::PANICS)?;
        let (name, number) = thread.rsplit_once("' (")?;
        let is_of_cells = number.parse::<u32>().ok()? == process;
        let panic = Panic {
            thread: (!is_of_cells).then(|| name.to_owned()),
            stack: trail::frames(stack),
            ..Panic::said(said.strip_suffix('\n')?)?
        };
        Some((panic, is_of_cells))
    }

    /// From the place and the text in what std writes.
    fn said(said: &str) -> Option<Panic> {
        let (place, message) = said.split_once(":\n")?;
        let mut place = place.rsplitn(3, ':');
        let (column, line) = (place.next()?.parse().ok()?, place.next()?.parse().ok()?);
        Some(Panic {
            message: message.to_owned(),
            file: place.next()?.to_owned(),
            line,
            column,
            ..Panic::default()
        })
    }

    /// Where, in what a process has written to stderr, std's report of a panic on the thread of the
    /// cells begins: a long one, which it writes in pieces.
    pub fn reported(stderr: &[u8], process: u32) -> Option<usize> {
        let at = memchr::memmem::find(stderr, mark(process).as_bytes())?;
        Some(start_of_report(stderr, at))
    }

    /// Whether that is where this ends.
    pub fn is_being_reported(stderr: &[u8], process: u32) -> bool {
        stderr.ends_with(mark(process).as_bytes())
    }

    /// From the last of these reports, and what was being called. Also gives where it begins.
    pub fn printed(stderr: &[u8], process: u32, stack: &Value) -> Option<(Panic, usize)> {
        let mark = mark(process);
        let at = memchr::memmem::rfind(stderr, mark.as_bytes())?;
        let report = String::from_utf8_lossy(&stderr[at + mark.len()..]);
        let panic = Panic {
            stack: trail::frames(stack),
            ..Panic::said(report.trim_end_matches('\n'))?
        };
        Some((panic, start_of_report(stderr, at)))
    }

    /// The place in a cell, if it is certain.
    pub fn place(&self, map: &SourceMap) -> Option<Place> {
        if self.file != GENERATED {
            return None;
        }
        let known = self.library.as_deref();
        let library = known.or_else(|| map.only_library(&self.stack));
        map.find(library, self.line, self.column)
    }

    /// The line that tells which of the student's functions led there.
    pub fn trail(&self, map: &SourceMap) -> Option<String> {
        map.trail(&self.stack)
    }

    /// Whether its place says nothing to anybody: it is in no file, in one that nobody has seen, or
    /// in std's own.
    fn is_nowhere(&self) -> bool {
        ["", GENERATED].contains(&&*self.file) || OF_STD.iter().any(|part| self.file.contains(part))
    }

    /// As std prints it, but with the place in a cell: for a panic that is no error of a cell.
    pub fn report(&self, map: &SourceMap) -> String {
        let place = match self.place(map) {
            Some(place) => format!(" at {place}"),
            None if self.is_nowhere() => String::new(),
            None => format!(" at {}:{}:{}", self.file, self.line, self.column),
        };
        let thread = self.thread.as_deref().unwrap_or("main");
        let trail = self.trail(map).map(|trail| format!("{trail}\n"));
        let trail = trail.unwrap_or_default();
        format!(
            "\nthread '{thread}' panicked{place}:\n{}\n{trail}",
            self.message
        )
    }
}

/// What std writes of a panic between the thread's name and the place. Cells run on the process's
/// first thread, which has the same number.
fn mark(process: u32) -> String {
    format!(" ({process}{}", record::PANICS)
}

/// The beginning of the line that has something at `at`, with the empty line before it.
fn start_of_report(stderr: &[u8], at: usize) -> usize {
    let start = memchr::memrchr(b'\n', &stderr[..at]).map_or(0, |newline| newline + 1);
    start - usize::from(stderr[..start].ends_with(b"\n"))
}

/// The content of an `error` message.
pub fn error(name: &str, message: &str, details: &[String]) -> Value {
    let first = format!("\u{1b}[1;31m{name}\u{1b}[0m：{message}");
    let traceback: Vec<&str> = first
        .lines()
        .chain(details.iter().flat_map(|detail| detail.lines()))
        .collect();
    json!({ "ename": name, "evalue": message, "traceback": traceback })
}

/// The `error` for what rustc has found; `more` is what else there is to say of each.
pub fn of_mistakes(told: &[Told], more: impl Fn(&Told) -> Vec<String>) -> Value {
    let mut traceback: Vec<String> = Vec::new();
    for told in told {
        if !traceback.is_empty() {
            traceback.push(String::new());
        }
        traceback.extend(told.drawing.lines().map(str::to_owned));
        traceback.extend(more(told));
    }
    let messages: Vec<&str> = told.iter().map(|told| &*told.message).collect();
    let code = told.iter().find_map(|told| told.code.clone());
    json!({
        "ename": code.unwrap_or_else(|| "编译错误".to_owned()),
        "evalue": messages.join("；"),
        "traceback": traceback,
    })
}

/// The `error` for a panic; `more` is what else there is to say of it.
pub fn of_panic(panic: &Panic, map: &SourceMap, more: Vec<String>) -> Value {
    let mut details = match panic.place(map) {
        Some(place) => vec![
            format!("  {place}："),
            format!("    {}", place.text),
            format!(
                "    {}\u{1b}[31m^\u{1b}[0m",
                " ".repeat(width(&place.text, place.column))
            ),
        ],
        None if panic.is_nowhere() => vec![],
        None => vec![format!("  {}:{}:{}", panic.file, panic.line, panic.column)],
    };
    details.extend(panic.trail(map).map(|trail| format!("  {trail}")));
    details.extend(more);
    let message = match &*panic.message {
        "" => "由 resume_unwind 传来；它原来的说明在上面的输出里",
        message => message,
    };
    error("panic", message, &details)
}

/// Columns of a terminal that the text before a character takes.
fn width(text: &str, column: usize) -> usize {
    let before = text.chars().take(column.saturating_sub(1));
    before
        .map(|character| 1 + usize::from(character >= '\u{1100}'))
        .sum()
}

/// The `error` for a `?` that returned one.
pub fn of_returned(message: &str) -> Value {
    let details = ["  ? 把这个错误从单元格里返回了；它后面的代码没有执行。".to_owned()];
    error("Err", message, &details)
}

/// The `error` for an interrupt that ended a cell; `compiling` if its code had not begun to run.
pub fn of_interrupt(compiling: bool) -> Value {
    let message = match compiling {
        true => "编译已停止；代码还没有执行。",
        false => "此单元格的等待已取消；变量和后台任务都还在。",
    };
    error("已中断", message, &[])
}

/// The `error` for an interrupt that had to end the process of the cells.
pub fn of_kill() -> Value {
    error(
        "已终止",
        "此单元格没有停下来，执行单元格的进程已被终止。",
        &[LOST.to_owned()],
    )
}

/// The `error` for a process that ended by itself: what it has printed and nobody has read, how it
/// has ended, and what it wrote to stderr before.
pub fn of_death(printed: &str, how: &str, last_words: &[u8]) -> Value {
    let lost = |first: &str| -> Vec<String> {
        let details = [printed, first, LOST].into_iter();
        details
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .collect()
    };
    match overflowed(last_words) {
        Some(thread) => {
            let whose = match &*thread {
                "main" => "这一格自己的".to_owned(),
                other => format!("线程 {other} 的"),
            };
            error(
                "栈溢出",
                &format!("{whose}栈用完了，执行单元格的进程只好结束（{how}）。"),
                &lost(OVERFLOW),
            )
        }
        None => error(
            "进程已结束",
            &format!("执行单元格的进程自己结束了（{how}）。"),
            &lost(if how.contains("SIGSEGV") {
                SEGFAULT
            } else {
                ""
            }),
        ),
    }
}

/// The thread whose stack has overflowed, if that is the last that std has written.
fn overflowed(last_words: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(last_words);
    let text = text.trim_end().strip_suffix(OVERFLOWED)?.trim_end();
    let line = text.lines().next_back()?.strip_prefix("thread '")?;
    let (thread, _) = line
        .strip_suffix(" has overflowed its stack")?
        .rsplit_once("' (")?;
    Some(thread.to_owned())
}

/// std can say which thread it was only of the one that runs the cells.
const SEGFAULT: &str =
    "  多半是任务或线程里没有尽头的递归，把栈用完了；也可能是 unsafe 代码访问了不该访问的内存。";

/// The last line of what std writes then.
const OVERFLOWED: &str = "fatal runtime error: stack overflow, aborting";

const OVERFLOW: &str = "  多半是没有尽头的递归：看看哪个函数会调用自己，它什么时候才停。也可能是很大的数组放在了栈上：改用 Vec 或 Box。";

/// What evcxr's own end leaves of the cell that it was working on.
pub fn of_end_of_evcxr(how: &str) -> Value {
    error(
        "内核已结束",
        &format!("evcxr 自己结束了（{how}）。"),
        &[
            "  丢了的：全部变量、后台任务和服务器，还有定义过的一切。请重启内核，从第一格执行起。"
                .to_owned(),
        ],
    )
}

const LOST: &str = "  丢了的：全部变量、后台任务和服务器。还在的：:dep、use、定义过的函数和类型。内核没有重启，下一格照常执行。";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_read_from_what_std_prints() {
        let reports = [
            "\nthread 'main' (77) panicked at src/lib.rs:4:9:\nfirst\nsecond\n",
            "\nthread '<unnamed>' (77) panicked at src/lib.rs:4:9:\nfirst\nsecond\n",
        ];
        let stack = json!([["/libcode_1.so", [5]]]);
        for report in reports {
            let written = format!("before\n{report}");
            let (panic, start) = Panic::printed(written.as_bytes(), 77, &stack).unwrap();
            assert_eq!(&written[start..], report);
            assert_eq!(Panic::reported(written.as_bytes(), 77), Some(start));
            assert_eq!(panic.message, "first\nsecond");
            assert_eq!(
                (&*panic.file, panic.line, panic.column),
                ("src/lib.rs", 4, 9)
            );
            assert_eq!(panic.stack, trail::frames(&stack));
        }
        let other = "\nthread 'worker' (78) panicked at a.rs:1:1:\nb\n";
        assert_eq!(
            Panic::printed(other.as_bytes(), 77, &stack).map(|(panic, _)| panic.message),
            None
        );
    }

    #[test]
    fn a_panic_that_std_writes_in_one_piece_is_read_or_left_as_it_is() {
        let stack = json!([["/libcode_1.so", [5]]]);
        let place = ("src/lib.rs", 4, 9);
        for (report, expected) in [
            (
                "\nthread 'a (1) b' (78) panicked at src/lib.rs:4:9:\nfirst\n\nsecond\n\n",
                Some((Some("a (1) b"), "first\n\nsecond\n", place)),
            ),
            (
                "\nthread 'main' (7) panicked at /a:b/c.rs:1:2:\n\n",
                Some((None, "", ("/a:b/c.rs", 1, 2))),
            ),
            // A piece, or a student's own.
            (") panicked at ", None),
            ("\nthread 'main' (7) panicked at src/lib.rs:4:9:\n", None),
            (
                "\nthread 'main' (7) panicked at src/lib.rs:4:9:\nfirst",
                None,
            ),
            (
                "\nthread 'main' (x) panicked at src/lib.rs:4:9:\nfirst\n",
                None,
            ),
            ("\nthread 'main' (7) panicked at src/lib.rs:\nfirst\n", None),
            ("(it) panicked at noon:\n", None),
        ] {
            let read = Panic::whole(report, &stack, 7);
            let read = read.as_ref().map(|(panic, is_of_cells)| {
                assert_eq!(*is_of_cells, panic.thread.is_none());
                assert_eq!(panic.stack, trail::frames(&stack));
                let place = (&*panic.file, panic.line, panic.column);
                (panic.thread.as_deref(), &*panic.message, place)
            });
            assert_eq!(read, expected, "{report}");
        }
    }

    #[test]
    fn a_panic_that_is_no_error_names_its_place_only_where_somebody_can_find_it() {
        let report = |file: &str| {
            let panic =
                json!({ "message": "m", "thread": "t", "file": file, "line": 7, "column": 5 });
            Panic::elsewhere(&panic).report(&SourceMap::default())
        };
        let nowhere = "\nthread 't' panicked:\nm\n";
        assert_eq!(report("src/lib.rs"), nowhere);
        assert_eq!(report("/rustc/5980/library/core/src/option.rs"), nowhere);
        let sources = "/root/toolchain/lib/rustlib/src/rust/library/core/src/option.rs";
        assert_eq!(report(sources), nowhere);
        let elsewhere = "\nthread 't' panicked at /crates/a.rs:7:5:\nm\n";
        assert_eq!(report("/crates/a.rs"), elsewhere);
    }

    #[test]
    fn a_stack_that_has_overflowed_is_named() {
        let how = "signal: 6 (SIGABRT) (core dumped)";
        let said = |thread: &str| {
            format!("\nthread '{thread}' (77) has overflowed its stack\n{OVERFLOWED}\n")
        };
        for (last_words, name) in [
            (said("main"), "栈溢出"),
            (format!("before{}", said("tokio-rt-worker")), "栈溢出"),
            (format!("{}after\n", said("main")), "进程已结束"),
            (format!("{OVERFLOWED}\n"), "进程已结束"),
            (String::new(), "进程已结束"),
        ] {
            let error = of_death("", how, last_words.as_bytes());
            assert_eq!(error["ename"], name, "{last_words}");
            assert!(error["evalue"].as_str().unwrap().contains("SIGABRT"));
        }
    }

    fn lines(error: &Value) -> Vec<&str> {
        let lines = error["traceback"].as_array().unwrap().iter();
        lines.map(|line| line.as_str().unwrap()).collect()
    }

    #[test]
    fn what_is_lost_with_a_process_is_said_and_what_it_may_have_died_of() {
        let overflowed = |thread: &str| {
            format!("\nthread '{thread}' (7) has overflowed its stack\n{OVERFLOWED}\n")
        };
        let (own, other) = (overflowed("main"), overflowed("worker"));
        for (printed, how, last_words, says, details) in [
            (
                "",
                "exit status: 3",
                "",
                "执行单元格的进程自己结束了（exit status: 3）",
                &[LOST][..],
            ),
            (
                "printed",
                "exit status: 3",
                "",
                "自己结束了",
                &["printed", LOST],
            ),
            (
                "",
                "signal: 11 (SIGSEGV)",
                "",
                "自己结束了",
                &[SEGFAULT, LOST],
            ),
            (
                "",
                "signal: 6 (SIGABRT)",
                &own,
                "这一格自己的栈用完了",
                &[OVERFLOW, LOST],
            ),
            (
                "",
                "signal: 6 (SIGABRT)",
                &other,
                "线程 worker 的栈用完了",
                &[OVERFLOW, LOST],
            ),
        ] {
            let error = of_death(printed, how, last_words.as_bytes());
            let said = error["evalue"].as_str().unwrap();
            assert!(said.contains(says), "{said}");
            assert_eq!(lines(&error)[1..], *details);
        }
        assert_eq!(lines(&of_kill())[1..], [LOST]);
        assert!(lines(&of_end_of_evcxr("signal: 9"))[1].contains("请重启内核"));
    }

    #[test]
    fn each_other_end_of_a_cell_is_told_in_its_own_words() {
        for (error, count, says) in [
            (of_interrupt(true), 1, "编译已停止"),
            (of_interrupt(false), 1, "等待已取消"),
            (of_returned("two\nlines"), 3, "? 把这个错误"),
        ] {
            let lines = lines(&error);
            assert_eq!(lines.len(), count, "{lines:?}");
            assert!(
                lines[0].contains(error["ename"].as_str().unwrap()),
                "{lines:?}"
            );
            assert!(lines[count - 1].contains(says), "{lines:?}");
        }
    }

    /// A cell that has run, and what the `notebook` crate writes of a panic in it.
    fn cell() -> (SourceMap, Value) {
        let generated = "#![allow(unused_imports, unused_mut, dead_code)]\n#[unsafe(no_mangle)]\n\
            pub extern \"C\" fn run_user_code_1(\nevcxr_variable_store: *mut u8) -> *mut u8 {\n\
            if std::panic::catch_unwind(||{\nlet 名 = x(); \n名.y();\n}).is_err() {\n}\n\
            evcxr_variable_store\n}\n";
        let (library, inner) = crate::evcxr::trail::tests::library_with_inner();
        let mut map = SourceMap::new(move |path| match path.extension()?.to_str()? {
            "so" => Some(library.clone()),
            _ => Some(generated.into()),
        });
        let path = "/k/libcode_1.so";
        map.add(7, path.as_ref(), 3, "let 名 = x(); 名.y();");
        let panic = json!({
            "message": "m", "file": GENERATED, "line": 7, "column": 3, "library": path,
            "stack": [[path, [inner + 1]]],
        });
        (map, panic)
    }

    #[test]
    fn a_panic_is_shown_with_its_place_what_led_there_and_what_there_is_to_say() {
        let (map, panic) = cell();
        let report = Panic::new(&panic).report(&map);
        let expected = "\nthread 'main' panicked at 单元格 [3] 第 1 行第 16 列:\nm\n\
            经过的函数：inner\n";
        assert_eq!(report, expected);
        let error = of_panic(&Panic::new(&panic), &map, vec!["  more".to_owned()]);
        assert_eq!(error["evalue"], "m");
        let caret = format!("    {}\u{1b}[31m^\u{1b}[0m", " ".repeat(17));
        let expected = [
            "  单元格 [3] 第 1 行第 16 列：",
            "    let 名 = x(); 名.y();",
            &caret,
            "  经过的函数：inner",
            "  more",
        ];
        assert_eq!(lines(&error)[1..], expected);
    }

    #[test]
    fn a_panic_whose_place_is_in_no_cell_has_that_of_its_file_or_none() {
        for (file, details) in [
            ("/crates/a.rs", &["  /crates/a.rs:7:5"][..]),
            (GENERATED, &[]),
            ("", &[]),
        ] {
            let panic = json!({ "message": "m", "file": file, "line": 7, "column": 5 });
            let error = of_panic(&Panic::new(&panic), &SourceMap::default(), vec![]);
            assert_eq!(lines(&error)[1..], *details);
        }
        let unreported = |message: &str| {
            let panic = Panic::unreported(message.to_owned());
            of_panic(&panic, &SourceMap::default(), vec![])["evalue"].clone()
        };
        assert_eq!(unreported("m"), "m");
        assert!(unreported("").as_str().unwrap().contains("resume_unwind"));
    }
}
