//! The keys of a service that something sets.

use std::collections::BTreeSet;
use std::fmt;

use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::explain::sources::Sources;
use crate::reconcile::desired::ruleset::Ruleset;

/// The keys of a pin.
pub(crate) const PIN: [&str; 3] = ["digest", "image_id", "version"];

/// A value of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A variable; of one container where a ruleset asks for it.
    Var(Option<String>, String),
    /// A key of a container's pin.
    Pin(String, &'static str),
    /// Anything else in the service's document, key by key.
    Path(Vec<String>),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var(None, name) => write!(f, "vars.{name}"),
            Self::Var(Some(container), name) => write!(f, "containers.{container}.vars.{name}"),
            Self::Pin(container, key) => write!(f, "containers.{container}.{key}"),
            Self::Path(path) => f.write_str(&path.join(".")),
        }
    }
}

impl Key {
    /// Whether it is `asked` or lies below it.
    pub(crate) fn is_within(&self, asked: &str) -> bool {
        let own = self.to_string();
        let rest = own.strip_prefix(asked);
        asked.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Every key that something sets.
pub(crate) fn keys(sources: &Sources<'_>) -> Vec<Key> {
    let mut found = BTreeSet::new();
    let defaults = sources.environment.and_then(|table| table.get("update").map(|n| (table, n)));
    if let Some((table, _)) = defaults {
        let mut paths = BTreeSet::new();
        leaves(table, &mut Vec::new(), &mut paths);
        found.extend(paths.into_iter().filter(|path| path[0] == "update").map(Key::Path));
    }
    let modes = [sources.environment, sources.node];
    if modes.into_iter().flatten().any(|table| table.get("mode").is_some()) {
        found.insert(Key::Path(vec!["mode".to_owned()]));
    }
    for table in [Some(sources.service), sources.overlay].into_iter().flatten() {
        let mut paths = BTreeSet::new();
        leaves(table, &mut Vec::new(), &mut paths);
        found.extend(paths.into_iter().filter_map(|path| key(path, sources)));
    }
    for ruleset in &sources.rulesets {
        found.extend(pins(ruleset, sources));
        found.extend(vars(ruleset, sources));
    }
    let own = sources.environment.and_then(|table| table.table("vars"));
    for name in own.into_iter().flat_map(|vars| vars.0.keys()) {
        found.insert(Key::Var(None, name.clone()));
    }
    found.into_iter().collect()
}

fn leaves(table: &Table, path: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
    for (key, entry) in &table.0 {
        path.push(key.clone());
        match &entry.node.value {
            Value::Table(inner) => leaves(inner, path, found),
            _ => drop(found.insert(path.clone())),
        }
        path.pop();
    }
}

/// The key at a path; none for what takes values away, or is of a container that does not flow.
fn key(path: Vec<String>, sources: &Sources<'_>) -> Option<Key> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words[..] {
        ["unset"] | ["containers", _, "unset"] => None,
        ["containers", name, ..] if !sources.has_container(name) => None,
        ["containers", name, key] => match PIN.iter().find(|known| **known == key) {
            Some(pin) => Some(Key::Pin(name.to_owned(), pin)),
            None => Some(Key::Path(path)),
        },
        _ => Some(Key::Path(path)),
    }
}

fn pins<'a>(ruleset: &'a Ruleset, sources: &'a Sources<'_>) -> impl Iterator<Item = Key> + 'a {
    let fits = |name: &str| sources.has_container(name) && sources.fits(ruleset, Some(name));
    let fitting = ruleset.pins.iter().filter(move |(name, _)| fits(name));
    fitting.flat_map(|(name, pin)| {
        let set = PIN.iter().zip(pin.places).filter(|(_, place)| place.is_some());
        set.map(|(key, _)| Key::Pin(name.clone(), key))
    })
}

/// A variable of a ruleset that asks for containers is each such container's own.
fn vars(ruleset: &Ruleset, sources: &Sources<'_>) -> Vec<Key> {
    let names = ruleset.vars.0.keys();
    if !ruleset.matches.asks_for_container() {
        return names.map(|name| Key::Var(None, name.clone())).collect();
    }
    let fitting: Vec<&String> =
        sources.containers().filter(|name| sources.fits(ruleset, Some(name))).collect();
    let keys = names.flat_map(|name| {
        fitting.iter().map(|container| Key::Var(Some((*container).clone()), name.clone()))
    });
    keys.collect()
}
