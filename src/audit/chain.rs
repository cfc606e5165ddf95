//! A chain that was judged, ready to be asked; and what every report says about it first.
//!
//! In: objects, a [`VerifyRequest`]. Out: [`Chain`], [`Head`]. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::step::Step;
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::{
    Moment, Objects, Past, ReadError, Refusal, Verdict, VerifyRequest, Wait, show, verify,
};

/// One environment's history, as far as it counts.
pub struct Chain<'a, O> {
    /// Where its objects are.
    pub objects: &'a O,
    /// Whose it is.
    pub environment: EnvironmentName,
    /// Where judging began.
    pub anchor: CommitId,
    /// What was judged.
    pub verdict: Verdict,
    /// The anchor, and every commit that was judged good; oldest first.
    pub moments: Vec<Moment>,
    /// Those that count at some time: without promotions that were rolled back before their soak
    /// was over. Oldest first, and none counts earlier than the one before it.
    pub in_force: Vec<Moment>,
    now: Timestamp,
}

impl<'a, O: Objects> Chain<'a, O> {
    /// Judges a chain.
    ///
    /// # Errors
    /// When what was judged good cannot be read again.
    pub fn read(objects: &'a O, request: &VerifyRequest) -> Result<Self, ReadError> {
        let verdict = verify(objects, request);
        let environment = request.environment.clone();
        let moments = Past::new(objects, &environment).moments(request.anchor, &verdict)?;
        let in_force = moments.iter().filter(|moment| moment.counts_from.is_some());
        let in_force = in_force.cloned().collect();
        let (anchor, now) = (request.anchor, request.now);
        Ok(Self { objects, environment, anchor, verdict, moments, in_force, now })
    }

    /// A reader of its commits.
    pub fn past(&self) -> Past<'a, O> {
        Past::new(self.objects, &self.environment)
    }

    /// The environment below and its anchor, as the last commit that counts says.
    pub fn below(&self) -> Option<(EnvironmentName, CommitId)> {
        let summary = show(self.objects, self.verdict.verified_id()?, &self.environment).ok()?;
        summary.promotion.map(|promotion| (promotion.from, promotion.anchor))
    }

    /// The newest commit of the environment below that was promoted from, or picked from.
    pub fn last_source(&self) -> Option<CommitId> {
        let newest = self.moments.iter().rev();
        newest
            .filter_map(|moment| moment.accepted.as_ref()?.origin.as_ref())
            .map(|o| o.commit)
            .next()
    }

    /// The commit that counts with this id, or that a merge with this id landed.
    pub fn place(&self, commit: CommitId) -> Option<usize> {
        self.moments
            .iter()
            .rposition(|moment| moment.commit == commit || moment.landed_by == Some(commit))
    }

    /// A commit for a report.
    pub fn step(&self, moment: &Moment) -> Step {
        Step::of(self.objects, &self.environment, moment)
    }

    /// Those that count at `time` or earlier.
    pub fn in_force_until(&self, time: Timestamp) -> &[Moment] {
        &self.in_force[..self.in_force.partition_point(|moment| moment.since() <= time)]
    }

    /// What is now: a commit that counts may be a little ahead of the clock.
    pub fn now(&self) -> Timestamp {
        self.moments.iter().map(|moment| moment.time).fold(self.now, Timestamp::max)
    }

    /// What every report says first.
    pub fn head(&self) -> Head {
        let verified = self.verdict.verified_id();
        let summary = verified.and_then(|id| show(self.objects, id, &self.environment).ok());
        Head {
            repository: summary.and_then(|summary| summary.repository),
            environment: self.environment.clone(),
            anchor: self.anchor,
            tip: self.verdict.tip,
            verified,
            n_commits: verified.and_then(|id| self.place(id)).unwrap_or(0),
            begins_at: self.moments.first().map(|moment| moment.time),
            refused: self.verdict.refused.clone(),
            waits: self.verdict.waits.clone(),
            made_at: self.now,
            made_by: format!("tidegate {}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What every report says about the history that it was made from.
#[derive(Debug, Clone, Serialize)]
pub struct Head {
    /// `repository` of tidegate.toml.
    pub repository: Option<String>,
    /// Whose history.
    pub environment: EnvironmentName,
    /// Where judging began: the reader vouches for it.
    pub anchor: CommitId,
    /// What the branch points at.
    pub tip: CommitId,
    /// The last commit that counts.
    pub verified: Option<CommitId>,
    /// Commits that count, above the anchor.
    pub n_commits: usize,
    /// The anchor's time: nothing earlier is known.
    pub begins_at: Option<Timestamp>,
    /// Why nothing newer counts.
    pub refused: Option<Refusal>,
    /// What has to wait: a commit from the future.
    pub waits: Option<Wait>,
    /// When the report was made.
    pub made_at: Timestamp,
    /// By which program.
    pub made_by: String,
}
