//! A timeline as plain text.

use super::figures::Picture;
use super::record::{End, Task};
use crate::columns::{clip, pad, width};

/// Columns of the bars.
const WIDTH: usize = 56;
/// Lanes shown.
const MOST: usize = 40;
const WIDEST_LABEL: usize = 20;

pub(crate) fn draw(picture: &Picture) -> String {
    let shown = &picture.tasks[..picture.tasks.len().min(MOST)];
    let labels: Vec<String> = shown
        .iter()
        .zip(&picture.depths)
        .map(|(task, depth)| {
            clip(
                &format!("{}{}", "  ".repeat(*depth), task.label),
                WIDEST_LABEL,
            )
        })
        .collect();
    let gutter = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let mut lines: Vec<String> = Vec::new();
    for (task, label) in shown.iter().zip(&labels) {
        lines.push(format!("{} {}", pad(label, gutter), lane(picture, task)));
    }
    if shown.len() < picture.tasks.len() {
        lines.push(format!(
            "……还有 {} 个任务",
            picture.tasks.len() - shown.len()
        ));
    }
    if !shown.is_empty() {
        lines.push("█ 在 poll 中　─ 等待　· 还没有开始　✓ 完成　✕ 取消　▲ panic　▸ 未结束".into());
    }
    lines.extend(picture.captions());
    lines.extend(picture.lints().iter().map(|lint| format!("⚠ {lint}")));
    lines.join("\n")
}

fn lane(picture: &Picture, task: &Task) -> String {
    let column = |time: u64| ((picture.axis.at(time) * WIDTH as f64) as usize).min(WIDTH - 1);
    let end = task.ended_or(picture.to);
    let mut bar = vec![' '; WIDTH];
    bar[column(task.created)..=column(end)].fill('·');
    if let Some(started) = task.started() {
        bar[column(started)..=column(end)].fill('─');
    }
    for span in &task.spans {
        bar[column(span.start)..=column(span.end)].fill('█');
    }
    let mark = match task.end {
        Some((_, End::Completed)) => '✓',
        Some((_, End::Cancelled)) => '✕',
        Some((_, End::Panicked)) => '▲',
        None => '▸',
    };
    let mut bar: String = bar[..=column(end)].iter().collect();
    bar.push(mark);
    match task.started() {
        Some(started) => format!("{bar} {}", picture.words(end - started)),
        None => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::sample::picture;
    use super::*;

    #[test]
    fn a_line_a_task() {
        let text = draw(&picture());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "CN #1     █───────────────────────────██✓ 52 ms");
        assert_eq!(lines[1], "CN #2     ██████████████████✓ 30 ms");
        assert_eq!(lines[2], "<&\"取消\"> ·█─────────────────────✕ 38 ms");
        assert!(lines[3].ends_with("▲ 58 ms"));
        assert!(lines[4].ends_with("─▸ 96 ms"));
        assert!(lines[5].ends_with("··▸"));
        assert!(lines[8].starts_with("7 个任务"));
    }

    #[test]
    fn a_thousand_tasks_are_cut_short() {
        let tasks = vec![picture().tasks[0].clone(); 1000];
        let text = draw(&Picture::new(tasks, 0));
        assert!(text.contains("……还有 960 个任务"));
        assert!(text.lines().count() < 50);
    }
}
