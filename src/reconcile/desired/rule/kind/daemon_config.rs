//! `daemon_config`: what the engine's daemon.json says.

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXTS;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::KeyFormat;
use crate::reconcile::desired::rule::kind::KeyValueRule;
use crate::reconcile::desired::rule::kind::key_value;
use crate::reconcile::desired::rule::read::path;

const PATH: &str = "/etc/docker/daemon.json";
const VALUE: Kind = Kind::OneOf(&[Kind::Text, Kind::Number, Kind::Boolean, TEXTS]);

/// Keys of `kind = "daemon_config"`.
pub(crate) static KEYS: Keys = Keys {
    name: "daemon_config",
    doc: "What the engine's daemon.json says.",
    keys: &[
        Key::required("key", Kind::Text, "the key; `log-opts.max-size` is nested"),
        Key::new("value", VALUE, "what it must say"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
        Key::new("path", Kind::Text, "the file; default /etc/docker/daemon.json"),
    ],
};

/// Reads it: a key of a JSON file that is made where it is missing.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<KeyValueRule> {
    let path: Option<HostPath> =
        if table.get("path").is_some() { path(table, "path", reader) } else { PATH.parse().ok() };
    let key = reader.text_at(table, "key")?;
    let key_at = table.get("key")?.at;
    if key.split('.').any(|step| step.trim() != step || step.is_empty()) {
        let message = format!("`{key}` is no key: write for example `log-opts.max-size`");
        reader.findings.error(key_at, message);
        return None;
    }
    let absent = reader.text_at(table, "state").is_some_and(|state| state == "absent");
    let value = match (table.get("value"), absent) {
        (Some(node), false) => Some(value(node, reader)?),
        (None, true) => None,
        (Some(node), true) => {
            reader.findings.error(node.at, "an absent key has no `value`");
            return None;
        }
        (None, false) => {
            let help = "or write `state = \"absent\"`";
            reader.findings.error_help(key_at, "`value` is missing", help);
            return None;
        }
    };
    let format = KeyFormat::Json;
    Some(KeyValueRule { path: path?, format, section: None, key, value, create: true })
}

fn value(node: &Node, reader: &mut Reader<'_>) -> Option<serde_json::Value> {
    match node.as_list() {
        None => key_value::value(node, KeyFormat::Json, reader),
        Some(items) => {
            items.iter().map(|item| reader.text(item).map(serde_json::Value::String)).collect()
        }
    }
}
