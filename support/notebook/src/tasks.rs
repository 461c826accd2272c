//! What is alive now.

use std::fmt::{self, Write};

use nest_tokio::runtime::Handle;
use nest_tokio::watch::Kind;

use crate::columns::{clip, pad};
use crate::escape::escape;
use crate::timeline::tree::{self, Labels};
use crate::timeline::{Picture, Task};
use crate::{Bundle, Show, display, place, watch};

/// Lines shown.
const MOST: usize = 200;
/// Lines on stderr, which takes about 4 kB at once.
const FEW: usize = 12;
/// A cell that has waited so long may be stuck.
const LONG: u64 = 5_000_000_000;
/// Widest name, in columns.
const WIDEST: usize = 28;

/// The tasks that are alive now, below those that started them: what each is doing, since when, and what
/// woke it last. Needs a [`watch()`](watch::watch) that was there before they were started.
///
/// ```
/// use nest_tokio as tokio; // in a notebook, `tokio` is nest-tokio already
///
/// async fn waits_for_ever() {
///     std::future::pending().await
/// }
///
/// let watch = notebook::watch();
/// let task = tokio::spawn(waits_for_ever());
/// let tasks = notebook::tasks(); // in a cell, as the last expression: a table
/// assert!(tasks.to_string().contains("waits_for_ever"));
/// task.abort();
/// ```
pub fn tasks() -> Tasks {
    let Some(timeline) = watch::timeline() else {
        return Tasks {
            rows: Vec::new(),
            note: "没有人在看着：先执行 let watch = notebook::watch();，此后启动的任务才列得出来。"
                .into(),
        };
    };
    Tasks::of(&timeline.picture(), alive_elsewhere())
}

/// What to say when a cell is interrupted that has waited for long, or for nobody: who is alive.
pub(crate) fn of_a_stuck_cell() -> Option<String> {
    let picture = watch::timeline()?.picture();
    let is_stuck = |task: &Task| {
        let is_cell = task
            .origin
            .is_some_and(|origin| origin.kind == Kind::BlockOn && origin.parent.is_none());
        let waits = task.end.is_none() && !task.in_poll && task.woken.is_none();
        let since = task.spans.last().map_or(picture.now, |span| span.end);
        let is_long = picture.now.saturating_sub(since) >= LONG;
        is_cell && waits && (is_long || task.holders == Some(0))
    };
    let mut tasks = picture
        .tasks
        .iter()
        .any(is_stuck)
        .then(|| Tasks::of(&picture, None))?;
    tasks.rows.truncate(FEW);
    Some(format!("[已中断] 中断之前活着的任务：\n{tasks}\n"))
}

/// The living tasks of this thread's runtime, whoever started them.
fn alive_elsewhere() -> Option<usize> {
    let handle = Handle::try_current().ok()?;
    Some(handle.metrics().num_alive_tasks())
}

/// What [`tasks`] shows.
#[derive(Clone)]
#[must_use = "结果要显示出来：让它成为单元格的最后一个表达式，或者用 .show()"]
pub struct Tasks {
    rows: Vec<Row>,
    note: String,
}

#[derive(Clone)]
struct Row {
    depth: usize,
    name: String,
    place: String,
    /// State and since when, age, polls, busy time, what woke it last.
    cells: [String; 5],
}

impl Tasks {
    fn of(picture: &Picture, alive: Option<usize>) -> Tasks {
        let living: Vec<&Task> = picture
            .tasks
            .iter()
            .filter(|task| task.end.is_none())
            .collect();
        let labels = Labels::new(&picture.tasks);
        let order = tree::order(living.iter().copied());
        let rows = order.iter().take(MOST).map(|&(index, depth)| {
            let task = living[index];
            Row {
                depth,
                name: task.label.clone(),
                place: task
                    .origin
                    .and_then(|origin| origin.place)
                    .and_then(place::of)
                    .unwrap_or_default(),
                cells: cells(picture, &labels, task),
            }
        });
        let rows: Vec<Row> = rows.collect();
        let mut note = match living.len() {
            0 => "现在没有活着的任务。".to_owned(),
            count if count > MOST => format!("{count} 个任务活着，这里是前 {MOST} 个。"),
            count => format!("{count} 个任务活着。"),
        };
        let ours = living
            .iter()
            .filter(|task| task.origin.is_some_and(|origin| origin.kind == Kind::Task));
        let others = alive.unwrap_or(0).saturating_sub(ours.count());
        if others > 0 {
            let _ = write!(
                note,
                "此外这个运行时里还有 {others} 个：库自己启动的，或者在 watch() 之前就有的。"
            );
        }
        Tasks { rows, note }
    }

    /// Displays them now.
    pub fn show(&self) -> crate::Handle {
        display(self)
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        self.bundle().evcxr_display();
    }
}

fn cells(picture: &Picture, labels: &Labels<'_>, task: &Task) -> [String; 5] {
    let now = picture.now;
    let since = |time: u64| picture.words(now.saturating_sub(time));
    let last = task.spans.last();
    let (state, waited) = match (last, task.in_poll, task.woken) {
        (None, ..) => ("还没有 poll 过", None),
        (Some(span), true, _) => ("正在 poll", Some(span.start)),
        (Some(_), _, Some(wake)) => ("已被唤醒，等着轮到它", Some(wake.time)),
        (Some(span), ..) if task.holders == Some(0) => ("在等待，没有谁能唤醒它", Some(span.end)),
        (Some(span), ..) => ("在等待", Some(span.end)),
    };
    let woken = task.woken.or(task.wakes.last().copied());
    [
        match waited {
            Some(time) => format!("{state} {}", since(time)),
            None => state.into(),
        },
        since(task.created),
        task.polls.to_string(),
        picture.words(task.busy()),
        woken.map_or("—".into(), |wake| labels.cause(wake.cause, task)),
    ]
}

const HEADS: [&str; 5] = ["状态", "存在了", "poll", "占用线程", "上次唤醒它的"];

impl Show for Tasks {
    fn bundle(&self) -> Bundle {
        let html = match self.rows.is_empty() {
            true => format!("<div>{}</div>", escape(&self.note)),
            false => {
                let heads = ["任务"].into_iter().chain(HEADS).chain(["在哪里启动"]);
                let heads: String = heads.map(|head| format!("<th>{head}</th>")).collect();
                let rows: String = self.rows.iter().map(html_row).collect();
                format!(
                    "<table class=\"nb-tasks\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>\
                     <div>{}</div>",
                    escape(&self.note)
                )
            }
        };
        Bundle::new(self.to_string()).with("text/html", html)
    }
}

fn html_row(row: &Row) -> String {
    let cells = row.cells.iter().chain([&row.place]);
    let cells: String = cells
        .map(|cell| format!("<td>{}</td>", escape(cell)))
        .collect();
    format!(
        "<tr><td style=\"text-align:left;padding-left:{}em\">{}</td>{cells}</tr>",
        0.5 + 1.2 * row.depth as f64,
        escape(&clip(&row.name, WIDEST))
    )
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let name = format!("{}{}", "  ".repeat(row.depth), clip(&row.name, WIDEST));
            let [state, age, polls, busy, woken] = &row.cells;
            write!(
                f,
                "{} {state}；存在了 {age}，poll {polls} 次，占用线程 {busy}，上次唤醒它的：{woken}",
                pad(&name, WIDEST)
            )?;
            match &*row.place {
                "" => writeln!(f)?,
                place => writeln!(f, "；启动于 {place}")?,
            }
        }
        f.write_str(&self.note)
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
