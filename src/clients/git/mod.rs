//! Git: fetching in a bounded child process, and reading objects exactly as stored.
//!
//! In: a remote, or a repository's folder. Out: a tip in a quarantine; raw objects. Effect: talks to
//! remotes (in the child), reads and writes the node's object store.
//!
//! ```text
//! limits.rs    every cap of a fetch, with its reason
//! protocol.rs  what parent and child say to each other: JSON on stdin and stdout
//! child/       the re-executed process: limits itself, fetches, checks sizes
//! parent.rs    starts it, waits within deadlines, ends it
//! blame.rs     which commit brought a line
//! names.rs     where a repository of one's own is, and what its commits are called
//! tip.rs       the tip of a repository on this machine, without a child
//! store.rs     the node's object store, quarantines, adoption
//! objects.rs   reading the objects of a repository as it is
//! reader.rs    reading objects of the store and of quarantines alone
//! start.rs     libgit2 without this machine's authorities, which only the child needs
//! write.rs     commits in a repository of one's own
//! user.rs      a person's clone, through their own git
//! ```
//!
//! # Guarantees
//! * libgit2 parses nothing from a remote outside the child.
//! * Credentials travel on the child's stdin alone: never in argv, environment or messages.
//! * Objects are read without replace refs, grafts or alternates, and with their hashes checked.

mod blame;
pub mod child;
mod limits;
mod names;
mod reader;
mod parent;
mod protocol;
mod start;
mod store;
mod tip;
mod user;
mod write;
#[cfg(test)]
mod tests;

pub use blame::line_commits;
pub use limits::FetchLimits;
pub use names::{branches, leads_to, named_commit, repository_folder};
pub use parent::{FetchProgram, FetchWish, consolidate, fetch};
pub use protocol::{FailureKind, Outcome};
pub use reader::ObjectReader;
pub use start::start;
pub use store::{NodeStore, Quarantine};
pub use tip::local_tip;
pub use user::{Pushed, Replace, Upstream, UserGitError, UserRepository, WorkTreeFiles};
pub use write::{GitWriteError, OwnRepository, TreeFile, user_config};

use std::time::Duration;

use crate::clients::host::HostError;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// This machine's own files do not work.
    #[error("a file of this node cannot be used")]
    Host(#[source] HostError),
    /// The child does not start.
    #[error("cannot start the fetch")]
    Start(#[source] std::io::Error),
    /// The remote, or this node's disk, refuses.
    #[error("{message}")]
    Refused {
        /// What kind of failure it is.
        kind: FailureKind,
        /// What it said, for people.
        message: String,
    },
    /// Nothing happened for too long.
    #[error("the remote sent nothing for {} s", after.as_secs())]
    Idle {
        /// The deadline.
        after: Duration,
    },
    /// It took too long in all.
    #[error("the fetch was not done after {} s", after.as_secs())]
    TooSlow {
        /// The deadline.
        after: Duration,
    },
    /// The child ended without an answer.
    #[error(
        "the fetch ended by {how}: what the remote sends may need more than {memory_bytes_max} bytes"
    )]
    Died {
        /// The signal or exit code.
        how: String,
        /// Its limit.
        memory_bytes_max: u64,
    },
    /// The child's answer is not one.
    #[error("the fetch gave no understandable answer")]
    Nonsense,
}

impl From<HostError> for GitError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}
