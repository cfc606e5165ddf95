//! Reads every commit that counted, with its files: history as auditors need it.
//!
//! In: the [`Verdict`] on a chain. Out: [`Moment`]s, and their files as [`Verified`] [`Snapshot`]s.
//! Pure.
//!
//! # Guarantees
//! * Only commits that were judged good, and the anchor that they were judged from, have a moment.
//! * Files that two commits in a row share are read once; of a commit after another one, only what
//!   differs is looked at, once.
//! * From when a commit counts is found from history alone: everybody finds the same.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName, ObjectId, Revision};
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::due::settle;
use crate::reconcile::trust::facts::FactsReader;
use crate::reconcile::trust::history::{CHAIN_COMMITS_MAX, WalkError, first_parents, header, time};
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
    /// From when it counts: later than its time where it waited for its soak, or where one before
    /// it has a later time; none if a later commit counted before it would have.
    pub counts_from: Option<Timestamp>,
    /// What was judged; none for the anchor, which is trusted as it is.
    pub accepted: Option<Accepted>,
    /// The merge that landed it on the branch, if it came in a wrapper.
    pub landed_by: Option<CommitId>,
    tree: ObjectId,
}

/// The paths that differ between two trees.
struct Difference {
    old: ObjectId,
    new: ObjectId,
    paths: Rc<[String]>,
}

/// Reads one environment's history.
pub struct Past<'a, O> {
    objects: &'a O,
    environment: EnvironmentName,
    trees: Trees<'a, O>,
    reader: Reader<'a, O>,
    /// The tree whose files the reader holds.
    last: Option<ObjectId>,
    /// What was compared last: who asks what differs reads the files next.
    compared: Option<Difference>,
}

impl<'a, O: Objects> Past<'a, O> {
    /// A reader that has read nothing yet.
    pub fn new(objects: &'a O, environment: &EnvironmentName) -> Self {
        let (trees, reader) = (Trees::new(objects), Reader::new(objects));
        Self {
            objects,
            environment: environment.clone(),
            trees,
            reader,
            last: None,
            compared: None,
        }
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
            Ok(Moment { commit, time, counts_from: None, accepted, landed_by: None, tree })
        };
        let mut moments = vec![moment(anchor, begun, None)?];
        for accepted in &verdict.accepted {
            moments.push(moment(accepted.commit, accepted.time, Some(accepted.clone()))?);
        }
        self.name_wrappers(&mut moments, verdict.tip)?;
        settle(&mut moments);
        Ok(moments)
    }

    /// Commits of the branch itself that were not judged are wrappers: each lands those up to its
    /// second parent that no commit before it brought.
    fn name_wrappers(&self, moments: &mut [Moment], tip: CommitId) -> Result<(), ReadError> {
        let places = moments.iter().enumerate().map(|(place, moment)| (moment.commit, place));
        let places: HashMap<CommitId, usize> = places.collect();
        let header = |id| header(self.objects, id).map_err(ReadError::Objects);
        let anchor = moments[0].commit;
        let branch = match first_parents(self.objects, tip, anchor, CHAIN_COMMITS_MAX) {
            Ok(branch) => branch,
            Err(WalkError::Incomplete { error, .. }) => return Err(ReadError::Objects(error)),
            // A tip that strayed: what counts was verified earlier.
            Err(WalkError::NotOnChain { .. }) => return Ok(()),
        };
        let mut n_named = 1;
        for id in branch.into_iter().rev() {
            if n_named == moments.len() {
                break;
            }
            let mut landed = Some(id);
            while let Some(at) = landed.filter(|at| !places.contains_key(at)) {
                landed = header(at)?.parents.get(1).copied();
            }
            let Some(end) = landed.and_then(|at| places.get(&at)).filter(|end| **end >= n_named)
            else {
                continue;
            };
            for moment in &mut moments[n_named..=*end] {
                moment.landed_by = Some(id).filter(|id| *id != moment.commit);
            }
            n_named = end + 1;
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
            Some(tree) => Some(self.compare(tree, moment.tree)?),
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
    pub fn differences(&mut self, old: &Moment, new: &Moment) -> Result<Vec<String>, ReadError> {
        let own = format!("environments/{}/", self.environment);
        let paths = self.compare(old.tree, new.tree)?;
        let paths = paths.iter().filter(|p| !p.starts_with("environments/") || p.starts_with(&own));
        Ok(paths.cloned().collect())
    }

    fn compare(&mut self, old: ObjectId, new: ObjectId) -> Result<Rc<[String]>, ReadError> {
        let known = self.compared.as_ref().filter(|known| (known.old, known.new) == (old, new));
        if let Some(known) = known {
            return Ok(Rc::clone(&known.paths));
        }
        let paths = self.trees.differences(old, new).map_err(ReadError::Tree)?;
        let paths: Rc<[String]> = paths.into();
        self.compared = Some(Difference { old, new, paths: Rc::clone(&paths) });
        Ok(paths)
    }
}

impl Moment {
    /// Since when it counts.
    pub fn since(&self) -> Timestamp {
        self.counts_from.unwrap_or(self.time)
    }
}
