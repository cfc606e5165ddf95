//! Walks an environment's chain from what is trusted up to the tip that is offered.
//!
//! In: [`VerifyRequest`]. Out: [`Verdict`]. Pure: threads only share out signature checks.
//!
//! # Guarantees
//! * The last verified tip is on the chain, by first parents: an ancestor is not enough.
//! * Commits are judged oldest first; the first bad one ends the walk, and what came before counts.

use jiff::Timestamp;

use crate::model::{CommitId, Digest, EnvironmentName};
use crate::reconcile::trust::history::{
    CHAIN_COMMITS_MAX, Strayed, WalkError, first_parents, strayed,
};
use crate::reconcile::trust::hold::Clock;
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::place::place_of;
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::sight::Sightings;
use crate::reconcile::trust::verdict::{Refusal, Rule, Standing, Verdict};
use crate::reconcile::trust::walk::{Stop, Walk, incomplete};
use crate::reconcile::trust::{Objects, Verified, remedy};

/// What the node remembers of this environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembered {
    /// Nothing: all is judged from the anchor.
    Nothing,
    /// A tip verified from the same anchor with the same revoked keys: judging begins there.
    Verified(CommitId),
    /// A tip verified from another anchor or with other revoked keys: it must be on the chain,
    /// and all is judged again from the anchor.
    Demanded(CommitId),
}

impl Remembered {
    /// What a node's memory amounts to: `judged_by` is the anchor and the digest of the revoked
    /// keys that `verified` was judged by, which may have changed since.
    pub fn new(
        verified: Option<CommitId>,
        judged_by: Option<(CommitId, Digest)>,
        anchor: CommitId,
        revoked: &RevokedKeys,
    ) -> Self {
        match verified {
            None => Self::Nothing,
            Some(id) if judged_by == Some((anchor, revoked.digest())) => Self::Verified(id),
            Some(id) => Self::Demanded(id),
        }
    }
}

/// What is to be verified.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// Whose chain it is.
    pub environment: EnvironmentName,
    /// The root of trust, from the node's own configuration: an anchor, or a checkpoint.
    pub anchor: CommitId,
    /// What the node remembers.
    pub remembered: Remembered,
    /// The tip that is offered.
    pub tip: CommitId,
    /// Keys that the node's operator revoked.
    pub revoked: RevokedKeys,
    /// The node's clock, which only ever makes a commit wait.
    pub now: Timestamp,
    /// What the node saw on the branches below, for the soak of promotions; without it, the sources'
    /// own times count.
    pub sights: Sightings,
}

/// Judges the chain of `request.tip`.
pub fn verify(objects: &impl Objects, request: &VerifyRequest) -> Verdict {
    let clock = Clock { now: request.now, sights: &request.sights };
    let judge = Judge::new(objects, &request.environment, &request.revoked);
    let mut walk = Walk::new(judge, Some(clock));
    let mut verdict = match start(&mut walk, request) {
        Ok(start) => run(&mut walk, request, &start),
        Err(refusal) => kept(request, refusal),
    };
    if let (Remembered::Verified(known), true) = (request.remembered, walk.holds.is_unsure) {
        // What a rollback goes back to may still wait: only the whole chain tells.
        return verify(
            objects,
            &VerifyRequest { remembered: Remembered::Demanded(known), ..request.clone() },
        );
    }
    verdict.accepted = walk.accepted;
    verdict
}

/// Nothing was judged: what was verified earlier stays.
fn kept(request: &VerifyRequest, refusal: Refusal) -> Verdict {
    let known = match request.remembered {
        Remembered::Nothing => None,
        Remembered::Verified(id) | Remembered::Demanded(id) => Some(Verified(id)),
    };
    Verdict {
        tip: request.tip,
        verified: known,
        standing: Standing::Kept,
        refused: Some(refusal),
        waits: None,
        ahead: None,
        accepted: Vec::new(),
    }
}

/// Where judging begins, and what is to be judged.
struct Start {
    from: CommitId,
    /// Oldest first.
    ids: Vec<CommitId>,
    /// How many of `ids` must be good before memory may move.
    needed: usize,
}

fn start<O: Objects>(walk: &mut Walk<'_, O>, request: &VerifyRequest) -> Result<Start, Refusal> {
    let objects = walk.judge.objects;
    walk.check_anchor(request.anchor)?;
    if let Remembered::Verified(known) = request.remembered
        && let Ok(mut ids) = first_parents(objects, request.tip, known, CHAIN_COMMITS_MAX)
    {
        ids.reverse();
        return Ok(Start { from: known, ids, needed: 0 });
    }
    let mut ids = first_parents(objects, request.tip, request.anchor, CHAIN_COMMITS_MAX)
        .map_err(|error| off_chain(objects, request, error))?;
    ids.reverse();
    let known = match request.remembered {
        Remembered::Nothing => return Ok(Start { from: request.anchor, ids, needed: 0 }),
        Remembered::Verified(known) | Remembered::Demanded(known) => known,
    };
    // The first commit at or above which the remembered one is on the chain.
    let at = place_of(objects, request.anchor, &ids, known);
    let at = at.ok_or_else(|| {
        let error = WalkError::NotOnChain { from: request.tip, wanted: known };
        off_chain(objects, request, error)
    })?;
    if matches!(request.remembered, Remembered::Demanded(_)) || at == 0 {
        return Ok(Start { from: request.anchor, ids, needed: at });
    }
    // A twin, or within what a wrapper lands: judging goes on below it.
    let from = if at == 1 { request.anchor } else { ids[at - 2] };
    Ok(Start { from, ids: ids.split_off(at - 1), needed: 1 })
}

fn run<O: Objects>(walk: &mut Walk<'_, O>, request: &VerifyRequest, start: &Start) -> Verdict {
    let known = match request.remembered {
        Remembered::Verified(id) | Remembered::Demanded(id) => Some(id),
        Remembered::Nothing => None,
    };
    // Of a twin or a wrapper, only a part may have been adopted.
    let newest = start.needed.checked_sub(1).and_then(|at| start.ids.get(at));
    walk.n_adopted = if newest == known.as_ref() { start.needed } else { 0 };
    let line = match walk.point(start.from) {
        Ok(point) => walk.judge_line(point, &start.ids, Timestamp::UNIX_EPOCH, 0),
        Err(error) => return kept(request, incomplete(request.tip, &error)),
    };
    let (refused, ahead) = match line.stop {
        None => (None, None),
        Some(Stop::Refused(refusal)) => (Some(refusal), None),
        Some(Stop::Waits(wait)) => (None, Some(wait)),
    };
    let waits = walk.holds.first.take().or_else(|| ahead.clone());
    let (due, n_due) = line.due;
    let (verified, standing) = match known {
        Some(known) if n_due < start.needed => (known, Standing::Kept),
        _ => (due.id, Standing::Judged),
    };
    let verified = Some(Verified(verified));
    Verdict { tip: request.tip, verified, standing, refused, waits, ahead, accepted: Vec::new() }
}

fn off_chain(objects: &impl Objects, request: &VerifyRequest, error: WalkError) -> Refusal {
    let wanted = match error {
        WalkError::Incomplete { error, .. } => return incomplete(request.tip, &error),
        WalkError::NotOnChain { wanted, .. } => wanted,
    };
    let name = if wanted == request.anchor {
        format!("the anchor {wanted}")
    } else {
        format!("{wanted}, the last one verified,")
    };
    let refuse =
        |reason: String, remedy: &str| Refusal::new(request.tip, Rule::Chain, reason, remedy);
    match strayed(objects, request.tip, wanted) {
        Strayed::Behind => refuse(
            format!("it is a rewind: {name} comes after it on the same chain"),
            remedy::REWIND,
        ),
        Strayed::Merged { by } => {
            let reason = format!(
                "{name} is not on its first-parent chain: merge {by} has it behind its second parent"
            );
            refuse(reason, remedy::FOXTROT)
        }
        Strayed::Unrelated => {
            refuse(format!("{name} is not on its first-parent chain"), remedy::REWIND)
        }
    }
}
