//! What a check found, counted for metrics.
//!
//! In: [`Standing`]. Out: [`RuleTally`]. Pure.

use std::collections::BTreeMap;

use crate::compliance::image::KIND;
use crate::compliance::standing::{Standing, count};
use crate::compliance::verdict::{Score, Verdict, VerdictStatus};
use crate::reconcile::desired::rule::RuleSeverity;
use crate::reconcile::report::metrics::{RULESETS_MAX, SERVICES_MAX};
use crate::reconcile::report::{RuleCount, RuleTally};

impl From<&Standing> for RuleTally {
    fn from(standing: &Standing) -> Self {
        let counted = |fits: &dyn Fn(&Verdict) -> bool| -> BTreeMap<String, usize> {
            let fitting = || standing.verdicts.iter().filter(|verdict| fits(verdict));
            let of = |status| fitting().filter(|verdict| verdict.status == status).count();
            VerdictStatus::ALL.map(|status| (status.code().to_owned(), of(status))).into()
        };
        let rules = RuleSeverity::ALL.map(|severity| {
            (severity.to_string(), counted(&|verdict| verdict.severity == severity))
        });
        let first = |scores: &BTreeMap<String, Score>, n_max| -> BTreeMap<String, RuleCount> {
            let all = scores.iter().take(n_max);
            all.map(|(name, score)| (name.clone(), count(score))).collect()
        };
        Self {
            checked_at: standing.checked_at,
            stale_at: standing.stale_at,
            rules: rules.into(),
            images: counted(&|verdict| verdict.kind == KIND),
            score: count(&standing.score),
            services: first(&standing.services, SERVICES_MAX),
            rulesets: first(&standing.rulesets, RULESETS_MAX),
            services_cut: standing.services.len().saturating_sub(SERVICES_MAX),
            rulesets_cut: standing.rulesets.len().saturating_sub(RULESETS_MAX),
        }
    }
}
