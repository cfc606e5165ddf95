//! When this node first saw what on the branches below its own.
//!
//! In: tips as they are fetched. Out: [`Sightings`], which hold a promotion until its source soaked.
//! Pure.
//!
//! # Guarantees
//! * Bounded: dropping a sight only ever makes commits look as if they were seen later.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{CommitId, EnvironmentName};

/// Sights kept of one branch.
pub const SIGHTS_MAX: usize = 500;

/// Where a branch stood, and when this node saw it so first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sight {
    /// The tip: it and what lies below it on its chain had been seen by then.
    pub tip: CommitId,
    /// When.
    pub at: Timestamp,
}

/// Every branch's sights, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sightings(BTreeMap<EnvironmentName, Vec<Sight>>);

impl Sightings {
    /// What was seen of `environment`, oldest first.
    pub fn of(&self, environment: &EnvironmentName) -> &[Sight] {
        self.0.get(environment).map_or(&[], Vec::as_slice)
    }

    /// Adds that the branch of `environment` is at `tip`; gives whether that is new.
    pub fn record(&mut self, environment: &EnvironmentName, tip: CommitId, at: Timestamp) -> bool {
        let sights = self.0.entry(environment.clone()).or_default();
        if sights.iter().any(|sight| sight.tip == tip) {
            return false;
        }
        sights.push(Sight { tip, at });
        if sights.len() > SIGHTS_MAX {
            // The one whose commits then look later by the least.
            let gaps = sights.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at));
            let least = gaps.enumerate().min_by_key(|(_, gap)| *gap).map_or(0, |(at, _)| at);
            sights.remove(least);
        }
        true
    }

    /// Every tip that was seen.
    pub fn tips(&self) -> impl Iterator<Item = CommitId> {
        self.0.values().flatten().map(|sight| sight.tip)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::model::CommitId;
    use crate::reconcile::trust::sight::{SIGHTS_MAX, Sightings};

    #[test]
    fn a_flood_of_tips_stays_bounded_and_keeps_the_old_ones() {
        let mut sightings = Sightings::default();
        let tst = "tst".parse().unwrap();
        let id = |n: u16| {
            let mut bytes = [0; 20];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            CommitId::from_bytes(bytes)
        };
        let day = 86_400;
        for n in 0..10 {
            let at = Timestamp::from_second(i64::from(n) * day).unwrap();
            assert!(sightings.record(&tst, id(n), at));
            assert!(!sightings.record(&tst, id(n), at));
        }
        for n in 10..2_000 {
            let at = Timestamp::from_second(10 * day + i64::from(n)).unwrap();
            sightings.record(&tst, id(n), at);
        }
        let kept = sightings.of(&tst);
        assert_eq!(kept.len(), SIGHTS_MAX);
        assert!((0..9).all(|n| kept.iter().any(|sight| sight.tip == id(n))));
    }
}
