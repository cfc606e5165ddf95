//! What of a commit has to be resolved anew, where it changes nothing but pins.
//!
//! In: the files of two commits in a row. Out: the services concerned, and the files that decide what
//! they are. Pure.
//!
//! # Guarantees
//! * A slice is made only where all that differs are digests, image ids and versions of pins that are
//!   there on both sides, in rulesets that name their services: nothing else can be resolved otherwise.
//! * In doubt there is none, and the commit is resolved whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::EnvironmentName;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// Files by path.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// What a pin says of its image; all else in a ruleset stays.
const PIN_KEYS: [&str; 3] = ["digest", "image_id", "version"];

/// A part of a commit.
#[derive(Debug)]
pub struct Slice {
    /// The services concerned.
    pub services: BTreeSet<String>,
    /// The commit with the files that decide what they are.
    pub part: Verified<Snapshot>,
}

/// A ruleset's content, and the services that it is for alone; none: any.
type Known = (Arc<[u8]>, Option<BTreeSet<String>>);

/// Slices commits, and remembers which services a ruleset names.
#[derive(Debug)]
pub struct Slicer<'e> {
    environment: &'e EnvironmentName,
    /// By path.
    rulesets: HashMap<String, Known>,
    last: Option<Files>,
}

impl<'e> Slicer<'e> {
    /// Has seen no commit yet.
    pub fn new(environment: &'e EnvironmentName) -> Self {
        Self { environment, rulesets: HashMap::new(), last: None }
    }

    /// What has to be resolved of a commit that comes after the one that was asked about last.
    pub fn next(&mut self, snapshot: &Verified<Snapshot>) -> Option<Slice> {
        let files = &snapshot.get().files;
        let last = self.last.replace(files.clone());
        let services = self.repinned(&last?, files)?;
        let mut dropped = BTreeSet::new();
        for (path, bytes) in files {
            if !self.decides(path, bytes, &services) {
                dropped.insert(path.as_str());
            }
        }
        let part = snapshot.with_only(|path| !dropped.contains(path));
        Some(Slice { services, part })
    }

    /// Nothing is known of the commit before the next one.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The services whose pins differ, if nothing else does.
    fn repinned(&self, old: &Files, new: &Files) -> Option<BTreeSet<String>> {
        if old.len() != new.len() {
            return None;
        }
        let mut services = BTreeSet::new();
        for ((old_path, old), (new_path, new)) in old.iter().zip(new) {
            if old_path != new_path {
                return None;
            }
            if Arc::ptr_eq(old, new) || old == new {
                continue;
            }
            self.inner(new_path).filter(|inner| is_ruleset(inner))?;
            let (old, new) = (table(old)?, table(new)?);
            if without_images(old) != without_images(new.clone()) {
                return None;
            }
            services.extend(named(&new)?);
        }
        Some(services).filter(|services| !services.is_empty())
    }

    /// The path below the environment's own directory, or of what flows.
    fn inner<'p>(&self, path: &'p str) -> Option<&'p str> {
        match path.strip_prefix("environments/") {
            Some(rest) => rest.strip_prefix(self.environment.as_str())?.strip_prefix('/'),
            None => Some(path),
        }
    }

    /// Whether a file can have a say in what `services` are.
    fn decides(&mut self, path: &str, bytes: &Arc<[u8]>, services: &BTreeSet<String>) -> bool {
        let Some(inner) = self.inner(path) else { return true };
        if let Some(rest) = inner.strip_prefix("services/") {
            let name = rest.split_once('/').map(|(name, _)| name);
            let name = name.or_else(|| rest.strip_suffix(".toml"));
            return name.is_none_or(|name| services.contains(name));
        }
        if !is_ruleset(inner) {
            return true;
        }
        let known = self.rulesets.get(path).filter(|(known, _)| Arc::ptr_eq(known, bytes));
        let disjoint = |only: &Option<BTreeSet<String>>| {
            only.as_ref().is_some_and(|only| only.is_disjoint(services))
        };
        if let Some((_, only)) = known {
            return !disjoint(only);
        }
        let only = table(bytes).and_then(|table| named(&table));
        let decides = !disjoint(&only);
        self.rulesets.insert(path.to_owned(), (Arc::clone(bytes), only));
        decides
    }
}

fn is_ruleset(inner: &str) -> bool {
    inner.starts_with("rulesets/")
        && inner.strip_suffix(".toml").is_some_and(|stem| !stem.contains(".files/"))
}

fn table(bytes: &[u8]) -> Option<toml::Table> {
    toml::from_str(std::str::from_utf8(bytes).ok()?).ok()
}

/// The services that a ruleset is for alone.
fn named(ruleset: &toml::Table) -> Option<BTreeSet<String>> {
    let service = ruleset.get("match")?.as_table()?.get("service")?;
    let names: Vec<&toml::Value> = match service {
        toml::Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    names.into_iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// A ruleset in which every pin says the same.
fn without_images(mut ruleset: toml::Table) -> toml::Table {
    let containers = ruleset.get_mut("containers").and_then(toml::Value::as_table_mut);
    let pins = containers.into_iter().flat_map(|table| table.iter_mut());
    for pin in pins.filter_map(|(_, pin)| pin.as_table_mut()) {
        for key in PIN_KEYS {
            if let Some(value) = pin.get_mut(key).filter(|value| value.is_str()) {
                *value = toml::Value::Boolean(true);
            }
        }
    }
    ruleset
}
