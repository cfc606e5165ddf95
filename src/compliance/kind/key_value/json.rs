//! JSON: a value replaced, added or taken out where it stands. `a.b` is `b` within `a`.
//!
//! In: a text, a key, what it should say. Out: what it says, the text that says it. Pure.
//!
//! # Guarantees
//! * All else stays as it is written: numbers, order, blanks.

use std::ops::Range;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Deserializer, Value};

/// A member of an object.
#[derive(Debug)]
struct Member {
    name: String,
    /// Where its name begins.
    begin: usize,
    value: Range<usize>,
}

/// What a key says, and the text in which it says what it should.
pub(super) fn json(
    text: &str,
    key: &str,
    wanted: Option<&Value>,
) -> Result<(Option<Value>, String), String> {
    let whole = if text.trim().is_empty() { "{}\n" } else { text };
    let not_json = |error| format!("it is not JSON: {error}");
    let _sound: IgnoredAny = serde_json::from_str(whole).map_err(not_json)?;
    let mut begin = skip_blanks(whole, 0);
    let mut steps = key.split('.');
    while let Some(step) = steps.next() {
        let Some(members) = members(whole, begin)? else {
            return match wanted {
                None => Ok((None, text.to_owned())),
                Some(_) => Err(format!("what should hold `{step}` is no object")),
            };
        };
        let mut same = (0..members.len()).filter(|at| members[*at].name == step);
        let (found, again) = (same.next(), same.next());
        if again.is_some() {
            return Err(format!("`{step}` stands twice"));
        }
        let Some(found) = found else {
            let Some(wanted) = wanted else { return Ok((None, text.to_owned())) };
            let inner: Vec<&str> = steps.collect();
            let within = |value, step: &&str| serde_json::json!({ *step: value });
            let value = inner.iter().rev().fold(wanted.clone(), within);
            return Ok((None, added(whole, begin, &members, step, &value)));
        };
        let value = members[found].value.clone();
        if steps.clone().next().is_some() {
            begin = value.start;
            continue;
        }
        let is: Value = serde_json::from_str(&whole[value.clone()]).map_err(not_json)?;
        let edited = match wanted {
            Some(wanted) if *wanted == is => text.to_owned(),
            Some(_) if is.is_object() => {
                return Err(format!("`{step}` is an object, which no value replaces"));
            }
            Some(wanted) => replaced(whole, value, &wanted.to_string()),
            None => removed(whole, begin, &members, found),
        };
        return Ok((Some(is), edited));
    }
    Err("the key is empty".to_owned())
}

/// The members of the object that begins here; none if none does.
fn members(text: &str, begin: usize) -> Result<Option<Vec<Member>>, String> {
    // What is no whole JSON was refused; half a character is refused only where it is a name.
    let unread = || "a name is not written in whole characters".to_owned();
    if !text.get(begin..).is_some_and(|rest| rest.starts_with('{')) {
        return Ok(None);
    }
    let (mut at, mut members) = (begin + 1, Vec::new());
    loop {
        at = skip_blanks(text, at);
        match text.as_bytes().get(at).ok_or_else(unread)? {
            b'}' => return Ok(Some(members)),
            b',' => at += 1,
            _ => {
                let (name, end) = next::<String>(text, at).ok_or_else(unread)?;
                let start = skip_blanks(text, skip_blanks(text, end) + 1);
                let (IgnoredAny, end) = next(text, start).ok_or_else(unread)?;
                members.push(Member { name, begin: at, value: start..end });
                at = end;
            }
        }
    }
}

/// The value that begins here, and where it ends.
fn next<T: DeserializeOwned>(text: &str, at: usize) -> Option<(T, usize)> {
    let mut values = Deserializer::from_str(text.get(at..)?).into_iter();
    let value = values.next()?.ok()?;
    Some((value, at + values.byte_offset()))
}

fn skip_blanks(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_start().len()
}

fn replaced(text: &str, range: Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[..range.start], &text[range.end..])
}

/// With another member after the last, in a line of its own if the first has one.
fn added(text: &str, begin: usize, members: &[Member], name: &str, value: &Value) -> String {
    let (Some(first), Some(last)) = (members.first(), members.last()) else {
        let object = serde_json::json!({ name: value });
        let close = skip_blanks(text, begin + 1) + 1;
        return replaced(text, begin..close, &format!("{object:#}"));
    };
    let blanks = &text[begin + 1..first.begin];
    let name = Value::from(name);
    let member = match blanks.rsplit_once('\n') {
        Some((_, indent)) => format!("{name}: {value:#}").replace('\n', &format!("\n{indent}")),
        None => format!("{name}:{value}"),
    };
    replaced(text, last.value.end..last.value.end, &format!(",{blanks}{member}"))
}

fn removed(text: &str, begin: usize, members: &[Member], at: usize) -> String {
    let end = members[at].value.end;
    let range = match (at.checked_sub(1), members.get(at + 1)) {
        (Some(before), _) => members[before].value.end..end,
        (None, Some(next)) => members[at].begin..next.begin,
        (None, None) => begin + 1..skip_blanks(text, end),
    };
    replaced(text, range, "")
}

/// What is said besides a key: of each object on the way to it, all other members, as they are
/// written. One that is added may have brought the objects around it.
pub(super) fn besides(text: &str, key: &str, is_wanted: bool) -> Result<Vec<String>, String> {
    let whole = if text.trim().is_empty() { "{}" } else { text };
    let mut begin = Some(skip_blanks(whole, 0));
    let mut all = Vec::new();
    for step in key.split('.') {
        let Some(members) = begin.map_or(Ok(None), |begin| members(whole, begin))? else {
            if is_wanted {
                all.push(String::new());
            }
            continue;
        };
        let (own, others): (Vec<&Member>, Vec<_>) = members.iter().partition(|m| m.name == step);
        let written =
            |member: &&Member| format!("{:?} {}\n", member.name, &whole[member.value.clone()]);
        all.push(others.iter().map(written).collect());
        begin = own.first().map(|member| member.value.start);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::compliance::kind::key_value::json::json as edit;

    #[test]
    fn a_nested_key_keeps_its_type_and_all_else_stays_as_it_is_written() {
        let pretty = "{\n    \"z\": 1,\n    \"b\": {\n        \"c\": true\n    }\n}\n";
        for (before, key, wanted, after) in [
            ("", "b", Some(json!("x")), "{\n  \"b\": \"x\"\n}\n".to_owned()),
            ("{ }\n", "b", Some(json!(["x"])), "{\n  \"b\": [\n    \"x\"\n  ]\n}\n".to_owned()),
            ("{\"a\":1}", "b.c", Some(json!(true)), "{\"a\":1,\"b\":{\"c\":true}}".to_owned()),
            ("{\"a\":1}", "a", Some(json!("1")), "{\"a\":\"1\"}".to_owned()),
            (pretty, "b.c", Some(json!(7)), pretty.replace("true", "7")),
            (
                pretty,
                "b.d.e",
                Some(json!(7)),
                pretty.replace("true", "true,\n        \"d\": {\n          \"e\": 7\n        }"),
            ),
            (pretty, "z", None, pretty.replace("\"z\": 1,\n    ", "")),
            (pretty, "b", None, "{\n    \"z\": 1\n}\n".to_owned()),
            (pretty, "b.c", None, "{\n    \"z\": 1,\n    \"b\": {}\n}\n".to_owned()),
            // Numbers that no program here holds, and keys that stand twice elsewhere.
            (
                "{\"n\": 12345678901234567890123, \"f\": 1.10, \"d\":{\"b\":1}, \"d\":2, \"p\" :1 }",
                "p",
                Some(json!(2)),
                "{\"n\": 12345678901234567890123, \"f\": 1.10, \"d\":{\"b\":1}, \"d\":2, \"p\" :2 }"
                    .to_owned(),
            ),
        ] {
            let (_, edited) = edit(before, key, wanted.as_ref()).unwrap();
            assert_eq!(edited, after, "{before}");
            assert_eq!(edit(&edited, key, wanted.as_ref()).unwrap(), (wanted, edited));
        }
    }

    #[test]
    fn what_cannot_be_edited_for_certain_is_refused() {
        for text in ["{\"\\ud800\":1,\"b\":{\"c\":1}}", "{\"b\":{\"\\udfff\":1,\"c\":2}}"] {
            assert!(
                edit(text, "b.c", None).is_err() && edit(text, "b.c", Some(&json!(2))).is_err()
            );
        }
        for text in ["{", "{\"b\":1}", "[]", "{\"b\":{\"c\":{}}}", "{\"b\":{},\"b\":{}}", "{} {}"] {
            assert!(edit(text, "b.c", Some(&json!(1))).is_err(), "{text}");
        }
        assert_eq!(edit("{\"b\":1}", "b.c", None).unwrap(), (None, "{\"b\":1}".to_owned()));
    }
}
