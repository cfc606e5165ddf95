//! The stages of a rollout, one function each.
//!
//! In: a [`Rollout`]. Out: steps. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::clients::docker::{ContainerId, ContainerState};
use crate::model::ContainerName;
use crate::reconcile::desired::container::{Condition, MountSource, Run};
use crate::reconcile::observed::ObservedContainer;
use crate::reconcile::plan::body::{config_path, image_reference};
use crate::reconcile::plan::carry::carried;
use crate::reconcile::plan::fields::Repair;
use crate::reconcile::plan::ground::ground;
use crate::reconcile::plan::matching::Slot;
use crate::reconcile::plan::policy::binds;
use crate::reconcile::plan::rollout::Rollout;
use crate::reconcile::plan::step::{AwaitCondition, Gate, Kept, Step};

/// Compose's default `stop_grace_period`.
const STOP_GRACE_DEFAULT_SECS: u64 = 10;

/// A run-once container is a migration or the like: it may take longer than becoming healthy does.
const RUN_ONCE_MIN: Duration = Duration::from_secs(600);

impl<'a> Rollout<'a> {
    pub(crate) fn pulls(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for slot in self.slots.iter().filter(|slot| self.needs_create(slot) && self.lacks(slot)) {
            let pin = slot.container.pin.clone();
            if let Some(image) = image_reference(&pin, &self.view.input.desired.hub) {
                let step = Step::Pull { image, pin };
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
        }
        steps
    }

    pub(crate) fn files(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for slot in self.slots.iter().filter(|s| self.needs_create(s) || self.needs_start(s)) {
            for mount in &slot.container.spec.mounts {
                if let MountSource::Config { content, mode, .. } = &mount.source {
                    let path = config_path(self.view.input.files_dir, content, *mode);
                    let step = Step::WriteFile { path, content: content.clone(), mode: *mode };
                    if !steps.contains(&step) {
                        steps.push(step);
                    }
                }
            }
        }
        steps
    }

    /// The names that those get who hold one that is needed.
    fn moved(&self) -> BTreeMap<&ContainerId, String> {
        let mut moved = BTreeMap::new();
        for slot in &self.slots {
            let name = &slot.fresh.name;
            let keeper = slot.found.as_ref().map(|found| &found.observed.inspect.id);
            let needed = self.needs_create(slot) || keeper.is_some();
            let holder = self.view.own().iter().find(|own| &own.inspect.name == name);
            if let Some(holder) = holder.filter(|h| needed && Some(&h.inspect.id) != keeper) {
                moved.insert(&holder.inspect.id, format!("{name}.old-{}", holder.owned.nonce));
            }
        }
        moved
    }

    /// First whoever holds a name that is needed makes way, then those that fit take their names.
    pub(crate) fn renames(&self) -> (Vec<Step>, Vec<Step>) {
        let (mut make_way, mut names) = (Vec::new(), Vec::new());
        let moved = self.moved();
        for own in self.view.own() {
            let inspect = &own.inspect;
            if let Some(to) = moved.get(&inspect.id) {
                let (id, from, to) = (inspect.id.clone(), inspect.name.clone(), to.clone());
                make_way.push(Step::Rename { id, from, to });
            }
        }
        for slot in &self.slots {
            let Some(found) = &slot.found else { continue };
            let inspect = &found.observed.inspect;
            let from = moved.get(&inspect.id).unwrap_or(&inspect.name);
            if from != &slot.fresh.name {
                let (from, to) = (from.clone(), slot.fresh.name.clone());
                names.push(Step::Rename { id: inspect.id.clone(), from, to });
            }
        }
        (make_way, names)
    }

    pub(crate) fn creates(&self) -> impl Iterator<Item = Step> {
        self.slots.iter().filter(|slot| self.needs_create(slot)).map(|slot| Step::Create {
            container: slot.container.name.clone(),
            name: slot.fresh.name.clone(),
            nonce: self.view.input.nonce.to_owned(),
            body: slot.fresh.body.clone(),
            connect: slot.fresh.connect.clone(),
            carried: carried(slot.container, &slot.retired),
            binds: self.binds(slot),
        })
    }

    /// In-place repairs: what is wrong goes before what is right comes.
    pub(crate) fn repairs(&self) -> [Vec<Step>; 2] {
        let (mut first, mut then) = (Vec::new(), Vec::new());
        for slot in &self.slots {
            let Some(found) = slot.found.as_ref().filter(|_| !self.is_done(slot)) else { continue };
            let (id, name) = (found.observed.inspect.id.clone(), slot.fresh.name.clone());
            if let Some(body) = &found.update {
                first.push(Step::Update { id: id.clone(), name: name.clone(), body: body.clone() });
            }
            let connect = |network: &String, endpoint: &Value| Step::Connect {
                id: id.clone(),
                name: name.clone(),
                network: network.clone(),
                endpoint: endpoint.clone(),
            };
            let disconnect = |network: &String| Step::Disconnect {
                id: id.clone(),
                name: name.clone(),
                network: network.clone(),
            };
            for difference in &found.differences {
                match &difference.repair {
                    Repair::Connect { network, endpoint } => then.push(connect(network, endpoint)),
                    Repair::Disconnect { network } => first.push(disconnect(network)),
                    Repair::Reconnect { network, endpoint } => {
                        first.push(disconnect(network));
                        then.push(connect(network, endpoint));
                    }
                    Repair::Recreate | Repair::Update | Repair::Rename => {}
                }
            }
        }
        [first, then]
    }

    /// Every container of ours that this version has no use for.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &'a ObservedContainer> {
        let retired = self.slots.iter().flat_map(|slot| slot.retired.iter().copied());
        retired.chain(self.surplus.iter().copied())
    }

    /// What runs once for another version is not cut off half-way.
    pub(crate) fn endings(&self) -> Vec<Step> {
        let moved = self.moved();
        let under_way = |old: &&ObservedContainer| old.inspect.state == ContainerState::Running;
        let once = self.slots.iter().filter(|slot| slot.container.run == Run::Once);
        let retired = once.flat_map(|slot| slot.retired.iter().copied().filter(under_way));
        let awaits = retired.map(|old| Step::Await {
            container: old.owned.key.clone(),
            name: moved.get(&old.inspect.id).unwrap_or(&old.inspect.name).clone(),
            condition: AwaitCondition::Ended,
            kept: None,
            timeout: self.run_once_timeout(),
        });
        awaits.collect()
    }

    fn run_once_timeout(&self) -> Duration {
        self.view.service.update.health_timeout.max(RUN_ONCE_MIN)
    }

    /// Dependants stop before what they depend on.
    pub(crate) fn stops(&self) -> Vec<Vec<Step>> {
        let levels = self.view.service.start_levels();
        let of = |key: &ContainerName| {
            levels.iter().position(|l| l.iter().any(|c| &c.name == key)).unwrap_or(levels.len())
        };
        let moved = self.moved();
        let mut stages = vec![Vec::new(); levels.len() + 1];
        for old in self.leaving().filter(|old| needs_stop(old)) {
            let name = moved.get(&old.inspect.id).unwrap_or(&old.inspect.name);
            stages[levels.len() - of(&old.owned.key)].push(stop(old, name));
        }
        stages
    }

    pub(crate) fn removals(&self) -> Vec<Step> {
        let moved = self.moved();
        let name = |old: &ObservedContainer| {
            moved.get(&old.inspect.id).unwrap_or(&old.inspect.name).clone()
        };
        self.leaving().map(|old| remove(old, &name(old))).collect()
    }

    pub(crate) fn starts(&self) -> Vec<Vec<Step>> {
        let mut stages = Vec::new();
        for level in self.view.service.start_levels() {
            let due: Vec<&Slot<'_>> = self
                .slots
                .iter()
                .filter(|slot| level.iter().any(|c| c.name == slot.container.name))
                .filter(|slot| self.needs_start(slot))
                .collect();
            stages.push(due.iter().flat_map(|slot| self.awaits(slot)).collect());
            stages.push(due.into_iter().map(|slot| self.start(slot)).collect());
        }
        stages
    }

    fn binds(&self, slot: &Slot<'_>) -> BTreeMap<String, String> {
        binds(self.view.service, slot.container, self.view.input.links)
    }

    /// What those that start depend on, as far as it is there already. A repair awaits it only for what
    /// still serves: one that does not run loses nothing, and what else is to be repaired must not wait.
    pub(crate) fn awaits_before(&self) -> Vec<Step> {
        let serves = |slot: &Slot<'_>| slot.retired.iter().any(|old| needs_stop(old));
        let due = self.slots.iter().filter(|slot| self.needs_start(slot));
        let due = due.filter(|slot| self.is_new || serves(slot));
        let mut steps: Vec<Step> = due.flat_map(|slot| self.awaits(slot)).collect();
        let is_there = |name: &String| self.view.own().iter().any(|own| own.inspect.name == *name);
        steps.retain(
            |step| matches!(step, Step::Await { kept: Some(_), name, .. } if is_there(name)),
        );
        steps
    }

    pub(crate) fn awaits(&self, slot: &Slot<'_>) -> Vec<Step> {
        let dependencies = slot.container.depends_on.iter().filter_map(|(key, condition)| {
            let slot_of = self.slots.iter().find(|s| &s.container.name == key)?;
            let condition = match condition {
                Condition::ServiceStarted => AwaitCondition::Running,
                Condition::ServiceHealthy => AwaitCondition::Healthy,
                // Its own step ended before this level began.
                Condition::ServiceCompletedSuccessfully => return None,
            };
            (slot_of.container.run == Run::Always).then(|| Step::Await {
                container: slot.container.name.clone(),
                name: slot_of.fresh.name.clone(),
                condition,
                kept: self.kept(slot_of),
                timeout: self.view.service.update.health_timeout,
            })
        });
        dependencies.collect()
    }

    pub(crate) fn start(&self, slot: &Slot<'_>) -> Step {
        let (container, name) = (slot.container.name.clone(), slot.fresh.name.clone());
        match slot.container.run {
            Run::Always => {
                let state = slot.found.as_ref().map(|found| &found.observed.inspect.state);
                let paused = state == Some(&ContainerState::Paused);
                Step::Start { container, name, paused, binds: self.binds(slot) }
            }
            Run::Once => {
                let timeout = self.run_once_timeout();
                let (input, found) = (self.view.input, slot.found.as_ref());
                let made = found.map_or(input.nonce, |found| &found.observed.owned.nonce);
                let (seen, key) = (input.observed, input.key);
                let ground = ground(self.view.service, seen, key, input.nonce, made);
                let spec = slot.container.spec_hash();
                Step::RunOnce { container, name, spec, ground, binds: self.binds(slot), timeout }
            }
        }
    }

    /// A version that is new, or was never seen to pass, is judged whole; a repair by the containers
    /// that it started, or replaces.
    pub(crate) fn gate(&self) -> Vec<Step> {
        let is_whole = self.is_new || self.is_presumed();
        let judged = self.slots.iter().filter(|slot| {
            slot.container.run == Run::Always
                && (is_whole || self.needs_start(slot) || !slot.retired.is_empty())
        });
        let judged: Vec<&Slot<'_>> = judged.collect();
        let kept =
            judged.iter().filter_map(|slot| Some((slot.fresh.name.clone(), self.kept(slot)?)));
        let kept = kept.collect();
        let containers: Vec<String> = judged.iter().map(|slot| slot.fresh.name.clone()).collect();
        if containers.is_empty() && !is_whole {
            return Vec::new();
        }
        let update = &self.view.service.update;
        let (health_timeout, stable) = (update.health_timeout, update.stable);
        vec![Step::Gate(Gate { containers, is_whole, kept, health_timeout, stable })]
    }

    /// Whether the version that was applied has this very container, and how it is.
    fn kept(&self, slot: &Slot<'_>) -> Option<Kept> {
        let applied = self.view.input.applied.get(&self.view.service.name)?;
        let before = applied.containers.get(&slot.container.name)?;
        let inspect = &slot.found.as_ref()?.observed.inspect;
        let is_same = before.spec_hash() == slot.container.spec_hash() && !self.needs_start(slot);
        let ails = inspect.health.as_deref() == Some("unhealthy")
            || inspect.state == ContainerState::Restarting;
        is_same.then_some(if ails { Kept::Ailing } else { Kept::Well })
    }
}

/// Whether a container still does something.
pub(crate) fn needs_stop(observed: &ObservedContainer) -> bool {
    matches!(
        observed.inspect.state,
        ContainerState::Running | ContainerState::Restarting | ContainerState::Paused
    )
}

/// The step that stops a container, with the time that it was made with.
pub(crate) fn stop(observed: &ObservedContainer, name: &str) -> Step {
    let inspect = &observed.inspect;
    let grace = inspect.raw.pointer("/Config/StopTimeout").and_then(Value::as_u64);
    Step::Stop {
        id: inspect.id.clone(),
        name: name.to_owned(),
        grace_secs: grace.unwrap_or(STOP_GRACE_DEFAULT_SECS),
    }
}

/// The step that removes a stopped container.
pub(crate) fn remove(observed: &ObservedContainer, name: &str) -> Step {
    Step::Remove { id: observed.inspect.id.clone(), name: name.to_owned() }
}
