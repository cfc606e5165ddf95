//! What should run on one node, resolved from a verified snapshot.
//!
//! In: `Verified<Snapshot>`, the node's name. Out: [`DesiredState`], or all mistakes at once. Pure.
//!
//! # Guarantees
//! * Resolving depends on the files, the environment and the node's own document alone, never on
//!   what runs.
//! * Every image is a pin; every variable is substituted; nothing is left to decide.
//! * What this version does not know is refused by name, never accepted and ignored.

pub mod container;
pub mod service;

pub use container::{ContainerSpec, DesiredContainer};
pub use service::{DesiredNetwork, DesiredService, DesiredState, DesiredVolume};
