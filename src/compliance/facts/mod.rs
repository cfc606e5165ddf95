//! What is so on the node: collected once for a check, bounded, shown by `tidegate facts`.
//!
//! In: the host, what the engine showed. Out: [`Facts`]. Effect: reads the host; runs `rpm` and
//! `systemctl` where they are needed.
//!
//! # Guarantees
//! * Every fact of [`FACTS`] is there: with its value, or with the reason why it is not known.
//! * What not everybody may read is compared and not shown.
//! * Lists and texts are bounded. Each fact is read when a check begins, and only if one of its rules
//!   asks for it: none is kept for the next, which would judge by what is no longer so.

mod accounts;
mod collect;
mod engine;
mod filesystems;
mod network;
mod packages;
mod system;
mod units;

pub use collect::{Wanted, collect};
pub use engine::{learn_stock, learn_versions};

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::VersionOrder;
use crate::reconcile::desired::rule::{FACTS, Fact};

/// More rows than any real host has; a runaway list must not fill memory.
pub const ROWS_MAX: usize = 20_000;
/// Longer texts are cut: facts are for comparing.
pub const TEXT_CHARS_MAX: usize = 4_096;

/// Stands for what is not shown.
pub const HIDDEN: &str = "a value that not everybody may read";

/// Everything that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<&'static str, Known>);

/// What is known of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// One value.
    One(FactValue),
    /// Rows.
    Rows(Vec<Row>),
    /// Nothing, and why.
    Missing(String),
}

/// One thing with several values; a field that is not among them is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row(pub Vec<(&'static str, FactValue)>);

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactValue {
    /// Text.
    Text(String),
    /// Text that not everybody may read: compared, never shown.
    Hidden(String),
    /// A version, with whose order it has.
    Version(String, VersionOrder),
    /// A number, bytes included.
    Number(i64),
    /// A truth.
    Boolean(bool),
    /// Known to be none: no test fits it, and it is not shown.
    Nothing,
}

impl FactValue {
    /// Text, bounded.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().chars().take(TEXT_CHARS_MAX).collect())
    }

    /// A version in dpkg's order.
    pub fn version(text: impl AsRef<str>) -> Self {
        Self::Version(text.as_ref().trim().to_owned(), VersionOrder::Debian)
    }

    /// A count.
    pub fn count(number: impl TryInto<i64>) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl std::fmt::Display for FactValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) | Self::Version(text, _) => f.pad(text),
            Self::Hidden(_) => f.pad(HIDDEN),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Nothing => f.pad(""),
        }
    }
}

impl Row {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&FactValue> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// The text of a field; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(FactValue::Text(text) | FactValue::Version(text, _)) => text,
            _ => "",
        }
    }
}

impl Facts {
    /// What is known of the fact called `name`.
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }

    /// The rows of a fact; none where they are not known.
    pub fn rows(&self, name: &str) -> &[Row] {
        match self.0.get(name) {
            Some(Known::Rows(rows)) => rows,
            _ => &[],
        }
    }

    /// Learns a fact of [`FACTS`]; rows beyond [`ROWS_MAX`] are left out.
    pub fn learn(&mut self, name: &'static str, mut known: Known) {
        if let Known::Rows(rows) = &mut known {
            rows.truncate(ROWS_MAX);
        }
        self.0.insert(name, known);
    }

    /// Learns one value, or why there is none.
    pub fn one(&mut self, name: &'static str, value: Option<FactValue>, otherwise: &str) {
        let missing = || Known::Missing(otherwise.to_owned());
        self.learn(name, value.map_or_else(missing, Known::One));
    }

    /// Keeps the facts whose names fit.
    pub fn keep(&mut self, fits: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| fits(name));
    }

    /// Every fact in the order of the manual.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Fact, &Known)> {
        FACTS.iter().filter_map(|fact| Some((fact, self.0.get(fact.name)?)))
    }
}

impl Serialize for FactValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Version(text, _) => serializer.serialize_str(text),
            Self::Hidden(_) => serializer.serialize_str(HIDDEN),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Boolean(truth) => serializer.serialize_bool(*truth),
            Self::Nothing => serializer.serialize_none(),
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.0.iter().filter(|(_, value)| *value != FactValue::Nothing);
        serializer.collect_map(shown.map(|(name, value)| (name, value)))
    }
}

impl Serialize for Facts {
    /// Known facts by name; the others under `missing`, with the reason.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut missing = BTreeMap::new();
        for (fact, known) in self.iter() {
            match known {
                Known::One(value) => map.serialize_entry(fact.name, value)?,
                Known::Rows(rows) => map.serialize_entry(fact.name, rows)?,
                Known::Missing(reason) => drop(missing.insert(fact.name, reason)),
            }
        }
        map.serialize_entry("missing", &missing)?;
        map.end()
    }
}
