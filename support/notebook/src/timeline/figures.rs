//! What a timeline says in numbers and sentences.

use std::collections::HashMap;
use std::time::Duration;

use super::axis::{Axis, Unit};
use super::lints::{self, Lint, Others};
use super::record::{End, SEVERAL_THREADS, Task};
use super::tree;
use crate::columns::clip;
use nest_tokio::watch::Kind;

/// From this on a poll is said to block its thread: three frames of a smooth animation, and a
/// thousand times what tokio recommends.
pub(crate) const BLOCKING: u64 = 10_000_000;
/// A task that ends with its first poll is only worth a word if that took some time.
const WORTH_YIELDING: u64 = 1_000_000;
/// Names in a sentence.
const MOST_NAMES: usize = 3;
/// Stretches without any task that are cut short.
const MOST_GAPS: usize = 8;
/// Widest name in a sentence, in columns.
const WIDEST_NAME: usize = 32;

/// A timeline in numbers: see [`Timeline::summary`](crate::Timeline::summary).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Tasks that were tracked.
    pub tasks: usize,
    /// Of these: have given their output.
    pub completed: usize,
    /// Of these: were dropped before they gave one.
    pub cancelled: usize,
    /// Of these: panicked.
    pub panicked: usize,
    /// Of these: have not ended.
    pub unfinished: usize,
    /// Tasks that were never polled, dropped or not.
    pub never_polled: usize,
    /// Polls of all tasks.
    pub polls: u64,
    /// Most tasks in progress at the same time: polled at least once and not ended.
    pub peak: usize,
    /// From the creation of the first task to the end of the last, or to now if one has not ended.
    pub elapsed: Duration,
    /// The times of all tasks, each from its first poll to its end, added up.
    pub total: Duration,
    /// The poll that took longest.
    pub longest_poll: Option<LongestPoll>,
    /// Labels of the tasks that ran for 1 ms or more and completed in their first poll.
    pub never_yielded: Vec<String>,
    /// Threads on which tasks were polled.
    pub threads: usize,
}

/// A poll, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongestPoll {
    /// The task's label.
    pub label: String,
    /// How long it kept its thread.
    pub duration: Duration,
}

/// All tasks as they are at one moment.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) unit: Unit,
    /// Tasks that are not among these: they were too many.
    pub(crate) more: usize,
    /// Each below the one that started it, else in the order in which they were created; labels
    /// differ.
    pub(crate) tasks: Vec<Task>,
    /// How deep each of them stands.
    pub(crate) depths: Vec<usize>,
    /// When it was taken.
    pub(crate) now: u64,
    /// When the picture ends, on the timeline's clock.
    pub(crate) to: u64,
    pub(crate) axis: Axis,
    /// Numbers of the threads, in the order in which they first polled a task.
    pub(crate) threads: Vec<u32>,
    /// Number of tasks in progress from each of these moments on.
    pub(crate) progress: Vec<(u64, usize)>,
    pub(crate) peak: usize,
    /// Index of the task with the longest poll, of those that keep others waiting with it.
    pub(crate) longest: Option<usize>,
}

impl Task {
    /// When it was first polled.
    pub(crate) fn started(&self) -> Option<u64> {
        self.spans.first().map(|span| span.start)
    }

    /// Time spent in polls.
    pub(crate) fn busy(&self) -> u64 {
        self.spans.iter().map(|span| span.busy).sum()
    }

    /// When it ended, or `now`.
    pub(crate) fn ended_or(&self, now: u64) -> u64 {
        let last = self.spans.last().map_or(self.created, |span| span.end);
        self.end.map_or(now, |(time, _)| time).max(last)
    }

    fn ended_as(&self, how: End) -> bool {
        self.end.is_some_and(|(_, end)| end == how)
    }

    /// Whether it is a closure in `spawn_blocking`: on a thread of its own, as it should be.
    fn may_block(&self) -> bool {
        self.origin
            .is_some_and(|origin| origin.kind == Kind::Blocking)
    }

    fn never_yielded(&self) -> bool {
        !self.may_block()
            && self.polls == 1
            && self.ended_as(End::Completed)
            && self.busy() >= WORTH_YIELDING
    }
}

impl Picture {
    #[cfg(test)]
    pub(crate) fn new(tasks: Vec<Task>, now: u64) -> Picture {
        Picture::of(tasks, now, Unit::Time, 0)
    }

    pub(crate) fn of(mut tasks: Vec<Task>, now: u64, unit: Unit, more: usize) -> Picture {
        number_duplicates(&mut tasks);
        let order = tree::order(&tasks);
        let depths = order.iter().map(|&(_, depth)| depth).collect();
        let mut taken: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
        let tasks: Vec<Task> = order
            .iter()
            .filter_map(|&(index, _)| taken[index].take())
            .collect();
        let unfinished = tasks.iter().any(|task| task.end.is_none());
        let last = tasks.iter().map(|task| task.ended_or(0)).max().unwrap_or(0);
        let to = if unfinished { last.max(now) } else { last };

        let mut events = Vec::with_capacity(2 * tasks.len());
        for task in &tasks {
            if let Some(started) = task.started() {
                events.push((started, 1));
                // What ends as it starts has been in progress, too.
                events.push((task.ended_or(to).max(started + 1), -1));
            }
        }
        // Ends come first: what starts at the moment at which another ends is not beside it.
        events.sort_unstable();
        let mut progress: Vec<(u64, usize)> = vec![(0, 0)];
        let mut peak = 0;
        for (time, change) in events {
            let count = progress[progress.len() - 1].1.saturating_add_signed(change);
            peak = peak.max(count);
            progress.push((time, count));
        }

        let mut first_polls: HashMap<u32, u64> = HashMap::new();
        for span in tasks.iter().flat_map(|task| &task.spans) {
            if span.thread != SEVERAL_THREADS {
                let first = first_polls.entry(span.thread).or_insert(span.start);
                *first = span.start.min(*first);
            }
        }
        let mut threads: Vec<u32> = first_polls.keys().copied().collect();
        threads.sort_unstable_by_key(|thread| first_polls[thread]);

        let longest = (0..tasks.len())
            .filter(|&task| tasks[task].longest.is_some() && !tasks[task].may_block())
            .max_by_key(|&task| tasks[task].longest.map(|span| span.busy));

        Picture {
            unit,
            more,
            axis: Axis::new(unit, to.max(1), gaps(&progress, to)),
            tasks,
            depths,
            now,
            to: to.max(1),
            threads,
            progress,
            peak,
            longest,
        }
    }

    /// A time, or a number of steps.
    pub(crate) fn words(&self, count: u64) -> String {
        self.unit.words(count)
    }

    pub(crate) fn summary(&self) -> Summary {
        let count = |end| self.tasks.iter().filter(|task| task.ended_as(end)).count();
        Summary {
            tasks: self.tasks.len(),
            completed: count(End::Completed),
            cancelled: count(End::Cancelled),
            panicked: count(End::Panicked),
            unfinished: self.unfinished().count(),
            never_polled: self.never_polled().count(),
            polls: self.tasks.iter().map(|task| task.polls).sum(),
            peak: self.peak,
            elapsed: match self.tasks.len() {
                0 => Duration::ZERO,
                _ => Duration::from_nanos(self.to),
            },
            total: Duration::from_nanos(self.total()),
            longest_poll: self.longest.and_then(|task| {
                Some(LongestPoll {
                    label: self.tasks[task].label.clone(),
                    duration: Duration::from_nanos(self.tasks[task].longest?.busy),
                })
            }),
            never_yielded: self
                .tasks
                .iter()
                .filter(|task| task.never_yielded())
                .map(|task| task.label.clone())
                .collect(),
            threads: self.threads.len(),
        }
    }

    fn unfinished(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.end.is_none())
    }

    fn never_polled(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.polls == 0)
    }

    /// The time of each task added up.
    fn total(&self) -> u64 {
        let time = |task: &Task| Some(task.ended_or(self.to) - task.started()?);
        self.tasks.iter().filter_map(time).sum()
    }

    /// The position of a thread among those of this picture.
    pub(crate) fn thread(&self, number: u32) -> Option<usize> {
        self.threads.iter().position(|&thread| thread == number)
    }

    /// What is to be learnt from the picture, a sentence or two each.
    pub(crate) fn captions(&self) -> Vec<String> {
        if self.tasks.is_empty() {
            return vec![
                "还没有任务：用 timeline.track(\"名字\", future) 包住要观察的 future。".into(),
            ];
        }
        let mut captions = vec![self.overview()];
        if self.unit == Unit::Time {
            captions.extend(self.concurrency());
            // What blocks or never yields is named for it already, and told what to do.
            let is_told = self.tasks.iter().any(|task| {
                let lints = lints::of(task, self.now, Others::default());
                lints.contains(&Lint::Blocks) || lints.contains(&Lint::NeverYields)
            });
            captions.extend(self.longest_poll().filter(|_| !is_told));
        }
        let named = |tasks: Vec<&Task>, rest: &str| {
            (!tasks.is_empty()).then(|| format!("{}{rest}", names(&tasks)))
        };
        captions.extend(named(
            self.tasks
                .iter()
                .filter(|task| task.never_yielded())
                .collect(),
            "从第一次 poll 一直执行到结束，中间从未让出线程：没有一个 .await 真正等待过。",
        ));
        captions.extend(named(
            self.never_polled()
                .filter(|task| task.end.is_none())
                .collect(),
            "已经创建，但还没有被 poll 过：future 是惰性的，没有人 .await 它，它就不会执行。",
        ));
        captions.extend(named(
            self.never_polled()
                .filter(|task| task.end.is_some())
                .collect(),
            "还没有被 poll 过就被丢弃了，里面的代码一行也没有执行。",
        ));
        let cut: u64 = self
            .axis
            .gaps()
            .iter()
            .map(|(start, end)| end - start)
            .sum();
        if cut > 0 {
            captions.push(format!(
                "有 {} 没有任何任务在进行，图中截短了（灰色竖带）；竖带之后的刻度从那时算起。",
                self.words(cut)
            ));
        }
        if self.more > 0 {
            captions.push(format!("此外还有 {} 个任务，太多了，没有记录。", self.more));
        }
        captions.extend(named(
            self.tasks.iter().filter(|task| task.merged).collect(),
            "被 poll 的次数太多，挨得最近的几次合并成了一段（颜色较浅）；次数和执行的时间仍是准确的。",
        ));
        captions
    }

    /// What is wrong with these tasks, a sentence each; some of them if they are many.
    pub(crate) fn lints(&self) -> Vec<String> {
        if self.unit == Unit::Steps {
            return Vec::new(); // nothing of this is about time
        }
        let mut found: HashMap<Lint, usize> = HashMap::new();
        let mut sentences = Vec::new();
        let others = Others::of(&self.tasks);
        for task in &self.tasks {
            for lint in lints::of(task, self.now, others) {
                let count = found.entry(lint).or_default();
                *count += 1;
                if *count <= MOST_NAMES {
                    sentences.push(lint.sentence(task, |time| self.words(time)));
                }
            }
        }
        let more: usize = found
            .values()
            .map(|count| count.saturating_sub(MOST_NAMES))
            .sum();
        if more > 0 {
            sentences.push(format!("同样的问题还有 {more} 处。"));
        }
        sentences
    }

    fn overview(&self) -> String {
        let summary = self.summary();
        let outcomes = [
            (summary.completed, "个完成"),
            (summary.cancelled, "个被取消（完成之前就被丢弃）"),
            (summary.panicked, "个 panic"),
            (summary.unfinished, "个还没有结束"),
        ];
        let outcomes: Vec<String> = outcomes
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(
                |(count, what)| match *count == summary.tasks && *count > 1 {
                    true => format!("全部{}", what.trim_start_matches('个')),
                    false => format!("{count} {what}"),
                },
            )
            .collect();
        format!(
            "{} 个任务：{}。从第一个任务创建{}，共 {}。",
            summary.tasks,
            outcomes.join("，"),
            match summary.unfinished {
                0 => "到最后一个结束",
                _ => "到现在",
            },
            self.words(self.to)
        )
    }

    fn concurrency(&self) -> Option<String> {
        let polled: Vec<&Task> = self.tasks.iter().filter(|task| task.polls > 0).collect();
        // One after the other, a spinner that only turns until the rest is done would never end.
        let comparable = polled.iter().all(|task| task.ended_as(End::Completed));
        let span =
            idle(&self.progress, self.to).fold(self.to, |time, (start, end)| time - (end - start));
        match self.peak {
            _ if polled.len() < 2 => None,
            1 => Some("任何时刻都只有 1 个任务在进行：它们是一个接一个执行的，没有并发。".into()),
            peak => {
                let times = self.total() as f64 / span.max(1) as f64;
                let gain = match times {
                    _ if !comparable => "。".to_owned(),
                    ..1.2 => "。".to_owned(),
                    _ => format!(
                        "：各任务的用时加起来有 {}，并发着做只用了 {}（{} 倍）。",
                        self.words(self.total()),
                        self.words(span),
                        match times {
                            ..10.0 => format!("{times:.1}"),
                            _ => format!("{times:.0}"),
                        }
                    ),
                };
                Some(format!("同时进行的任务最多 {peak} 个{gain}"))
            }
        }
    }

    fn longest_poll(&self) -> Option<String> {
        let task = &self.tasks[self.longest?];
        let longest = task.longest?;
        let name = names(&[task]);
        let time = self.words(longest.busy);
        Some(match longest.busy {
            BLOCKING.. => {
                let thread = match self.thread(longest.thread) {
                    Some(thread) if self.threads.len() > 1 => format!("（线程 {}）", thread + 1),
                    _ => String::new(),
                };
                format!(
                    "最长的一次 poll 属于{name}：这个任务阻塞了线程 {time}{thread}，这段时间里，同一线程上的其他任务都得等着。"
                )
            }
            _ => format!("最长的一次 poll 只有 {time}（{name}）：没有任务长时间占着线程不放。"),
        })
    }
}

/// The stretches in which no task is in progress.
fn idle(progress: &[(u64, usize)], to: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = [(to, 0)];
    let ends: Vec<u64> = progress
        .iter()
        .skip(1)
        .chain(&end)
        .map(|&(time, _)| time)
        .collect();
    let starts = progress.iter().copied();
    starts
        .zip(ends)
        .filter(|&((start, count), end)| count == 0 && start < end)
        .map(|((start, _), end)| (start, end))
}

/// The idle stretches that are not worth their place: futures made in one cell and awaited in
/// another, a timeline that goes on three cells later.
fn gaps(progress: &[(u64, usize)], to: u64) -> Vec<(u64, u64)> {
    let length = |&(start, end): &(u64, u64)| end - start;
    let mut gaps: Vec<(u64, u64)> = idle(progress, to).collect();
    let busy = to - gaps.iter().map(length).sum::<u64>();
    gaps.retain(|gap| busy > 0 && length(gap) > busy / 4);
    gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(length(gap)));
    gaps.truncate(MOST_GAPS);
    gaps.sort_unstable();
    gaps
}

/// “CN”、“IN”等 5 个任务
fn names(tasks: &[&Task]) -> String {
    let quoted: Vec<String> = tasks
        .iter()
        .take(MOST_NAMES)
        .map(|task| format!("“{}”", clip(&task.label, WIDEST_NAME)))
        .collect();
    match tasks.len() {
        ..=MOST_NAMES => quoted.join("、"),
        count => format!("{}等 {count} 个任务", quoted.join("、")),
    }
}

/// Numbers the tasks that have the same label.
fn number_duplicates(tasks: &mut [Task]) {
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    for task in &*tasks {
        counts.entry(task.label.clone()).or_default().0 += 1;
    }
    for task in tasks {
        if let Some((2.., seen)) = counts.get_mut(&task.label) {
            *seen += 1;
            task.label = format!("{} #{seen}", task.label);
        }
    }
}

/// Tasks made by hand, for the tests of everything that is made from them.
#[cfg(test)]
pub(crate) mod sample {

    use super::super::record::{Origin, Span};
    use super::*;

    pub(crate) const MS: u64 = 1_000_000;

    pub(crate) fn task(label: &str, polls: &[(u64, u64, u32)], end: Option<(u64, End)>) -> Task {
        let span = |&(start, end, thread): &(u64, u64, u32)| Span {
            start,
            end,
            busy: end - start,
            polls: 1,
            thread,
        };
        let spans: Vec<Span> = polls.iter().map(span).collect();
        Task {
            label: label.into(),
            origin: None,
            created: 0,
            wakes: Vec::new(),
            wake_counts: (0, 0),
            woken: None,
            holders: None,
            blocked: None,
            computed: None,
            merged: false,
            in_poll: false,
            polls: spans.len() as u64,
            longest: spans.iter().copied().max_by_key(|span| span.busy),
            spans,
            end,
        }
    }

    /// The same as a task with this number, which another one has started.
    pub(crate) fn started(number: u32, parent: Option<u32>, task: Task) -> Task {
        let origin = Origin {
            number,
            parent,
            kind: Kind::Task,
            size: 100,
            place: None,
        };
        Task {
            origin: Some(origin),
            ..task
        }
    }

    /// One task of every kind.
    pub(crate) fn picture() -> Picture {
        let tasks = vec![
            task(
                "CN",
                &[(0, MS, 1), (50 * MS, 52 * MS, 2)],
                Some((52 * MS, End::Completed)),
            ),
            task("CN", &[(MS, 31 * MS, 1)], Some((31 * MS, End::Completed))),
            task(
                "<&\"取消\">",
                &[(2 * MS, 3 * MS, 2)],
                Some((40 * MS, End::Cancelled)),
            ),
            task(
                "panic",
                &[(3 * MS, 4 * MS, 1), (60 * MS, 61 * MS, 1)],
                Some((61 * MS, End::Panicked)),
            ),
            task("未结束", &[(4 * MS, 5 * MS, 2)], None),
            task("惰性", &[], None),
            task("丢弃", &[], Some((70 * MS, End::Cancelled))),
        ];
        Picture::new(tasks, 100 * MS)
    }
}

#[cfg(test)]
mod tests {
    use super::sample::{MS, picture, started, task};
    use super::*;

    #[test]
    fn the_figures_of_one_task_of_every_kind() {
        let summary = picture().summary();
        let counts = (
            summary.tasks,
            summary.completed,
            summary.cancelled,
            summary.panicked,
        );
        assert_eq!(counts, (7, 2, 2, 1));
        assert_eq!((summary.unfinished, summary.never_polled), (2, 2));
        assert_eq!((summary.peak, summary.polls, summary.threads), (5, 7, 2));
        assert_eq!(summary.elapsed, Duration::from_millis(100));
        assert_eq!(summary.total, Duration::from_millis(52 + 30 + 38 + 58 + 96));
        let longest = summary.longest_poll.unwrap();
        assert_eq!(
            (&*longest.label, longest.duration.as_millis()),
            ("CN #2", 30)
        );
        assert_eq!(summary.never_yielded, ["CN #2"]);
    }

    #[test]
    fn whoever_blocks_is_named_once_and_not_forgotten_if_it_is_tracked_by_hand() {
        let mut tasks = picture().tasks;
        tasks[1].blocked = tasks[1].longest;
        let picture = Picture::new(tasks, 100 * MS);
        assert!(picture.lints().is_empty());
        assert!(
            picture
                .captions()
                .join("")
                .contains("这个任务阻塞了线程 30 ms")
        );
    }

    #[test]
    fn what_may_block_is_no_example_of_what_must_not() {
        let mut tasks = picture().tasks;
        let mut closure = started(1, None, tasks.remove(1));
        closure.origin.as_mut().unwrap().kind = Kind::Blocking;
        tasks.insert(1, closure);
        let picture = Picture::new(tasks, 100 * MS);
        let captions = picture.captions().join("\n");
        assert!(captions.contains("最长的一次 poll 只有 2 ms"), "{captions}");
        assert!(!captions.contains("从未让出"), "{captions}");
        assert!(picture.summary().never_yielded.is_empty());
    }

    #[test]
    fn captions_say_what_there_is_to_learn() {
        let captions = picture().captions().join("\n");
        for expected in [
            "7 个任务：2 个完成，2 个被取消（完成之前就被丢弃），1 个 panic，2 个还没有结束。",
            "到现在，共 100 ms。",
            "同时进行的任务最多 5 个。",
            "“CN #2”：这个任务阻塞了线程 30 ms（线程 1）",
            "“CN #2”从第一次 poll 一直执行到结束",
            "“惰性”已经创建，但还没有被 poll 过",
            "“丢弃”还没有被 poll 过就被丢弃了",
        ] {
            assert!(captions.contains(expected), "{expected} in\n{captions}");
        }
    }

    #[test]
    fn what_doing_it_at_once_has_saved_is_said_where_it_can_be_compared() {
        let caption = |end| {
            let tasks = vec![
                task("a", &[(0, MS, 1)], Some((60 * MS, End::Completed))),
                task("b", &[(MS, 2 * MS, 1)], Some((100 * MS, end))),
            ];
            Picture::new(tasks, 100 * MS).captions()[1].clone()
        };
        assert_eq!(
            caption(End::Completed),
            "同时进行的任务最多 2 个：各任务的用时加起来有 159 ms，并发着做只用了 100 ms（1.6 倍）。"
        );
        // A spinner turned as long as the rest took, no matter how long that was.
        assert_eq!(caption(End::Cancelled), "同时进行的任务最多 2 个。");
    }

    #[test]
    fn one_after_the_other_is_not_at_the_same_time() {
        let done = |end| Some((end, End::Completed));
        let tasks = vec![
            task("a", &[(0, 5, 1)], done(5)),
            task("b", &[(5, 9, 1)], done(9)),
            task("c", &[(9, 9, 1)], done(9)),
        ];
        let picture = Picture::new(tasks, 1000);
        assert_eq!((picture.peak, picture.to), (1, 9));
        assert!(picture.captions()[1].contains("一个接一个"));
        let captions = picture.captions().join("\n");
        assert!(captions.contains("3 个任务：全部完成。"), "{captions}");
        assert!(
            captions.contains("最长的一次 poll 只有 5 ns（“a”）"),
            "{captions}"
        );
    }

    #[test]
    fn long_times_in_which_nothing_happens_are_cut_short() {
        let done = |ms| Some((ms * MS, End::Completed));
        let tasks = vec![
            task("a", &[(1_000 * MS, 1_100 * MS, 1)], done(1_100)),
            task("b", &[(1_110 * MS, 1_200 * MS, 1)], done(1_200)),
            task("c", &[(5_000 * MS, 5_100 * MS, 1)], done(5_100)),
        ];
        let picture = Picture::new(tasks, 0);
        let gaps = [(0, 1_000 * MS), (1_200 * MS, 5_000 * MS)];
        assert_eq!(picture.axis.gaps(), gaps);
        let captions = picture.captions().join("");
        assert!(
            captions.contains("有 4.8 s 没有任何任务在进行"),
            "{captions}"
        );
    }

    #[test]
    fn no_tasks_are_no_problem() {
        let picture = Picture::new(Vec::new(), 0);
        assert!(picture.captions()[0].contains("还没有任务"));
        assert_eq!(picture.summary().elapsed, Duration::ZERO);
    }
}
