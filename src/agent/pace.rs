//! When to look again: polling with jitter and backoff, bursts of events, services that failed.
//!
//! In: what happened and when. Out: durations. Pure: time and chance are given.
//!
//! # Guarantees
//! * The first event after quiet is answered at once; those that follow are answered together.
//! * However many events come, passes keep a distance that grows to [`SPACING_MAX`].
//! * A remote that fails is asked less and less, down to once per [`BACKOFF_MAX`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::ServiceName;

/// The smallest distance between a pass and the next one that events ask for.
const SPACING_MIN: Duration = Duration::from_millis(50);
/// The largest: a crash loop costs one look every two seconds.
pub const SPACING_MAX: Duration = Duration::from_secs(2);
/// A failing remote or service is tried again at least this often.
pub const BACKOFF_MAX: Duration = Duration::from_secs(600);
/// First retry of a service.
const RETRY_MIN: Duration = Duration::from_secs(5);
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

/// How closely a pass looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// One list call, and inspects of what changed.
    Changes,
    /// Everything.
    Everything,
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

/// Services whose last try failed, and when the next one is due.
#[derive(Debug, Clone, Default)]
pub struct Retries {
    failed: BTreeMap<ServiceName, Failure>,
}

#[derive(Debug, Clone)]
struct Failure {
    n_failures: u32,
    due: Duration,
    reason: String,
}

impl Retries {
    /// Notes a pass that ended at `now` (on a monotonic clock): who was tried, and who failed how.
    pub fn note(
        &mut self,
        tried: &BTreeSet<ServiceName>,
        failures: &BTreeMap<ServiceName, String>,
        now: Duration,
    ) {
        self.failed.retain(|name, _| !tried.contains(name) || failures.contains_key(name));
        for (name, reason) in failures {
            let n_failures = self.failed.get(name).map_or(0, |f| f.n_failures) + 1;
            let due = now + backoff(RETRY_MIN, n_failures);
            let failure = Failure { n_failures, due, reason: reason.clone() };
            self.failed.insert(name.clone(), failure);
        }
    }

    /// Services that are not to be tried yet, and how they failed.
    pub fn waiting(&self, now: Duration) -> BTreeMap<ServiceName, String> {
        let waiting = self.failed.iter().filter(|(_, failure)| failure.due > now);
        waiting.map(|(name, failure)| (name.clone(), failure.reason.clone())).collect()
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.failed.values().map(|failure| failure.due).min()
    }

    /// Forgets all: something changed that may help, such as a new revision.
    pub fn clear(&mut self) {
        self.failed.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::pace::{
        BACKOFF_MAX, Bursts, Idle, Look, Retries, SPACING_MAX, backoff, jitter,
    };

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

    #[test]
    fn a_failed_service_waits_longer_each_time_and_success_forgets_it() {
        let name = || "app1".parse().unwrap();
        let tried = [name()].into();
        let failed = [(name(), "no such image".to_owned())].into();
        let mut retries = Retries::default();
        retries.note(&tried, &failed, Duration::ZERO);
        assert_eq!(retries.next_due(), Some(Duration::from_secs(5)));
        assert_eq!(retries.waiting(Duration::from_secs(4)).len(), 1);
        assert!(retries.waiting(Duration::from_secs(5)).is_empty());
        retries.note(&tried, &failed, Duration::from_secs(5));
        assert_eq!(retries.next_due(), Some(Duration::from_secs(15)));
        retries.note(&tried, &[].into(), Duration::from_secs(15));
        assert_eq!(retries.next_due(), None);
    }
}
