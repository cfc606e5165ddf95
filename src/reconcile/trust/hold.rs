//! Soak: a good promote or pick waits until its source rested long enough on its own branch.
//!
//! In: good commits, the node's clock, what it saw on the branches below. Out: [`Wait`]. Pure.
//!
//! # Guarantees
//! * Nothing here makes a commit good or bad.
//! * What lies above a waiting commit waits too, until a rollback of everything to a commit that
//!   does not wait. A rollback to one that waits, waits as long.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::claim::Scope;
use crate::reconcile::trust::history::{CHAIN_COMMITS_MAX, header, wrapped};
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::lineage::Lineage;
use crate::reconcile::trust::sight::Sightings;
use crate::reconcile::trust::verdict::{Accepted, Origin, Wait};
use crate::reconcile::trust::walk::Walk;

/// What may make a good commit wait.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconcile::trust) struct Clock<'a> {
    /// The node's clock.
    pub now: Timestamp,
    /// What it saw on the branches below.
    pub sights: &'a Sightings,
}

/// What waits on a chain.
#[derive(Debug, Default)]
pub(in crate::reconcile::trust) struct Holds {
    /// The oldest commit that the last one waits for.
    pub first: Option<Wait>,
    /// Everything that waits, and until when: also what a rollback has passed.
    waiting: HashMap<CommitId, Timestamp>,
    /// A rollback went to before where judging began: whether that waits is not known.
    pub is_unsure: bool,
    /// Chains of the branches below, as they were seen.
    seen: BTreeMap<EnvironmentName, Lineage>,
}

impl Holds {
    fn mark(&mut self, commit: CommitId) {
        self.waiting.extend(self.first.as_ref().map(|wait| (commit, wait.until)));
    }
}

impl<O: Objects> Walk<'_, O> {
    /// Finds out whether a good commit waits.
    pub(in crate::reconcile::trust) fn hold(&mut self, accepted: &Accepted) {
        let Some(clock) = self.clock else { return };
        let soaking =
            accepted.origin.as_ref().and_then(|origin| self.soaks(clock, accepted.commit, origin));
        let soaking = match (accepted.kind, accepted.claim.source) {
            (CommitKind::Rollback, Some(target)) => {
                self.holds.is_unsure |= !self.line.has(target);
                let until = self.holds.waiting.get(&target).copied();
                if until.is_none() && accepted.claim.scope == Scope::Everything {
                    self.holds.first = None;
                }
                let reason = format!("it goes back to {}, which waits", target.short());
                until.map(|until| Wait { commit: accepted.commit, until, reason })
            }
            _ => soaking,
        };
        if self.holds.first.is_none() {
            self.holds.first = soaking;
        }
        self.holds.mark(accepted.commit);
    }

    /// A wrapper waits for what it lands.
    pub(in crate::reconcile::trust) fn hold_wrapper(&mut self, merge: CommitId) {
        self.holds.mark(merge);
    }

    fn soaks(&mut self, clock: Clock<'_>, commit: CommitId, origin: &Origin) -> Option<Wait> {
        if origin.soak_secs == 0 {
            return None;
        }
        let sight = self.first_sight(clock.sights, origin);
        let since = sight.unwrap_or(origin.time);
        let soak = SignedDuration::from_secs(i64::try_from(origin.soak_secs).unwrap_or(i64::MAX));
        let until = since.checked_add(soak).unwrap_or(Timestamp::MAX);
        let Origin { environment, commit: source, .. } = origin;
        let seen = match sight {
            Some(at) => format!("this node saw first {at}"),
            None => format!("which is of {}", origin.time),
        };
        (until > clock.now).then(|| {
            let source = source.short();
            let reason = format!("its source {source}, {seen}, soaks on {environment}");
            Wait { commit, until, reason }
        })
    }

    /// When this node first saw a source on its branch.
    fn first_sight(&mut self, sights: &Sightings, origin: &Origin) -> Option<Timestamp> {
        let objects = self.judge.objects;
        let known = self.holds.seen.contains_key(&origin.environment);
        let lineage = self.holds.seen.entry(origin.environment.clone()).or_default();
        let sights = sights.of(&origin.environment);
        for sight in sights.iter().filter(|_| !known) {
            add_chain(objects, sight.tip, lineage);
        }
        let first = sights.iter().find(|sight| lineage.is_on_chain(sight.tip, origin.commit));
        first.map(|sight| sight.at)
    }
}

/// Adds the chain of `tip`, with what merges that look like wrappers land. What cannot be read ends
/// it: a node keeps no more than it needs.
fn add_chain(objects: &impl Objects, tip: CommitId, lineage: &mut Lineage) {
    let mut chain = Vec::new();
    let mut at = Some(tip);
    while let Some(id) = at.filter(|id| !lineage.has(*id) && chain.len() < CHAIN_COMMITS_MAX) {
        let Ok(header) = header(objects, id) else { break };
        at = header.first_parent();
        chain.push((id, header));
    }
    for (id, header) in chain.into_iter().rev() {
        let mut above = header.first_parent();
        for landed in wrapped(objects, &header).unwrap_or_default() {
            lineage.add(landed, above);
            above = Some(landed);
        }
        lineage.add(id, above);
    }
}
