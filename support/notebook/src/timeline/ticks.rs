//! What time it is, for little: twice for each poll of every task.
//!
//! The processor's own counter is read in a few nanoseconds, the system's clock in some 25. Where the
//! system trusts the counter, as its own clock, so do we; how long a tick is comes out later, when
//! somebody looks. Elsewhere a tick is a nanosecond of the system's clock.

use std::sync::OnceLock;
use std::time::Instant;

/// A moment at which both clocks were read.
struct Anchor {
    time: Instant,
    ticks: u64,
    trusts_counter: bool,
}

fn anchor() -> &'static Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    ANCHOR.get_or_init(|| {
        let trusts_counter = trusts_counter();
        Anchor {
            time: Instant::now(),
            ticks: if trusts_counter { counter() } else { 0 },
            trusts_counter,
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    // SAFETY: every processor of this architecture has the instruction, and it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

fn trusts_counter() -> bool {
    const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    cfg!(target_arch = "x86_64")
        && std::fs::read_to_string(CLOCK).is_ok_and(|clock| clock.trim() == "tsc")
}

/// The ticks until now.
#[inline]
pub(super) fn now() -> u64 {
    let anchor = anchor();
    match anchor.trusts_counter {
        true => counter(),
        false => anchor.time.elapsed().as_nanos() as u64,
    }
}

/// The length of a tick, in nanoseconds: the more exact the longer there has been to measure it.
pub(super) fn length() -> f64 {
    let anchor = anchor();
    if !anchor.trusts_counter {
        return 1.0;
    }
    let ticks = counter().saturating_sub(anchor.ticks).max(1);
    anchor.time.elapsed().as_nanos() as f64 / ticks as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ticks_measure_what_the_systems_clock_measures() {
        let (time, ticks) = (Instant::now(), now());
        std::thread::sleep(Duration::from_millis(50));
        let (elapsed, passed) = (time.elapsed(), now() - ticks);
        let measured = passed as f64 * length();
        let ratio = measured / elapsed.as_nanos() as f64;
        assert!(
            (0.95..1.05).contains(&ratio),
            "{measured} ns in {elapsed:?}"
        );
    }

    #[test]
    fn they_never_go_back_whoever_asks() {
        let mut last = now();
        for _ in 0..20 {
            let here = now();
            let there = std::thread::spawn(now).join().unwrap();
            assert!(last <= here && here <= there);
            last = there;
        }
    }
}
