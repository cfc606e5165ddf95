//! What a pass saw of each service, besides what the status says.
//!
//! In: [`Facts`], [`Status`]. Out: a [`ServiceMeasure`] for each of the status's services. Pure.

use std::collections::BTreeMap;

use crate::model::{Mode, ServiceName};
use crate::reconcile::desired::container::Run;
use crate::reconcile::report::condition::Facts;
use crate::reconcile::report::status::Status;

/// Numbers of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceMeasure {
    /// Containers that must keep running.
    pub(crate) n_wanted: u64,
    /// Those that run; none while the engine does not say.
    pub(crate) n_running: Option<u64>,
    /// Restarts by the engine; none while it does not say.
    pub(crate) n_restarts: Option<u64>,
    /// What is left alone in report mode; none in another.
    pub(crate) n_differences: Option<u64>,
    /// The kind of reason that holds it.
    pub(crate) held: Option<&'static str>,
    /// Whether its last change failed.
    pub(crate) is_failing: bool,
}

/// Numbers of every service.
pub(crate) fn measure(facts: &Facts<'_>, status: &Status) -> BTreeMap<ServiceName, ServiceMeasure> {
    status.services.keys().map(|name| (name.clone(), one(name, facts))).collect()
}

fn one(name: &ServiceName, facts: &Facts<'_>) -> ServiceMeasure {
    let desired = facts.desired.and_then(|desired| desired.services.get(name));
    let seen = facts.observed.map(|o| o.services.get(name).map_or(&[][..], Vec::as_slice));
    let all = desired.iter().flat_map(|service| service.containers.values());
    let wanted: Vec<_> = all.filter(|c| c.run == Run::Always).map(|c| &c.name).collect();
    let n_running = seen.map(|seen| {
        let running = || seen.iter().filter(|container| container.is_running());
        match desired {
            // While a rollout is under way two generations may run: each name counts once.
            Some(_) => wanted.iter().filter(|&&n| running().any(|c| c.owned.key == *n)).count(),
            None => running().count(),
        }
    });
    let n_restarts = seen.map(|seen| {
        let counts = seen.iter().map(|container| container.inspect.restart_count);
        counts.filter_map(|n| u64::try_from(n).ok()).sum()
    });
    let report = desired.is_some_and(|service| service.mode == Mode::Report);
    let step = facts.plan.and_then(|plan| plan.services.iter().find(|p| p.service == *name));
    let held = facts.plan.and_then(|plan| plan.held.iter().find(|held| held.service == *name));
    ServiceMeasure {
        n_wanted: whole(wanted.len()),
        n_running: n_running.map(whole),
        n_restarts,
        n_differences: (report && facts.plan.is_some())
            .then(|| whole(step.map_or(0, |step| step.reasons.len()))),
        held: held.map(|held| held.reason.code()),
        is_failing: facts.failures.contains_key(name),
    }
}

fn whole(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
