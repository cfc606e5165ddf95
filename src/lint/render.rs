//! What a node should run, as text for people and as JSON for programs.
//!
//! In: [`DesiredState`]. Out: text. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::reconcile::desired::DesiredState;

#[derive(Debug, Serialize)]
struct Rendered<'a> {
    schema: &'static str,
    state: &'a DesiredState,
}

/// The state as JSON; it begins with its schema.
pub fn render_json(state: &DesiredState) -> String {
    let rendered = Rendered { schema: "tidegate.render/1", state };
    serde_json::to_string_pretty(&rendered).unwrap_or_default() + "\n"
}

/// The state as TOML: what is empty or absent is left out.
pub fn render_text(state: &DesiredState) -> String {
    let value = serde_json::to_value(state).ok().and_then(without_nothing);
    let body = value.and_then(|value| toml::to_string_pretty(&value).ok()).unwrap_or_default();
    format!("# {} on node {}\n{body}", state.revision, state.node)
}

/// Without nulls, empty lists, empty tables and `false`.
fn without_nothing(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            Some(Value::Array(items.into_iter().filter_map(without_nothing).collect()))
        }
        Value::Object(entries) => {
            let kept: serde_json::Map<String, Value> = entries
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_nothing(value)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other),
    }
}
