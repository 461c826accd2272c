//! Progress bars and spinners: indicatif's, drawn in place in the notebook.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use indicatif::{
    MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle,
    TermLike,
};
use pin_project_lite::pin_project;

use crate::screen::Screen;
use crate::{Bundle, outlet};

/// Columns of the terminal that indicatif draws on: what fits beside the input area's prompt in a
/// window of a thousand pixels.
const WIDTH: u16 = 96;
/// Its lines; bars beyond them would not be drawn.
const HEIGHT: u16 = 400;
/// Most drawings a second, apart from a bar's last.
const HZ: u8 = 10;
/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

const BAR: &str = "{prefix}{percent:>3}% {bar:30.blue/dim} {pos}/{len} {times} {msg}";
const COUNTER: &str = "{spinner:.blue} {prefix}{pos} {times} {msg}";
const SPINNER: &str = "{spinner:.blue} {prefix}{msg} {elapsed:.dim}";

/// Where a bar or a group of bars is drawn: for indicatif's own constructors.
///
/// In a notebook that is a display of its own, which appears when something is first drawn and keeps
/// its last state. In an ordinary program it is standard error.
///
/// ```
/// use notebook::indicatif::{ProgressBar, ProgressStyle};
///
/// let bar = ProgressBar::with_draw_target(Some(20), notebook::draw_target())
///     .with_style(ProgressStyle::with_template("{wide_bar} {pos}/{len}").unwrap());
/// bar.inc(20);
/// bar.finish();
/// ```
///
/// On a stock evcxr kernel the text of the last state is part of the cell's result, unless the cell
/// has another.
pub fn draw_target() -> ProgressDrawTarget {
    if !outlet::in_kernel() {
        return ProgressDrawTarget::stderr();
    }
    // Our output is no terminal, so `console` would leave out the colours that a notebook can show.
    console::set_colors_enabled(true);
    console::set_colors_enabled_stderr(true);
    ProgressDrawTarget::term_like_with_hz(Box::new(Display::new(Box::new(publish()))), HZ)
}

/// A progress bar for `len` steps: [`inc`](ProgressBar::inc) it, and [`finish`](ProgressBar::finish)
/// it at the end. Dropped before, it keeps the state it was in.
///
/// ```
/// let bar = notebook::progress_bar(3).with_prefix("下载 ");
/// for code in ["CN", "IN", "US"] {
///     bar.set_message(code);
///     bar.inc(1);
/// }
/// bar.finish_with_message("完成");
/// ```
///
#[doc = concat!("<div>", include_str!("pictures/progress.html"), "</div>")]
pub fn progress_bar(len: u64) -> ProgressBar {
    ProgressBar::with_draw_target(Some(len), draw_target())
        .with_style(bar_style())
        .with_finish(ProgressFinish::Abandon)
}

/// A spinner that turns until it is finished or dropped.
///
/// ```
/// let spinner = notebook::spinner("正在思考……");
/// spinner.finish_with_message("42");
/// ```
pub fn spinner(message: impl Into<std::borrow::Cow<'static, str>>) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, draw_target())
        .with_style(style(SPINNER))
        .with_finish(ProgressFinish::Abandon)
        .with_message(message);
    spinner.enable_steady_tick(TICK);
    spinner
}

/// Several bars as one display, one below the other: [`add`](MultiProgress::add) them to it, or see
/// [`Progress::within`].
///
/// ```
/// let bars = notebook::multi_progress();
/// let total = bars.add(notebook::progress_bar(2));
/// for page in 0..2 {
///     let bar = bars.add(notebook::progress_bar(10));
///     bar.inc(10);
///     bar.finish_and_clear();
///     total.inc(1);
/// }
/// total.finish();
/// ```
pub fn multi_progress() -> MultiProgress {
    MultiProgress::with_draw_target(draw_target())
}

/// Shows how far an iterator has got, as tqdm does.
///
/// ```
/// let mut sum = 0;
/// for n in notebook::progress(1..=100).label("求和") {
///     sum += n;
/// }
/// assert_eq!(sum, 5050);
/// ```
///
/// An element counts as done when the next is asked for. What does not know its length shows a
/// count instead of a bar, unless [`Progress::len`] tells. A loop that ends early leaves the bar
/// where it was.
pub fn progress<I: IntoIterator>(iter: I) -> Progress<I::IntoIter> {
    let iter = iter.into_iter();
    let hint = iter.size_hint();
    Progress::new(iter, hint)
}

/// Shows how many elements of a stream have arrived: `FuturesUnordered`, `buffer_unordered`…
///
/// ```
/// use futures::{StreamExt, stream};
///
/// # nest_tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let answers = stream::iter(1..=20).map(|n| async move { n * n }).buffer_unordered(5);
/// let sum = notebook::progress_stream(answers)
///     .len(20)
///     .fold(0, |sum, square| async move { sum + square })
///     .await;
/// assert_eq!(sum, 2870);
/// # });
/// ```
pub fn progress_stream<S: Stream>(stream: S) -> Progress<S> {
    let hint = stream.size_hint();
    Progress::new(stream, hint)
}

pin_project! {
    /// An iterator or a stream with a progress bar: see [`progress`] and [`progress_stream`].
    #[derive(Debug)]
    #[must_use = "迭代器和流都是惰性的：用 for 或 while let 取出元素"]
    pub struct Progress<T> {
        #[pin]
        inner: T,
        bar: Bar,
    }
}

/// The bar of a [`Progress`], which outlives neither it nor its last element.
#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    clear_when_done: bool,
    started: bool,
}

impl Bar {
    /// Draws it once before anything has happened; says whether that was just now.
    fn start(&mut self) -> bool {
        let first = !self.started;
        if first {
            self.started = true;
            self.bar.reset_elapsed();
            self.bar.tick();
        }
        first
    }

    fn finish(&self) {
        if self.bar.is_finished() {
            return;
        }
        if self.clear_when_done {
            self.bar.finish_and_clear();
        } else if self.bar.length().is_some() {
            // Not `finish`, which would claim that all have been seen.
            self.bar.abandon();
        } else {
            self.bar.finish();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.started {
            self.finish();
        } else {
            // indicatif would draw it, full, when it is dropped.
            self.bar.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

impl<T> Progress<T> {
    fn new(inner: T, hint: (usize, Option<usize>)) -> Progress<T> {
        let bar = match hint {
            (least, Some(most)) if least == most => progress_bar(most as u64),
            _ => ProgressBar::with_draw_target(None, draw_target()).with_style(style(COUNTER)),
        };
        let bar = Bar {
            bar,
            clear_when_done: false,
            started: false,
        };
        Progress { inner, bar }
    }

    /// Puts `label` before the bar.
    pub fn label(self, label: impl fmt::Display) -> Progress<T> {
        self.bar.bar.set_prefix(format!("{label} "));
        self
    }

    /// Says how many elements there are, where the iterator or stream does not know.
    pub fn len(self, len: u64) -> Progress<T> {
        self.bar.bar.set_length(len);
        self.bar.bar.set_style(bar_style());
        self
    }

    /// Draws the bar as one of `bars`: for loops in loops, and for tasks side by side.
    ///
    /// ```
    /// use notebook::progress;
    ///
    /// let bars = notebook::multi_progress();
    /// for page in progress(0..3).label("页").within(&bars) {
    ///     for item in progress(0..10).label("项").within(&bars).clear_when_done() {
    ///         // …
    ///     }
    /// }
    /// ```
    pub fn within(mut self, bars: &MultiProgress) -> Progress<T> {
        self.bar.bar = bars.add(self.bar.bar.clone());
        self
    }

    /// Removes the bar when it has come to its end (tqdm's `leave=False`).
    pub fn clear_when_done(mut self) -> Progress<T> {
        self.bar.clear_when_done = true;
        self
    }

    /// The bar: to change its style, or its message while it runs.
    pub fn bar(&self) -> ProgressBar {
        self.bar.bar.clone()
    }
}

impl<I: Iterator> Iterator for Progress<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if !self.bar.start() {
            self.bar.bar.inc(1);
        }
        let item = self.inner.next();
        if item.is_none() {
            self.bar.finish();
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<S: Stream> Stream for Progress<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        this.bar.start();
        let item = this.inner.poll_next(cx);
        match &item {
            Poll::Ready(Some(_)) => this.bar.bar.inc(1),
            Poll::Ready(None) => this.bar.finish(),
            Poll::Pending => {}
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

fn bar_style() -> ProgressStyle {
    style(BAR).progress_chars("█▉▊▋▌▍▎▏░")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("our own templates are well-formed")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏✓")
        .with_key(
            "times",
            |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&times(state));
            },
        )
        .with_key(
            "elapsed",
            |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&clock(state.elapsed()));
            },
        )
}

/// "用时 3.2 s，还要 1.1 s，31.9/s"
fn times(state: &ProgressState) -> String {
    let mut times = format!("用时 {}", clock(state.elapsed()));
    let rate = state.per_sec();
    if !state.is_finished() && state.pos() > 0 && state.len().is_some() {
        times += &format!("，还要 {}", clock(state.eta()));
    }
    if rate > 0.0 {
        times += &match rate {
            ..10.0 => format!("，{rate:.2}/s"),
            ..1000.0 => format!("，{rate:.0}/s"),
            ..1e6 => format!("，{:.1}k/s", rate / 1e3),
            _ => format!("，{:.1}M/s", rate / 1e6),
        };
    }
    times
}

/// "0.2 s", "1:05", "2:00:00"
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!(
            "{}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        ),
    }
}

/// Shows what is on a screen: text and HTML.
type Publish = dyn Fn(&Screen) + Send + Sync;

/// A terminal that is a display in the notebook.
struct Display {
    screen: Mutex<Screen>,
    publish: Box<Publish>,
}

impl Display {
    fn new(publish: Box<Publish>) -> Display {
        Display {
            screen: Mutex::new(Screen::new(WIDTH)),
            publish,
        }
    }

    fn draw(&self, draw: impl FnOnce(&mut Screen)) -> io::Result<()> {
        draw(&mut self.screen.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// Publishes a screen whenever it has changed, the first time as a new display.
fn publish() -> impl Fn(&Screen) + Send + Sync {
    let id = outlet::new_id();
    let shown = Mutex::new(None);
    move |screen| {
        let html = screen.html();
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let message_type = match &*shown {
            None if html.is_empty() => return,
            Some(shown) if *shown == html => return,
            None => "display_data",
            Some(_) => "update_display_data",
        };
        let text = Bundle::new(screen.text());
        if !outlet::publish_bundle(message_type, &id, &text.clone().with("text/html", &*html)) {
            // Only text: as HTML it would be preferred to the text of the cell's own result.
            outlet::print_blocks(&text);
        }
        *shown = Some(html);
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Display").finish_non_exhaustive()
    }
}

impl TermLike for Display {
    fn width(&self) -> u16 {
        WIDTH
    }

    fn height(&self) -> u16 {
        HEIGHT
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.draw(|screen| screen.up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.draw(|screen| screen.down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.draw(|screen| screen.right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.draw(|screen| screen.left(n))
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.draw(|screen| {
            screen.write(line);
            screen.write("\n");
        })
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(|screen| screen.write(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw(Screen::clear_line)
    }

    fn flush(&self) -> io::Result<()> {
        (self.publish)(&self.screen.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::outlet::recorded;

    /// A target that draws at once, and what was drawn, state after state.
    fn target() -> (ProgressDrawTarget, Arc<Mutex<Vec<String>>>) {
        target_for(Screen::text)
    }

    /// The same, with each state in the form that `form` gives it.
    fn target_for(
        form: impl Fn(&Screen) -> String + Send + Sync + 'static,
    ) -> (ProgressDrawTarget, Arc<Mutex<Vec<String>>>) {
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let states = drawn.clone();
        let display = Display::new(Box::new(move |screen| {
            states.lock().unwrap().push(form(screen));
        }));
        let target = ProgressDrawTarget::term_like(Box::new(display));
        (target, drawn)
    }

    fn plain(template: &str) -> ProgressStyle {
        ProgressStyle::with_template(template)
            .unwrap()
            .progress_chars("#-")
    }

    #[test]
    fn a_bar_is_drawn_in_place_and_its_last_state_stays() {
        let (target, drawn) = target();
        let bar = ProgressBar::with_draw_target(Some(4), target)
            .with_style(plain("国旗 {bar:4} {pos}/{len}"));
        bar.inc(1);
        bar.println("<CN>");
        bar.inc(3);
        bar.finish();
        let drawn = drawn.lock().unwrap();
        assert_eq!(drawn[0], "国旗 #--- 1/4");
        assert_eq!(drawn.last().unwrap(), "<CN>\n国旗 #### 4/4");
    }

    #[test]
    fn several_bars_keep_their_lines_and_a_cleared_one_leaves_none() {
        let (target, drawn) = target();
        let bars = MultiProgress::with_draw_target(target);
        let new = |len| ProgressBar::new(len).with_style(plain("{pos}/{len}"));
        let (first, second) = (bars.add(new(2)), bars.add(new(3)));
        let wide = bars.add(new(9).with_style(plain("{wide_bar} {pos}")));
        first.inc(2);
        second.inc(1);
        wide.inc(9);
        first.finish();
        second.finish_and_clear();
        wide.finish();
        let last = drawn.lock().unwrap().last().unwrap().clone();
        assert_eq!(
            last,
            format!("2/2\n{} 9", "#".repeat(usize::from(WIDTH) - 2))
        );
    }

    /// What the usual bar looks like at its end, after two seconds and no more than can be seen: a
    /// thread that has to stand in line meanwhile tries again.
    fn usual_bar(view: fn(&Screen) -> String, len: u64) -> String {
        loop {
            let (target, drawn) = target_for(view);
            let begun = Instant::now();
            let bar = ProgressBar::with_draw_target(Some(len), target)
                .with_style(bar_style())
                .with_prefix("下载 ")
                .with_elapsed(Duration::from_secs(2));
            bar.inc(len);
            bar.finish_with_message("完成");
            if begun.elapsed() < Duration::from_millis(4) {
                return drawn.lock().unwrap().last().unwrap().clone();
            }
        }
    }

    #[test]
    fn the_picture_in_the_documentation_is_what_is_drawn() {
        console::set_colors_enabled(true);
        console::set_colors_enabled_stderr(true);
        crate::pictures::check("progress.html", &usual_bar(Screen::html, 3));
    }

    #[test]
    fn the_usual_bar_says_how_far_how_long_and_how_fast() {
        let full = "█".repeat(30);
        assert_eq!(
            usual_bar(Screen::text, 4),
            format!("下载 100% {full} 4/4 用时 2.0 s，2.00/s 完成")
        );
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(7325)), "2:02:05");
    }

    #[test]
    fn wide_text_around_bars_reads_in_the_notebook_as_it_was_written() {
        let (target, drawn) = target_for(|screen| {
            let html = screen.html();
            assert!(!html.contains("width"), "{html}");
            let text = crate::escape::strip_tags(&html);
            assert_eq!(text, screen.text());
            text
        });
        let bars = MultiProgress::with_draw_target(target);
        let lines = ["下载 ", "🇨🇳 ", "👨\u{200d}👩\u{200d}👧 "].map(|prefix| {
            let bar = bars.add(ProgressBar::new(2).with_style(plain("{prefix}{bar:4.red} {msg}")));
            bar.set_prefix(prefix);
            bar.inc(2);
            bar.finish_with_message("答案 是 42");
            bar
        });
        lines[0].println("（已下载：中国）");
        assert_eq!(
            *drawn.lock().unwrap().last().unwrap(),
            "（已下载：中国）\n下载 #### 答案 是 42\n🇨🇳 #### 答案 是 42\n\
             👨\u{200d}👩\u{200d}👧 #### 答案 是 42"
        );
    }

    #[test]
    fn bars_from_threads_end_as_one_display() {
        let (target, drawn) = target();
        let bars = MultiProgress::with_draw_target(target);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let bar = bars
                    .add(ProgressBar::new(50).with_style(plain(&format!("{n}: {{pos}}/{{len}}"))));
                scope.spawn(move || {
                    for _ in 0..50 {
                        bar.inc(1);
                    }
                    bar.finish();
                });
            }
        });
        let expected: Vec<_> = (0..8).map(|n| format!("{n}: 50/50")).collect();
        assert_eq!(*drawn.lock().unwrap().last().unwrap(), expected.join("\n"));
    }

    /// `progress(…)`, drawn on `target`.
    fn on<T>(mut progress: Progress<T>, target: ProgressDrawTarget) -> Progress<T> {
        let len = progress.bar.bar.length();
        progress
            .bar
            .bar
            .set_draw_target(ProgressDrawTarget::hidden());
        progress.bar.bar = ProgressBar::with_draw_target(len, target).with_style(plain("{pos}"));
        progress
    }

    #[test]
    fn an_element_counts_when_the_next_is_asked_for() {
        let (target, drawn) = target();
        let progress = on(progress(["a", "b"]), target);
        let states: Vec<_> = progress
            .map(|_| drawn.lock().unwrap().last().unwrap().clone())
            .collect();
        assert_eq!(states, ["0", "1"]);
        assert_eq!(drawn.lock().unwrap().last().unwrap(), "2");
    }

    #[test]
    fn a_loop_that_ends_early_leaves_the_bar_where_it_was() {
        let (target, drawn) = target();
        for n in on(progress(0..10), target) {
            if n == 3 {
                break;
            }
        }
        assert_eq!(drawn.lock().unwrap().last().unwrap(), "3");
    }

    #[test]
    fn a_progress_that_is_never_used_is_never_drawn() {
        let (target, drawn) = target();
        drop(on(progress(0..10), target));
        assert!(drawn.lock().unwrap().is_empty());
    }

    #[test]
    fn loops_in_loops_share_a_display() {
        let (target, drawn) = target();
        let bars = MultiProgress::with_draw_target(target);
        let nested = |len, bars: &MultiProgress| {
            let progress = progress(0..len).within(bars);
            progress.bar().set_style(plain("{pos}/{len}"));
            progress
        };
        drop(nested(7, &bars));
        for _ in nested(2, &bars) {
            for _ in nested(3, &bars).clear_when_done() {}
        }
        let drawn = drawn.lock().unwrap();
        assert!(drawn.contains(&"1/2\n2/3".to_owned()));
        assert!(drawn.iter().all(|state| !state.contains("/7")));
        assert_eq!(drawn.last().unwrap(), "2/2");
    }

    #[test]
    fn a_stream_counts_what_has_arrived() {
        let (target, drawn) = target();
        let stream = futures::stream::iter(0..3);
        let stream = on(progress_stream(stream), target);
        let items: Vec<_> = futures::executor::block_on_stream(stream).collect();
        assert_eq!(items, [0, 1, 2]);
        assert_eq!(drawn.lock().unwrap().last().unwrap(), "3");
    }

    #[test]
    fn the_notebook_gets_one_display_with_text_and_html_and_no_repetitions() {
        let messages = recorded::messages(|| {
            let publish = publish();
            let mut screen = Screen::new(20);
            publish(&screen);
            screen.write("\x1b[34m██\x1b[0m 1/2");
            publish(&screen);
            publish(&screen);
            screen.write("\r\x1b[34m████\x1b[0m 2/2");
            publish(&screen);
        });
        let types: Vec<_> = messages.iter().map(|message| &*message.0).collect();
        assert_eq!(types, ["display_data", "update_display_data"]);
        let id = |n: usize| &messages[n].1["transient"]["display_id"];
        assert_eq!(id(0), id(1));
        assert_eq!(messages[1].1["data"]["text/plain"], "████ 2/2");
        let html = messages[1].1["data"]["text/html"].as_str().unwrap();
        assert!(html.contains("<span style=\"color:#2f81d6;\">████</span> 2/2"));
    }
}
