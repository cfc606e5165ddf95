//! What was applied last, where the newest version is another one.
//!
//! In: the memory, a way to resolve older revisions. Out: services. Effect: that way's.
//!
//! # Guarantees
//! * A pass resolves each revision at most once, however many services were applied with it, and what
//!   could not be had not again before the next whole look.
//! * Between two of them the thread is given away.
//! * Only what runs is older: what is done about it is as the newest version says. Report mode, that is,
//!   holds for what came before it as well.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Revision, ServiceName};
use crate::reconcile::desired::{DesiredService, DesiredState};
use crate::reconcile::memory::{Applied, Memory};
use crate::reconcile::observed::Look;
use crate::reconcile::pass::PassInput;
use crate::reconcile::plan::body::image_name;

/// What one process has resolved.
#[derive(Debug, Default)]
pub(crate) struct Older {
    /// What was asked for, had or not.
    revisions: BTreeMap<ServiceName, Revision>,
    applied: BTreeMap<ServiceName, DesiredService>,
}

impl Older {
    /// What was last applied, of the services whose newest version differs from it.
    pub(crate) fn applied(&self) -> &BTreeMap<ServiceName, DesiredService> {
        &self.applied
    }

    /// The newest version of each service, and the one to go back to.
    pub(crate) fn versions<'a>(
        &'a self,
        desired: &'a DesiredState,
    ) -> impl Iterator<Item = &'a DesiredService> {
        desired.services.values().chain(self.applied.values())
    }

    /// Their images.
    pub(crate) fn images(&self, desired: &DesiredState) -> BTreeSet<String> {
        let pins = self.versions(desired).flat_map(|service| service.containers.values());
        pins.map(|container| image_name(&container.pin, &desired.hub)).collect()
    }

    /// With a whole look, lets what could not be had be asked for again: it may be had by now.
    pub(crate) fn ask_again(&mut self, look: Look) {
        if look == Look::Everything {
            self.revisions.retain(|name, _| self.applied.contains_key(name));
        }
    }

    /// Resolves what is not resolved yet. The newest revisions come first: a service that was the same
    /// there is taken from it, so that few do for all.
    pub(crate) async fn resolve(&mut self, input: &PassInput<'_>, memory: &Memory) {
        let services = input.desired.services.values();
        let differing: BTreeMap<&ServiceName, &Applied> = services
            .filter_map(|service| {
                let applied = memory.services.get(&service.name)?.applied.as_ref()?;
                (applied.content != service.content_hash()).then_some((&service.name, applied))
            })
            .collect();
        self.revisions.retain(|name, revision| {
            differing.get(name).is_some_and(|applied| applied.revision == *revision)
        });
        self.applied.retain(|name, _| self.revisions.contains_key(name));
        let mut open: Vec<(&ServiceName, &Applied)> = differing.into_iter().collect();
        open.retain(|(name, _)| !self.revisions.contains_key(*name));
        open.sort_by_key(|(_, applied)| Reverse(applied.at));
        while let Some((_, Applied { revision, .. })) = open.first() {
            tokio::task::yield_now().await;
            let state = (input.resolve)(revision);
            let mut services = state.map(|state| state.services).unwrap_or_default();
            open.retain(|(name, applied)| {
                let is_of_it = applied.revision == *revision;
                let is_same = |service: &DesiredService| service.content_hash() == applied.content;
                let is_here =
                    services.get(*name).is_some_and(|service| is_of_it || is_same(service));
                if is_of_it || is_here {
                    self.revisions.insert((*name).clone(), applied.revision.clone());
                    self.applied.extend(services.remove_entry(*name));
                }
                !is_of_it && !is_here
            });
        }
        for (name, older) in &mut self.applied {
            let Some(newest) = input.desired.services.get(name) else { continue };
            older.mode = newest.mode;
            older.suspend.clone_from(&newest.suspend);
            older.update.clone_from(&newest.update);
        }
    }
}
