//! First-parent history as it is only read: nothing in it is verified here.
//!
//! In: commit objects through [`Objects`]. Out: chains of ids, wrappers, times. Pure.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::model::{CommitId, Digest};
use crate::reconcile::trust::commit::{Commit, Header};
use crate::reconcile::trust::facts::FactsReader;
use crate::reconcile::trust::tree::{TreeError, Trees};
use crate::reconcile::trust::{Objects, ObjectsError};

/// Commits of one chain: a hundred a day for almost thirty years.
pub const CHAIN_COMMITS_MAX: usize = 1_000_000;

/// Commits that one merge may land as a wrapper: a branch of a release manager is short.
pub const WRAPPED_COMMITS_MAX: usize = 1_000;

/// Commits looked at to find out what a wrong tip is, for people.
const EXPLAIN_COMMITS_MAX: usize = 100_000;

/// Why a walk along first parents ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The root, or the limit, came first.
    #[error("{wanted} is not among the first parents of {from}")]
    NotOnChain {
        /// Where the walk began.
        from: CommitId,
        /// What it looked for.
        wanted: CommitId,
    },
    /// A commit cannot be read.
    #[error("the history below {from} is incomplete: {error}")]
    Incomplete {
        /// Where the walk began.
        from: CommitId,
        /// What is missing.
        error: ObjectsError,
    },
}

/// Reads a header.
///
/// # Errors
/// When the commit is missing, or not even tree and parents can be read.
pub fn header(objects: &impl Objects, id: CommitId) -> Result<Header, ObjectsError> {
    let reason = "not a commit that can be read".to_owned();
    let unreadable = ObjectsError::Unreadable { id: id.to_string(), reason };
    Header::read(&objects.commit(id)?).ok_or(unreadable)
}

/// The first parents from `tip` down to `until`, which is left out; newest first.
///
/// # Errors
/// When `until` is not among the first `max` of them, or history is missing.
pub fn first_parents(
    objects: &impl Objects,
    tip: CommitId,
    until: CommitId,
    max: usize,
) -> Result<Vec<CommitId>, WalkError> {
    let mut chain = Vec::new();
    let mut at = tip;
    while at != until {
        let read = header(objects, at);
        let header = read.map_err(|error| WalkError::Incomplete { from: tip, error })?;
        chain.push(at);
        let above = header.first_parent().filter(|_| chain.len() < max);
        at = above.ok_or(WalkError::NotOnChain { from: tip, wanted: until })?;
    }
    Ok(chain)
}

/// Whether a commit whose id begins with `digits` is `tip`, or came before it: as a first parent, or
/// landed by a wrapper. What only flowed in by a merge is not what the branch was.
pub fn came_before(objects: &impl Objects, tip: CommitId, digits: &str) -> bool {
    let is_it = |id: &CommitId| id.to_string().starts_with(digits);
    let mut at = Some(tip);
    for _ in 0..EXPLAIN_COMMITS_MAX {
        let Some(id) = at else { return false };
        if is_it(&id) {
            return true;
        }
        let Ok(header) = header(objects, id) else { return false };
        if wrapped(objects, &header).is_some_and(|landed| landed.iter().any(is_it)) {
            return true;
        }
        at = header.first_parent();
    }
    false
}

/// What a two-parent merge lands if it is a wrapper: a merge with its second parent's tree, where
/// the second parent has the first one on its first-parent chain. Oldest first, never empty.
pub fn wrapped(objects: &impl Objects, merge: &Header) -> Option<Vec<CommitId>> {
    let [first, second] = merge.parents.as_slice() else { return None };
    let landed = header(objects, *second).ok().filter(|landed| landed.tree == merge.tree);
    landed?;
    let mut chain = first_parents(objects, *second, *first, WRAPPED_COMMITS_MAX).ok()?;
    chain.reverse();
    (!chain.is_empty()).then_some(chain)
}

/// Hash of a commit's signed bytes: equal for two ids that wrap one signature's content.
pub fn signed_hash(objects: &impl Objects, id: CommitId) -> Option<Digest> {
    let commit = Commit::parse(id, &objects.commit(id).ok()?).ok()?;
    Some(Digest::of(commit.payload()))
}

/// The latest committer date on the first-parent history of `tip`, itself included, down to where
/// the environment begins. Only first parents count, so that a wrapped or merged branch with a
/// date in the far future cannot make everybody's keys expire.
///
/// # Errors
/// When history is missing.
pub fn time<'a, O: Objects>(
    objects: &'a O,
    trees: &Trees<'a, O>,
    facts: &mut FactsReader<'a, O>,
    tip: CommitId,
) -> Result<Timestamp, ObjectsError> {
    let mut latest = Timestamp::UNIX_EPOCH;
    let mut at = Some(tip);
    let mut read = 0;
    while let Some(id) = at.filter(|_| read < CHAIN_COMMITS_MAX) {
        let header = header(objects, id)?;
        match facts.has_begun(trees, header.tree) {
            Ok(true) => {}
            Err(TreeError::Objects(error)) => return Err(error),
            Ok(false) | Err(_) => break,
        }
        latest = latest.max(header.time.unwrap_or(latest));
        at = header.first_parent();
        read += 1;
    }
    Ok(latest)
}

/// Where a tip stands to the last verified commit, when that is not on its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strayed {
    /// The tip is an older commit of the same chain.
    Behind,
    /// The last verified commit came in as a merge's second parent.
    Merged {
        /// The merge on the tip's chain.
        by: CommitId,
    },
    /// It is not in the tip's history at all.
    Unrelated,
}

/// Finds out, for people, what happened to `known` in the history of `tip`.
pub fn strayed(objects: &impl Objects, tip: CommitId, known: CommitId) -> Strayed {
    if first_parents(objects, known, tip, EXPLAIN_COMMITS_MAX).is_ok() {
        return Strayed::Behind;
    }
    let mut at = Some(tip);
    let mut seen = HashSet::new();
    let mut chain = HashSet::new();
    while let Some(id) = at.filter(|_| chain.len() < EXPLAIN_COMMITS_MAX) {
        let Ok(header) = header(objects, id) else { break };
        chain.insert(id);
        let mut open: Vec<CommitId> = header.parents.iter().skip(1).copied().collect();
        while let Some(other) = open.pop().filter(|_| seen.len() < EXPLAIN_COMMITS_MAX) {
            if other == known {
                return Strayed::Merged { by: id };
            }
            if seen.insert(other) && !chain.contains(&other) {
                open.extend(
                    crate::reconcile::trust::history::header(objects, other)
                        .map(|header| header.parents)
                        .unwrap_or_default(),
                );
            }
        }
        at = header.first_parent();
    }
    Strayed::Unrelated
}
