//! The only users of git2, of the Docker Engine API, of registries, of the host's file system and of a
//! port of its own.
//!
//! Each outside system is a reading and a writing trait, so that the same loop runs against a
//! seeded simulator.

pub mod host;
pub mod git;
pub mod docker;
pub mod registry;
pub mod listen;
