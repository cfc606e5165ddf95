//! The commits of a verified line, newest first, with what each declares to be.
//!
//! In: a [`Verified`] commit, what is sought. Out: [`Passed`] commits. Pure.
//!
//! # Guarantees
//! * What a wrapper lands stands right below it; the wrapper itself declares nothing.
//! * A merge is judged again only where something in it says what is sought, or is an end: elsewhere
//!   it stands for what it may land, and declares nothing.
//! * The line ends before the first of the commits that it is to end at, and where history cannot be
//!   read.

use std::collections::BTreeSet;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::commit::{Commit, Header};
use crate::reconcile::trust::history::wrapped;
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::kind::{CommitKind, Declared};
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::walk::{WRAPPERS_NESTED_MAX, Walk};
use crate::reconcile::trust::{Objects, Verified};

/// What a descent is made for: commits that do not say it are passed by.
#[derive(Debug, Clone, Copy)]
pub enum Sought {
    /// Commits of one of these kinds.
    Kinds(&'static [CommitKind]),
    /// Commits with this trailer.
    Trailer(&'static str),
}

/// Walks down a line that was judged good.
pub struct Descent<'a, O> {
    walk: Walk<'a, O>,
    sought: Sought,
    /// The next commit of the branch itself.
    at: Option<CommitId>,
    /// What wrappers land, the newest last.
    landed: Vec<CommitId>,
    ends: BTreeSet<CommitId>,
    ended_at: Option<CommitId>,
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
    /// From `tip` down to before the first of `ends`, or to the root.
    pub fn new(
        objects: &'a O,
        environment: &EnvironmentName,
        revoked: &'a RevokedKeys,
        tip: &Verified<CommitId>,
        sought: Sought,
        ends: impl IntoIterator<Item = CommitId>,
    ) -> Self {
        let judge = Judge::new(objects, environment, revoked);
        // The commits were judged already: no clock is needed to judge a wrapper's again.
        let walk = Walk::new(judge, None);
        let ends = ends.into_iter().collect();
        Self { walk, sought, at: Some(*tip.get()), landed: Vec::new(), ends, ended_at: None }
    }

    /// Which of its ends it has come to.
    pub fn ended_at(&self) -> Option<CommitId> {
        self.ended_at
    }

    /// Whether it matters if a merge that says `own` is a wrapper, which lands `landed`.
    fn matters(&self, own: Option<&Commit>, landed: &[CommitId], depth: u32) -> bool {
        own.is_some_and(|own| self.sought.is_said_by(own))
            || landed.iter().any(|id| self.ends.contains(id) || self.may_say(*id, depth))
    }

    /// Whether a commit, or one that it may land, says what is sought; what cannot be read may.
    fn may_say(&self, id: CommitId, depth: u32) -> bool {
        let objects = self.walk.judge.objects;
        let Ok(bytes) = objects.commit(id) else { return true };
        let own = Commit::parse(id, &bytes).ok();
        let landed = Header::read(&bytes).filter(|_| depth < WRAPPERS_NESTED_MAX);
        let landed = landed.and_then(|header| wrapped(objects, &header)).unwrap_or_default();
        self.matters(own.as_ref(), &landed, depth + 1)
    }
}

impl<O: Objects> Iterator for Descent<'_, O> {
    type Item = Passed;

    fn next(&mut self) -> Option<Passed> {
        let objects = self.walk.judge.objects;
        let landed = self.landed.pop();
        let id = landed.or(self.at).filter(|_| self.ended_at.is_none())?;
        if self.ends.contains(&id) {
            self.ended_at = Some(id);
            return None;
        }
        let bytes = objects.commit(id).ok()?;
        let header = Header::read(&bytes)?;
        if landed.is_none() {
            self.at = header.first_parent();
        }
        let parent = header.first_parent().map(Verified);
        let own = Commit::parse(id, &bytes).ok();
        let Some(may_land) = wrapped(objects, &header) else {
            return Some(Passed { commit: Verified(id), parent, own });
        };
        let matters = self.matters(own.as_ref(), &may_land, 0);
        let lands = if matters { self.walk.lands(&header) } else { None };
        let own = own.filter(|_| matters && lands.is_none());
        self.landed.extend(lands.unwrap_or_default());
        Some(Passed { commit: Verified(id), parent, own })
    }
}

impl<O> std::fmt::Debug for Descent<'_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descent").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Sought {
    fn is_said_by(self, commit: &Commit) -> bool {
        match self {
            Self::Kinds(kinds) => kind(commit).is_some_and(|kind| kinds.contains(&kind)),
            Self::Trailer(key) => commit.message.values(key).next().is_some(),
        }
    }
}

fn kind(commit: &Commit) -> Option<CommitKind> {
    match Declared::parse(commit.message.kind()?) {
        Declared::Kind(kind, _) => Some(kind),
        Declared::Anchor(_) | Declared::Unknown => None,
    }
}

impl Passed {
    /// Its id.
    pub fn id(&self) -> CommitId {
        *self.commit.get()
    }

    /// What it declares to be; nothing where the environment's commits need not.
    pub fn kind(&self) -> Option<CommitKind> {
        kind(self.own.as_ref()?)
    }

    /// The values of its trailers `key`.
    pub(in crate::reconcile::trust) fn values(
        &self,
        key: &'static str,
    ) -> impl Iterator<Item = &str> {
        self.own.iter().flat_map(move |commit| commit.message.values(key))
    }
}
