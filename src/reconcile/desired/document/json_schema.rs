//! JSON Schemas (draft 2020-12) of documents, from the description that checks them.
//!
//! In: [`Keys`]. Out: JSON. Pure.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::Status;
use crate::reconcile::desired::document::kind::Tagged;

/// The schema of a document.
pub fn json_schema(title: &str, keys: &Keys) -> Value {
    let mut definitions = Map::new();
    let root = definition(keys, &mut definitions);
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!(title));
    if let Value::Object(root) = root {
        schema.extend(root);
    }
    schema.insert("$defs".into(), Value::Object(definitions));
    Value::Object(schema)
}

fn definition(keys: &Keys, definitions: &mut Map<String, Value>) -> Value {
    object(keys.doc, keys.keys.iter(), definitions)
}

fn object<'a>(
    doc: &str,
    keys: impl Iterator<Item = &'a Key> + Clone,
    definitions: &mut Map<String, Value>,
) -> Value {
    let properties: Map<String, Value> = keys
        .clone()
        .filter(|key| key.is_usable())
        .map(|key| {
            let mut schema = of(&key.kind, definitions);
            if let Value::Object(object) = &mut schema {
                object.insert("description".into(), json!(key.doc));
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> =
        keys.filter(|k| k.status == Status::Required).map(|k| k.name).collect();
    json!({
        "type": "object",
        "description": doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// One of several objects, told apart by what the tag says.
fn tagged(tagged: &Tagged, definitions: &mut Map<String, Value>) -> Value {
    let mut any = Vec::new();
    for keys in tagged.variants {
        let name = format!("{}_{}", tagged.name, keys.name);
        if !definitions.contains_key(&name) {
            definitions.insert(name.clone(), Value::Null);
            let all = tagged.common.iter().chain(keys.keys);
            let mut schema = object(keys.doc, all, definitions);
            if let Some(tag) = schema.pointer_mut(&format!("/properties/{}", tagged.tag)) {
                *tag = json!({ "const": keys.name });
            }
            definitions.insert(name.clone(), schema);
        }
        any.push(json!({ "$ref": format!("#/$defs/{name}") }));
    }
    json!({ "description": tagged.doc, "oneOf": any })
}

/// A place in `$defs`, so that recursive tables end and shared ones are written once.
fn reference(keys: &Keys, definitions: &mut Map<String, Value>) -> Value {
    if !definitions.contains_key(keys.name) {
        definitions.insert(keys.name.to_owned(), Value::Null);
        let schema = definition(keys, definitions);
        definitions.insert(keys.name.to_owned(), schema);
    }
    json!({ "$ref": format!("#/$defs/{}", keys.name) })
}

fn of(kind: &Kind, definitions: &mut Map<String, Value>) -> Value {
    let or_substituted = |name: &str| json!({ "anyOf": [{ "type": name }, { "type": "string", "pattern": "\\$\\{" }] });
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Boolean => or_substituted("boolean"),
        Kind::Integer => or_substituted("integer"),
        Kind::Number => or_substituted("number"),
        Kind::Time => json!({ "type": "string", "format": "date-time" }),
        Kind::List(inner) => json!({ "type": "array", "items": of(inner, definitions) }),
        Kind::NonEmpty(inner) => {
            json!({ "type": "array", "minItems": 1, "items": of(inner, definitions) })
        }
        Kind::Map(inner) => {
            json!({ "type": "object", "additionalProperties": of(inner, definitions) })
        }
        Kind::Table(keys) => reference(keys, definitions),
        Kind::Tagged(keys) => tagged(keys, definitions),
        Kind::OneOf(kinds) => {
            let any: Vec<Value> = kinds.iter().map(|kind| of(kind, definitions)).collect();
            json!({ "anyOf": any })
        }
        Kind::Anything => json!({}),
    }
}
