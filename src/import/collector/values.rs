//! Values of variables, which the collector keeps as text that is JSON.

use serde_json::Value;

use crate::import::words::percent;

/// One thing, or a list of them.
pub(crate) fn each(value: &Value) -> &[Value] {
    match value {
        Value::Array(all) => all,
        one => std::slice::from_ref(one),
    }
}

/// A number or text as text; nothing else.
pub(crate) fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Whether a field is true, however it is written; none if it is not there.
pub(crate) fn truth(one: &Value, field: &str) -> Result<Option<bool>, String> {
    let Some(said) = scalar(one.get(field)) else { return Ok(None) };
    match said.to_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(Some(true)),
        "false" | "0" | "no" => Ok(Some(false)),
        _ => Err(format!("`{field}` is `{said}`, which says neither yes nor no")),
    }
}

/// A text in which references are ours.
pub(crate) fn referring(value: Option<&Value>) -> Result<Option<String>, String> {
    scalar(value).map(|text| percent(&text)).transpose()
}

/// A pattern that must fit from the beginning, as Python's `re.match` has it.
pub(crate) fn anchored(pattern: &str) -> String {
    // Of several alternatives each.
    format!("^(?:{pattern})")
}

/// A path, without the slash at its end.
pub(crate) fn path(value: Option<&Value>) -> Result<Option<String>, String> {
    let path = referring(value)?;
    Ok(path.map(|path| {
        let short = path.trim_end_matches('/');
        if short.is_empty() { path.clone() } else { short.to_owned() }
    }))
}

/// Permission bits: `644`, `"0644"`.
pub(crate) fn mode(value: Option<&Value>) -> Option<String> {
    let text = scalar(value)?;
    let digits = text.trim_start_matches("0o");
    let octal = !digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
    octal.then(|| format!("{digits:0>4}"))
}

/// A user or group: a number stays one.
pub(crate) fn principal(value: Option<&Value>) -> Option<toml_edit::Value> {
    let text = scalar(value)?;
    Some(text.parse::<i64>().map_or_else(|_| text.as_str().into(), Into::into))
}
