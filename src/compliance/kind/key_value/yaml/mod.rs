//! YAML: what a key says, and the text in which it says what it should.
//!
//! The text is edited in place, so that all else stays as it is written.
//!
//! # Guarantees
//! * An edited text is read again: it says what the old one says but for the key, or it is refused.
//! * What more than the key says (an anchor, a tag, what `<<` merges) is not edited.

mod document;
mod plain;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_json::Value;

use crate::compliance::kind::key_value::yaml::document::{Part, Piece, behind, entries, read};
use crate::compliance::kind::key_value::yaml::plain::{is_doubtful, plain};

/// What a key says, and the text in which it says what it should.
pub(super) fn yaml(
    text: &str,
    key: &str,
    wanted: Option<&Value>,
) -> Result<(Option<Value>, String), String> {
    let parts = read(text)?;
    let steps: Vec<&str> = key.split('.').collect();
    let walk = walk(&parts, &steps)?;
    let is = walk.found.map(|(_, value)| said(&parts[value])).transpose()?;
    if is.as_ref() == wanted {
        return Ok((is, text.to_owned()));
    }
    if walk.trail.iter().any(|(_, at)| !parts[*at].marks.is_empty()) {
        return Err("what has an anchor or a tag is not edited here".to_owned());
    }
    let document = Document { text, parts: &parts };
    let edit = match (walk.found, wanted) {
        (None, None) => return Ok((is, text.to_owned())),
        (Some(_), None) if walk.merges => {
            return Err("without its own value the key has what `<<` merges".to_owned());
        }
        (Some(entry), None) => document.removed(entry, &walk)?,
        (Some(entry), Some(wanted)) => document.replaced(entry, wanted)?,
        (None, Some(wanted)) => document.added(&steps[walk.trail.len()..], wanted, &walk)?,
    };
    let mut edited = text.to_owned();
    for (place, new) in edit.texts {
        edited.replace_range(place, &new);
    }
    // Whatever was overlooked here, nothing else in the file may change.
    let pieces = |parts: &[Part]| -> Vec<(Piece, String)> {
        parts.iter().map(|part| (part.piece.clone(), part.marks.clone())).collect()
    };
    let mut expected = pieces(&parts);
    expected.splice(edit.parts, edit.says.into_iter().map(|piece| (piece, String::new())));
    if read(&edited).is_ok_and(|parts| pieces(&parts) == expected) {
        return Ok((is, edited));
    }
    Err("it is written in a way that is not edited here".to_owned())
}

/// Indices of a key and of its value.
type Entry = (usize, usize);

/// Where steps lead.
#[derive(Debug, Default)]
struct Walk {
    /// The entries of the steps that are there, one below the other.
    trail: Vec<Entry>,
    /// The last step's.
    found: Option<Entry>,
    /// Whether the last mapping that was entered has keys of another as well.
    merges: bool,
}

impl Walk {
    /// The index of the mapping that holds what the trail ends at, or would; none if it is yet to
    /// come.
    fn holder(&self, parts: &[Part]) -> Option<usize> {
        let n_before = self.trail.len() - usize::from(self.found.is_some());
        let at = n_before.checked_sub(1).map_or(0, |last| self.trail[last].1);
        parts.get(at).is_some_and(|part| part.piece == Piece::Mapping).then_some(at)
    }
}

/// Follows the steps.
fn walk(parts: &[Part], steps: &[&str]) -> Result<Walk, String> {
    let mut walk = Walk::default();
    let mut at = 0;
    for (n_before, step) in steps.iter().enumerate() {
        match parts.get(at) {
            None => return Ok(walk),
            Some(Part { piece: Piece::Mapping, .. }) => {}
            // A key without a value: it may get a mapping.
            Some(part) if n_before > 0 && part.place.is_empty() && part.is_null() => {
                return Ok(walk);
            }
            Some(_) => return Err(format!("what should hold `{step}` is no mapping")),
        }
        let named = |name: &str, entry: &&Entry| parts[entry.0].text() == Some(name);
        let entries = entries(parts, at);
        walk.merges = entries.iter().any(|entry| named("<<", &entry));
        let same: Vec<Entry> = entries.iter().filter(|entry| named(step, entry)).copied().collect();
        let entry = match same[..] {
            [] if walk.merges => return Err(format!("`{step}` may come from what `<<` merges")),
            [] => return Ok(walk),
            [entry] => entry,
            _ => return Err(format!("`{step}` stands twice")),
        };
        walk.trail.push(entry);
        at = entry.1;
    }
    walk.found = walk.trail.last().copied();
    Ok(walk)
}

impl Part {
    fn text(&self) -> Option<&str> {
        match &self.piece {
            Piece::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(&self.piece, Piece::Text { text, is_plain: true } if plain(text) == Value::Null)
            && self.marks.is_empty()
    }
}

/// What a value says.
fn said(part: &Part) -> Result<Value, String> {
    match &part.piece {
        _ if !part.marks.is_empty() => Err("what the key says has an anchor or a tag".to_owned()),
        Piece::Text { text, is_plain: true } => Ok(plain(text)),
        Piece::Text { text, is_plain: false } => Ok(Value::String(text.clone())),
        Piece::Alias(_) => Err("what the key says is said elsewhere, by an anchor".to_owned()),
        _ => Err("what the key says is no value, but a list or a mapping".to_owned()),
    }
}

/// What an edit writes, and what the document then says.
#[derive(Debug)]
struct Edit {
    /// The last place first.
    texts: Vec<(Range<usize>, String)>,
    /// These parts become what it says.
    parts: Range<usize>,
    says: Vec<Piece>,
}

#[derive(Debug, Clone, Copy)]
struct Document<'a> {
    text: &'a str,
    parts: &'a [Part],
}

impl Document<'_> {
    fn replaced(self, (key, value): Entry, wanted: &Value) -> Result<Edit, String> {
        let part = &self.parts[value];
        let Scalar { mut written, piece } = Scalar::of(wanted)?;
        let mut place = part.place.clone();
        if part.is_block || place.is_empty() {
            // From the colon on, with what the line says of the lines below, but for its comment.
            let begin = self.colon(key)?;
            let line = &self.text[begin..self.line_end(begin)];
            let comment = line.find(" #").filter(|_| part.is_block).map_or("", |at| &line[at..]);
            let end =
                if part.is_block && self.text[..place.end].ends_with('\n') { "\n" } else { "" };
            written = format!(" {written}{}{end}", comment.trim_end());
            place = begin..place.end.max(begin);
        }
        Ok(Edit { texts: vec![(place, written)], parts: value..value + 1, says: vec![piece] })
    }

    fn removed(self, (key, value): Entry, walk: &Walk) -> Result<Edit, String> {
        let end = behind(self.parts, value);
        let first = self.line_begin(self.parts[key].place.start);
        let blanks = &self.text[first..self.parts[key].place.start];
        let holder = walk.holder(self.parts).filter(|at| !self.parts[*at].is_flow);
        let holder = holder.ok_or("a key within braces is not removed here")?;
        if !blanks.bytes().all(|byte| byte == b' ') {
            return Err("a key that shares its line is not removed here".to_owned());
        }
        let mut last = self.next_line(self.content_end(end));
        // Comments that lie deeper than the key speak of what it said.
        while let Some(line) = self.text[last..].lines().next()
            && line.trim_start().starts_with('#')
            && line.len() - line.trim_start().len() > blanks.len()
        {
            last = (self.line_end(last) + 1).min(self.text.len());
        }
        let mut texts = vec![(first..last, String::new())];
        let is_only = entries(self.parts, holder).len() == 1;
        let parent = walk.trail.iter().rev().nth(1);
        if let Some((parent, _)) = parent.filter(|_| is_only) {
            // Nothing at all would be no mapping any more.
            let at = self.colon(*parent)?;
            texts.push((at..at, " {}".to_owned()));
        }
        // A document of nothing is no mapping either.
        let parts = if is_only && parent.is_none() { 0..self.parts.len() } else { key..end };
        Ok(Edit { texts, parts, says: Vec::new() })
    }

    fn added(self, steps: &[&str], wanted: &Value, walk: &Walk) -> Result<Edit, String> {
        let value = Scalar::of(wanted)?;
        let (mut says, mut in_braces) = (vec![value.piece], value.written.clone());
        // Indent and line, the innermost first.
        let mut lines = Vec::new();
        let mut in_line = format!(" {}", value.written);
        for (depth, step) in steps.iter().enumerate().rev() {
            let key = Scalar::of(&Value::String((*step).to_owned()))?;
            lines.push((2 * depth, format!("{}:{}", key.written, std::mem::take(&mut in_line))));
            in_braces = format!("{}: {in_braces}", key.written);
            says.insert(0, key.piece);
            if depth > 0 {
                in_braces = format!("{{{in_braces}}}");
                says = within_mapping(says);
            }
        }
        let block = |at: usize, indent: usize| {
            let gap = if self.text[..at].ends_with('\n') || at == 0 { "" } else { "\n" };
            let lines = lines.iter().rev();
            let lines =
                lines.map(|(deeper, line)| format!("{}{line}\n", " ".repeat(indent + deeper)));
            (at, format!("{gap}{}", lines.collect::<String>()))
        };
        let Some(holder) = walk.holder(self.parts) else {
            // The document, or the last key that is there, says nothing yet.
            let ((at, new), parts) = match walk.trail.last() {
                None => (block(self.text.len(), 0), 0..0),
                Some(&(key, value)) => {
                    let at = self.next_line(self.colon(key)?);
                    (block(at, self.parts[key].column + 2), value..value + 1)
                }
            };
            return Ok(Edit { texts: vec![(at..at, new)], parts, says: within_mapping(says) });
        };
        let close = behind(self.parts, holder) - 1;
        let end = self.content_end(close);
        let (at, new) = match entries(self.parts, holder).first() {
            None => (end, in_braces),
            Some(_) if self.parts[holder].is_flow => (end, format!(", {in_braces}")),
            Some((first, _)) => block(self.next_line(end), self.parts[*first].column),
        };
        Ok(Edit { texts: vec![(at..at, new)], parts: close..close, says })
    }

    /// Where the last thing ends that is said before a part.
    fn content_end(self, before: usize) -> usize {
        let is_nothing = |part: &&Part| part.piece == Piece::End && part.place.is_empty();
        self.parts[..before].iter().rfind(|part| !is_nothing(part)).map_or(0, |part| part.place.end)
    }

    /// The place behind a key's colon.
    fn colon(self, key: usize) -> Result<usize, String> {
        let end = self.parts[key].place.end;
        let behind = self.text[end..].trim_start();
        let rest = behind.strip_prefix(':').ok_or("the key is not written as `key: value`")?;
        Ok(self.text.len() - rest.len())
    }

    fn line_begin(self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }

    fn line_end(self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |end| at + end)
    }

    /// The first line that begins there or later.
    fn next_line(self, at: usize) -> usize {
        if self.text[..at].ends_with('\n') {
            at
        } else {
            (self.line_end(at) + 1).min(self.text.len())
        }
    }
}

fn within_mapping(mut says: Vec<Piece>) -> Vec<Piece> {
    says.insert(0, Piece::Mapping);
    says.push(Piece::End);
    says
}

/// A value as it is written, and what it then says.
#[derive(Debug)]
struct Scalar {
    written: String,
    piece: Piece,
}

impl Scalar {
    /// Quoted unless it is plain beyond doubt.
    fn of(wanted: &Value) -> Result<Self, String> {
        let (text, is_plain) = match wanted {
            Value::String(text) => {
                let safe =
                    |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
                let begins = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '_';
                let is_word = text.starts_with(begins) && text.chars().all(safe);
                let known = ["true", "false", "null"].contains(&&*text.to_ascii_lowercase());
                (text.clone(), is_word && !known && !is_doubtful(text))
            }
            Value::Number(number) if is_doubtful(&number.to_string()) => {
                return Err(format!(
                    "readers of YAML differ about `{number}`: write it without an exponent"
                ));
            }
            Value::Bool(_) | Value::Number(_) => (wanted.to_string(), true),
            _ => return Err("only text, numbers and truths are set".to_owned()),
        };
        let quoted = || serde_json::to_string(&text).map_err(|error| error.to_string());
        let written = if is_plain { text.clone() } else { quoted()? };
        Ok(Self { written, piece: Piece::Text { text, is_plain } })
    }
}
