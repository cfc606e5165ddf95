//! Git → a revision's files as bytes, bounded.
//!
//! In: a remote and what is known of it. Out: [`Fetched`], whose objects trust judges and makes a
//! [`Snapshot`] of; or a work tree's files. Effect: runs the fetching child, fills the node's object store.
//!
//! Expected flow: [`Source::fetch`] → [`Fetched::objects`] → trust → [`Fetched::adopt`].
//!
//! # Guarantees
//! * What was fetched is in a quarantine until it is adopted; dropped, it is gone.
//! * Other environments' directories are never read.

mod fetch;
mod files;
mod snapshot;

pub use fetch::{Fetch, Fetched, Source, SourceError};
pub use files::read_work_tree;
pub use snapshot::{Snapshot, SnapshotError};
