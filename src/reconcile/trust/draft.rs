//! Judges a commit that is about to be made: all rules but those about its people.
//!
//! In: the bytes of an unsigned commit, and the verified tip that it continues. Out: [`Draft`], or
//! why no signature could make it good. Pure.

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::reconcile::trust::approval::Statement;
use crate::reconcile::trust::case::Base;
use crate::reconcile::trust::claim::Claim;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::policy::{Role, Threshold};
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::verdict::{Origin, Refusal, Rule};
use crate::reconcile::trust::walk::{Walk, incomplete, malformed};
use crate::reconcile::trust::{Objects, remedy};

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct DraftRequest<'r> {
    /// Whose chain it is for.
    pub environment: &'r EnvironmentName,
    /// The verified tip that it continues: its first parent.
    pub tip: CommitId,
    /// The unsigned commit's bytes; its tree is among the objects.
    pub bytes: &'r [u8],
    /// Keys revoked by whoever asks.
    pub revoked: &'r RevokedKeys,
}

/// A commit that signatures of the right people make good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its kind.
    pub kind: CommitKind,
    /// What it claims to do.
    pub claim: Claim,
    /// Where a promote or pick comes from.
    pub origin: Option<Origin>,
    /// The role that signs and approves.
    pub role: Role,
    /// Who holds it, and how many it takes; none: nobody can.
    pub people: Option<Threshold>,
    /// The commit's time (TRUST.md, "Time").
    pub time: Timestamp,
    repository: Option<String>,
    environment: EnvironmentName,
    from: CommitId,
    tree: ObjectId,
}

impl Draft {
    /// What approvers sign; none without `repository` in tidegate.toml.
    pub fn statement(&self, expires: Timestamp) -> Option<Statement> {
        Some(Statement {
            repository: self.repository.clone()?,
            environment: self.environment.clone(),
            kind: self.kind,
            from: self.from,
            source: self.claim.source,
            tree: self.tree,
            expires,
        })
    }
}

/// Judges a commit that nobody signed yet.
///
/// # Errors
/// With the first rule that it breaks whoever signs it.
pub fn draft(objects: &impl Objects, request: &DraftRequest) -> Result<Draft, Refusal> {
    let DraftRequest { environment, tip, bytes, revoked } = *request;
    // It has no id before it is signed.
    let id = CommitId::from_bytes([0; 20]);
    let commit = Commit::parse(id, bytes).map_err(|error| malformed(id, &error))?;
    if commit.parents.first() != Some(&tip) {
        let reason = format!("its first parent is not {tip}");
        return Err(Refusal::new(id, Rule::Chain, reason, remedy::OVERTAKEN));
    }
    let mut walk = Walk::new(Judge::new(objects, environment, revoked), None);
    let point = walk.point(tip).map_err(|error| incomplete(tip, &error))?;
    let time = point.time.max(commit.committer.time);
    let base = Base { parent: tip, tree: point.tree, time };
    let case = walk.judge.open(&commit, base)?;
    walk.judge.structure(&case, None)?;
    let origin = walk.promotion(&commit, base, case.kind, &case.claim)?;
    let repository = case.old.repository.as_ref().ok().cloned().flatten();
    Ok(Draft {
        kind: case.kind,
        role: case.rule.role,
        people: case.policy().roles.get(&case.rule.role).cloned(),
        claim: case.claim,
        origin,
        time,
        repository: repository.map(|name| name.to_string()),
        environment: environment.clone(),
        from: tip,
        tree: commit.tree,
    })
}
