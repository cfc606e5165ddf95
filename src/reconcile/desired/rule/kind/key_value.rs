//! `key_value`: what a key says in a configuration file.

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SCALAR;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::rule::read::path;

/// Keys of `kind = "key_value"`.
pub(crate) static KEYS: Keys = Keys {
    name: "key_value",
    doc: "What a key says in a configuration file.",
    keys: &[
        Key::required("path", Kind::Text, "the file, absolute"),
        Key::required("format", Kind::Choice(FORMATS), "how the file is written"),
        Key::new("section", Kind::Text, "the section, of `ini` alone"),
        Key::required("key", Kind::Text, "the key; `a.b` is nested in json, toml and yaml"),
        Key::new("value", SCALAR, "what it must say"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
        Key::new("create", Kind::Boolean, "whether a missing file is made"),
    ],
};

const FORMATS: &[&str] = &["equals", "spaces", "ini", "json", "toml", "yaml"];

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// `key=value`, `#` comments: os-release, sysctl.conf, /etc/default.
    Equals,
    /// `key value`, `#` comments: `sshd_config`.
    Spaces,
    /// `[section]` and `key=value`, `#` and `;` comments.
    Ini,
    /// JSON.
    Json,
    /// TOML.
    Toml,
    /// YAML, mappings in block style.
    Yaml,
}

/// A key in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyValueRule {
    /// The file.
    pub path: HostPath,
    /// How it is written.
    pub format: KeyFormat,
    /// The section of an ini file; none is what stands above all sections.
    pub section: Option<String>,
    /// The key.
    pub key: String,
    /// What it must say; none means it must not be there. JSON, TOML and YAML keep its type.
    pub value: Option<serde_json::Value>,
    /// Whether a missing file is made.
    pub create: bool,
}

impl KeyValueRule {
    /// What of the file it is about.
    pub(crate) fn thing(&self) -> String {
        let section = self.section.as_ref().map(|s| format!("[{s}] ")).unwrap_or_default();
        format!("key `{section}{}` of {}", self.key, self.path)
    }
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<KeyValueRule> {
    let path = path(table, "path", reader);
    let format = match reader.text_at(table, "format")?.as_str() {
        "spaces" => KeyFormat::Spaces,
        "ini" => KeyFormat::Ini,
        "json" => KeyFormat::Json,
        "toml" => KeyFormat::Toml,
        "yaml" => KeyFormat::Yaml,
        _ => KeyFormat::Equals,
    };
    let word = |text: &str| {
        if text.trim() != text || text.is_empty() || text.contains(['\n', '\r']) {
            return Err(format!("`{text}` is no key: no blanks around it, no line end in it"));
        }
        Ok(text.to_owned())
    };
    let key_node = table.get("key")?;
    let key = reader.with(key_node, word);
    let section = match table.get("section") {
        None => None,
        Some(node) if format != KeyFormat::Ini => {
            let message = "only `format = \"ini\"` has sections";
            reader.findings.error_help(
                node.at,
                message,
                "remove it; json, toml and yaml nest with dots",
            );
            return None;
        }
        Some(node) => Some(reader.with(node, word)?),
    };
    let absent = reader.text_at(table, "state").is_some_and(|state| state == "absent");
    let value = match (table.get("value"), absent) {
        (Some(node), false) => Some(value(node, format, reader)?),
        (None, true) => None,
        (Some(node), true) => {
            reader.findings.error(node.at, "an absent key has no `value`");
            return None;
        }
        (None, false) => {
            let message = "`value` is missing";
            reader.findings.error_help(key_node.at, message, "or write `state = \"absent\"`");
            return None;
        }
    };
    let create = reader.boolean(table, "create");
    Some(KeyValueRule { path: path?, format, section, key: key?, value, create })
}

/// A value with the type that the format has.
pub(crate) fn value(
    node: &Node,
    format: KeyFormat,
    reader: &mut Reader<'_>,
) -> Option<serde_json::Value> {
    let typed = matches!(format, KeyFormat::Json | KeyFormat::Toml | KeyFormat::Yaml);
    match node.value {
        Value::Integer(number) if typed => Some(number.into()),
        Value::Boolean(truth) if typed => Some(truth.into()),
        Value::Float(number) if typed => {
            let finite = serde_json::Number::from_f64(number).map(Into::into);
            if finite.is_none() {
                reader.findings.error(node.at, "not every such file can hold this number");
            }
            finite
        }
        _ => reader.with(node, |text| {
            if text.contains(['\n', '\r']) && !typed {
                return Err("a value in such a file has no line end in it".to_owned());
            }
            Ok(text.into())
        }),
    }
}
