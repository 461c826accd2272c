//! What a process writes: what clients see of it and when, and what evcxr hears.

use std::path::Path;
use std::time::Duration;

use link::record;
use serde_json::{Value, json};

use super::world::{Code, PANIC, World};
use crate::evcxr::source_map::SourceMap;
use crate::evcxr::words;
use crate::{Action, Channel, Event, FromProcess, Stream};

const REPORT: &str = "\nthread 'main' (1) panicked at /crates/a.rs:4:9:\nfirst\n";

/// A cell that runs, without a value at its end, in a process with the `notebook` crate or without.
fn running(has_notebook: bool) -> (World, String) {
    running_code(has_notebook, "loops;")
}

fn running_code(has_notebook: bool, code: &str) -> (World, String) {
    let mut world = World::ready(has_notebook);
    let id = world.request("execute_request", json!({ "code": code }));
    world.compile();
    world.hear_all();
    (world, id)
}

fn writes(world: &mut World, text: &str) {
    world.on(Event::Written(Stream::Stdout, text.into()));
}

fn shows(world: &mut World, mime: &str, content: &str) {
    writes(
        world,
        &format!("EVCXR_BEGIN_CONTENT {mime}\n{content}\nEVCXR_END_CONTENT\n"),
    );
}

/// Records, heard at once.
fn says(world: &mut World, records: &[(&str, &str)]) {
    for (kind, payload) in records {
        world.write_record(kind, payload);
    }
    world.hear_all();
}

fn pass(world: &mut World, milliseconds: u64) {
    world.pass(Duration::from_millis(milliseconds));
}

#[test]
fn what_may_become_a_record_is_held_back_for_a_moment() {
    for (milliseconds, shown) in [(9, "an "), (10, "an E")] {
        let (mut world, id) = running(true);
        writes(&mut world, "an E");
        pass(&mut world, milliseconds);
        writes(
            &mut world,
            &format!("VCXR_5ec2e7_{} 2\n{{}}\n", record::MESSAGE),
        );
        pass(&mut world, 100);
        let text = world.text(&id, "stdout");
        assert!(text.starts_with(shown), "{text}");
        assert_eq!(text.len() == shown.len(), milliseconds < 10, "{text}");
    }
    // And not at all if nothing more can come.
    let (mut world, id) = running(true);
    writes(&mut world, "E");
    world.die();
    world.hear_all();
    pass(&mut world, 20);
    assert_eq!(world.text(&id, "stdout"), "E");
}

#[test]
fn what_is_written_before_evcxr_is_heard_is_nobodys_business() {
    let mut world = World::new(true, None);
    world.on(Event::Process(1, FromProcess::Started(1)));
    writes(&mut world, "text");
    shows(&mut world, "text/plain", "1");
    says(&mut world, &[(record::ERRORS, "errors")]);
    world.start();
    pass(&mut world, 1000);
    let published = |action: &&Action| matches!(action, Action::Publish(_));
    assert_eq!(world.done.iter().find(published), None);
}

#[test]
fn a_report_of_std_is_the_cells_error_or_is_shown() {
    let (panicked, ended) = ((record::PANICKED, ""), (record::ENDED, ""));
    let errors = |text: &'static str| (record::ERRORS, text);
    let (begun, rest) = REPORT.split_at(12);
    let other = "\nthread 'worker' (2) panicked at /crates/a.rs:4:9:\nsecond\n";
    for (has_notebook, records, error, stderr) in [
        (
            false,
            &[errors(REPORT), panicked, ended][..],
            Some("first"),
            "",
        ),
        (
            false,
            &[errors(begun), errors(rest), panicked, ended],
            Some("first"),
            "",
        ),
        (
            false,
            &[errors("before\n"), errors(REPORT), panicked, ended],
            Some("first"),
            "before\n",
        ),
        // Somebody has caught it.
        (
            false,
            &[errors(REPORT), errors("more"), ended],
            None,
            &format!("{REPORT}more"),
        ),
        (false, &[errors(other), ended], None, other),
        // Then it comes as a message.
        (true, &[errors(REPORT), ended], None, REPORT),
    ] {
        let (mut world, id) = running(has_notebook);
        says(&mut world, records);
        world.settle();
        let answer = world.answer(&id).unwrap();
        assert_eq!(answer["evalue"].as_str(), error, "{records:?}");
        assert_eq!(world.text(&id, "stderr"), stderr, "{records:?}");
    }
}

/// What the process tells of a report of std's, or of a piece.
fn report(text: &str) -> String {
    let content = json!({ "text": text, "stack": [["/libcode_1.so", [5]]] });
    json!({ "msg_type": "report", "content": content }).to_string()
}

#[test]
fn a_report_that_comes_with_what_was_being_called_is_the_cells_error_or_is_shown() {
    let whole = &*report(REPORT);
    let second = &*report(&REPORT.replace("first", "second"));
    let other = "\nthread 'worker' (2) panicked at /crates/a.rs:4:9:\nsecond\n";
    let elsewhere = &*report(other);
    let says = &*report(") panicked at ");
    let (main, worker) = ("main", "worker");
    let shown = |thread: &str, text: &str| {
        format!("\nthread '{thread}' panicked at /crates/a.rs:4:9:\n{text}\n")
    };
    let note = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
    let message = |text| (record::MESSAGE, text);
    let errors = |text| (record::ERRORS, text);
    let (panicked, ended) = ((record::PANICKED, ""), (record::ENDED, ""));
    for (records, error, stderr) in [
        (
            &[message(whole), errors(note), panicked, ended][..],
            Some("first"),
            String::new(),
        ),
        // Somebody has caught it, or the first of two.
        (&[message(whole), ended], None, shown(main, "first")),
        (
            &[message(whole), message(second), panicked, ended],
            Some("second"),
            shown(main, "first"),
        ),
        // On another thread, whenever.
        (
            &[message(whole), message(elsewhere), panicked, ended],
            Some("first"),
            shown(worker, "second"),
        ),
        // In pieces: of a long one the first and the last.
        (
            &[
                errors("\nthread 'main' (1"),
                message(says),
                errors("/crates/a.rs:4:9:\nthird\n"),
                panicked,
                ended,
            ],
            Some("third"),
            String::new(),
        ),
        (
            &[
                message(whole),
                errors("\nthread 'main' (1"),
                message(says),
                errors("/crates/a.rs:4:9:\nthird\n"),
                panicked,
                ended,
            ],
            Some("third"),
            shown(main, "first"),
        ),
        (
            &[
                errors("\nthread 'main' (1"),
                message(says),
                errors("/crates/a.rs:4:9:\nthird\n"),
                message(whole),
                panicked,
                ended,
            ],
            Some("first"),
            "\nthread 'main' (1) panicked at /crates/a.rs:4:9:\nthird\n".to_owned(),
        ),
        // A student's own text.
        (
            &[errors("(nobody"), message(says), errors("noon"), ended],
            None,
            "(nobody) panicked at noon".to_owned(),
        ),
    ] {
        for has_notebook in [false, true] {
            let (mut world, id) = running(has_notebook);
            self::says(&mut world, records);
            world.settle();
            let in_pieces = records.contains(&message(says));
            if has_notebook && in_pieces {
                continue; // then its own hook tells
            }
            let answer = world.answer(&id).unwrap();
            assert_eq!(answer["evalue"].as_str(), error, "{records:?}");
            assert_eq!(world.text(&id, "stderr"), stderr, "{records:?}");
        }
    }
    // The process may die of it.
    let (mut world, id) = running(false);
    self::says(&mut world, &[message(whole)]);
    world.die();
    world.hear_all();
    pass(&mut world, 20);
    assert_eq!(world.text(&id, "stderr"), shown(main, "first"));
}

#[test]
fn what_was_being_called_belongs_to_the_report_that_it_came_with() {
    let library = "/libcode_1.so";
    let (bytes, inner) = crate::evcxr::trail::tests::library_with_inner();
    let told = |thread: u32, text: &str| {
        let content = json!({ "text": text, "stack": [[library, [inner + 1]]] });
        let message = json!({ "msg_type": "report", "content": content }).to_string();
        let (mut world, id) = running(false);
        let bytes = bytes.clone();
        world.front.map = SourceMap::new(move |path| match path == Path::new(library) {
            true => Some(bytes.clone()),
            false => Some(Vec::new()),
        });
        world
            .front
            .map
            .add(1, Path::new(library), 1, "fn inner() {}");
        let begun = format!("\nthread 'a' ({thread}");
        let records = [
            (record::ERRORS, &*begun),
            (record::MESSAGE, &*message),
            (record::ERRORS, "/crates/a.rs:4:9:\nfirst\n"),
            (record::PANICKED, "first"),
            (record::ENDED, ""),
        ];
        match text.starts_with(')') {
            true => says(&mut world, &records),
            false => says(&mut world, &records[1..2]),
        }
        says(&mut world, &records[3..]);
        world.settle();
        let traceback = world.answer(&id).unwrap()["traceback"].to_string();
        (traceback, world.text(&id, "stderr"))
    };
    let trail = "经过的函数：inner";
    let (of_cell, _) = told(1, REPORT);
    assert!(of_cell.contains(trail), "{of_cell}");
    let (of_cell, _) = told(1, ") panicked at ");
    assert!(of_cell.contains(trail), "{of_cell}");
    let (of_cell, shown) = told(2, &REPORT.replace("(1)", "(2)"));
    assert!(!of_cell.contains(trail) && shown.contains(trail), "{shown}");
    // Of another thread's in pieces nothing is held back.
    let (of_cell, shown) = told(2, ") panicked at ");
    assert!(
        !of_cell.contains(trail) && shown.contains("first"),
        "{shown}"
    );
}

#[test]
fn a_report_is_not_held_back_for_long() {
    let (mut world, id) = running(false);
    says(&mut world, &[(record::ERRORS, REPORT)]);
    pass(&mut world, 499);
    pass(&mut world, 20);
    assert_eq!(world.text(&id, "stderr"), "");
    pass(&mut world, 20);
    assert_eq!(world.text(&id, "stderr"), REPORT);
    // Nor behind its process.
    let (mut world, id) = running(false);
    says(&mut world, &[(record::ERRORS, REPORT)]);
    world.on(Event::Process(1, FromProcess::Gone));
    pass(&mut world, 20);
    assert_eq!(world.text(&id, "stderr"), REPORT);
}

#[test]
fn evcxr_hears_how_a_cell_ends_in_its_own_words() {
    for (kind, payload, line) in [
        (record::PANICKED, "oh", words::PANICKED.to_owned()),
        (record::RETURNED, "no", words::RETURNED.to_owned()),
        (record::CHANGED, "x", format!("{}x", words::CHANGED_TYPE)),
        (record::ENDED, "", words::ENDED.to_owned()),
    ] {
        let (mut world, _) = running(true);
        says(&mut world, &[(kind, payload)]);
        assert!(world.done.contains(&Action::TellEvcxr(line)), "{kind}");
    }
}

#[test]
fn a_variable_that_is_lost_is_told_of_with_the_cell_that_had_it() {
    for (code, again) in [
        ("let x = 1;", "把单元格 [1] 再执行一次"),
        ("let y = 1;", "再用 let 定义一次"),
    ] {
        let mut world = World::ready(true);
        world.request("execute_request", json!({ "code": code }));
        world.settle();
        let id = world.execute(Code::Loops);
        world.compile();
        says(&mut world, &[(record::CHANGED, "x")]);
        pass(&mut world, 20);
        let told = world.text(&id, "stderr");
        assert!(
            told.contains("[变量丢了] x 的类型") && told.contains(again),
            "{told}"
        );
    }
}

#[test]
fn a_question_is_asked_as_the_cell_has_put_it_and_once() {
    for (written, prompt, password) in [
        ("", "", false),
        ("EVCXR_INPUT_REQUEST:name?\n", "name?", false),
        ("EVCXR_INPUT_REQUEST_PASSWORD:word?\n", "word?", true),
    ] {
        let (mut world, _) = running(true);
        writes(&mut world, written);
        let wants = world.notebook_says(FromProcess::WantsInput);
        world.on(wants.clone());
        world.on(wants);
        let asked = world.done.iter().filter_map(|action| match action {
            Action::Reply(Channel::Stdin, question) => Some(&question.content),
            _ => None,
        });
        let expected = json!({ "prompt": prompt, "password": password });
        let asked: Vec<&Value> = asked.collect();
        assert_eq!(
            asked,
            [&expected, &json!({ "prompt": "", "password": false })]
        );
    }
}

#[test]
fn a_process_is_known_by_its_last_words_and_not_by_an_earlier_cells() {
    let last = "\nthread 'main' (1) has overflowed its stack\n\
        fatal runtime error: stack overflow, aborting\n";
    let long = "x".repeat(5000);
    let mut world = World::ready(true);
    for (text, error) in [(&*(long + last), "栈溢出"), ("", "进程已结束")] {
        let id = world.execute(Code::Loops);
        world.compile();
        says(&mut world, &[(record::ERRORS, text)]);
        assert!(world.front.output.last_words.len() <= 512);
        world.die();
        world.settle();
        assert_eq!(world.answer(&id).unwrap()["ename"], error);
    }
}

#[test]
fn what_is_shown_is_one_display_as_long_as_it_may_be_one_value() {
    let (plain, html, object) = (
        ("text/plain", "1"),
        ("text/html", "<b>"),
        ("application/json", "{\"a\":1}"),
    );
    for (shown, expected) in [
        (
            &[plain, html][..],
            &[json!({ "text/plain": "1", "text/html": "<b>" })][..],
        ),
        (
            &[plain, plain],
            &[json!({ "text/plain": "1" }), json!({ "text/plain": "1" })],
        ),
        (&[object], &[json!({ "application/json": { "a": 1 } })]),
        (
            &[("application/json", "{")],
            &[json!({ "application/json": "{" })],
        ),
    ] {
        let (mut world, id) = running(true);
        for (mime, content) in shown {
            shows(&mut world, mime, content);
        }
        pass(&mut world, 9);
        assert_eq!(
            world.published(&id, "display_data").len(),
            expected.len() - 1
        );
        pass(&mut world, 1);
        let displays = world.published(&id, "display_data");
        let data: Vec<Value> = displays
            .iter()
            .map(|content| content["data"].clone())
            .collect();
        assert_eq!(data, expected);
    }
    // What may be the cell's value waits for its end; what comes behind it makes it none.
    let (mut world, id) = running_code(true, "loops");
    shows(&mut world, "text/plain", "1");
    pass(&mut world, 1000);
    assert_eq!(world.published(&id, "display_data").len(), 0);
    writes(&mut world, "text");
    assert_eq!(world.published(&id, "display_data").len(), 1);
    // Between a value and the end there may be output, of what is dropped.
    let returned = r#"{"msg_type":"returned"}"#;
    for (code, value) in [("loops", true), ("loops;", false)] {
        let (mut world, id) = running_code(true, code);
        shows(&mut world, "text/plain", "1");
        says(&mut world, &[(record::MESSAGE, returned)]);
        writes(&mut world, "text");
        says(&mut world, &[(record::ENDED, "")]);
        world.settle();
        assert_eq!(
            world.published(&id, "execute_result").len(),
            usize::from(value)
        );
        assert_eq!(
            world.published(&id, "display_data").len(),
            usize::from(!value)
        );
    }
}

#[test]
fn a_message_of_the_notebook_crate_is_shown_in_its_order() {
    let message = |kind: &str| json!({ "msg_type": kind, "content": { "data": {} } }).to_string();
    for kind in ["display_data", "update_display_data", "clear_output"] {
        let (mut world, id) = running(true);
        shows(&mut world, "text/plain", "1");
        writes(&mut world, "before");
        world.done.clear();
        says(&mut world, &[(record::MESSAGE, &message(kind))]);
        let kinds: Vec<&str> = world
            .done
            .iter()
            .filter_map(|action| match action {
                Action::Publish(message) => Some(&*message.kind),
                _ => None,
            })
            .collect();
        assert_eq!(kinds, ["stream", kind], "{id}");
    }
    let (mut world, _) = running(true);
    world.done.clear();
    says(&mut world, &[(record::MESSAGE, &message("another"))]);
    assert_eq!(world.done, []);
}

#[test]
fn each_panic_that_is_no_error_is_reported() {
    let elsewhere = PANIC.replace("\"panic\"", "\"panic_elsewhere\"");
    for (records, reports) in [
        (&[(record::MESSAGE, PANIC), (record::MESSAGE, PANIC)][..], 2),
        (
            &[
                (record::MESSAGE, PANIC),
                (record::MESSAGE, PANIC),
                (record::PANICKED, ""),
            ],
            1,
        ),
        (
            &[
                (record::MESSAGE, &elsewhere),
                (record::MESSAGE, PANIC),
                (record::PANICKED, ""),
            ],
            1,
        ),
    ] {
        let (mut world, id) = running(true);
        says(&mut world, records);
        says(&mut world, &[(record::ENDED, "")]);
        world.settle();
        let text = world.text(&id, "stderr");
        assert_eq!(text.matches("panicked").count(), reports, "{text}");
    }
    // Between cells, too.
    let mut world = World::ready(true);
    let id = world.execute(Code::Prints);
    world.settle();
    says(&mut world, &[(record::MESSAGE, PANIC)]);
    world.settle();
    assert!(world.text(&id, "stderr").contains("panicked"));
}

#[test]
fn the_end_of_a_cell_waits_for_a_flush_but_not_for_long() {
    let (mut world, id) = running(true);
    world.deaf = true;
    says(&mut world, &[(record::ENDED, "")]);
    pass(&mut world, 999);
    world.hear_all();
    assert_eq!(world.answer(&id), None);
    pass(&mut world, 1);
    world.hear_all();
    assert!(world.answer(&id).is_some());
}

#[test]
fn a_flood_does_not_wait() {
    let (mut world, id) = running(true);
    for stream in [Stream::Stdout, Stream::Stderr] {
        world.on(Event::Written(stream, vec![b'x'; 1 << 20]));
    }
    assert_eq!(world.text(&id, "stdout").len(), 1 << 20);
    assert_eq!(world.text(&id, "stderr").len(), 1 << 20);
}
