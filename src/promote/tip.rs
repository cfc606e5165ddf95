//! A line as it stands: its verified tip, who may do what there, and its files.
//!
//! In: objects, an environment, a commit. Out: [`Tip`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::lint::Files;
use crate::model::{CommitId, EnvironmentName, ObjectId, Revision};
use crate::promote::compose::{ComposeError, Listing, listing};
use crate::promote::values::States;
use crate::reconcile::desired::Reading;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::kind::{CommitKind, Declared, PathClass};
use crate::reconcile::trust::policy::{POLICY_BYTES_MAX, PolicyError, TrustPolicy};
use crate::reconcile::trust::tree::FILE_BYTES_MAX;
use crate::reconcile::trust::{
    Accepted, Objects, ObjectsError, Refusal, Remembered, RevokedKeys, Sightings, Verdict,
    VerifyRequest, Wait, verify,
};

/// Commits looked at for an anchor: as long as a chain may be.
const ANCHOR_COMMITS_MAX: usize = 1_000_000;

/// A line that cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum TipError {
    /// An object is missing.
    #[error("cannot read the history of {environment}")]
    Objects {
        /// Whose.
        environment: EnvironmentName,
        /// Why.
        #[source]
        source: ObjectsError,
    },
    /// Its tree cannot be read.
    #[error("cannot read the files of {environment}")]
    Files {
        /// Whose.
        environment: EnvironmentName,
        /// Why.
        #[source]
        source: ComposeError,
    },
    /// A file that is needed is not there.
    #[error("`{path}` is missing in {commit}")]
    Missing {
        /// Within the commit.
        path: String,
        /// The commit.
        commit: CommitId,
    },
    /// Its trust.toml is not valid.
    #[error("trust.toml of {environment} is not valid")]
    Policy {
        /// Whose.
        environment: EnvironmentName,
        /// Why.
        #[source]
        source: PolicyError,
    },
    /// No anchor on its chain.
    #[error("there is no commit with `Tidegate: anchor {0}` on its branch")]
    NoAnchor(EnvironmentName),
    /// A node would not follow it.
    #[error("{environment} does not verify: {}: {}", refusal.commit, refusal.reason)]
    Refused {
        /// Whose.
        environment: EnvironmentName,
        /// Why, and what mends it.
        refusal: Box<Refusal>,
    },
    /// Part of it is not judged yet, by any clock like this machine's.
    #[error("{environment} is not judged from {} on: {}", wait.commit, wait.reason)]
    Ahead {
        /// Whose.
        environment: EnvironmentName,
        /// Which commit, and until when.
        wait: Box<Wait>,
    },
    /// A node would wait.
    #[error("nodes of {environment} would wait: {}", wait.reason)]
    Waits {
        /// Whose.
        environment: EnvironmentName,
        /// Until when.
        wait: Box<Wait>,
    },
}

/// A line's verified tip.
#[derive(Debug)]
pub struct Tip {
    /// The environment.
    pub environment: EnvironmentName,
    /// The commit.
    pub commit: CommitId,
    /// What verification began at.
    pub anchor: CommitId,
    /// Its tree.
    pub tree: ObjectId,
    /// Its files.
    pub listing: Listing,
    /// Who may do what, by the next commit.
    pub policy: TrustPolicy,
    /// What verification said.
    pub verdict: Verdict,
}

/// The newest anchor on the first-parent chain of `tip`.
pub fn find_anchor(
    objects: &impl Objects,
    environment: &EnvironmentName,
    tip: CommitId,
) -> Result<CommitId, TipError> {
    let failed = |source| TipError::Objects { environment: environment.clone(), source };
    let mut at = Some(tip);
    let mut n_read = 0;
    while let Some(id) = at.filter(|_| n_read < ANCHOR_COMMITS_MAX) {
        let bytes = objects.commit(id).map_err(failed)?;
        let kind = Commit::parse(id, &bytes)
            .ok()
            .and_then(|commit| commit.message.kind().map(Declared::parse));
        if kind == Some(Declared::Anchor(environment.clone())) {
            return Ok(id);
        }
        at = header(objects, id).map_err(failed)?.first_parent();
        n_read += 1;
    }
    Err(TipError::NoAnchor(environment.clone()))
}

/// Judges the chain up to `commit` as a node that starts from `anchor` would.
pub fn judge(
    objects: &impl Objects,
    environment: &EnvironmentName,
    anchor: CommitId,
    commit: CommitId,
    now: Timestamp,
) -> Verdict {
    verify(
        objects,
        &VerifyRequest {
            environment: environment.clone(),
            anchor,
            remembered: Remembered::Nothing,
            tip: commit,
            revoked: RevokedKeys::default(),
            now,
            sights: Sightings::default(),
        },
    )
}

/// A verdict that is good now, or why not.
pub fn good(environment: &EnvironmentName, verdict: Verdict) -> Result<Verdict, TipError> {
    let verdict = judged(environment, verdict)?;
    match &verdict.waits {
        Some(wait) => Err(waits(environment, wait)),
        None => Ok(verdict),
    }
}

/// A verdict by which every commit up to the tip was judged good, or why not; it may have to rest.
fn judged(environment: &EnvironmentName, verdict: Verdict) -> Result<Verdict, TipError> {
    let environment = environment.clone();
    match (&verdict.refused, &verdict.ahead) {
        (Some(refusal), _) => {
            Err(TipError::Refused { environment, refusal: Box::new(refusal.clone()) })
        }
        (None, Some(wait)) => Err(TipError::Ahead { environment, wait: Box::new(wait.clone()) }),
        (None, None) => Ok(verdict),
    }
}

fn waits(environment: &EnvironmentName, wait: &Wait) -> TipError {
    TipError::Waits { environment: environment.clone(), wait: Box::new(wait.clone()) }
}

impl Tip {
    /// Reads and verifies a line's tip. One that has to rest is a tip: who would undo it must not wait,
    /// too. One that is ahead of the clock is none: nobody has judged it.
    pub fn read(
        objects: &impl Objects,
        environment: &EnvironmentName,
        anchor: CommitId,
        commit: CommitId,
        now: Timestamp,
    ) -> Result<Self, TipError> {
        let verdict = judge(objects, environment, anchor, commit, now);
        let verdict = judged(environment, verdict)?;
        let owned = environment.clone();
        let failed = |source| TipError::Objects { environment: owned, source };
        let tree = header(objects, commit).map_err(failed)?.tree;
        let listing = listing(objects, tree)
            .map_err(|source| TipError::Files { environment: environment.clone(), source })?;
        let policy = policy(objects, environment, &listing, commit)?;
        let environment = environment.clone();
        Ok(Self { environment, commit, anchor, tree, listing, policy, verdict })
    }

    /// Judges `commit` on this tip as a node would. What waits with the tip alone is good; a promotion
    /// is not: it can be made when the other is through.
    ///
    /// # Errors
    /// When it is refused, or waits by itself.
    pub fn carries(
        &self,
        objects: &impl Objects,
        commit: CommitId,
        now: Timestamp,
    ) -> Result<Option<Accepted>, TipError> {
        let verdict = judge(objects, &self.environment, self.anchor, commit, now);
        let verdict = judged(&self.environment, verdict)?;
        let accepted = verdict.accepted.into_iter().last();
        let promotes = |a: &Accepted| matches!(a.kind, CommitKind::Promote | CommitKind::Pick);
        match verdict.waits {
            Some(wait)
                if self.verdict.waits.is_none() || accepted.as_ref().is_some_and(promotes) =>
            {
                Err(waits(&self.environment, &wait))
            }
            _ => Ok(accepted),
        }
    }

    /// The line as a node would call it.
    pub fn revision(&self) -> Revision {
        Revision::Commit { environment: self.environment.clone(), commit: self.commit }
    }
}

/// The trust.toml of a listing.
pub fn policy(
    objects: &impl Objects,
    environment: &EnvironmentName,
    listing: &Listing,
    commit: CommitId,
) -> Result<TrustPolicy, TipError> {
    let path = format!("environments/{environment}/trust.toml");
    let file = listing.get(&path).ok_or(TipError::Missing { path, commit })?;
    let bytes = objects
        .blob(file.id, POLICY_BYTES_MAX)
        .map_err(|source| TipError::Objects { environment: environment.clone(), source })?;
    TrustPolicy::parse(&bytes)
        .map_err(|source| TipError::Policy { environment: environment.clone(), source })
}

/// The files of a listing that `environment` reads: what flows, and its own directory.
pub fn files(
    objects: &impl Objects,
    environment: &EnvironmentName,
    listing: &Listing,
) -> Result<Files, TipError> {
    let mut found = BTreeMap::new();
    for (path, file) in listing {
        if PathClass::of(path, environment) == PathClass::Foreign {
            continue;
        }
        let bytes = objects
            .blob(file.id, FILE_BYTES_MAX)
            .map_err(|source| TipError::Objects { environment: environment.clone(), source })?;
        found.insert(path.clone(), Arc::from(bytes));
    }
    Ok(found)
}

/// What every node of the environment would run from these files; mistakes are left to `lint`.
pub fn states(files: &Files, environment: &EnvironmentName, revision: &Revision) -> States {
    let snapshot = Snapshot {
        revision: revision.clone(),
        time: None,
        allow_removal: BTreeSet::new(),
        files: files.clone(),
    };
    let Ok(reading) = Reading::new(&snapshot, environment) else { return States::new() };
    let resolved =
        reading.nodes().filter_map(|node| Some((node.clone(), reading.node(node).ok()?.state)));
    resolved.collect()
}
