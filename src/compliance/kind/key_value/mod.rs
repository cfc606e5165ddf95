//! `key_value`: what a key says in a configuration file.

mod lines;
mod tree;
mod yaml;

use serde_json::Value;

use crate::compliance::kind::text::TextFile;
use crate::compliance::kind::{Judgement, Sight};
use crate::reconcile::desired::rule::kind::{KeyFormat, KeyValueRule};

/// Judges it.
pub(super) fn judge(rule: &KeyValueRule, sight: &Sight<'_>) -> Judgement {
    let file = match TextFile::seen(&rule.path, sight) {
        Ok(file) => file,
        Err(reason) => return Judgement::Error { reason },
    };
    let text = &file.text;
    let (is, edited) = match edit(text, rule) {
        Ok(found) => found,
        Err(reason) => return Judgement::Error { reason: format!("{}: {reason}", rule.path) },
    };
    let hidden = sight.is_hidden();
    let shown = |value: Option<&Value>| match value {
        None => format!("no `{}`", rule.key),
        Some(_) if hidden => format!("{} = a value that not everybody may read", rule.key),
        Some(Value::String(text)) => format!("{} = {text}", rule.key),
        Some(other) => format!("{} = {other}", rule.key),
    };
    let expected = shown(rule.value.as_ref());
    if edited == *text {
        return Judgement::Ok { expected };
    }
    let fix = file.rewritten(edited, rule.create);
    let actual = if file.is_missing() {
        "no such file".to_owned()
    } else if is == rule.value {
        format!("{}, and again otherwise", shown(is.as_ref()))
    } else {
        shown(is.as_ref())
    };
    Judgement::NotOk { expected, actual, fix }
}

/// The text in which the key says what it should; none if it does, or cannot.
pub(super) fn rewritten(rule: &KeyValueRule, sight: &Sight<'_>) -> Option<String> {
    let file = TextFile::seen(&rule.path, sight).ok()?;
    let (_, edited) = edit(&file.text, rule).ok()?;
    (edited != file.text).then_some(edited)
}

/// What the key says now, and the text in which it says what it should.
fn edit(text: &str, rule: &KeyValueRule) -> Result<(Option<Value>, String), String> {
    match rule.format {
        KeyFormat::Json => tree::json(text, &rule.key, rule.value.as_ref()),
        KeyFormat::Toml => tree::toml(text, &rule.key, rule.value.as_ref()),
        KeyFormat::Yaml => yaml::yaml(text, &rule.key, rule.value.as_ref()),
        KeyFormat::Equals | KeyFormat::Spaces | KeyFormat::Ini => {
            let value = rule
                .value
                .as_ref()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let wish = lines::Wish {
                format: rule.format,
                section: rule.section.as_deref(),
                key: &rule.key,
                value: value.as_deref(),
            };
            let (is, edited) = lines::edit(text, &wish)?;
            Ok((is.map(Value::String), edited))
        }
    }
}
