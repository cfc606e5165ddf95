//! Values before and after, by dotted key, as people read them.
//!
//! In: JSON of what nodes should be. Out: [`ValueChange`]s. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::model::{Digest, NodeName};
use crate::reconcile::desired::DesiredState;

/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 60;

/// Every node's desired state.
pub type States = BTreeMap<NodeName, DesiredState>;

/// What becomes of a service, or a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It runs nowhere yet.
    New,
    /// It is there, and differs.
    Changed,
    /// It goes.
    Removed,
}

/// What changes of one thing, on one node or several.
pub(in crate::promote) trait NodeChange {
    /// What becomes of it.
    fn fate(&mut self) -> &mut Fate;
    /// The nodes where it changes.
    fn nodes(&mut self) -> &mut BTreeSet<NodeName>;
    /// Takes in what another node has of it.
    fn join(&mut self, other: Self);
}

/// What changes by name, each with all its nodes. `of` says what a node has, `compare` what differs.
pub(in crate::promote) fn by_name<'s, K: Ord + Copy, T: 's, C: NodeChange>(
    [old, new]: [&'s States; 2],
    of: impl Fn(&'s DesiredState) -> BTreeMap<K, &'s T>,
    compare: impl Fn(K, Option<&'s T>, Option<&'s T>) -> Option<C>,
) -> Vec<C> {
    let mut changes: BTreeMap<K, C> = BTreeMap::new();
    let nodes: BTreeSet<&NodeName> = old.keys().chain(new.keys()).collect();
    for node in nodes {
        let [before, after] =
            [old, new].map(|states| states.get(node).map(&of).unwrap_or_default());
        let names: BTreeSet<K> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            let (before, after) = (before.get(&name).copied(), after.get(&name).copied());
            let Some(mut change) = compare(name, before, after) else { continue };
            change.nodes().insert(node.clone());
            match changes.entry(name) {
                Entry::Vacant(place) => drop(place.insert(change)),
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    if known.fate() != change.fate() {
                        *known.fate() = Fate::Changed;
                    }
                    let nodes = std::mem::take(change.nodes());
                    known.nodes().extend(nodes);
                    known.join(change);
                }
            }
        }
    }
    changes.into_values().collect()
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ValueChange {
    /// `web.environment.GREETING`.
    pub key: String,
    /// Before; none: absent.
    pub old: Option<String>,
    /// After; none: absent.
    pub new: Option<String>,
}

/// What differs.
pub(in crate::promote) fn values(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> BTreeSet<ValueChange> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let change = |key: &String| ValueChange {
        key: key.clone(),
        old: old.get(key).cloned(),
        new: new.get(key).cloned(),
    };
    differs.map(change).collect()
}

/// A value short enough to be read.
pub(in crate::promote) fn short(text: &str) -> String {
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    // The whole is kept apart by its digest, so that two long values never look the same.
    let head: String = text.chars().take(VALUE_CHARS_MAX - 16).collect();
    format!("{head}… ({})", Digest::of(text.as_bytes()).short())
}

/// All that a value holds, by dotted key; of lists of tables by place, from 1.
pub(in crate::promote) fn leaves(key: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                let dot = if key.is_empty() { "" } else { "." };
                leaves(&format!("{key}{dot}{name}"), value, found);
            }
        }
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (at, item) in items.iter().enumerate() {
                leaves(&format!("{key}.{}", at + 1), item, found);
            }
        }
        Value::Number(bits) if key.rsplit('.').next() == Some("mode") => {
            let bits = bits.as_u64().map(|bits| format!("{bits:04o}"));
            found.extend(bits.map(|bits| (key.to_owned(), bits)));
        }
        Value::String(text) => drop(found.insert(key.to_owned(), short(text))),
        other => drop(found.insert(key.to_owned(), short(&other.to_string()))),
    }
}
