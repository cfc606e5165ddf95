//! A TOML value that knows where it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::reconcile::desired::document::place::Place;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where the value stands.
    pub(crate) at: Place,
    /// The value.
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// The same, written in octal: `0o644`.
    Octal(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time, as written.
    Time(String),
    /// `[…]`.
    List(Vec<Node>),
    /// `{…}` or `[header]`.
    Table(Table),
}

impl Value {
    /// What a person would call it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) | Self::Octal(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Time(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) key_at: Place,
    /// The value.
    pub(crate) node: Node,
}

/// Keys and values, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table(pub(crate) BTreeMap<String, Entry>);

impl Table {
    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|entry| &entry.node)
    }

    /// The table under `key`, if there is one.
    pub(crate) fn table(&self, key: &str) -> Option<&Self> {
        self.get(key).and_then(Node::as_table)
    }

    /// Whether a text in it refers to something: `${vars.x}`.
    pub(crate) fn refers(&self) -> bool {
        self.0.values().any(|entry| entry.node.refers())
    }

    /// The names under `key`, whether what stands there is sound or not.
    pub(crate) fn names<T: FromStr + Ord>(&self, key: &str) -> BTreeSet<T> {
        let names = self.table(key).into_iter().flat_map(|table| table.0.keys());
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// The tables under `key` with their names: `[containers.web]`, `[containers.db]`.
    pub(crate) fn tables(&self, key: &str) -> impl Iterator<Item = (&str, Place, &Self)> {
        self.table(key).into_iter().flat_map(|table| table.0.iter()).filter_map(|(name, entry)| {
            entry.node.as_table().map(|table| (name.as_str(), entry.key_at, table))
        })
    }
}

impl Node {
    /// The string, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn refers(&self) -> bool {
        match &self.value {
            Value::Text(text) => text.contains("${"),
            Value::List(list) => list.iter().any(Self::refers),
            Value::Table(table) => table.refers(),
            _ => false,
        }
    }

    /// The table, if it is one.
    pub(crate) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The elements of a list, or the value itself: `"x"` where `["x"]` is meant.
    pub(crate) fn one_or_many(&self) -> &[Self] {
        self.as_list().unwrap_or(std::slice::from_ref(self))
    }
}
