//! What a check found, by what alerts ask for.
//!
//! In: counts, the time. Out: samples. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reconcile::report::metrics::family as f;
use crate::reconcile::report::metrics::text::Page;
use crate::reconcile::report::status::RuleCount;

/// How many rules hold, by what alerts ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTally {
    /// When they were checked.
    pub checked_at: Timestamp,
    /// From when on that says nothing any more.
    pub stale_at: Option<Timestamp>,
    /// By severity and status.
    pub rules: BTreeMap<String, BTreeMap<String, usize>>,
    /// Of images, by status.
    pub images: BTreeMap<String, usize>,
    /// Of all.
    pub score: RuleCount,
    /// By service, at most [`SERVICES_MAX`](crate::reconcile::report::metrics::SERVICES_MAX).
    pub services: BTreeMap<String, RuleCount>,
    /// By ruleset, at most [`RULESETS_MAX`](crate::reconcile::report::metrics::RULESETS_MAX).
    pub rulesets: BTreeMap<String, RuleCount>,
    /// Services that are left out.
    pub services_cut: usize,
    /// Rulesets that are left out.
    pub rulesets_cut: usize,
}

/// The status that everything has once it was checked too long ago.
const UNKNOWN: &str = "unknown";

impl RuleTally {
    /// Whether it says nothing any more.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        self.stale_at.is_some_and(|stale| stale <= now)
    }

    /// The same as it is to be read at `now`: what is stale is unknown.
    #[must_use]
    pub(crate) fn aged(&self, now: Timestamp) -> Self {
        let mut aged = self.clone();
        if !self.is_stale(now) {
            return aged;
        }
        for counts in aged.rules.values_mut().chain([&mut aged.images]) {
            let n_all = counts.values().sum();
            for (status, count) in counts {
                *count = if status == UNKNOWN { n_all } else { 0 };
            }
        }
        let scores = aged.services.values_mut().chain(aged.rulesets.values_mut());
        for score in scores.chain([&mut aged.score]) {
            let trouble = score.ok + score.trouble + score.not_applicable;
            *score = RuleCount { ok: 0, trouble, not_applicable: 0 };
        }
        aged
    }

    /// Its samples.
    pub(crate) fn write(&self, page: &mut Page) {
        let mut samples = page.family(&f::RULES);
        for (severity, counts) in &self.rules {
            for (status, n) in counts {
                samples.add(&[severity, status], n);
            }
        }
        let mut samples = page.family(&f::IMAGES);
        for (status, n) in &self.images {
            samples.add(&[status], n);
        }
        if let Some(ratio) = ratio(self.score) {
            page.family(&f::SCORE).add(&[], ratio);
        }
        for (family, scores) in
            [(&f::SERVICE_SCORE, &self.services), (&f::RULESET_SCORE, &self.rulesets)]
        {
            let mut samples = page.family(family);
            for (name, score) in scores {
                if let Some(ratio) = ratio(*score) {
                    samples.add(&[name], ratio);
                }
            }
        }
    }
}

/// The part that holds of what applies; none where nothing does.
fn ratio(score: RuleCount) -> Option<f64> {
    let of = |n: usize| u32::try_from(n).map_or(f64::from(u32::MAX), f64::from);
    let all = score.ok + score.trouble;
    (all > 0).then(|| of(score.ok) / of(all))
}
