//! The chain of the environment below, on which a source must verify.
//!
//! In: an anchor and sources. Out: each source's point on the chain, or why it does not verify.
//! Pure.
//!
//! # Guarantees
//! * Judged under the environment's own policies, each commit once.
//! * Clocks have no say: a source is good or it is not.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::history::{CHAIN_COMMITS_MAX, first_parents, header};
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::remedy;
use crate::reconcile::trust::verdict::{Refusal, Rule};
use crate::reconcile::trust::walk::{Point, Stop, Walk, incomplete};

/// Environments along `from`, the first one included. Whoever fetches goes as far: a verdict must not
/// depend on who fetched.
pub const ENVIRONMENTS_MAX: usize = 32;

/// One chain below, as far as it was judged.
pub(in crate::reconcile::trust) struct Source<'a, O> {
    walk: Box<Walk<'a, O>>,
    anchor: CommitId,
    good: HashMap<CommitId, Point>,
    bad: HashMap<CommitId, Refusal>,
    /// Where the walk stands: what it knows of history holds there.
    at: Option<CommitId>,
}

impl<'a, O: Objects> Source<'a, O> {
    /// The chain of the judge's environment from `anchor`, as promotions of those `above` need it.
    pub(in crate::reconcile::trust) fn new(
        judge: Judge<'a, O>,
        above: Vec<EnvironmentName>,
        anchor: CommitId,
    ) -> Self {
        let mut walk = Walk::new(judge, None);
        walk.above = above;
        Self { walk: Box::new(walk), anchor, good: HashMap::new(), bad: HashMap::new(), at: None }
    }

    /// The point of `id` on the chain.
    ///
    /// # Errors
    /// With the refusal of the commit at or below `id` that does not verify.
    pub(in crate::reconcile::trust) fn verify(&mut self, id: CommitId) -> Result<Point, Refusal> {
        self.begin()?;
        let mut ids = Vec::new();
        let mut at = id;
        let from = loop {
            if let Some(point) = self.good.get(&at) {
                break *point;
            }
            if let Some(refusal) = self.bad.get(&at) {
                return Err(refusal.clone());
            }
            let header = header(self.walk.judge.objects, at);
            ids.push(at);
            at = header
                .map_err(|error| incomplete(at, &error))?
                .first_parent()
                .filter(|_| ids.len() < CHAIN_COMMITS_MAX)
                .ok_or_else(|| self.off_chain(id))?;
        };
        ids.reverse();
        self.extend(from, &ids)?;
        self.good.get(&id).copied().ok_or_else(|| self.off_chain(id))
    }

    fn begin(&mut self) -> Result<(), Refusal> {
        if let Some(refusal) = self.bad.get(&self.anchor) {
            return Err(refusal.clone());
        }
        if self.good.contains_key(&self.anchor) {
            return Ok(());
        }
        let checked = self.walk.check_anchor(self.anchor);
        let point = checked.and_then(|()| {
            self.walk.point(self.anchor).map_err(|error| incomplete(self.anchor, &error))
        });
        match point {
            Ok(point) => drop(self.good.insert(self.anchor, point)),
            Err(refusal) => {
                self.bad.insert(self.anchor, refusal.clone());
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn extend(&mut self, from: Point, ids: &[CommitId]) -> Result<(), Refusal> {
        if self.at != Some(from.id) {
            self.walk.ledger = None;
        }
        self.walk.points.clear();
        let line = self.walk.judge_line(from, ids, Timestamp::UNIX_EPOCH, 0);
        self.walk.accepted.clear();
        self.at = Some(line.last.id);
        self.good.extend(self.walk.points.drain(..).map(|point| (point.id, point)));
        let refusal = match line.stop {
            None => return Ok(()),
            Some(Stop::Refused(refusal)) => refusal,
            // No clock, no waiting.
            Some(Stop::Waits(wait)) => {
                Refusal::new(wait.commit, Rule::Source, wait.reason, remedy::SOURCE)
            }
        };
        let above = ids.iter().skip(line.n_good);
        self.bad.extend(above.map(|id| (*id, refusal.clone())));
        Err(refusal)
    }

    fn off_chain(&self, id: CommitId) -> Refusal {
        let reason = format!("the anchor {} is not on its first-parent chain", self.anchor);
        Refusal::new(id, Rule::Chain, reason, remedy::SOURCE)
    }

    /// Whether `earlier` is `source`, which verifies, or on its chain.
    pub(in crate::reconcile::trust) fn is_after(
        &self,
        source: CommitId,
        earlier: CommitId,
    ) -> bool {
        self.walk.line.is_on_chain(source, earlier) || {
            let objects = self.walk.judge.objects;
            // Taken before the anchor moved up: only this environment's own past can say so.
            !self.walk.line.has(earlier)
                && first_parents(objects, self.anchor, earlier, CHAIN_COMMITS_MAX).is_ok()
        }
    }
}
