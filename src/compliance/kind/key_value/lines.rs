//! Files of one key a line: `key=value`, `key value`, and the same in sections.
//!
//! In: a text, a wish. Out: the text that says it. Pure.
//!
//! # Guarantees
//! * A value in quotes, as a shell reads it, stays in quotes; one that would not be read as it is
//!   wanted is refused.

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
    /// The value, if this line is the key's.
    fn value_of<'l>(&self, line: &'l str) -> Option<&'l str> {
        let line = line.trim();
        if line.starts_with('#') || (self.format == KeyFormat::Ini && line.starts_with(';')) {
            return None;
        }
        if self.format == KeyFormat::Spaces {
            // As sshd reads its own: in any case, and with one `=` or none.
            let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
            let (key, value) = line.split_at(end);
            let value = value.trim_start();
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            return key.eq_ignore_ascii_case(self.key).then_some(value);
        }
        let (key, value) = line.split_once('=')?;
        (key.trim() == self.key).then_some(value.trim())
    }

    /// What a value says: what stands in its quotes, unless the wish has quotes of its own.
    fn says<'l>(&self, value: &'l str) -> &'l str {
        let has_own = self.value.is_some_and(|wanted| quote_of(wanted).is_some());
        match quote_of(value) {
            Some(quote) if self.format == KeyFormat::Equals && !has_own => {
                let inner = value.get(1..).and_then(|rest| rest.strip_suffix(quote));
                inner.filter(|inner| is_literal(inner, quote)).unwrap_or(value)
            }
            _ => value,
        }
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
    fn section_of<'l>(&self, line: &'l str) -> Option<&'l str> {
        let inner = line.trim().strip_prefix('[')?.strip_suffix(']')?;
        (self.format == KeyFormat::Ini).then(|| inner.trim())
    }

    /// Whether what follows this line counts only under a condition, as in `sshd_config`.
    fn is_conditional(&self, line: &str) -> bool {
        let word = line.split_whitespace().next().unwrap_or_default();
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        self.format == KeyFormat::Spaces && (is("Match") || is("Host"))
    }
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
    let mut is: Option<String> = None;
    let mut edited: Vec<String> = Vec::new();
    let (mut section, mut conditional) = (None, false);
    // Where a new line goes: after the section's last, before what is conditional.
    let mut place = (wish.section.is_none() && wish.format != KeyFormat::Ini).then_some(usize::MAX);
    if wish.section.is_none() && wish.format == KeyFormat::Ini {
        place = Some(0);
    }
    for line in text.lines() {
        if let Some(opened) = wish.section_of(line) {
            section = Some(opened.to_owned());
        }
        if !conditional && wish.is_conditional(line) {
            conditional = true;
            place = Some(edited.len());
        }
        let inside = section.as_deref() == wish.section && !conditional;
        match wish.value_of(line).filter(|_| inside) {
            Some(value) if is.is_none() => {
                let says = wish.says(value);
                is = Some(says.to_owned());
                match wish.value {
                    Some(wanted) if wanted == says => edited.push(line.to_owned()),
                    Some(wanted) => {
                        let wanted = wish.quoted(wanted, Some(value), text)?;
                        edited.push(wish.line(&wanted, Some(line)));
                    }
                    None => {}
                }
            }
            // A second one would win, or be believed to.
            Some(_) => {}
            None => edited.push(line.to_owned()),
        }
        let blank = line.trim().is_empty();
        if inside && wish.format == KeyFormat::Ini && !blank {
            place = Some(edited.len());
        }
    }
    if let (None, Some(value)) = (&is, wish.value) {
        let value = &wish.quoted(value, None, text)?;
        let line = wish.line(value, text.lines().find(|l| l.contains('=') && !l.starts_with('#')));
        if let Some(at) = place {
            edited.insert(at.min(edited.len()), line);
        } else {
            let section = wish.section.unwrap_or_default();
            edited.extend([format!("[{section}]"), line]);
        }
    }
    let mut whole = edited.join("\n");
    if !whole.is_empty() {
        whole.push('\n');
    }
    let same = text.lines().eq(whole.lines());
    Ok((is, if same { text.to_owned() } else { whole }))
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
