//! What a state was made from: a verified commit, or an engineer's work tree.
//!
//! In: environment and commit. Out: [`Revision`]. Pure.

use std::fmt;

use crate::model::commit::CommitId;
use crate::model::names::EnvironmentName;

/// Where a desired state comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum Revision {
    /// A commit on an environment's branch, shown as `prd@sha1:ab12cd3`.
    Commit {
        /// The branch.
        environment: EnvironmentName,
        /// The commit.
        commit: CommitId,
    },
    /// Files of a work tree, which nobody signed; shown as UNVERIFIED everywhere.
    WorkTree {
        /// The environment that the work tree was read for.
        environment: EnvironmentName,
    },
}

impl Revision {
    /// The commit, unless this is a work tree.
    pub fn commit(&self) -> Option<CommitId> {
        match self {
            Self::Commit { commit, .. } => Some(*commit),
            Self::WorkTree { .. } => None,
        }
    }

    /// The environment.
    pub fn environment(&self) -> &EnvironmentName {
        match self {
            Self::Commit { environment, .. } | Self::WorkTree { environment } => environment,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit { environment, commit } => {
                f.pad(&format!("{environment}@sha1:{}", commit.short()))
            }
            Self::WorkTree { environment } => {
                f.pad(&format!("{environment}@worktree (UNVERIFIED)"))
            }
        }
    }
}
