//! Reads every commit that counted, with its files: history as auditors need it.
//!
//! In: the [`Verdict`] on a chain. Out: [`Moment`]s, and their files as [`Verified`] [`Snapshot`]s.
//! Pure.
//!
//! # Guarantees
//! * Only commits that were judged good, and the anchor that they were judged from, have a moment.
//! * Files that two commits in a row share are read once; of a commit after another one, only what
//!   differs is looked at.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName, ObjectId, Revision};
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::facts::FactsReader;
use crate::reconcile::trust::history::{header, time};
use crate::reconcile::trust::snapshot::Reader;
use crate::reconcile::trust::tree::Trees;
use crate::reconcile::trust::verdict::{Accepted, Verdict};
use crate::reconcile::trust::{Objects, ReadError, Verified};

/// A commit that counted, at its time.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The commit.
    pub commit: CommitId,
    /// Its time (TRUST.md, "Time").
    pub time: Timestamp,
    /// What was judged; none for the anchor, which is trusted as it is.
    pub accepted: Option<Accepted>,
    /// The merge that landed it on the branch, if it came in a wrapper.
    pub landed_by: Option<CommitId>,
    tree: ObjectId,
}

/// Reads one environment's history.
pub struct Past<'a, O> {
    objects: &'a O,
    environment: EnvironmentName,
    trees: Trees<'a, O>,
    reader: Reader<'a, O>,
    /// The tree whose files the reader holds.
    last: Option<ObjectId>,
}

impl<'a, O: Objects> Past<'a, O> {
    /// A reader that has read nothing yet.
    pub fn new(objects: &'a O, environment: &EnvironmentName) -> Self {
        let (trees, reader) = (Trees::new(objects), Reader::new(objects));
        Self { objects, environment: environment.clone(), trees, reader, last: None }
    }

    /// The anchor and every commit that was judged good from it on, oldest first; none when the
    /// anchor is not on the chain.
    ///
    /// # Errors
    /// When a commit cannot be read again.
    pub fn moments(&self, anchor: CommitId, verdict: &Verdict) -> Result<Vec<Moment>, ReadError> {
        if verdict.verified.is_none() {
            return Ok(Vec::new());
        }
        let tree = |id| header(self.objects, id).map(|header| header.tree);
        let tree = |id| tree(id).map_err(ReadError::Objects);
        let mut facts = FactsReader::new(self.objects, &self.environment);
        let begun = time(self.objects, &self.trees, &mut facts, anchor);
        let begun = begun.map_err(ReadError::Objects)?;
        let moment = |commit, time, accepted| {
            let tree = tree(commit)?;
            Ok(Moment { commit, time, accepted, landed_by: None, tree })
        };
        let mut moments = vec![moment(anchor, begun, None)?];
        for accepted in &verdict.accepted {
            moments.push(moment(accepted.commit, accepted.time, Some(accepted.clone()))?);
        }
        self.name_wrappers(&mut moments, verdict.verified_id())?;
        Ok(moments)
    }

    /// Commits of the branch itself that were not judged are wrappers: each lands its second parent.
    fn name_wrappers(
        &self,
        moments: &mut [Moment],
        tip: Option<CommitId>,
    ) -> Result<(), ReadError> {
        let places = moments.iter().enumerate().map(|(place, moment)| (moment.commit, place));
        let places: HashMap<CommitId, usize> = places.collect();
        let header = |id| header(self.objects, id).map_err(ReadError::Objects);
        let mut at = tip;
        while let Some(id) = at.filter(|id| places.get(id) != Some(&0)) {
            let parents = header(id)?.parents;
            at = parents.first().copied();
            let mut landed = parents.get(1).copied().filter(|_| !places.contains_key(&id));
            while let Some(second) = landed {
                if let Some(place) = places.get(&second) {
                    moments[*place].landed_by = Some(id);
                    break;
                }
                landed = header(second)?.parents.get(1).copied();
            }
        }
        Ok(())
    }

    /// The files of a commit that counted.
    ///
    /// # Errors
    /// When they cannot be read, or an anchor's tree is refused.
    pub fn snapshot(&mut self, moment: &Moment) -> Result<Verified<Snapshot>, ReadError> {
        // Of all others, the tree was checked when they were judged.
        if moment.accepted.is_none() {
            self.trees.check(moment.tree).map_err(ReadError::Tree)?;
        }
        let last = self.last.take().filter(|_| moment.accepted.is_some());
        let paths = match last {
            Some(tree) => Some(self.trees.differences(tree, moment.tree).map_err(ReadError::Tree)?),
            None => None,
        };
        match paths {
            Some(paths) => self.reader.update(&self.trees, moment.tree, &paths, &self.environment),
            None => self.reader.read_all(&self.trees, moment.tree, &self.environment),
        }?;
        self.last = Some(moment.tree);
        let (environment, commit) = (self.environment.clone(), moment.commit);
        Ok(Verified(Snapshot {
            revision: Revision::Commit { environment, commit },
            time: Some(moment.time),
            allow_removal: BTreeSet::new(),
            files: self.reader.files().clone(),
        }))
    }

    /// Paths of files that differ between two commits, without those of other environments.
    ///
    /// # Errors
    /// When a tree cannot be read.
    pub fn differences(&self, old: &Moment, new: &Moment) -> Result<Vec<String>, ReadError> {
        let mut paths = self.trees.differences(old.tree, new.tree).map_err(ReadError::Tree)?;
        let own = format!("environments/{}/", self.environment);
        paths.retain(|path| !path.starts_with("environments/") || path.starts_with(&own));
        Ok(paths)
    }
}
