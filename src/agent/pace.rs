//! When to look again: polling with jitter and backoff, bursts of events.
//!
//! In: what happened and when. Out: durations. Pure: time and chance are given.
//!
//! # Guarantees
//! * The first event after quiet is answered at once; those that follow are answered together.
//! * However many events come, passes keep a distance that grows to [`SPACING_MAX`].
//! * A remote that fails is asked less and less, down to once per [`BACKOFF_MAX`].

use std::time::Duration;

use crate::reconcile::observed::Look;

/// The smallest distance between a pass and the next one that events ask for.
const SPACING_MIN: Duration = Duration::from_millis(50);
/// The largest: a crash loop costs one look every two seconds.
pub const SPACING_MAX: Duration = Duration::from_secs(2);
/// A failing remote is tried again at least this often.
pub const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// Every so many idle passes look at everything.
const IDLE_PASSES: u32 = 10;

/// Spreads `period` by up to a tenth either way, so that nodes do not ask all at once.
/// `chance` is uniform over `u16`.
pub fn jitter(period: Duration, chance: u16) -> Duration {
    let tenths = 0.9 + 0.2 * f64::from(chance) / f64::from(u16::MAX);
    period.mul_f64(tenths)
}

/// How long to wait after `n_failures` in a row.
pub fn backoff(first: Duration, n_failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(n_failures.saturating_sub(1).min(16));
    first.saturating_mul(factor).min(BACKOFF_MAX.max(first))
}

/// The distance that passes keep while events keep coming.
#[derive(Debug, Clone, Default)]
pub struct Bursts {
    spacing: Duration,
}

impl Bursts {
    /// How long to collect further events, the last pass having ended `since_last` ago.
    pub fn delay(&mut self, since_last: Option<Duration>) -> Duration {
        let quiet = since_last.is_none_or(|since| since > self.spacing * 4 + SPACING_MIN);
        if quiet {
            self.spacing = Duration::ZERO;
            return Duration::ZERO;
        }
        self.spacing = (self.spacing * 2).clamp(SPACING_MIN, SPACING_MAX);
        self.spacing.saturating_sub(since_last.unwrap_or_default())
    }
}

/// Which passes look at everything and which make one list call.
#[derive(Debug, Clone, Default)]
pub struct Idle {
    n_passes: u32,
}

impl Idle {
    /// How closely the next pass looks, when at least `wanted` is asked for.
    pub fn next(&mut self, wanted: Look) -> Look {
        self.n_passes += 1;
        if wanted == Look::Everything || self.n_passes >= IDLE_PASSES {
            self.n_passes = 0;
            return Look::Everything;
        }
        Look::Changes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::pace::{BACKOFF_MAX, Bursts, Idle, SPACING_MAX, backoff, jitter};
    use crate::reconcile::observed::Look;

    #[test]
    fn the_first_event_is_answered_at_once_and_a_storm_is_spaced() {
        let mut bursts = Bursts::default();
        assert_eq!(bursts.delay(None), Duration::ZERO);
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            let delay = bursts.delay(Some(Duration::ZERO));
            assert!(delay >= last && delay <= SPACING_MAX, "{delay:?}");
            last = delay;
        }
        assert_eq!(last, SPACING_MAX);
        assert_eq!(bursts.delay(Some(Duration::from_secs(60))), Duration::ZERO);
    }

    #[test]
    fn polling_is_spread_and_failures_slow_it_down() {
        let minute = Duration::from_secs(60);
        assert_eq!(jitter(minute, 0), Duration::from_secs(54));
        assert_eq!(jitter(minute, u16::MAX), Duration::from_secs(66));
        assert_eq!(backoff(minute, 1), minute);
        assert_eq!(backoff(minute, 2), 2 * minute);
        assert_eq!(backoff(minute, 60), BACKOFF_MAX);
        assert_eq!(backoff(2 * BACKOFF_MAX, 60), 2 * BACKOFF_MAX);
    }

    #[test]
    fn every_tenth_idle_pass_looks_at_everything() {
        let mut idle = Idle::default();
        let looks: Vec<Look> = (0..20).map(|_| idle.next(Look::Changes)).collect();
        let all: Vec<usize> = (0..20).filter(|&n| looks[n] == Look::Everything).collect();
        assert_eq!(all, [9, 19]);
        assert_eq!(idle.next(Look::Everything), Look::Everything);
    }
}
