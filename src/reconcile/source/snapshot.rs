//! A revision's files, as bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Revision, ServiceName};

/// A revision that cannot be taken whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A file is over the limit.
    #[error("`{path}` has {bytes} bytes; the limit is {bytes_max}")]
    FileTooLarge {
        /// Path within the repository.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// All files together are over the limit.
    #[error("the files take {bytes} bytes; the limit is {bytes_max}")]
    TooLarge {
        /// Their size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
}

/// Every file of a revision that this environment may read: what flows, and its own directory.
/// Other environments' directories are never read.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Where the files come from.
    pub revision: Revision,
    /// The commit's time (TRUST.md, "Time"); none for a work tree.
    pub time: Option<Timestamp>,
    /// Services that a trailer `Allow-Removal:` names on a commit above the applied one.
    pub allow_removal: std::collections::BTreeSet<ServiceName>,
    /// Contents by path within the repository, with `/`.
    pub files: BTreeMap<String, Arc<[u8]>>,
}
