//! Reads what first-parent history says, down to where the environment begins.
//!
//! In: a commit that counts. Out: [`Ledger`]. Pure.
//!
//! # Guarantees
//! * Nothing is refused: what cannot be read as one of the kinds is passed over.
//! * A node that starts from a checkpoint reads what one that judged everything remembers.

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::claim::Claim;
use crate::reconcile::trust::commit::{Commit, Header};
use crate::reconcile::trust::history::{CHAIN_COMMITS_MAX, header, wrapped};
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::kind::{CommitKind, Declared};
use crate::reconcile::trust::ledger::{Entry, Hotfix, Ledger};
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::tree::{TreeError, Trees};
use crate::reconcile::trust::verdict::Refusal;
use crate::reconcile::trust::walk::{Point, Walk, incomplete, unreadable};

/// What the history of `environment` says at `tip`: what was taken last, which hotfixes are live.
///
/// # Errors
/// When the history cannot be read.
pub fn ledger(
    objects: &impl Objects,
    environment: &EnvironmentName,
    tip: CommitId,
) -> Result<Ledger, Refusal> {
    let judge = Judge::new(objects, environment, RevokedKeys::NONE);
    let mut walk = Walk::new(judge, None);
    walk.read_ledger(tip)?;
    Ok(walk.ledger.unwrap_or_default())
}

/// The hotfixes of `ledger` that are live at `tip`, oldest first, each with the paths where it is: a
/// promote or pick on top of `tip` that changes one of them names it with `Supersedes:`.
///
/// # Errors
/// When the tree cannot be read.
pub fn live_hotfixes(
    objects: &impl Objects,
    ledger: &Ledger,
    tip: CommitId,
) -> Result<Vec<(Hotfix, Vec<String>)>, Refusal> {
    let tree = header(objects, tip).map_err(|error| incomplete(tip, &error))?.tree;
    let trees = Trees::new(objects);
    let live = ledger.live(&trees, tree).map_err(|error| unreadable(tip, &error))?;
    let owned = |(hotfix, paths): (&Hotfix, Vec<&str>)| {
        (hotfix.clone(), paths.into_iter().map(str::to_owned).collect())
    };
    Ok(live.into_iter().map(owned).collect())
}

impl<O: Objects> Walk<'_, O> {
    /// Reads the ledger as it is at `tip`, unless it is known.
    pub(in crate::reconcile::trust) fn read_ledger(
        &mut self,
        tip: CommitId,
    ) -> Result<(), Refusal> {
        if self.ledger.is_some() {
            return Ok(());
        }
        let history = self.own_history(tip)?;
        // Nobody's clock and no key revoked since has a say in what is only read.
        let clock = self.clock.take();
        let revoked = std::mem::replace(&mut self.judge.revoked, RevokedKeys::NONE);
        let sources = std::mem::take(&mut self.sources);
        // What is only read was not judged: whether it waits is for whoever goes back to it to ask.
        let line = std::mem::take(&mut self.line);
        let n_accepted = self.accepted.len();
        self.ledger = Some(Ledger::default());
        let mut last = None;
        let mut read = Ok(());
        for (id, header) in history.into_iter().rev() {
            match self.read(last, id, &header) {
                Ok(point) => last = Some(point),
                Err(refusal) => {
                    self.ledger = None;
                    read = Err(refusal);
                    break;
                }
            }
        }
        self.accepted.truncate(n_accepted);
        self.line = line;
        self.sources = sources;
        self.judge.revoked = revoked;
        self.clock = clock;
        read
    }

    /// First parents from `tip` down to where the environment begins, newest first.
    fn own_history(&mut self, tip: CommitId) -> Result<Vec<(CommitId, Header)>, Refusal> {
        let judge = &mut self.judge;
        let mut history = Vec::new();
        let mut at = Some(tip);
        while let Some(id) = at.filter(|_| history.len() < CHAIN_COMMITS_MAX) {
            let header = header(judge.objects, id).map_err(|error| incomplete(tip, &error))?;
            match judge.facts.has_begun(&judge.trees, header.tree) {
                Ok(true) => {}
                Err(TreeError::Objects(error)) => return Err(incomplete(tip, &error)),
                Ok(false) | Err(_) => break,
            }
            at = header.first_parent();
            history.push((id, header));
        }
        Ok(history)
    }

    fn read(
        &mut self,
        last: Option<Point>,
        id: CommitId,
        header: &Header,
    ) -> Result<Point, Refusal> {
        let before = last.map_or(jiff::Timestamp::UNIX_EPOCH, |last| last.time);
        let time = before.max(header.time.unwrap_or(before));
        let point = Point { id, tree: header.tree, time };
        let landed = last.zip(wrapped(self.judge.objects, header));
        let landed = landed.and_then(|(last, ids)| self.land(last, &ids, time, 0).ok());
        if let Some(landed) = landed {
            self.history.add(id, Some(landed));
            return Ok(point);
        }
        self.history.add(id, last.map(|last| last.id));
        self.enter(last, point).map_err(|error| unreadable(id, &error))?;
        Ok(point)
    }

    /// Takes a commit into the ledger, if it can be read as one that belongs there.
    fn enter(&mut self, last: Option<Point>, point: Point) -> Result<(), TreeError> {
        let judge = &mut self.judge;
        let Some(ledger) = &mut self.ledger else { return Ok(()) };
        if let Ok(facts) = judge.facts.of(&judge.trees, point.tree) {
            ledger.set_origin(facts.trust.policy.origin());
        }
        let read = judge.objects.commit(point.id).map_err(TreeError::Objects)?;
        let Some(last) = last else { return Ok(()) };
        let Some((kind, claim)) = claimed(point.id, &read, &judge.environment) else {
            return Ok(());
        };
        let (before, after) = (last.tree, point.tree);
        let entry =
            Entry { commit: point.id, kind, claim: &claim, before, after, time: point.time };
        match ledger.add(entry, &judge.trees, |_| false) {
            Err(TreeError::Objects(error)) => Err(TreeError::Objects(error)),
            _ => Ok(()),
        }
    }
}

/// What a commit says it does on the chain of `environment`, if that can be read.
fn claimed(
    id: CommitId,
    bytes: &[u8],
    environment: &EnvironmentName,
) -> Option<(CommitKind, Claim)> {
    let commit = Commit::parse(id, bytes).ok()?;
    match Declared::parse(commit.message.kind()?) {
        Declared::Kind(kind, named) if named == *environment => {
            let claim = Claim::of(&commit, kind, environment).ok()?;
            (kind != CommitKind::Promote || claim.source.is_some()).then_some((kind, claim))
        }
        _ => None,
    }
}
