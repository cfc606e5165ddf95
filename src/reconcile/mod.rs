//! One pass: from the fetched revision to what runs, and what is said about it.
//!
//! In: the node's settings, its memory, Git and Docker. Out: a report.
//!
//! The stages stand in flow order; each takes what the one before gives.

pub mod source;
pub mod trust;
pub mod desired;
pub mod memory;
pub mod observed;
pub mod plan;
pub mod apply;
pub mod pass;
pub mod report;
