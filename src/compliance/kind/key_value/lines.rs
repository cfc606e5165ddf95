//! Files of one key a line: `key=value`, `key value`, and the same in sections.
//!
//! In: a text, a wish. Out: the text that says it. Pure.
//!
//! # Guarantees
//! * A value in quotes, as a shell reads it, stays in quotes; one that would not be read as it is
//!   wanted is refused.
//! * What readers of such files read differently is refused where it matters to the key.

use std::borrow::Cow;

use crate::compliance::kind::key_value::continued::continued;
use crate::reconcile::desired::rule::kind::KeyFormat;

/// What is wanted of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) format: KeyFormat,
    pub(super) section: Option<&'a str>,
    pub(super) key: &'a str,
    pub(super) value: Option<&'a str>,
}

impl Wish<'_> {
    fn is_comment(&self, line: &str) -> bool {
        line.starts_with('#') || (self.format == KeyFormat::Ini && line.starts_with(';'))
    }

    /// The value, if this line is the key's.
    fn value_of<'l>(&self, line: &'l str) -> Result<Option<&'l str>, &'static str> {
        let line = line.trim();
        if self.is_comment(line) {
            return Ok(None);
        }
        if self.format == KeyFormat::Spaces {
            // As sshd reads its own: in any case, and with one `=` or none.
            let (key, value) = keyword(line)?;
            let value = value.trim_start();
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            return Ok(key.eq_ignore_ascii_case(self.key).then_some(value));
        }
        let Some((name, value)) = line.split_once('=') else {
            return match self.format {
                KeyFormat::Ini if line == self.key => Err("a key without a value"),
                _ => Ok(None),
            };
        };
        let name = name.trim_end();
        if name == self.key {
            return Ok(Some(value.trim()));
        }
        let last = name.split_whitespace().next_back().map(|word| word.trim_end_matches('+'));
        if self.format == KeyFormat::Equals && last == Some(self.key) {
            return Err("what stands before the key, such as `export`, or `+=`");
        }
        Ok(None)
    }

    /// What a value says: what stands in its quotes, unless the wish has quotes of its own.
    fn says<'l>(&self, value: &'l str) -> Result<&'l str, &'static str> {
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
        let mut chars = value.chars().zip(value.chars().skip(1));
        if chars.any(|(before, c)| {
            before.is_whitespace() && self.is_comment(c.encode_utf8(&mut [0; 4]))
        }) {
            return Err("a comment behind the value, which some programs take for part of it,");
        }
        Ok(value)
    }

    /// The value in the quotes of the one that it replaces; else, if a shell would not read it as
    /// one word, in those of the file's others.
    fn quoted(&self, value: &str, before: Option<&str>, text: &str) -> Result<String, String> {
        if self.format != KeyFormat::Equals || quote_of(value).is_some() {
            return Ok(value.to_owned());
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
        let Some(quote) = quote else { return Ok(value.to_owned()) };
        // Other quotes would change what a shell makes of these.
        let is_special = value.contains(['$', '`', '\\']);
        let quotes = [quote, if is_special { quote } else { other(quote) }];
        match quotes.into_iter().find(|quote| is_literal(value, *quote)) {
            Some(quote) => Ok(format!("{quote}{value}{quote}")),
            None => Err(format!(
                "`{}` stands in quotes, in which a shell would read the value otherwise: write the \
                 value with its own quotes",
                self.key
            )),
        }
    }

    fn line(&self, value: &str, like: Option<&str>) -> String {
        match self.format {
            KeyFormat::Spaces => format!("{} {value}", self.key),
            // Blanks around the sign as the line had them before.
            _ if like.is_some_and(|line| line.contains(" = ")) => format!("{} = {value}", self.key),
            _ => format!("{}={value}", self.key),
        }
    }

    /// The section that a line opens.
    fn section_of<'l>(&self, line: &'l str) -> Result<Option<&'l str>, &'static str> {
        let Some(inner) = line.trim().strip_prefix('[').filter(|_| self.format == KeyFormat::Ini)
        else {
            return Ok(None);
        };
        let inner = inner.strip_suffix(']').filter(|inner| !inner.contains(']'));
        inner.map(|inner| Some(inner.trim())).ok_or("a section with something behind it")
    }

    /// Whether what follows this line counts only under a condition, as in `sshd_config`.
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

/// What the key says, and the text in which it says what it should, once.
pub(super) fn edit(text: &str, wish: &Wish<'_>) -> Result<(Option<String>, String), String> {
    let lines: Vec<&str> = text.lines().collect();
    let continued = continued(&lines, wish.format);
    let mut is: Option<String> = None;
    let mut edited: Vec<Cow<'_, str>> = Vec::with_capacity(lines.len() + 1);
    let (mut section, mut conditional) = (None, false);
    // Where a new line goes: after the section's last, before what is conditional.
    let mut place = match (wish.section, wish.format) {
        (Some(_), _) => None,
        (None, KeyFormat::Ini) => Some(0),
        (None, _) => Some(lines.len()),
    };
    for (at, line) in lines.iter().copied().enumerate() {
        let refused = |what: &str| format!("line {}: {what} is not edited here", at + 1);
        if let Some(opened) = wish.section_of(line).map_err(refused)? {
            if continued[at] {
                return Err(refused("a section that may belong to the line before"));
            }
            section = Some(opened);
        }
        if !conditional && wish.is_conditional(line) {
            conditional = true;
            place = Some(at);
        }
        let inside = section == wish.section && !conditional;
        let value = if inside { wish.value_of(line).map_err(refused)? } else { None };
        if value.is_some() && (continued[at] || continued[at + 1]) {
            return Err(refused("a value that may go on in another line"));
        }
        match (value, wish.value) {
            (Some(value), wanted) if is.is_none() => {
                let says = wish.says(value).map_err(refused)?;
                is = Some(says.to_owned());
                match wanted {
                    Some(wanted) if wanted == says => edited.push(line.into()),
                    Some(wanted) => {
                        let wanted = wish.quoted(wanted, Some(value), text)?;
                        edited.push(wish.line(&wanted, Some(line)).into());
                    }
                    None => {}
                }
            }
            // A second one would win, or be believed to.
            (Some(_), _) => {}
            (None, _) => edited.push(line.into()),
        }
        if inside && wish.format == KeyFormat::Ini && !line.trim().is_empty() {
            place = Some(at + 1);
        }
    }
    if let (None, Some(value)) = (&is, wish.value) {
        let value = &wish.quoted(value, None, text)?;
        let line = wish.line(value, text.lines().find(|l| l.contains('=') && !l.starts_with('#')));
        let at = place.unwrap_or(lines.len());
        if continued[at] {
            return Err(format!(
                "line {at}: a value that may go on in what is added is not edited here"
            ));
        }
        if place.is_none() {
            edited.push(format!("[{}]", wish.section.unwrap_or_default()).into());
        }
        let at = if place.is_none() { edited.len() } else { at };
        edited.insert(at, line.into());
    }
    if lines == edited {
        return Ok((is, text.to_owned()));
    }
    let whole: String = edited.iter().flat_map(|line| [line, "\n"]).collect();
    Ok((is, whole))
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::key_value::lines::{Wish, edit};
    use crate::reconcile::desired::rule::kind::KeyFormat;

    #[test]
    fn a_key_says_what_it_should_once_and_a_second_edit_changes_nothing() {
        use KeyFormat::{Equals, Ini, Spaces};
        for (format, section, value, before, after) in [
            (Equals, None, Some("1"), "", "k=1\n"),
            (Equals, None, Some("1"), "#k=2\na=b\nk=2\nk=3", "#k=2\na=b\nk=1\n"),
            (Equals, None, Some("1"), "k = 2\n", "k = 1\n"),
            (Equals, None, None, "k=1\na=b\n", "a=b\n"),
            // As a shell reads it.
            (Equals, None, Some("x y"), "k=\"a\"\n", "k=\"x y\"\n"),
            (Equals, None, Some("x y"), "k='x y'\n", "k='x y'\n"),
            (Equals, None, Some("1"), "k='2'\n", "k='1'\n"),
            (Equals, None, Some("$1"), "k='2'\n", "k='$1'\n"),
            (Equals, None, Some("say \"a\""), "k=\"b\"\n", "k='say \"a\"'\n"),
            (Equals, None, Some("\"x $y\""), "k=\"x\"\n", "k=\"x $y\"\n"),
            (Equals, None, Some("x y"), "a='b'\n", "a='b'\nk='x y'\n"),
            (Equals, None, Some("x y"), "a=b\n", "a=b\nk=x y\n"),
            (Equals, None, Some("x"), "a='b'\n", "a='b'\nk=x\n"),
            (Spaces, None, Some("no"), "k\tyes\n", "k no\n"),
            // The first one counts, however it is written.
            (Spaces, None, Some("no"), "K yes\nk no\n", "k no\n"),
            (Spaces, None, Some("no"), "K = yes\nkk no\n", "k no\nkk no\n"),
            (Spaces, None, Some("no"), "\"K\" yes\nk no\n", "k no\n"),
            (Spaces, None, Some("no"), "\"k\"=no\n", "\"k\"=no\n"),
            // What stands below counts for some only.
            (Spaces, None, Some("no"), "Host=x\n  k no\n", "k no\nHost=x\n  k no\n"),
            (Spaces, None, Some("no"), "\"match\" =x\n k yes\n", "k no\n\"match\" =x\n k yes\n"),
            (
                Spaces,
                None,
                Some("no"),
                "a b\nmatch user x\nk yes\n",
                "a b\nk no\nmatch user x\nk yes\n",
            ),
            (
                Spaces,
                None,
                Some("no"),
                "a b\nMatch User x\n  k yes\n",
                "a b\nk no\nMatch User x\n  k yes\n",
            ),
            (
                Ini,
                Some("s"),
                Some("1"),
                "k=0\n[s]\na=b\n\n[t]\nk=2\n",
                "k=0\n[s]\na=b\nk=1\n\n[t]\nk=2\n",
            ),
            (Ini, Some("s"), Some("1"), "[t]\nk=2\n", "[t]\nk=2\n[s]\nk=1\n"),
            (Ini, None, Some("1"), "[t]\nk=2\n", "k=1\n[t]\nk=2\n"),
            (Ini, Some("s"), None, "[s]\n;k=3\nk=2\n", "[s]\n;k=3\n"),
        ] {
            let wish = Wish { format, section, key: "k", value };
            let (_, edited) = edit(before, &wish).unwrap();
            assert_eq!(edited, after, "{before:?}");
            let again = edit(&edited, &wish).unwrap();
            assert_eq!(again, (value.map(str::to_owned), edited), "{before:?}");
        }
    }

    #[test]
    fn what_readers_read_differently_is_refused_where_it_matters() {
        use KeyFormat::{Equals, Ini, Spaces};
        for (format, section, text) in [
            (Ini, Some("a"), "[a]\nx=1\n[b] ; comment\nk=2\n"),
            (Ini, Some("a"), "[a]\nk=1 \\\n  --b\n"),
            (Ini, Some("a"), "[a]\nk = 1\n  2\n  3\nz=3\n"),
            (Ini, Some("a"), "[a]\nx = 1\n  k = 2\n"),
            (Ini, Some("a"), "[a]\nx = 1 \\\n[b]\nk = 2\n"),
            (Ini, Some("a"), "[a]\nk = 0 ; c\n"),
            // my.cnf has keys without a value.
            (Ini, Some("a"), "[a]\nk\n"),
            (Ini, Some("a"), "[a]\n k \nk=1\n"),
            (Spaces, None, "\"k 0\n"),
            (Equals, None, "k=\"x \\\n y\"\n"),
            (Equals, None, "k=\"x\ny\"\n"),
            (Equals, None, "a=\"x\nk=2\"\n"),
            (Equals, None, "a=\"x\n"),
            (Equals, None, "a=x \\\nk=2\n"),
            (Equals, None, "export k=3\n"),
            (Equals, None, "k+=3\n"),
            (Equals, None, "k=0 # c\n"),
            (Equals, None, "k=\"1\" # c\n"),
            (Spaces, None, "k 0 # c\n"),
            (Spaces, None, "k \"0\" # c\n"),
        ] {
            for value in [Some("1"), None] {
                let wish = Wish { format, section, key: "k", value };
                let found = edit(text, &wish);
                // What goes as a whole may have a comment; nothing is added where nothing is.
                let is_sure = value.is_none() && (text.contains(" c\n") || text == "a=\"x\n");
                assert_eq!(found.is_ok(), is_sure, "{text:?} {value:?} {found:?}");
                let reason = found.err().unwrap_or_default();
                assert!(is_sure || reason.starts_with("line "), "{reason}");
            }
        }
    }

    #[test]
    fn what_goes_on_elsewhere_does_not_matter() {
        use KeyFormat::{Equals, Ini, Spaces};
        for (format, section, before, after) in [
            (
                Ini,
                Some("Service"),
                "[Service]\nExecStart=/bin/a \\\n  --b\nk=0\n[Install]\n",
                "[Service]\nExecStart=/bin/a \\\n  --b\nk=1\n[Install]\n",
            ),
            (Equals, None, "a=\"x\n y\"\nk=0\n", "a=\"x\n y\"\nk=1\n"),
            (Equals, None, "a=1 # c\n", "a=1 # c\nk=1\n"),
            (Spaces, None, "k \"1\"\n", "k \"1\"\n"),
            (Spaces, None, "k \"0\"\n", "k 1\n"),
        ] {
            let wish = Wish { format, section, key: "k", value: Some("1") };
            assert_eq!(edit(before, &wish).unwrap().1, after, "{before:?}");
        }
    }

    #[test]
    fn a_value_that_a_shell_would_read_otherwise_is_refused() {
        for (value, before) in [
            ("$HOME x", "k=\"b\"\n"),
            ("it's `a`", "k='b'\n"),
            ("it's \"a\"", "k=\"b\"\n"),
            ("a $b", "a=\"b\"\n"),
        ] {
            let wish =
                Wish { format: KeyFormat::Equals, section: None, key: "k", value: Some(value) };
            assert!(edit(before, &wish).unwrap_err().contains("its own quotes"), "{value}");
        }
    }
}
