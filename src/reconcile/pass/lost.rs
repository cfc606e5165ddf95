//! Rebuilds what was applied from what runs, where the memory was lost.
//!
//! In: containers with our proof, older revisions. Out: the memory's services, and a sentence each.
//!
//! # Guarantees
//! * A newest version is only presumed to be applied, and nothing is stopped for it.
//! * What runs once counts as done only where its container says so, or one that waited for it ran.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::clients::docker::ContainerState;
use crate::model::{CommitId, Revision};
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::{Condition, DesiredContainer, Run};
use crate::reconcile::memory::{Applied, Memory, ServiceMemory};
use crate::reconcile::observed::{ObservedContainer, ObservedState};
use crate::reconcile::pass::PassInput;
use crate::reconcile::plan::ground::ground;

/// Fills in services that run here and that the memory does not know: each is in the memory from
/// before its first container was made, so the memory was lost. Saved with the next save.
pub(crate) fn rebuild(
    input: &PassInput<'_>,
    observed: &ObservedState,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, own) in &observed.services {
        let known = memory.services.contains_key(name);
        let Some(tip) = input.desired.services.get(name).filter(|_| !known) else { continue };
        // An old name says that a rollout, or its way back, was under way: then what was applied
        // is among all that is there; else it is what runs.
        let under_way = own.iter().any(|c| c.inspect.name.contains(".old-"));
        let living: Vec<&ObservedContainer> =
            own.iter().filter(|c| under_way || c.is_running()).collect();
        if living.is_empty() {
            continue;
        }
        let mut rebuilt = ServiceMemory::default();
        // Nothing that rolled out is left: whatever ails it now, the newest version had its turn. Its
        // gate may not have: that is asked again.
        let started: Vec<&ObservedContainer> =
            own.iter().filter(|c| c.inspect.state != ContainerState::Created).collect();
        let newest = (!under_way && runs(tip, &started))
            .then(|| (input.desired.revision.clone(), tip.clone()));
        if let Some((revision, service)) = newest.or_else(|| applied(input, tip, &living)) {
            remember_once(&mut rebuilt, &service, input, observed);
            notes.push(format!(
                "the memory of {name} was lost: by its containers {revision} was applied last"
            ));
            let content = service.content_hash();
            rebuilt.presumed = content == tip.content_hash();
            rebuilt.applied = Some(Applied { revision, content, at: now });
        } else {
            notes.push(format!(
                "the memory of {name} was lost, and its containers do not say what was applied last"
            ));
        }
        memory.services.insert(name.clone(), rebuilt);
    }
    notes
}

/// What ran once did so on what is there now, as far as anybody can tell.
fn remember_once(
    memory: &mut ServiceMemory,
    service: &DesiredService,
    input: &PassInput<'_>,
    observed: &ObservedState,
) {
    let own = observed.services.get(&service.name).map_or(&[][..], Vec::as_slice);
    for container in service.containers.values().filter(|c| has_run(c, service, own)) {
        let name = &container.name;
        let made = own.iter().find(|c| &c.owned.key == name).map(|c| c.owned.nonce.as_str());
        let ground = ground(service, observed, input.key, "", made.unwrap_or_default());
        memory.once.insert(name.clone(), container.spec_hash());
        memory.grounds.insert(name.clone(), ground);
    }
}

/// Whether a run-once container has succeeded: its own says so; where it is gone, one that waited for
/// its success and was started does.
fn has_run(
    container: &DesiredContainer,
    service: &DesiredService,
    own: &[ObservedContainer],
) -> bool {
    let made = |of: &DesiredContainer| {
        own.iter().find(|c| c.owned.key == of.name && c.owned.spec == of.spec_hash())
    };
    let waits = |of: &DesiredContainer| {
        of.depends_on.get(&container.name) == Some(&Condition::ServiceCompletedSuccessfully)
    };
    let was_started = |of| made(of).is_some_and(|c| c.inspect.state != ContainerState::Created);
    container.run == Run::Once
        && made(container).map_or_else(
            || service.containers.values().any(|of| waits(of) && was_started(of)),
            |c| c.inspect.state == ContainerState::Exited && c.inspect.exit_code == 0,
        )
}

/// Whether every container that keeps running is there, made from exactly this version.
fn runs(service: &DesiredService, living: &[&ObservedContainer]) -> bool {
    let lasting = service.containers.values().filter(|c| c.run == Run::Always);
    lasting
        .into_iter()
        .all(|c| living.iter().any(|l| l.owned.key == c.name && l.owned.spec == c.spec_hash()))
}

/// The version, other than the newest, that the living containers were made from: unchanged ones
/// name an older revision, so each named one is tried.
fn applied(
    input: &PassInput<'_>,
    tip: &DesiredService,
    living: &[&ObservedContainer],
) -> Option<(Revision, DesiredService)> {
    let environment = input.desired.revision.environment();
    let commits: BTreeSet<CommitId> =
        living.iter().filter_map(|c| c.owned.revision.parse().ok()).collect();
    commits.into_iter().find_map(|commit| {
        let revision = Revision::Commit { environment: environment.clone(), commit };
        let service = (input.resolve)(&revision)?.services.remove(&tip.name)?;
        let other = service.content_hash() != tip.content_hash();
        (other && runs(&service, living)).then_some((revision, service))
    })
}
