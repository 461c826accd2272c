//! What the signs in the picture mean, and the signs that lanes end with.

use std::fmt::Write;

use super::{COLOURS, COLUMN, LINE, Layout, MARGIN, SHAPES, WIDTH, n, put};
use crate::columns::width;
use crate::timeline::record::{End, Task};

/// What the legend explains.
enum Sign {
    /// Class of the colour, and number of the thread.
    Poll(usize, String),
    Waiting,
    NotStarted,
    End(Option<End>),
}

impl Layout<'_> {
    /// What the signs mean, of those that are there.
    pub(super) fn legend(&self, out: &mut String, y: f64) -> f64 {
        let (mut x, mut middle) = (self.left, y + 6.0);
        put!(
            out,
            "<g class=\"legend\"><text class=\"m\" x=\"{MARGIN}\" y=\"{}\">任务</text>",
            n(middle + 4.0)
        );
        for (sign, text) in self.signs() {
            let (space, text_width) = (26.0, width(&text) as f64 * COLUMN);
            if x + space + text_width > WIDTH - MARGIN {
                (x, middle) = (self.left, middle + LINE);
            }
            let baseline = n(middle + 4.0);
            match sign {
                Sign::Poll(colour, number) => put!(
                    out,
                    "<rect class=\"p{colour}\" x=\"{}\" y=\"{}\" width=\"18\" height=\"14\"/>\
                     <text class=\"i\" x=\"{}\" y=\"{baseline}\">{number}</text>",
                    n(x),
                    n(middle - 7.0),
                    n(x + 9.0)
                ),
                Sign::Waiting => put!(
                    out,
                    "<path class=\"w\" stroke-width=\"6\" d=\"M{} {}h18\"/>",
                    n(x),
                    n(middle)
                ),
                Sign::NotStarted => {
                    put!(out, "<path class=\"b\" d=\"M{} {}h18\"/>", n(x), n(middle));
                }
                Sign::End(end) => end_mark(out, end, x + 4.0, middle, 13.0),
            }
            put!(
                out,
                "<text x=\"{}\" y=\"{baseline}\">{text}</text>",
                n(x + space - 2.0)
            );
            x += space + text_width + 10.0;
        }
        out.push_str("</g>");
        middle + LINE
    }

    fn signs(&self) -> Vec<(Sign, String)> {
        let mut signs = Vec::new();
        let threads = self.picture.threads.len();
        for thread in 0..threads.min(COLOURS) {
            let number = thread + 1;
            signs.push(match (thread, threads) {
                (_, 1) => (Sign::Poll(0, String::new()), "在 poll 中，占用线程".into()),
                (0, _) => (Sign::Poll(0, "1".into()), "在 poll 中，占用线程 1".into()),
                _ => (
                    Sign::Poll(thread, number.to_string()),
                    format!("线程 {number}"),
                ),
            });
        }
        if threads > COLOURS {
            let text = format!("其余 {} 个线程", threads - COLOURS);
            signs.push((Sign::Poll(COLOURS, String::new()), text));
        }
        let any = |has: &dyn Fn(&Task) -> bool| self.tasks.iter().any(has);
        if any(&|task| task.polls > 1 || task.polls > 0 && task.end.is_none()) {
            signs.push((Sign::Waiting, "等待".into()));
        }
        if any(&|task| {
            let started = task.started().unwrap_or(task.ended_or(self.picture.to));
            self.x(started) - self.x(task.created) > 3.0
        }) {
            signs.push((Sign::NotStarted, "已创建，未开始".into()));
        }
        for (end, text) in [
            (Some(End::Completed), "完成"),
            (Some(End::Cancelled), "取消"),
            (Some(End::Panicked), "panic"),
            (None, "未结束"),
        ] {
            // Completion is not marked in lanes too low for a shape.
            let marked = self.lane >= SHAPES || end != Some(End::Completed);
            if marked && any(&|task| task.end.map(|(_, end)| end) == end) {
                signs.push((Sign::End(end), text.into()));
            }
        }
        signs
    }
}

/// The sign at the end of a lane.
pub(super) fn end_mark(out: &mut String, end: Option<End>, x: f64, y: f64, size: f64) {
    let half = size / 2.0;
    let (class, path) = match end {
        Some(End::Completed) => (
            "ok",
            format!(
                "M{} {}l{q} {q}l{} -{}",
                n(x),
                n(y),
                n(half),
                n(half * 1.2),
                q = n(half * 0.55)
            ),
        ),
        Some(End::Cancelled) => (
            "ca",
            format!(
                "M{} {}l{d} {d}m0 -{d}l-{d} {d}",
                n(x),
                n(y - half * 0.75),
                d = n(size * 0.75)
            ),
        ),
        Some(End::Panicked) => (
            "pa",
            format!(
                "M{} {}h{}l-{} -{}z",
                n(x),
                n(y + half),
                n(size),
                n(half),
                n(size)
            ),
        ),
        None => (
            "un",
            format!("M{} {}l{h} {h}l-{h} {h}z", n(x), n(y - half), h = n(half)),
        ),
    };
    put!(out, "<path class=\"{class}\" d=\"{path}\"/>");
}
