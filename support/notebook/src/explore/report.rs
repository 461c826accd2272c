//! What has been found.

use std::fmt;
use std::time::Duration;

use super::trouble::Trouble;
use crate::escape::escape;
use crate::timeline::words;
use crate::{Bundle, Handle, Show, Timeline, display};

/// What [`explore`](crate::explore()) has found.
///
/// As the last expression of a cell it is shown: which seed fails, how, and the timeline of that run.
#[derive(Clone, Debug)]
#[must_use = "结果要显示出来（单元格的最后一个表达式），或者用 passed()、seed() 检查"]
pub struct Exploration {
    runs: u64,
    steps: u64,
    elapsed: Duration,
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) trouble: Trouble,
    /// Whether the same happened the second time.
    pub(super) repeats: bool,
    pub(super) timeline: Timeline,
}

impl Exploration {
    pub(super) fn new(
        runs: u64,
        steps: u64,
        elapsed: Duration,
        failure: Option<Failure>,
    ) -> Exploration {
        Exploration {
            runs,
            steps,
            elapsed,
            failure,
        }
    }

    /// Whether no run failed.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// The first seed whose run failed.
    pub fn seed(&self) -> Option<u64> {
        self.failure.as_ref().map(|failure| failure.seed)
    }

    /// How that run failed: the message of the panic or the error, or who waits for ever.
    pub fn failure(&self) -> Option<String> {
        self.failure
            .as_ref()
            .map(|failure| failure.trouble.sentence())
    }

    /// When which task ran in that run, in steps: one is one poll.
    pub fn timeline(&self) -> Option<&Timeline> {
        self.failure.as_ref().map(|failure| &failure.timeline)
    }

    /// How many runs there were, the failing one included.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// How long they took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Displays it now.
    pub fn show(&self) -> Handle {
        display(self)
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        self.bundle().evcxr_display();
    }

    fn sentences(&self) -> Vec<String> {
        let effort = words(self.elapsed.as_nanos() as u64);
        let Some(failure) = &self.failure else {
            return vec![format!(
                "试了 {} 个种子，任务的先后各不相同，都没有出错（共 {} 步，用了 {effort}）。",
                self.runs, self.steps
            )];
        };
        let mut sentences = vec![
            format!(
                "第 {} 个种子出错了：种子 {}（用了 {effort}）。",
                self.runs, failure.seed
            ),
            failure.trouble.sentence(),
        ];
        sentences.push(match failure.repeats {
            true => format!(
                "下面是重放这一次的时间轴：一步是一次 poll。explore({}..{}, …) 总是得到同样的顺序。",
                failure.seed,
                failure.seed + 1
            ),
            false => "重放时没有出现同样的错误：程序用到了种子管不到的东西（系统时钟、随机数、线程或网络）。\
                下面的时间轴是重放的那一次。"
                .into(),
        });
        sentences
    }
}

impl Show for Exploration {
    fn bundle(&self) -> Bundle {
        let sentences = self.sentences();
        let paragraphs: Vec<String> = sentences
            .iter()
            .map(|sentence| {
                format!(
                    "<div style=\"white-space:pre-wrap\">{}</div>",
                    escape(sentence)
                )
            })
            .collect();
        let (text, html) = (sentences.join("\n"), paragraphs.concat());
        let Some(timeline) = self.timeline() else {
            return Bundle::new(text).with("text/html", html);
        };
        let drawn = timeline.bundle();
        let svg = drawn.get("text/html").and_then(|svg| svg.as_str());
        Bundle::new(format!("{text}\n{}", drawn.text()))
            .with("text/html", html + svg.unwrap_or_default())
    }
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences().join("\n"))
    }
}
