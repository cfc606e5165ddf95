//! Walks an environment's chain from what is trusted up to the tip that is offered.
//!
//! In: [`VerifyRequest`]. Out: [`Verdict`]. Pure: threads only share out signature checks.
//!
//! # Guarantees
//! * The last verified tip is on the chain, by first parents: an ancestor is not enough.
//! * Commits are judged oldest first; the first bad one ends the walk, and what came before counts.

use jiff::{Timestamp, ToSpan};

use crate::model::{CommitId, Digest, EnvironmentName, ObjectId};
use crate::reconcile::trust::case::Base;
use crate::reconcile::trust::commit::{CommitError, Header};
use crate::reconcile::trust::history::{
    CHAIN_COMMITS_MAX, Strayed, WalkError, first_parents, header, strayed, time, wrapped,
};
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::load::{BATCH_COMMITS, Loaded, load};
use crate::reconcile::trust::place::place_of;
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::verdict::{Accepted, Refusal, Rule, Standing, Verdict, Wait};
use crate::reconcile::trust::{Objects, ObjectsError, Verified, remedy};

/// Wrappers within what a wrapper lands.
pub const WRAPPERS_NESTED_MAX: u32 = 8;
/// How far ahead of the node's clock a commit may be before it waits.
const AHEAD_HOURS_MAX: i64 = 1;

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
}

/// Judges the chain of `request.tip`.
pub fn verify(objects: &impl Objects, request: &VerifyRequest) -> Verdict {
    let judge = Judge::new(objects, &request.environment, &request.revoked);
    let mut walk = Walk { judge, now: request.now, accepted: Vec::new() };
    let mut verdict = match walk.start(request) {
        Ok(start) => walk.run(request, &start),
        Err(refusal) => kept(request, refusal),
    };
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

/// A commit that counts, as the base of the next.
#[derive(Clone, Copy)]
struct Point {
    id: CommitId,
    tree: ObjectId,
    time: Timestamp,
}

/// What judging a line of commits came to.
struct Line {
    last: Point,
    n_good: usize,
    stop: Option<Stop>,
}

enum Stop {
    Refused(Refusal),
    Waits(Wait),
}

pub(in crate::reconcile::trust) struct Walk<'a, O> {
    judge: Judge<'a, O>,
    now: Timestamp,
    accepted: Vec<Accepted>,
}

impl<'a, O: Objects> Walk<'a, O> {
    fn start(&mut self, request: &VerifyRequest) -> Result<Start, Refusal> {
        let objects = self.judge.objects;
        self.check_anchor(request.anchor)?;
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

    /// Of an anchor only a valid `trust.toml` is required.
    fn check_anchor(&mut self, anchor: CommitId) -> Result<(), Refusal> {
        let refuse = |reason: String| Refusal::new(anchor, Rule::Anchor, reason, remedy::ANCHOR);
        let header = header(self.judge.objects, anchor)
            .map_err(|error| refuse(format!("the anchor cannot be read: {error}")))?;
        let facts = self.judge.facts.of(&self.judge.trees, header.tree);
        facts.map(drop).map_err(|error| refuse(format!("the anchor does not serve: {error}")))
    }

    fn run(&mut self, request: &VerifyRequest, start: &Start) -> Verdict {
        let line = match self.point(start.from) {
            Ok(point) => self.judge_line(point, &start.ids, Timestamp::UNIX_EPOCH, 0),
            Err(error) => return kept(request, incomplete(request.tip, &error)),
        };
        let (refused, waits) = match line.stop {
            None => (None, None),
            Some(Stop::Refused(refusal)) => (Some(refusal), None),
            Some(Stop::Waits(wait)) => (None, Some(wait)),
        };
        let known = match request.remembered {
            Remembered::Verified(id) | Remembered::Demanded(id) => Some(id),
            Remembered::Nothing => None,
        };
        let (verified, standing) = match known {
            Some(known) if line.n_good < start.needed => (known, Standing::Kept),
            _ => (line.last.id, Standing::Judged),
        };
        let verified = Some(Verified(verified));
        Verdict { tip: request.tip, verified, standing, refused, waits, accepted: Vec::new() }
    }

    /// A commit that counts already, with its time.
    fn point(&mut self, id: CommitId) -> Result<Point, ObjectsError> {
        let judge = &mut self.judge;
        let tree = header(judge.objects, id)?.tree;
        let time = time(judge.objects, &judge.trees, &mut judge.facts, id)?;
        Ok(Point { id, tree, time })
    }

    /// Judges `ids`, oldest first, the first on top of `from`; none counts as earlier than `floor`.
    fn judge_line(&mut self, from: Point, ids: &[CommitId], floor: Timestamp, depth: u32) -> Line {
        let mut line = Line { last: from, n_good: 0, stop: None };
        for batch in ids.chunks(BATCH_COMMITS) {
            for loaded in load(self.judge.objects, batch) {
                match self.step(line.last, loaded, floor, depth) {
                    Ok(point) => line.last = point,
                    Err(stop) => return Line { stop: Some(stop), ..line },
                }
                line.n_good += 1;
            }
        }
        line
    }

    fn step(
        &mut self,
        last: Point,
        loaded: Loaded,
        floor: Timestamp,
        depth: u32,
    ) -> Result<Point, Stop> {
        let Loaded { id, header, candidate } = loaded;
        let header = header.map_err(|error| Stop::Refused(incomplete(id, &error)))?;
        let time = last.time.max(header.time.unwrap_or(last.time));
        let point = Point { id, tree: header.tree, time };
        let landed = wrapped(self.judge.objects, &header).filter(|_| depth < WRAPPERS_NESTED_MAX);
        let refused = match landed.map(|ids| self.land(last, &ids, floor.max(time), depth)) {
            Some(Ok(())) => return Ok(point),
            Some(Err(Stop::Waits(wait))) => return Err(Stop::Waits(wait)),
            Some(Err(Stop::Refused(refusal))) => Some(refusal),
            None => None,
        };
        let base = Base { parent: last.id, tree: last.tree, time: time.max(floor) };
        let judged = candidate
            .map_err(|error| malformed(id, &error))
            .and_then(|candidate| self.judge.judge(&candidate, base));
        let accepted = judged.map_err(|own| Stop::Refused(clearer(own, refused)))?;
        self.wait(id, accepted.time)?;
        self.accepted.push(accepted);
        Ok(point)
    }

    /// Judges what a wrapper lands in its place.
    fn land(
        &mut self,
        last: Point,
        ids: &[CommitId],
        floor: Timestamp,
        depth: u32,
    ) -> Result<(), Stop> {
        let n_before = self.accepted.len();
        let line = self.judge_line(last, ids, floor, depth + 1);
        line.stop.map_or(Ok(()), |stop| {
            self.accepted.truncate(n_before);
            Err(stop)
        })
    }

    fn wait(&self, commit: CommitId, time: Timestamp) -> Result<(), Stop> {
        let until = time.checked_sub(AHEAD_HOURS_MAX.hours()).unwrap_or(time);
        if until <= self.now {
            return Ok(());
        }
        let reason = format!(
            "its time {time} is more than an hour ahead of this node's clock, which says {}",
            self.now
        );
        Err(Stop::Waits(Wait { commit, until, reason }))
    }

    /// Whether a merge is a wrapper whose second parent verifies from its first.
    pub(in crate::reconcile::trust) fn lands(&mut self, merge: &Header) -> Option<Vec<CommitId>> {
        let ids = wrapped(self.judge.objects, merge)?;
        let from = self.point(merge.first_parent()?).ok()?;
        let floor = merge.time.unwrap_or(from.time);
        self.land(from, &ids, floor, 0).ok().map(|()| ids)
    }

    pub(in crate::reconcile::trust) fn new(judge: Judge<'a, O>, now: Timestamp) -> Self {
        Self { judge, now, accepted: Vec::new() }
    }
}

fn malformed(id: CommitId, error: &CommitError) -> Refusal {
    let remedy = match error {
        CommitError::Message(_) => remedy::MESSAGE,
        _ => remedy::HEADERS,
    };
    Refusal::new(id, Rule::Headers, error.to_string(), remedy)
}

fn incomplete(id: CommitId, error: &ObjectsError) -> Refusal {
    Refusal::new(id, Rule::History, error.to_string(), remedy::FETCH_WHOLE)
}

/// A merge button's own commit is unsigned; what it lands is what people can mend.
fn clearer(own: Refusal, landed: Option<Refusal>) -> Refusal {
    match landed {
        Some(landed) if matches!(own.rule, Rule::Signature | Rule::Signer | Rule::Kind) => {
            Refusal {
                reason: format!("{} (the merge {} lands it)", landed.reason, own.commit.short()),
                ..landed
            }
        }
        _ => own,
    }
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
