//! Git: the only user of libgit2.
//!
//! Effect: reads and writes repositories.

mod write;

pub use write::{GitWriteError, OwnRepository, TreeFile, user_config};
