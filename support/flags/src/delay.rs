//! How long a server takes to answer.

use std::time::Duration;

/// A distribution of waiting times.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Delay {
    /// No waiting.
    #[default]
    None,
    /// Always the same.
    Fixed(Duration),
    /// Any time between the first and the second, all equally likely.
    Uniform(Duration, Duration),
    /// Mostly short and sometimes very long, as in a busy network: exponential with this mean, and
    /// never more than ten times the mean.
    Exponential(Duration),
}

impl Delay {
    /// That of the book's slow server: uniform between 0.5 s and 5 s.
    pub const ORIGINAL: Delay =
        Delay::Uniform(Duration::from_millis(500), Duration::from_millis(5000));

    /// The waiting time that a number from 0 (included) to 1 (excluded) stands for.
    pub(crate) fn at(self, place: f64) -> Duration {
        match self {
            Delay::None => Duration::ZERO,
            Delay::Fixed(time) => time,
            Delay::Uniform(a, b) => a.min(b) + a.abs_diff(b).mul_f64(place),
            Delay::Exponential(mean) => mean.mul_f64((-(1.0 - place).ln()).min(10.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn uniform_delays_reach_from_one_end_to_the_other() {
        for delay in [
            Delay::Uniform(SECOND, SECOND * 3),
            Delay::Uniform(SECOND * 3, SECOND),
        ] {
            assert_eq!(delay.at(0.0), SECOND);
            assert_eq!(delay.at(0.5), SECOND * 2);
        }
    }

    #[test]
    fn the_books_delays_reach_from_half_a_second_to_five() {
        assert_eq!(Delay::ORIGINAL.at(0.0), SECOND / 2);
        assert_eq!(Delay::ORIGINAL.at(0.5), SECOND * 11 / 4);
        assert!(Delay::ORIGINAL.at(1.0 - f64::EPSILON) > SECOND * 499 / 100);
    }

    #[test]
    fn exponential_delays_have_their_mean_and_an_end() {
        let delay = Delay::Exponential(SECOND);
        let places = (0..100_000).map(|i| f64::from(i) / 100_000.0);
        let sum: Duration = places.map(|place| delay.at(place)).sum();
        assert!((0.99..1.01).contains(&(sum / 100_000).as_secs_f64()));
        assert_eq!(delay.at(1.0 - f64::EPSILON), SECOND * 10);
    }
}
