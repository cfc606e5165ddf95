//! Compares a document with its description: unknown keys, wrong types, what is not supported.
//!
//! In: [`Table`], [`Keys`]. Out: findings. Pure.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::Status;
use crate::reconcile::desired::document::kind::Tagged;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;

/// How alike an unknown key and a known one must be to be suggested (Jaro-Winkler).
const LIKENESS_MIN: f64 = 0.8;

/// Checks `table`, which was written at `at`, against `keys`.
pub(crate) fn check(table: &Table, keys: &Keys, at: Place, findings: &mut Findings) {
    check_keys(table, &[keys.keys], keys.name, at, findings);
}

/// Checks `table` against what several descriptions allow together.
fn check_keys(
    table: &Table,
    keys: &[&'static [Key]],
    of: &str,
    at: Place,
    findings: &mut Findings,
) {
    let all = || keys.iter().flat_map(|keys| keys.iter());
    for (name, entry) in &table.0 {
        let Some(key) = all().find(|key| key.name == name) else {
            let message = format!("unknown key `{name}`");
            let usable: Vec<&str> = all().filter(|key| key.is_usable()).map(|k| k.name).collect();
            findings.error_help(entry.key_at, message, suggestion(name, of, &usable));
            continue;
        };
        match key.status {
            Status::Supported | Status::Required => {
                check_node(&entry.node, &key.kind, name, findings);
            }
            Status::NotYet => {
                let message = format!("`{name}` is not supported in this version");
                findings.error_help(entry.key_at, message, format!("remove it; it is {}", key.doc));
            }
            Status::Refused(because) => {
                let message = format!("`{name}` is refused because {because}");
                findings.error_help(entry.key_at, message, "remove it");
            }
        }
    }
    for key in all().filter(|key| key.status == Status::Required) {
        if !table.0.contains_key(key.name) {
            let message = format!("`{}` is missing", key.name);
            findings.error_help(at, message, format!("add it: {}", key.doc));
        }
    }
}

/// Checks a table by what its tag says.
fn check_tagged(table: &Table, tagged: &'static Tagged, at: Place, findings: &mut Findings) {
    let Some(node) = table.get(tagged.tag) else {
        let message = format!("`{}` is missing", tagged.tag);
        let all: Vec<&str> = tagged.variants.iter().map(|keys| keys.name).collect();
        return findings.error_help(at, message, format!("write one of {}", all.join(", ")));
    };
    let Some(word) = node.as_text() else {
        return check_node(node, &Kind::Text, tagged.tag, findings);
    };
    match tagged.variant(word) {
        Some(keys) => check_keys(table, &[tagged.common, keys.keys], keys.name, at, findings),
        None if tagged.later.contains(&word) => {
            let message = format!("{} `{word}` is not supported in this version", tagged.tag);
            findings.error_help(node.at, message, "remove it");
        }
        None => {
            let all: Vec<&str> = tagged.variants.iter().map(|keys| keys.name).collect();
            let what = format!("{} of {}", tagged.tag, tagged.name);
            let message = format!("unknown {what} `{word}`");
            findings.error_help(node.at, message, suggestion(word, &what, &all));
        }
    }
}

fn suggestion(name: &str, of: &str, all: &[&str]) -> String {
    let likeness = |key: &str| strsim::jaro_winkler(name, key);
    let best = all
        .iter()
        .map(|key| (likeness(key), key))
        .filter(|(score, _)| *score >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, key)) = best {
        return format!("did you mean `{key}`?");
    }
    if all.is_empty() {
        return "no key is allowed here".to_owned();
    }
    format!("keys of {of}: {}", all.join(", "))
}

/// Checks one value, which stands under `key`.
pub(crate) fn check_node(node: &Node, kind: &Kind, key: &str, findings: &mut Findings) {
    match (kind, &node.value) {
        (Kind::OneOf(kinds), _) => {
            if let Some(kind) = kinds.iter().find(|kind| fits(kind, &node.value)) {
                return check_node(node, kind, key, findings);
            }
        }
        (Kind::NonEmpty(_), Value::List(items)) if items.is_empty() => {
            let help = "name something, or remove it";
            return findings.error_help(node.at, format!("`{key} = []` asks for nothing"), help);
        }
        (Kind::List(inner) | Kind::NonEmpty(inner), Value::List(items)) => {
            for item in items {
                check_node(item, inner, key, findings);
            }
            return;
        }
        (Kind::Map(inner), Value::Table(table)) => {
            for (name, entry) in &table.0 {
                check_node(&entry.node, inner, name, findings);
            }
            return;
        }
        (Kind::Table(keys), Value::Table(table)) => return check(table, keys, node.at, findings),
        (Kind::Tagged(tagged), Value::Table(table)) => {
            return check_tagged(table, tagged, node.at, findings);
        }
        (kind, value) if fits(kind, value) => return,
        _ => {}
    }
    let expected = kind.expected();
    let message = match (&node.value, kind) {
        (Value::Text(text), kind) if kind.has_choice() => {
            format!("`{key}` must be {expected}, not \"{text}\"")
        }
        (value, _) => format!("`{key}` must be {expected}, not {}", value.type_name()),
    };
    findings.mistyped(node.at, message);
}

/// Whether a value is of the right type, not looking inside.
fn fits(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Boolean | Kind::Integer | Kind::Number, Value::Text(text)) => text.contains("${"),
        (Kind::Choice(words), Value::Text(text)) => {
            words.contains(&text.as_str()) || text.contains("${")
        }
        (Kind::Text, Value::Text(_))
        | (Kind::Boolean, Value::Boolean(_))
        | (Kind::Integer, Value::Integer(_) | Value::Octal(_))
        | (Kind::Number, Value::Integer(_) | Value::Octal(_) | Value::Float(_))
        | (Kind::Time, Value::Time(_))
        | (Kind::List(_) | Kind::NonEmpty(_), Value::List(_))
        | (Kind::Map(_) | Kind::Table(_) | Kind::Tagged(_), Value::Table(_))
        | (Kind::Anything, _) => true,
        (Kind::OneOf(kinds), value) => kinds.iter().any(|kind| fits(kind, value)),
        _ => false,
    }
}
