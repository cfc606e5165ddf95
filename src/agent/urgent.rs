//! Services whose newest version a hotfix or a rollback made: it passes windows and freezes.
//!
//! In: a verified tip and its files, its line, what this node applied. Out: services. Effect: reads
//! objects.
//!
//! Nothing of it is kept: the line tells it again after a crash, and to `plan`.
//!
//! # Guarantees
//! * Only the very version that the hotfix or rollback made is urgent, and only while nothing above it
//!   has changed it: what a later commit brings waits for its windows, be it the same once more.
//! * A version that cannot be compared with the one before it waits. A commit that cannot be used ran
//!   nowhere, and what is made on top of it may hold what it brought: a hotfix waits then, and of a
//!   rollback is urgent what it alone makes of the commit below that can be used.
//! * What was applied, or lies below the anchor, makes nothing urgent. Where it is not known what was
//!   applied, any version may be new: the plan knows more by then.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::git::ObjectReader;
use crate::model::{CommitId, Digest, EnvironmentName, NodeName, ServiceName};
use crate::reconcile::desired::resolve;
use crate::reconcile::memory::ServiceMemory;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::{
    CommitKind, Descent, Passed, RevokedKeys, SnapshotRequest, Sought, Verified, changed_by,
    snapshot,
};

/// Commits looked at below the tip: what is urgent is applied long before so many follow.
const COMMITS_MAX: usize = 256;
/// Commits that are resolved to see who made a version; what none of them shows waits.
const RESOLVED_MAX: usize = 64;

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
        let ends = self.anchor.into_iter().chain(self.applied);
        let (environment, revoked) = (self.environment, self.revoked);
        let line =
            Descent::new(self.objects, environment, revoked, tip, Sought::Kinds(URGENT), ends);
        let mut line: Vec<Passed> = line.take(COMMITS_MAX).collect();
        // What lies below the oldest of them made nothing urgent, but for what it changed.
        let Some(oldest) = line.iter().rposition(is_urgent) else { return urgent };
        let Some(wanted) = self.versions(files) else { return urgent };
        let mut open = self.changed(&wanted);
        let end = line.last().and_then(|last| last.parent.clone());
        let below = line.split_off(oldest + 1).into_iter().map(|passed| passed.commit).chain(end);
        let above = line.iter().map(|passed| (passed.commit.clone(), Some(passed)));
        let all = above.chain(below.map(|commit| (commit, None)));
        // The oldest commit that shows the same as the tip, and whether one below it cannot be used.
        let (mut maker, mut is_crossed) = (None, false);
        for (commit, passed) in all.take(RESOLVED_MAX) {
            let is_tip = commit.get() == tip.get();
            let found = if is_tip { Some(wanted.clone()) } else { self.versions_at(&commit) };
            let is_other = |name: &ServiceName| {
                self.applied_at(name) == Some(*commit.get())
                    || found.as_ref().is_some_and(|found| found.get(name) != wanted.get(name))
            };
            let (other, same) = open.into_iter().partition(is_other);
            open = same;
            if let Some(maker) = maker.filter(|_| !other.is_empty())
                && let Some(made) = self.made(maker, is_crossed, &commit, &wanted)
            {
                let is_its = |name: &ServiceName| made.get(name) == wanted.get(name);
                urgent.extend(other.into_iter().filter(is_its));
            }
            if open.is_empty() || (found.is_some() && passed.is_none()) {
                break;
            }
            is_crossed = found.is_none();
            if found.is_some() {
                maker = passed;
            }
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

    /// The versions of services that a hotfix or a rollback made, as far as they pass windows: those of
    /// the tip, if it stands right on the commit `below`. Where others that cannot be used lie between,
    /// a rollback's are those that it alone makes of that commit, since each path that it changes is
    /// wholly as it once was; a hotfix's paths may hold what others wrote.
    fn made(
        &self,
        maker: &Passed,
        is_crossed: bool,
        below: &Verified<CommitId>,
        wanted: &Versions,
    ) -> Option<Versions> {
        match maker.kind()? {
            CommitKind::Rollback if is_crossed => {
                let below = snapshot(self.objects, below, &self.request()).ok()?;
                let alone = changed_by(self.objects, maker, &below, &self.request()).ok()?;
                self.versions(&alone)
            }
            CommitKind::Hotfix if is_crossed => None,
            CommitKind::Hotfix | CommitKind::Rollback => Some(wanted.clone()),
            _ => None,
        }
    }

    /// What runs on this node by a commit; none when it cannot be used.
    fn versions_at(&self, commit: &Verified<CommitId>) -> Option<Versions> {
        self.versions(&snapshot(self.objects, commit, &self.request()).ok()?)
    }

    fn request(&self) -> SnapshotRequest<'_> {
        SnapshotRequest { environment: self.environment, applied: None, revoked: self.revoked }
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
