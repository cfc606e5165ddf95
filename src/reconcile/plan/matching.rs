//! Which container that runs is the one that is wanted, whatever it is called.
//!
//! In: one version of a service, what runs. Out: a [`Slot`] per container. Pure.
//!
//! # Guarantees
//! * A container matches by what it is, field by field, never by its name or its spec hash: so a
//!   rollback takes the renamed one back, and a new program version restarts nothing.
//! * The choice depends on what is observed alone, so that planning twice chooses alike.

use crate::clients::docker::ContainerState;
use crate::model::{ContainerName, Revision};
use crate::reconcile::desired::container::{MountSource, NetworkAttachment, Run};
use crate::reconcile::desired::{DesiredContainer, DesiredService};
use crate::reconcile::observed::{ObjectKind, ObservedContainer, Owned};
use crate::reconcile::plan::PlanInput;
use crate::reconcile::plan::body::{
    BodyContext, ContainerBody, config_path, container_body, image_name,
};
use crate::reconcile::plan::fields::{
    Expected, FieldDifference, Repair, differences, image_matches, update_body,
};
use crate::reconcile::plan::renewal::outdated;

/// One version of a service, to be compared with what runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) input: &'a PlanInput<'a>,
    pub(crate) service: &'a DesiredService,
    pub(crate) revision: &'a Revision,
}

/// The place of one container in a service: who fills it, and who has to leave.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) container: &'a DesiredContainer,
    /// What would be made if nothing fits.
    pub(crate) fresh: ContainerBody,
    pub(crate) found: Option<Found<'a>>,
    /// Containers of ours for the same place that do not fit.
    pub(crate) retired: Vec<&'a ObservedContainer>,
    /// How the nearest of them differs, when none fits.
    pub(crate) differences: Vec<FieldDifference>,
}

/// A container that fits, if need be after a repair in place.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) observed: &'a ObservedContainer,
    /// What is repaired in place; never [`Repair::Recreate`], never the name.
    pub(crate) differences: Vec<FieldDifference>,
    /// Body of the `docker update`, if one is needed.
    pub(crate) update: Option<serde_json::Value>,
}

impl Found<'_> {
    /// Whether it has to be started (or resumed) to run.
    pub(crate) fn is_idle(&self) -> bool {
        !matches!(self.observed.inspect.state, ContainerState::Running | ContainerState::Restarting)
    }
}

impl<'a> View<'a> {
    /// The labels' content for an object of this version.
    pub(crate) fn owned(
        &self,
        kind: ObjectKind,
        key: ContainerName,
        spec: crate::model::Digest,
    ) -> Owned {
        let desired = self.input.desired;
        Owned {
            kind,
            environment: desired.revision.environment().clone(),
            node: desired.node.clone(),
            service: self.service.name.clone(),
            key,
            revision: Owned::revision_label(self.revision),
            spec,
            nonce: self.input.nonce.to_owned(),
        }
    }

    fn context(&self) -> BodyContext<'a> {
        BodyContext {
            environment: self.input.desired.revision.environment(),
            hub: &self.input.desired.hub,
            files_dir: self.input.files_dir,
        }
    }

    /// Our containers of this service.
    pub(crate) fn own(&self) -> &'a [ObservedContainer] {
        self.input.observed.services.get(&self.service.name).map_or(&[], Vec::as_slice)
    }

    /// A slot per container of this version.
    pub(crate) fn slots(&self) -> Vec<Slot<'a>> {
        self.service.containers.values().map(|container| self.slot(container)).collect()
    }

    /// Our containers for places that this version does not have.
    pub(crate) fn surplus(&self) -> Vec<&'a ObservedContainer> {
        let own = self.own().iter();
        own.filter(|c| !self.service.containers.contains_key(&c.owned.key)).collect()
    }

    fn slot(&self, container: &'a DesiredContainer) -> Slot<'a> {
        let owned =
            self.owned(ObjectKind::Container, container.name.clone(), container.spec_hash());
        let labels = self.input.key.labels(&owned);
        let fresh = container_body(self.service, container, &labels, self.context());
        let mut judged: Vec<(&ObservedContainer, Judgement)> = self
            .own()
            .iter()
            .filter(|c| c.owned.key == container.name)
            .map(|c| (c, self.judge(container, c)))
            .collect();
        judged.sort_by_key(|(c, judgement)| {
            let other_name = c.inspect.name != fresh.name;
            let fit = judgement.differences.iter().filter(|d| d.repair != Repair::Rename).count();
            (!judgement.fits, !c.is_running(), other_name, fit, c.inspect.id.clone())
        });
        let mut judged = judged.into_iter();
        let first = judged.next();
        let mut slot = Slot {
            container,
            fresh,
            found: None,
            retired: judged.map(|(candidate, _)| candidate).collect(),
            differences: Vec::new(),
        };
        match first {
            Some((observed, mut judgement)) if judgement.fits => {
                judgement.differences.retain(|d| d.repair != Repair::Rename);
                let differences = judgement.differences;
                slot.found = Some(Found { observed, differences, update: judgement.update });
            }
            Some((observed, judgement)) => {
                slot.differences = judgement.differences;
                slot.retired.insert(0, observed);
            }
            None => {}
        }
        slot
    }

    fn judge(&self, container: &DesiredContainer, candidate: &ObservedContainer) -> Judgement {
        let inspect = &candidate.inspect;
        let is_stuck = self.input.stuck.contains(inspect.id.as_str()) && !candidate.is_running();
        if is_stuck {
            return Judgement::unfit(
                "State",
                "running",
                "lost to the engine, which cannot start it",
            );
        }
        if inspect.state == ContainerState::Dead {
            return Judgement::unfit("State", "running", "dead");
        }
        let image = self.input.observed.images.get(&inspect.image_id);
        let running = inspect.raw.pointer("/Config/Image").and_then(serde_json::Value::as_str);
        let wanted = image_name(&container.pin, &self.input.desired.hub);
        if !image_matches(&container.pin, &inspect.image_id, image) {
            return Judgement::unfit("image", &wanted, running.unwrap_or(&inspect.image_id));
        }
        let Some(image) = image else {
            return Judgement::unfit("image", &wanted, "an image the engine no longer has");
        };
        let labels = self.input.key.labels(&candidate.owned);
        let body = container_body(self.service, container, &labels, self.context());
        let expected = Expected { body: &body, image, engine: &self.input.observed.engine };
        let mut differences = differences(expected, inspect);
        differences.extend(self.lost_network(container, candidate));
        differences.extend(self.altered_config(container, candidate));
        let fits = differences.iter().all(|d| d.repair != Repair::Recreate);
        let updates = differences.iter().any(|d| d.repair == Repair::Update);
        let update = (fits && updates).then(|| update_body(expected, &differences));
        Judgement { fits, differences, update }
    }

    /// A config whose file was changed or removed by hand: what runs may have read it, and a mount
    /// keeps showing the file that it was made with, though another has its name since.
    fn altered_config(
        &self,
        container: &DesiredContainer,
        candidate: &ObservedContainer,
    ) -> Option<FieldDifference> {
        let is_over = candidate.inspect.state == ContainerState::Exited;
        if container.run == Run::Once && is_over {
            return None;
        }
        let altered = self.input.altered.get(candidate.inspect.id.as_str())?;
        container.spec.mounts.iter().find_map(|mount| {
            let MountSource::Config { content, mode, .. } = &mount.source else { return None };
            let path = config_path(self.input.files_dir, content, *mode);
            altered.contains(&path).then(|| FieldDifference {
                field: format!("Mounts.{}", mount.target),
                expected: format!("the content {}", content.digest().short()),
                actual: "another one, or none".to_owned(),
                repair: Repair::Recreate,
            })
        })
    }

    /// A network of this version that the candidate cannot be on: one that is made anew, or was. A
    /// container that ran keeps the id of the network it was on, and never starts on another one of
    /// the same name; one that never ran finds it by its name, and one that is over needs none.
    fn lost_network(
        &self,
        container: &DesiredContainer,
        candidate: &ObservedContainer,
    ) -> Option<FieldDifference> {
        let inspect = &candidate.inspect;
        if container.run == Run::Once && inspect.state == ContainerState::Exited {
            return None;
        }
        let shown = inspect.raw.pointer("/NetworkSettings/Networks");
        let wanted = match &container.spec.network {
            NetworkAttachment::Networks { networks } => Some(networks),
            NetworkAttachment::Host | NetworkAttachment::None => None,
        };
        let outdated = outdated(self.input, self.service);
        let lost = self.service.networks.iter().find_map(|(key, network)| {
            let name = &network.engine_name;
            let endpoint = shown.and_then(|shown| shown.get(name));
            let is_wanted = wanted.is_some_and(|wanted| wanted.contains_key(key));
            if (is_wanted || endpoint.is_some()) && outdated.iter().any(|o| o.name() == name) {
                return Some((name, "one with its old settings"));
            }
            let id = endpoint?.get("NetworkID")?.as_str().unwrap_or_default();
            // Some engines show the name instead.
            let is_known = !id.is_empty() && id != name && !candidate.is_running();
            match self.input.observed.networks.get(name) {
                None if is_known => Some((name, "a network that is gone")),
                Some(now) if is_known && now.id != id => {
                    Some((name, "one that was here before it"))
                }
                _ => None,
            }
        });
        lost.map(|(name, actual)| FieldDifference {
            field: format!("NetworkSettings.Networks.{name}"),
            expected: "the network of now".to_owned(),
            actual: actual.to_owned(),
            repair: Repair::Recreate,
        })
    }
}

struct Judgement {
    fits: bool,
    differences: Vec<FieldDifference>,
    update: Option<serde_json::Value>,
}

impl Judgement {
    fn unfit(field: &str, expected: &str, actual: &str) -> Self {
        let difference = FieldDifference {
            field: field.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
            repair: Repair::Recreate,
        };
        Self { fits: false, differences: vec![difference], update: None }
    }
}
