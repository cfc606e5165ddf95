//! Repositories that commands read: a clone, or a bare repository, of the one who asks.
//!
//! In: a path, a revision. Out: objects, a commit. Effect: reads the repository.

use std::path::Path;

use crate::cli::error::CommandError;
use crate::clients::git::{ObjectReader, leads_to, local_tip, named_commit, repository_folder};
use crate::config::BranchName;
use crate::model::{CommitId, EnvironmentName};

/// Opens a repository's objects.
///
/// # Errors
/// When it is none.
pub fn open(repository: &Path) -> Result<ObjectReader, CommandError> {
    if !repository_folder(repository).join("objects").is_dir() {
        return Err(CommandError::usage(format!("{} is no git repository", repository.display()))
            .hint("name a clone, or a bare repository"));
    }
    ObjectReader::open_repository(repository).map_err(|error| CommandError::failed(&error))
}

/// What the branch of an environment points at: here or at `origin` as last fetched, whichever is
/// further; where they went apart, what `origin` has is the line.
///
/// # Errors
/// When there is none.
pub fn line(repository: &Path, environment: &EnvironmentName) -> Result<CommitId, CommandError> {
    let here = commit(repository, environment.as_str())?;
    let theirs = named_commit(repository, &format!("refs/remotes/origin/{environment}"));
    Ok(theirs.filter(|theirs| !leads_to(repository, *theirs, here)).unwrap_or(here))
}

/// The commit that a name stands for: a branch (`origin`'s where there is none here), an id, or what
/// else git understands.
///
/// # Errors
/// When there is none.
pub fn commit(repository: &Path, revision: &str) -> Result<CommitId, CommandError> {
    if let Ok(id) = revision.parse() {
        return Ok(id);
    }
    let branch: Option<BranchName> = revision.parse().ok();
    let folder = repository_folder(repository);
    branch
        .and_then(|branch| local_tip(&folder, &branch))
        .or_else(|| named_commit(repository, &format!("refs/remotes/origin/{revision}")))
        .or_else(|| named_commit(repository, revision))
        .ok_or_else(|| {
            let shown = repository.display();
            CommandError::usage(format!("{shown} has no branch or commit `{revision}`"))
                .hint("`git branch --all` lists the branches")
        })
}
