//! What repository commands read: a work tree, or a revision of a repository, as files.
//!
//! In: a directory, or `--repository` and `--revision`. Out: files. Effect: reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::error::CommandError;
use crate::cli::repository::{commit, open};
use crate::clients::git::branches;
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
    /// The commit to read, as git names it (default: each environment's own branch)
    #[arg(long, value_name = "REV", requires = "repository")]
    revision: Option<String>,
}

impl Place {
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

    /// The directory, where no repository is named.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The commit that was asked for by name.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// The repository whose commits are read, if not a directory.
    pub fn repository(&self) -> Option<&Path> {
        self.repository.as_deref()
    }

    /// Environments that have a branch in the repository, in the order that `tidegate.toml` names
    /// them.
    ///
    /// # Errors
    /// When none has one.
    pub fn branches(&self) -> Result<Vec<EnvironmentName>, CommandError> {
        let repository = self.repository.as_deref().unwrap_or(&self.dir);
        let names = branches(repository);
        let names = names.iter().filter_map(|name| name.as_str().parse::<EnvironmentName>().ok());
        let mut first: Option<Files> = None;
        let mut found: Vec<EnvironmentName> = Vec::new();
        for name in names {
            let Ok(snapshot) = self.environment(&name) else { continue };
            let files = &snapshot.get().files;
            if files.keys().any(|path| path.starts_with("environments/")) {
                first.get_or_insert_with(|| files.clone());
                found.push(name);
            }
        }
        found = in_order(&first.unwrap_or_default(), found);
        if found.is_empty() {
            let shown = repository.display();
            return Err(CommandError::usage(format!("{shown} has no environment's branch"))
                .hint("an environment `prd` is a branch `prd` that holds `environments/prd/`"));
        }
        Ok(found)
    }
}

/// Environments in the order in which `tidegate.toml` names them.
pub fn in_order(files: &Files, mut names: Vec<EnvironmentName>) -> Vec<EnvironmentName> {
    let order = listed(files);
    let rank = |name: &EnvironmentName| order.iter().position(|other| other == name.as_str());
    names.sort_by_key(|name| rank(name).unwrap_or(usize::MAX));
    names
}

/// The environments that `tidegate.toml` names.
fn listed(files: &Files) -> Vec<String> {
    let text = files.get("tidegate.toml").map(|bytes| String::from_utf8_lossy(bytes));
    let table: toml::Table = text.and_then(|text| toml::from_str(&text).ok()).unwrap_or_default();
    let names = table.get("environments").and_then(toml::Value::as_array);
    names.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

fn not_a_repository(dir: &Path) -> CommandError {
    CommandError::usage(format!("{} holds no tidegate.toml", dir.display()))
        .hint("name the top directory of a configuration repository; `tidegate init` makes one")
}
