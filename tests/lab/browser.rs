//! A real JupyterLab in a real browser, used as a student uses it.
//!
//! Pictures are kept in `target/screenshots/`: worth a look after a change.

mod axe;
pub mod book;
mod jupyterlab;
pub mod webdriver;

use std::fs;

use crate::common::command::{LONG, SHORT};
use crate::common::{FIRST_CELL, notebook, project};
use jupyterlab::{Cell, JupyterLab, Server, is_idle};
use serde_json::{Value, json};
use webdriver::{Browser, ENTER};

/// The notebook that is gone through cell by cell.
const FIRST: &str = "01-why-coroutines.ipynb";

#[test]
fn the_address_that_is_printed_leads_to_the_guide_and_to_nothing_else() {
    if !webdriver::is_there() {
        return;
    }
    let server = Server::start();
    let browser = Browser::start();
    browser.open(&server.address);
    browser.until("the guide has a kernel", LONG, || {
        is_idle(&browser).then_some(())
    });
    browser.screenshot("0-first-page");
    let tabs = "return [...document.querySelectorAll('#jp-main-dock-panel .lm-TabBar-tabLabel')]
        .map(tab => tab.textContent)";
    assert_eq!(browser.script(tabs, json!([])), json!(["00-guide.ipynb"]));
    let heading = "return !!document.querySelector('.jp-Notebook h1')?.checkVisibility()";
    browser.until("its heading is seen", SHORT, || {
        (browser.script(heading, json!([])) == true).then_some(())
    });
    drop(browser);
    server.close();
}

#[test]
fn text_around_a_bar_stands_as_any_text_and_is_copied_as_it_was_written() {
    if !webdriver::is_there() {
        return;
    }
    const WRITTEN: [&str; 4] = [
        "下载国旗",
        "答案是四十二",
        "（全角）：「标点」",
        "한국어 ひらがな",
    ];
    let bars = "use notebook::indicatif::ProgressStyle;\n\
        let bars = notebook::multi_progress();\n\
        for text in TEXTS {\n    \
            let bar = bars.add(notebook::progress_bar(2)).with_message(text);\n    \
            bar.set_style(ProgressStyle::with_template(\"{bar:8.blue} 第 {pos} 个 {msg:.red}\").unwrap());\n    \
            bar.inc(2);\n    \
            bar.finish();\n\
        }"
    .replace("TEXTS", &format!("{WRITTEN:?}"));
    let lab = JupyterLab::open(&notebook(&[(FIRST_CELL, false), (&bars, false)]));
    for number in 0..2 {
        lab.shift_enter();
        lab.until_cell(number, "has run", |cell| cell.is_done());
    }
    // The same text in an element of its own, in the same font, is just as wide.
    let script = "const drawn = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[1]
            .querySelector('.jp-OutputArea-output pre');
        getSelection().selectAllChildren(drawn);
        const copied = getSelection().toString();
        getSelection().removeAllRanges();
        const widths = [...drawn.querySelectorAll('span')].map(span => {
            const range = document.createRange();
            range.selectNodeContents(span);
            const plain = document.createElement('span');
            plain.textContent = span.textContent;
            drawn.append(plain);
            const widths = [range, plain].map(it => it.getBoundingClientRect().width);
            plain.remove();
            return [span.textContent, ...widths];
        });
        return [copied, widths]";
    let seen = lab.browser.script(script, json!([]));
    lab.browser.screenshot("8-bars");
    let lines = WRITTEN.map(|text| format!("████████ 第 2 个 {text}"));
    assert_eq!(seen[0], lines.join("\n"));
    let stretches = seen[1].as_array().unwrap();
    assert_eq!(stretches.len(), 2 * WRITTEN.len());
    for stretch in stretches {
        let [drawn, plain] = [1, 2].map(|at| stretch[at].as_f64().unwrap());
        assert!((drawn - plain).abs() < 0.5, "{stretch}");
    }
    lab.close();
}

#[test]
fn a_student_goes_through_the_first_notebook_and_exports_it() {
    if !webdriver::is_there() {
        return;
    }
    let text = fs::read_to_string(project().notebooks().join(FIRST)).unwrap();
    let lab = JupyterLab::open(&text);
    lab.browser.screenshot("1-opened");
    cell_by_cell_everything_runs_and_only_tagged_cells_fail(&lab, &text);
    the_file_menu_exports_what_was_run(&lab);
    lab.close();
}

#[test]
fn every_other_notebook_runs_after_a_restart_half_way_and_shows_what_it_draws() {
    if !webdriver::is_there() {
        return;
    }
    let mut course = project().course().unwrap();
    course.retain(|path| !path.ends_with(FIRST));
    for path in course {
        println!("{}", path.display());
        let lab = JupyterLab::open(&fs::read_to_string(&path).unwrap());
        lab.run_all_with_a_restart_half_way();
        lab.save();
        only_tagged_cells_have_failed(&lab);
        pictures_are_visible(&lab);
        let name = path.file_stem().unwrap().display();
        lab.browser.screenshot(&format!("6-{name}"));
        lab.close();
    }
}

/// As the file says: on the page, errors look like what is printed to stderr.
fn only_tagged_cells_have_failed(lab: &JupyterLab) {
    for cell in lab.saved()["cells"].as_array().unwrap() {
        let outputs = cell["outputs"].as_array();
        let mut outputs = outputs.into_iter().flatten();
        let failed = outputs.any(|output| output["output_type"] == "error");
        assert_eq!(failed, may_fail(cell), "{cell:#}");
    }
}

/// Each cell whose outputs hold pictures shows at least one, and none of no size.
fn pictures_are_visible(lab: &JupyterLab) {
    let saved = lab.saved();
    let cells = saved["cells"].as_array().unwrap();
    let code = cells.iter().filter(|cell| cell["cell_type"] == "code");
    let shown = lab.pictures();
    let mut last = None;
    for (number, cell) in code.enumerate() {
        let outputs = cell["outputs"].as_array();
        if outputs.into_iter().flatten().any(is_picture) {
            assert!(!shown[number].is_empty(), "no picture: {}", cell["id"]);
            last = Some(number);
        }
        for [width, height] in &shown[number] {
            assert!(width * height > 0.0, "{width} × {height}: {}", cell["id"]);
        }
    }
    if let Some(number) = last {
        lab.scroll_to_outputs(number);
    }
}

fn cell_by_cell_everything_runs_and_only_tagged_cells_fail(lab: &JupyterLab, text: &str) {
    let notebook: Value = serde_json::from_str(text).unwrap();
    let mut number = 0;
    for cell in notebook["cells"].as_array().unwrap() {
        let is_code = cell["cell_type"] == "code";
        let spins = cell["id"] == "spinner-thread-run";
        if spins {
            lab.observe(number);
        }
        lab.shift_enter();
        if !is_code {
            continue;
        }
        if spins {
            lab.browser.until("it spins", LONG, || {
                let observed = lab.observed();
                let mut texts = observed.iter().flatten();
                texts.any(|text| text.contains("thinking!")).then_some(())
            });
            lab.browser.screenshot("2-spinner");
        }
        let done = |cell: &Cell| cell.is_done() || cell.is_collapsed();
        let shown = lab.until_cell(number, "has run", done);
        number += 1;
        if shown.is_collapsed() {
            continue;
        }
        assert_eq!(shown.number(), Some(number as u32), "numbered from 1");
        assert_eq!(shown.failed, may_fail(cell), "{}: {shown:?}", cell["id"]);
        if spins {
            the_spinner_turns_in_place(&lab.observed());
        }
    }
    lab.browser.screenshot("3-finished");
}

/// Whether an output draws something: as an image, or within HTML.
fn is_picture(output: &Value) -> bool {
    let data = output["data"].as_object();
    data.into_iter().flatten().any(|(kind, content)| {
        // A file holds it as a text or as a list of lines.
        let content = content.to_string();
        let drawn = content.contains("<svg") || content.contains("<img");
        kind.starts_with("image/") || kind == "text/html" && drawn
    })
}

/// Whether a cell is tagged to fail, which it then must.
fn may_fail(cell: &Value) -> bool {
    let tags = cell["metadata"]["tags"].as_array();
    tags.is_some_and(|tags| tags.contains(&"raises-exception".into()))
}

/// Each state in which the page showed the spinner was one line, and there were several.
fn the_spinner_turns_in_place(states: &[Vec<String>]) {
    let spinning: Vec<&Vec<String>> = states
        .iter()
        .filter(|outputs| outputs.concat().contains("thinking!"))
        .collect();
    for outputs in &spinning {
        let [line] = outputs.as_slice() else {
            panic!("the spinner is spread over several outputs: {states:#?}");
        };
        let frame = line.trim_end().strip_suffix(" thinking!");
        assert!(
            frame.is_some_and(|frame| ["|", "/", "-", "\\"].contains(&frame)),
            "more than a frame: {line:?} in {states:#?}"
        );
    }
    assert!(spinning.len() >= 2, "it stands still: {states:#?}");
}

fn the_file_menu_exports_what_was_run(lab: &JupyterLab) {
    lab.choose(&["文件", "保存并导出笔记本为", "HTML"]);
    // As it is proposed: "Sanitize HTML output" is ticked.
    lab.browser.until("the box is ticked", SHORT, || {
        let ticked = "return document.querySelector('.jp-Dialog input[type=checkbox]')?.checked";
        (lab.browser.script(ticked, json!([])) == true).then_some(())
    });
    lab.browser.click(".jp-Dialog-button.jp-mod-accept");
    let page = lab.browser.downloads().join(format!("{}.html", lab.name()));
    // Chromium gives it this name once it is complete.
    lab.browser.until("the page is downloaded", SHORT, || {
        page.exists().then_some(())
    });
    // Before that, the notebook is saved.
    only_tagged_cells_have_failed(lab);
    let html = fs::read_to_string(&page).unwrap();
    for shown in [
        "协程的优点",
        "余额：200",
        "Answer: 42",
        "Cannot start a runtime",
    ] {
        assert!(
            html.contains(shown),
            "{shown} is missing in the exported page"
        );
    }
    for tag in ["p", "h1", "h2", "table", "td", "svg"] {
        assert!(
            !html.contains(&format!("&lt;{tag}")),
            "the page shows its own <{tag}> as text"
        );
    }
    assert!(html.contains("<h2 id="), "headings are headings");
    lab.browser.open(&format!("file://{}", page.display()));
    lab.browser.screenshot("4-exported-by-the-menu");
}

#[test]
fn the_stop_button_ends_the_cell_and_keeps_what_there_is() {
    if !webdriver::is_there() {
        return;
    }
    let cells = [
        (FIRST_CELL, false),
        ("let kept = 42;", false),
        (
            "println!(\"waiting\");\n\
             tokio::time::sleep(std::time::Duration::from_secs(3600)).await;",
            false,
        ),
        ("println!(\"kept: {kept}\");", false),
    ];
    let lab = JupyterLab::open(&notebook(&cells));
    for number in 0..3 {
        lab.shift_enter();
        if number < 2 {
            lab.until_cell(number, "has run", |cell| cell.is_done());
        }
    }
    lab.until_cell(2, "waits", |cell| cell.text.contains("waiting"));
    lab.browser
        .click("[data-command='notebook:interrupt-kernel']");
    let stopped = lab.until_cell(2, "is stopped", |cell| cell.is_done());
    assert!(
        stopped.failed && stopped.text.contains("已中断"),
        "{stopped:?}"
    );
    lab.shift_enter();
    let next = lab.until_cell(3, "has run", |cell| cell.is_done());
    lab.browser.screenshot("5-stopped");
    assert_eq!(next.text, "kept: 42\n");
    lab.close();
}

#[test]
fn what_a_cell_reads_is_typed_into_the_box_below_it() {
    if !webdriver::is_there() {
        return;
    }
    let reads = "let mut line = String::new();\n\
        print!(\"你叫什么？\");\n\
        std::io::stdin().read_line(&mut line)?;\n\
        println!(\"你好，{}\", line.trim_end());";
    let cells = [(FIRST_CELL, false), (reads, false), ("line.len()", false)];
    let lab = JupyterLab::open(&notebook(&cells));
    lab.shift_enter();
    lab.until_cell(0, "has run", |cell| cell.is_done());
    lab.shift_enter();
    lab.browser.click(".jp-Stdin-input");
    for key in "ann".chars() {
        lab.browser.press(&[key]);
    }
    lab.browser.screenshot("9-input");
    lab.browser.press(&[ENTER]);
    let done = lab.until_cell(1, "has run", |cell| cell.is_done());
    assert!(!done.failed, "{done:?}");
    assert!(
        done.text.starts_with("你叫什么？") && done.text.ends_with("你好，ann\n"),
        "{done:?}"
    );
    lab.select(":last-child");
    lab.shift_enter();
    let next = lab.until_cell(2, "has run", |cell| cell.is_done());
    assert_eq!(next.text.trim(), "4", "{next:?}");
    lab.close();
}

#[test]
fn run_all_stops_at_a_cell_that_fails() {
    if !webdriver::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later");
    let later_cell = format!("std::fs::write({later:?}, \"\").unwrap();");
    let cells = [
        (FIRST_CELL, false),
        ("println!(\"before\");", false),
        ("panic!(\"as announced\");", false),
        (&later_cell, false),
        ("println!(\"after\");", false),
    ];
    let lab = JupyterLab::open(&notebook(&cells));
    lab.choose(&["运行", "运行所有单元格"]);
    let failed = lab.until_cell(2, "has run", |cell| cell.is_done());
    assert!(
        failed.failed && failed.text.contains("as announced"),
        "{failed:?}"
    );
    lab.browser.until("nothing runs any more", SHORT, || {
        lab.is_idle().then_some(())
    });
    for number in [3, 4] {
        let cell = lab.until_cell(number, "does not wait", |cell| cell.prompt != "[*]:");
        assert!(!cell.is_done() && cell.text.is_empty(), "{cell:?}");
    }
    assert!(!later.exists(), "a later cell was executed");
    lab.browser.screenshot("7-run-all-stopped");
    // The notebook is as usable as before.
    lab.select(":last-child");
    lab.shift_enter();
    lab.until_cell(4, "has run", |cell| {
        cell.is_done() && cell.text == "after\n"
    });
    lab.close();
}
