//! Lines, what makes them count, and those of a key.
//!
//! In: a text, a wish. Out: its lines, or why they cannot be told apart. Pure.

use crate::compliance::kind::key_value::lines::Wish;
use crate::compliance::kind::key_value::lines::continued::continued;
use crate::compliance::kind::key_value::lines::shell::{assigned, words};
use crate::reconcile::desired::rule::kind::KeyFormat;

/// All that every program takes for a blank.
const BLANKS: &[char] = &[' ', '\t'];

/// A text.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    pub(super) all: Vec<Line<'a>>,
    /// Whether what is put behind the last may belong to it.
    pub(super) is_open: bool,
}

/// A line of it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    /// The section that it is in, or opens.
    pub(super) section: Option<&'a str>,
    /// Whether it counts only under a condition, as in `sshd_config`.
    pub(super) is_conditional: bool,
    /// Whether it may belong to the one before.
    pub(super) is_continued: bool,
    /// The value, if it is the key's.
    pub(super) value: Option<&'a str>,
}

impl Line<'_> {
    /// Whether it opens this section.
    pub(super) fn is_header(&self, section: Option<&str>) -> bool {
        section.is_some() && self.section == section && self.text.trim().starts_with('[')
    }
}

/// The lines of a text.
pub(super) fn read<'a>(text: &'a str, wish: &Wish<'_>) -> Result<Lines<'a>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let continued = continued(&lines, wish.format);
    let (mut section, mut is_conditional) = (None, false);
    let mut all = Vec::with_capacity(lines.len());
    for (at, text) in lines.iter().copied().enumerate() {
        let refused = |what: &str| format!("line {}: {what} is not edited here", at + 1);
        if let Some(opened) = wish.section_of(text).map_err(refused)? {
            if continued[at] {
                return Err(refused("a section that may belong to the line before"));
            }
            section = Some(opened);
        }
        is_conditional |= wish.is_conditional(text);
        let is_inside = section == wish.section && !is_conditional;
        let value = if is_inside { wish.value_of(text).map_err(refused)? } else { None };
        if value.is_some() && (continued[at] || continued[at + 1]) {
            return Err(refused("a value that may go on in another line"));
        }
        if !is_inside && wish.may_come_from(section) && !matches!(wish.value_of(text), Ok(None)) {
            return Err(refused("the key in a section that some programs take for this one"));
        }
        let is_continued = continued[at];
        all.push(Line { text, section, is_conditional, is_continued, value });
    }
    Ok(Lines { all, is_open: continued[lines.len()] })
}

impl Wish<'_> {
    pub(super) fn is_comment(&self, line: &str) -> bool {
        line.starts_with('#') || (self.format == KeyFormat::Ini && line.starts_with(';'))
    }

    /// The value, if this line is the key's.
    fn value_of<'l>(&self, line: &'l str) -> Result<Option<&'l str>, &'static str> {
        let is_strange = |c: char| !BLANKS.contains(&c) && (c.is_whitespace() || c.is_control());
        if line.contains(is_strange) {
            return match self.value_of(&line.replace(is_strange, " ")) {
                Ok(None) => Ok(None),
                _ => Err("a character that not all programs take for a blank"),
            };
        }
        let line = line.trim();
        if self.is_comment(line) {
            return Ok(None);
        }
        match self.format {
            KeyFormat::Spaces => {
                // As sshd reads its own: in any case, and with one `=` or none.
                let (key, value) = keyword(line)?;
                let value = value.trim_start();
                let value = value.strip_prefix('=').unwrap_or(value).trim();
                Ok(key.eq_ignore_ascii_case(self.key).then_some(value))
            }
            KeyFormat::Ini => self.entry(line),
            _ => self.assignment(line),
        }
    }

    fn entry<'l>(&self, line: &'l str) -> Result<Option<&'l str>, &'static str> {
        let is_same = |name: &str| name.trim().to_lowercase() == self.key.to_lowercase();
        match (line.split_once('='), line.find(['=', ':'])) {
            (Some((name, value)), Some(sign)) if name.len() == sign && name.trim() == self.key => {
                Ok(Some(value.trim()))
            }
            (_, Some(sign)) if is_same(&line[..sign]) => Err(
                "the key with `:`, or in capital letters or small ones where others are wanted,",
            ),
            // Of a key with a colon, others take the half.
            (Some((name, _)), _) if is_same(name) => Err("a key with `:`"),
            (_, None) if line.split_whitespace().next().is_some_and(is_same) => {
                Err("a key without a value")
            }
            _ => Ok(None),
        }
    }

    fn assignment<'l>(&self, line: &'l str) -> Result<Option<&'l str>, &'static str> {
        let words = words(line).unwrap_or_default();
        if let Some((name, value)) = line.split_once('=') {
            let name = name.trim_end();
            let is_again = |word: &&str| assigned(word) == Some(self.key);
            if name == self.key {
                return match words.get(1..).and_then(|words| words.iter().find(|w| is_again(w))) {
                    Some(_) => Err("a key that stands twice in its line"),
                    None => Ok(Some(value.trim())),
                };
            }
            let last = name.split_whitespace().next_back().map(|word| word.trim_end_matches('+'));
            if last == Some(self.key) || words.iter().any(is_again) {
                return Err("what stands before the key, such as `export`, or `+=`");
            }
        }
        match words.split_first() {
            Some((&("unset" | "readonly" | "read"), rest)) if rest.contains(&self.key) => {
                Err("what a shell does to the key besides")
            }
            _ => Ok(None),
        }
    }

    /// Whether nothing goes along with a line of the key that is replaced or taken out.
    pub(super) fn stands_alone(&self, line: &str) -> Result<(), &'static str> {
        if self.format != KeyFormat::Equals {
            return Ok(());
        }
        let words = words(line).ok_or("a value that may go on in another line")?;
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        // Without quotes, many words are one value to all but a shell.
        let is_for_shell = || words.iter().any(|word| word.contains(['"', '\'']));
        let is_behind = !rest.is_empty()
            && assigned(first).is_some()
            && (is_for_shell() || rest.iter().any(|word| assigned(word).is_some()));
        if is_behind { Err("what stands behind the value") } else { Ok(()) }
    }

    /// The section that a line opens.
    fn section_of<'l>(&self, line: &'l str) -> Result<Option<&'l str>, &'static str> {
        let Some(inner) = line.trim().strip_prefix('[').filter(|_| self.format == KeyFormat::Ini)
        else {
            return Ok(None);
        };
        let inner = inner.strip_suffix(']').filter(|inner| !inner.contains(']'));
        inner.map(Some).ok_or("a section with something behind it")
    }

    /// Whether some programs find this section's keys in that one too.
    fn may_come_from(&self, section: Option<&str>) -> bool {
        let (Some(own), Some(section)) = (self.section, section) else { return false };
        let is_same = section.trim().eq_ignore_ascii_case(own);
        is_same || (section == "DEFAULT" && self.value.is_none())
    }

    /// Whether what follows this line counts only under a condition.
    fn is_conditional(&self, line: &str) -> bool {
        let word = keyword(line.trim()).map_or("", |(word, _)| word);
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        self.format == KeyFormat::Spaces && (is("Match") || is("Host"))
    }
}

/// The first word of a line as sshd reads it, in quotes or not, and what follows.
fn keyword(line: &str) -> Result<(&str, &str), &'static str> {
    if let Some(quoted) = line.strip_prefix('"') {
        return quoted.split_once('"').ok_or("a key in open quotes");
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    Ok(line.split_at(end))
}
