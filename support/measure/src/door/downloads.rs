//! What set-up downloads, as its log tells it.

use std::time::Duration;

/// What goes on side by side in set-up, and downloads.
#[derive(Debug, Default)]
pub struct Downloads {
    /// Those of which the log tells.
    pub parts: Vec<Part>,
}

/// A part of set-up.
#[derive(Debug)]
pub struct Part {
    /// What is downloaded.
    pub name: &'static str,
    /// How long that took.
    pub downloading: Duration,
    /// When the part was done, from the beginning of set-up.
    done: Duration,
}

/// How parts are told apart in the log: what is in the line with which one begins, how the line begins
/// before which everything has been downloaded, and that with which it is done.
const PARTS: [(&str, &str, &str, &str); 3] = [
    (
        "内核和 runner 用到的 crate",
        "\"--bin=kernel\"",
        "Compiling ",
        "✓ 内核和 runner",
    ),
    (
        "JupyterLab",
        "\"pip\" \"install\"",
        "Installing collected packages",
        "✓ JupyterLab",
    ),
    (
        "笔记本用到的 crate",
        "== crate",
        "✓ 笔记本用到的 crate",
        "✓ 笔记本用到的 crate",
    ),
];

impl Downloads {
    /// Reads a log. A part of which it does not tell has downloaded nothing.
    pub fn of(log: &str) -> Downloads {
        let lines: Vec<(Duration, &str)> = log.lines().filter_map(line).collect();
        let parts = PARTS.iter().filter_map(|(name, begin, downloaded, done)| {
            let first = lines.iter().position(|(_, text)| text.contains(begin))?;
            let when = |beginning: &str| {
                let behind = lines[first..].iter();
                let mut found = behind.filter(|(_, text)| text.trim_start().starts_with(beginning));
                found.next().map(|(at, _)| *at)
            };
            let downloaded = when(downloaded)?;
            Some(Part {
                name,
                downloading: downloaded.saturating_sub(lines[first].0),
                done: when(done)?.max(downloaded),
            })
        });
        Downloads {
            parts: parts.collect(),
        }
    }

    /// How much later all of it was done because of what was downloaded: no more than the longest of
    /// the downloads, and less where another part was slower anyway.
    pub fn delay(&self) -> Duration {
        let latest =
            |of: fn(&Part) -> Duration| self.parts.iter().map(of).max().unwrap_or_default();
        latest(|part| part.done) - latest(|part| part.done.saturating_sub(part.downloading))
    }
}

/// The time and the text of a line.
fn line(line: &str) -> Option<(Duration, &str)> {
    let (seconds, text) = line.trim_start().split_once("  ")?;
    let seconds = seconds.parse().ok()?;
    Some((Duration::try_from_secs_f64(seconds).ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "    0.10  == 内核和 runner
    0.10  cd \"/clone\" && \"/bin/cargo\" \"build\" \"--locked\" \"--bin=kernel\" \"--bin=runner\"
    0.20  == JupyterLab
    0.30  == crate
    0.40  \"/clone/.venv/bin/python\" \"-m\" \"pip\" \"install\" \"jupyterlab==4\"
    3.00    Downloaded syn v2.0.0
   10.10     Compiling syn v2.0.0
   20.40  Installing collected packages: jupyterlab
   30.30  ✓ 笔记本用到的 crate 都在（30 秒）
   35.00  ✓ JupyterLab：/clone/.venv（35 秒）
not a line of it
   90.00  ✓ 内核和 runner 是新的（1 分 30 秒）
   91.00  Compiling futures
";

    fn seconds(time: Duration) -> f64 {
        (time.as_secs_f64() * 10.0).round() / 10.0
    }

    #[test]
    fn each_part_is_told_apart_in_what_goes_on_side_by_side() {
        let downloads = Downloads::of(LOG);
        let times: Vec<_> = downloads
            .parts
            .iter()
            .map(|part| (seconds(part.downloading), seconds(part.done)))
            .collect();
        assert_eq!(times, [(10.0, 90.0), (20.0, 35.0), (30.0, 30.3)]);
    }

    #[test]
    fn a_download_delays_only_what_nothing_slower_would_have_delayed_anyway() {
        assert_eq!(seconds(Downloads::of(LOG).delay()), 10.0);
        // The kernel takes no time: then it is pip that everybody waits for.
        let quick = LOG.replace("   90.00  ✓", "   12.00  ✓");
        assert_eq!(seconds(Downloads::of(&quick).delay()), 20.0);
        assert_eq!(Downloads::of("").delay(), Duration::ZERO);
    }
}
