//! Git: the only user of libgit2.
//!
//! Effect: reads and writes repositories.

mod objects;
mod write;

pub use objects::ObjectStore;
pub use write::{GitWriteError, OwnRepository, TreeFile, user_config};
