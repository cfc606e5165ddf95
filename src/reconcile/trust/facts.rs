//! What a commit's tree says about trust: its policy, its certificates, its repository's name.
//!
//! In: trees and files through [`Objects`]. Out: [`Facts`], each distinct one read once. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{EnvironmentName, ObjectId};
use crate::reconcile::trust::policy::{POLICY_BYTES_MAX, PolicyError, TrustPolicy};
use crate::reconcile::trust::signature::SignatureError;
use crate::reconcile::trust::signature::openpgp::{CERTIFICATE_BYTES_MAX, Certificates};
use crate::reconcile::trust::tree::{Entry, Mode, TreeError, Trees};
use crate::reconcile::trust::{Objects, ObjectsError};

/// The largest `tidegate.toml`.
const REPOSITORY_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Files in `keys/`.
const KEY_FILES_MAX: usize = 1_000;

/// Why a tree's trust cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// An object is missing or damaged.
    #[error("{0}")]
    Tree(TreeError),
    /// A file is not there.
    #[error("`{path}` is missing")]
    Missing {
        /// Its path.
        path: String,
    },
    /// `trust.toml` is not valid.
    #[error("`{path}` is not valid: {error}")]
    Policy {
        /// Its path.
        path: String,
        /// Why.
        error: PolicyError,
    },
    /// A file in `keys/` is not a certificate.
    #[error("`{path}` is not an OpenPGP certificate: {error}")]
    Certificate {
        /// Its path.
        path: String,
        /// Why.
        error: SignatureError,
    },
    /// `keys/` holds directories, or too many files.
    #[error("`{path}` holds directories or more than {KEY_FILES_MAX} files")]
    KeysFolder {
        /// Its path.
        path: String,
    },
    /// A listed OpenPGP key has no certificate.
    #[error("trust.toml lists openpgp:{fingerprint}, but no certificate in keys/ has that key")]
    NoCertificate {
        /// As listed.
        fingerprint: String,
    },
    /// `tidegate.toml` cannot be read.
    #[error("`tidegate.toml` does not say which repository it is: {message}")]
    Repository {
        /// Why.
        message: String,
    },
}

/// The policy of one tree, with the certificates that it leans on.
#[derive(Debug)]
pub struct Trust {
    /// `environments/<own>/trust.toml`.
    pub policy: TrustPolicy,
    /// `environments/<own>/keys/`.
    pub certificates: Certificates,
}

/// What one tree says.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its policy and certificates.
    pub trust: Arc<Trust>,
    /// `repository` in `tidegate.toml`, if that file is there; an anchor's may be wrong.
    pub repository: Result<Option<Arc<str>>, FactsError>,
}

type Cache<T> = HashMap<ObjectId, Result<T, FactsError>>;

/// Reads facts of one environment.
pub struct FactsReader<'a, O> {
    objects: &'a O,
    environment: EnvironmentName,
    own_directories: HashMap<ObjectId, Option<ObjectId>>,
    trusts: Cache<Arc<Trust>>,
    repositories: Cache<Arc<str>>,
    last: Option<(ObjectId, Facts)>,
}

impl<'a, O: Objects> FactsReader<'a, O> {
    /// A reader that has read nothing yet.
    pub fn new(objects: &'a O, environment: &EnvironmentName) -> Self {
        Self {
            objects,
            environment: environment.clone(),
            own_directories: HashMap::new(),
            trusts: HashMap::new(),
            repositories: HashMap::new(),
            last: None,
        }
    }

    /// What the tree `root` says.
    ///
    /// # Errors
    /// When it has no valid `trust.toml`, or what belongs to it cannot be read.
    pub fn of(&mut self, trees: &Trees<'a, O>, root: ObjectId) -> Result<Facts, FactsError> {
        if let Some((_, facts)) = self.last.as_ref().filter(|(tree, _)| *tree == root) {
            return Ok(facts.clone());
        }
        let entries = trees.entries(root).map_err(FactsError::Tree)?;
        let own = self.own_directory(trees, &entries)?;
        let own = own.ok_or_else(|| missing(&self.path("trust.toml")))?;
        let trust = if let Some(known) = self.trusts.get(&own) {
            known.clone()
        } else {
            let read = self.trust(trees, own).map(Arc::new);
            self.trusts.insert(own, read.clone());
            read
        }?;
        let repository = self.repository(&entries);
        let facts = Facts { trust, repository };
        self.last = Some((root, facts.clone()));
        Ok(facts)
    }

    /// Whether the environment has begun in the tree `root`: its `trust.toml` is there.
    ///
    /// # Errors
    /// When a tree on the way cannot be read.
    pub fn has_begun(&mut self, trees: &Trees<'a, O>, root: ObjectId) -> Result<bool, TreeError> {
        let entries = trees.entries(root)?;
        let own = match self.own_directory(trees, &entries) {
            Err(FactsError::Tree(error)) => return Err(error),
            Err(_) | Ok(None) => return Ok(false),
            Ok(Some(own)) => own,
        };
        if self.trusts.contains_key(&own) {
            return Ok(true);
        }
        Ok(file(&trees.entries(own)?, "trust.toml").is_some())
    }

    fn path(&self, below: &str) -> String {
        format!("environments/{}/{below}", self.environment)
    }

    fn own_directory(
        &mut self,
        trees: &Trees<'a, O>,
        root: &[Entry],
    ) -> Result<Option<ObjectId>, FactsError> {
        let Some(above) = directory(root, "environments") else { return Ok(None) };
        if let Some(known) = self.own_directories.get(&above) {
            return Ok(*known);
        }
        let entries = trees.entries(above).map_err(FactsError::Tree)?;
        let own = directory(&entries, self.environment.as_str());
        self.own_directories.insert(above, own);
        Ok(own)
    }

    fn trust(&self, trees: &Trees<'a, O>, own: ObjectId) -> Result<Trust, FactsError> {
        let entries = trees.entries(own).map_err(FactsError::Tree)?;
        let path = self.path("trust.toml");
        let id = file(&entries, "trust.toml").ok_or_else(|| missing(&path))?;
        let bytes = self.blob(id, POLICY_BYTES_MAX)?;
        let policy =
            TrustPolicy::parse(&bytes).map_err(|error| FactsError::Policy { path, error })?;
        let mut certificates = Certificates::default();
        // Without OpenPGP keys the folder may hold what it likes: nobody reads it.
        let keys = directory(&entries, "keys").filter(|_| policy.openpgp_keys().next().is_some());
        if let Some(keys) = keys {
            let files = trees.entries(keys).map_err(FactsError::Tree)?;
            if files.len() > KEY_FILES_MAX || !files.iter().all(is_file) {
                return Err(FactsError::KeysFolder { path: self.path("keys") });
            }
            for entry in files.iter() {
                let path = self.path(&format!("keys/{}", String::from_utf8_lossy(&entry.name)));
                let bytes = self.blob(entry.id, CERTIFICATE_BYTES_MAX)?;
                let wrong = |error| FactsError::Certificate { path, error };
                certificates.add(&bytes).map_err(wrong)?;
            }
        }
        let absent = policy.openpgp_keys().find(|print| !certificates.contains(print));
        if let Some(fingerprint) = absent {
            return Err(FactsError::NoCertificate { fingerprint: fingerprint.to_owned() });
        }
        Ok(Trust { policy, certificates })
    }

    fn repository(&mut self, root: &[Entry]) -> Result<Option<Arc<str>>, FactsError> {
        let Some(id) = file(root, "tidegate.toml") else { return Ok(None) };
        if let Some(known) = self.repositories.get(&id) {
            return known.clone().map(Some);
        }
        let read = self.blob(id, REPOSITORY_FILE_BYTES_MAX).and_then(|bytes| repository(&bytes));
        self.repositories.insert(id, read.clone());
        read.map(Some)
    }

    fn blob(&self, id: ObjectId, bytes_max: u64) -> Result<Vec<u8>, FactsError> {
        let read = self.objects.blob(id, bytes_max);
        read.map_err(|error: ObjectsError| FactsError::Tree(TreeError::Objects(error)))
    }
}

fn repository(bytes: &[u8]) -> Result<Arc<str>, FactsError> {
    let wrong = |message: String| FactsError::Repository { message };
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let table: Result<toml::Table, _> = toml::from_str(text);
    let table = table.map_err(|error| wrong(error.message().replace('\n', " ")))?;
    match table.get("repository") {
        // It becomes a line of what approvers sign.
        Some(toml::Value::String(name)) if !name.contains(char::is_control) => {
            Ok(Arc::from(name.as_str()))
        }
        Some(_) => Err(wrong("`repository` is not a plain text".to_owned())),
        None => Err(wrong("`repository` is missing".to_owned())),
    }
}

fn missing(path: &str) -> FactsError {
    FactsError::Missing { path: path.to_owned() }
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.mode, Mode::File | Mode::Executable)
}

fn named<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| entry.name == name.as_bytes())
}

fn directory(entries: &[Entry], name: &str) -> Option<ObjectId> {
    named(entries, name).filter(|entry| entry.mode == Mode::Directory).map(|entry| entry.id)
}

fn file(entries: &[Entry], name: &str) -> Option<ObjectId> {
    named(entries, name).filter(|entry| is_file(entry)).map(|entry| entry.id)
}
