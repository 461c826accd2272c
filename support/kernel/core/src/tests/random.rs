//! Whatever happens in whichever order: the front never hangs, never answers twice, kills nothing
//! that it has not announced, and keeps nothing.

use std::time::Duration;

use properties::proptest::prelude::*;

use super::world::{CODES, Code, LINES, Line, World};
use crate::{Event, Message, Moment};

/// Something that happens.
#[derive(Clone, Debug)]
enum Happens {
    Cell(Code),
    Interrupt,
    InterruptRequest,
    Completion,
    KernelInfo,
    Input,
    Death,
    Taken,
    Compiled,
    Heard(Line),
    Pass(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => prop::sample::select(&CODES[..]).prop_map(Happens::Cell),
        4 => Just(Happens::Interrupt),
        1 => Just(Happens::InterruptRequest),
        1 => Just(Happens::Completion),
        1 => Just(Happens::KernelInfo),
        2 => Just(Happens::Input),
        1 => Just(Happens::Death),
        1 => Just(Happens::Taken),
        6 => Just(Happens::Compiled),
        16 => prop::sample::select(&LINES[..]).prop_map(Happens::Heard),
        4 => (1u64..2000).prop_map(Happens::Pass),
    ]
}

fn play(world: &mut World, happens: &Happens) {
    match happens {
        Happens::Cell(code) => drop(world.execute(*code)),
        Happens::Interrupt => world.on(Event::Interrupt),
        Happens::InterruptRequest => {
            let request = Message::new("interrupt_request", "i", serde_json::json!({}));
            world.on(Event::Control(request));
        }
        Happens::Completion => {
            let content = serde_json::json!({ "code": "a", "cursor_pos": 1 });
            world.request("complete_request", content);
        }
        Happens::KernelInfo => drop(world.request("kernel_info_request", serde_json::json!({}))),
        Happens::Input => {
            let reply = serde_json::json!({ "value": "typed" });
            world.on(Event::Stdin(Message::new("input_reply", "r", reply)));
        }
        Happens::Death => world.die(),
        Happens::Taken => world.on(Event::Taken),
        Happens::Compiled => drop(world.compile()),
        Happens::Heard(line) => drop(world.go_on(*line)),
        Happens::Pass(milliseconds) => world.pass(Duration::from_millis(*milliseconds)),
    }
}

/// Plays it, and then sees to it that everything comes to an end.
fn check(world: &mut World, all: &[Happens]) {
    for one in all {
        let (warned, killed) = (world.warned, world.killed);
        play(world, one);
        assert!(
            killed || !world.killed || warned,
            "killed without a warning"
        );
    }
    world.settle();
    // A cell that runs on is ended as a student would end it: by pressing again and again.
    for _ in 0..world.replies.len() * 3 + 3 {
        world.on(Event::Interrupt);
        world.settle();
        world.pass(Duration::from_secs(1));
    }
    assert!(!world.is_stuck(), "a cell cannot be ended");
    for (request, count) in &world.replies {
        assert_eq!(*count, 1, "{request} is answered {count} times");
    }
    assert_eq!(world.front.held(), 0, "something is kept");
    assert_eq!(world.front.next_moment(), None::<Moment>);
}

#[test]
fn whatever_happens_everything_is_answered_once_and_nothing_is_lost() {
    let inputs = (
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(happens(), 0..60),
    );
    properties::holds(&inputs, |(has_notebook, ahead, all)| {
        let mut world = match ahead {
            false => World::ready(has_notebook),
            true => {
                let mut world = World::new(has_notebook, Some(":dep a = \"1\""));
                world.on(Event::Listening);
                world
            }
        };
        check(&mut world, &all);
    });
}
