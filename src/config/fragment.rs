//! Raw configuration: values with their places, merged over several files.
//!
//! In: TOML. Out: [`Fragment`]. Pure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::model::Diagnostic;

/// Where something stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: Arc<str>,
    /// Byte range within it.
    pub(crate) span: Range<usize>,
}

impl Place {
    /// An error at this place.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.file, Some(self.span.clone()), message)
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) place: Place,
}

/// What a key may hold here.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A list.
    List(Vec<Placed<Value>>),
    /// A table.
    Table(Fragment),
    /// Something no key of ours holds, by its TOML name.
    Other(&'static str),
}

impl Value {
    /// The TOML name of what this is.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// A table of one file, or of several merged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fragment(pub(crate) BTreeMap<String, Entry>);

/// A key's value, and where the key stands.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) key: Place,
    /// Its value.
    pub(crate) value: Placed<Value>,
}

impl Fragment {
    /// Reads one file's text.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Diagnostic> {
        let file: Arc<str> = file.into();
        match DeTable::parse(text) {
            Ok(table) => Ok(fragment(&file, table.get_ref())),
            Err(error) => Err(Diagnostic::error(&file, error.span(), error.message())),
        }
    }

    /// Adds a later file: tables merge key by key, anything else is replaced.
    pub(crate) fn merge(&mut self, later: Self) {
        for (name, entry) in later.0 {
            let Some(mine) = self.0.get_mut(&name) else {
                self.0.insert(name, entry);
                continue;
            };
            match (&mut mine.value.value, entry.value.value) {
                (Value::Table(table), Value::Table(other)) => table.merge(other),
                (value, other) => {
                    *value = other;
                    mine.key = entry.key;
                    mine.value.place = entry.value.place;
                }
            }
        }
    }
}

fn fragment(file: &Arc<str>, table: &DeTable<'_>) -> Fragment {
    let entries = table.iter().map(|(key, value)| {
        let place = Place { file: file.clone(), span: key.span() };
        let placed = placed(file, value.span(), value.get_ref());
        (key.get_ref().to_string(), Entry { key: place, value: placed })
    });
    Fragment(entries.collect())
}

fn placed(file: &Arc<str>, span: Range<usize>, value: &DeValue<'_>) -> Placed<Value> {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number that is too large"), Value::Integer),
        DeValue::Array(list) => {
            Value::List(list.iter().map(|item| placed(file, item.span(), item.get_ref())).collect())
        }
        DeValue::Table(table) => Value::Table(fragment(file, table)),
        DeValue::Boolean(_) => Value::Other("a boolean"),
        DeValue::Float(_) => Value::Other("a float"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Placed { value, place: Place { file: file.clone(), span } }
}
