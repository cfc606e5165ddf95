//! How long to wait before a remote is asked again.
//!
//! In: how it went, and a random number. Out: a duration. Pure.

use std::time::Duration;

/// The shortest wait after a failure. With half of it as jitter, a remote that fails is asked at most
/// [`CALLS_PER_MINUTE_MAX`] times a minute, however short the interval is.
const WAIT_MIN: Duration = Duration::from_secs(5);
/// The longest wait: what is mended is noticed within a quarter of an hour.
const WAIT_MAX: Duration = Duration::from_secs(900);
/// The budget of calls to a failing remote.
pub const CALLS_PER_MINUTE_MAX: u32 = 24;

/// How long to wait after `failures` failures in a row, each doubling it. `random` is from 0 to 1 and
/// spreads nodes that failed together over the second half of the wait.
pub fn backoff(failures: u32, random: f64) -> Duration {
    let doubled =
        WAIT_MIN.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let wait = doubled.min(WAIT_MAX);
    (wait / 2) + (wait / 2).mul_f64(within(random))
}

/// The interval, up to a tenth longer, so that nodes that were started together spread out.
pub fn jittered(interval: Duration, random: f64) -> Duration {
    interval + (interval / 10).mul_f64(within(random))
}

/// `random` within 0 and 1, whatever it is: `NaN` would panic below.
fn within(random: f64) -> f64 {
    if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::reconcile::source::backoff::{CALLS_PER_MINUTE_MAX, WAIT_MAX, backoff, jittered};

    #[test]
    fn retries_stay_within_their_budget_a_minute() {
        for random in [0.0, 0.5, 1.0] {
            let mut at = Duration::ZERO;
            let mut calls = 0;
            while at < Duration::from_secs(60) {
                calls += 1;
                at += backoff(calls, random);
            }
            assert!(calls <= CALLS_PER_MINUTE_MAX, "{calls}");
        }
        assert!(Duration::from_secs(60) / CALLS_PER_MINUTE_MAX <= backoff(0, 0.0));
    }

    #[test]
    fn waits_grow_to_a_quarter_of_an_hour_and_never_overflow() {
        for failures in [9, 31, 32, 33, u32::MAX] {
            assert_eq!(backoff(failures, 1.0), WAIT_MAX, "{failures}");
        }
        assert_eq!(jittered(Duration::from_secs(60), 1.0), Duration::from_secs(66));
        assert_eq!(jittered(Duration::from_secs(60), f64::NAN), Duration::from_secs(60));
    }
}
