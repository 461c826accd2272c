//! What becomes of a request.
//!
//! A fate hangs on the seed, on what is asked for and on how often that was asked for before. It does
//! not hang on the order in which requests for different things arrive: that differs from run to run,
//! and a random generator that all requests share would give each of them another number every time.

use std::time::Duration;

use crate::Delay;

/// How often a server fails, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Faults {
    /// The part of requests that are answered with one of `statuses`.
    pub error_rate: f64,
    pub statuses: Vec<u16>,
    /// The part of requests whose connection is reset instead of an answer.
    pub reset_rate: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Served,
    Failed(u16),
    Reset,
}

/// The fate of one request: first it waits, then this comes of it.
pub(crate) fn fate(
    seed: u64,
    target: usize,
    attempt: u32,
    delay: Delay,
    faults: &Faults,
) -> (Duration, Outcome) {
    // Three numbers, so that changing the delays does not change who fails.
    let request = mix(mix(seed) ^ ((target as u64) << 32) ^ u64::from(attempt));
    let [wait, lot, which] = [1, 2, 3].map(|purpose| fraction(mix(request ^ purpose)));
    let outcome = if lot < faults.error_rate {
        let statuses = &faults.statuses;
        let status = statuses.get((which * statuses.len() as f64) as usize);
        status.map_or(Outcome::Served, |status| Outcome::Failed(*status))
    } else if lot < faults.error_rate + faults.reset_rate {
        Outcome::Reset
    } else {
        Outcome::Served
    };
    (delay.at(wait), outcome)
}

/// Scatters numbers that are close together (SplitMix64's last step).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 (included) to 1 (excluded), made from the upper 53 bits.
fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn teapots() -> Faults {
        Faults {
            error_rate: 0.25,
            statuses: vec![418, 503],
            reset_rate: 0.05,
        }
    }

    fn outcomes(seed: u64) -> Vec<Outcome> {
        (0..10_000)
            .map(|target| fate(seed, target, 0, Delay::ORIGINAL, &teapots()).1)
            .collect()
    }

    #[test]
    fn rates_are_kept_and_every_status_comes_up() {
        let outcomes = outcomes(1);
        let share = |wanted| outcomes.iter().filter(|o| **o == wanted).count() as f64 / 10_000.0;
        assert!((0.11..0.14).contains(&share(Outcome::Failed(418))));
        assert!((0.11..0.14).contains(&share(Outcome::Failed(503))));
        assert!((0.04..0.06).contains(&share(Outcome::Reset)));
    }

    #[test]
    fn a_seed_fixes_all_fates_and_another_seed_changes_them() {
        assert_eq!(outcomes(1), outcomes(1));
        assert_ne!(outcomes(1), outcomes(2));
    }

    #[test]
    fn another_attempt_has_another_fate() {
        let fates = (0..100).map(|attempt| fate(1, 0, attempt, Delay::None, &teapots()).1);
        assert!(fates.clone().any(|outcome| outcome == Outcome::Served));
        assert!(fates.clone().any(|outcome| outcome != Outcome::Served));
    }
}
