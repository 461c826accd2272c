//! Which task started which, and which one woke another.

use std::collections::HashMap;

use super::record::Task;
use crate::polled::Cause;

/// The indices of `tasks` with how deep each is: who was started by one of them stands below it. The
/// order is else that in which they were started.
pub(crate) fn order<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Vec<(usize, usize)> {
    let tasks: Vec<&Task> = tasks.into_iter().collect();
    let by_number = |(index, task): (usize, &&Task)| Some((task.origin?.number, index));
    let numbers: HashMap<u32, usize> = tasks.iter().enumerate().filter_map(by_number).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    let mut roots = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let parent = task.origin.and_then(|origin| origin.parent);
        match parent.and_then(|parent| numbers.get(&parent)) {
            // Numbers grow: nobody is below itself.
            Some(&parent) if parent < index => children[parent].push(index),
            _ => roots.push(index),
        }
    }
    let mut order = Vec::with_capacity(tasks.len());
    let mut next: Vec<(usize, usize)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
    while let Some((index, depth)) = next.pop() {
        order.push((index, depth));
        next.extend(
            children[index]
                .iter()
                .rev()
                .map(|&child| (child, depth + 1)),
        );
    }
    order
}

/// What the tasks of a picture are called, by their numbers.
pub(crate) struct Labels<'a>(HashMap<u32, &'a str>);

impl<'a> Labels<'a> {
    pub(crate) fn new(tasks: &'a [Task]) -> Labels<'a> {
        let label = |task: &'a Task| Some((task.origin?.number, &*task.label));
        Labels(tasks.iter().filter_map(label).collect())
    }

    /// What has woken this task.
    pub(crate) fn cause(&self, cause: Cause, task: &Task) -> String {
        let own = task.origin.map(|origin| origin.number);
        let label = |number| self.0.get(&number).copied().unwrap_or("一个没有记录的任务");
        match cause {
            Cause::Task(number) if Some(number) == own => "自己".into(),
            Cause::Yield => "自己（让出之后）".into(),
            Cause::Budget => "运行时（预算用完，让出之后）".into(),
            Cause::Task(number) => format!("“{}”", label(number)),
            Cause::End(number) => format!("“{}”的结束", label(number)),
            Cause::Driver => "计时器或 I/O".into(),
            Cause::Thread => "任务之外的线程".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::sample::{self, task};
    use super::*;

    fn started(number: u32, parent: Option<u32>) -> Task {
        sample::started(number, parent, task(&format!("t{number}"), &[], None))
    }

    #[test]
    fn who_was_started_by_another_stands_below_it() {
        let tasks = [
            started(1, None),
            started(2, Some(1)),
            started(3, None),
            started(4, Some(2)),
            started(5, Some(1)),
            task("tracked", &[], None),
            started(6, Some(99)), // by one that is not there
        ];
        let order = order(&tasks);
        assert_eq!(
            order,
            [(0, 0), (1, 1), (3, 2), (4, 1), (2, 0), (5, 0), (6, 0)]
        );
    }

    #[test]
    fn causes_are_called_by_their_names() {
        let tasks = [started(1, None), started(2, Some(1))];
        let labels = Labels::new(&tasks);
        for (cause, expected) in [
            (Cause::Task(2), "“t2”"),
            (Cause::End(2), "“t2”的结束"),
            (Cause::Task(1), "自己"),
            (Cause::Yield, "自己（让出之后）"),
            (Cause::Driver, "计时器或 I/O"),
            (Cause::Task(9), "“一个没有记录的任务”"),
        ] {
            assert_eq!(labels.cause(cause, &tasks[0]), expected);
        }
    }
}
