//! What the memory knows before the first change, and no longer after the last.
//!
//! # Guarantees
//! * What a rollout began with is durable before its first step, so that it is known again whatever
//!   commits come meanwhile, and although the version before it is not to be had.

use crate::model::Mode;
use crate::reconcile::desired::DesiredService;
use crate::reconcile::memory::{Altered, Begun, Lost, Memory, MemoryStore, ServiceMemory};
use crate::reconcile::observed::ObservedState;
use crate::reconcile::pass::{Effects, Intent, PassError, PassInput, PassState, lost};
use crate::reconcile::plan::{Held, HeldReason, Plan, ServicePlan};

/// Makes sure that each service is known, durably, before anything of it is: a container of a
/// service that the memory does not know then means that the memory was lost.
pub(crate) fn remember_services<D, F, S: MemoryStore>(
    due: &[ServicePlan],
    held: &[Held],
    altered: &Altered,
    observed: &ObservedState,
    effects: &Effects<'_, D, F, S>,
    memory: &mut Memory,
) -> Result<(), PassError> {
    let mut known = memory.clone();
    for (plan, target) in due.iter().filter_map(|plan| Some((plan, plan.target.as_ref()?))) {
        let service = known.services.entry(plan.service.clone()).or_default();
        let is_known = service.begun.as_ref().is_some_and(|begun| begun.content == target.content);
        if plan.is_new_version && service.was_applied() && !is_known {
            let own = observed.services.get(&plan.service).into_iter().flatten();
            let before = own.map(|container| container.owned.nonce.clone()).collect();
            service.begun = Some(Begun { content: target.content, before });
        }
    }
    latch(held, &mut known);
    // Once a file is written nothing else tells who was given the one before.
    known.altered.clone_from(altered);
    if known != *memory {
        let failed = |error: S::Error| PassError::Memory { reason: error.to_string() };
        effects.store.save(&known).map_err(failed)?;
        *memory = known;
    }
    Ok(())
}

/// A removal that the brake holds stays held when others have been allowed. What runs here and is
/// not known was applied once.
fn latch(held: &[Held], memory: &mut Memory) {
    let forgotten = || ServiceMemory { lost: Lost::Version, ..ServiceMemory::default() };
    for held in held.iter().filter(|held| matches!(held.reason, HeldReason::Brake { .. })) {
        memory.services.entry(held.service.clone()).or_insert_with(forgotten).braked = true;
    }
}

/// Tells what was applied of services that run here and that the memory does not know.
pub(crate) async fn recall<D, F, S: MemoryStore>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    seen: &ObservedState,
    memory: &mut Memory,
    state: &mut PassState,
) -> Vec<String> {
    let mut notes = lost::rebuild(input, seen, memory, (effects.now)()).await;
    if !notes.is_empty() {
        notes.extend(keep(input, effects, memory));
        state.older.resolve(input, memory).await;
    }
    notes
}

/// Saves what was told from the containers, so that the next start has not lost it again. If that
/// fails, that is said.
fn keep<D, F, S: MemoryStore>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    memory: &Memory,
) -> Option<String> {
    if input.intent == Intent::Apply { save(effects, memory).err() } else { None }
}

fn save<D, F, S: MemoryStore>(
    effects: &Effects<'_, D, F, S>,
    memory: &Memory,
) -> Result<(), String> {
    let saved = effects.store.save(memory);
    saved.map_err(|error| format!("the memory cannot be saved: {error}"))
}

/// Forgets services that are gone, and what was begun or failed and is no longer the newest. If that
/// cannot be saved, that is said, and the next pass does it.
pub(crate) fn forget<D, F, S: MemoryStore>(
    input: &PassInput<'_>,
    plan: &Plan,
    observed: &ObservedState,
    altered: &Altered,
    effects: &Effects<'_, D, F, S>,
    memory: &mut Memory,
) -> Option<String> {
    if !input.desired.node_declared || input.desired.mode == Mode::Report {
        return None;
    }
    let mut kept = memory.clone();
    kept.services.retain(|name, service| {
        input.desired.services.contains_key(name)
            || observed.services.contains_key(name)
            || plan.services.iter().any(|p| &p.service == name)
            || plan.held.iter().any(|held| &held.service == name)
            || service.suspended.is_some()
    });
    latch(&plan.held, &mut kept);
    kept.altered.clone_from(altered);
    for (name, service) in &mut kept.services {
        service.braked &= !input.desired.services.contains_key(name);
        service.begun.take_if(|begun| {
            let newest = input.desired.services.get(name).map(DesiredService::content_hash);
            Some(begun.content) != newest
        });
        service.failed.take_if(|failed| {
            let newest = input.desired.services.get(name).map(DesiredService::whole_hash);
            Some(failed.whole) != newest
        });
    }
    if kept == *memory {
        return None;
    }
    let saved = save(effects, &kept);
    if saved.is_ok() {
        *memory = kept;
    }
    saved.err()
}
