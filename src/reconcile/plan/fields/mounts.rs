//! What is really mounted, against what was asked and what the image's volumes bring.
//!
//! In: facts. Out: one difference, if any. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::reconcile::plan::carry::is_anonymous;
use crate::reconcile::plan::fields::{Facts, FieldDifference, Repair, show};

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn line(kind: &str, source: &str, writable: bool) -> String {
    let source = if kind == "tmpfs" { "" } else { source };
    format!("{kind} {source} {}", if writable { "rw" } else { "ro" })
}

fn clean(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

fn wanted(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(volumes) = facts.in_image("Config.Volumes").as_object() {
        all.extend(volumes.keys().map(|path| (clean(path), line("volume", "(anonymous)", true))));
    }
    for bind in facts.told("HostConfig.Binds").as_array().into_iter().flatten() {
        let mut parts = bind.as_str().unwrap_or_default().split(':');
        let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let read_only = parts.next().is_some_and(|o| o.split(',').any(|option| option == "ro"));
        all.insert(clean(target), line("bind", source, !read_only));
    }
    for mount in facts.told("HostConfig.Mounts").as_array().into_iter().flatten() {
        let read_only = mount.get("ReadOnly") == Some(&Value::Bool(true));
        let entry = line(text(mount, "Type"), text(mount, "Source"), !read_only);
        all.insert(clean(text(mount, "Target")), entry);
    }
    all
}

fn present(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let shown = facts.shown("Mounts");
    let list = shown.as_array().into_iter().flatten();
    list.map(|mount| {
        let kind = text(mount, "Type");
        let source = match (kind, text(mount, "Name")) {
            ("volume", name) if is_anonymous(name) => "(anonymous)",
            ("volume", name) => name,
            _ => text(mount, "Source"),
        };
        let writable = mount.get("RW") != Some(&Value::Bool(false));
        (clean(text(mount, "Destination")), line(kind, source, writable))
    })
    .collect()
}

/// What is told to mount, and what was taken over where the image declares a volume.
pub(crate) fn told_or_carried(facts: &Facts<'_>) -> Value {
    let told = facts.told("HostConfig.Mounts").as_array().cloned().unwrap_or_default();
    let declared = facts.in_image("Config.Volumes");
    let paths: Vec<String> =
        declared.as_object().into_iter().flatten().map(|(path, _)| clean(path)).collect();
    let shown = facts.shown("HostConfig.Mounts");
    let carried = shown.as_array().into_iter().flatten().filter(|mount| {
        let target = clean(text(mount, "Target"));
        let is_told = told.iter().any(|told| clean(text(told, "Target")) == target);
        let anonymous = text(mount, "Type") == "volume" && is_anonymous(text(mount, "Source"));
        anonymous && !is_told && paths.contains(&target)
    });
    let carried: Vec<Value> = carried.cloned().collect();
    Value::Array(told.into_iter().chain(carried).collect())
}

/// The difference of `Mounts`, if there is one.
pub(crate) fn difference(facts: &Facts<'_>) -> Option<FieldDifference> {
    let (wanted, present) = (wanted(facts), present(facts));
    (wanted != present).then(|| FieldDifference {
        field: "Mounts".to_owned(),
        expected: show(&json!(wanted)),
        actual: show(&json!(present)),
        repair: Repair::Recreate,
    })
}
