//! TOML: everything else stays as it is written. `a.b` is `b` within `a`.
//!
//! In: a text, a key, what it should say. Out: what it says, the text that says it. Pure.
//!
//! # Guarantees
//! * What goes is the key's own lines; comments above them stay.

use std::ops::Range;

use serde_json::Value;
use toml_edit::{Document, Item, Table, TableLike, TomlError};

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
    let document = Document::parse(text).map_err(|error| not_toml(text, &error))?;
    let steps: Vec<&str> = key.split('.').collect();
    let (last, outer) = steps.split_last().ok_or("the key is empty")?;
    let holder = outer.iter().try_fold(document.as_item(), |item, step| item.get(step));
    let found = holder.and_then(|holder| holder.get(last));
    let is = found.map(shown);
    if is.as_ref() == wanted {
        return Ok((is, text.to_owned()));
    }
    let edited = match (holder, found, wanted) {
        (_, Some(found), Some(_)) if found.is_table_like() || found.is_array_of_tables() => {
            return Err(format!("`{key}` is a table, which no value replaces"));
        }
        (_, Some(found), Some(wanted)) => {
            let place = found.span().ok_or("its place is not known")?;
            replaced(text, [place], value(wanted)?.to_string().trim())
        }
        (Some(Item::Table(holder)), ..) if wanted.is_none() => removed(text, holder, last),
        // Its comments would go along.
        (Some(holder), _, None) if holder.span().is_some_and(|at| text[at].contains('\n')) => {
            return Err("a key within braces of several lines is not removed here".to_owned());
        }
        _ => rewritten(document, outer, last, wanted)?,
    };
    Ok((is, edited))
}

/// With a key more, or one less within braces.
fn rewritten(
    document: Document<&str>,
    outer: &[&str],
    last: &str,
    wanted: Option<&Value>,
) -> Result<String, String> {
    let mut document = document.into_mut();
    let mut at: &mut dyn TableLike = document.as_table_mut();
    for step in outer {
        let item = at.entry(step).or_insert_with(|| Item::Table(Table::new()));
        at = item.as_table_like_mut().ok_or_else(|| in_the_way(step))?;
    }
    match wanted {
        Some(wanted) => drop(at.insert(last, Item::Value(value(wanted)?))),
        None => drop(at.remove(last)),
    }
    Ok(document.to_string())
}

/// Without the lines of a key, and the comments between them.
fn removed(text: &str, holder: &Table, key: &str) -> String {
    let mut said = Vec::new();
    said_at(holder, key, &mut said);
    said.sort_by_key(|place| place.start);
    let mut places: Vec<Range<usize>> = Vec::new();
    for place in said {
        let start = text[..place.start].rfind('\n').map_or(0, |end| end + 1);
        let end = text[place.end..].find('\n').map_or(text.len(), |end| place.end + end + 1);
        let is_remark = |line: &str| line.trim().is_empty() || line.trim().starts_with('#');
        match places.last_mut() {
            Some(last) if start <= last.end || text[last.end..start].lines().all(is_remark) => {
                last.end = last.end.max(end);
            }
            _ => places.push(start..end),
        }
    }
    replaced(text, places, "")
}

/// Where a key, or what is below it, is said.
fn said_at(holder: &Table, key: &str, said: &mut Vec<Range<usize>>) {
    let Some((name, item)) = holder.get_key_value(key) else { return };
    let tables: Vec<&Table> = match item {
        Item::Table(table) => vec![table],
        Item::ArrayOfTables(tables) => tables.iter().collect(),
        _ => {
            said.extend(name.span().zip(item.span()).map(|(name, value)| name.start..value.end));
            return;
        }
    };
    for table in tables {
        // Its header, if it has one.
        said.extend(table.span().filter(|_| !table.is_implicit() && !table.is_dotted()));
        for (key, _) in table {
            said_at(table, key, said);
        }
    }
}

/// With something else in these places, the first one first.
fn replaced(text: &str, places: impl IntoIterator<Item = Range<usize>>, new: &str) -> String {
    let (mut whole, mut at) = (String::with_capacity(text.len() + new.len()), 0);
    for place in places {
        whole.push_str(&text[at..place.start]);
        whole.push_str(new);
        at = place.end;
    }
    whole + &text[at..]
}

fn in_the_way(step: &str) -> String {
    format!("what should hold `{step}` is no table")
}

fn value(wanted: &Value) -> Result<toml_edit::Value, String> {
    match wanted {
        // In one line, as JSON escapes it, so that it does not matter how the file's lines end.
        Value::String(text) if text.contains(['\n', '\r']) => wanted
            .to_string()
            .replace('\x7f', "\\u007f")
            .parse()
            .map_err(|_| "the value is no text of TOML".to_owned()),
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

/// What is said besides a key. One that is added may have brought the tables around it.
pub(super) fn besides(text: &str, key: &str, is_wanted: bool) -> Result<Vec<String>, String> {
    let mut all: toml::Table = text.parse().map_err(|_| "it is not TOML any more".to_owned())?;
    let mut steps: Vec<&str> = key.split('.').collect();
    let last = steps.pop().unwrap_or_default();
    let mut at = Some(&mut all);
    for step in steps {
        let Some(holder) = at else { break };
        if is_wanted && !holder.contains_key(step) {
            holder.insert(step.to_owned(), toml::Table::new().into());
        }
        at = holder.get_mut(step).and_then(toml::Value::as_table_mut);
    }
    at.map(|holder| holder.remove(last));
    // Unlike the values themselves, what is no number is so here on both sides.
    Ok(vec![format!("{all:?}")])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::compliance::kind::key_value::toml::{besides, toml};

    #[test]
    fn a_nested_key_keeps_its_type_and_a_second_edit_changes_nothing() {
        for (before, key, wanted, after) in [
            ("# top\na = 1 # one\n", "a", Some(json!(2)), "# top\na = 2 # one\n"),
            ("a = 1\n", "t.k", Some(json!("x")), "a = 1\n\n[t]\nk = \"x\"\n"),
            ("[t]\nk = 1\n", "t.k", None, "[t]\n"),
            // A date is no text.
            ("a = 2026-01-02\n", "a", Some(json!("2026-01-02")), "a = \"2026-01-02\"\n"),
            ("m = { a = 1, k = 2 } # c\n", "m.k", None, "m = { a = 1} # c\n"),
            ("m = { a = 1, k = 2 } # c\n", "m.k", Some(json!(3)), "m = { a = 1, k = 3 } # c\n"),
            ("a = 1\n", "a", Some(json!("x\ny")), "a = \"x\\ny\"\n"),
        ] {
            let (_, edited) = toml(before, key, wanted.as_ref()).unwrap();
            assert_eq!(edited, after, "{before}");
            assert_eq!(toml(&edited, key, wanted.as_ref()).unwrap(), (wanted, edited));
        }
    }

    #[test]
    fn a_key_that_goes_takes_no_comment_of_others_along() {
        for (before, key, after) in [
            (
                "# Copyright\n# Keep\n\nk = 1 # c\n\n# about b\nb = 2\n",
                "k",
                "# Copyright\n# Keep\n\n\n# about b\nb = 2\n",
            ),
            ("a = 1\n# about k\n\"k\" = \"\"\"\nb\n\"\"\"\nb = 2", "k", "a = 1\n# about k\nb = 2"),
            ("b = 2\nk = 1", "k", "b = 2\n"),
            ("# top\n\n[m]\n# x\nk = 1\n", "m.k", "# top\n\n[m]\n# x\n"),
            ("# top\n\n[m]\n# x\nk = 1\n", "m", "# top\n\n"),
            ("# top\n[m]\nk = 1\n# n\n[ m . n ]\nk = 1\n# z\n[z]\n", "m", "# top\n# z\n[z]\n"),
            ("[m]\nk = 1\n[z]\n# n\n[m.n]\nk = 1\n", "m", "[z]\n# n\n"),
            ("# one\n[[m]]\nk = 1\n[m.x]\n# two\n[[m]]\n", "m", "# one\n"),
            ("# x\nm.k = 1\nb = 1\nm.l.n = 2\n", "m", "# x\nb = 1\n"),
            ("# x\nm.k = 1\nm.l = 2\n", "m.k", "# x\nm.l = 2\n"),
        ] {
            let (_, edited) = toml(before, key, None).unwrap();
            assert_eq!(edited, after, "{before}");
            assert_eq!(besides(&edited, key, false), besides(before, key, false), "{before}");
        }
    }

    #[test]
    fn what_holds_others_is_replaced_by_no_value() {
        for text in ["b = ", "b = 1\n", "[b.c]\nd = 1\n", "[[b.c]]\nd = 1\n", "b.c = { d = 1 }\n"] {
            assert!(toml(text, "b.c", Some(&json!(1))).is_err(), "{text}");
        }
    }
}
