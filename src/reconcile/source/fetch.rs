//! Asks a remote for its tip, and brings what is new into a quarantine.

use std::path::Path;

use crate::clients::git::{
    FetchProgram, FetchWish, GitError, NodeStore, ObjectReader, Outcome, Quarantine, consolidate,
    fetch, local_tip,
};
use crate::clients::host::HostError;
use crate::config::{Remote, RemoteUrl};
use crate::model::CommitId;

/// Why there is no tip.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The remote cannot be read.
    #[error("cannot fetch `{branch}` of {url}")]
    Fetch {
        /// The address.
        url: String,
        /// The branch.
        branch: String,
        /// Why.
        #[source]
        source: GitError,
    },
    /// The store cannot be rewritten as one pack.
    #[error("cannot consolidate the node's object store")]
    Consolidate {
        /// Why.
        #[source]
        source: GitError,
    },
    /// The node's object store does not work.
    #[error("the node's object store does not work")]
    Store(#[source] HostError),
}

impl SourceError {
    /// Whether waiting may help, without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Fetch { source, .. } if source.is_passing())
    }
}

/// Where revisions come from: the node's object store, and the program that fills it.
#[derive(Debug, Clone)]
pub struct Source {
    store: NodeStore,
    program: FetchProgram,
}

/// What asking a remote gave.
#[derive(Debug)]
pub enum Fetch {
    /// Its tip is the known one; nothing was brought.
    Unchanged {
        /// The tip.
        tip: CommitId,
    },
    /// It has another tip.
    New(Fetched),
}

/// A tip that was fetched and not yet judged. Dropped, what was brought is gone.
#[derive(Debug)]
pub struct Fetched {
    tip: CommitId,
    quarantine: Quarantine,
}

impl Source {
    /// Opens, or makes, the object store in `state_dir`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(state_dir: &Path, program: FetchProgram) -> Result<Self, SourceError> {
        let store = NodeStore::open(state_dir).map_err(SourceError::Store)?;
        Ok(Self { store, program })
    }

    /// Reads what was adopted.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn objects(&self) -> Result<ObjectReader, SourceError> {
        self.store.reader().map_err(SourceError::Store)
    }

    /// Reads what was adopted, and what was brought and is not.
    ///
    /// # Errors
    /// When one of it is damaged.
    pub fn objects_with<'a>(
        &self,
        brought: impl IntoIterator<Item = &'a Fetched>,
    ) -> Result<ObjectReader, SourceError> {
        let quarantines = brought.into_iter().map(|fetched| &fetched.quarantine);
        self.store.reader_with(quarantines).map_err(SourceError::Store)
    }

    /// Whether the store holds `commit`: if not, it must not be given as known.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn has(&self, commit: CommitId) -> Result<bool, SourceError> {
        Ok(self.objects()?.has(commit))
    }

    /// Rewrites the store as one pack when adoptions have left many. `roots` are the commits whose
    /// history is still needed: verified tips, sources' tips, applied revisions. Gives whether it did.
    ///
    /// # Errors
    /// When it cannot; the store is as good as before then.
    pub async fn consolidate(&self, roots: &[CommitId]) -> Result<bool, SourceError> {
        let done = consolidate(&self.program, &self.store, roots).await;
        done.map_err(|source| SourceError::Consolidate { source })
    }

    /// Asks `remote` for its tip. `known` is a tip whose verdict the caller holds: nothing is brought
    /// for it. `haves` are verified commits, which need not be sent again.
    ///
    /// A repository on this machine is asked by reading one reference; every other answer comes from
    /// the bounded child.
    ///
    /// # Errors
    /// When the remote cannot be read within its limits. Nothing was changed then.
    pub async fn fetch(
        &self,
        remote: &Remote,
        known: Option<CommitId>,
        haves: &[CommitId],
    ) -> Result<Fetch, SourceError> {
        if let (RemoteUrl::Path(path), Some(known)) = (&remote.url, known)
            && local_tip(path, &remote.branch) == Some(known)
        {
            return Ok(Fetch::Unchanged { tip: known });
        }
        let wish = FetchWish { remote, known, haves: haves.to_vec() };
        let fetched = fetch(&self.program, &self.store, &wish).await;
        let (outcome, quarantine) = fetched.map_err(|source| SourceError::Fetch {
            url: remote.url.to_string(),
            branch: remote.branch.to_string(),
            source,
        })?;
        Ok(match outcome {
            Outcome::Unchanged { tip } => Fetch::Unchanged { tip },
            Outcome::Fetched { tip, .. } => Fetch::New(Fetched { tip, quarantine }),
        })
    }
}

impl Fetched {
    /// The remote's tip.
    pub fn tip(&self) -> CommitId {
        self.tip
    }

    /// Reads what was brought, over what the store holds.
    ///
    /// # Errors
    /// When either is damaged.
    pub fn objects(&self) -> Result<ObjectReader, SourceError> {
        self.quarantine.reader().map_err(SourceError::Store)
    }

    /// Moves what was brought into the store, durably. Call it once a commit of it is verified, and
    /// before that commit is remembered.
    ///
    /// # Errors
    /// When it cannot be moved; the store is as good as before then.
    pub fn adopt(self) -> Result<(), SourceError> {
        self.quarantine.adopt().map_err(SourceError::Store)
    }
}
