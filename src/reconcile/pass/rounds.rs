//! How often each service was begun in one pass.
//!
//! In: plans. Out: whether one may begin. Pure.

use std::collections::BTreeMap;

use crate::model::ServiceName;
use crate::reconcile::plan::ServicePlan;

/// How often a service is begun in one pass: the change, the way back, and what that left.
const ROUNDS_MAX: usize = 3;

/// The rounds of one pass.
#[derive(Debug, Default)]
pub(crate) struct Rounds(BTreeMap<ServiceName, usize>);

impl Rounds {
    /// Whether this plan may begin: the last round is for the way back.
    pub(crate) fn allow(&self, plan: &ServicePlan) -> bool {
        let n = self.0.get(&plan.service).copied().unwrap_or_default();
        n + usize::from(plan.is_new_version) < ROUNDS_MAX
    }

    /// Counts one that begins.
    pub(crate) fn begin(&mut self, plan: &ServicePlan) {
        *self.0.entry(plan.service.clone()).or_default() += 1;
    }
}
