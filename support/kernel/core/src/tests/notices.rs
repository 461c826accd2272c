//! What takes long is told in the cell that waits for it.

use serde_json::{Value, json};

use super::world::{Code, Line, World};
use crate::{Action, Event};

/// The kinds and the displays of the notices, with the request that each is shown for.
fn notices(world: &World) -> Vec<(&str, &Value, String)> {
    let shown = world.done.iter().filter_map(|action| match action {
        Action::Publish(message) if message.kind.ends_with("display_data") => {
            let parent: Value = serde_json::from_slice(&message.parent).unwrap();
            let parent = parent["msg_id"].as_str().unwrap().to_owned();
            Some((&*message.kind, &message.content, parent))
        }
        _ => None,
    });
    shown.collect()
}

fn told(world: &mut World, guest: u64, line: &str) {
    world.on(Event::Notice(guest, line.to_owned()));
}

#[test]
fn a_notice_takes_the_place_of_the_one_before_of_the_same_guest_in_the_same_cell() {
    let mut world = World::ready(true);
    let cell = world.execute(Code::Compiles);
    told(&mut world, 1, "a");
    told(&mut world, 1, "b");
    told(&mut world, 2, "c");
    world.settle();
    let next = world.execute(Code::Compiles);
    told(&mut world, 2, "d");
    let shown = notices(&world);
    let kinds: Vec<(&str, &str, &str)> = shown
        .iter()
        .map(|(kind, content, cell)| {
            let line = content["data"]["text/plain"].as_str().unwrap();
            (*kind, line, &**cell)
        })
        .collect();
    let expected = [
        ("display_data", "a", &*cell),
        ("update_display_data", "b", &cell),
        ("display_data", "c", &cell),
        ("display_data", "d", &next),
    ];
    assert_eq!(kinds, expected);
    let display = |index: usize| &shown[index].1["transient"]["display_id"];
    assert_eq!(display(0), display(1));
    assert_ne!(display(1), display(2));
}

#[test]
fn a_notice_stands_behind_what_the_cell_has_written() {
    let mut world = World::ready(true);
    let cell = world.execute(Code::Loops);
    world.hear_all();
    world.compile();
    world.hear_all();
    world.on(Event::Written(crate::Stream::Stdout, b"before".to_vec()));
    told(&mut world, 1, "a");
    assert_eq!(world.text(&cell, "stdout"), "before");
}

#[test]
fn who_waits_is_told_and_nobody_else() {
    // The cell that waits, while evcxr works for nobody but us.
    let mut world = World::new(true, Some(":dep a = \"1\""));
    world.start_without_settling();
    told(&mut world, 1, "nobody waits");
    assert_eq!(notices(&world), []);
    while world.go_on(Line::Socket) {}
    world.request("complete_request", json!({ "code": "a", "cursor_pos": 1 }));
    told(&mut world, 1, "no cell waits");
    assert_eq!(notices(&world), []);
    let cell = world.execute(Code::Prints);
    told(&mut world, 1, "a");
    assert_eq!(notices(&world)[0].2, cell);
    // A silent one shows nothing.
    let mut world = World::ready(true);
    world.request(
        "execute_request",
        json!({ "code": "loops", "silent": true }),
    );
    told(&mut world, 1, "a");
    assert_eq!(notices(&world), []);
}
