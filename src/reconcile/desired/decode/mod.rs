//! Checked and merged tables → typed values, with everything substituted.
//!
//! In: [`Node`]s, a [`Scope`]. Out: the values of [`crate::reconcile::desired::ContainerSpec`] and
//! its like; what cannot be read as findings with their place. Pure.
//!
//! Wrong types were found by the check before; here they read as absent.

pub(crate) mod container;
pub(crate) mod environment;
mod limits;
pub(crate) mod mounts;
mod network;
mod ports;
mod process;
pub(crate) mod service;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::duration::parse_duration;
use crate::model::size::parse_size;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::substitute::Scope;
use crate::reconcile::desired::substitute::text;

/// All permission bits.
const MODE_MAX: u32 = 0o7777;

/// Permission bits of octal digits alone.
pub(crate) fn octal(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let bits = u32::from_str_radix(digits, 8).ok();
    bits.filter(|bits| plain && *bits <= MODE_MAX)
}

/// Reads values within a scope.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// What `${…}` may name.
    pub(crate) scope: &'a Scope<'a>,
    /// What was found.
    pub(crate) findings: &'a mut Findings,
}

impl Reader<'_> {
    /// A string, number or boolean as substituted text.
    pub(crate) fn text(&mut self, node: &Node) -> Option<String> {
        if self.findings.is_mistyped(node.at) {
            return None;
        }
        let text = text(node, self.findings)?;
        self.scope.substitute(&text, node.at, self.findings).map(std::borrow::Cow::into_owned)
    }

    /// The text under `key`.
    pub(crate) fn text_at(&mut self, table: &Table, key: &str) -> Option<String> {
        table.get(key).and_then(|node| self.text(node))
    }

    /// What `parse` makes of the text.
    pub(crate) fn with<T, E: Display>(
        &mut self,
        node: &Node,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.findings.error(node.at, error.to_string());
                None
            }
        }
    }

    /// The text as a type.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, node: &Node) -> Option<T> {
        self.with(node, str::parse)
    }

    /// A boolean; false if absent.
    pub(crate) fn boolean(&mut self, table: &Table, key: &str) -> bool {
        self.option(table, key).unwrap_or(false)
    }

    /// A boolean, if it is there.
    pub(crate) fn option(&mut self, table: &Table, key: &str) -> Option<bool> {
        self.with(table.get(key)?, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{text}` is not true or false")),
        })
    }

    /// A whole number within a type's range.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self, table: &Table, key: &str) -> Option<T> {
        let node = table.get(key)?;
        self.with(node, |text| {
            let error = || format!("`{text}` is not a whole number that `{key}` can be");
            text.parse::<i64>().ok().and_then(|n| T::try_from(n).ok()).ok_or_else(error)
        })
    }

    /// A duration.
    pub(crate) fn duration(&mut self, table: &Table, key: &str) -> Option<Duration> {
        table.get(key).and_then(|node| self.with(node, parse_duration))
    }

    /// A size in bytes.
    pub(crate) fn size(&mut self, table: &Table, key: &str) -> Option<u64> {
        table.get(key).and_then(|node| self.with(node, parse_size))
    }

    /// A point in time.
    pub(crate) fn time(&mut self, table: &Table, key: &str) -> Option<Timestamp> {
        self.with(table.get(key)?, |text| {
            text.parse::<Timestamp>()
                .map_err(|_| format!("`{text}` is not a time such as `2026-12-24T00:00:00Z`"))
        })
    }

    /// Permission bits: a number written in octal, or octal digits as a string.
    pub(crate) fn mode(&mut self, table: &Table, key: &str) -> Option<u32> {
        let node = table.get(key)?;
        let (bits, meant) = match node.value {
            Value::Octal(bits) => (u32::try_from(bits).ok().filter(|bits| *bits <= MODE_MAX), None),
            Value::Integer(number) => (None, octal(&number.to_string())),
            _ => {
                let text = self.text(node)?;
                (octal(text.strip_prefix("0o").unwrap_or(&text)), None)
            }
        };
        if bits.is_none() {
            let meant = meant.unwrap_or(0o444);
            let help = format!("write `{meant:#o}` or `\"{meant:04o}\"`");
            self.findings.error_help(node.at, "these are not permission bits in octal", help);
        }
        bits
    }

    /// A list of texts, or one text.
    pub(crate) fn texts(&mut self, table: &Table, key: &str) -> Vec<String> {
        let nodes = table.get(key).map(Node::one_or_many).unwrap_or_default();
        nodes.iter().filter_map(|node| self.text(node)).collect()
    }

    /// A list of typed texts, or one.
    pub(crate) fn list<T: FromStr<Err: Display>>(&mut self, table: &Table, key: &str) -> Vec<T> {
        let nodes = table.get(key).map(Node::one_or_many).unwrap_or_default();
        nodes.iter().filter_map(|node| self.parsed(node)).collect()
    }

    /// A table of texts.
    pub(crate) fn map(&mut self, table: &Table, key: &str) -> BTreeMap<String, String> {
        let entries = table.table(key).into_iter().flat_map(|inner| inner.0.iter());
        let mut map = BTreeMap::new();
        for (name, entry) in entries {
            if let Some(value) = self.text(&entry.node) {
                map.insert(name.clone(), value);
            }
        }
        map
    }

    /// An author's labels: Tidegate's own are not theirs to set.
    pub(crate) fn labels(&mut self, table: &Table) -> BTreeMap<String, String> {
        for (name, entry) in table.table("labels").into_iter().flat_map(|inner| inner.0.iter()) {
            if name == "io.tidegate" || name.starts_with("io.tidegate.") {
                let message = format!("label `{name}` is Tidegate's own");
                self.findings.error_help(entry.key_at, message, "choose another name");
            }
        }
        self.map(table, "labels")
    }

    /// A command: a list as it is, a string split as a shell would.
    pub(crate) fn words(&mut self, table: &Table, key: &str) -> Option<Vec<String>> {
        let node = table.get(key)?;
        if node.as_list().is_some() {
            return Some(self.texts(table, key));
        }
        self.with(node, |text| {
            shell_words::split(text).map_err(|_| format!("`{key}` has an open quote"))
        })
    }
}
