//! Many tasks of the same kind as one lane.

use std::collections::HashMap;

use super::record::{End, Span, Task, merge_closest};

/// Spans of a lane that stands for many tasks.
const MOST_SPANS: usize = 128;

/// Those with the same name that the same task started, together, if there are more than `most` lanes
/// else. What was tracked by hand stays as it is.
pub(crate) fn fold(tasks: Vec<Task>, most: usize) -> Vec<Task> {
    if tasks.len() <= most {
        return tasks;
    }
    let mut groups: HashMap<(Option<u32>, String), usize> = HashMap::new();
    // For each task that was put to another one: the number of that.
    let mut joined: HashMap<u32, u32> = HashMap::new();
    let mut lanes: Vec<Vec<Task>> = Vec::new();
    for mut task in tasks {
        let Some(origin) = &mut task.origin else {
            lanes.push(vec![task]);
            continue;
        };
        origin.parent = origin
            .parent
            .map(|parent| *joined.get(&parent).unwrap_or(&parent));
        let (number, key) = (origin.number, (origin.parent, task.label.clone()));
        let lane = *groups.entry(key).or_insert(lanes.len());
        match lanes.get_mut(lane) {
            None => lanes.push(vec![task]),
            Some(others) => {
                if let Some(first) = others[0].origin {
                    joined.insert(number, first.number);
                }
                others.push(task);
            }
        }
    }
    lanes.into_iter().map(one).collect()
}

/// Several tasks as one.
fn one(tasks: Vec<Task>) -> Task {
    let count = tasks.len();
    let mut tasks = tasks.into_iter();
    let mut sum = tasks.next().expect("a lane is somebody's");
    if count == 1 {
        return sum;
    }
    for task in tasks {
        sum.created = sum.created.min(task.created);
        sum.spans.extend(&task.spans);
        sum.in_poll |= task.in_poll;
        sum.polls += task.polls;
        sum.wake_counts.0 += task.wake_counts.0;
        sum.wake_counts.1 += task.wake_counts.1;
        sum.longest = longer(sum.longest, task.longest);
        sum.end = match (sum.end, task.end) {
            (Some((a, how)), Some((b, other))) => Some((a.max(b), worse(how, other))),
            _ => None,
        };
    }
    sum.label = format!("{} × {count}", sum.label);
    sum.wakes.clear();
    sum.woken = None;
    sum.merged = true;
    sum.spans.sort_unstable_by_key(|span| span.start);
    while sum.spans.len() > MOST_SPANS {
        merge_closest(&mut sum.spans);
    }
    sum
}

fn longer(a: Option<Span>, b: Option<Span>) -> Option<Span> {
    a.into_iter().chain(b).max_by_key(|span| span.busy)
}

fn worse(a: End, b: End) -> End {
    match (a, b) {
        (End::Panicked, _) | (_, End::Panicked) => End::Panicked,
        (End::Cancelled, _) | (_, End::Cancelled) => End::Cancelled,
        _ => End::Completed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::sample::{self, MS, task};
    use super::*;

    fn started(number: u32, parent: Option<u32>, label: &str, at: u64) -> Task {
        let task = task(label, &[(at, at + MS, 1)], Some((at + MS, End::Completed)));
        Task {
            created: at,
            ..sample::started(number, parent, task)
        }
    }

    #[test]
    fn siblings_of_one_name_become_one_lane_and_nothing_is_lost() {
        let mut tasks = vec![started(1, None, "main", 0), task("tracked", &[], None)];
        for n in 0..1_000 {
            tasks.push(started(2 + 2 * n, Some(1), "fetch", u64::from(n) * MS));
            tasks.push(started(
                3 + 2 * n,
                Some(2 + 2 * n),
                "parse",
                u64::from(n) * MS,
            ));
        }
        let polls = |tasks: &[Task]| tasks.iter().map(|task| task.polls).sum::<u64>();
        let before = polls(&tasks);
        let folded = fold(tasks.clone(), 40);
        let labels: Vec<&str> = folded.iter().map(|task| &*task.label).collect();
        assert_eq!(labels, ["main", "tracked", "fetch × 1000", "parse × 1000"]);
        assert_eq!(polls(&folded), before);
        assert!(folded.iter().all(|task| task.spans.len() <= MOST_SPANS));
        assert_eq!(folded[3].origin.unwrap().parent, Some(2));
        assert_eq!(folded[2].end, Some((1_000 * MS, End::Completed)));
        tasks[2].end = None;
        assert_eq!(fold(tasks.clone(), 40)[2].end, None);
        assert_eq!(fold(tasks, 5_000).len(), 2_002);
    }
}
