//! What should run on one node, resolved from a verified snapshot.
//!
//! In: `Verified<Snapshot>`, the node's name. Out: [`DesiredState`], or all mistakes at once. Pure.
//!
//! # Guarantees
//! * Resolving depends on the files, the environment and the node's own document alone, never on
//!   what runs.
//! * Every image is a pin; every variable is substituted; nothing is left to decide.
//! * What this version does not know is refused by name, never accepted and ignored.

mod assemble;
pub mod container;
mod cross;
mod decode;
pub mod document;
pub mod explain;
mod merge;
pub mod reach;
mod repository;
mod resolve;
pub mod rule;
mod ruleset;
pub mod schema;
mod select;
pub mod service;
mod substitute;

pub use container::{ContainerSpec, DesiredContainer};
pub(crate) use repository::Repository;
pub(crate) use resolve::Reading;
pub use resolve::{Resolution, ResolveError, resolve};
pub(crate) use ruleset::rulesets_shown;
pub use service::{DesiredNetwork, DesiredService, DesiredState, DesiredVolume, PinSource};
