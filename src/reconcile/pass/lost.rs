//! Tells what was applied from what is there, where the memory was lost.
//!
//! In: containers with our proof, older revisions. Out: the memory's services, and a sentence each.
//!
//! # What containers say
//! Each names the commit and the specification it was made from. One that was never started says
//! nothing, nor does a name; one that has exited, or was renamed, says as much as one that runs.
//! * Nothing was started: nothing was applied. That first deployment stops nothing.
//! * A version accounts for all that was started, and all that it keeps running was: it was applied.
//!   Or it was being rolled out, and what it took the place of is gone by now: it is as good.
//! * None does: something was under way, or was taken back. It is the commit that began last to make
//!   containers; the version that accounts for all the others was applied. A rollout keeps what was
//!   there before until its gate.
//! * Still none (its commit cannot be resolved, a container of it was removed, or it only took some away
//!   and made none that names it), or of the newest it is
//!   open whether all that runs once has: something was applied, it is not known what.
//! * A run-once container that is there says itself whether it succeeded. Where it is gone, it did, if
//!   a container made from this very commit was started: a rollout makes all its containers first and
//!   starts them later, so this one has ended since, and was removed; had it failed, the version had
//!   been taken back.
//! * A container that the engine hides may say anything: the service waits until it is shown.
//! * What left no container, and what an operator said (suspended, let past the brake), is not there.
//!
//! # Guarantees
//! * The newest version counts as applied only where nothing has to be stopped, removed or run once
//!   for it; its gate is asked again, and nothing is stopped for the answer.
//! * What is not known is no first deployment: windows, freezes and the brake hold the newest version,
//!   and where that fails, only what it started is stopped.
//! * A pass resolves each revision at most once for this. Between two of them the thread is given away.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::clients::docker::ContainerState;
use crate::model::{CommitId, Revision, ServiceName};
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::{DesiredContainer, Run, hash_of};
use crate::reconcile::memory::{Applied, Lost, Memory, ServiceMemory};
use crate::reconcile::observed::{ObjectKind, ObservedContainer, ObservedState};
use crate::reconcile::pass::PassInput;
use crate::reconcile::plan::ground::ground;

/// A version of a service, and where it comes from.
type Version = (Revision, DesiredService);

/// Fills in services that run here and that the memory does not know: each is in the memory from
/// before its first container was made, so the memory was lost. Saved with the next save.
pub(crate) async fn rebuild(
    input: &PassInput<'_>,
    observed: &ObservedState,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<String> {
    let services = input.desired.services.iter();
    let lost = services.filter(|(name, _)| !memory.services.contains_key(*name));
    let lost: Vec<Remains<'_>> =
        lost.filter_map(|(_, tip)| Remains::of(tip, input, observed)).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let mut named = versions(input, lost.iter().filter(|remains| !remains.are_newest())).await;
    let mut notes = Vec::new();
    for remains in lost {
        let name = &remains.tip.name;
        let named = named.remove(name).unwrap_or_default();
        let (rebuilt, known) = match remains.applied(named) {
            Some((revision, service)) => {
                let known = format!("by its containers {revision} was applied last");
                (remains.memory(revision, &service, now), known)
            }
            None => (
                ServiceMemory { lost: Lost::Version, ..ServiceMemory::default() },
                "its containers do not say what was applied last".to_owned(),
            ),
        };
        notes.push(format!("the memory of {name} was lost: {known}"));
        memory.services.insert(name.clone(), rebuilt);
    }
    notes
}

/// What each service had at the commits that its containers name, the last one first.
async fn versions<'a>(
    input: &PassInput<'_>,
    lost: impl Iterator<Item = &'a Remains<'a>>,
) -> BTreeMap<ServiceName, Vec<Version>> {
    let mut commits: BTreeMap<CommitId, BTreeSet<&ServiceName>> = BTreeMap::new();
    let mut order: BTreeMap<&ServiceName, Vec<String>> = BTreeMap::new();
    for remains in lost {
        let started = remains.started.iter();
        for commit in started.filter_map(|c| c.owned.revision.parse::<CommitId>().ok()) {
            commits.entry(commit).or_default().insert(&remains.tip.name);
        }
        order.insert(&remains.tip.name, remains.commits());
    }
    let mut named: BTreeMap<ServiceName, Vec<Version>> = BTreeMap::new();
    for (commit, services) in commits {
        tokio::task::yield_now().await;
        let environment = input.desired.revision.environment().clone();
        let revision = Revision::Commit { environment, commit };
        let Some(mut state) = (input.resolve)(&revision) else { continue };
        for name in services {
            if let Some(service) = state.services.remove(name) {
                named.entry(name.clone()).or_default().push((revision.clone(), service));
            }
        }
    }
    for (name, versions) in &mut named {
        let order = order.get(name).map_or(&[][..], Vec::as_slice);
        versions.sort_by_key(|(revision, _)| {
            let commit = revision.commit().map(|commit| commit.to_string());
            order.iter().position(|made| Some(made) == commit.as_ref())
        });
    }
    named
}

/// What is there of a service that the memory does not know.
struct Remains<'a> {
    input: &'a PassInput<'a>,
    observed: &'a ObservedState,
    tip: &'a DesiredService,
    own: &'a [ObservedContainer],
    /// Those that were ever started.
    started: Vec<&'a ObservedContainer>,
}

impl<'a> Remains<'a> {
    /// None where nothing was started, or the engine does not show all.
    fn of(
        tip: &'a DesiredService,
        input: &'a PassInput<'a>,
        observed: &'a ObservedState,
    ) -> Option<Self> {
        let own = observed.services.get(&tip.name)?;
        let is_hidden = observed.unknown.iter().any(|hidden| hidden.owned.service == tip.name)
            || own.iter().any(|c| c.inspect.state == ContainerState::Removing);
        let started = own.iter().filter(|c| c.inspect.state != ContainerState::Created);
        let started: Vec<&ObservedContainer> = started.collect();
        let is_there = !is_hidden && !started.is_empty();
        is_there.then_some(Self { input, observed, tip, own, started })
    }

    /// Whether it is plain that the newest version was applied: no other commit is asked.
    fn are_newest(&self) -> bool {
        let mut once = self.tip.containers.values().filter(|c| c.run == Run::Once);
        accounts(self.tip, &self.started)
            && self.has_networks(self.tip)
            && once.all(|container| self.made(container).is_some_and(has_succeeded))
    }

    /// The version that was applied, of the newest and of those that the containers name.
    fn applied(&self, named: Vec<Version>) -> Option<Version> {
        if self.are_newest() {
            return Some((self.input.desired.revision.clone(), self.tip.clone()));
        }
        let last = self.commits().into_iter().next();
        let rest =
            self.started.iter().copied().filter(|c| Some(&c.owned.revision) != last.as_ref());
        let rest: Vec<&ObservedContainer> = rest.collect();
        let is_applied = |(_, service): &Version, made: &[&ObservedContainer], strict: bool| {
            let is_newest = service.content_hash() == self.tip.content_hash();
            let mut once = service.containers.values().filter(|c| c.run == Run::Once);
            accounts(service, made)
                && (!(strict || is_newest) || self.has_networks(service))
                && (!is_newest || once.all(|container| self.has_run(container)))
        };
        // A network that is not its own yet, or any more, is put right.
        let ways = [(&self.started, true), (&self.started, false), (&rest, true), (&rest, false)];
        let found = ways.into_iter().find_map(|(made, strict)| {
            named.iter().position(|version| is_applied(version, made, strict))
        })?;
        named.into_iter().nth(found)
    }

    /// What is remembered where `service` was applied.
    fn memory(
        &self,
        revision: Revision,
        service: &DesiredService,
        now: Timestamp,
    ) -> ServiceMemory {
        let content = service.content_hash();
        let is_newest = content == self.tip.content_hash();
        let lost = if is_newest { Lost::Gate } else { Lost::Nothing };
        let applied = Some(Applied { revision, content, at: now });
        let mut memory = ServiceMemory { applied, lost, ..ServiceMemory::default() };
        let once = service.containers.values().filter(|c| c.run == Run::Once);
        for container in once.filter(|container| self.has_run(container)) {
            let name = &container.name;
            let made = self.made(container).map_or("", |c| c.owned.nonce.as_str());
            let ground = ground(service, self.observed, self.input.key, "", made);
            memory.once.insert(name.clone(), container.spec_hash());
            memory.grounds.insert(name.clone(), ground);
        }
        memory
    }

    /// The commits that those that were started name, by when each made its first, the last one first:
    /// a version that is gone back to was there before.
    fn commits(&self) -> Vec<String> {
        let mut made = self.started.clone();
        made.sort_by_key(|c| c.inspect.created_at.parse::<Timestamp>().ok());
        let mut commits: Vec<String> = Vec::new();
        for container in made {
            if !commits.contains(&container.owned.revision) {
                commits.push(container.owned.revision.clone());
            }
        }
        commits.reverse();
        commits
    }

    /// Whether the networks that are there were made for this version.
    fn has_networks(&self, service: &DesiredService) -> bool {
        service.networks.values().filter(|network| !network.external).all(|network| {
            let found = self.observed.networks.get(&network.engine_name);
            found.is_none_or(|found| {
                let owned = self.input.key.check(ObjectKind::Network, &found.labels);
                owned.is_some_and(|owned| owned.spec == hash_of(network))
            })
        })
    }

    /// The container that was made from just this definition.
    fn made(&self, container: &DesiredContainer) -> Option<&'a ObservedContainer> {
        let spec = container.spec_hash();
        self.own.iter().find(|own| own.owned.key == container.name && own.owned.spec == spec)
    }

    /// Whether a run-once container of a version that the containers name has succeeded.
    fn has_run(&self, container: &DesiredContainer) -> bool {
        self.made(container).is_none_or(has_succeeded)
    }
}

fn has_succeeded(own: &ObservedContainer) -> bool {
    own.inspect.state == ContainerState::Exited && own.inspect.exit_code == 0
}

/// Whether the version has all of these, and these are all that it keeps running.
fn accounts(service: &DesiredService, made: &[&ObservedContainer]) -> bool {
    let is_of = |own: &ObservedContainer, container: &DesiredContainer| {
        own.owned.key == container.name && own.owned.spec == container.spec_hash()
    };
    let mut lasting = service.containers.values().filter(|c| c.run == Run::Always);
    !made.is_empty()
        && made.iter().all(|own| service.containers.values().any(|c| is_of(own, c)))
        && lasting.all(|container| made.iter().any(|own| is_of(own, container)))
}
