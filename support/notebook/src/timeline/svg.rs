//! A timeline as SVG: lanes, axis, curve, captions.
//!
//! Nothing is told by colour alone: polls are high and waiting is flat, threads are numbered,
//! every end has a mark of its own shape. Marks have a contrast of 3 : 1 or more on white and on the
//! black of JupyterLab's dark theme, all but the pale ones: waiting, and polls that were merged; text
//! has the theme's own colour.

mod legend;

use std::fmt::Write;

use super::axis::Unit;
use super::figures::Picture;
use super::record::{End, Span, Task};
use super::tree::Labels;
use crate::columns::{clip, width, wrap};
use crate::escape::escape;
use crate::place;
use crate::polled::Cause;
use legend::end_mark;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 12.0;
/// Right of the lanes: room for what stands behind their ends.
const RIGHT: f64 = 104.0;
/// Height that the lanes share when they are many.
const LANES: f64 = 720.0;
const CURVE: f64 = 56.0;
/// Lowest lane in which shapes can be told apart.
const SHAPES: f64 = 5.0;
/// Advance of a column of text of 12 pixels.
const COLUMN: f64 = 6.5;
const LINE: f64 = 20.0;
/// How far a lane's label is moved for each level below the task that started it, and how many levels
/// that are at most.
const INDENT: f64 = 2.0 * COLUMN;
const DEEPEST: usize = 4;
/// Lanes up to which it is drawn who wakes whom.
const MOST_WITH_ARROWS: usize = 20;
/// Widest label, in columns.
const WIDEST_LABEL: usize = 24;
/// Widest label in a hover title, in columns.
const WIDEST_TITLE: usize = 60;
/// How much is drawn at most.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) lanes: usize,
    /// Polls with a hover title of their own.
    titled: usize,
    /// Polls: what is closer than a pixel becomes one mark, then what is closer than two…
    marks: usize,
    arrows: usize,
}

/// Of a picture that remains.
const WHOLE: Limits = Limits {
    lanes: 2_000,
    titled: 2_000,
    marks: 20_000,
    arrows: 300,
};

/// Of one that will be replaced at once: 30 kB.
pub(crate) const SKETCH: Limits = Limits {
    lanes: 40,
    titled: 0,
    marks: 500,
    arrows: 0,
};
/// Threads with a colour of their own; the others share a fifth.
const COLOURS: usize = 4;

const STYLE: &str = "\
.nb-timeline{display:block;width:100%;min-width:640px;max-width:1100px;height:auto;margin:.3em 0;\
font:12px var(--jp-ui-font-family,system-ui),'Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif;\
font-variant-numeric:tabular-nums;color:var(--jp-content-font-color1,currentColor)}\
.nb-timeline text{fill:currentColor}\
.nb-timeline .m{opacity:.72}\
.nb-timeline .s{font-size:11px}\
.nb-timeline .i{fill:#fff;font-weight:600;font-size:11px;text-anchor:middle;pointer-events:none}\
.nb-timeline .h{fill:currentColor;opacity:0}\
.nb-timeline g:hover>.h{opacity:.07}\
.nb-timeline .g{stroke:currentColor;opacity:.14}\
.nb-timeline .x{stroke:currentColor;opacity:.5}\
.nb-timeline .z{fill:currentColor;opacity:.09}\
.nb-timeline .w{stroke:#8494a7;opacity:.55}\
.nb-timeline .b{stroke:currentColor;opacity:.55;stroke-width:1.5;stroke-dasharray:1.5 3.5}\
.nb-timeline .p0{fill:#2f7fd3;stroke:#2f7fd3}\
.nb-timeline .p1{fill:#16936c;stroke:#16936c}\
.nb-timeline .p2{fill:#a06ad6;stroke:#a06ad6}\
.nb-timeline .p3{fill:#a9801a;stroke:#a9801a}\
.nb-timeline .p4{fill:#7a8797;stroke:#7a8797}\
.nb-timeline rect[class^=p]{stroke:none}\
.nb-timeline .d{opacity:.6}\
.nb-timeline .ok{stroke:currentColor;stroke-width:1.5;fill:none}\
.nb-timeline .ca{stroke:#d9690f;stroke-width:2.2;fill:none}\
.nb-timeline .pa{fill:#d8403a;stroke:#d8403a}\
.nb-timeline .un{fill:#8494a7;stroke:#8494a7}\
.nb-timeline .a{stroke:currentColor;stroke-width:1;opacity:.45;fill:none}\
.nb-timeline .a:hover{opacity:1;stroke-width:2}\
.nb-timeline .c{fill:#2f7fd3;fill-opacity:.2;stroke:#2f7fd3;stroke-width:1.5}\
@media print{.nb-timeline{color:#000}}";

/// What is the same for the whole drawing.
struct Layout<'a> {
    picture: &'a Picture,
    limits: Limits,
    tasks: &'a [Task],
    /// Left and right end of the time axis.
    left: f64,
    right: f64,
    lane: f64,
    /// Whether every poll is an element of its own, with a title.
    titled: bool,
    /// Polls closer than this, in pixels, are one mark.
    gap: f64,
}

/// Polls that are drawn as one.
struct Mark {
    span: Span,
    /// Number of the first, from 1.
    first: u64,
}

pub(crate) fn draw(picture: &Picture) -> String {
    draw_within(picture, WHOLE)
}

pub(crate) fn draw_within(picture: &Picture, limits: Limits) -> String {
    let layout = Layout::new(picture, limits);
    let mut body = String::new();
    let mut y = MARGIN;
    if !picture.tasks.is_empty() {
        y = layout.legend(&mut body, y);
        y = layout.lanes(&mut body, y);
        y = layout.axis(&mut body, y);
        y = layout.curve(&mut body, y);
    }
    let mut captions = picture.captions();
    if layout.tasks.len() < picture.tasks.len() {
        captions.push(format!(
            "只画了前 {} 个任务；曲线和数字包括全部 {} 个。",
            layout.tasks.len(),
            picture.tasks.len()
        ));
    }
    y = write_captions(&mut body, &captions, y);
    let label = escape(&format!("任务时间轴。{}", captions[0]));
    let height = n(y + MARGIN / 2.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"nb-timeline\" role=\"img\" \
         viewBox=\"0 0 {WIDTH} {height}\" aria-label=\"{label}\"><style>{STYLE}</style>{body}</svg>"
    )
}

/// A coordinate: tenths of a pixel are enough.
fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Appends to the drawing.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{
        let _ = write!($out, $($arg)*); // a String takes everything
    }};
}
use put;

impl<'a> Layout<'a> {
    fn new(picture: &'a Picture, limits: Limits) -> Layout<'a> {
        let tasks = &picture.tasks[..picture.tasks.len().min(limits.lanes)];
        let widest = tasks
            .iter()
            .zip(&picture.depths)
            .map(|(task, depth)| (width(&task.label) + 2 * depth.min(&DEEPEST)).min(WIDEST_LABEL));
        // The curve's scale stands there, too.
        let widest = widest.max().unwrap_or(0).max(10);
        let mut layout = Layout {
            picture,
            limits,
            tasks,
            left: MARGIN + widest as f64 * COLUMN + 14.0,
            right: WIDTH - RIGHT,
            lane: (LANES / tasks.len().max(1) as f64).clamp(0.9, 23.0),
            titled: true,
            gap: 0.5,
        };
        loop {
            let marks: usize = tasks.iter().map(|task| layout.marks(task).count()).sum();
            layout.titled = marks <= limits.titled;
            if marks <= limits.marks.max(2 * tasks.len()) || layout.gap > WIDTH {
                return layout;
            }
            layout.gap *= 2.0;
        }
    }

    fn x(&self, time: u64) -> f64 {
        self.left + self.picture.axis.at(time) * (self.right - self.left)
    }

    /// Whether there is room for text in a lane.
    fn is_readable(&self) -> bool {
        self.lane >= 12.0
    }

    /// The polls of a task, those together that are too close to be told apart.
    fn marks(&self, task: &'a Task) -> impl Iterator<Item = Mark> {
        let gap = self.picture.axis.time(self.gap / (self.right - self.left));
        let mut spans = task.spans.iter().copied().peekable();
        let mut first = 1;
        std::iter::from_fn(move || {
            let mut span = spans.next()?;
            while let Some(next) = spans.next_if(|next| next.start.saturating_sub(span.end) < gap) {
                span = span.and(next);
            }
            let mark = Mark { span, first };
            first += span.polls;
            Some(mark)
        })
    }

    /// The class of a poll's colour.
    fn colour(&self, thread: u32) -> usize {
        match self.picture.thread(thread) {
            Some(thread) => thread.min(COLOURS),
            None => COLOURS,
        }
    }

    fn lanes(&self, out: &mut String, top: f64) -> f64 {
        let bottom = top + self.lane * self.tasks.len() as f64;
        put!(out, "<g class=\"grid\">");
        self.gaps(out, top, bottom);
        for (tick, _) in self.ticks() {
            let x = n(self.x(tick));
            put!(
                out,
                "<path class=\"g\" d=\"M{x} {}V{}\"/>",
                n(top),
                n(bottom)
            );
        }
        put!(out, "</g><g class=\"lanes\">");
        // Where lanes are lower than a line of text, only some have their names.
        let every = (13.0 / self.lane).ceil().max(1.0) as usize;
        for (number, task) in self.tasks.iter().enumerate() {
            let y = top + self.lane * (number as f64 + 0.5);
            let depth = self.picture.depths[number];
            self.lane(out, task, depth, y, number % every == 0);
        }
        put!(out, "</g>");
        self.arrows(out, top);
        bottom
    }

    fn lane(&self, out: &mut String, task: &Task, depth: usize, y: f64, named: bool) {
        let (picture, lane) = (self.picture, self.lane);
        let depth = depth.min(DEEPEST);
        put!(out, "<g><title>{}</title>", escape(&self.lane_title(task)));
        if lane >= SHAPES {
            put!(
                out,
                "<rect class=\"h\" x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"{}\"/>",
                n(y - lane / 2.0),
                n(lane)
            );
        }
        if named {
            let size = if lane < 14.0 { " class=\"s\"" } else { "" };
            put!(
                out,
                "<text{size} x=\"{}\" y=\"{}\">{}</text>",
                n(MARGIN + INDENT * depth as f64),
                n(y + 4.0),
                escape(&clip(&task.label, WIDEST_LABEL.saturating_sub(2 * depth)))
            );
        }
        let end = task.ended_or(picture.to);
        let (created, ended) = (self.x(task.created), self.x(end));
        let started = task.started().map(|started| self.x(started));
        let before = started.unwrap_or(ended);
        if before - created > 1.0 {
            put!(
                out,
                "<path class=\"b\" d=\"M{} {}H{}\"/>",
                n(created),
                n(y),
                n(before)
            );
        }
        if let Some(started) = started {
            let thickness = if lane < SHAPES { lane } else { lane * 0.3 };
            if ended - started > 0.5 {
                put!(
                    out,
                    "<path class=\"w\" stroke-width=\"{}\" d=\"M{} {}H{}\"/>",
                    n(thickness),
                    n(started),
                    n(y),
                    n(ended)
                );
            }
            if self.titled {
                self.titled_polls(out, task, y);
            } else {
                self.plain_polls(out, task, y);
            }
        }
        let how = task.end.map(|(_, end)| end);
        if lane >= SHAPES {
            end_mark(out, how, ended + 3.0, y, lane * 0.62);
        } else if how != Some(End::Completed) {
            // Only a spot of colour: the shape would not be seen.
            let class = match how {
                Some(End::Cancelled) => "ca",
                Some(End::Panicked) => "pa",
                _ => "un",
            };
            put!(
                out,
                "<path class=\"{class}\" stroke-width=\"{}\" d=\"M{} {}h4\"/>",
                n(lane),
                n(ended),
                n(y)
            );
        }
        if self.is_readable() {
            let time = task
                .started()
                .map(|started| self.picture.words(end - started));
            let text = [
                time.as_deref(),
                match how {
                    Some(End::Completed) => None,
                    Some(End::Cancelled) => Some("取消"),
                    Some(End::Panicked) => Some("panic"),
                    None => Some("未结束"),
                },
            ];
            let text: Vec<&str> = text.into_iter().flatten().collect();
            put!(
                out,
                "<text class=\"m s\" x=\"{}\" y=\"{}\">{}</text>",
                n(ended + 11.0 + lane * 0.45),
                n(y + 4.0),
                text.join(" ")
            );
        }
        put!(out, "</g>");
    }

    /// A rectangle and a title for each poll.
    fn titled_polls(&self, out: &mut String, task: &Task, y: f64) {
        let height = self.lane * 0.72;
        for mark in self.marks(task) {
            let span = mark.span;
            let start = self.x(span.start);
            let width = (self.x(span.end) - start).max(1.6);
            let faint = if self.is_sparse(&span) { " d" } else { "" };
            put!(
                out,
                "<rect class=\"p{}{faint}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
                self.colour(span.thread),
                n(start),
                n(y - height / 2.0),
                n(width),
                n(height),
                escape(&self.poll_title(task, &mark))
            );
            let time = match self.picture.unit {
                Unit::Time => self.picture.words(span.busy),
                Unit::Steps => String::new(), // always one
            };
            let several = self.picture.threads.len() > 1;
            let thread = match self.picture.thread(span.thread) {
                Some(thread) if several => (thread + 1).to_string(),
                _ => String::new(),
            };
            let both = match &*thread {
                "" => time,
                thread => format!("{thread} · {time}"),
            };
            let inside = [both, thread].into_iter().find(|text| {
                let room = crate::columns::width(text) as f64 * COLUMN + 6.0;
                self.is_readable() && !text.is_empty() && room <= width && faint.is_empty()
            });
            if let Some(text) = inside {
                put!(
                    out,
                    "<text class=\"i\" x=\"{}\" y=\"{}\">{text}</text>",
                    n(start + width / 2.0),
                    n(y + 4.0)
                );
            }
        }
    }

    /// One element for all polls on the same thread.
    fn plain_polls(&self, out: &mut String, task: &Task, y: f64) {
        let mut paths: [String; COLOURS + 1] = Default::default();
        for mark in self.marks(task) {
            let start = self.x(mark.span.start);
            let width = (self.x(mark.span.end) - start).max(1.0);
            put!(
                paths[self.colour(mark.span.thread)],
                "M{} {}h{}",
                n(start),
                n(y),
                n(width)
            );
        }
        let height = if self.lane < SHAPES {
            self.lane
        } else {
            self.lane * 0.72
        };
        for (colour, path) in paths
            .iter()
            .enumerate()
            .filter(|(_, path)| !path.is_empty())
        {
            put!(
                out,
                "<path class=\"p{colour}\" stroke-width=\"{}\" d=\"{path}\"/>",
                n(height)
            );
        }
    }

    /// Whether most of a mark is waiting.
    fn is_sparse(&self, span: &Span) -> bool {
        span.polls > 1
            && span.busy < (span.end - span.start) / 2
            && self.x(span.end) - self.x(span.start) > 2.0
    }

    /// Who wakes whom.
    fn arrows(&self, out: &mut String, top: f64) {
        if self.tasks.len() > MOST_WITH_ARROWS {
            return;
        }
        let lane_of = |number: u32| {
            let has = |task: &Task| task.origin.is_some_and(|origin| origin.number == number);
            self.tasks.iter().position(has)
        };
        let middle = |lane: usize| top + self.lane * (lane as f64 + 0.5);
        let labels = Labels::new(self.tasks);
        let mut arrows = String::new();
        let mut count = 0;
        for (to, task) in self.tasks.iter().enumerate() {
            for wake in task.wakes.iter().chain(&task.woken) {
                let (Cause::Task(number) | Cause::End(number)) = wake.cause else {
                    continue;
                };
                let Some(from) =
                    lane_of(number).filter(|from| *from != to && count < self.limits.arrows)
                else {
                    continue;
                };
                count += 1;
                let head = if from < to { -5.0 } else { 5.0 };
                put!(
                    arrows,
                    "<path class=\"a\" d=\"M{x} {}V{}m-3 {head}l3 {}l3 {head}\"><title>{}</title></path>",
                    n(middle(from)),
                    n(middle(to)),
                    -head,
                    escape(&format!(
                        "{} 唤醒了“{}”，在 {}",
                        labels.cause(wake.cause, task),
                        clip(&task.label, WIDEST_TITLE),
                        self.picture.words(wake.time)
                    )),
                    x = n(self.x(wake.time)),
                );
            }
        }
        if count > 0 {
            put!(out, "<g class=\"arrows\">{arrows}</g>");
        }
    }

    fn lane_title(&self, task: &Task) -> String {
        let mut title = clip(&task.label, WIDEST_TITLE);
        let end = task.ended_or(self.picture.to);
        let since = task.started().unwrap_or(task.created);
        let time = self.picture.words(end - since);
        match task.end {
            Some((_, End::Completed)) => put!(title, "：{time} 后完成"),
            Some((_, End::Cancelled)) if task.polls == 0 => put!(title, "：{time} 后被丢弃"),
            Some((_, End::Cancelled)) => put!(title, "：{time} 后被取消"),
            Some((_, End::Panicked)) => put!(title, "：{time} 后 panic"),
            None if task.in_poll => put!(title, "：已经 {time}，正在 poll 中"),
            None => put!(title, "：已经 {time}，还没有结束"),
        }
        match task.started() {
            None => title += "，从未被 poll",
            Some(started) => {
                let busy = task.busy();
                put!(
                    title,
                    "\npoll {} 次，共占用线程 {}，等待 {}",
                    task.polls,
                    self.picture.words(busy),
                    self.picture.words((end - started).saturating_sub(busy))
                );
            }
        }
        if let Some(wake) = task.woken.or(task.wakes.last().copied()) {
            let cause = Labels::new(self.tasks).cause(wake.cause, task);
            put!(
                title,
                "\n被唤醒 {} 次，最后一次由{cause}",
                task.wake_counts.0
            );
        }
        let place = task.origin.and_then(|origin| origin.place);
        if let Some(place) = place.and_then(place::of) {
            put!(title, "\n启动于 {place}");
        }
        title
    }

    fn poll_title(&self, task: &Task, mark: &Mark) -> String {
        let span = &mark.span;
        let thread = match self.picture.thread(span.thread) {
            Some(thread) => format!("线程 {} ", thread + 1),
            None => "几个线程".into(),
        };
        let at = self.picture.words(span.start);
        let label = clip(&task.label, WIDEST_TITLE);
        let last = mark.first + span.polls - 1;
        if self.picture.unit == Unit::Steps && span.polls == 1 {
            return format!("{label}：第 {last} 次 poll，第 {} 步", span.end);
        }
        match span.polls {
            1 if task.in_poll && last == task.polls => format!(
                "{label}：第 {last} 次 poll，从 {at} 起，在{thread}上已经执行了 {}，还没有返回",
                self.picture.words(span.busy)
            ),
            1 => format!(
                "{label}：第 {last} 次 poll，从 {at} 起，在{thread}上执行了 {}",
                self.picture.words(span.busy)
            ),
            polls => format!(
                "{label}：第 {}–{last} 次 poll（{polls} 次），从 {at} 起的 {} 里，在{thread}上共执行了 {}",
                mark.first,
                self.picture.words(span.end - span.start),
                self.picture.words(span.busy)
            ),
        }
    }

    fn ticks(&self) -> Vec<(u64, String)> {
        self.picture.axis.ticks(8)
    }

    /// Where time is cut short.
    fn gaps(&self, out: &mut String, top: f64, bottom: f64) {
        for &(start, end) in self.picture.axis.gaps() {
            put!(
                out,
                "<rect class=\"z\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>截短了：{} 里没有任务在进行</title></rect>",
                n(self.x(start)),
                n(top),
                n(self.x(end) - self.x(start)),
                n(bottom - top),
                self.picture.words(end - start)
            );
        }
    }

    fn axis(&self, out: &mut String, y: f64) -> f64 {
        put!(
            out,
            "<g class=\"axis\"><path class=\"x\" d=\"M{} {y}H{}\"/>",
            n(self.left),
            n(self.right),
            y = n(y)
        );
        for (tick, label) in self.ticks() {
            let x = n(self.x(tick));
            put!(
                out,
                "<path class=\"x\" d=\"M{x} {}v4\"/><text class=\"m s\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">{}</text>",
                n(y),
                n(y + 16.0),
                label
            );
        }
        for &(start, end) in self.picture.axis.gaps() {
            put!(
                out,
                "<text text-anchor=\"middle\" x=\"{}\" y=\"{}\">≈</text>",
                n((self.x(start) + self.x(end)) / 2.0),
                n(y + 4.0)
            );
        }
        put!(out, "</g>");
        y + 30.0
    }

    /// How many tasks were in progress at each moment.
    fn curve(&self, out: &mut String, top: f64) -> f64 {
        let picture = self.picture;
        if picture.peak == 0 {
            return top;
        }
        let bottom = top + CURVE;
        let y = |count: usize| bottom - CURVE * count as f64 / picture.peak as f64;
        let mut path = format!("M{} {}", n(self.left), n(bottom));
        let mut last = 0;
        let mut events = picture.progress.iter().copied().peekable();
        while let Some((time, count)) = events.next() {
            let x = self.x(time);
            // All within a third of a pixel as one step, which keeps its highest value.
            let (mut highest, mut now) = (count, count);
            while let Some((_, next)) = events.next_if(|(time, _)| self.x(*time) - x < 0.3) {
                highest = highest.max(next);
                now = next;
            }
            if highest > last.max(now) {
                put!(path, "H{}V{}", n(x), n(y(highest)));
                last = highest;
            }
            if now != last {
                put!(path, "H{}V{}", n(x), n(y(now)));
                last = now;
            }
        }
        put!(path, "H{}V{}Z", n(self.x(picture.to)), n(bottom));
        let mut gaps = String::new();
        self.gaps(&mut gaps, top, bottom);
        put!(
            out,
            "<g class=\"curve\"><title>同时进行的任务数：最多 {peak} 个</title>\
             {gaps}<path class=\"g\" d=\"M{left} {top}H{right}\"/><path class=\"c\" d=\"{path}\"/>\
             <path class=\"x\" d=\"M{left} {bottom}H{right}\"/>\
             <text class=\"m s\" x=\"{MARGIN}\" y=\"{middle}\">同时进行</text>\
             <text class=\"m s\" text-anchor=\"end\" x=\"{scale}\" y=\"{peak_y}\">{peak}</text>\
             <text class=\"m s\" text-anchor=\"end\" x=\"{scale}\" y=\"{zero_y}\">0</text></g>",
            peak = picture.peak,
            left = n(self.left),
            right = n(self.right),
            top = n(top),
            bottom = n(bottom),
            middle = n(top + CURVE / 2.0 + 4.0),
            scale = n(self.left - 6.0),
            peak_y = n(top + 4.0),
            zero_y = n(bottom + 4.0),
        );
        bottom + 12.0
    }
}

fn write_captions(out: &mut String, captions: &[String], top: f64) -> f64 {
    let columns = ((WIDTH - 2.0 * MARGIN - 14.0) / COLUMN) as usize;
    let mut y = top + 14.0;
    put!(out, "<g class=\"captions\">");
    for caption in captions {
        put!(
            out,
            "<text class=\"m\" x=\"{MARGIN}\" y=\"{}\">•</text>",
            n(y)
        );
        for line in wrap(caption, columns) {
            put!(
                out,
                "<text x=\"{}\" y=\"{}\">{}</text>",
                n(MARGIN + 14.0),
                n(y),
                escape(&line)
            );
            y += LINE;
        }
    }
    put!(out, "</g>");
    y - LINE / 2.0
}

#[cfg(test)]
mod tests;
