//! What is wrong with a task, as far as its record shows it.

use std::fs;

use link::variable;
use nest_tokio::watch::Kind;

use super::figures::BLOCKING;
use super::record::Task;
use crate::columns::clip;
use crate::place;
use crate::polled;

/// A future this large is worth a word: each move copies it.
const HUGE: usize = 16 * 1024;
/// A task that has woken itself so often goes round in a circle…
const MANY: u64 = 1_000;
/// … if it does next to nothing in between: nanoseconds a poll.
const NOTHING: u64 = 10_000;
/// So long after it was started a task that nobody has polled is not just about to be.
const FORGOTTEN: u64 = 300_000_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lint {
    /// It kept its thread, and did nothing meanwhile.
    Blocks,
    /// It kept its thread to calculate, without a break.
    NeverYields,
    /// It wakes itself again and again instead of waiting for something.
    Circles,
    /// It waits, and nobody can wake it.
    LostWaker,
    /// Its future is huge.
    Huge,
    /// Nobody has ever polled it.
    NeverPolled,
}

/// What all tasks show together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// One has the thread, or is about to: who was never polled may just be next.
    pub(crate) are_busy: bool,
    /// One in a `LocalSet` has been polled: somebody drives it.
    pub(crate) run_local: bool,
}

impl Others {
    pub(crate) fn of(tasks: &[Task]) -> Others {
        let mut others = Others::default();
        for task in tasks {
            let Some(origin) = task.origin else { continue };
            // Not the one that asks.
            let is_polled = task.in_poll && Some(origin.number) != polled::current();
            let is_task = matches!(origin.kind, Kind::Task | Kind::Local);
            others.are_busy |= is_task && (is_polled || task.end.is_none() && task.woken.is_some());
            others.run_local |= origin.kind == Kind::Local && task.polls > 0;
        }
        others
    }
}

/// What is wrong with this task, `now`.
pub(crate) fn of(task: &Task, now: u64, others: Others) -> Vec<Lint> {
    let Some(origin) = task.origin else {
        return Vec::new(); // tracked by hand: any future, in any place
    };
    let is_task = matches!(origin.kind, Kind::Task | Kind::Local);
    let mut lints = Vec::new();
    if is_task && task.blocked.is_some() {
        lints.push(Lint::Blocks);
    }
    let still = task.in_poll.then(|| task.spans.last()).flatten();
    let still = still.is_some_and(|span| span.busy >= 10 * BLOCKING);
    if is_task && (task.computed.is_some() || still) {
        lints.push(Lint::NeverYields);
    }
    let (wakes, own) = task.wake_counts;
    if own >= MANY && own * 10 >= wakes * 9 && usual_poll(task) < NOTHING {
        lints.push(Lint::Circles);
    }
    let waits = task.end.is_none() && task.polls > 0 && !task.in_poll && task.woken.is_none();
    if waits && task.holders == Some(0) {
        lints.push(Lint::LostWaker);
    }
    if origin.size >= HUGE {
        lints.push(Lint::Huge);
    }
    let is_never_polled = match task.end {
        None => now.saturating_sub(task.created) >= FORGOTTEN && !others.are_busy,
        // With a set that nobody ever drove. Other tasks are cancelled on purpose, too.
        Some(_) => origin.kind == Kind::Local && !others.run_local,
    };
    if is_task && task.polls == 0 && is_never_polled {
        lints.push(Lint::NeverPolled);
    }
    lints
}

/// How long most of its polls are at most, in nanoseconds: a few may have had to wait for a processor.
fn usual_poll(task: &Task) -> u64 {
    let mut lengths: Vec<u64> = task
        .spans
        .iter()
        .map(|span| span.busy / span.polls.max(1))
        .collect();
    let middle = lengths.len() / 2;
    match lengths.is_empty() {
        true => 0,
        false => *lengths.select_nth_unstable(middle).1,
    }
}

impl Lint {
    /// What, where, why and what to do.
    pub(crate) fn sentence(self, task: &Task, words: impl Fn(u64) -> String) -> String {
        let name = clip(&task.label, 32);
        let origin = task
            .origin
            .and_then(|origin| origin.place)
            .and_then(place::of);
        let origin = origin.map_or(String::new(), |place| format!("（{place}）"));
        let time = |span: Option<super::record::Span>| words(span.map_or(0, |span| span.busy));
        let (what, section) = match self {
            Lint::Blocks => (
                format!(
                    "阻塞了线程 {}：一次 poll 里几乎没有计算，只是在等，同一线程上的其他任务都得陪着等。\
                     换成能 .await 的等待，或者放进 spawn_blocking。",
                    time(task.blocked)
                ),
                "blocking",
            ),
            Lint::NeverYields => (
                match task.computed {
                    Some(_) => format!(
                        "一口气算了 {}，中间没有让出线程。在循环里隔一阵 yield_now().await，或者放进 spawn_blocking。",
                        time(task.computed)
                    ),
                    None => format!(
                        "这一次 poll 已经 {}，还没有返回：没有一个 .await 让出过线程，中断和取消都要等它。",
                        time(task.spans.last().copied())
                    ),
                },
                "yield",
            ),
            Lint::Circles => (
                format!(
                    "自己唤醒了自己 {} 次，每次 poll 几乎什么也没做：它在空转，占着一个核。\
                     要等什么，就把 waker 交给那件事，由它来唤醒。",
                    task.wake_counts.1
                ),
                "poll",
            ),
            Lint::LostWaker => (
                "在等待，但没有谁拿着它的 waker：它再也不会被唤醒。返回 Pending 之前，要先把 waker 交给\
                 将来唤醒它的一方。"
                    .into(),
                "poll",
            ),
            Lint::Huge => (
                format!(
                    "的 future 有 {} KiB：每次移动都要复制这么多。跨过 .await 的大数组放进 Box 或 Vec。",
                    task.origin.map_or(0, |origin| origin.size) / 1024
                ),
                "box",
            ),
            Lint::NeverPolled => (
                "启动了，但从来没有被 poll 过：没有谁在驱动它所在的运行时或 LocalSet。".into(),
                "run",
            ),
        };
        let section = section_of(section).unwrap_or_default();
        format!("“{name}”{origin}{what}{section}")
    }
}

/// Where the course explains this, if there is a course.
fn section_of(key: &str) -> Option<String> {
    let text = fs::read_to_string(std::env::var_os(variable::SECTIONS)?).ok()?;
    text.lines().find_map(|line| {
        let (found, section) = line.split_once(" = ")?;
        (found == key).then(|| section.trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::figures::sample::{self, MS, task};
    use super::super::record::{End, Span, Task};
    use super::super::wake::Wake;
    use super::*;
    use crate::polled::Cause;

    /// A task that was spawned, polled for a microsecond and waits for a timer.
    fn healthy() -> Task {
        let task = task("fetch", &[(MS, MS + 1_000, 1)], None);
        Task {
            holders: Some(1),
            ..sample::started(7, None, task)
        }
    }

    fn with(change: impl Fn(&mut Task)) -> Task {
        let mut task = healthy();
        change(&mut task);
        task
    }

    fn long(task: &mut Task, length: u64) -> Option<Span> {
        task.spans[0].busy = length;
        Some(task.spans[0])
    }

    #[test]
    fn each_mistake_has_its_lint_and_nothing_else_has_one() {
        let kind = |task: &mut Task, kind| task.origin.as_mut().unwrap().kind = kind;
        let size = |task: &mut Task, size| task.origin.as_mut().unwrap().size = size;
        let table: [(&str, Task, &[Lint]); 22] = [
            ("healthy", healthy(), &[]),
            (
                "blocks",
                with(|task| task.blocked = long(task, 10 * MS)),
                &[Lint::Blocks],
            ),
            (
                "a blocking thread may",
                with(|task| {
                    task.blocked = long(task, 10 * MS);
                    kind(task, Kind::Blocking);
                }),
                &[],
            ),
            (
                "the cell may",
                with(|task| {
                    task.computed = long(task, 10 * MS);
                    kind(task, Kind::BlockOn);
                }),
                &[],
            ),
            (
                "calculates",
                with(|task| task.computed = long(task, 10 * MS)),
                &[Lint::NeverYields],
            ),
            (
                "still calculates",
                with(|task| {
                    long(task, 100 * MS);
                    task.in_poll = true;
                }),
                &[Lint::NeverYields],
            ),
            (
                "is being polled",
                with(|task| {
                    task.in_poll = true;
                    task.holders = Some(0);
                }),
                &[],
            ),
            (
                "wakes itself",
                with(|task| task.wake_counts = (1_000, 1_000)),
                &[Lint::Circles],
            ),
            (
                "wakes itself, and is woken",
                with(|task| task.wake_counts = (3_000, 1_000)),
                &[],
            ),
            (
                "wakes itself now and then",
                with(|task| task.wake_counts = (999, 999)),
                &[],
            ),
            (
                "wakes itself and works",
                with(|task| {
                    task.wake_counts = (1_000, 1_000);
                    long(task, 10_000);
                }),
                &[],
            ),
            (
                "wakes itself, and had to stand in line once",
                with(|task| {
                    task.wake_counts = (1_000, 1_000);
                    let usual = task.spans[0];
                    task.spans = vec![usual; 3];
                    long(task, 30 * MS);
                }),
                &[Lint::Circles],
            ),
            (
                "nobody holds its waker",
                with(|task| task.holders = Some(0)),
                &[Lint::LostWaker],
            ),
            (
                "nobody knows who does",
                with(|task| task.holders = None),
                &[],
            ),
            (
                "it is about to be polled",
                with(|task| {
                    task.holders = Some(0);
                    task.woken = Some(Wake {
                        time: 0,
                        cause: Cause::Driver,
                    });
                }),
                &[],
            ),
            (
                "it has ended",
                with(|task| {
                    task.holders = Some(0);
                    task.end = Some((MS, End::Completed));
                }),
                &[],
            ),
            ("huge", with(|task| size(task, 16 * 1024)), &[Lint::Huge]),
            ("large", with(|task| size(task, 16 * 1024 - 1)), &[]),
            (
                "never polled",
                with(|task| {
                    task.spans.clear();
                    task.polls = 0;
                }),
                &[Lint::NeverPolled],
            ),
            (
                "dropped before it was polled",
                with(|task| {
                    task.spans.clear();
                    task.polls = 0;
                    task.end = Some((MS, End::Cancelled));
                }),
                &[],
            ),
            (
                "dropped with a set that nobody drove",
                with(|task| {
                    task.spans.clear();
                    task.polls = 0;
                    task.end = Some((MS, End::Cancelled));
                    kind(task, Kind::Local);
                }),
                &[Lint::NeverPolled],
            ),
            (
                "tracked by hand",
                with(|task| {
                    task.origin = None;
                    task.holders = Some(0);
                }),
                &[],
            ),
        ];
        let alone = Others::default();
        for (what, task, expected) in table {
            assert_eq!(of(&task, 400 * MS, alone), expected, "{what}");
            for lint in expected {
                let sentence = lint.sentence(&task, |time| format!("{time} ns"));
                assert!(sentence.starts_with("“fetch”"), "{sentence}");
            }
        }
    }

    #[test]
    fn who_is_about_to_be_polled_is_not_forgotten() {
        let unpolled = |kind, end| {
            with(|task| {
                task.spans.clear();
                task.polls = 0;
                task.end = end;
                task.origin.as_mut().unwrap().kind = kind;
            })
        };
        let spawned = unpolled(Kind::Task, None);
        let among = |others: &[Task]| of(&spawned, 400 * MS, Others::of(others));
        assert_eq!(among(&[healthy()]), [Lint::NeverPolled]);
        assert_eq!(of(&spawned, 299 * MS, Others::default()), [], "is young");
        assert_eq!(among(&[with(|task| task.in_poll = true)]), []);
        let woken = Wake {
            time: 0,
            cause: Cause::Driver,
        };
        assert_eq!(among(&[with(|task| task.woken = Some(woken))]), []);
        let cell = with(|task| {
            task.in_poll = true;
            task.origin.as_mut().unwrap().kind = Kind::BlockOn;
        });
        assert_eq!(among(&[cell]), [Lint::NeverPolled]);

        let dropped = unpolled(Kind::Local, Some((MS, End::Cancelled)));
        let driven = with(|task| task.origin.as_mut().unwrap().kind = Kind::Local);
        assert_eq!(of(&dropped, 400 * MS, Others::of(&[driven])), []);
    }
}
