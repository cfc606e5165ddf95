//! Trust: honest histories are accepted, and each attack is refused under its own name.

mod approvals;
mod attacks;
mod corpus;
mod generated;
mod chains;
pub(crate) mod history;
mod honest;
pub(crate) mod line;
mod policies;
mod promotions;
mod properties;
mod security_keys;
mod signatures;
mod soak;
mod story;
mod trees;
mod urgent;
