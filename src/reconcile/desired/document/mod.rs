//! TOML documents with the place of every key and value, checked against a description of their keys.
//!
//! In: a file's bytes, [`kind::Keys`]. Out: [`node::Node`]s and [`place::Findings`]. Pure.
//!
//! # Guarantees
//! * Every mistake is collected, with its place; none stops at the first.
//! * Nothing is too large, too deep or too long to be read with bounded memory and stack.

pub mod check;
pub mod json_schema;
pub mod kind;
pub(crate) mod node;
pub(crate) mod place;
pub(crate) mod read;
