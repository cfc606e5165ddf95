//! `key_value`: what a key says in a configuration file.
//!
//! # Guarantees
//! * An edited text is read again: it says what the old one says but for the key, or it is refused.

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
    if edited != plain && !changes_the_key_alone(&plain, &edited, rule) {
        return Err("it is written in a way that is not edited here".to_owned());
    }
    Ok((is, ended(&edited)))
}

/// Whether an edited text says what it should, and all else that the old one says.
fn changes_the_key_alone(plain: &str, edited: &str, rule: &KeyValueRule) -> bool {
    let is_as_wanted =
        edit_plain(edited, rule).is_ok_and(|(is, again)| is == rule.value && again == edited);
    let (before, after) = (besides(plain, rule), besides(edited, rule));
    is_as_wanted && before.is_ok() && before == after
}

/// The same for a text whose lines end plainly.
fn edit_plain(text: &str, rule: &KeyValueRule) -> Result<(Option<Value>, String), String> {
    let value = rule.value.as_ref();
    match rule.format {
        KeyFormat::Json => json::json(text, &rule.key, value),
        KeyFormat::Toml => toml::toml(text, &rule.key, value),
        KeyFormat::Yaml => yaml::yaml(text, &rule.key, value),
        KeyFormat::Equals | KeyFormat::Spaces | KeyFormat::Ini => {
            let (is, edited) = lines::edit(text, &wish(rule))?;
            Ok((is.map(Value::String), edited))
        }
    }
}

/// What a text says besides the key, in an order that matters.
fn besides(text: &str, rule: &KeyValueRule) -> Result<Vec<String>, String> {
    match rule.format {
        KeyFormat::Json => json::besides(text, &rule.key, rule.value.is_some()),
        KeyFormat::Toml => toml::besides(text, &rule.key, rule.value.is_some()),
        // Its edits are compared with what they should say.
        KeyFormat::Yaml => Ok(Vec::new()),
        KeyFormat::Equals | KeyFormat::Spaces | KeyFormat::Ini => lines::besides(text, &wish(rule)),
    }
}

/// Files of lines hold nothing but text.
fn wish(rule: &KeyValueRule) -> lines::Wish<'_> {
    lines::Wish {
        format: rule.format,
        section: rule.section.as_deref(),
        key: &rule.key,
        value: rule.value.as_ref().and_then(Value::as_str),
    }
}
