//! What lies in the registries: pins now, copies later.
//!
//! In: a hub and a repository's files. Out: a changed ruleset file. Effect: asks the hub, writes
//! that file.

mod edit;
mod pin;

pub use edit::{EditError, Pin, edit, ruleset_for};
pub use pin::{PinError, PinRequest, Pinned, pin};
