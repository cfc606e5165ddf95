//! Finds where on a chain a remembered tip is: itself, a twin of it, or within what a wrapper lands.
//!
//! In: a chain's ids, oldest first. Out: a place on it. Pure.

use crate::model::CommitId;
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::history::{
    CHAIN_COMMITS_MAX, WRAPPED_COMMITS_MAX, first_parents, header, signed_hash, wrapped,
};
use crate::reconcile::trust::walk::WRAPPERS_NESTED_MAX;

/// Commits that wrappers may land while a remembered tip is looked for among them.
const EXPANDED_COMMITS_MAX: usize = 200_000;
/// How many of `ids` (oldest first, above `anchor`) it takes to have `known` on the chain: 0 when
/// it is at or below the anchor.
pub fn place_of(
    objects: &impl Objects,
    anchor: CommitId,
    ids: &[CommitId],
    known: CommitId,
) -> Option<usize> {
    if let Some(at) = ids.iter().position(|id| *id == known) {
        return Some(at + 1);
    }
    if first_parents(objects, anchor, known, CHAIN_COMMITS_MAX).is_ok() {
        return Some(0);
    }
    // A signature can be wrapped again into a second commit id.
    let signed = header(objects, known).ok().zip(signed_hash(objects, known));
    let is_twin = |id: CommitId| {
        signed.as_ref().is_some_and(|(known, hash)| {
            let same = header(objects, id).is_ok_and(|h| h == *known);
            same && signed_hash(objects, id) == Some(*hash)
        })
    };
    let mut budget = EXPANDED_COMMITS_MAX;
    // What was verified last is near the tip: the newest come first.
    let holds = |id: CommitId| is_twin(id) || lands(objects, id, known, 0, &mut budget);
    let mut newest_first = ids.iter().copied().rev();
    newest_first.position(holds).map(|at| ids.len() - at)
}

/// Whether `known` is among what `merge` lands as a wrapper. Nothing was judged yet, so that an
/// attacker could have made any number of merges: all of them together share `budget`.
fn lands(
    objects: &impl Objects,
    merge: CommitId,
    known: CommitId,
    depth: u32,
    budget: &mut usize,
) -> bool {
    if *budget == 0 || depth > WRAPPERS_NESTED_MAX {
        return false;
    }
    *budget -= 1;
    let Ok(merged) = header(objects, merge) else { return false };
    let [_, second] = merged.parents.as_slice() else { return false };
    // Most merges end here, at the price of one look.
    if header(objects, *second).map(|second| second.tree) != Ok(merged.tree) {
        return false;
    }
    let landed = wrapped(objects, &merged);
    let n_read = landed.as_ref().map_or(WRAPPED_COMMITS_MAX, Vec::len);
    *budget = budget.saturating_sub(n_read);
    landed.is_some_and(|ids| {
        ids.contains(&known) || ids.iter().any(|id| lands(objects, *id, known, depth + 1, budget))
    })
}
