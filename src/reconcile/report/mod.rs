//! Outcome → conditions → status file, journal, metrics.
//!
//! In: what one pass decided and saw. Out: [`Status`], [`Record`]s, [`Measures`]. Effect: writes the
//! first two below the state directory.
//!
//! # Guarantees
//! * The status is written only when something in it changed: an idle pass writes nothing.
//! * A service is `Synced` only when nothing differs and its health gate has passed.
//! * The journal is bounded, chained and signed with the node's key; it holds no file contents and
//!   no values of environment variables.

pub mod condition;
pub mod journal;
pub mod status;
pub mod store;
pub mod metrics;

pub use condition::{Facts, Reach, next_status};
pub use journal::{Entry, Fault, JOURNAL_NAMESPACE, JournalError, Record, Verdict, verify};
pub use metrics::{End, Measures, RuleTally};
pub use status::{
    ComplianceStatus, ConfigurationFault, ContainerStatus, Health, Outage, RefusedCommit,
    Revisions, RuleCount, ServiceStatus, Status, Sync, TrustLevel, WaitingCommit,
};
pub use store::{Journal, StatusFile, StoreError, read_journal};

#[cfg(test)]
mod tests;
