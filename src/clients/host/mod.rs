//! The host: small durable files, keys, locks, work trees, and what rules see and change.
//!
//! In: paths and bytes. Out: bytes, keys, locks. Effect: reads and writes files.
//!
//! # Guarantees
//! * What was written durably is there after a power loss, whole, or what was there before.
//! * Every read is bounded.

mod durable;
mod files;
mod follow;
mod key;
mod lock;
mod managed;
mod process;
mod read;
mod root;
mod seen;
mod silence;
mod tree;
#[cfg(test)]
mod tests;

pub use durable::{DurableFile, Loaded};
pub use files::{create_private_dir, write_durable, write_file, write_file_durable};
pub use follow::Follower;
pub use key::NodeKey;
pub use lock::EngineLock;
pub use managed::{InstalledPackage, Modules, Units, unfinished_of, versions_of};
pub use process::{CHANGE_TIME_MAX, LOOK_TIME_MAX, ProcessError, Program, Ran, run};
pub use read::{others_read, read_bounded};
pub use root::{Extended, HostRoot};
pub use seen::certificate;
pub use silence::Silence;
pub use tree::{FILE_BYTES_MAX, FILES_MAX, TREE_BYTES_MAX, read_tree};

use std::path::{Path, PathBuf};

/// Something on the host that does not work.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A call of the system failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `lock`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file is over its limit.
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A file or folder is not as it must be.
    #[error("{}: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A program of the host could not do it.
    #[error("{action} is not possible")]
    Program {
        /// What was tried.
        action: String,
        /// Why not.
        #[source]
        source: ProcessError,
    },
    /// It failed half-way, and what was done cannot be taken back.
    #[error("a change was left half done, as taking it back failed ({reason})")]
    HalfDone {
        /// Why not.
        reason: String,
        /// What failed first.
        #[source]
        source: Box<HostError>,
    },
    /// Another agent has the engine.
    #[error("another agent has this engine: {holder} (lock {})", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
        /// Who has it, as far as it is known.
        holder: String,
    },
}

impl HostError {
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn unfit(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unfit { path: path.to_owned(), reason: reason.into() }
    }
}
