//! Writing a repository of one's own: objects, branches, a work tree, the user's configuration.
//!
//! Effect: writes the repository. Never used on a node's copy of somebody else's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{FileMode, ObjectType, Oid, Repository, RepositoryInitOptions};

use crate::model::{CommitId, ObjectId};

/// A repository that could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct GitWriteError {
    /// What was to be done.
    pub operation: String,
    /// Why not.
    #[source]
    pub source: git2::Error,
}

/// A file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Whether it may be run.
    pub executable: bool,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Whether a stored file may be run, and its content.
type Stored = (bool, ObjectId);

/// A repository that is ours to write.
pub struct OwnRepository(Repository);

impl std::fmt::Debug for OwnRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OwnRepository").field(&self.0.path()).finish()
    }
}

fn failed(operation: impl Into<String>) -> impl FnOnce(git2::Error) -> GitWriteError {
    let operation = operation.into();
    move |source| GitWriteError { operation, source }
}

fn oid(bytes: &[u8; 20]) -> Result<Oid, GitWriteError> {
    Oid::from_bytes(bytes).map_err(failed("cannot use an object id"))
}

fn raw(id: Oid) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_bytes());
    bytes
}

/// A value of the user's own git configuration, where no repository is meant.
pub fn user_config(key: &str) -> Option<String> {
    git2::Config::open_default().ok()?.get_string(key).ok()
}

impl OwnRepository {
    /// Makes a repository with a work tree at `path`, whose first branch will be `branch`.
    pub fn create(path: &Path, branch: &str) -> Result<Self, GitWriteError> {
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).initial_head(branch);
        Repository::init_opts(path, &options)
            .map(Self)
            .map_err(failed(format!("cannot make a repository at {}", path.display())))
    }

    /// Opens the repository at `path`.
    pub fn open(path: &Path) -> Result<Self, GitWriteError> {
        Repository::open(path)
            .map(Self)
            .map_err(failed(format!("cannot open the repository at {}", path.display())))
    }

    /// The `.git` directory.
    pub fn git_dir(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// Stores a tree of files, given by path with `/`.
    pub fn write_tree(
        &self,
        files: &BTreeMap<String, TreeFile>,
    ) -> Result<ObjectId, GitWriteError> {
        let mut stored = BTreeMap::new();
        for (path, file) in files {
            let id = self.write_blob(&file.bytes)?;
            stored.insert(path.clone(), (file.executable, id));
        }
        self.link_tree(&stored)
    }

    /// Stores a file's content.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<ObjectId, GitWriteError> {
        let id = self.0.blob(bytes).map_err(failed("cannot store a file"))?;
        Ok(ObjectId::from_bytes(raw(id)))
    }

    /// Stores a tree of files that are there: by path, whether each may be run, and its content.
    pub fn link_tree(&self, files: &BTreeMap<String, Stored>) -> Result<ObjectId, GitWriteError> {
        let mut entries = Vec::with_capacity(files.len());
        entries.extend(files.iter().map(|(path, file)| (path.as_str(), *file)));
        self.tree_of(&entries).map(|id| ObjectId::from_bytes(raw(id)))
    }

    fn tree_of(&self, files: &[(&str, Stored)]) -> Result<Oid, GitWriteError> {
        let builder = self.0.treebuilder(None).map_err(failed("cannot make a tree"));
        let mut builder = builder?;
        let mut folders: BTreeMap<&str, Vec<(&str, Stored)>> = BTreeMap::new();
        for (path, (executable, id)) in files {
            if let Some((folder, rest)) = path.split_once('/') {
                folders.entry(folder).or_default().push((rest, (*executable, *id)));
                continue;
            }
            let mode = if *executable { FileMode::BlobExecutable } else { FileMode::Blob };
            builder
                .insert(path, oid(id.as_bytes())?, mode.into())
                .map_err(failed(format!("cannot name a file `{path}`")))?;
        }
        for (folder, inside) in folders {
            let tree = self.tree_of(&inside)?;
            builder
                .insert(folder, tree, FileMode::Tree.into())
                .map_err(failed(format!("cannot name a directory `{folder}`")))?;
        }
        builder.write().map_err(failed("cannot store a tree"))
    }

    /// Stores a commit, byte for byte.
    pub fn write_commit(&self, bytes: &[u8]) -> Result<CommitId, GitWriteError> {
        let store = self.0.odb().map_err(failed("cannot open the object store"))?;
        let id = store.write(ObjectType::Commit, bytes).map_err(failed("cannot store a commit"))?;
        Ok(CommitId::from_bytes(raw(id)))
    }

    /// Points a branch at a commit.
    pub fn set_branch(&self, branch: &str, commit: CommitId) -> Result<(), GitWriteError> {
        let operation = || failed(format!("cannot set branch {branch}"));
        self.0
            .reference(&format!("refs/heads/{branch}"), oid(commit.as_bytes())?, true, "tidegate")
            .map(drop)
            .map_err(operation())
    }

    /// Fills the work tree with a branch. What lies there is overwritten.
    pub fn check_out(&self, branch: &str) -> Result<(), GitWriteError> {
        let operation = || failed(format!("cannot check out {branch}"));
        self.0.set_head(&format!("refs/heads/{branch}")).map_err(operation())?;
        let mut options = git2::build::CheckoutBuilder::new();
        options.force();
        self.0.checkout_head(Some(&mut options)).map_err(operation())
    }

    /// A value of this repository's configuration, or of the user's.
    pub fn config(&self, key: &str) -> Option<String> {
        self.0.config().ok()?.get_string(key).ok()
    }

    /// Sets a value in this repository's own configuration.
    pub fn set_config(&self, key: &str, value: &str) -> Result<(), GitWriteError> {
        let operation = || failed(format!("cannot set {key}"));
        let config = self.0.config().and_then(|c| c.open_level(git2::ConfigLevel::Local));
        config.map_err(operation())?.set_str(key, value).map_err(operation())
    }
}
