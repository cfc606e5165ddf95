//! Files of one key a line: `key=value`, `key value`, and the same in sections.

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

/// What the key says, and the text in which it says what it should, once.
pub(super) fn edit(text: &str, wish: &Wish<'_>) -> (Option<String>, String) {
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
                is = Some(value.to_owned());
                match wish.value {
                    Some(wanted) if wanted == value => edited.push(line.to_owned()),
                    Some(wanted) => edited.push(wish.line(wanted, Some(line))),
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
    (is, if same { text.to_owned() } else { whole })
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
            let (_, edited) = edit(before, &wish);
            assert_eq!(edited, after, "{before:?}");
            assert_eq!(edit(&edited, &wish), (value.map(str::to_owned), edited), "{before:?}");
        }
    }
}
