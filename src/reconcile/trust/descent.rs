//! The commits of a verified line, newest first, with what each declares to be.
//!
//! In: a [`Verified`] commit. Out: [`Passed`] commits. Pure.
//!
//! # Guarantees
//! * What a wrapper lands stands right below it; the wrapper itself declares nothing.
//! * The line ends before the commit that it is to end at, and where history cannot be read.

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::kind::{CommitKind, Declared};
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::walk::Walk;
use crate::reconcile::trust::{Objects, Verified};

/// Walks down a line that was judged good.
pub struct Descent<'a, O> {
    walk: Walk<'a, O>,
    /// The next commit of the branch itself.
    at: Option<CommitId>,
    /// What wrappers land, the newest last.
    landed: Vec<CommitId>,
    until: Option<CommitId>,
}

/// A commit of the line.
#[derive(Debug)]
pub struct Passed {
    /// Which.
    pub commit: Verified<CommitId>,
    /// What it stands on; none at a root.
    pub parent: Option<Verified<CommitId>>,
    /// What it says; nothing, if it is a wrapper.
    own: Option<Commit>,
}

impl<'a, O: Objects> Descent<'a, O> {
    /// From `tip` down to before `until`, or to the root.
    pub fn new(
        objects: &'a O,
        environment: &EnvironmentName,
        revoked: &'a RevokedKeys,
        tip: &Verified<CommitId>,
        until: Option<CommitId>,
    ) -> Self {
        let judge = Judge::new(objects, environment, revoked);
        // The commits were judged already: no clock is needed to judge a wrapper's again.
        let walk = Walk::new(judge, None);
        Self { walk, at: Some(*tip.get()), landed: Vec::new(), until }
    }
}

impl<O: Objects> Iterator for Descent<'_, O> {
    type Item = Passed;

    fn next(&mut self) -> Option<Passed> {
        let objects = self.walk.judge.objects;
        let landed = self.landed.pop();
        let id = landed.or(self.at).filter(|id| Some(*id) != self.until)?;
        let header = header(objects, id).ok()?;
        if landed.is_none() {
            self.at = header.first_parent();
        }
        let lands = self.walk.lands(&header).unwrap_or_default();
        let own = lands.is_empty().then(|| Commit::parse(id, &objects.commit(id).ok()?).ok());
        self.landed.extend(lands);
        let parent = header.first_parent().map(Verified);
        Some(Passed { commit: Verified(id), parent, own: own.flatten() })
    }
}

impl<O> std::fmt::Debug for Descent<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descent").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Passed {
    /// What it declares to be; nothing where the environment's commits need not.
    pub fn kind(&self) -> Option<CommitKind> {
        match Declared::parse(self.own.as_ref()?.message.kind()?) {
            Declared::Kind(kind, _) => Some(kind),
            Declared::Anchor(_) | Declared::Unknown => None,
        }
    }

    /// The values of its trailers `key`.
    pub(in crate::reconcile::trust) fn values(
        &self,
        key: &'static str,
    ) -> impl Iterator<Item = &str> {
        self.own.iter().flat_map(move |commit| commit.message.values(key))
    }
}
