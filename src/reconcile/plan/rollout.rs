//! From one version of a service and what runs: the steps between them, in order.
//!
//! In: a [`View`]. Out: a [`ServicePlan`], or what is in the way. Pure.
//!
//! # Guarantees
//! * No healthy container is stopped before its replacement's image is checked and its container
//!   made; none is removed before the gate has passed.
//! * What fits is not touched.

use crate::clients::docker::ContainerState;
use crate::model::{ContainerName, Mode};
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::{NetworkAttachment, Run};
use crate::reconcile::desired::service::Strategy;
use crate::reconcile::memory::{Ground, Lost};
use crate::reconcile::observed::{ObservedContainer, Owned};
use crate::reconcile::plan::body::image_name;
use crate::reconcile::plan::carry::carried;
use crate::reconcile::plan::fields::image_matches;
use crate::reconcile::plan::ground::is_gone;
use crate::reconcile::plan::held::HeldReason;
use crate::reconcile::plan::matching::{Found, Slot, View};
use crate::reconcile::plan::objects;
use crate::reconcile::plan::ports;
use crate::reconcile::plan::renewal::outdated;
use crate::reconcile::plan::step::{Reason, ServicePlan, Stage, Step, Target};

/// The comparison of one version with what runs.
#[derive(Debug)]
pub(crate) struct Rollout<'a> {
    pub(crate) view: View<'a>,
    pub(crate) slots: Vec<Slot<'a>>,
    pub(crate) surplus: Vec<&'a ObservedContainer>,
    /// Whether this version has not passed its gate here yet.
    pub(crate) is_new: bool,
}

impl<'a> Rollout<'a> {
    pub(crate) fn new(view: View<'a>, is_new: bool) -> Self {
        let mut rollout = Self { slots: view.slots(), surplus: view.surplus(), view, is_new };
        // One that is still needed and cannot do it is made anew rather than started again.
        let spent: Vec<bool> = rollout.slots.iter().map(|slot| rollout.is_spent(slot)).collect();
        for (slot, spent) in rollout.slots.iter_mut().zip(spent) {
            if spent && let Some(found) = slot.found.take() {
                slot.retired.insert(0, found.observed);
            }
        }
        rollout
    }

    /// Whether the run-once container that fits cannot run for this version any more: it failed, or
    /// it did its work on data that is gone.
    fn is_spent(&self, slot: &Slot<'_>) -> bool {
        let found = slot.found.as_ref().map(|found| found.observed);
        slot.container.run == Run::Once
            && found.is_some_and(|found| {
                let worked = |gone: &Ground| gone.container == found.owned.nonce;
                (has_failed(found) && !self.is_done(slot))
                    || (has_succeeded(found) && self.lost_ground(slot).is_some_and(worked))
            })
    }

    /// What the remembered success of a run-once container rests on, if that is gone.
    pub(crate) fn lost_ground(&self, slot: &Slot<'_>) -> Option<&'a Ground> {
        let (input, service) = (self.view.input, self.view.service);
        let known = input.memory.services.get(&service.name)?.grounds.get(&slot.container.name)?;
        is_gone(known, service, input.observed, input.key).then_some(known)
    }

    /// What is in the way, if anything is.
    pub(crate) fn obstacle(&self) -> Option<HeldReason> {
        let foreign = &self.view.input.observed.foreign;
        for slot in &self.slots {
            let in_place =
                slot.found.as_ref().is_some_and(|f| f.observed.inspect.name == slot.fresh.name);
            let wanted = self.needs_create(slot) || (slot.found.is_some() && !in_place);
            if wanted && foreign.contains_key(&slot.fresh.name) {
                return Some(HeldReason::Foreign { name: slot.fresh.name.clone() });
            }
            if self.needs_start(slot)
                && let Some(taken) = ports::taken(&self.view, &slot.container.spec)
            {
                return Some(taken);
            }
            if self.needs_create(slot) && slot.container.pin.digest.is_none() && self.lacks(slot) {
                let name = image_name(&slot.container.pin, &self.view.input.desired.hub);
                let reason = format!("{name} is not on this engine and has no digest to pull");
                return Some(HeldReason::Image { reason });
            }
        }
        objects::obstacle(&self.view)
    }

    /// The steps, or none if everything is as it should be.
    pub(crate) fn plan(&self) -> Option<ServicePlan> {
        let stages = self.stages();
        if stages.is_empty() {
            return None;
        }
        Some(ServicePlan {
            service: self.view.service.name.clone(),
            mode: self.view.service.mode,
            target: Some(Target {
                revision: self.view.revision.clone(),
                content: self.view.service.content_hash(),
                whole: self.view.service.whole_hash(),
            }),
            reasons: self.reasons(),
            stages,
            is_new_version: self.is_new,
        })
    }

    /// Whether the plan changes nothing and only waits for the gate.
    pub(crate) fn only_confirms(&self) -> bool {
        let stages = self.stages();
        stages.iter().flat_map(|stage| &stage.steps).all(|step| matches!(step, Step::Gate(_)))
    }

    /// Whether containers or networks of exactly this version were made already. Where the version
    /// before cannot be resolved or is not known, an unchanged container proves nothing: what was made
    /// from this very revision does, or since the rollout of this version began. One that has ended
    /// while another one serves in its place was taken back.
    pub(crate) fn is_under_way(&self) -> bool {
        let (input, name) = (self.view.input, &self.view.service.name);
        let applied = input.applied.get(name);
        let is_first = input.memory.services.get(name).is_none_or(|m| !m.was_applied());
        let label = Owned::revision_label(self.view.revision);
        let begun = input.memory.services.get(name).and_then(|m| m.begun.as_ref());
        let begun = begun.filter(|begun| begun.content == self.view.service.content_hash());
        let is_begun = |own: &ObservedContainer| {
            begun.is_some_and(|begun| !begun.before.contains(&own.owned.nonce))
        };
        let spec = |service: &DesiredService, key: &ContainerName| {
            service.containers.get(key).map(|container| container.spec_hash())
        };
        let was_taken_back = |own: &ObservedContainer| {
            let mut places = self.view.own().iter().filter(|o| o.owned.key == own.owned.key);
            own.inspect.state == ContainerState::Exited && places.any(ObservedContainer::is_running)
        };
        self.view.own().iter().any(|own| {
            let wanted = spec(self.view.service, &own.owned.key);
            let is_made_for_it = match applied {
                Some(applied) => spec(applied, &own.owned.key) != wanted,
                None => is_first || own.owned.revision == label || is_begun(own),
            };
            wanted == Some(own.owned.spec) && is_made_for_it && !was_taken_back(own)
        }) || applied.is_some_and(|applied| objects::is_under_way(&self.view, applied))
    }

    fn stages(&self) -> Vec<Stage> {
        let strategy = self.strategy();
        let mut stages = vec![self.pulls(), self.files(), objects::missing(&self.view)];
        // What serves is not touched for a new version that could not start then.
        stages.push(self.awaits_before());
        let (make_way, names) = self.renames();
        let mut creates = names;
        creates.extend(self.creates());
        stages.extend([make_way, creates]);
        stages.extend(self.repairs());
        stages.push(self.endings());
        if strategy == Strategy::StopFirst {
            stages.extend(self.stops());
        }
        stages.push(objects::renewals(&self.view));
        stages.extend(self.starts());
        stages.push(self.gate());
        if strategy == Strategy::StartFirst {
            stages.extend(self.stops());
        }
        stages.push(self.removals());
        stages.push(objects::unwanted_networks(self.view.input, &self.view.service.name, |name| {
            self.view.service.networks.values().any(|n| n.engine_name == name)
        }));
        let filled = stages.into_iter().filter(|steps: &Vec<Step>| !steps.is_empty());
        filled.map(|steps| Stage { steps }).collect()
    }

    /// Start-first needs old and new side by side, which a shared host port, address or anonymous
    /// volume forbids, and so does a network that can only be made anew when nothing runs on it.
    fn strategy(&self) -> Strategy {
        if !outdated(self.view.input, self.view.service).is_empty() {
            return Strategy::StopFirst;
        }
        let exclusive = self.slots.iter().filter(|slot| self.needs_create(slot)).any(|slot| {
            let spec = &slot.container.spec;
            if !carried(slot.container, &slot.retired).is_empty() {
                return true;
            }
            let fixed = match &spec.network {
                NetworkAttachment::Networks { networks } => {
                    networks.values().any(|e| e.ipv4_address.is_some() || e.ipv6_address.is_some())
                }
                NetworkAttachment::Host | NetworkAttachment::None => false,
            };
            fixed || spec.ports.iter().any(|port| port.host_port.is_some())
        });
        if exclusive { Strategy::StopFirst } else { self.view.service.update.strategy }
    }

    /// A run-once container is done when this very spec is known to have succeeded, or when the
    /// container that fits is seen to have exited 0.
    pub(crate) fn is_done(&self, slot: &Slot<'_>) -> bool {
        slot.container.run == Run::Once
            && (self.is_known_done(slot)
                || slot.found.as_ref().is_some_and(|found| has_succeeded(found.observed)))
    }

    /// Whether this version counts as applied and its gate was not seen to pass: it is asked again.
    pub(crate) fn is_presumed(&self) -> bool {
        let (input, service) = (self.view.input, self.view.service);
        let known = input.memory.services.get(&service.name);
        !self.is_new
            && service.mode == Mode::Apply
            && known.is_some_and(|known| known.lost == Lost::Gate)
    }

    /// Whether its success is remembered, or belongs to the version that passed its gate here, and
    /// what it rests on is still there.
    fn is_known_done(&self, slot: &Slot<'_>) -> bool {
        if self.lost_ground(slot).is_some() {
            return false;
        }
        let (input, service) = (self.view.input, &self.view.service.name);
        let (key, spec) = (&slot.container.name, slot.container.spec_hash());
        let once = input.memory.services.get(service).and_then(|m| m.once.get(key));
        let applied = input.applied.get(service).and_then(|s| s.containers.get(key));
        !self.is_new
            || once == Some(&spec)
            || applied.is_some_and(|applied| applied.spec_hash() == spec)
    }

    /// Whether this container of the version has to be made.
    pub(crate) fn needs_create(&self, slot: &Slot<'_>) -> bool {
        slot.found.is_none() && !self.is_done(slot)
    }

    /// Whether this container of the version has to be started.
    pub(crate) fn needs_start(&self, slot: &Slot<'_>) -> bool {
        match slot.container.run {
            Run::Always => slot.found.as_ref().is_none_or(Found::is_idle),
            // One that has succeeded unnoticed is not run again, but remembered.
            Run::Once => !self.is_known_done(slot),
        }
    }

    /// Whether the image has to be pulled.
    pub(crate) fn lacks(&self, slot: &Slot<'_>) -> bool {
        let pin = &slot.container.pin;
        let name = image_name(pin, &self.view.input.desired.hub);
        let known = self.view.input.observed.images.get(&name);
        known.is_none_or(|image| !image_matches(pin, &image.id, Some(image)))
    }

    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = crate::reconcile::plan::reasons::of(self);
        if reasons.is_empty() {
            let revision = self.view.revision.clone();
            let confirms = (self.is_new || self.is_presumed()) && self.only_confirms();
            reasons.push(if confirms {
                Reason::Confirm { revision }
            } else {
                Reason::Resume { revision }
            });
        }
        reasons
    }
}

fn has_failed(observed: &ObservedContainer) -> bool {
    observed.inspect.state == ContainerState::Exited && observed.inspect.exit_code != 0
}

fn has_succeeded(observed: &ObservedContainer) -> bool {
    observed.inspect.state == ContainerState::Exited && observed.inspect.exit_code == 0
}
