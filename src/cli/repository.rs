//! Repositories that commands read: a clone, or a bare repository, of the one who asks.
//!
//! In: a path, a revision. Out: objects, a commit. Effect: reads the repository.

use std::path::{Path, PathBuf};

use crate::cli::error::CommandError;
use crate::clients::git::{ObjectReader, local_tip};
use crate::config::BranchName;
use crate::model::CommitId;

/// Opens a repository's objects.
///
/// # Errors
/// When it is none.
pub fn open(repository: &Path) -> Result<ObjectReader, CommandError> {
    if !git_dir(repository).join("objects").is_dir() {
        return Err(CommandError::usage(format!("{} is no git repository", repository.display()))
            .hint("name a clone, or a bare repository"));
    }
    ObjectReader::open_repository(&git_dir(repository))
        .map_err(|error| CommandError::failed(&error))
}

fn git_dir(repository: &Path) -> PathBuf {
    let inner = repository.join(".git");
    if inner.is_dir() { inner } else { repository.to_owned() }
}

/// The commit that a branch or a whole id names.
///
/// # Errors
/// When there is none.
pub fn commit(repository: &Path, revision: &str) -> Result<CommitId, CommandError> {
    if let Ok(id) = revision.parse() {
        return Ok(id);
    }
    let branch: Option<BranchName> = revision.parse().ok();
    branch.and_then(|branch| local_tip(repository, &branch)).ok_or_else(|| {
        CommandError::usage(format!("{} has no branch `{revision}`", repository.display()))
            .hint("write a branch, or all 40 digits of a commit: `git rev-parse REV`")
    })
}
