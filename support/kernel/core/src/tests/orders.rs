//! Every order in which things can be heard, and something unexpected at every moment.

use std::time::Duration;

use link::record;
use serde_json::json;

use super::world::{CODES, Code, LINES, PANIC, World};
use crate::{Action, Diagnosis, Event, FromProcess, Front, Message, Moment, Setup, Stream};

/// What a student sees of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// The name of the error; empty if the cell is well.
    error: String,
    says: String,
    result: Option<String>,
    stdout: String,
    /// Whether something stands on stderr.
    stderr: bool,
}

fn seen(world: &World, id: &str) -> Seen {
    let answer = world.answer(id).expect("there is an answer");
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let results = world.published(id, "execute_result");
    let result = results
        .first()
        .map(|content| &content["data"]["text/plain"]);
    let errors = world.published(id, "error");
    assert_eq!(errors.len(), usize::from(answer["status"] == "error"));
    Seen {
        error: text("ename"),
        says: text("evalue"),
        result: result.and_then(|text| text.as_str()).map(str::to_owned),
        stdout: world.text(id, "stdout"),
        stderr: !world.text(id, "stderr").is_empty(),
    }
}

/// What is expected of a cell that nobody disturbs.
fn expected(code: Code) -> Seen {
    let printed = |text: &str| Seen {
        stdout: text.to_owned(),
        ..Seen::default()
    };
    let failed = |error: &str, says: &str| Seen {
        error: error.to_owned(),
        says: says.to_owned(),
        ..Seen::default()
    };
    match code {
        Code::Shows => Seen {
            result: Some("42".to_owned()),
            stdout: "from a buffer".to_owned(),
            ..Seen::default()
        },
        Code::Prints | Code::Compiles => printed("no newline"),
        Code::Floods => printed(&"x".repeat(500_000)),
        Code::Mistake => failed("Error", "mismatched types"),
        Code::Panics => failed("panic", "oh"),
        Code::Catches => Seen {
            stderr: true,
            ..Seen::default()
        },
        Code::Returns => failed("Err", "an error"),
        Code::Exits => Seen {
            stdout: "last words".to_owned(),
            ..failed("进程已结束", "执行单元格的进程自己结束了（9）。")
        },
        Code::Quiet => Seen::default(),
        Code::Waits | Code::Loops | Code::Asks => unreachable!("it does not end by itself"),
    }
}

/// The codes that end by themselves.
fn ending() -> impl Iterator<Item = Code> {
    let endless = [Code::Waits, Code::Loops, Code::Asks];
    CODES
        .into_iter()
        .filter(move |code| !endless.contains(code))
}

/// Hears what waits, in the order of these choices; behind them the first line that has something.
/// Returns how many there were to choose from at each step, and `None` behind `limit`.
fn hear(
    world: &mut World,
    choices: &[usize],
    mut each: impl FnMut(&mut World, usize),
) -> Vec<usize> {
    let mut counts = Vec::new();
    loop {
        each(world, counts.len());
        let waiting: Vec<_> = LINES
            .into_iter()
            .filter(|line| world.waits(*line))
            .collect();
        if waiting.is_empty() {
            if world.compile() {
                continue;
            }
            return counts;
        }
        let choice = choices.get(counts.len()).copied().unwrap_or(0);
        world.go_on(waiting[choice]);
        counts.push(waiting.len());
    }
}

/// Plays `test` with every order of what waits: it is given the choices, and returns how many there
/// were.
fn in_every_order(limit: usize, mut test: impl FnMut(&[usize]) -> Vec<usize>) {
    let mut choices: Vec<usize> = Vec::new();
    for _ in 0..limit {
        let counts = test(&choices);
        choices.resize(counts.len(), 0);
        // The next one, counting up.
        loop {
            let Some(last) = choices.pop() else { return };
            if last + 1 < counts[choices.len()] {
                choices.push(last + 1);
                break;
            }
        }
    }
    panic!("there are more orders than that");
}

#[test]
fn a_cell_looks_the_same_in_whichever_order_its_messages_come() {
    for has_notebook in [false, true] {
        // A flood is one long line of text, which is cut wherever it may be in a test of its own.
        for code in ending().filter(|code| *code != Code::Floods) {
            in_every_order(20_000, |choices| {
                let mut world = World::ready(has_notebook);
                let id = world.execute(code);
                let counts = hear(&mut world, choices, |_, _| {});
                world.settle();
                assert_eq!(seen(&world, &id), expected(code), "{code:?} {choices:?}");
                assert!(is_idle_last(&world, &id), "{code:?} {choices:?}");
                counts
            });
        }
    }
}

#[test]
fn a_flood_is_shown_whole() {
    let mut world = World::ready(true);
    let id = world.execute(Code::Floods);
    world.settle();
    assert_eq!(seen(&world, &id), expected(Code::Floods));
}

/// Whether nothing is published for a request behind its going idle.
fn is_idle_last(world: &World, id: &str) -> bool {
    let mut published = world.done.iter().filter_map(|action| match action {
        Action::Publish(message) => Some(message),
        _ => None,
    });
    let header = |parent: &[u8]| serde_json::from_slice(parent).unwrap_or(json!({}));
    let last = published.rfind(|message| header(&message.parent)["msg_id"] == id);
    last.is_some_and(|last| last.content["execution_state"] == "idle")
}

/// Plays a cell and then another, and does something at each of their moments.
fn at_every_moment(code: Code, mut disturb: impl FnMut(&mut World), check: impl Fn(&World, &str)) {
    for has_notebook in [false, true] {
        for moment in 0.. {
            let mut world = World::ready(has_notebook);
            let id = world.execute(code);
            world.execute(Code::Prints);
            let mut is_done = false;
            hear(&mut world, &[], |world, now| {
                if now == moment && !std::mem::replace(&mut is_done, true) {
                    disturb(world);
                }
            });
            world.settle();
            for _ in 0..4 {
                world.pass(Duration::from_secs(1));
                if world.is_stuck() {
                    world.on(Event::Interrupt);
                }
                world.settle();
            }
            assert!(
                world.ended.is_some() || !world.is_stuck(),
                "{code:?}, {moment}"
            );
            for (request, count) in &world.replies {
                assert_eq!(*count, 1, "{request}: {code:?}, {moment}");
            }
            if world.ended.is_none() {
                assert_eq!(world.front.held(), 0, "{code:?}, {moment}");
            }
            check(&world, &id);
            if !is_done {
                break; // behind the last
            }
        }
    }
}

fn same_but_for_warnings(seen: &Seen, expected: &Seen) -> bool {
    let seen = Seen {
        stderr: expected.stderr,
        ..seen.clone()
    };
    seen == *expected
}

#[test]
fn an_interrupt_at_any_moment_ends_the_cell_or_comes_too_late() {
    for code in CODES {
        at_every_moment(
            code,
            |world| world.on(Event::Interrupt),
            |world, id| {
                let seen = seen(world, id);
                let known = match code {
                    Code::Waits if world.has_notebook => seen.error == "已中断",
                    Code::Waits | Code::Loops => {
                        seen.error
                            == if world.killed {
                                "已终止"
                            } else {
                                "已中断"
                            }
                    }
                    Code::Asks => ["", "已中断"].contains(&&*seen.error),
                    // It may have been about to end.
                    code => seen.error == "已中断" || same_but_for_warnings(&seen, &expected(code)),
                };
                assert!(known, "{code:?} {seen:?}");
                let endless = code == Code::Loops || code == Code::Waits && !world.has_notebook;
                assert!(
                    !world.killed || endless,
                    "the first interrupt kills nothing"
                );
            },
        );
    }
}

#[test]
fn the_process_may_end_at_any_moment() {
    for code in CODES {
        at_every_moment(code, World::die, |world, id| {
            let seen = seen(world, id);
            let known = ["进程已结束", "已中断", "已终止"].contains(&&*seen.error);
            // It may have said everything before; what is asked ends when nobody answers.
            let says_all = match code {
                Code::Waits | Code::Loops => false,
                Code::Asks => seen == Seen::default(),
                code => seen.error == expected(code).error,
            };
            assert!(known || says_all, "{code:?} {seen:?}");
        });
    }
}

#[test]
fn evcxr_may_end_at_any_moment_and_nobody_waits_for_ever() {
    for code in CODES {
        at_every_moment(
            code,
            |world| world.on(Event::Ended("signal: 9".to_owned())),
            |world, id| {
                assert!(world.answer(id).is_some());
                assert!([None, Some(1)].contains(&world.ended));
            },
        );
    }
    // While it works for nobody but us, too, and then the cell that waits is told why.
    let mut world = World::new(true, Some(":dep a = \"1\""));
    world.start_without_settling();
    let id = world.execute(Code::Prints);
    world.on(Event::Ended("signal: 9".to_owned()));
    assert_eq!(seen(&world, &id).error, "内核已结束");
}

#[test]
fn a_cell_ends_though_its_process_does_not_answer() {
    let mut world = World::ready(true);
    world.deaf = true;
    let id = world.execute(Code::Prints);
    world.settle();
    assert_eq!(seen(&world, &id), expected(Code::Prints));
    // What comes late is not taken for the answer of the next cell.
    let late = world.notebook_says(FromProcess::Flushed(1));
    world.on(late);
    let next = world.execute(Code::Prints);
    hear(&mut world, &[], |_, _| {});
    for (flush, ends) in [(1, false), (2, true)] {
        let flushed = world.notebook_says(FromProcess::Flushed(flush));
        world.on(flushed);
        hear(&mut world, &[], |_, _| {});
        assert_eq!(world.answer(&next).is_some(), ends, "{flush}");
    }
    assert_eq!(seen(&world, &next), expected(Code::Prints));
}

#[test]
fn what_waits_is_executed_behind_a_good_cell_and_not_behind_a_bad_one() {
    for code in ending() {
        let mut world = World::ready(true);
        world.execute(code);
        let next = world.execute(Code::Prints);
        world.settle();
        let status = &world.answer(&next).unwrap()["status"];
        let bad = !expected(code).error.is_empty();
        assert_eq!(
            *status,
            json!(if bad { "aborted" } else { "ok" }),
            "{code:?}"
        );
        // Unless the client wants it so.
        let goes_on = json!({ "code": "mistake", "stop_on_error": false });
        world.request("execute_request", goes_on);
        let next = world.execute(Code::Prints);
        world.settle();
        assert_eq!(world.answer(&next).unwrap()["status"], "ok");
    }
}

#[test]
fn a_silent_cell_is_neither_counted_nor_shown() {
    let mut world = World::ready(true);
    let silent = json!({ "code": "shows", "silent": true });
    let id = world.request("execute_request", silent);
    world.settle();
    for kind in ["execute_input", "execute_result"] {
        assert_eq!(world.published(&id, kind).len(), 0);
    }
    assert_eq!(world.answer(&id).unwrap()["execution_count"], 0);
    let id = world.execute(Code::Shows);
    world.settle();
    assert_eq!(world.answer(&id).unwrap()["execution_count"], 1);
    let history = world.request("history_request", json!({ "hist_access_type": "tail" }));
    let history = world.answer(&history).unwrap();
    assert_eq!(history["history"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_typed_reaches_the_cell_and_who_has_no_box_is_told() {
    for (allows, typed) in [(true, Ok("typed\n".to_owned())), (false, Err(95))] {
        let mut world = World::ready(true);
        let asks = json!({ "code": "asks", "allow_stdin": allows });
        let id = world.request("execute_request", asks);
        world.settle();
        let reply = Message::new("input_reply", "r", json!({ "value": "typed" }));
        world.on(Event::Stdin(reply));
        world.settle();
        let answers = world.done.iter().filter_map(|action| match action {
            Action::AnswerInput(answer) => Some(answer.clone()),
            _ => None,
        });
        assert_eq!(answers.collect::<Vec<_>>(), [typed]);
        let said = world.text(&id, "stderr");
        assert_eq!(said.contains("没有输入框"), !allows, "{said}");
    }
}

#[test]
fn nobody_is_asked_between_cells() {
    let mut world = World::ready(true);
    world.process_wants_input();
    world.settle();
    let answered = |action: &Action| *action == Action::AnswerInput(Err(95));
    assert!(world.done.iter().any(answered));
    let told = format!("{:?}", world.done);
    assert!(told.contains("没有单元格在执行"), "{told}");
}

#[test]
fn a_spare_that_is_taken_answers_its_first_cell_at_once_or_forgets_it() {
    let first = ":dep a = \"1\"";
    for (asked, counts) in [(first, 1), ("shows", 1)] {
        let mut world = World::new(true, Some(first));
        world.start();
        let warm = |action: &Action| *action == Action::Warm(Ok(()));
        assert!(world.done.iter().any(warm));
        world.done.clear();
        world.on(Event::Taken);
        let id = world.request("execute_request", json!({ "code": asked }));
        let is_known = world.answer(&id).is_some();
        assert_eq!(
            is_known,
            asked == first,
            "before evcxr has heard of anything"
        );
        world.settle();
        assert_eq!(world.answer(&id).unwrap()["execution_count"], counts);
        let cleared = world.done.iter().any(|action| {
            matches!(action, Action::AskEvcxr(_, "execute_request", content) if content["code"] == ":clear")
        });
        assert_eq!(cleared, asked != first);
    }
}

#[test]
fn a_client_that_asks_early_is_answered_early() {
    let mut world = World::new(true, Some(":dep a = \"1\""));
    for kind in [
        "kernel_info_request",
        "history_request",
        "comm_info_request",
    ] {
        let id = world.request(kind, json!({}));
        assert!(world.answer(&id).is_some(), "before evcxr listens");
    }
    // And an interrupt is about the cells that wait: they are all that anybody knows of.
    let id = world.execute(Code::Prints);
    world.on(Event::Interrupt);
    assert_eq!(world.answer(&id).unwrap()["status"], "aborted");
}

#[test]
fn what_is_run_ahead_is_seen_by_nobody() {
    let mut world = World::new(true, Some(":dep a = \"1\""));
    world.start();
    let shown = |action: &&Action| matches!(action, Action::Publish(_) | Action::Pass(_));
    assert_eq!(world.done.iter().find(shown), None);
}

#[test]
fn a_shutdown_is_answered_and_ends_the_kernel() {
    for (event, restart) in [
        (Event::Control as fn(Message) -> Event, true),
        (Event::Shell, false),
    ] {
        let mut world = World::ready(true);
        world.execute(Code::Loops);
        hear(&mut world, &[], |_, _| {});
        let content = json!({ "restart": restart });
        world.on(event(Message::new("shutdown_request", "s", content)));
        if restart {
            assert_eq!(world.ended, Some(0), "at once, whatever is running");
        } else {
            world.pass(Duration::from_secs(1));
            world.on(Event::Interrupt);
            world.settle();
            world.pass(Duration::from_secs(1));
            world.on(Event::Interrupt);
            world.settle();
            assert_eq!(world.ended, Some(0), "when its turn has come");
        }
        let answered = |action: &Action| matches!(action, Action::Reply(_, reply) if reply.kind == "shutdown_reply" && reply.content["restart"] == restart);
        assert!(world.done.iter().any(answered));
    }
}

#[test]
fn evcxr_is_asked_again_until_it_is_heard() {
    let mut front = Front::new(Setup::default());
    let asks = |actions: &[Action]| {
        let ask = |action: &&Action| matches!(action, Action::AskEvcxr(..));
        actions.iter().filter(ask).count()
    };
    assert_eq!(asks(&front.on(Event::Listening, Moment::ZERO)), 1);
    for _ in 0..3 {
        let moment = front.next_moment().expect("it is not heard yet");
        assert_eq!(asks(&front.on(Event::Moment, moment)), 1);
    }
}

#[test]
fn an_interrupt_that_finds_nothing_is_tried_again_and_one_that_comes_too_late_is_not() {
    let tries = |world: &World| {
        let tries = |action: &&Action| **action == Action::Interrupt;
        world.done.iter().filter(tries).count()
    };
    let mut world = World::ready(false);
    world.execute(Code::Loops);
    hear(&mut world, &[], |_, _| {});
    world.pass(Duration::from_secs(1)); // nothing else waits for a moment
    world.on(Event::Interrupt);
    let moment = world.front.next_moment().expect("it is tried again");
    world.pass_to(moment);
    assert_eq!(tries(&world), 2);
    // The code has come to its end, and evcxr has not heard of it.
    let mut world = World::ready(true);
    world.deaf = true;
    world.execute(Code::Prints);
    hear(&mut world, &[], |_, _| {});
    world.on(Event::Interrupt);
    assert_eq!(tries(&world), 0);
}

#[test]
fn a_cancelled_wait_is_said_to_be_stuck_only_while_its_code_runs() {
    let (panicked, ended) = (record::PANICKED, record::ENDED);
    for (records, stuck) in [
        (&[panicked, ended][..], false),
        (&[ended], false), // the code has caught it
        (&[panicked], false),
        (&[], true),
    ] {
        let mut world = World::ready(true);
        world.deaf = true;
        let id = world.execute(Code::Waits);
        hear(&mut world, &[], |_, _| {});
        world.stubborn = true;
        world.on(Event::Interrupt);
        for kind in records {
            world.write_record(kind, "");
        }
        hear(&mut world, &[], |_, _| {});
        world.pass(Duration::from_millis(300));
        world.pass(Duration::from_millis(100));
        let text = world.text(&id, "stderr");
        assert_eq!(text.contains("等待中断"), stuck, "{records:?}");
    }
}

#[test]
fn a_cell_was_interrupted_only_if_it_ends_because_its_wait_did() {
    let (panicked, message) = (record::PANICKED, record::MESSAGE);
    for (unwound, records, error) in [
        (true, &[(panicked, "")][..], "已中断"),
        (true, &[], ""), // it has caught that
        (true, &[(message, PANIC), (panicked, "oh")], "panic"),
        (false, &[(panicked, "")], "panic"), // `resume_unwind`
    ] {
        let mut world = World::ready(true);
        let id = world.execute(Code::Loops);
        hear(&mut world, &[], |_, _| {});
        if unwound {
            let unwound = world.notebook_says(FromProcess::Unwound);
            world.on(unwound);
        }
        for (kind, payload) in records {
            world.write_record(kind, payload);
        }
        world.write_record(record::ENDED, "");
        world.settle();
        assert_eq!(seen(&world, &id).error, error, "{unwound}, {records:?}");
    }
}

#[test]
fn somebody_who_uses_the_kernel_makes_it_go_first() {
    let steps = |actions: &[Action]| actions.contains(&Action::StepForward);
    let setup = || Setup {
        steps_back: true,
        ..Setup::default()
    };
    let cell = Message::new("execute_request", "1", json!({ "code": "1" }));
    let info = Message::new("kernel_info_request", "1", json!({}));
    for (event, forward) in [
        (Event::Shell(cell), true),
        (Event::Taken, true),
        (Event::Shell(info), false),
    ] {
        let mut front = Front::new(setup());
        assert_eq!(steps(&front.on(event, Moment::ZERO)), forward);
        assert!(
            !steps(&front.on(Event::Taken, Moment::ZERO)) || !forward,
            "once"
        );
    }
}

#[test]
fn what_clients_are_told_is_whole() {
    let mut world = World::ready(true);
    let code = json!({ "code": "shows", "user_expressions": { "a": "1" } });
    let id = world.request("execute_request", code);
    world.settle();
    let answer = world.answer(&id).unwrap();
    assert_eq!(answer["user_expressions"]["a"]["status"], "error");
    // A display that is not the cell's value.
    world.on(Event::Written(
        Stream::Stdout,
        b"EVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_END_CONTENT\n".to_vec(),
    ));
    world.settle();
    let displays = world.published(&id, "display_data");
    assert_eq!(displays[0]["data"]["text/html"], "<b>");
}

#[test]
fn what_rustc_says_is_heard_in_the_cell_that_it_is_about() {
    // What evcxr makes of a cell `f();` in which nobody waits for `f`.
    let generated = "#![allow(unused_imports, unused_mut, dead_code)]\n#[unsafe(no_mangle)]\n\
        pub extern \"C\" fn run_user_code_1(\nevcxr_variable_store: *mut u8) -> *mut u8 {\n\
        if std::panic::catch_unwind(||{\nprints;\n}).is_err() {\n}\nevcxr_variable_store\n}\n";
    let said = |level: &str, generated: &str| {
        let span = json!({
            "file_name": "src/lib.rs", "is_primary": true, "label": "here",
            "line_start": 6, "line_end": 6, "column_start": 1, "column_end": 7,
        });
        let message = json!({
            "level": level, "message": "mismatched types", "children": [], "spans": [span],
            "code": { "code": if level == "error" { "E0308" } else { "unused_must_use" } },
        });
        Event::Diagnosed(Diagnosis::new(generated.to_owned(), vec![message]))
    };
    let mut world = World::ready(true);
    let id = world.request("execute_request", json!({ "code": "prints;\n" }));
    world.on(said("warning", generated));
    world.settle();
    assert!(world.text(&id, "stderr").contains("单元格 [1]:1:1"));
    assert_eq!(world.answer(&id).unwrap()["status"], "ok");
    let mut world = World::ready(true);
    let id = world.request("execute_request", json!({ "code": "mistake;\n" }));
    let generated = generated.replace("prints", "mistake");
    world.on(said("error", &generated));
    world.settle();
    let seen = seen(&world, &id);
    assert_eq!((&*seen.error, &*seen.says), ("E0308", "mismatched types"));
}

#[test]
fn evcxr_hears_places_in_its_own_terms() {
    // A flag is two code points, and one character to evcxr.
    for (kind, cursor) in [("complete_request", 2), ("inspect_request", 2)] {
        let mut world = World::ready(true);
        let id = world.request(kind, json!({ "code": "🇨🇳a", "cursor_pos": 3 }));
        world.settle();
        assert_eq!(world.replies[&id], 1);
        let asked = world.done.iter().find_map(|action| match action {
            Action::ToEvcxr(request) => Some(request.content()),
            _ => None,
        });
        let asked = asked.unwrap();
        let place = asked["cursor_pos"].as_u64().unwrap();
        assert_eq!(place, cursor, "{kind}: {asked}");
    }
}

#[test]
fn what_is_said_of_another_request_is_nothing_to_this_one() {
    let mut world = World::ready(true);
    let id = world.execute(Code::Waits);
    hear(&mut world, &[], |_, _| {});
    let of_another = |kind: &str, content| Message {
        parent_id: "another".to_owned(),
        ..Message::new(kind, "m", content)
    };
    let reply = of_another("execute_reply", json!({ "status": "ok" }));
    let idle = of_another("status", json!({ "execution_state": "idle" }));
    world.on(Event::Replied(reply));
    world.on(Event::Published(idle));
    assert!(world.answer(&id).is_none());
    let error = of_another("error", json!({ "ename": "Error", "evalue": "no" }));
    world.on(Event::Published(error));
    world.on(Event::Interrupt);
    world.settle();
    assert_eq!(seen(&world, &id).error, "已中断");
}

#[test]
fn after_a_cell_that_names_crates_a_type_is_inferred_unless_it_failed_or_was_known() {
    let infers = |world: &World| {
        let infers = |action: &Action| matches!(action, Action::AskEvcxr(_, "complete_request", _));
        world.done.iter().any(infers)
    };
    for (code, expected) in [
        (":dep a = \"1\"\nlet x = 1;", true),
        ("let x = 1;", false),
        ("mistake", false),
    ] {
        let mut world = World::ready(true);
        world.settle();
        world.done.clear();
        world.request("execute_request", json!({ "code": code }));
        world.settle();
        assert_eq!(infers(&world), expected, "{code}");
    }
    // What has been run ahead, with the rehearsal, needs no other.
    let mut world = World::new(true, Some(":dep a = \"1\""));
    world.start();
    world.done.clear();
    world.request("execute_request", json!({ "code": ":dep a = \"1\"" }));
    world.settle();
    assert!(!infers(&world));
}

#[test]
fn a_value_is_a_result_only_of_a_good_cell_that_ends_in_one() {
    let shows = |value: &str| {
        let content = format!("EVCXR_BEGIN_CONTENT text/plain\n{value}\nEVCXR_END_CONTENT\n");
        Event::Written(Stream::Stdout, content.into_bytes())
    };
    for (code, value, results, displays) in [
        ("waits", "1", 0, 1), // it is cancelled
        ("x", "1", 1, 0),
        ("x;", "1", 0, 1),
        ("x", "()", 0, 0),
    ] {
        let mut world = World::ready(true);
        let id = world.request("execute_request", json!({ "code": code }));
        world.compile();
        world.on(shows(value));
        world.on(Event::Interrupt);
        world.settle();
        assert_eq!(
            world.published(&id, "execute_result").len(),
            results,
            "{code} {value}"
        );
        assert_eq!(
            world.published(&id, "display_data").len(),
            displays,
            "{code} {value}"
        );
    }
}

#[test]
fn what_the_process_owed_when_it_ended_is_not_waited_for() {
    let running = |code| {
        let mut world = World::ready(true);
        let id = world.execute(code);
        hear(&mut world, &[], |_, _| {});
        (world, id)
    };
    // What an interrupt has found.
    let crate_gone = |world: &World| world.notebook_says(FromProcess::Gone);
    let process_gone = |_: &World| Event::Process(1, FromProcess::Gone);
    for gone in [crate_gone, process_gone] {
        let (mut world, _) = running(Code::Loops);
        world.on(Event::Interrupt);
        let gone = gone(&world);
        world.on(gone);
        world.done.clear();
        world.pass(Duration::from_millis(50));
        assert!(world.done.contains(&Action::Interrupt), "it is tried again");
    }
    // What is typed.
    let (mut world, _) = running(Code::Asks);
    world.on(Event::Process(1, FromProcess::Gone));
    let reply = Message::new("input_reply", "r", json!({ "value": "typed" }));
    world.on(Event::Stdin(reply));
    let answered = |action: &Action| matches!(action, Action::AnswerInput(_));
    assert!(!world.done.iter().any(answered));
    // Whether a panic is caught: it is shown while its place is still known.
    let (mut world, id) = running(Code::Loops);
    world.write_record(record::MESSAGE, PANIC);
    hear(&mut world, &[], |_, _| {});
    world.on(Event::Process(1, FromProcess::Gone));
    world.pass(Duration::from_millis(100));
    assert!(world.text(&id, "stderr").contains("panicked"));
}

#[test]
fn a_process_that_is_no_more_is_not_listened_to() {
    let mut world = World::ready(true);
    world.execute(Code::Prints);
    world.settle();
    let old = world.notebook_says(FromProcess::WantsInput);
    world.execute(Code::Exits);
    world.settle();
    world.execute(Code::Prints);
    world.settle();
    world.done.clear();
    world.on(old);
    for said in [FromProcess::WantsInput, FromProcess::Gone] {
        world.on(Event::Process(1, said));
    }
    world.on(Event::Process(99, FromProcess::Loaded(99)));
    assert_eq!(world.done, []);
    // The crate of a process that runs may be gone without it, and then nobody waits for it.
    let gone = world.notebook_says(FromProcess::Gone);
    let id = world.execute(Code::Prints);
    world.deaf = true;
    hear(&mut world, &[], |_, _| {});
    assert!(world.answer(&id).is_none());
    world.on(gone);
    hear(&mut world, &[], |_, _| {});
    assert!(world.answer(&id).is_some());
}
