//! Times in words, and on an axis.

/// What the numbers on an axis are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    #[default]
    Time,
    /// Polls of all tasks.
    Steps,
}

impl Unit {
    pub(crate) fn words(self, count: u64) -> String {
        match self {
            Unit::Time => words(count),
            Unit::Steps => format!("{count} 步"),
        }
    }
}

/// "850 ns", "80 µs", "512 ms", "1.02 s", "2 min 5 s": three digits, and no more than are needed.
pub(crate) fn words(nanos: u64) -> String {
    let seconds = nanos as f64 / 1e9;
    let (value, unit) = match nanos {
        0 => return "0".into(),
        1..1_000 => (nanos as f64, "ns"),
        // 999.6 µs would be rounded to 1000.
        1_000..999_500 => (nanos as f64 / 1e3, "µs"),
        999_500..999_500_000 => (nanos as f64 / 1e6, "ms"),
        999_500_000..59_950_000_000 => (seconds, "s"),
        _ => {
            let seconds = seconds.round() as u64;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            return match (hours, minutes, seconds) {
                (0, minutes, 0) => format!("{minutes} min"),
                (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
                (hours, 0, _) => format!("{hours} h"),
                (hours, minutes, _) => format!("{hours} h {minutes} min"),
            };
        }
    };
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let number = format!("{value:.decimals$}");
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number} {unit}")
}

/// Share of the axis that a stretch takes in which nothing happens, however long it was.
const GAP: f64 = 0.03;
/// Least share between two marks, so that their labels do not touch.
const APART: f64 = 0.055;

/// Where a time is between the two ends of a picture: 0 to 1.
#[derive(Debug)]
pub(crate) struct Axis {
    unit: Unit,
    to: u64,
    /// Beginnings and ends of what is cut short, in order.
    gaps: Vec<(u64, u64)>,
    /// Shares per nanosecond outside of the gaps.
    rate: f64,
}

impl Axis {
    /// An axis from zero to `to`, on which `gaps` are cut short.
    pub(crate) fn new(unit: Unit, to: u64, gaps: Vec<(u64, u64)>) -> Axis {
        let cut: u64 = gaps.iter().map(|(start, end)| end - start).sum();
        let rate = (1.0 - GAP * gaps.len() as f64) / (to - cut).max(1) as f64;
        Axis {
            unit,
            to,
            gaps,
            rate,
        }
    }

    /// A stretch of it in words.
    pub(crate) fn words(&self, count: u64) -> String {
        self.unit.words(count)
    }

    pub(crate) fn gaps(&self) -> &[(u64, u64)] {
        &self.gaps
    }

    pub(crate) fn at(&self, time: u64) -> f64 {
        let (mut at, mut from) = (0.0, 0);
        for &(start, end) in &self.gaps {
            if time <= start {
                break;
            }
            at += (start - from) as f64 * self.rate;
            if time < end {
                return at + GAP * (time - start) as f64 / (end - start) as f64;
            }
            (at, from) = (at + GAP, end);
        }
        (at + time.saturating_sub(from) as f64 * self.rate).min(1.0)
    }

    /// How long a share of the axis is, outside of the gaps.
    pub(crate) fn time(&self, share: f64) -> u64 {
        (share / self.rate) as u64
    }

    /// Marks and their labels, at most about `most` of them, at round distances from zero and,
    /// after a gap, from its end.
    pub(crate) fn ticks(&self, most: u64) -> Vec<(u64, String)> {
        let shown = self.time(1.0 - GAP * self.gaps.len() as f64);
        let step = steps()
            .find(|step| shown / step < most.max(1))
            .unwrap_or(u64::MAX);
        let mut starts = vec![0];
        starts.extend(self.gaps.iter().map(|&(_, end)| end));
        let mut ends: Vec<u64> = self.gaps.iter().map(|&(start, _)| start).collect();
        ends.push(self.to);
        let mut ticks: Vec<(u64, String)> = Vec::new();
        for (start, end) in starts.into_iter().zip(ends) {
            if start == end {
                continue;
            }
            for n in 0..=(end - start) / step {
                let time = start + n * step;
                let label = match (start, n) {
                    (0, _) | (_, 0) => self.words(time),
                    _ => format!("+{}", self.words(n * step)),
                };
                let last = ticks.last().map_or(-1.0, |(last, _)| self.at(*last));
                if self.at(time) - last >= APART {
                    ticks.push((time, label));
                }
            }
        }
        ticks
    }
}

/// 1, 2, 5, 10, … nanoseconds up to 10 s, then what clocks have.
fn steps() -> impl Iterator<Item = u64> {
    const SECOND: u64 = 1_000_000_000;
    let decimal = (0..10).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let clock = [10, 15, 30, 60, 120, 300, 600, 900, 1800].map(|seconds| seconds * SECOND);
    let hours = (0..40).map(|power| (3600 * SECOND).saturating_mul(1 << power));
    decimal.chain(clock).chain(hours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let times = [
            (0, "0"),
            (850, "850 ns"),
            (1_000, "1 µs"),
            (80_400, "80.4 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (512_000_000, "512 ms"),
            (999_499_999, "999 ms"),
            (1_024_000_000, "1.02 s"),
            (10_000_000_000, "10 s"),
            (59_949_999_999, "59.9 s"),
            (60_000_000_000, "1 min"),
            (125_000_000_000, "2 min 5 s"),
            (3_600_000_000_000, "1 h"),
            (9_000_000_000_000, "2 h 30 min"),
        ];
        for (nanos, expected) in times {
            assert_eq!(words(nanos), expected);
        }
    }

    fn labels(to: u64, gaps: &[(u64, u64)]) -> Vec<String> {
        let ticks = Axis::new(Unit::Time, to, gaps.to_vec()).ticks(8);
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn an_axis_has_a_few_round_marks_at_any_scale() {
        for power in 0..17 {
            for digit in [1, 3, 7] {
                let to = digit * 10_u64.pow(power);
                let labels = labels(to, &[]);
                assert!(labels.len() <= 9 && labels[0] == "0", "{to}: {labels:?}");
                assert!(to < 3 || labels.len() >= 3, "{to}: {labels:?}");
            }
        }
        assert_eq!(
            labels(200_000_000_000, &[]),
            [
                "0",
                "30 s",
                "1 min",
                "1 min 30 s",
                "2 min",
                "2 min 30 s",
                "3 min"
            ]
        );
    }

    #[test]
    fn gaps_are_cut_short_and_time_is_counted_anew_after_them() {
        const S: u64 = 1_000_000_000;
        let axis = Axis::new(Unit::Time, 100 * S, vec![(0, 10 * S), (12 * S, 98 * S)]);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(axis.at(0), 0.0) && close(axis.at(10 * S), GAP));
        assert!(close(axis.at(12 * S), 0.5));
        assert!(close(axis.at(55 * S), 0.5 + GAP / 2.0));
        assert!(close(axis.at(98 * S), 0.5 + GAP));
        assert!(close(axis.at(100 * S), 1.0) && close(axis.at(u64::MAX), 1.0));
        assert_eq!(
            labels(100 * S, axis.gaps()),
            ["10 s", "+1 s", "+2 s", "+1 s", "+2 s"]
        );
        let mut last = 0.0;
        for time in (0..=100 * S).step_by(S as usize / 10) {
            assert!(axis.at(time) >= last);
            last = axis.at(time);
        }
    }
}
