//! Reads the files of a verified commit, and which removals the commits above the applied one allow.
//!
//! In: a [`Verified`] commit. Out: a [`Verified`] [`Snapshot`]. Pure.
//!
//! # Guarantees
//! * Only what flows and the environment's own directory is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{CommitId, EnvironmentName, ObjectId, Revision, ServiceName};
use crate::reconcile::source::{Snapshot, SnapshotError};
use crate::reconcile::trust::descent::{Descent, Passed, Sought};
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::judge::Judge;
use crate::reconcile::trust::revoked::RevokedKeys;
use crate::reconcile::trust::tree::{FILE_BYTES_MAX, Mode, TreeError, Trees};
use crate::reconcile::trust::{Objects, ObjectsError, Verified};

/// Bytes of all files of a snapshot: configuration, not content.
pub const SNAPSHOT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Commits looked at for `Allow-Removal:`; further below, none is found.
const REMOVAL_COMMITS_MAX: usize = 10_000;

/// The trailer that allows a removal.
pub const ALLOW_REMOVAL: &str = "Allow-Removal";

/// Why a verified commit's files cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// An object is missing or damaged.
    #[error("an object of the commit cannot be read")]
    Objects(#[source] ObjectsError),
    /// The tree breaks the rules; only an anchor's can.
    #[error("the commit's tree is refused")]
    Tree(#[source] TreeError),
    /// The files are over a limit.
    #[error("the commit's files are too large")]
    Snapshot(#[source] SnapshotError),
}

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotRequest<'r> {
    /// Whose files.
    pub environment: &'r EnvironmentName,
    /// The applied commit: those above it may allow removals; none: no removal is allowed.
    pub applied: Option<CommitId>,
    /// Keys that the node's operator revoked.
    pub revoked: &'r RevokedKeys,
}

/// Reads the files of a verified commit.
///
/// # Errors
/// When an object cannot be read, or the files are over a limit.
pub fn snapshot<O: Objects>(
    objects: &O,
    commit: &Verified<CommitId>,
    request: &SnapshotRequest,
) -> Result<Verified<Snapshot>, ReadError> {
    let id = *commit.get();
    let mut judge = Judge::new(objects, request.environment, request.revoked);
    let tree = header(objects, id).map_err(ReadError::Objects)?.tree;
    judge.trees.check(tree).map_err(ReadError::Tree)?;
    let time = crate::reconcile::trust::history::time(objects, &judge.trees, &mut judge.facts, id);
    let time = time.map_err(ReadError::Objects)?;
    let mut reader = Reader::new(objects);
    reader.read_all(&judge.trees, tree, request.environment)?;
    let allow_removal = request.applied.map(|applied| removals(objects, request, commit, applied));
    let allow_removal = allow_removal.unwrap_or_default();
    let revision = Revision::Commit { environment: request.environment.clone(), commit: id };
    Ok(Verified(Snapshot { revision, time: Some(time), allow_removal, files: reader.files }))
}

impl Verified<Snapshot> {
    /// The same commit with these of its files alone.
    #[must_use]
    pub fn with_only(&self, paths: &BTreeSet<&String>) -> Self {
        let all = self.get();
        let kept = all.files.iter().filter(|(path, _)| paths.contains(path));
        let files = kept.map(|(path, bytes)| (path.clone(), Arc::clone(bytes))).collect();
        let (revision, allow_removal) = (all.revision.clone(), all.allow_removal.clone());
        Self(Snapshot { revision, time: all.time, allow_removal, files })
    }
}

/// The files that `below` has once `passed` alone changed it: where it differs from its own parent they
/// are its own. To compare with, not to run: nobody signed them together.
///
/// # Errors
/// When an object cannot be read, or the files are over a limit.
pub fn changed_by<O: Objects>(
    objects: &O,
    passed: &Passed,
    below: &Verified<Snapshot>,
    request: &SnapshotRequest,
) -> Result<Verified<Snapshot>, ReadError> {
    let judge = Judge::new(objects, request.environment, request.revoked);
    let tree =
        |commit| header(objects, commit).map(|header| header.tree).map_err(ReadError::Objects);
    let own = tree(passed.id())?;
    let Some(parent) = &passed.parent else { return Ok(below.clone()) };
    let paths = judge.trees.differences(tree(*parent.get())?, own).map_err(ReadError::Tree)?;
    let below = below.get().clone();
    let bytes = below.files.values().map(|bytes| bytes.len() as u64).sum();
    let mut reader = Reader { objects, bytes, files: below.files };
    reader.update(&judge.trees, own, &paths, request.environment)?;
    Ok(Verified(Snapshot { files: reader.files, ..below }))
}

/// Reads what an environment may read of one commit, or of several in a row.
pub(in crate::reconcile::trust) struct Reader<'o, O> {
    objects: &'o O,
    bytes: u64,
    files: BTreeMap<String, Arc<[u8]>>,
}

impl<'o, O: Objects> Reader<'o, O> {
    pub(in crate::reconcile::trust) fn new(objects: &'o O) -> Self {
        Self { objects, bytes: 0, files: BTreeMap::new() }
    }

    /// What was read.
    pub(in crate::reconcile::trust) fn files(&self) -> &BTreeMap<String, Arc<[u8]>> {
        &self.files
    }

    /// Reads the files of a tree.
    pub(in crate::reconcile::trust) fn read_all(
        &mut self,
        trees: &Trees<'_, O>,
        tree: ObjectId,
        environment: &EnvironmentName,
    ) -> Result<(), ReadError> {
        self.bytes = 0;
        self.files.clear();
        self.read(trees, tree, "", environment)
    }

    /// Reads those of a tree's files that differ from what was read before.
    pub(in crate::reconcile::trust) fn update(
        &mut self,
        trees: &Trees<'_, O>,
        tree: ObjectId,
        paths: &[String],
        environment: &EnvironmentName,
    ) -> Result<(), ReadError> {
        for path in paths.iter().filter(|path| is_read(path, environment)) {
            let old = self.files.remove(path).map_or(0, |bytes| bytes.len());
            self.bytes = self.bytes.saturating_sub(old as u64);
            let entry = trees.find(tree, path).map_err(ReadError::Tree)?;
            if let Some(file) = entry.filter(|entry| entry.mode != Mode::Directory) {
                self.add(path.clone(), file.id)?;
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        trees: &Trees<'_, O>,
        tree: ObjectId,
        path: &str,
        environment: &EnvironmentName,
    ) -> Result<(), ReadError> {
        for entry in trees.entries(tree).map_err(ReadError::Tree)?.iter() {
            let path = format!("{path}{}", String::from_utf8_lossy(&entry.name));
            if !is_read(&path, environment) {
                continue;
            }
            if entry.mode == Mode::Directory {
                self.read(trees, entry.id, &format!("{path}/"), environment)?;
            } else {
                self.add(path, entry.id)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: String, id: ObjectId) -> Result<(), ReadError> {
        let bytes = self.objects.blob(id, FILE_BYTES_MAX).map_err(ReadError::Objects)?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > SNAPSHOT_BYTES_MAX {
            return Err(ReadError::Snapshot(SnapshotError::TooLarge {
                bytes: self.bytes,
                bytes_max: SNAPSHOT_BYTES_MAX,
            }));
        }
        self.files.insert(path, Arc::from(bytes));
        Ok(())
    }
}

/// Other environments' directories are never read.
fn is_read(path: &str, environment: &EnvironmentName) -> bool {
    let Some(below) = path.strip_prefix("environments/") else { return true };
    below.split('/').next() == Some(environment.as_str())
}

/// Services that the commits above `applied`, up to the verified `tip`, allow to remove. When
/// `applied` is not below `tip`, none.
fn removals<O: Objects>(
    objects: &O,
    request: &SnapshotRequest,
    tip: &Verified<CommitId>,
    applied: CommitId,
) -> BTreeSet<ServiceName> {
    let mut services = BTreeSet::new();
    let (environment, revoked) = (request.environment, request.revoked);
    let sought = Sought::Trailer(ALLOW_REMOVAL);
    let mut line = Descent::new(objects, environment, revoked, tip, sought, [applied]);
    for passed in line.by_ref().take(REMOVAL_COMMITS_MAX) {
        services.extend(passed.values(ALLOW_REMOVAL).filter_map(|value| value.parse().ok()));
    }
    if line.ended_at().is_some() { services } else { BTreeSet::new() }
}
