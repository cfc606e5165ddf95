//! Judges one tip and reads the files of what is believed: trust, off the agent's thread.
//!
//! In: objects, a tip, the rules. Out: [`Judged`]. Effect: reads objects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::agent::AgentError;
use crate::agent::urgent::Line;
use crate::clients::git::ObjectReader;
use crate::config::{RepositoryId, Requirement, Settings};
use crate::model::{CommitId, EnvironmentName, NodeName, Revision, ServiceName};
use crate::reconcile::memory::ServiceMemory;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::{
    Refusal, Remembered, RevokedKeys, Rule, Sightings, SnapshotRequest, Standing, Verified,
    VerifyRequest, Wait, show, snapshot, verify,
};
use crate::telemetry::Chain;

/// One tip, and by which rules it is judged.
#[derive(Debug, Clone)]
pub struct Case {
    /// The tip that is offered.
    pub tip: CommitId,
    /// Whose chain it is.
    pub environment: EnvironmentName,
    /// The repository's id, which the node's configuration names.
    pub repository: RepositoryId,
    /// Where judging begins; none when nothing is demanded.
    pub anchor: Option<CommitId>,
    /// What the node remembers.
    pub remembered: Remembered,
    /// Keys revoked here.
    pub revoked: RevokedKeys,
    /// The commit whose every service runs.
    pub applied: Option<CommitId>,
    /// The clock, which only makes commits wait.
    pub now: Timestamp,
    /// What was seen on the branches below, which makes promotions wait.
    pub sights: Sightings,
    /// The node, and what it remembers of its services; none where nothing is to be applied.
    pub known: Option<(NodeName, BTreeMap<ServiceName, ServiceMemory>)>,
}

impl Case {
    /// A tip by the node's own rules.
    pub fn of(
        settings: &Settings,
        tip: CommitId,
        remembered: Remembered,
        revoked: RevokedKeys,
        applied: Option<CommitId>,
    ) -> Self {
        let anchor = match settings.trust.require {
            Requirement::Signed => settings.repository.anchor,
            Requirement::None => None,
        };
        Self {
            tip,
            environment: settings.environment.clone(),
            repository: settings.repository.id.clone(),
            anchor,
            remembered,
            revoked,
            applied,
            now: Timestamp::now(),
            sights: Sightings::default(),
            known: None,
        }
    }

    /// Services whose version at `commit` passes windows and freezes.
    fn urgent(
        &self,
        objects: &ObjectReader,
        commit: &Verified<CommitId>,
        files: &Result<Verified<Snapshot>, String>,
    ) -> BTreeSet<ServiceName> {
        let (Some((node, known)), Ok(files)) = (&self.known, files) else {
            return BTreeSet::new();
        };
        let (environment, revoked) = (&self.environment, &self.revoked);
        let Self { anchor, applied, .. } = *self;
        Line { objects, environment, node, revoked, anchor, applied, known }.urgent(commit, files)
    }
}

/// What judging gave.
#[derive(Debug)]
pub struct Judged {
    /// The tip that was judged.
    pub tip: CommitId,
    /// The newest believed commit.
    pub verified: Option<CommitId>,
    /// Whether that commit was judged now: only then may the memory move.
    pub standing: Standing,
    /// How many commits were judged good.
    pub n_accepted: usize,
    /// What is not believed.
    pub refused: Option<Refusal>,
    /// What is believed later, and when.
    pub waits: Option<Wait>,
    /// The files of the believed commit, or why they cannot be read.
    pub files: Option<Result<Verified<Snapshot>, String>>,
    /// Services whose version there a hotfix or a rollback made.
    pub urgent: BTreeSet<ServiceName>,
}

/// Judges, on a thread of its own: signatures are the heaviest thing an agent does.
///
/// # Errors
/// When that thread dies.
pub async fn judge(objects: ObjectReader, case: Case) -> Result<Judged, AgentError> {
    tokio::task::spawn_blocking(move || judge_now(&objects, &case))
        .await
        .map_err(|error| AgentError::Panicked { reason: error.to_string() })
}

/// Judges here and now.
pub fn judge_now(objects: &ObjectReader, case: &Case) -> Judged {
    let Some(anchor) = case.anchor else {
        return unjudged(objects, case);
    };
    let verdict = verify(
        objects,
        &VerifyRequest {
            environment: case.environment.clone(),
            anchor,
            remembered: case.remembered,
            tip: case.tip,
            revoked: case.revoked.clone(),
            now: case.now,
            sights: case.sights.clone(),
        },
    );
    let mut judged = Judged {
        tip: case.tip,
        verified: verdict.verified_id(),
        standing: verdict.standing,
        n_accepted: verdict.accepted.len(),
        refused: verdict.refused,
        waits: verdict.waits,
        files: None,
        urgent: BTreeSet::new(),
    };
    if let Some(commit) = verdict.verified {
        if let Some(refusal) = foreign_id(objects, case, *commit.get()) {
            judged.verified = None;
            judged.refused = Some(refusal);
        } else {
            let files = files(objects, case, &commit);
            judged.urgent = case.urgent(objects, &commit, &files);
            judged.files = Some(files);
        }
    }
    judged
}

/// A repository of another id is another repository, however well it is signed.
fn foreign_id(objects: &ObjectReader, case: &Case, commit: CommitId) -> Option<Refusal> {
    let found = show(objects, commit, &case.environment).ok()?.repository?;
    (found != case.repository.to_string()).then(|| {
        Refusal::new(
            commit,
            Rule::Repository,
            format!("it belongs to repository `{found}`, this node to `{}`", case.repository),
            "set `repository.url` to the right repository, or `repository.id` to its id",
        )
    })
}

fn files(
    objects: &ObjectReader,
    case: &Case,
    commit: &Verified<CommitId>,
) -> Result<Verified<Snapshot>, String> {
    let request = SnapshotRequest {
        environment: &case.environment,
        applied: case.applied,
        revoked: &case.revoked,
    };
    snapshot(objects, commit, &request).map_err(|error| Chain(&error).to_string())
}

/// `trust.require = "none"`: whatever the branch points at is taken, and said so loudly elsewhere.
fn unjudged(objects: &ObjectReader, case: &Case) -> Judged {
    let commit = Verified::unverified_own_work_tree(case.tip);
    let files = files(objects, case, &commit);
    Judged {
        tip: case.tip,
        verified: Some(case.tip),
        standing: Standing::Judged,
        n_accepted: 0,
        refused: None,
        waits: None,
        urgent: case.urgent(objects, &commit, &files),
        files: Some(files),
    }
}

/// The files of a commit that this node applied once: it was believed then, and its objects are in
/// the node's own store.
pub fn applied_files(
    objects: &ObjectReader,
    settings: &Settings,
    revoked: &RevokedKeys,
    revision: &Revision,
) -> Option<Verified<Snapshot>> {
    let commit = revision.commit()?;
    let remembered = Remembered::Verified(commit);
    let case = Case::of(settings, commit, remembered, revoked.clone(), None);
    judge_now(objects, &case).files?.ok()
}
