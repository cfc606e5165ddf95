//! Laying an environment's document over what was promoted.
//!
//! In: two [`Table`]s. Out: one. Pure.
//!
//! # Guarantees
//! * Tables merge by key; scalars and lists replace; `unset` removes first.
//! * Every value keeps the place where it was written.

use crate::reconcile::desired::document::node::Entry;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;

/// Keys that Compose lets people write as a list of `KEY=value`.
const MAP_KEYS: [&str; 3] = ["environment", "labels", "sysctls"];

/// Tables of a service whose members have such keys.
const MEMBERS: [&str; 3] = ["containers", "networks", "volumes"];

/// What an overlay may not remove, for it may not set it.
const KEPT: [&str; 8] =
    ["image", "digest", "image_id", "version", "command", "entrypoint", "healthcheck", "app"];

/// Turns the list forms of environment, labels and sysctls of a service into tables.
pub(crate) fn normalise(service: &mut Table, findings: &mut Findings) {
    for members in MEMBERS {
        let Some(Value::Table(table)) = service.0.get_mut(members).map(|e| &mut e.node.value)
        else {
            continue;
        };
        for entry in table.0.values_mut() {
            if let Value::Table(member) = &mut entry.node.value {
                for key in MAP_KEYS {
                    if let Some(entry) = member.0.get_mut(key) {
                        to_table(&mut entry.node, key, findings);
                    }
                }
            }
        }
    }
}

fn to_table(node: &mut Node, key: &str, findings: &mut Findings) {
    let Value::List(items) = &node.value else { return };
    let mut table = Table::default();
    for item in items {
        let Some(text) = item.as_text() else { continue };
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!("`{text}` in `{key}` has no value");
            findings.error_help(item.at, message, format!("write `\"{text}=value\"`"));
            continue;
        };
        let node = Node { at: item.at, value: Value::Text(value.to_owned()) };
        let entry = Entry { key_at: item.at, node };
        if table.0.insert(name.to_owned(), entry).is_some() {
            findings.error(item.at, format!("`{name}` stands twice in `{key}`"));
        }
    }
    node.value = Value::Table(table);
}

/// Lays `over` over `base`.
pub(crate) fn merge(base: &mut Table, over: &Table) {
    for (key, entry) in &over.0 {
        match base.0.get_mut(key) {
            Some(existing) => match (&mut existing.node.value, &entry.node.value) {
                (Value::Table(below), Value::Table(above)) => merge(below, above),
                _ => *existing = entry.clone(),
            },
            None => {
                base.0.insert(key.clone(), entry.clone());
            }
        }
    }
}

/// Applies an overlay to a service: what it names but the service lacks is dropped with a warning,
/// then `unset`, then the values.
pub(crate) fn overlay(base: &mut Table, over: &Table, findings: &mut Findings) {
    let mut over = over.clone();
    drop_strangers(base, &mut over, findings);
    take_unset(base, &mut over, "", findings);
    let containers = over.0.get_mut("containers").map(|entry| &mut entry.node.value);
    if let Some(Value::Table(containers)) = containers {
        for (name, entry) in &mut containers.0 {
            if let Value::Table(container) = &mut entry.node.value {
                take_unset(base, container, &format!("containers.{name}."), findings);
            }
        }
    }
    merge(base, &over);
}

/// An overlay adds no container: one that no longer flows is ignored.
fn drop_strangers(base: &Table, over: &mut Table, findings: &mut Findings) {
    let Some(Value::Table(containers)) = over.0.get_mut("containers").map(|e| &mut e.node.value)
    else {
        return;
    };
    containers.0.retain(|name, entry| {
        let known = base.table("containers").is_some_and(|known| known.0.contains_key(name));
        if !known {
            let message = format!("the service has no container `{name}`; this is ignored");
            let help = "remove it; an environment's own files add no container";
            findings.warning(entry.key_at, message, help);
        }
        known
    });
}

/// Takes `unset` out of `over` and removes what it names, below `prefix`, from `base`.
fn take_unset(base: &mut Table, over: &mut Table, prefix: &str, findings: &mut Findings) {
    let Some(unset) = over.0.remove("unset") else { return };
    for item in unset.node.as_list().unwrap_or_default() {
        let Some(text) = item.as_text() else { continue };
        let path = format!("{prefix}{text}");
        if is_kept(&path) {
            let message = format!("`{text}` cannot be unset in an environment");
            let help = "what runs in an environment comes by promotion, not by its own files";
            findings.error_help(item.at, message, help);
        } else if !remove(base, &path) {
            unknown_path(&path, item.at, findings);
        }
    }
}

/// Where an overlay's `unset` lists name `path`, or a table around it.
pub(crate) fn unset_places(overlay: &Table, path: &[String]) -> Vec<Place> {
    let mut lists = vec![(overlay, 0)];
    if let [containers, name, _, ..] = path
        && containers == "containers"
    {
        lists.extend(overlay.table(containers).and_then(|t| t.table(name)).map(|t| (t, 2)));
    }
    let items = lists.into_iter().flat_map(|(table, skipped)| {
        let items = table.get("unset").and_then(Node::as_list).unwrap_or_default();
        items.iter().map(move |item| (item, skipped))
    });
    let leads_here = |text: &str, skipped: usize| {
        (skipped + 1..=path.len()).any(|end| path[skipped..end].join(".") == text)
    };
    let named =
        items.filter(|(item, skipped)| item.as_text().is_some_and(|t| leads_here(t, *skipped)));
    named.map(|(item, _)| item.at).collect()
}

fn unknown_path(path: &str, at: Place, findings: &mut Findings) {
    let message = format!("there is no `{path}` to unset; this is ignored");
    findings.warning(at, message, "remove it, or correct the path");
}

fn is_kept(path: &str) -> bool {
    let within = path.strip_prefix("containers.").and_then(|rest| rest.split_once('.'));
    let key = within.map_or(path, |(_, key)| key);
    let first = key.split('.').next().unwrap_or(key);
    let health = first == "healthcheck" && key != "healthcheck" && key != "healthcheck.test";
    KEPT.contains(&first) && !health && (within.is_some() || path == "app")
}

/// Removes the value at a dotted path; keys may themselves contain dots (labels do).
fn remove(table: &mut Table, path: &str) -> bool {
    if table.0.remove(path).is_some() {
        return true;
    }
    path.match_indices('.').any(|(dot, _)| {
        match table.0.get_mut(&path[..dot]).map(|entry| &mut entry.node.value) {
            Some(Value::Table(inner)) => remove(inner, &path[dot + 1..]),
            _ => false,
        }
    })
}
