//! How a value is written, and what a written one says.
//!
//! In: a value, a line. Out: the same as it is written, or read. Pure.

use crate::compliance::kind::key_value::lines::Wish;
use crate::compliance::kind::key_value::lines::line::Line;
use crate::compliance::kind::key_value::lines::shell::{is_name, words};
use crate::reconcile::desired::rule::kind::KeyFormat;

impl Wish<'_> {
    /// What a value says: what stands in its quotes, unless the wish has quotes of its own.
    pub(super) fn says<'l>(&self, value: &'l str) -> Result<&'l str, &'static str> {
        let Some(wanted) = self.value.filter(|wanted| *wanted != value) else { return Ok(value) };
        if let Some(quote) = quote_of(value) {
            let inner = value.get(1..).and_then(|rest| rest.strip_suffix(quote));
            let inner = inner.filter(|inner| is_literal(inner, quote));
            match (self.format, inner) {
                (KeyFormat::Equals, Some(inner)) if quote_of(wanted).is_none() => return Ok(inner),
                // Of several words quotes make one.
                (KeyFormat::Spaces, Some(inner)) if !inner.contains(char::is_whitespace) => {
                    return Ok(inner);
                }
                (KeyFormat::Equals, Some(_)) => return Ok(value),
                _ => {}
            }
        }
        if self.has_comment(value) {
            return Err("a comment behind the value, which some programs take for part of it,");
        }
        Ok(value)
    }

    fn has_comment(&self, value: &str) -> bool {
        let mut chars = value.chars().zip(value.chars().skip(1));
        chars.any(|(before, c)| {
            before.is_whitespace() && self.is_comment(c.encode_utf8(&mut [0; 4]))
        })
    }

    /// The value in the quotes of the one that it replaces; else, if a shell would not read it as
    /// one word, in those of the file's others.
    pub(super) fn quoted(
        &self,
        value: &str,
        before: Option<&str>,
        text: &str,
    ) -> Result<String, String> {
        let key = self.key;
        if self.format != KeyFormat::Equals {
            let is_quoted = quote_of(value).is_some_and(|quote| value.ends_with(quote));
            let begins = self.format == KeyFormat::Spaces && value.starts_with('#');
            if begins || (!is_quoted && self.has_comment(value)) {
                return Err(format!(
                    "some programs take a part of what `{key}` says for a comment"
                ));
            }
            return Ok(value.to_owned());
        }
        if quote_of(value).is_some() {
            let is_one = words(value).is_some_and(|words| words.len() == 1);
            let refused = || format!("what `{key}` says is more than one word in quotes");
            return is_one.then(|| value.to_owned()).ok_or_else(refused);
        }
        let others = || {
            let values = text.lines().filter(|line| !line.trim().starts_with('#'));
            values.filter_map(|l| l.split_once('=')).find_map(|(_, value)| quote_of(value.trim()))
        };
        let is_word = value.chars().all(|c| c.is_alphanumeric() || "_./:,+@%=-".contains(c));
        let quote = match before.and_then(quote_of) {
            None if is_word => None,
            None => others(),
            some => some,
        };
        let Some(quote) = quote else {
            if is_word || !is_name(key) || text.lines().any(is_of_no_shell) {
                return Ok(value.to_owned());
            }
            return Err(format!(
                "a shell would not read what `{key}` says as one value, and no value of the file \
                 shows whether it is for one: write the value with its own quotes, or the line with \
                 `file_line`"
            ));
        };
        // Other quotes would change what a shell makes of these.
        let is_special = value.contains(['$', '`', '\\']);
        let quotes = [quote, if is_special { quote } else { other(quote) }];
        match quotes.into_iter().find(|quote| is_literal(value, *quote)) {
            Some(quote) => Ok(format!("{quote}{value}{quote}")),
            None => Err(format!(
                "`{key}` stands in quotes, in which a shell would read the value otherwise: write \
                 the value with its own quotes"
            )),
        }
    }

    /// The key's line, with the indent and the blanks around the sign that this one has.
    pub(super) fn line(&self, value: &str, like: Option<&str>) -> String {
        let like = like.unwrap_or_default();
        let (key, indent) = (self.key, &like[..like.len() - like.trim_start().len()]);
        let (name, rest) = like.split_once('=').unwrap_or_default();
        match self.format {
            KeyFormat::Spaces => format!("{indent}{key} {value}"),
            _ if name.ends_with(is_blank) && rest.starts_with(is_blank) => {
                format!("{indent}{key} = {value}")
            }
            _ => format!("{indent}{key}={value}"),
        }
    }

    /// The entry that a new one is to look like: one of the section's, or else of the file's. A
    /// shell wants no blanks, whatever stands elsewhere.
    pub(super) fn neighbour<'l>(&self, lines: &[Line<'l>]) -> Option<&'l str> {
        let is_entry = |line: &&Line<'_>| {
            let text = line.text.trim();
            self.format == KeyFormat::Ini
                && !line.is_continued
                && !self.is_comment(text)
                && !text.starts_with('[')
                && text.contains('=')
        };
        let own = lines.iter().filter(is_entry).rfind(|line| line.section == self.section);
        own.map(|line| line.text)
            .or_else(|| lines.iter().find(is_entry).map(|line| line.text.trim_start()))
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Whether a line is one that says something, and not to a shell.
fn is_of_no_shell(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else { return false };
    let (bare, value) = (name.trim(), value.split(" #").next().unwrap_or_default().trim());
    let is_key = |c: char| c.is_alphanumeric() || "._-/*".contains(c);
    let is_one = !bare.is_empty() && bare.chars().all(is_key);
    let is_plain = !value.contains(['"', '\'', '`', '$', ';', '&', '|', '(']);
    is_one && (name.ends_with(is_blank) || !is_name(bare) || (is_plain && value.contains(is_blank)))
}

/// The quote that a value begins with.
fn quote_of(value: &str) -> Option<char> {
    value.chars().next().filter(|c| matches!(c, '"' | '\''))
}

fn other(quote: char) -> char {
    if quote == '"' { '\'' } else { '"' }
}

/// Whether a shell reads it in these quotes as it is.
fn is_literal(text: &str, quote: char) -> bool {
    !text.contains(quote) && (quote == '\'' || !text.contains(['$', '`', '\\']))
}
