//! Times in words, and the marks of a time axis.

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

/// Marks from `from` to `to`, at most `most` of them, at round distances from zero.
pub(crate) fn ticks(from: u64, to: u64, most: u64) -> Vec<u64> {
    let range = to.saturating_sub(from).max(1);
    let step = steps()
        .find(|step| range / step < most.max(1))
        .unwrap_or(range);
    (from.div_ceil(step)..=to / step)
        .map(|n| n * step)
        .collect()
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

    #[test]
    fn an_axis_has_a_few_round_marks_at_any_scale() {
        for power in 0..17 {
            for digit in [1, 3, 7] {
                let to = digit * 10_u64.pow(power);
                let ticks = ticks(0, to, 8);
                assert!(ticks.len() <= 9 && ticks[0] == 0, "{to}: {ticks:?}");
                assert!(to < 3 || ticks.len() >= 3, "{to}: {ticks:?}");
            }
        }
        assert_eq!(ticks(0, 1_000, 5), [0, 500, 1_000]);
        let minutes: Vec<_> = ticks(0, 200_000_000_000, 8)
            .into_iter()
            .map(words)
            .collect();
        assert_eq!(
            minutes,
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
        assert_eq!(ticks(1_130, 1_390, 4), [1_200, 1_300]);
    }
}
