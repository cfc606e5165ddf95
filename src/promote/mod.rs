//! Signed commits: composed, made, and the first ones of a repository.
//!
//! In: files, people's keys, the user's git configuration. Out: commits and branches. Effect:
//! signs, writes a repository that is the user's own.
//!
//! # Guarantees
//! * What is signed is exactly what is stored, in the form that trust demands: `gpgsig` last.
//! * A private key is read, used and dropped; it is never shown or copied.

pub mod act;
mod anchor;
mod commit;
pub mod compose;
pub mod desk;
mod history;
mod init;
mod keys;
pub mod line;
pub mod message;
pub mod pick;
pub mod proposal;
pub mod values;
pub mod rules;
pub mod review;
pub mod roster;
mod sign;
mod skeleton;
pub mod tip;

pub use anchor::{AnchorError, Line, lines};
pub use commit::{CommitDraft, Identity};
pub use history::{Files, History, HistoryError, Replayed, StepKind};
pub use init::{Anchored, InitError, InitRequest, init, read_files};
pub use keys::{KeyError, People};
pub use sign::{NAMESPACE_APPROVAL, SignError, Signer, public_key};
pub use skeleton::{Beginning, skeleton};
