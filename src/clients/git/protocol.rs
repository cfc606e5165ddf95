//! What parent and child say to each other: one JSON document on stdin, lines of JSON on stdout.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clients::git::FetchLimits;
use crate::model::CommitId;

/// The child's whole order. It is the only place where credentials travel.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Process id of the parent, so that an orphan notices.
    pub(crate) parent: i32,
    /// The address.
    pub(crate) url: String,
    /// The branch, without `refs/heads/`.
    pub(crate) branch: String,
    /// The tip that needs no fetching.
    pub(crate) known: Option<CommitId>,
    /// Commits that the store has.
    pub(crate) haves: Vec<CommitId>,
    /// To consolidate the store rather than to fetch: the commits whose objects are kept.
    pub(crate) roots: Vec<CommitId>,
    /// The store's objects.
    pub(crate) objects: PathBuf,
    /// An empty folder to fetch into.
    pub(crate) quarantine: PathBuf,
    /// Contents of `known_hosts` (ssh).
    pub(crate) known_hosts: Option<String>,
    /// Contents of the private key (ssh).
    pub(crate) identity: Option<String>,
    /// User and password (https).
    pub(crate) credentials: Option<(String, String)>,
    /// Proxy (https).
    pub(crate) proxy: Option<String>,
    /// What it may take.
    pub(crate) limits: FetchLimits,
}

/// One line of the child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Line {
    /// It goes on.
    Progress {
        /// Bytes received.
        bytes: u64,
    },
    /// It is done.
    Done(Outcome),
    /// It is not.
    Failed {
        /// What kind of failure it is.
        kind: FailureKind,
        /// For people.
        message: String,
    },
}

/// What a fetch gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The remote's tip is the known one.
    Unchanged {
        /// The tip.
        tip: CommitId,
    },
    /// The tip's objects are in the quarantine or in the store.
    Fetched {
        /// The tip.
        tip: CommitId,
        /// Objects received.
        objects: u32,
        /// Bytes received.
        bytes: u64,
    },
}

impl Outcome {
    /// The remote's tip.
    pub fn tip(self) -> CommitId {
        match self {
            Self::Unchanged { tip } | Self::Fetched { tip, .. } => tip,
        }
    }
}

/// What kind of failure it is, which decides what people are told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Name, connection or transfer: tried again later.
    Unreachable,
    /// There is no repository.
    RepositoryMissing,
    /// The branch is gone or was never there.
    BranchMissing,
    /// The server's host key is not the pinned one.
    HostKey,
    /// The server's certificate is not trusted.
    Certificate,
    /// The server refuses the credentials.
    Credentials,
    /// It is over a limit of [`FetchLimits`].
    TooLarge,
    /// What was sent is not a pack, or is damaged.
    Garbage,
    /// This node's disk is full or fails.
    Storage,
    /// Anything else.
    Other,
}
