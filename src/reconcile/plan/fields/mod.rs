//! The drift table: every field that inspect shows, what it should be, and how it is repaired.
//!
//! In: what the engine was told, what inspect, the image and the engine say.
//! Out: [`FieldDifference`]s. Pure.
//!
//! # Guarantees
//! * Create → inspect → no difference, for every field this version can ask for.
//! * A difference names the field as inspect does, what it should be and what it is.
//! * A field that only a newer engine knows is not drift.
//! * Values of environment variables that are not ours are not shown.

mod expect;
mod image;
mod mounts;
mod networks;
mod normal;
mod table;

pub use image::image_matches;

use serde_json::{Map, Value};

use crate::clients::docker::{ContainerInspect, EngineInfo, ImageInspect, is_blank};
use crate::reconcile::plan::body::ContainerBody;
use crate::reconcile::plan::fields::table::{Expect, Fix, Row, TABLE};

/// Characters of a value that are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// How a difference is repaired.
#[derive(Debug, Clone, PartialEq)]
pub enum Repair {
    /// Only a new container has it right.
    Recreate,
    /// `docker update` can: [`update_body`].
    Update,
    /// Give it its name back.
    Rename,
    /// Connect it to this network, with this endpoint.
    Connect {
        /// Engine name.
        network: String,
        /// `EndpointConfig`.
        endpoint: Value,
    },
    /// It is on the network, otherwise than asked: disconnect, then connect.
    Reconnect {
        /// Engine name.
        network: String,
        /// `EndpointConfig`.
        endpoint: Value,
    },
    /// Take it off this network.
    Disconnect {
        /// Engine name.
        network: String,
    },
}

/// One field that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDifference {
    /// As inspect names it: `HostConfig.Memory`.
    pub field: String,
    /// What it should be, for people.
    pub expected: String,
    /// What it is.
    pub actual: String,
    /// How it is repaired.
    pub repair: Repair,
}

/// What a container should be compared with.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What the engine would be told now, with the container's own proven labels.
    pub body: &'a ContainerBody,
    /// The image that it should run, as the engine knows it.
    pub image: &'a ImageInspect,
    /// The engine, for its defaults.
    pub engine: &'a EngineInfo,
}

/// Everything a row may look at.
pub(crate) struct Facts<'a> {
    pub(crate) expected: Expected<'a>,
    pub(crate) id: &'a str,
    pub(crate) raw: &'a Value,
}

/// What lies at `HostConfig.Memory`; null if nothing does. A JSON pointer would cost three strings
/// a look, and a pass looks at a hundred fields of each container.
fn at(value: &Value, path: &str) -> Value {
    path.split('.').try_fold(value, |value, key| value.get(key)).cloned().unwrap_or_default()
}

impl Facts<'_> {
    /// What inspect shows at a path.
    pub(crate) fn shown(&self, path: &str) -> Value {
        at(self.raw, path)
    }

    /// What the engine is told at inspect's path: `Config` is the body itself.
    pub(crate) fn told(&self, path: &str) -> Value {
        at(&self.expected.body.body, path.strip_prefix("Config.").unwrap_or(path))
    }

    /// What the image says at inspect's path `Config.X`.
    pub(crate) fn in_image(&self, path: &str) -> Value {
        at(&self.expected.image.config, path.strip_prefix("Config.").unwrap_or(path))
    }

    /// Whether the engine is told so.
    pub(crate) fn is_told(&self, path: &str) -> bool {
        !is_blank(&self.told(path))
    }

    /// Whether everything is opened to the container.
    pub(crate) fn is_privileged(&self) -> bool {
        self.told("HostConfig.Privileged") == Value::Bool(true)
    }
}

/// Every field of `actual` that differs from what a container made from `expected` shows.
/// The image itself is [`image_matches`]'s business; whether it runs is the caller's.
pub fn differences(expected: Expected<'_>, actual: &ContainerInspect) -> Vec<FieldDifference> {
    let facts = Facts { expected, id: actual.id.as_str(), raw: &actual.raw };
    let mut found = Vec::new();
    if actual.name != expected.body.name {
        found.push(FieldDifference {
            field: "Name".to_owned(),
            expected: expected.body.name.clone(),
            actual: actual.name.clone(),
            repair: Repair::Rename,
        });
    }
    for row in TABLE {
        compare(&facts, row, &mut found);
    }
    found.extend(mounts::difference(&facts));
    found.extend(networks::differences(&facts));
    found
}

/// Every path of the table, and why it is not compared where it is not.
pub fn table() -> Vec<(&'static str, Option<&'static str>)> {
    let rows = TABLE.iter().map(|row| match row.expect {
        Expect::State(reason) => (row.path, Some(reason)),
        _ => (row.path, None),
    });
    let special = [("Name", None), ("Mounts", None)];
    rows.chain(special).chain(networks::PATHS).collect()
}

fn compare(facts: &Facts<'_>, row: &Row, found: &mut Vec<FieldDifference>) {
    let should = match row.expect {
        Expect::State(_) => return,
        Expect::Told => facts.told(row.path),
        Expect::Image => {
            let told = facts.told(row.path);
            if is_blank(&told) { facts.in_image(row.path) } else { told }
        }
        Expect::By(compute) => compute(facts),
    };
    let should = (row.normal)(&should);
    let is = (row.normal)(&facts.shown(row.path));
    if should == is {
        return;
    }
    let repair = match row.fix {
        Fix::Recreate => Repair::Recreate,
        // The engine takes a zero for "leave it as it is".
        Fix::UpdateUnlessUnset if is_blank(&should) => Repair::Recreate,
        Fix::Update | Fix::UpdateUnlessUnset => Repair::Update,
    };
    let hides = row.path == "Config.Env";
    let mut push = |field: String, should: &Value, is: &Value| {
        let shown = if hides && !is.is_null() { "another value".to_owned() } else { show(is) };
        let repair = repair.clone();
        found.push(FieldDifference { field, expected: show(should), actual: shown, repair });
    };
    let empty = Map::new();
    let entries = |value: &Value| match value {
        Value::Object(map) => Some(map.clone()),
        Value::Null => Some(empty.clone()),
        _ => None,
    };
    let (Some(wanted), Some(present)) = (entries(&should), entries(&is)) else {
        return push(row.path.to_owned(), &should, &is);
    };
    let keys: std::collections::BTreeSet<&String> = wanted.keys().chain(present.keys()).collect();
    for key in keys {
        let at = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
        if at(&wanted) != at(&present) {
            push(format!("{}.{key}", row.path), &at(&wanted), &at(&present));
        }
    }
}

/// A value for people, bounded.
pub(crate) fn show(value: &Value) -> String {
    let text = match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Body of `POST /containers/{id}/update` that repairs the differences marked [`Repair::Update`].
pub fn update_body(expected: Expected<'_>, differences: &[FieldDifference]) -> Value {
    let told = |name: &str| {
        let value = expected.body.body.pointer(&format!("/HostConfig/{name}"));
        value.cloned().unwrap_or_default()
    };
    let mut body = Map::new();
    for difference in differences.iter().filter(|d| d.repair == Repair::Update) {
        let name = difference.field.trim_start_matches("HostConfig.");
        match name.split('.').next().unwrap_or(name) {
            "RestartPolicy" => {
                body.insert("RestartPolicy".to_owned(), told("RestartPolicy"));
            }
            // One cannot pass the other, so both go together.
            "Memory" | "MemorySwap" => {
                let swap = expect::memory_swap(&told("Memory"), expected.engine);
                body.insert("Memory".to_owned(), told("Memory"));
                body.insert("MemorySwap".to_owned(), swap);
            }
            "PidsLimit" => {
                let limit = told("PidsLimit");
                let unlimited = is_blank(&limit);
                body.insert("PidsLimit".to_owned(), if unlimited { (-1).into() } else { limit });
            }
            other => {
                body.insert(other.to_owned(), told(other));
            }
        }
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests;
