//! What of a commit has to be resolved anew, where all that it changes belongs to some services.
//!
//! In: the files of two commits in a row. Out: the services concerned, and the files that decide what
//! they are. Pure.
//!
//! # Guarantees
//! * A slice is made only where all that differs are files of services, and pins and vars of rulesets
//!   that name their services: no other service can be resolved otherwise, clashes between two aside.
//! * In doubt there is none, and the commit is resolved whole.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::EnvironmentName;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// What must stay as it is in a ruleset: whom it is for, and what is checked of nodes.
const STAYING_KEYS: [&str; 2] = ["match", "rules"];

/// A part of a commit.
#[derive(Debug)]
pub struct Slice {
    /// The services concerned.
    pub services: BTreeSet<String>,
    /// The commit with the files that decide what they are.
    pub part: Verified<Snapshot>,
}

/// What is known of a ruleset's content.
#[derive(Debug, Clone)]
struct Known {
    bytes: Arc<[u8]>,
    /// The services that it is for alone; none: any.
    only: Option<BTreeSet<String>>,
    /// What must stay.
    staying: [Option<toml::Value>; 2],
}

/// Slices commits, and remembers which services a ruleset names.
#[derive(Debug)]
pub struct Slicer<'e> {
    environment: &'e EnvironmentName,
    /// By path.
    rulesets: HashMap<String, Known>,
    last: Option<Verified<Snapshot>>,
}

impl<'e> Slicer<'e> {
    /// Has seen no commit yet.
    pub fn new(environment: &'e EnvironmentName) -> Self {
        Self { environment, rulesets: HashMap::new(), last: None }
    }

    /// What has to be resolved of a commit of which the files at `changed` differ from the one that
    /// was asked about last.
    pub fn next(&mut self, snapshot: &Verified<Snapshot>, changed: &[String]) -> Option<Slice> {
        let last = self.last.replace(snapshot.clone())?;
        let (old, new) = (&last.get().files, &snapshot.get().files);
        let mut services = BTreeSet::new();
        for path in changed {
            services.extend(self.concerned(path, old.get(path)?, new.get(path)?)?);
        }
        let kept = new.iter().filter(|(path, bytes)| self.decides(path, bytes, &services));
        let kept: BTreeSet<&String> = kept.map(|(path, _)| path).collect();
        let part = snapshot.with_only(&kept);
        Some(Slice { services, part })
    }

    /// Nothing is known of the commit before the next one.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The services that alone are concerned by a file that is another one now.
    fn concerned(
        &mut self,
        path: &str,
        old: &Arc<[u8]>,
        new: &Arc<[u8]>,
    ) -> Option<BTreeSet<String>> {
        let inner = self.inner(path)?;
        if let Some(service) = service(inner) {
            return Some(BTreeSet::from([service.to_owned()]));
        }
        if !is_ruleset(inner) {
            return None;
        }
        let staying = self.known(path, old).staying.clone();
        let known = self.known(path, new);
        known.only.clone().filter(|_| known.staying == staying)
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
        if inner.starts_with("services/") {
            return service(inner).is_none_or(|name| services.contains(name));
        }
        if !is_ruleset(inner) {
            return true;
        }
        self.known(path, bytes).only.as_ref().is_none_or(|only| !only.is_disjoint(services))
    }

    fn known(&mut self, path: &str, bytes: &Arc<[u8]>) -> &Known {
        if !self.rulesets.get(path).is_some_and(|known| Arc::ptr_eq(&known.bytes, bytes)) {
            self.rulesets.insert(path.to_owned(), Known::of(bytes));
        }
        &self.rulesets[path]
    }
}

impl Known {
    fn of(bytes: &Arc<[u8]>) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        let table: Option<toml::Table> = text.and_then(|text| toml::from_str(text).ok());
        let only = table.as_ref().and_then(named);
        let staying = STAYING_KEYS.map(|key| table.as_ref()?.get(key).cloned());
        Self { bytes: Arc::clone(bytes), only, staying }
    }
}

/// The service that a file below `services/` belongs to.
fn service(inner: &str) -> Option<&str> {
    let rest = inner.strip_prefix("services/")?;
    let below = rest.split_once('/').map(|(name, _)| name);
    below.or_else(|| rest.strip_suffix(".toml"))
}

fn is_ruleset(inner: &str) -> bool {
    inner.starts_with("rulesets/")
        && inner.strip_suffix(".toml").is_some_and(|stem| !stem.contains(".files/"))
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
