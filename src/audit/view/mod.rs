//! Reports as people read them.
//!
//! In: reports. Out: [`crate::audit::sheet::Sheet`]s. Pure.

mod images;
mod log;
mod provenance;

pub use images::images;
pub use log::log;
pub use provenance::provenance;
