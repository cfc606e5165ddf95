//! What first-parent history says that later commits are judged by: sources taken, hotfixes made.
//!
//! In: commits, oldest first, verified or only read. Out: [`Ledger`]. Pure.

use jiff::Timestamp;

use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::claim::{Claim, Scope};
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::tree::{Mode, TreeError, Trees};

/// What lies at a path: a file's mode and content, or nothing.
pub type Content = Option<(Mode, ObjectId)>;

/// A promote or pick, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The promote or pick.
    pub commit: CommitId,
    /// What it took its content from.
    pub source: CommitId,
    /// Which paths.
    pub scope: Scope,
}

/// A hotfix since the last promote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hotfix {
    /// Its commit.
    pub commit: CommitId,
    /// Why it was made.
    pub reason: String,
    /// Its time (TRUST.md, "Time").
    pub time: Timestamp,
    /// What it brought, by path.
    pub contents: Vec<(String, Content)>,
}

/// One commit of history, as far as the ledger cares.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    /// The commit.
    pub commit: CommitId,
    /// Its kind.
    pub kind: CommitKind,
    /// What it claims.
    pub claim: &'e Claim,
    /// Its first parent's tree.
    pub before: ObjectId,
    /// Its own tree.
    pub after: ObjectId,
    /// Its time.
    pub time: Timestamp,
}

/// What history says at one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Where promotions come from, and the anchor there; none on a first environment.
    pub origin: Option<(EnvironmentName, CommitId)>,
    /// What was promoted or picked since `origin` last changed, oldest first, without what a later
    /// one took anew.
    pub taken: Vec<Taken>,
    /// Hotfixes since the last promote, oldest first, live or not.
    pub hotfixes: Vec<Hotfix>,
}

impl Ledger {
    /// Where promotions come from after the next commit.
    pub fn set_origin(&mut self, origin: Option<(EnvironmentName, CommitId)>) {
        if self.origin != origin {
            self.origin = origin;
            self.taken.clear();
        }
    }

    /// What was last taken for `path`.
    pub fn last_taken(&self, path: &str) -> Option<&Taken> {
        self.taken.iter().rev().find(|taken| taken.scope.covers(path))
    }

    /// What was last taken by a promote.
    pub fn last_promoted(&self) -> Option<&Taken> {
        self.taken.iter().rev().find(|taken| taken.scope == Scope::Everything)
    }

    /// Adds a commit. `is_followed` tells whether the source of this entry has another one on its
    /// chain: that one need not be kept where this entry covers all its paths.
    ///
    /// # Errors
    /// When a hotfix's trees cannot be read.
    pub fn add<O: Objects>(
        &mut self,
        entry: Entry,
        trees: &Trees<'_, O>,
        is_followed: impl Fn(CommitId) -> bool,
    ) -> Result<(), TreeError> {
        let Entry { commit, claim, .. } = entry;
        match (entry.kind, claim.source, &claim.reason) {
            (CommitKind::Promote | CommitKind::Pick, Some(source), _) => {
                let scope = claim.scope.clone();
                self.taken
                    .retain(|taken| !(scope.contains(&taken.scope) && is_followed(taken.source)));
                self.taken.push(Taken { commit, source, scope });
                if entry.kind == CommitKind::Promote {
                    self.hotfixes.clear();
                }
            }
            (CommitKind::Hotfix, _, Some(reason)) => {
                let paths = trees.differences(entry.before, entry.after)?;
                let contents = paths.into_iter().map(|path| {
                    let content = content(trees, entry.after, &path)?;
                    Ok((path, content))
                });
                let contents = contents.collect::<Result<_, TreeError>>()?;
                let (reason, time) = (reason.clone(), entry.time);
                self.hotfixes.push(Hotfix { commit, reason, time, contents });
            }
            _ => {}
        }
        Ok(())
    }

    /// Hotfixes of which something still lies in the tree `at`, with the paths where it does.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn live<O: Objects>(
        &self,
        trees: &Trees<'_, O>,
        at: ObjectId,
    ) -> Result<Vec<(&Hotfix, Vec<&str>)>, TreeError> {
        let mut live = Vec::new();
        for hotfix in &self.hotfixes {
            let mut paths = Vec::new();
            for (path, brought) in &hotfix.contents {
                if content(trees, at, path)? == *brought {
                    paths.push(path.as_str());
                }
            }
            if !paths.is_empty() {
                live.push((hotfix, paths));
            }
        }
        Ok(live)
    }
}

/// What lies at the file `path` in the tree `root`.
///
/// # Errors
/// When the tree cannot be read.
pub fn content<O: Objects>(
    trees: &Trees<'_, O>,
    root: ObjectId,
    path: &str,
) -> Result<Content, TreeError> {
    let found = trees.find(root, path)?.filter(|entry| entry.mode != Mode::Directory);
    Ok(found.map(|entry| (entry.mode, entry.id)))
}
