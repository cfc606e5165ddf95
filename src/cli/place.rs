//! What repository commands read: a work tree, or a revision of a repository, as files.
//!
//! In: a directory, or `--repository` and `--revision`. Out: files. Effect: reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::error::CommandError;
use crate::cli::repository::{commit, open};
use crate::clients::git::local_tip;
use crate::config::BranchName;
use crate::model::EnvironmentName;
use crate::reconcile::source::{Snapshot, read_work_tree};
use crate::reconcile::trust::{RevokedKeys, SnapshotRequest, Verified, snapshot};

/// Files by their path within the repository.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// Which files a command is about.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// A directory with the repository's files
    #[arg(value_name = "DIR", default_value = ".", conflicts_with = "repository")]
    dir: PathBuf,
    /// A repository whose commit is read instead of a directory's files
    #[arg(long, value_name = "PATH")]
    repository: Option<PathBuf>,
    /// The commit to read: a branch or a whole id (default: each environment's own branch)
    #[arg(long, value_name = "REV", requires = "repository")]
    revision: Option<String>,
}

impl Place {
    /// Every file: of the directory, or of the one commit that is named.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn files(&self) -> Result<Files, CommandError> {
        match (&self.repository, &self.revision) {
            (None, _) => self.work_tree(None),
            // A branch holds its own environment's directory alone, and is read as that.
            (Some(_), Some(revision)) => {
                let environment: EnvironmentName = revision.parse().map_err(|_| {
                    CommandError::usage("--revision names an environment's branch here")
                })?;
                Ok(self.environment(&environment)?.into_inner().files)
            }
            (Some(_), None) => Err(CommandError::usage("which branch? add --revision")),
        }
    }

    /// The directory's files; of one environment where only that one's are wanted.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn work_tree(&self, environment: Option<&EnvironmentName>) -> Result<Files, CommandError> {
        if !self.dir.join("tidegate.toml").is_file() {
            return Err(not_a_repository(&self.dir));
        }
        read_work_tree(&self.dir, environment).map_err(|error| CommandError::failed(&error))
    }

    /// One environment's files: of its branch in `--repository`, or of the directory.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Verified<Snapshot>, CommandError> {
        let Some(repository) = &self.repository else {
            let files = self.work_tree(Some(environment))?;
            return Ok(crate::lint::work_tree(&files, environment));
        };
        let revision = self.revision.as_deref().unwrap_or(environment.as_str());
        let commit = commit(repository, revision)?;
        let objects = open(repository)?;
        let revoked = RevokedKeys::default();
        let request = SnapshotRequest { environment, applied: None, revoked: &revoked };
        // The author's own repository: nothing of it runs anywhere.
        snapshot(&objects, &Verified::unverified_own_work_tree(commit), &request)
            .map_err(|error| CommandError::failed(&error))
    }

    /// The repository whose commits are read, if not a directory.
    pub fn repository(&self) -> Option<&Path> {
        self.repository.as_deref()
    }

    /// Environments in the order that the directory's `tidegate.toml`, or that of a work tree beside
    /// the repository, names them; only those that have a branch.
    ///
    /// # Errors
    /// When none has one.
    pub fn branches(&self) -> Result<Vec<EnvironmentName>, CommandError> {
        let repository = self.repository.as_deref().unwrap_or(&self.dir);
        let files = read_work_tree(repository, None).unwrap_or_default();
        let text = files.get("tidegate.toml").map(|bytes| String::from_utf8_lossy(bytes));
        let table: toml::Table =
            text.and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
        let listed = table.get("environments").and_then(toml::Value::as_array);
        let names = listed.into_iter().flatten().filter_map(|name| name.as_str()?.parse().ok());
        let found: Vec<EnvironmentName> =
            names.filter(|name| local_tip(repository, &BranchName::of(name)).is_some()).collect();
        if found.is_empty() {
            return Err(CommandError::usage("which environments? name them with --environment"));
        }
        Ok(found)
    }
}

fn not_a_repository(dir: &Path) -> CommandError {
    CommandError::usage(format!("{} holds no tidegate.toml", dir.display()))
        .hint("name the top directory of a configuration repository; `tidegate init` makes one")
}
