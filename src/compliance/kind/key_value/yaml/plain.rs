//! What a word without quotes says in YAML.
//!
//! In: the word. Out: a value, of no type that a rule could want where readers differ. Pure.

use serde_json::Value;

/// What a plain scalar says.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        // Neither a number nor a text that could be believed.
        _ if is_doubtful(text) => Value::Array(vec![Value::String(text.to_owned())]),
        _ => match serde_json::from_str::<Value>(text) {
            Ok(number @ Value::Number(_)) => number,
            _ => Value::String(text.to_owned()),
        },
    }
}

/// Whether some readers, of YAML 1.1 or 1.2, take it for a truth, a number or a date, and others for
/// text or another number.
pub(super) fn is_doubtful(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    if ["yes", "no", "on", "off", "y", "n", ".nan"].contains(&&*text) || is_date(&text) {
        return true;
    }
    let sign = text.strip_prefix(['+', '-']);
    let bare = sign.unwrap_or(&text);
    let digits = |base: u32| move |c: char| c.is_digit(base) || c == '_';
    if let Some((base, rest)) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .find_map(|(p, b)| Some(*b).zip(bare.strip_prefix(p)))
    {
        return !rest.is_empty() && rest.chars().all(digits(base));
    }
    // Sixties: 12:30 is 750 to some.
    let is_sixtieth =
        |part: &str| part.parse::<f64>().is_ok_and(|part| (0.0..60.0).contains(&part));
    if let Some((whole, sixties)) = bare.split_once(':') {
        return whole.starts_with(|c: char| c.is_ascii_digit())
            && whole.chars().all(digits(10))
            && sixties.split(':').all(is_sixtieth);
    }
    if bare == ".inf" {
        return true;
    }
    let (number, exponent) = bare.split_once('e').unwrap_or((bare, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && number.contains(|c: char| c.is_ascii_digit())
        && number.matches('.').count() <= 1
        && number.chars().all(|c| c == '.' || digits(10)(c))
        && !exponent.is_empty()
        && exponent.chars().all(|c| c.is_ascii_digit());
    // Only what JSON writes so, without an exponent, is the same number to everybody.
    let is_plain = serde_json::from_str::<serde_json::Number>(&text).is_ok() && !bare.contains('e');
    is_number && !is_plain
}

/// `2026-11-23`, with or without a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let is_part = |part: Option<&str>, n_min: usize, n_max: usize| {
        part.is_some_and(|part| {
            (n_min..=n_max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        })
    };
    is_part(parts.next(), 4, 4)
        && is_part(parts.next(), 1, 2)
        && parts.next().is_some_and(|rest| {
            let day = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            is_part(rest.get(..day), 1, 2)
                && (day == rest.len() || rest[day..].starts_with(['t', ' ']))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::compliance::kind::key_value::yaml::plain::{is_doubtful, plain};

    #[test]
    fn what_readers_take_for_different_things_is_neither_text_nor_number() {
        for text in [
            "Yes",
            "off",
            "0x1F",
            "0o17",
            "0b11",
            "017",
            "+5",
            "-.5",
            ".5",
            "5.",
            "1_000",
            "12:30",
            "1:02:03.5",
            "1e3",
            "1.5e+3",
            ".inf",
            "-.Inf",
            ".NaN",
            "2026-11-23",
            "2026-1-2 03:04:05",
        ] {
            assert!(is_doubtful(text) && plain(text).is_array(), "{text}");
        }
        for text in [
            "1.2.3",
            "10.0.0.1",
            "10.0.0.1:80",
            "8080:8080",
            "10m",
            "0xyz",
            "a",
            ".",
            "-",
            "1-2",
            "e3",
            "12:",
            ":5",
            "2026-11",
            "noon",
            "1e",
            "_1",
        ] {
            assert_eq!(plain(text), Value::from(text), "{text}");
        }
        assert_eq!(["0", "-7", "1.5"].map(plain), [json!(0), json!(-7), json!(1.5)]);
    }
}
