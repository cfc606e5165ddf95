//! What a repository of one's own calls its commits, and where it keeps them.
//!
//! In: a folder that somebody works in, a name. Out: a folder, a commit, branches. Effect: reads the
//! repository. Never used on a node's copy of somebody else's.

use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryOpenFlags};

use crate::clients::host::read_bounded;
use crate::config::BranchName;
use crate::model::CommitId;

/// A pointer to a folder is a path and a word.
const POINTER_BYTES_MAX: u64 = 8 * 1024;

/// Branches of a repository that are looked at.
const BRANCHES_MAX: usize = 1_000;

/// The folder that holds the objects and branches of the repository that people work on in `folder`:
/// itself if it is bare, `.git`, or what a linked work tree's `.git` file leads to.
pub fn repository_folder(folder: &Path) -> PathBuf {
    let inner = folder.join(".git");
    if inner.is_dir() {
        return inner;
    }
    let Some(linked) = pointer(&inner, "gitdir: ").map(|to| folder.join(to)) else {
        return folder.to_owned();
    };
    pointer(&linked.join("commondir"), "").map_or_else(|| linked.clone(), |to| linked.join(to))
}

/// The path after `prefix` in a small file.
fn pointer(file: &Path, prefix: &str) -> Option<PathBuf> {
    let bytes = read_bounded(file, POINTER_BYTES_MAX).ok()??;
    let text = String::from_utf8(bytes).ok()?;
    text.trim_end().strip_prefix(prefix).map(PathBuf::from)
}

/// The commit that git would find under `name`: a branch, a tag, a short id, `HEAD~1`.
pub fn named_commit(folder: &Path, name: &str) -> Option<CommitId> {
    let repository = open(folder)?;
    let commit = repository.revparse_single(name).ok()?.peel_to_commit().ok()?;
    commit.id().to_string().parse().ok()
}

/// Whether `old` is `new` or among what lies below it.
pub fn leads_to(folder: &Path, old: CommitId, new: CommitId) -> bool {
    let oid = |id: CommitId| git2::Oid::from_bytes(id.as_bytes()).ok();
    let below = |repository: Repository| repository.graph_descendant_of(oid(new)?, oid(old)?).ok();
    old == new || open(folder).and_then(below).unwrap_or_default()
}

/// The branches of a repository, those of the remote `origin` that are not here included.
pub fn branches(folder: &Path) -> Vec<BranchName> {
    let Some(repository) = open(folder) else { return Vec::new() };
    let Ok(found) = repository.branches(None) else { return Vec::new() };
    let names = found.take(BRANCHES_MAX).filter_map(|branch| {
        let (branch, _) = branch.ok()?;
        let name = branch.name().ok()??;
        name.strip_prefix("origin/").unwrap_or(name).parse().ok()
    });
    let mut names: Vec<BranchName> = names.collect();
    names.sort();
    names.dedup();
    names
}

fn open(folder: &Path) -> Option<Repository> {
    let none: [&Path; 0] = [];
    Repository::open_ext(folder, RepositoryOpenFlags::NO_SEARCH, none).ok()
}
