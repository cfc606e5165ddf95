//! Services whose newest version a hotfix or a rollback made: it passes windows and freezes.
//!
//! In: a verified tip and its files, its line, what this node applied. Out: services. Effect: reads
//! objects.
//!
//! Nothing of it is kept: the line tells it again after a crash, and to `plan`.
//!
//! # Guarantees
//! * Only the very version that the hotfix or rollback made is urgent: what a later commit changes of
//!   the service waits for its windows. So does what cannot be compared with the commit before it.
//! * What was applied, or lies below the anchor, makes nothing urgent; and nothing is where no service
//!   was applied yet: there nothing has to be mended.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::git::ObjectReader;
use crate::model::{CommitId, Digest, EnvironmentName, NodeName, ServiceName};
use crate::reconcile::desired::resolve;
use crate::reconcile::memory::ServiceMemory;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::{
    CommitKind, Descent, Passed, RevokedKeys, SnapshotRequest, Sought, Verified, snapshot,
};

/// Commits looked at below the tip: what is urgent is applied long before so many follow.
const COMMITS_MAX: usize = 256;
/// Hotfixes and rollbacks that are compared with what they changed; older ones make nothing urgent.
const URGENT_MAX: usize = 16;

/// What passes windows and freezes.
const URGENT: &[CommitKind] = &[CommitKind::Hotfix, CommitKind::Rollback];

/// The services that run here, by content.
type Versions = BTreeMap<ServiceName, Digest>;

/// Whose line is looked at, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    /// Where commits are read.
    pub(crate) objects: &'a ObjectReader,
    /// Whose line it is.
    pub(crate) environment: &'a EnvironmentName,
    /// The node whose services are meant.
    pub(crate) node: &'a NodeName,
    /// Keys revoked here.
    pub(crate) revoked: &'a RevokedKeys,
    /// Where judging began; none when nothing is demanded.
    pub(crate) anchor: Option<CommitId>,
    /// The commit whose every service runs.
    pub(crate) applied: Option<CommitId>,
    /// What is remembered of each service.
    pub(crate) known: &'a BTreeMap<ServiceName, ServiceMemory>,
}

impl Line<'_> {
    /// Services of the verified `tip`, whose files these are, that changed, or went, by a hotfix or a
    /// rollback.
    pub(crate) fn urgent(
        &self,
        tip: &Verified<CommitId>,
        files: &Verified<Snapshot>,
    ) -> BTreeSet<ServiceName> {
        let mut urgent = BTreeSet::new();
        if self.known.values().all(|service| service.applied.is_none()) {
            return urgent;
        }
        let ends = self.anchor.into_iter().chain(self.applied);
        let (environment, revoked) = (self.environment, self.revoked);
        let line =
            Descent::new(self.objects, environment, revoked, tip, Sought::Kinds(URGENT), ends);
        let mut line = line.take(COMMITS_MAX);
        let mut above = BTreeSet::new();
        let looked_at = line.by_ref().inspect(|passed| above.extend([passed.id()]));
        let Some(first) = { looked_at }.find(is_urgent) else {
            return urgent;
        };
        let Some(wanted) = self.versions(files) else { return urgent };
        let mut open = self.changed(&wanted);
        open.retain(|name| self.applied_at(name).is_none_or(|at| !above.contains(&at)));
        let mut n_compared = 0;
        for passed in std::iter::once(first).chain(line) {
            open.retain(|name| self.applied_at(name) != Some(passed.id()));
            if open.is_empty() || n_compared == URGENT_MAX {
                break;
            }
            if !is_urgent(&passed) {
                continue;
            }
            n_compared += 1;
            let before = passed.parent.as_ref().and_then(|parent| self.versions_at(parent));
            let is_tip = passed.id() == *tip.get();
            let after =
                if is_tip { Some(wanted.clone()) } else { self.versions_at(&passed.commit) };
            let Some((before, after)) = before.zip(after) else { continue };
            open.retain(|name| {
                let version = wanted.get(name);
                let is_made = after.get(name) == version && before.get(name) != version;
                if is_made {
                    urgent.insert(name.clone());
                }
                !is_made
            });
        }
        urgent
    }

    /// Services that are not as they were applied last, or no longer wanted.
    fn changed(&self, wanted: &Versions) -> BTreeSet<ServiceName> {
        let applied = |name: &ServiceName| Some(self.known.get(name)?.applied.as_ref()?.content);
        let new = wanted.iter().filter(|(name, version)| applied(name) != Some(**version));
        let gone = self.known.keys().filter(|name| !wanted.contains_key(*name));
        new.map(|(name, _)| name).chain(gone).cloned().collect()
    }

    fn applied_at(&self, service: &ServiceName) -> Option<CommitId> {
        self.known.get(service)?.applied.as_ref()?.revision.commit()
    }

    /// What runs on this node by a commit; none when it cannot be used.
    fn versions_at(&self, commit: &Verified<CommitId>) -> Option<Versions> {
        let (environment, revoked) = (self.environment, self.revoked);
        let request = SnapshotRequest { environment, applied: None, revoked };
        self.versions(&snapshot(self.objects, commit, &request).ok()?)
    }

    fn versions(&self, files: &Verified<Snapshot>) -> Option<Versions> {
        let state = resolve(files, self.environment, self.node).ok()?.state;
        let versions = state.services.values().map(|s| (s.name.clone(), s.content_hash()));
        Some(versions.collect())
    }
}

fn is_urgent(passed: &Passed) -> bool {
    passed.kind().is_some_and(|kind| URGENT.contains(&kind))
}
