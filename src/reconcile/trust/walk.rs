//! Judges a line of commits, oldest first, each on top of the last good one.
//!
//! In: ids, and the commit that they continue. Out: the last good one, and what ended the walk.
//! Pure.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};

use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::reconcile::trust::case::Base;
use crate::reconcile::trust::commit::{CommitError, Header};
use crate::reconcile::trust::history::{header, time, wrapped};
use crate::reconcile::trust::hold::{Clock, Holds};
use crate::reconcile::trust::judge::{Candidate, Judge, Judged};
use crate::reconcile::trust::ledger::{Entry, Ledger};
use crate::reconcile::trust::lineage::Lineage;
use crate::reconcile::trust::load::{BATCH_COMMITS, Loaded, load};
use crate::reconcile::trust::source::Source;
use crate::reconcile::trust::tree::TreeError;
use crate::reconcile::trust::verdict::{Accepted, Refusal, Rule, Wait};
use crate::reconcile::trust::{Objects, ObjectsError, remedy};

/// Wrappers within what a wrapper lands.
pub(in crate::reconcile::trust) const WRAPPERS_NESTED_MAX: u32 = 8;
/// How far ahead of the node's clock a commit may be before it waits.
const AHEAD_HOURS_MAX: i64 = 1;

/// A commit that counts, as the base of the next.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconcile::trust) struct Point {
    pub id: CommitId,
    pub tree: ObjectId,
    pub time: Timestamp,
}

/// What judging a line of commits came to.
pub(in crate::reconcile::trust) struct Line {
    pub last: Point,
    pub n_good: usize,
    /// The last good one that does not wait, and how many there are up to it.
    pub due: (Point, usize),
    pub stop: Option<Stop>,
}

/// What ended a walk.
pub(in crate::reconcile::trust) enum Stop {
    Refused(Refusal),
    Waits(Wait),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Judges one environment's commits, and through them those of the environments below it.
pub(in crate::reconcile::trust) struct Walk<'a, O> {
    pub judge: Judge<'a, O>,
    /// The node's clock; none where time has no say: below an anchor, and on sources' chains.
    pub clock: Option<Clock<'a>>,
    /// What waits.
    pub holds: Holds,
    /// How many commits of the line this node adopted already: they wait no more.
    pub n_adopted: usize,
    pub accepted: Vec<Accepted>,
    /// Environments whose promotions led to this one, the node's own first.
    pub above: Vec<EnvironmentName>,
    /// What was judged here, from where judging began.
    pub line: Lineage,
    /// The good commits of the line itself, oldest first, for those who judge it piece by piece.
    pub points: Vec<Point>,
    /// What history says at the last good commit, once somebody asked.
    pub ledger: Option<Ledger>,
    /// The history that `ledger` was read from, from where the environment began.
    pub history: Lineage,
    /// The chains below, by environment and anchor.
    pub sources: BTreeMap<(EnvironmentName, CommitId), Source<'a, O>>,
}

impl<'a, O: Objects> Walk<'a, O> {
    pub(in crate::reconcile::trust) fn new(judge: Judge<'a, O>, clock: Option<Clock<'a>>) -> Self {
        Self {
            judge,
            clock,
            holds: Holds::default(),
            n_adopted: 0,
            accepted: Vec::new(),
            above: Vec::new(),
            line: Lineage::default(),
            points: Vec::new(),
            ledger: None,
            history: Lineage::default(),
            sources: BTreeMap::new(),
        }
    }

    /// Of an anchor only a valid `trust.toml` is required.
    pub(in crate::reconcile::trust) fn check_anchor(
        &mut self,
        anchor: CommitId,
    ) -> Result<(), Refusal> {
        let refuse = |reason: String| Refusal::new(anchor, Rule::Anchor, reason, remedy::ANCHOR);
        let header = header(self.judge.objects, anchor)
            .map_err(|error| refuse(format!("the anchor cannot be read: {error}")))?;
        let facts = self.judge.facts.of(&self.judge.trees, header.tree);
        facts.map(drop).map_err(|error| refuse(format!("the anchor does not serve: {error}")))
    }

    /// A commit that counts already, with its time: judging may begin there.
    pub(in crate::reconcile::trust) fn point(
        &mut self,
        id: CommitId,
    ) -> Result<Point, ObjectsError> {
        let judge = &mut self.judge;
        let tree = header(judge.objects, id)?.tree;
        let time = time(judge.objects, &judge.trees, &mut judge.facts, id)?;
        self.line.add(id, None);
        Ok(Point { id, tree, time })
    }

    /// Judges `ids`, oldest first, the first on top of `from`; none counts as earlier than `floor`.
    pub(in crate::reconcile::trust) fn judge_line(
        &mut self,
        from: Point,
        ids: &[CommitId],
        floor: Timestamp,
        depth: u32,
    ) -> Line {
        let mut line = Line { last: from, n_good: 0, due: (from, 0), stop: None };
        for batch in ids.chunks(BATCH_COMMITS) {
            for loaded in load(self.judge.objects, batch) {
                match self.step(line.last, loaded, floor, depth) {
                    Ok(point) => line.last = point,
                    Err(stop) => return Line { stop: Some(stop), ..line },
                }
                line.n_good += 1;
                if depth == 0 {
                    self.points.push(line.last);
                    self.holds.first.take_if(|_| line.n_good <= self.n_adopted);
                }
                if self.holds.first.is_none() {
                    line.due = (line.last, line.n_good);
                }
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
        let header = header.map_err(|error| incomplete(id, &error))?;
        let time = last.time.max(header.time.unwrap_or(last.time));
        let point = Point { id, tree: header.tree, time };
        let landed = wrapped(self.judge.objects, &header).filter(|_| depth < WRAPPERS_NESTED_MAX);
        let refused = match landed.map(|ids| self.land(last, &ids, floor.max(time), depth)) {
            Some(Ok(landed)) => {
                self.add(point, landed);
                self.hold_wrapper(id);
                return Ok(point);
            }
            Some(Err(Stop::Waits(wait))) => return Err(Stop::Waits(wait)),
            Some(Err(Stop::Refused(refusal))) => Some(refusal),
            None => None,
        };
        let base = Base { parent: last.id, tree: last.tree, time: time.max(floor) };
        let judged = candidate
            .map_err(|error| malformed(id, &error))
            .and_then(|candidate| self.judge(&candidate, base));
        let accepted = judged.map_err(|own| clearer(own, refused))?;
        self.wait(id, accepted.time)?;
        self.settle(last, point, &accepted).map_err(|error| unreadable(id, &error))?;
        self.hold(&accepted);
        self.accepted.push(accepted);
        Ok(point)
    }

    /// All rules for one commit: those that it can be judged by alone, then those of promotion.
    pub(in crate::reconcile::trust) fn judge(
        &mut self,
        candidate: &Candidate,
        base: Base,
    ) -> Result<Accepted, Refusal> {
        let Judged { mut accepted, people } = self.judge.judge(candidate, base)?;
        let Accepted { kind, claim, .. } = &accepted;
        accepted.origin = self.promotion(&candidate.commit, base, *kind, claim)?;
        people.map(|()| accepted)
    }

    /// Takes a good commit into what later ones are judged by.
    fn settle(&mut self, last: Point, point: Point, accepted: &Accepted) -> Result<(), TreeError> {
        self.add(point, last.id);
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        let judge = &mut self.judge;
        if let Ok(facts) = judge.facts.of(&judge.trees, point.tree) {
            ledger.set_origin(facts.trust.policy.origin());
        }
        let entry = Entry {
            commit: point.id,
            kind: accepted.kind,
            claim: &accepted.claim,
            before: last.tree,
            after: point.tree,
            time: accepted.time,
        };
        // The source of a good commit has every earlier one of the same paths on its chain.
        ledger.add(entry, &judge.trees, |_| true)
    }

    /// Adds a good commit to the lineages; a wrapper continues what it lands.
    fn add(&mut self, point: Point, continued: CommitId) {
        self.line.add(point.id, Some(continued));
        if self.ledger.is_some() {
            self.history.add(point.id, Some(continued));
        }
    }

    /// Judges what a wrapper lands in its place; gives the newest of it.
    pub(in crate::reconcile::trust) fn land(
        &mut self,
        last: Point,
        ids: &[CommitId],
        floor: Timestamp,
        depth: u32,
    ) -> Result<CommitId, Stop> {
        let n_before = self.accepted.len();
        let ledger = self.ledger.clone();
        let held = self.holds.first.clone();
        let line = self.judge_line(last, ids, floor, depth + 1);
        line.stop.map_or(Ok(line.last.id), |stop| {
            self.accepted.truncate(n_before);
            self.ledger = ledger;
            self.holds.first = held;
            Err(stop)
        })
    }

    fn wait(&self, commit: CommitId, time: Timestamp) -> Result<(), Stop> {
        let until = time.checked_sub(AHEAD_HOURS_MAX.hours()).unwrap_or(time);
        let now = self.clock.map(|clock| clock.now).filter(|now| until > *now);
        let Some(now) = now else { return Ok(()) };
        let reason = format!(
            "its time {time} is more than an hour ahead of this node's clock, which says {now}"
        );
        Err(Stop::Waits(Wait { commit, until, reason }))
    }

    /// Whether a merge is a wrapper whose second parent verifies from its first.
    pub(in crate::reconcile::trust) fn lands(&mut self, merge: &Header) -> Option<Vec<CommitId>> {
        let ids = wrapped(self.judge.objects, merge)?;
        self.ledger = None;
        let from = self.point(merge.first_parent()?).ok()?;
        let floor = merge.time.unwrap_or(from.time);
        self.land(from, &ids, floor, 0).ok().map(|_| ids)
    }
}

pub(in crate::reconcile::trust) fn malformed(id: CommitId, error: &CommitError) -> Refusal {
    let remedy = match error {
        CommitError::Message(_) => remedy::MESSAGE,
        _ => remedy::HEADERS,
    };
    Refusal::new(id, Rule::Headers, error.to_string(), remedy)
}

pub(in crate::reconcile::trust) fn incomplete(id: CommitId, error: &ObjectsError) -> Refusal {
    Refusal::new(id, Rule::History, error.to_string(), remedy::FETCH_WHOLE)
}

pub(in crate::reconcile::trust) fn unreadable(id: CommitId, error: &TreeError) -> Refusal {
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
