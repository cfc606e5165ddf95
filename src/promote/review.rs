//! What a commit would change, service by service and rule by rule, as people read it.
//!
//! In: what each node should run before and after. Out: [`Review`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::model::{AppName, ContainerName, Digest, NodeName, RepositoryPath, ServiceName};
use crate::promote::rules::{RuleChange, rules};
use crate::promote::values::{
    Fate, NodeChange, States, ValueChange, by_name, leaves, short, values,
};
use crate::reconcile::desired::container::Pin;
use crate::reconcile::desired::{DesiredService, DesiredState};

/// An image before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageChange {
    /// The container.
    pub container: ContainerName,
    /// What runs; none: it is new.
    pub old: Option<ImageName>,
    /// What will run; none: it goes.
    pub new: Option<ImageName>,
}

/// An image as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageName {
    /// Where it lies in the hub.
    pub repository: String,
    /// For people.
    pub version: Option<String>,
    /// What is pulled.
    pub digest: Option<Digest>,
}

/// A service that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceChange {
    /// Its name.
    pub service: ServiceName,
    /// Whom it belongs to.
    pub app: AppName,
    /// What becomes of it.
    pub fate: Fate,
    /// The nodes where it changes.
    pub nodes: BTreeSet<NodeName>,
    /// Images that differ.
    pub images: Vec<ImageChange>,
    /// Everything else that differs; of a new one all that it says.
    pub values: BTreeSet<ValueChange>,
}

/// What a commit would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// By service.
    pub services: Vec<ServiceChange>,
    /// By compliance rule.
    pub rules: Vec<RuleChange>,
}

impl Review {
    /// Whether nothing changes that a node would do.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.rules.is_empty()
    }
}

impl NodeChange for ServiceChange {
    fn fate(&mut self) -> &mut Fate {
        &mut self.fate
    }

    fn nodes(&mut self) -> &mut BTreeSet<NodeName> {
        &mut self.nodes
    }

    fn join(&mut self, other: Self) {
        let fresh = other.images.into_iter().filter(|image| !self.images.contains(image));
        let fresh: Vec<ImageChange> = fresh.collect();
        self.images.extend(fresh);
        self.values.extend(other.values);
    }
}

/// Compares what all nodes should run before and after.
pub fn review(old: &States, new: &States) -> Review {
    let services = by_name([old, new], services_of, |_, old, new| service(old, new));
    Review { services, rules: rules(old, new) }
}

fn services_of(state: &DesiredState) -> BTreeMap<&ServiceName, &DesiredService> {
    state.services.iter().collect()
}

fn service(old: Option<&DesiredService>, new: Option<&DesiredService>) -> Option<ServiceChange> {
    let fate = match (old, new) {
        (Some(old), Some(new)) if old == new => return None,
        (Some(_), Some(_)) => Fate::Changed,
        (None, _) => Fate::New,
        (Some(_), None) => Fate::Removed,
    };
    let shown = new.or(old)?;
    let pins = |service: Option<&DesiredService>| -> BTreeMap<ContainerName, Pin> {
        let all = service.into_iter().flat_map(|service| service.containers.values());
        all.map(|container| (container.name.clone(), container.pin.clone())).collect()
    };
    let (before, after) = (pins(old), pins(new));
    let names: BTreeSet<&ContainerName> = before.keys().chain(after.keys()).collect();
    let images = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let images = images.map(|name| ImageChange {
        container: name.clone(),
        old: before.get(name).map(image_name),
        new: after.get(name).map(image_name),
    });
    let values = match (old, new) {
        (Some(old), Some(new)) => values(&flat(old), &flat(new)),
        // Whoever agrees must see what a new one may do.
        (None, Some(new)) => values(&BTreeMap::new(), &flat(new)),
        _ => BTreeSet::new(),
    };
    Some(ServiceChange {
        service: shown.name.clone(),
        app: shown.app.clone(),
        fate,
        nodes: BTreeSet::new(),
        images: images.collect(),
        values,
    })
}

fn image_name(pin: &Pin) -> ImageName {
    let digest = pin.digest;
    ImageName { repository: pin.repository.to_string(), version: pin.version.clone(), digest }
}

/// A service's values by dotted key, pins left out.
fn flat(service: &DesiredService) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(value) = serde_json::to_value(service) {
        flatten("", &value, &mut found);
    }
    found
}

fn flatten(key: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                // What a reader of the service's file would call it.
                let skipped = matches!(name.as_str(), "containers" | "spec");
                let own = matches!(name.as_str(), "pin" | "name" | "app");
                match (skipped, own, key) {
                    (_, true, _) => {}
                    (true, ..) => flatten(key, value, found),
                    (false, false, "") => flatten(name, value, found),
                    (false, false, _) => flatten(&format!("{key}.{name}"), value, found),
                }
            }
        }
        Value::Null | Value::Bool(false) => {}
        Value::Array(items) if items.is_empty() => {}
        // A mount's path must not be cut off.
        Value::Array(items) if items.iter().any(Value::is_object) => leaves(key, value, found),
        Value::String(text) => drop(found.insert(key.to_owned(), short(text))),
        other => drop(found.insert(key.to_owned(), short(&other.to_string()))),
    }
}

/// Every image that the nodes are to pull, each once.
pub fn images(states: &States) -> BTreeSet<(RepositoryPath, Digest)> {
    let services = states.values().flat_map(|state| state.services.values());
    let containers = services.flat_map(|service| service.containers.values());
    containers
        .filter_map(|container| Some((container.pin.repository.clone(), container.pin.digest?)))
        .collect()
}
