//! `key_value`: what a key says in a configuration file.

mod continued;
mod json;
mod lines;
mod toml;
mod yaml;

use std::borrow::Cow;

use serde_json::Value;

use crate::compliance::change::HIDDEN;
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
        Some(_) if hidden => format!("{} = {HIDDEN}", rule.key),
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

/// What the key says now, and the text in which it says what it should, its lines ended as they are.
fn edit(text: &str, rule: &KeyValueRule) -> Result<(Option<Value>, String), String> {
    if text.starts_with('\u{feff}') {
        return Err("it begins with a byte order mark: a file without one can be edited".to_owned());
    }
    let returns = text.contains('\r');
    let plain = if returns { Cow::from(text.replace("\r\n", "\n")) } else { Cow::from(text) };
    let ended = |plain: &str| if returns { plain.replace('\n', "\r\n") } else { plain.to_owned() };
    if returns && (plain.contains('\r') || ended(&plain) != text) {
        return Err("its lines do not all end in the same way: let them, first".to_owned());
    }
    let (is, edited) = edit_plain(&plain, rule)?;
    // What was written is read again before anybody believes it.
    if edited != plain && edit_plain(&edited, rule)?.1 != edited {
        return Err("it is written in a way that is not edited here".to_owned());
    }
    Ok((is, ended(&edited)))
}

/// The same for a text whose lines end plainly.
fn edit_plain(text: &str, rule: &KeyValueRule) -> Result<(Option<Value>, String), String> {
    match rule.format {
        KeyFormat::Json => json::json(text, &rule.key, rule.value.as_ref()),
        KeyFormat::Toml => toml::toml(text, &rule.key, rule.value.as_ref()),
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
