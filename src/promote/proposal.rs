//! Proposals: a composed commit on a branch of its own, and the approvals that are collected on it.
//!
//! In: a branch's commits. Out: [`Proposal`], statements, messages. Pure.
//!
//! ```text
//! promote/prd/7   C   the composed commit, on top of prd's tip, signed by who proposes it
//!                 A   the same tree; carries `Approved-By:`; any number of them
//! ```

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName};
use crate::promote::tip::Tip;
use crate::reconcile::trust::approval::{Approval, Statement, TRAILER};
use crate::reconcile::trust::commit::{Commit, CommitError};
use crate::reconcile::trust::kind::{CommitKind, Declared};
use crate::reconcile::trust::{Objects, ObjectsError};

/// Approvals that are looked for on one branch.
const CARRIERS_MAX: usize = 64;

/// A branch that is no proposal, or one that is late.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// An object is missing.
    #[error("cannot read the proposal")]
    Objects(#[source] ObjectsError),
    /// A commit that is not one.
    #[error("cannot read the commit {0}")]
    Commit(CommitId, #[source] CommitError),
    /// No kind in sight.
    #[error("{0} holds no proposal: no commit with a `Tidegate:` trailer is near its tip")]
    None(String),
    /// Proposed on something else.
    #[error("{environment} has moved on to {tip} since this was proposed on {from}")]
    Late {
        /// The line.
        environment: EnvironmentName,
        /// Where it is now.
        tip: String,
        /// What the proposal begins at.
        from: String,
    },
    /// An approval that cannot be one.
    #[error("an approval cannot be read: {0}")]
    Approval(String),
    /// A repository without a name cannot be approved in.
    #[error("tidegate.toml names no `repository`, which approvals are bound to")]
    NoRepository,
}

/// A proposal and what was said to it.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The branch.
    pub branch: String,
    /// The branch's tip.
    pub head: CommitId,
    /// The composed commit.
    pub commit: Commit,
    /// What it is.
    pub kind: CommitKind,
    /// For whom.
    pub environment: EnvironmentName,
    /// Approvals that were collected, as trailers have them.
    pub approvals: Vec<String>,
}

/// The branch of proposal `n` for an environment.
pub fn branch(environment: &EnvironmentName, n: u64) -> String {
    format!("{}{n}", prefix(environment))
}

/// What the branches of an environment's proposals begin with.
pub fn prefix(environment: &EnvironmentName) -> String {
    format!("promote/{environment}/")
}

/// The number that comes after those of `branches`.
pub fn next(environment: &EnvironmentName, branches: &[String]) -> u64 {
    let prefix = prefix(environment);
    let numbers = branches.iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok());
    numbers.max().unwrap_or(0_u64).saturating_add(1)
}

/// Reads the proposal that a branch holds.
///
/// # Errors
/// When it holds none.
pub fn read(
    objects: &impl Objects,
    branch: &str,
    head: CommitId,
) -> Result<Proposal, ProposalError> {
    let (mut at, mut approvals) = (head, Vec::new());
    for _ in 0..=CARRIERS_MAX {
        let bytes = objects.commit(at).map_err(ProposalError::Objects)?;
        let commit = Commit::parse(at, &bytes).map_err(|e| ProposalError::Commit(at, e))?;
        if let Some(Declared::Kind(kind, environment)) = commit.message.kind().map(Declared::parse)
        {
            approvals.reverse();
            let own: Vec<String> = commit.message.values(TRAILER).map(str::to_owned).collect();
            approvals.splice(0..0, own);
            let branch = branch.to_owned();
            return Ok(Proposal { branch, head, commit, kind, environment, approvals });
        }
        approvals.extend(commit.message.values(TRAILER).map(str::to_owned));
        let Some(parent) = commit.parents.first() else { break };
        at = *parent;
    }
    Err(ProposalError::None(branch.to_owned()))
}

impl Proposal {
    /// Whether it still fits the line.
    ///
    /// # Errors
    /// When the line has moved on.
    pub fn fits(&self, tip: &Tip) -> Result<(), ProposalError> {
        let from = self.commit.parents.first().copied();
        if from == Some(tip.commit) {
            return Ok(());
        }
        Err(ProposalError::Late {
            environment: tip.environment.clone(),
            tip: tip.commit.short(),
            from: from.map(|id| id.short()).unwrap_or_default(),
        })
    }

    /// What an approver signs.
    ///
    /// # Errors
    /// When the repository has no name.
    pub fn statement(
        &self,
        objects: &impl Objects,
        tip: &Tip,
        expires: Timestamp,
    ) -> Result<Statement, ProposalError> {
        statement(objects, tip, &self.commit, self.kind, expires)
    }

    /// The message with every approval, each once.
    ///
    /// # Errors
    /// When one of `more` is not an approval.
    pub fn approved_message(&self, more: &[String]) -> Result<String, ProposalError> {
        let mut all: Vec<&str> = Vec::new();
        let given = more.iter().map(|text| {
            text.trim()
                .strip_prefix(TRAILER)
                .map_or(text.trim(), |rest| rest.trim_start_matches([':', ' ']))
        });
        for value in self.approvals.iter().map(String::as_str).chain(given) {
            Approval::parse(value).map_err(|error| ProposalError::Approval(error.to_string()))?;
            if !all.contains(&value) {
                all.push(value);
            }
        }
        let own: Vec<&str> = self.commit.message.values(TRAILER).collect();
        let mut text = self.commit.message.text().trim_end().to_owned();
        for value in all.into_iter().filter(|value| !own.contains(value)) {
            text.extend(["\n", TRAILER, ": ", value]);
        }
        Ok(text + "\n")
    }
}

/// What an approver of `commit`, made on top of `tip`, signs.
///
/// # Errors
/// When the repository has no name.
pub fn statement(
    objects: &impl Objects,
    tip: &Tip,
    commit: &Commit,
    kind: CommitKind,
    expires: Timestamp,
) -> Result<Statement, ProposalError> {
    let file = tip.listing.get("tidegate.toml").ok_or(ProposalError::NoRepository)?;
    let bytes = objects
        .blob(file.id, crate::reconcile::trust::tree::FILE_BYTES_MAX)
        .map_err(ProposalError::Objects)?;
    let table: toml::Table = toml::from_slice(&bytes).unwrap_or_default();
    let repository = table.get("repository").and_then(toml::Value::as_str);
    let named = |key: &'static str| {
        commit.message.values(key).next().and_then(|id| id.parse::<CommitId>().ok())
    };
    Ok(Statement {
        repository: repository.ok_or(ProposalError::NoRepository)?.to_owned(),
        environment: tip.environment.clone(),
        kind,
        from: tip.commit,
        source: match kind {
            CommitKind::Pick => named("Promoted-From"),
            CommitKind::Rollback => named("Rollback-To"),
            _ => commit.parents.get(1).copied(),
        },
        tree: commit.tree,
        expires,
    })
}
