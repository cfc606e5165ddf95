//! What verified history says, for auditors: who promoted what, what was wanted when, by which way.
//!
//! In: the verdict on a chain, its commits' files, nodes' journals as text. Out: reports. Pure.
//!
//! # Guarantees
//! * Only commits that were judged good count; where a chain is refused, the report says so first.
//! * What Git wanted is resolved by the nodes' own code, and never called what ran.
//! * Every row names its commit.

pub mod chain;
pub mod csv;
pub mod date;
pub mod html;
pub mod images;
pub mod interval;
pub mod journals;
pub mod log;
pub mod observed;
pub mod people;
pub mod provenance;
pub mod slice;
pub mod replay;
pub mod sheet;
pub mod step;
pub mod view;
pub mod wanted;

pub use chain::{Chain, Head};
pub use date::Date;
pub use images::{ImagesReport, Period};
pub use log::{LogReport, LogRequest};
pub use provenance::ProvenanceReport;

/// JSON Schemas of the reports, by name.
pub const SCHEMAS: [(&str, &str); 3] = [
    ("audit-images", include_str!("../../docs/schema/audit-images.json")),
    ("audit-log", include_str!("../../docs/schema/audit-log.json")),
    ("audit-provenance", include_str!("../../docs/schema/audit-provenance.json")),
];
