//! What evcxr answers and publishes, and whom it reaches.

use serde_json::{Value, json};

use super::world::{Code, Line, World};
use crate::{Action, Diagnosis, Event, Message, Stream};

const FIRST: &str = ":dep a = \"1\"";

/// A message that belongs to the request with this number.
fn of(request: &str, kind: &str, content: Value) -> Message {
    Message {
        parent_id: request.to_owned(),
        parent: format!(r#"{{"msg_id":"{request}"}}"#).into(),
        ..Message::new(kind, "m", content)
    }
}

/// What clients have been told: kinds and contents, and whether it is evcxr's own message.
fn told(world: &World) -> Vec<(&str, Value, bool)> {
    let told = world.done.iter().filter_map(|action| match action {
        Action::Publish(message) => Some((&*message.kind, message.content.clone(), false)),
        Action::Pass(message) => Some((&*message.kind, message.content(), true)),
        _ => None,
    });
    told.collect()
}

/// The numbers under which evcxr has been asked something of the front's own.
fn own(world: &World) -> Vec<&str> {
    let own = world.done.iter().filter_map(|action| match action {
        Action::AskEvcxr(id, ..) => Some(&**id),
        _ => None,
    });
    own.collect()
}

/// What has become of what was to be run ahead.
fn warm(world: &World) -> Option<&Result<(), String>> {
    world.done.iter().find_map(|action| match action {
        Action::Warm(warm) => Some(warm),
        _ => None,
    })
}

/// A kernel that runs its first cell ahead.
fn running_ahead() -> World {
    let mut world = World::new(true, Some(FIRST));
    world.start_without_settling();
    while world.go_on(Line::Socket) {}
    world
}

#[test]
fn what_evcxr_publishes_reaches_the_clients_in_their_terms() {
    for (silent, of_cell, kind, content, expected) in [
        // It is said, and counted, by the front.
        (
            false,
            true,
            "execute_input",
            json!({ "execution_count": 9 }),
            None,
        ),
        (
            false,
            true,
            "execute_result",
            json!({ "data": {}, "execution_count": 9 }),
            Some((json!({ "data": {}, "execution_count": 1 }), false)),
        ),
        (true, true, "execute_result", json!({ "data": {} }), None),
        (
            false,
            true,
            "display_data",
            json!({ "data": {} }),
            Some((json!({ "data": {} }), true)),
        ),
        (false, false, "display_data", json!({ "data": {} }), None),
        (false, false, "execute_result", json!({ "data": {} }), None),
        // A process that has not connected belongs to whoever is there.
        (
            false,
            true,
            "stream",
            json!({ "name": "stderr", "text": "t" }),
            Some((json!({ "name": "stderr", "text": "t" }), false)),
        ),
        (
            false,
            false,
            "stream",
            json!({ "name": "stdout", "text": "t" }),
            Some((json!({ "name": "stdout", "text": "t" }), false)),
        ),
        (
            false,
            false,
            "comm_msg",
            json!({ "comm_id": "c" }),
            Some((json!({ "comm_id": "c" }), true)),
        ),
        (
            false,
            false,
            "status",
            json!({ "execution_state": "idle" }),
            None,
        ),
    ] {
        let mut world = World::ready(true);
        let code = json!({ "code": "loops", "silent": silent });
        let cell = world.request("execute_request", code);
        world.settle();
        world.done.clear();
        let request = if of_cell { &*cell } else { "another" };
        world.on(Event::Published(of(request, kind, content)));
        world.settle();
        let expected = expected.map(|(content, passed)| (kind, content, passed));
        assert_eq!(
            told(&world),
            Vec::from_iter(expected),
            "{kind}, {silent}, {of_cell}"
        );
    }
}

#[test]
fn what_is_passed_on_is_over_when_evcxr_has_said_everything_of_it() {
    for (kind, lines, is_over) in [
        ("complete_request", &[Line::Reply][..], false),
        ("complete_request", &[Line::Iopub], false),
        ("complete_request", &[Line::Reply, Line::Iopub], true),
        ("comm_open", &[], false),
        ("comm_open", &[Line::Iopub], true), // it has no reply
    ] {
        let mut world = World::ready(true);
        world.settle();
        world.request(kind, json!({ "code": "a", "cursor_pos": 1 }));
        for line in lines {
            while world.go_on(*line) {}
        }
        // What is said of another request is nothing to this one.
        world.done.clear();
        for (kind, content) in [
            ("display_data", json!({})),
            ("status", json!({ "execution_state": "idle" })),
        ] {
            world.on(Event::Published(of("another", kind, content)));
        }
        assert_eq!(told(&world), []);
        let cell = world.execute(Code::Prints);
        let asked =
            |action: &Action| matches!(action, Action::ToEvcxr(request) if request.id == cell);
        assert_eq!(world.done.iter().any(asked), is_over, "{kind}, {lines:?}");
        world.settle();
        assert!(world.done.iter().any(asked));
    }
}

#[test]
fn what_is_answered_to_another_request_is_no_answer_to_this_one() {
    let failed = |request: &str| Event::Replied(of(request, "x", json!({ "status": "error" })));
    let mut world = World::ready(true);
    let id = world.execute(Code::Prints);
    world.on(failed("another"));
    world.settle();
    assert_eq!(world.answer(&id).unwrap()["status"], "ok");
    // Of the front's own, too.
    let mut world = running_ahead();
    world.on(failed("another"));
    world.on(Event::Published(of(
        "another",
        "error",
        json!({ "evalue": "no" }),
    )));
    world.on(Event::Published(of("another", "display_data", json!({}))));
    world.compile();
    while world.go_on(Line::Stdout) || world.go_on(Line::Socket) {}
    while world.go_on(Line::Iopub) {} // that it is idle is heard first
    world.settle();
    assert_eq!(warm(&world), Some(&Ok(())));
    // For that, each has a number of its own.
    let mut own = own(&world);
    let count = own.len();
    own.sort();
    own.dedup();
    assert_eq!(own.len(), count);
}

#[test]
fn a_first_cell_that_fails_or_shows_something_is_said_to_be_none_to_be_run_ahead() {
    enum Says {
        Evcxr(&'static str, Value),
        Process(&'static [u8]),
    }
    use Says::{Evcxr, Process};
    let shown = b"EVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT\n";
    for (says, cause) in [
        (
            Evcxr("error", json!({ "evalue": "no such crate" })),
            Some("no such crate"),
        ),
        (Evcxr("display_data", json!({})), Some("它有输出")),
        (Process(shown), Some("它有输出")),
        (Process(b"text"), Some("它有输出")),
        (Evcxr("execute_input", json!({})), None),
    ] {
        let mut world = running_ahead();
        world.compile();
        let own = own(&world).last().unwrap().to_string();
        world.on(match says {
            Evcxr(kind, content) => Event::Published(of(&own, kind, content)),
            Process(written) => Event::Written(Stream::Stdout, written.to_vec()),
        });
        world.settle();
        let expected = cause.map_or(Ok(()), |cause| Err(cause.to_owned()));
        assert_eq!(warm(&world), Some(&expected));
    }
}

#[test]
fn a_client_hears_places_in_its_own_terms() {
    let mut world = World::ready(true);
    world.settle();
    let code = json!({ "code": "\u{1f1e8}\u{1f1f3}a", "cursor_pos": 3 });
    let id = world.request("complete_request", code);
    let reply = json!({ "status": "ok", "matches": ["ab"], "cursor_start": 1, "cursor_end": 2 });
    world.on(Event::Replied(of(&id, "complete_reply", reply)));
    let answer = world.done.iter().find_map(|action| match action {
        Action::PassReply(reply) => Some(reply.content()),
        _ => None,
    });
    let answer = answer.unwrap();
    assert_eq!(
        (&answer["cursor_start"], &answer["cursor_end"]),
        (&json!(2), &json!(3))
    );
}

/// What a cell is answered of which evcxr says this.
fn answer_to(code: &str, errors: &[&str], diagnosis: Option<Diagnosis>) -> Value {
    let mut world = World::ready(true);
    world.settle();
    let id = world.request("execute_request", json!({ "code": code }));
    if let Some(diagnosis) = diagnosis {
        world.on(Event::Diagnosed(diagnosis));
    }
    for error in errors {
        let content = json!({ "ename": "Error", "evalue": error, "traceback": [error] });
        world.on(Event::Published(of(&id, "error", content)));
    }
    world.on(Event::Replied(of(
        &id,
        "execute_reply",
        json!({ "status": "error" }),
    )));
    let idle = json!({ "execution_state": "idle" });
    world.on(Event::Published(of(&id, "status", idle)));
    world.answer(&id).unwrap().clone()
}

#[test]
fn a_cell_that_fails_without_a_reason_is_said_to_do_so() {
    let answer = answer_to("x", &[], None);
    assert_eq!(answer["evalue"], "evcxr 没有说明原因");
}

#[test]
fn what_a_variable_borrows_is_known_from_what_rustc_says_does_not_live_long_enough() {
    let said = "The variable `part` contains a reference with a non-static lifetime so";
    let generated = "#![allow(unused_imports, unused_mut, dead_code)]\n#[unsafe(no_mangle)]\n\
        pub extern \"C\" fn run_user_code_1(\nevcxr_variable_store: *mut u8) -> *mut u8 {\n\
        let part = &text;\nevcxr_variable_store\n}\n";
    for (code, owner) in [("E0597", "text"), ("E0308", "这一格里的值")] {
        let span = json!({
            "file_name": "src/lib.rs", "is_primary": true, "label": "here",
            "line_start": 5, "line_end": 5, "column_start": 12, "column_end": 17,
        });
        let message = json!({
            "level": "error", "message": "`text` does not live long enough", "children": [],
            "spans": [span], "code": { "code": code },
        });
        let diagnosis = Diagnosis::new(generated.to_owned(), vec![message]);
        let answer = answer_to("let part = &text;", &[said], Some(diagnosis));
        let told = answer["evalue"].as_str().unwrap();
        assert!(
            told.contains("part 借用了") && told.contains(owner),
            "{told}"
        );
    }
}

#[test]
fn a_mistake_comes_with_what_there_is_to_say_of_it() {
    let generated = "#![allow(unused_imports, unused_mut, dead_code)]\n#[unsafe(no_mangle)]\n\
        pub extern \"C\" fn run_user_code_1(\nevcxr_variable_store: *mut u8) -> *mut u8 {\n\
        let x: u32 = f();\nevcxr_variable_store\n}\n";
    let span = json!({
        "file_name": "src/lib.rs", "is_primary": true, "label": "expected `u32`, found future",
        "line_start": 5, "line_end": 5, "column_start": 14, "column_end": 17,
    });
    let message = json!({
        "level": "error", "message": "mismatched types", "children": [],
        "spans": [span], "code": { "code": "E0308" },
    });
    let diagnosis = Diagnosis::new(generated.to_owned(), vec![message]);
    let answer = answer_to("let x: u32 = f();", &["mismatched types"], Some(diagnosis));
    assert_eq!(answer["ename"], "E0308");
    let told = answer["traceback"].to_string();
    assert!(told.contains("只造出一个 future"), "{told}");
}

#[test]
fn what_a_kept_variable_lacks_is_told_with_what_to_write_instead() {
    for (name, value, says) in [
        (
            "part",
            "&text",
            &["变量 part 借用了 text", "let part = text.clone();"][..],
        ),
        (
            "f",
            "|n: u8| n",
            &["变量 f 是闭包", "Box::new(move |n: u8| n)"],
        ),
        (
            "f",
            "move |n| n",
            &["变量 f 是闭包", "Box::new(move |n| n)"],
        ),
    ] {
        let code = format!("let {name} = {value};");
        let generated = format!(
            "#![allow(unused_imports, unused_mut, dead_code)]\n#[unsafe(no_mangle)]\n\
             pub extern \"C\" fn run_user_code_1(\nevcxr_variable_store: *mut u8) -> *mut u8 {{\n\
             {code}\nevcxr_variable_store\n}}\n"
        );
        let line = format!("evcxr_variable_store.put_variable::<u8>(stringify!({name}), {name});");
        let span = json!({
            "file_name": "src/lib.rs", "is_primary": true, "label": "here",
            "line_start": 5, "line_end": 5, "column_start": 5, "column_end": 6,
            "text": [{ "text": line }],
        });
        let message = json!({
            "level": "error", "message": "`text` does not live long enough", "children": [],
            "spans": [span], "code": { "code": "E0597" },
        });
        let diagnosis = Diagnosis::new(generated, vec![message]);
        let errors = ["`text` does not live long enough"];
        let answer = answer_to(&code, &errors, Some(diagnosis));
        let told = answer["traceback"].to_string();
        assert!(says.iter().all(|says| told.contains(says)), "{told}");
    }
}
