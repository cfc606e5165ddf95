//! Services that are no longer wanted here, and the brake against removing too much.
//!
//! In: [`PlanInput`]. Out: removals, and what is held. Pure.
//!
//! # Guarantees
//! * A volume is never removed.
//! * More than half of what runs, from four containers on, never goes without a word from people.

use std::collections::BTreeSet;

use crate::model::{ContainerName, ServiceName};
use crate::reconcile::observed::{ObjectKind, ObservedContainer};
use crate::reconcile::plan::PlanInput;
use crate::reconcile::plan::held::{Held, HeldReason};
use crate::reconcile::plan::hold::{Decision, is_urgent, removal_closed, suspended_here, unknown};
use crate::reconcile::plan::objects;
use crate::reconcile::plan::stages::{needs_stop, remove, stop};
use crate::reconcile::plan::step::{Reason, ServicePlan, Stage, Step};

/// Below this many containers on the node the brake does not hold.
const BRAKE_CONTAINERS_MIN: usize = 4;

/// Services of ours that the newest revision does not have here: by their containers or networks.
pub(crate) fn orphans(input: &PlanInput<'_>) -> BTreeSet<ServiceName> {
    let networks = input.observed.networks.values();
    let by_network = networks
        .filter_map(|n| input.key.check(ObjectKind::Network, &n.labels))
        .map(|owned| owned.service);
    let by_container = input.observed.services.keys().cloned();
    let all: BTreeSet<ServiceName> = by_container.chain(by_network).collect();
    all.into_iter().filter(|name| !input.desired.services.contains_key(name)).collect()
}

/// The brake, if this pass would remove too much.
pub(crate) fn brake(input: &PlanInput<'_>) -> Option<HeldReason> {
    let (removing, of) = count(input);
    (of >= BRAKE_CONTAINERS_MIN && removing * 2 > of).then_some(HeldReason::Brake { removing, of })
}

/// How many containers would go, of how many. Counted by place: the old one that waits for the gate
/// beside its replacement is no second place.
fn count(input: &PlanInput<'_>) -> (usize, usize) {
    let places: BTreeSet<(&ServiceName, &ContainerName)> = input
        .observed
        .services
        .iter()
        .flat_map(|(service, own)| own.iter().map(move |c| (service, &c.owned.key)))
        .collect();
    let goes = |(service, key): &&(&ServiceName, &ContainerName)| {
        let wanted = input.desired.services.get(*service);
        !wanted.is_some_and(|s| s.containers.contains_key(*key))
    };
    (places.iter().filter(goes).count(), places.len())
}

/// Whether people allow the removal of `service` past the brake.
pub(crate) fn is_allowed(input: &PlanInput<'_>, service: &ServiceName) -> bool {
    input.desired.allow_removal.contains(service) || input.overrides.allow_removal.contains(service)
}

/// The brake that held this removal before holds it still, although others were allowed since.
fn latched(input: &PlanInput<'_>, service: &ServiceName) -> Option<HeldReason> {
    let braked = input.memory.services.get(service).is_some_and(|memory| memory.braked);
    let (removing, of) = count(input);
    (braked && !is_allowed(input, service)).then_some(HeldReason::Brake { removing, of })
}

/// Decides about one service that is not wanted here.
pub(crate) fn decide(
    input: &PlanInput<'_>,
    service: &ServiceName,
    brake: Option<&HeldReason>,
) -> Decision {
    let memory = input.memory.services.get(service);
    let closed = removal_closed(input);
    let passed = closed.clone().filter(|_| is_urgent(input, service));
    let reason = unknown(input, service)
        .or_else(|| memory.and_then(|memory| suspended_here(input, memory)))
        .or_else(|| closed.filter(|_| passed.is_none()))
        .or_else(|| brake.cloned())
        .or_else(|| latched(input, service));
    let revision = input.desired.revision.clone();
    if let Some(reason) = reason {
        return Decision {
            plan: None,
            held: Some(Held { service: service.clone(), reason, revision }),
        };
    }
    let own: &[ObservedContainer] = input.observed.services.get(service).map_or(&[], Vec::as_slice);
    let stages: [Vec<Step>; 3] = [
        own.iter().filter(|own| needs_stop(own)).map(|own| stop(own, &own.inspect.name)).collect(),
        own.iter().map(|own| remove(own, &own.inspect.name)).collect(),
        objects::unwanted_networks(input, service, |_| false),
    ];
    let stages: Vec<Stage> =
        stages.into_iter().filter(|s| !s.is_empty()).map(|steps| Stage { steps }).collect();
    let reasons = std::iter::once(Reason::Removed { revision });
    let reasons = reasons.chain(passed.map(|held| Reason::Urgent { held }));
    let plan = (!stages.is_empty()).then(|| ServicePlan {
        service: service.clone(),
        mode: input.desired.mode,
        target: None,
        reasons: reasons.collect(),
        stages,
        is_new_version: false,
    });
    Decision { plan, held: None }
}
