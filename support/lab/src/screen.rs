//! What set-up shows: a bar for each thing that goes on, side by side. Where nobody sees bars, lines.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::log;

/// All bars.
pub struct Screen {
    all: MultiProgress,
    has_bars: bool,
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::new()
    }
}

impl Screen {
    /// With no bars yet.
    pub fn new() -> Screen {
        let has_bars = std::io::stderr().is_terminal();
        let target = match has_bars {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        Screen {
            all: MultiProgress::with_draw_target(target),
            has_bars,
        }
    }

    /// Begins something of this name.
    pub fn begin(&self, name: &str) -> Step {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style("  {spinner} {prefix}（{elapsed}）{wide_msg}"));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        log::line(&format!("== {name}"));
        Step {
            bar,
            all: self.all.clone(),
            has_bars: self.has_bars,
            since: Instant::now(),
            name: name.to_owned(),
        }
    }

    /// Prints lines above the bars.
    pub fn say(&self, text: &str) {
        log::line(text);
        self.all.suspend(|| println!("{text}"));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is well-formed")
        .progress_chars("=> ")
}

/// Something that goes on.
pub struct Step {
    bar: ProgressBar,
    all: MultiProgress,
    has_bars: bool,
    since: Instant,
    name: String,
}

impl Step {
    /// Its bar, for who only has messages to show.
    pub fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Prints a line above the bars.
    pub fn say(&self, text: &str) {
        log::line(text);
        self.all.suspend(|| println!("{text}"));
    }

    /// Shows that `done` of `all` parts are done, with the time that the rest will take if it goes on
    /// like this.
    pub fn advance(&self, done: u64, all: u64, message: String) {
        if self.bar.length() != Some(all) {
            self.bar.set_length(all);
            self.bar.set_style(style(
                "  {spinner} {prefix} [{bar:24}] {pos}/{len}  {elapsed}，还要约 {eta}  {wide_msg}",
            ));
        }
        self.bar.set_position(done);
        self.bar.set_message(message);
    }

    /// It is done, which a line with the time that it took tells.
    pub fn done(self, what: &str) {
        self.bar.finish_and_clear();
        let took = self.since.elapsed();
        let line = match took < Duration::from_secs(5) {
            true => format!("✓ {what}"),
            false => format!("✓ {what}（{}）", spoken(took)),
        };
        log::line(&line);
        self.all.suspend(|| println!("{line}"));
    }

    /// It is done, and that is nobody's business, or it has failed.
    pub fn clear(self) {
        self.bar.finish_and_clear();
    }

    /// Says that it begins, for who sees no bars.
    pub fn announce(self, expected: &str) -> Step {
        if !self.has_bars {
            println!("  {}：{expected}", self.name);
        }
        self
    }
}

/// A time as one says it.
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} 秒"),
        _ => format!("{} 分 {} 秒", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_minutes_and_seconds() {
        assert_eq!(spoken(Duration::from_millis(1900)), "1 秒");
        assert_eq!(spoken(Duration::from_secs(125)), "2 分 5 秒");
    }
}
