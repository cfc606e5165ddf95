//! TOML: everything else stays as it is written. `a.b` is `b` within `a`.
//!
//! In: a text, a key, what it should say. Out: what it says, the text that says it. Pure.

use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, TomlError};

/// Where it is no TOML, and why. The line itself may be secret.
fn not_toml(text: &str, error: &TomlError) -> String {
    let at = error.span().map(|span| text.as_bytes().iter().take(span.start));
    let line = at.map(|before| before.filter(|byte| **byte == b'\n').count() + 1);
    let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("it is not TOML{at}")
}

/// What a key says, and the text in which it says what it should.
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
    if wanted.is_some() && found.is_some_and(|i| i.is_table_like() || i.is_array_of_tables()) {
        return Err(format!("`{key}` is a table, which no value replaces"));
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
        // Neither a text nor a number, such as a date.
        _ => Value::Array(vec![Value::String(item.to_string().trim().to_owned())]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::compliance::kind::key_value::toml::toml;

    #[test]
    fn a_nested_key_keeps_its_type_and_a_second_edit_changes_nothing() {
        for (before, key, wanted, after) in [
            ("# top\na = 1 # one\n", "a", Some(json!(2)), "# top\na = 2 # one\n"),
            ("a = 1\n", "t.k", Some(json!("x")), "a = 1\n\n[t]\nk = \"x\"\n"),
            ("[t]\nk = 1\n", "t.k", None, "[t]\n"),
            // A date is no text.
            ("a = 2026-01-02\n", "a", Some(json!("2026-01-02")), "a = \"2026-01-02\"\n"),
        ] {
            let (_, edited) = toml(before, key, wanted.as_ref()).unwrap();
            assert_eq!(edited, after, "{before}");
            assert_eq!(toml(&edited, key, wanted.as_ref()).unwrap(), (wanted, edited));
        }
    }

    #[test]
    fn what_holds_others_is_replaced_by_no_value() {
        for text in ["b = ", "b = 1\n", "[b.c]\nd = 1\n", "[[b.c]]\nd = 1\n", "b.c = { d = 1 }\n"] {
            assert!(toml(text, "b.c", Some(&json!(1))).is_err(), "{text}");
        }
    }
}
