//! YAML: mappings in block style, edited a line at a time, so that all else stays as it is written.
//!
//! What it cannot tell for certain it refuses: several documents, tabs, flow collections, anchors and
//! values of several lines on the way to the key.

use serde_json::Value;

use crate::compliance::kind::key_value::block::{closed, end_of_content, indent, is_void, sound};
use crate::compliance::kind::key_value::plain::{is_doubtful, plain};

/// An entry of a mapping: its lines, from the key's on.
#[derive(Debug, Clone, Copy)]
struct Entry {
    first: usize,
    /// The line after its last.
    end: usize,
    indent: usize,
}

/// What a key says, and the text in which it says what it should.
pub(super) fn yaml(
    text: &str,
    key: &str,
    wanted: Option<&Value>,
) -> Result<(Option<Value>, String), String> {
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    sound(&lines)?;
    let steps: Vec<&str> = key.split('.').collect();
    let Walk { found, n_found, place, merges } = walk(&lines, &steps)?;
    let is = found.map(|entry| value(&lines, entry)).transpose()?;
    if is.as_ref() == wanted {
        return Ok((is, text.to_owned()));
    }
    let mut edited: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    match (found, wanted) {
        (Some(_), None) if merges => {
            return Err("without its own value the key has what `<<` merges".to_owned());
        }
        (Some(entry), None) => drop(edited.drain(entry.first..entry.end)),
        (Some(entry), Some(wanted)) => {
            let (before, _, after) = parts(lines[entry.first])?;
            let comment = if after.is_empty() { String::new() } else { format!(" {after}") };
            edited[entry.first] = format!("{before} {}{comment}", written(wanted)?);
        }
        (None, None) => {}
        (None, Some(wanted)) => {
            let (at, indent) = place;
            for (depth, step) in steps[n_found..].iter().enumerate() {
                let blanks = " ".repeat(indent + 2 * depth);
                let last = n_found + depth + 1 == steps.len();
                let value = if last { format!(" {}", written(wanted)?) } else { String::new() };
                edited.insert(at + depth, format!("{blanks}{}:{value}", name(step)?));
            }
        }
    }
    let mut edited = edited.join("\n");
    if !edited.is_empty() {
        edited.push('\n');
    }
    Ok((is, edited))
}

/// Where steps lead.
#[derive(Debug)]
struct Walk {
    /// The entry of the last, if it is there.
    found: Option<Entry>,
    /// So many steps are there.
    n_found: usize,
    /// Line and indent at which the next would be written.
    place: (usize, usize),
    /// Whether the last mapping has keys of another as well.
    merges: bool,
}

/// Follows the steps.
fn walk(lines: &[&str], steps: &[&str]) -> Result<Walk, String> {
    let (mut begin, mut end) = (0, lines.len());
    // Beside nothing at all, at the end.
    let mut place = (end_of_content(lines, begin, end, 0), 0);
    for (n_found, step) in steps.iter().enumerate() {
        let found = entries(lines, begin, end)?;
        if let Some(first) = found.first() {
            place = (end_of_content(lines, begin, end, first.indent), first.indent);
        }
        let (mut same, mut merges) = (Vec::new(), false);
        for entry in &found {
            let name = unquoted(key_of(lines[entry.first])?.0)?;
            merges |= name == "<<";
            if name == **step {
                same.push(*entry);
            }
        }
        let entry = match same[..] {
            [] if merges => return Err(format!("`{step}` may come from what `<<` merges")),
            [] => return Ok(Walk { found: None, n_found, place, merges }),
            [entry] => entry,
            _ => return Err(format!("`{step}` stands twice")),
        };
        if n_found + 1 == steps.len() {
            return Ok(Walk { found: Some(entry), n_found: n_found + 1, place, merges });
        }
        if !parts(lines[entry.first])?.1.is_empty() {
            return Err(format!(
                "what should hold `{}` is no mapping in block style",
                steps[n_found + 1]
            ));
        }
        (begin, end) = (entry.first + 1, entry.end);
        place = (entry.first + 1, entry.indent + 2);
    }
    Err("the key is empty".to_owned())
}

/// The entries of the mapping between two lines.
fn entries(lines: &[&str], begin: usize, end: usize) -> Result<Vec<Entry>, String> {
    let mut found: Vec<Entry> = Vec::new();
    let mut own = None;
    for (at, line) in lines.iter().enumerate().take(end).skip(begin) {
        if is_void(line) {
            continue;
        }
        let depth = *own.get_or_insert(indent(line));
        let is_item = line.trim_start().starts_with("- ") || line.trim() == "-";
        match indent(line).cmp(&depth) {
            std::cmp::Ordering::Greater => {}
            // A list may stand as deep as the key that it belongs to.
            std::cmp::Ordering::Equal if is_item && !found.is_empty() => {}
            std::cmp::Ordering::Equal if !is_item => {
                key_of(line).map_err(|what| format!("line {}: {what}", at + 1))?;
                found.push(Entry { first: at, end, indent: depth });
            }
            _ => return Err(format!("line {}: here is no mapping in block style", at + 1)),
        }
    }
    let firsts: Vec<usize> = found.iter().map(|entry| entry.first).collect();
    for (entry, next) in found.iter_mut().zip(firsts.iter().skip(1)) {
        entry.end = *next;
    }
    for entry in &mut found {
        entry.end = end_of_content(lines, entry.first, entry.end, entry.indent);
        closed(&lines[entry.first..entry.end])
            .map_err(|what| format!("line {}: {what}", entry.first + 1))?;
    }
    Ok(found)
}

/// The key of a line as written, and what stands behind its colon.
fn key_of(line: &str) -> Result<(&str, &str), String> {
    let trimmed = line.trim_start();
    // The line itself may be secret.
    let bad = || "it is no `key: value`".to_owned();
    let from = match trimmed.chars().next() {
        Some(quote @ ('"' | '\'')) => trimmed[1..].find(quote).ok_or_else(bad)? + 2,
        Some('?' | '{' | '[' | '&' | '*' | '!' | '|' | '>' | '}' | ']' | ',') | None => {
            return Err(bad());
        }
        Some(_) => 0,
    };
    let colon = |at: &usize| {
        let rest = &trimmed[*at..];
        rest.starts_with(": ") || rest == ":" || rest.starts_with(":\t")
    };
    let at = (from..trimmed.len()).filter(|at| trimmed.is_char_boundary(*at)).find(colon);
    let at = at.ok_or_else(bad)?;
    Ok((trimmed[..at].trim_end(), trimmed[at + 1..].trim()))
}

/// What stands up to the colon, the value, and the comment behind it.
fn parts(line: &str) -> Result<(&str, &str, &str), String> {
    let (_, behind) = key_of(line)?;
    let whole = line.trim_end();
    let before = whole[..whole.len() - behind.len()].trim_end();
    let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''));
    let closed = match quote {
        None => 0,
        Some('"') => {
            let mut escaped = false;
            let close = behind.char_indices().skip(1).find(|(_, c)| {
                let ends = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                ends
            });
            close.ok_or("a value of several lines")?.0 + 1
        }
        Some(_) => {
            let mut at = 1;
            loop {
                let next = behind[at..].find('\'').ok_or("a value of several lines")? + at;
                if behind[next + 1..].starts_with('\'') {
                    at = next + 2;
                } else {
                    break next + 1;
                }
            }
        }
    };
    if behind.starts_with('#') {
        return Ok((before, "", behind));
    }
    match behind[closed..].find(" #") {
        Some(at) => {
            Ok((before, behind[..closed + at].trim_end(), behind[closed + at..].trim_start()))
        }
        None => Ok((before, behind, "")),
    }
}

/// What an entry says, if that is a value in one line.
fn value(lines: &[&str], entry: Entry) -> Result<Value, String> {
    let (_, text, _) = parts(lines[entry.first])?;
    let several = (entry.first + 1..entry.end).any(|at| !is_void(lines[at]));
    if several || text.starts_with(['{', '[', '&', '*', '!', '|', '>']) {
        return Err("what the key says is no value in one line".to_owned());
    }
    if text.starts_with(['"', '\'']) {
        return unquoted(text).map(Value::String);
    }
    Ok(plain(text))
}

fn unquoted(text: &str) -> Result<String, String> {
    // The text itself may be secret.
    let bad = || "what is quoted is written in a way that is not read here".to_owned();
    match text.chars().next() {
        Some('"') => serde_json::from_str(text).map_err(|_| bad()),
        Some('\'') => {
            let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            inner.map(|inner| inner.replace("''", "'")).ok_or_else(bad)
        }
        _ => Ok(text.to_owned()),
    }
}

/// A key as it is written.
fn name(step: &str) -> Result<String, String> {
    written(&Value::String(step.to_owned()))
}

/// A value as it is written: quoted unless it is plain beyond doubt.
fn written(wanted: &Value) -> Result<String, String> {
    match wanted {
        Value::String(text) => {
            let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
            let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
            let is_plain = word && text.chars().all(safe) && !is_doubtful(text);
            let known = ["true", "false", "null"].contains(&text.to_ascii_lowercase().as_str());
            if is_plain && !known {
                return Ok(text.clone());
            }
            serde_json::to_string(text).map_err(|error| error.to_string())
        }
        Value::Number(number) if is_doubtful(&number.to_string()) => {
            Err(format!("readers of YAML differ about `{number}`: write it without an exponent"))
        }
        Value::Bool(_) | Value::Number(_) => Ok(wanted.to_string()),
        _ => Err("only text, numbers and truths are set".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::compliance::kind::key_value::yaml::yaml;

    const FILE: &str = "\
# top
---
log:            # how much
  level: info   # or debug
  \"file name\": '/var/log/it''s'

hosts:
- a
- b
port: 80
text: |
  level: no key
flow: { a: 1 }
";

    #[test]
    fn a_line_changes_and_all_else_stays_and_a_second_edit_changes_nothing() {
        for (key, wanted, old, new) in [
            ("log.level", json!("debug"), "level: info   # or", "level: debug # or"),
            ("log.file name", json!("/x"), "'/var/log/it''s'", "/x"),
            ("port", json!(81), "port: 80", "port: 81"),
            ("port", json!("80"), "port: 80", "port: \"80\""),
            ("log.json", json!(true), "it''s'\n", "it''s'\n  json: true\n"),
            ("log.a.b", json!("no"), "it''s'\n", "it''s'\n  a:\n    b: \"no\"\n"),
            ("new", json!("a: b"), "flow: { a: 1 }\n", "flow: { a: 1 }\nnew: \"a: b\"\n"),
        ] {
            let (_, edited) = yaml(FILE, key, Some(&wanted)).unwrap();
            assert_eq!(edited, FILE.replacen(old, new, 1), "{key}");
            assert_eq!(yaml(&edited, key, Some(&wanted)).unwrap(), (Some(wanted), edited));
        }
    }

    #[test]
    fn a_key_goes_with_its_line_and_an_empty_file_gets_its_first() {
        assert_eq!(yaml(FILE, "port", None).unwrap().1, FILE.replacen("port: 80\n", "", 1));
        assert_eq!(yaml("", "a.b", Some(&json!(1))).unwrap().1, "a:\n  b: 1\n");
        assert_eq!(yaml("# c\n", "a", Some(&json!(1))).unwrap().1, "# c\na: 1\n");
        assert_eq!(yaml("a: 1\n", "b", None).unwrap(), (None, "a: 1\n".to_owned()));
    }

    #[test]
    fn what_it_cannot_tell_it_refuses() {
        for (text, key) in [
            (FILE, "flow.a"),
            (FILE, "flow"),
            (FILE, "hosts"),
            (FILE, "text"),
            ("a: 1\n---\nb: 1\n", "a"),
            ("a:\n\tb: 1\n", "a.b"),
            ("a: 1\na: 2\n", "a"),
            ("a: \"x\n  y\"\n", "a"),
            ("- a\n", "a"),
            ("{ a: 1 }\n", "a"),
            ("a: &x 1\n", "a"),
            ("a: *x\n", "a"),
            ("a:\n    b: 1\n  c: 1\n", "a.b"),
            ("a: x\n  y: 1\n", "a"),
        ] {
            assert!(yaml(text, key, Some(&json!(7))).is_err(), "{text}");
        }
        let differs = yaml("a: 1\n", "a", Some(&json!(1e30))).unwrap_err();
        assert!(differs.contains("1e+30") || differs.contains("1e30"), "{differs}");
        assert_eq!(yaml("a: yes\n", "a", Some(&json!("yes"))).unwrap().1, "a: \"yes\"\n");
        assert_eq!(yaml("a: ~\n", "a", Some(&Value::Bool(true))).unwrap().1, "a: true\n");
    }
    #[test]
    fn what_belongs_to_a_value_of_several_lines_stays_with_it() {
        for (text, key, edited) in [
            ("s: |\n  a\n  # end\n", "k", "s: |\n  a\n  # end\nk: 1\n"),
            ("s: |+\n  a\n\n", "k", "s: |+\n  a\n\nk: 1\n"),
            (
                "m:\n  s: >-\n    a\n    # b\nn: 1\n",
                "m.k",
                "m:\n  s: >-\n    a\n    # b\n  k: 1\nn: 1\n",
            ),
            ("m:\n  - |\n    #y\n", "k", "m:\n  - |\n    #y\nk: 1\n"),
            ("s: |\n  # only\nz: 1\n", "s.k", ""),
            ("a: 1\n\n# of b\nb: 1\n\n# end\n", "k", "a: 1\n\n# of b\nb: 1\nk: 1\n\n# end\n"),
        ] {
            let is = yaml(text, key, Some(&json!(1)));
            assert_eq!(is.map(|(_, text)| text).unwrap_or_default(), edited, "{text}");
        }
        let gone = yaml("k: |\n  a\n  # end\nz: 1\n", "k", None);
        assert!(gone.is_err() || gone.unwrap().1 == "z: 1\n");
    }

    #[test]
    fn a_value_that_is_open_at_the_end_of_its_line_and_what_is_merged_are_refused() {
        for (text, key) in [
            ("a: {\nk: 2 }\n", "k"),
            ("a: [\nk: 2 ]\n", "k"),
            ("a: \"x\nk: 2\"\n", "k"),
            ("a: 'it''s\nk: 2'\n", "k"),
            ("a: &x {\nk: 2 }\n", "k"),
            ("m:\n  <<: *x\n", "m.k"),
            ("<<: *x\n", "k"),
            ("m:\n  '<<': *x\n  k: 1\n", "m.n"),
        ] {
            assert!(yaml(text, key, Some(&json!(1))).is_err(), "{text}");
            assert!(yaml(text, key, None).is_err(), "{text}");
        }
        assert!(yaml("a: { b: 1 } # {\nk: 2\n", "k", Some(&json!(1))).is_ok());
        assert!(yaml("a: \"{\"\nb: 'it''s'\nk: 2\n", "k", Some(&json!(1))).is_ok());
    }

    #[test]
    fn a_file_of_many_comments_takes_no_longer_than_it_is() {
        let text = format!("{}k: 2\n", "#\n".repeat(400_000));
        assert_eq!(yaml(&text, "k", Some(&json!(2))).unwrap().0, Some(json!(2)));
    }
}
