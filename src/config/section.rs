//! Strict reading of one table: each key is asked for once, what is left over is unknown.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config::RemoteUrl;
use crate::config::fragment::{Entry, Fragment, Placed, Value};
use crate::model::{Diagnostic, Diagnostics};

/// Below this likeness a suggestion would confuse more than help.
const LIKENESS_MIN: f64 = 0.7;

/// A table being read.
pub(crate) struct Section<'a> {
    name: String,
    rest: Fragment,
    known: BTreeSet<&'static str>,
    findings: &'a mut Diagnostics,
}

impl<'a> Section<'a> {
    /// Starts reading `fragment`, called `name` in messages (empty for the top).
    pub(crate) fn new(name: &str, fragment: Fragment, findings: &'a mut Diagnostics) -> Self {
        Self { name: name.to_owned(), rest: fragment, known: BTreeSet::new(), findings }
    }

    /// Adds a finding.
    pub(crate) fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// The value of `key`, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Placed<Value>> {
        self.known.insert(key);
        self.rest.0.remove(key).map(|entry| entry.value)
    }

    /// Whether `key` is there and not read yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.rest.0.contains_key(key)
    }

    /// A whole number within `range`.
    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let Placed { value, place } = self.take(key)?;
        match value {
            Value::Integer(number) if range.contains(&number) => Some(number),
            _ => {
                let (min, max) = range.into_inner();
                let message = format!("`{}` is not a number from {min} to {max}", self.full(key));
                self.report(place.error(message));
                None
            }
        }
    }

    /// A path that has a meaning only for addresses of `scheme`.
    pub(crate) fn for_url(
        &mut self,
        key: &'static str,
        url: Option<&RemoteUrl>,
        scheme: &str,
    ) -> Option<PathBuf> {
        let place = self.rest.0.get(key).map(|entry| entry.key.clone());
        let path = self.path(key);
        let fits = url.is_none_or(|url| url.to_string().starts_with(&format!("{scheme}://")));
        if let (Some(place), false) = (place, fits) {
            let message = format!("`{}` has no meaning for this url", self.full(key));
            self.report(place.error(message).help(format!("remove it, or use {scheme}")));
        }
        path
    }

    /// A string.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Placed<String>> {
        let Placed { value, place } = self.take(key)?;
        match value {
            Value::Text(value) => Some(Placed { value, place }),
            other => {
                let message = format!("`{}` is {}, not a string", self.full(key), other.kind());
                self.report(place.error(message));
                None
            }
        }
    }

    /// A string that is read as a `T`.
    pub(crate) fn parsed<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed_by(key, |text| text.parse::<T>().map_err(|error| error.to_string()))
    }

    /// A string that `read` understands.
    pub(crate) fn parsed_by<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match read(&text.value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.report(text.place.error(message));
                None
            }
        }
    }

    /// An absolute path.
    pub(crate) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.parsed_by(key, |text| {
            if Path::new(text).is_absolute() && !text.contains('\0') {
                Ok(PathBuf::from(text))
            } else {
                Err(format!("`{text}` is not an absolute path: begin it with `/`"))
            }
        })
    }

    /// A list of strings, each read as a `T`.
    pub(crate) fn list<T>(&mut self, key: &'static str) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.take(key);
        self.items(&self.full(key), value)
    }

    /// The strings of `value`, each read as a `T`.
    pub(crate) fn items<T>(&mut self, name: &str, value: Option<Placed<Value>>) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(Placed { value, place }) = value else { return Vec::new() };
        let Value::List(items) = value else {
            self.report(place.error(format!("`{name}` is {}, not a list", value.kind())));
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in items {
            let read = match &item.value {
                Value::Text(text) => text.parse::<T>().map_err(|error| error.to_string()),
                other => Err(format!("an item of `{name}` is {}, not a string", other.kind())),
            };
            match read {
                Ok(value) => found.push(value),
                Err(message) => self.report(item.place.error(message)),
            }
        }
        found
    }

    /// A table within this one, to be read by its own section; an absent one is empty.
    pub(crate) fn table(&mut self, key: &'static str) -> Fragment {
        match self.take(key) {
            None => Fragment::default(),
            Some(Placed { value: Value::Table(table), .. }) => table,
            Some(Placed { value, place }) => {
                let message = format!("`{}` is {}, not a table", self.full(key), value.kind());
                self.report(place.error(message));
                Fragment::default()
            }
        }
    }

    /// A section of a table within this one.
    pub(crate) fn section(&mut self, key: &'static str) -> Section<'_> {
        let name = self.full(key);
        let table = self.table(key);
        Section::new(&name, table, self.findings)
    }

    /// The tables within the table `key`, by names that are read as a `T`.
    pub(crate) fn tables<T>(&mut self, key: &'static str) -> Vec<(T, String, Fragment)>
    where
        T: FromStr,
        T::Err: Display,
    {
        let mut tables = Vec::new();
        for (name, Entry { key: place, value }) in self.table(key).0 {
            let full = format!("{}.{name}", self.full(key));
            match (name.parse::<T>(), value.value) {
                (Ok(name), Value::Table(table)) => tables.push((name, full, table)),
                (Err(error), _) => self.report(place.error(error.to_string())),
                (_, other) => {
                    let message = format!("`{full}` is {}, not a table", other.kind());
                    self.report(value.place.error(message));
                }
            }
        }
        tables
    }

    /// The section of a table whose name was read.
    pub(crate) fn named(&mut self, name: &str, table: Fragment) -> Section<'_> {
        Section::new(name, table, self.findings)
    }

    /// Says by name that `key` is for a later version.
    pub(crate) fn not_yet(&mut self, key: &'static str, what: &str) {
        self.known.insert(key);
        if let Some(entry) = self.rest.0.remove(key) {
            let message = format!("`{}` is not supported in this version: {what}", self.full(key));
            self.report(entry.key.error(message).help("remove it"));
        }
    }

    /// Says that `key` is missing.
    pub(crate) fn missing(&mut self, main: &str, key: &str, help: &str) {
        let message = format!("`{}` is missing", self.full(key));
        self.report(Diagnostic::error(main, None, message).help(help));
    }

    /// Ends the reading: every key nobody asked for is an error.
    pub(crate) fn finish(self) {
        let prefix = self.prefix();
        for (key, Entry { key: place, .. }) in &self.rest.0 {
            let finding = place.error(format!("unknown key `{prefix}{key}`"));
            let near = self.known.iter().map(|known| (strsim::jaro_winkler(known, key), known));
            let best = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(l, _)| *l >= LIKENESS_MIN);
            let help = if let Some((_, known)) = best {
                format!("did you mean `{prefix}{known}`?")
            } else {
                let known: Vec<&str> = self.known.iter().copied().collect();
                format!("the keys here are {}", known.join(", "))
            };
            self.findings.push(finding.help(help));
        }
    }

    fn prefix(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("{}.", self.name) }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix())
    }
}
