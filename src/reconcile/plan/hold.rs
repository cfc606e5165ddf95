//! Which version of a service is the target, and what holds the newest one back.
//!
//! In: [`PlanInput`], one service. Out: the plan of the target, and what is held. Pure.
//!
//! # Guarantees
//! * A held version is never the target: then drift is healed to the version that was last applied.
//! * A suspended service is not touched at all.
//! * Windows and freezes gate new versions, never repairs. The first deployment of a service stops
//!   nothing, so only a freeze holds it; a rollout under way finishes; so does a version of which
//!   only the health gate is missing. What a hotfix or a rollback made passes both, and says so.

use std::collections::BTreeMap;

use crate::clients::docker::ContainerState;
use crate::model::schedule::shut_at;
use crate::model::{Revision, ServiceName};
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::Run;
use crate::reconcile::desired::service::OnFailure;
use crate::reconcile::memory::ServiceMemory;
use crate::reconcile::observed::ObservedContainer;
use crate::reconcile::plan::PlanInput;
use crate::reconcile::plan::held::{Held, HeldReason};
use crate::reconcile::plan::matching::View;
use crate::reconcile::plan::policy::{self, host_paths};
use crate::reconcile::plan::rollout::Rollout;
use crate::reconcile::plan::stages::{needs_stop, stop};
use crate::reconcile::plan::step::{Reason, ServicePlan, Stage, Step};

/// What is to be done for one service now, and what is held.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) plan: Option<ServicePlan>,
    pub(crate) held: Option<Held>,
}

/// Decides about one service of the newest revision. `is_braked` says that the service would lose
/// containers in a pass that removes too much.
pub(crate) fn decide(
    input: &PlanInput<'_>,
    service: &DesiredService,
    brake: Option<&HeldReason>,
) -> Decision {
    let revision = &input.desired.revision;
    let held =
        |reason| Some(Held { service: service.name.clone(), reason, revision: revision.clone() });
    let nothing = ServiceMemory::default();
    let memory = input.memory.services.get(&service.name).unwrap_or(&nothing);
    if let Some(reason) =
        unknown(input, &service.name).or_else(|| suspended(input, service, memory))
    {
        return Decision { plan: None, held: held(reason) };
    }
    let applied = input.applied.get(&service.name);
    let is_new = is_new(service, memory, applied);
    let tip = Rollout::new(View { input, service, revision }, is_new);
    let gated = if is_new { gate(input, &tip, memory, brake) } else { Ok(None) };
    let open = gated.and_then(|passed| match obstacle(input, service, &tip) {
        Some(reason) => Err(reason),
        None => Ok(passed),
    });
    let reason = match open {
        Ok(passed) => {
            let mut plan = tip.plan();
            if let Some(plan) = &mut plan {
                plan.reasons.extend(passed.map(|held| Reason::Urgent { held }));
            }
            return Decision { plan, held: None };
        }
        Err(reason) => reason,
    };
    let failed = matches!(reason, HeldReason::Failed { .. });
    let later = matches!(reason, HeldReason::Later { .. }) && memory.was_applied();
    let keeps = failed && service.update.on_failure == OnFailure::Hold;
    let plan = match (&memory.applied, applied) {
        _ if keeps || !is_new => None,
        (Some(known), Some(service)) => heal(input, service, &known.revision),
        _ if failed || later => halt(&tip, memory, &reason.to_string()),
        _ => None,
    };
    Decision { plan, held: held(reason) }
}

/// Whether the engine hides one of the service's containers, or is just removing it: whoever asked
/// it to must not be disturbed, and the place is free in a moment.
pub(crate) fn unknown(input: &PlanInput<'_>, service: &ServiceName) -> Option<HeldReason> {
    let hidden = input.observed.unknown.iter().find(|c| &c.owned.service == service);
    let hidden = hidden.map(|c| (c.summary.name.clone(), c.reason.clone()));
    let own = input.observed.services.get(service).into_iter().flatten();
    let going = own.into_iter().find(|c| c.inspect.state == ContainerState::Removing);
    let going = going.map(|c| (c.inspect.name.clone(), "it is being removed".to_owned()));
    hidden.or(going).map(|(name, reason)| HeldReason::Unknown { name, reason })
}

/// Whether this version has yet to pass its gate here. Where the applied version can be resolved,
/// both are hashed by this very program, so that an upgrade of it makes nothing new.
fn is_new(
    service: &DesiredService,
    memory: &ServiceMemory,
    applied: Option<&DesiredService>,
) -> bool {
    let content = service.content_hash();
    memory.applied.as_ref().is_none_or(|known| {
        known.content != content && applied.is_none_or(|a| a.content_hash() != content)
    })
}

fn suspended(
    input: &PlanInput<'_>,
    service: &DesiredService,
    memory: &ServiceMemory,
) -> Option<HeldReason> {
    let by_file = service.suspend.as_ref().filter(|s| s.is_active(input.now));
    if let Some(suspension) = by_file {
        let until = suspension.until.map(|until| until.to_string());
        return Some(HeldReason::Suspended { reason: suspension.reason.clone(), until });
    }
    suspended_here(input, memory)
}

/// Whether this node's operator set the service aside.
pub(crate) fn suspended_here(input: &PlanInput<'_>, memory: &ServiceMemory) -> Option<HeldReason> {
    let local = memory.suspended.as_ref()?;
    let active = local.until.is_none_or(|until| input.now < until);
    active.then(|| HeldReason::Suspended {
        reason: local.reason.clone(),
        until: local.until.map(|until| until.to_string()),
    })
}

/// What a new version passes although it is closed; or what holds it back: its own failure, a freeze,
/// a closed window, the brake.
fn gate(
    input: &PlanInput<'_>,
    tip: &Rollout<'_>,
    memory: &ServiceMemory,
    brake: Option<&HeldReason>,
) -> Result<Option<HeldReason>, HeldReason> {
    let service = tip.view.service;
    if let Some(failed) = memory.failed.as_ref().filter(|f| f.whole == service.whole_hash()) {
        return Err(HeldReason::Failed { reason: failed.reason.clone() });
    }
    let lacking = input.lacking.get(&service.name);
    if let Some((_, reason)) = lacking.filter(|(whole, _)| *whole == service.whole_hash()) {
        return Err(reason.clone());
    }
    // On its way already, or only its health gate is missing.
    if tip.is_under_way() || tip.only_confirms() {
        return Ok(None);
    }
    match (closed(input, tip, memory), brake) {
        (Some(reason), _) if !is_urgent(input, &service.name) => Err(reason),
        (_, Some(brake)) => Err(brake.clone()),
        (passed, None) => Ok(passed),
    }
}

/// What closes this moment for a version that is to begin: a freeze, or windows that are shut; where
/// nothing ran yet only the freezes count.
fn closed(input: &PlanInput<'_>, tip: &Rollout<'_>, memory: &ServiceMemory) -> Option<HeldReason> {
    // Where something was applied, what is gone was removed by others: that is drift.
    let is_first = tip.view.own().is_empty() && !memory.was_applied();
    let windows = [&input.desired.windows, &tip.view.service.update.windows];
    frozen(input).or_else(|| if is_first { None } else { shut(input, &windows) })
}

/// Whether a hotfix or a rollback made what is wanted of the service, on a node where something may have
/// to be mended: not where no service was applied yet.
pub(crate) fn is_urgent(input: &PlanInput<'_>, service: &ServiceName) -> bool {
    let mut known = input.memory.services.values();
    input.desired.urgent.contains(service) && known.any(ServiceMemory::was_applied)
}

fn frozen(input: &PlanInput<'_>) -> Option<HeldReason> {
    if input.overrides.now.is_some() {
        return None;
    }
    let freeze = input.desired.freezes.iter().find(|f| f.covers(input.now))?;
    Some(HeldReason::Freeze { reason: freeze.reason.clone(), until: freeze.to.to_string() })
}

/// Each set of windows must have an open one; an empty set is always open.
fn shut(input: &PlanInput<'_>, sets: &[&Vec<crate::model::Window>]) -> Option<HeldReason> {
    if input.overrides.now.is_some() {
        return None;
    }
    let shut = shut_at(sets.iter().copied(), input.now)?;
    Some(HeldReason::Window { opens: shut.opens.map(|at| at.to_string()) })
}

/// What holds a removal back. The service's own windows went with its file; the environment's count.
pub(crate) fn removal_closed(input: &PlanInput<'_>) -> Option<HeldReason> {
    frozen(input).or_else(|| shut(input, &[&input.desired.windows]))
}

/// What keeps this version, new or not, from being touched.
fn obstacle(
    input: &PlanInput<'_>,
    service: &DesiredService,
    rollout: &Rollout<'_>,
) -> Option<HeldReason> {
    unseen(input, service).or_else(|| denied(input, service)).or_else(|| rollout.obstacle())
}

/// A path that cannot be looked at is neither allowed nor denied.
fn unseen(input: &PlanInput<'_>, service: &DesiredService) -> Option<HeldReason> {
    let failed = host_paths(service).find_map(|path| Some((path, input.links.of(path).err()?)));
    let told = |(path, reason): (&str, &str)| (path.to_owned(), reason.to_owned());
    failed.map(told).map(|(path, reason)| HeldReason::Unseen { path, reason })
}

fn denied(input: &PlanInput<'_>, service: &DesiredService) -> Option<HeldReason> {
    let denied = policy::denied(service, input.policy, input.links);
    (!denied.is_empty()).then_some(HeldReason::Policy { denied })
}

/// The version that was last applied is healed, as far as this node still allows it.
fn heal(
    input: &PlanInput<'_>,
    service: &DesiredService,
    revision: &Revision,
) -> Option<ServicePlan> {
    let rollout = Rollout::new(View { input, service, revision }, false);
    if obstacle(input, service, &rollout).is_some() { None } else { rollout.plan() }
}

/// A version that failed, and nothing before it that could be resolved: its containers are stopped,
/// and kept for people to look at. Those that were in their places before run, whatever they were.
fn halt(tip: &Rollout<'_>, memory: &ServiceMemory, because: &str) -> Option<ServicePlan> {
    let failed = memory.failed.as_ref();
    let (mut stops, mut starts) = (Vec::new(), Vec::new());
    if memory.was_applied() {
        for slot in tip.slots.iter().filter(|slot| slot.container.run == Run::Always) {
            let ran = |own: &&&ObservedContainer| own.inspect.state != ContainerState::Created;
            let Some(before) = slot.retired.iter().find(ran) else { continue };
            let found = slot.found.as_ref().map(|found| found.observed);
            stops.extend(found.filter(|f| needs_stop(f)).map(|f| stop(f, &f.inspect.name)));
            starts.extend((!needs_stop(before)).then(|| Step::Start {
                container: slot.container.name.clone(),
                name: before.inspect.name.clone(),
                paused: false,
                // Its version cannot be resolved: nothing was judged that could have moved.
                binds: BTreeMap::new(),
            }));
        }
    } else {
        let running = tip.view.own().iter().filter(|own| needs_stop(own));
        stops.extend(running.map(|own| stop(own, &own.inspect.name)));
    }
    let stages = [stops, starts].map(|steps| Stage { steps });
    let stages: Vec<Stage> = stages.into_iter().filter(|stage| !stage.steps.is_empty()).collect();
    (!stages.is_empty()).then(|| ServicePlan {
        service: tip.view.service.name.clone(),
        mode: tip.view.service.mode,
        target: None,
        reasons: vec![Reason::Rollback {
            revision: failed.map_or(tip.view.revision, |failed| &failed.revision).clone(),
            because: failed.map_or(because, |failed| &failed.reason).to_owned(),
        }],
        stages,
        is_new_version: false,
    })
}
