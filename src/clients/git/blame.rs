//! Which commit brought a line to a branch.
//!
//! In: a repository of one's own, a file, lines. Out: commits. Effect: reads the repository.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{BlameOptions, Oid, Repository, RepositoryOpenFlags};

use crate::model::CommitId;

/// The commits that lines of `file` came with, by line, along first parents from `tip` (`HEAD` where
/// there is none): on a later environment's branch that is the promotion. `content` is the file as it
/// is now, where that may differ; a line that is in no commit yet is left out.
pub fn line_commits(
    repository: &Path,
    tip: Option<CommitId>,
    file: &str,
    content: Option<&[u8]>,
    lines: &[usize],
) -> BTreeMap<usize, CommitId> {
    blame(repository, tip, file, content, lines).unwrap_or_default()
}

fn blame(
    repository: &Path,
    tip: Option<CommitId>,
    file: &str,
    content: Option<&[u8]>,
    lines: &[usize],
) -> Result<BTreeMap<usize, CommitId>, git2::Error> {
    let none: [&Path; 0] = [];
    let repository = Repository::open_ext(repository, RepositoryOpenFlags::empty(), none)?;
    let mut options = BlameOptions::new();
    options.first_parent(true);
    if let Some(tip) = tip {
        options.newest_commit(Oid::from_bytes(tip.as_bytes())?);
    }
    let committed = repository.blame_file(Path::new(file), Some(&mut options))?;
    let blame = match content {
        Some(content) => committed.blame_buffer(content)?,
        None => committed,
    };
    let commit = |line: &usize| {
        let id = blame.get_line(*line)?.final_commit_id();
        let id = (!id.is_zero()).then(|| id.to_string().parse().ok())??;
        Some((*line, id))
    };
    Ok(lines.iter().filter_map(commit).collect())
}
