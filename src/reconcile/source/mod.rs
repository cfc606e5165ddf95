//! Git → a revision's files as bytes, bounded.
//!
//! In: a repository and a commit. Out: [`Snapshot`]. Effect: reads the node's object store.

mod snapshot;

pub use snapshot::{Snapshot, SnapshotError};
