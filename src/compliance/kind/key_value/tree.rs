//! Files of nested keys: JSON, TOML. `a.b` is `b` within `a`.

use serde_json::{Map, Value};
use toml_edit::{DocumentMut, Item, Table, TomlError};

/// JSON: written anew where it changes, keys in alphabetical order.
pub(super) fn json(
    text: &str,
    key: &str,
    wanted: Option<&Value>,
) -> Result<(Option<Value>, String), String> {
    let empty = text.trim().is_empty();
    let mut root: Value = if empty {
        Value::Object(Map::new())
    } else {
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?
    };
    let steps: Vec<&str> = key.split('.').collect();
    let is = steps.iter().try_fold(&root, |value, step| value.get(step)).cloned();
    if is.as_ref() == wanted {
        return Ok((is, text.to_owned()));
    }
    let (last, outer) = steps.split_last().ok_or("the key is empty")?;
    let mut at = &mut root;
    for step in outer {
        let object = at.as_object_mut().ok_or_else(|| in_the_way(step))?;
        at = object.entry(*step).or_insert_with(|| Value::Object(Map::new()));
    }
    let object = at.as_object_mut().ok_or_else(|| in_the_way(last))?;
    match wanted {
        Some(value) => drop(object.insert((*last).to_owned(), value.clone())),
        None => drop(object.remove(*last)),
    }
    let text = serde_json::to_string_pretty(&root).map_err(|error| error.to_string())?;
    Ok((is, text + "\n"))
}

/// Where it is no TOML, and why. The line itself may be secret.
fn not_toml(text: &str, error: &TomlError) -> String {
    let at = error.span().map(|span| text.as_bytes().iter().take(span.start));
    let line = at.map(|before| before.filter(|byte| **byte == b'\n').count() + 1);
    let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("it is not TOML{at}")
}

/// TOML: everything else stays as it is written.
pub(super) fn toml(
    text: &str,
    key: &str,
    wanted: Option<&Value>,
) -> Result<(Option<Value>, String), String> {
    let mut document: DocumentMut = text.parse().map_err(|error| not_toml(text, &error))?;
    let steps: Vec<&str> = key.split('.').collect();
    let found = steps.iter().try_fold(document.as_item(), |item, step| item.get(step));
    let is = found.map(shown);
    if is.as_ref() == wanted {
        return Ok((is, text.to_owned()));
    }
    let (last, outer) = steps.split_last().ok_or("the key is empty")?;
    let mut at: &mut dyn toml_edit::TableLike = document.as_table_mut();
    for step in outer {
        let item = at.entry(step).or_insert_with(|| Item::Table(Table::new()));
        at = item.as_table_like_mut().ok_or_else(|| in_the_way(step))?;
    }
    match wanted.map(value).transpose()? {
        None => drop(at.remove(last)),
        Some(new) => match at.get_mut(last).and_then(Item::as_value_mut) {
            Some(old) => {
                // A comment behind the value stays.
                let decor = old.decor().clone();
                *old = new;
                *old.decor_mut() = decor;
            }
            None => drop(at.insert(last, Item::Value(new))),
        },
    }
    Ok((is, document.to_string()))
}

fn in_the_way(step: &str) -> String {
    format!("what should hold `{step}` is no table")
}

fn value(wanted: &Value) -> Result<toml_edit::Value, String> {
    match wanted {
        Value::String(text) => Ok(text.as_str().into()),
        Value::Bool(truth) => Ok((*truth).into()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(whole.into()),
            (None, Some(part)) => Ok(part.into()),
            (None, None) => Err(format!("{number} is no number of TOML")),
        },
        _ => Err("only text, numbers and truths are set".to_owned()),
    }
}

fn shown(item: &Item) -> Value {
    match item.as_value() {
        Some(toml_edit::Value::String(text)) => Value::String(text.value().clone()),
        Some(toml_edit::Value::Integer(number)) => (*number.value()).into(),
        Some(toml_edit::Value::Float(number)) => (*number.value()).into(),
        Some(toml_edit::Value::Boolean(truth)) => (*truth.value()).into(),
        _ => Value::String(item.to_string().trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::compliance::kind::key_value::tree::{json, toml};

    type Edit = fn(&str, &str, Option<&Value>) -> Result<(Option<Value>, String), String>;

    #[test]
    fn a_nested_key_keeps_its_type_and_a_second_edit_changes_nothing() {
        let pretty = "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": true\n  }\n}\n";
        for (edit, before, key, wanted, after) in [
            (json as Edit, "", "b", Some(json!("x")), "{\n  \"b\": \"x\"\n}\n"),
            (json, "{\"a\":1}", "b.c", Some(json!(true)), pretty),
            (json, "{\"a\":1,\"b\":2}", "b", None, "{\n  \"a\": 1\n}\n"),
            (toml, "# top\na = 1 # one\n", "a", Some(json!(2)), "# top\na = 2 # one\n"),
            (toml, "a = 1\n", "t.k", Some(json!("x")), "a = 1\n\n[t]\nk = \"x\"\n"),
            (toml, "[t]\nk = 1\n", "t.k", None, "[t]\n"),
        ] {
            let (_, edited) = edit(before, key, wanted.as_ref()).unwrap();
            assert_eq!(edited, after, "{before}");
            assert_eq!(edit(&edited, key, wanted.as_ref()).unwrap(), (wanted, edited));
        }
        for (edit, text) in
            [(json as Edit, "{"), (toml, "a = "), (json, "{\"b\":1}"), (toml, "b = 1")]
        {
            assert!(edit(text, "b.c", Some(&json!(1))).is_err(), "{text}");
        }
        // `1` and `"1"` are not the same.
        assert_ne!(json("{\"a\":1}", "a", Some(&json!("1"))).unwrap().1, "{\"a\":1}");
    }
}
