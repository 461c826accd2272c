//! What stands under a picture: what is wrong, and the tasks as a table for who cannot see them.

use std::fmt::Write;

use super::figures::Picture;
use super::record::{End, Task};
use super::tree::Labels;
use crate::columns::clip;
use crate::escape::escape;
use crate::place;

/// Rows of a table.
const MOST: usize = 40;

pub(crate) fn draw(picture: &Picture) -> String {
    let mut html = String::new();
    for lint in picture.lints() {
        let _ = write!(html, "<div class=\"nb-lint\">⚠ {}</div>", escape(&lint));
    }
    // What was tracked by hand is all in the picture and its sentences.
    if !picture.tasks.iter().any(|task| task.origin.is_some()) {
        return html;
    }
    html += "<details><summary>表格</summary><table><thead><tr><th>任务</th><th>启动于</th><th>结果</th>\
             <th>用时</th><th>poll</th><th>占用线程</th><th>被唤醒</th><th>最后由</th></tr></thead><tbody>";
    let labels = Labels::new(&picture.tasks);
    for task in picture.tasks.iter().take(MOST) {
        html += &row(picture, &labels, task);
    }
    html += "</tbody></table>";
    if let more @ 1.. = picture.tasks.len().saturating_sub(MOST) {
        let _ = write!(html, "还有 {more} 个任务。");
    }
    html + "</details>"
}

fn row(picture: &Picture, labels: &Labels<'_>, task: &Task) -> String {
    let place = task
        .origin
        .and_then(|origin| origin.place)
        .and_then(place::of);
    let since = task.started().unwrap_or(task.created);
    let wake = task.woken.or(task.wakes.last().copied());
    let cells = [
        clip(&task.label, MOST),
        place.unwrap_or_default(),
        match task.end {
            Some((_, End::Completed)) => "完成",
            Some((_, End::Cancelled)) => "取消",
            Some((_, End::Panicked)) => "panic",
            None => "未结束",
        }
        .into(),
        picture.words(task.ended_or(picture.to).saturating_sub(since)),
        task.polls.to_string(),
        picture.words(task.busy()),
        task.wake_counts.0.to_string(),
        wake.map_or(String::new(), |wake| labels.cause(wake.cause, task)),
    ];
    let cells: String = cells
        .iter()
        .map(|cell| format!("<td>{}</td>", escape(cell)))
        .collect();
    format!("<tr>{cells}</tr>")
}
