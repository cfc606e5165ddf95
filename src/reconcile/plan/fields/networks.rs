//! The networks a container is on, and how.
//!
//! In: facts. Out: differences that connecting and disconnecting repair. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clients::docker::is_blank;
use crate::reconcile::plan::fields::normal::{dense, plain};
use crate::reconcile::plan::fields::{Facts, FieldDifference, Repair, show};

/// Rows of the table below `NetworkSettings.Networks.<name>`.
pub(crate) const PATHS: [(&str, Option<&str>); 18] = [
    ("NetworkSettings.Networks", None),
    ("NetworkSettings.Networks.*.IPAMConfig", None),
    ("NetworkSettings.Networks.*.Links", None),
    ("NetworkSettings.Networks.*.Aliases", None),
    ("NetworkSettings.Networks.*.DriverOpts", None),
    ("NetworkSettings.Networks.*.GwPriority", None),
    ("NetworkSettings.Networks.*.DNSNames", Some("follows from Aliases and the name")),
    ("NetworkSettings.Networks.*.NetworkID", Some("the network's, which is known by its name")),
    ("NetworkSettings.Networks.*.EndpointID", Some("made at each start")),
    ("NetworkSettings.Networks.*.Gateway", Some("the network's")),
    ("NetworkSettings.Networks.*.IPAddress", Some("given by the engine where none is asked")),
    ("NetworkSettings.Networks.*.IPPrefixLen", Some("the network's")),
    ("NetworkSettings.Networks.*.IPv6Gateway", Some("the network's")),
    ("NetworkSettings.Networks.*.GlobalIPv6Address", Some("given by the engine")),
    ("NetworkSettings.Networks.*.GlobalIPv6PrefixLen", Some("the network's")),
    ("NetworkSettings.Networks.*.MacAddress", Some("given by the engine where none is asked")),
    ("NetworkSettings.Networks.*.Bridge", Some("the network's")),
    ("NetworkSettings.Networks.*.NetworkMode", Some("the network's")),
];

/// Fields of an endpoint that are as plain as they look.
const PLAIN_FIELDS: [&str; 3] = ["Links", "DriverOpts", "GwPriority"];

fn wanted(facts: &Facts<'_>) -> BTreeMap<String, Value> {
    let first = facts.expected.body.body.pointer("/NetworkingConfig/EndpointsConfig");
    let mut all: BTreeMap<String, Value> = first
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, endpoint)| (name.clone(), endpoint.clone()))
        .collect();
    all.extend(facts.expected.body.connect.iter().cloned());
    if all.is_empty() {
        let mode = facts.told("HostConfig.NetworkMode");
        all.insert(mode.as_str().unwrap_or_default().to_owned(), Value::Null);
    }
    all
}

/// Names it answers to, without those that the engine adds by itself.
fn aliases(facts: &Facts<'_>, endpoint: &Value) -> Value {
    let list = endpoint.get("Aliases").and_then(Value::as_array).into_iter().flatten();
    let short = facts.id.get(..12);
    let own = |alias: &&str| Some(*alias) != short && *alias != facts.expected.body.name.as_str();
    let mut names: Vec<&str> = list.filter_map(Value::as_str).filter(own).collect();
    names.sort_unstable();
    names.dedup();
    plain(&json!(names))
}

/// Every difference of `NetworkSettings.Networks`.
pub(crate) fn differences(facts: &Facts<'_>) -> Vec<FieldDifference> {
    let shown = facts.shown("NetworkSettings.Networks");
    let empty = Map::new();
    let present = shown.as_object().unwrap_or(&empty);
    let wanted = wanted(facts);
    let field = |network: &str| format!("NetworkSettings.Networks.{network}");
    let mut found = Vec::new();
    for (network, endpoint) in &wanted {
        let Some(actual) = present.get(network) else {
            let (network, endpoint) = (network.clone(), endpoint.clone());
            found.push(FieldDifference {
                field: field(&network),
                expected: "connected".to_owned(),
                actual: "not connected".to_owned(),
                repair: if network == "host" {
                    Repair::Recreate
                } else {
                    Repair::Connect { network, endpoint }
                },
            });
            continue;
        };
        let mut pairs = vec![
            ("Aliases", aliases(facts, endpoint), aliases(facts, actual)),
            ("IPAMConfig", dense(&endpoint["IPAMConfig"]), dense(&actual["IPAMConfig"])),
        ];
        pairs.extend(PLAIN_FIELDS.map(|f| (f, plain(&endpoint[f]), plain(&actual[f]))));
        for (name, should, is) in pairs.into_iter().filter(|(_, should, is)| should != is) {
            found.push(FieldDifference {
                field: format!("{}.{name}", field(network)),
                expected: show(&should),
                actual: show(&is),
                repair: Repair::Reconnect { network: network.clone(), endpoint: endpoint.clone() },
            });
        }
    }
    let extra =
        present.iter().filter(|(name, _)| !wanted.contains_key(*name) && !is_blank(&json!(name)));
    found.extend(extra.map(|(network, _)| FieldDifference {
        field: field(network),
        expected: "not connected".to_owned(),
        actual: "connected".to_owned(),
        repair: Repair::Disconnect { network: network.clone() },
    }));
    found
}
