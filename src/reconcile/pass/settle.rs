//! What the memory knows before the first change, and no longer after the last.

use crate::model::Mode;
use crate::reconcile::desired::DesiredService;
use crate::reconcile::memory::{Memory, MemoryStore, ServiceMemory};
use crate::reconcile::observed::ObservedState;
use crate::reconcile::pass::{Effects, PassError, PassInput};
use crate::reconcile::plan::Plan;

/// Makes sure that each service is known, durably, before anything of it is: a container of a
/// service that the memory does not know then means that the memory was lost.
pub(crate) fn remember_services<D, F, S: MemoryStore>(
    plan: &Plan,
    effects: &Effects<'_, D, F, S>,
    memory: &mut Memory,
) -> Result<(), PassError> {
    let wanted = plan.services.iter().filter(|s| s.target.is_some()).map(|s| &s.service);
    let unknown: Vec<_> = wanted.filter(|name| !memory.services.contains_key(*name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    for name in &unknown {
        memory.services.insert((*name).clone(), ServiceMemory::default());
    }
    effects.store.save(memory).map_err(|error| {
        for name in unknown {
            memory.services.remove(name);
        }
        PassError::Memory { reason: error.to_string() }
    })
}

/// Forgets services that are gone, and failures of versions that are no longer the newest. If that
/// cannot be saved the next pass does it.
pub(crate) fn forget<D, F, S: MemoryStore>(
    input: &PassInput<'_>,
    plan: &Plan,
    observed: &ObservedState,
    effects: &Effects<'_, D, F, S>,
    memory: &mut Memory,
) {
    if !input.desired.node_declared || input.desired.mode == Mode::Report {
        return;
    }
    let mut kept = memory.clone();
    kept.services.retain(|name, service| {
        input.desired.services.contains_key(name)
            || observed.services.contains_key(name)
            || plan.services.iter().any(|p| &p.service == name)
            || plan.held.iter().any(|held| &held.service == name)
            || service.suspended.is_some()
    });
    for (name, service) in &mut kept.services {
        let newest = input.desired.services.get(name).map(DesiredService::whole_hash);
        if service.failed.as_ref().is_some_and(|failed| Some(failed.whole) != newest) {
            service.failed = None;
        }
    }
    if kept != *memory && effects.store.save(&kept).is_ok() {
        *memory = kept;
    }
}
