//! Which lines may belong to the one before, to one reader or another.
//!
//! In: lines. Out: whether each goes on. Pure.

use crate::reconcile::desired::rule::kind::KeyFormat;

/// For each line, and for what would follow the last: whether a `\`, an open quote (`equals`) or a
/// deeper indent (`ini`) makes it part of what stands above.
pub(super) fn continued(lines: &[&str], format: KeyFormat) -> Vec<bool> {
    let (mut escaped, mut quote) = (false, None);
    // Where the last entry of the section begins.
    let mut indent = None;
    let mut all = Vec::with_capacity(lines.len() + 1);
    for line in lines {
        let trimmed = line.trim_start();
        let comment = if format == KeyFormat::Ini { &['#', ';'][..] } else { &['#'] };
        let says_something = !trimmed.is_empty() && !trimmed.starts_with(comment);
        let own = line.len() - trimmed.len();
        let deeper = says_something && indent.is_some_and(|indent| own > indent);
        all.push(escaped || quote.is_some() || deeper);
        if quote.is_none() && trimmed.starts_with(comment) {
            // Some readers skip it and go on behind it.
            continue;
        }
        if format == KeyFormat::Equals {
            quote = open_quote(line, quote);
        }
        escaped = (line.len() - line.trim_end_matches('\\').len()) % 2 == 1;
        if format == KeyFormat::Ini && says_something && !deeper {
            indent = (!trimmed.starts_with('[')).then_some(own);
        }
    }
    all.push(escaped || quote.is_some());
    all
}

/// The quote that is open after a line, as a shell reads it, if this one was before.
fn open_quote(line: &str, before: Option<char>) -> Option<char> {
    if before.is_none() && !line.contains(['"', '\'']) {
        return None;
    }
    let (mut quote, mut escaped, mut blank) = (before, false, true);
    for c in line.chars() {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != Some('\'') {
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '"' | '\'') {
            quote = Some(c);
        } else if quote.is_none() && blank && c == '#' {
            break;
        }
        blank = c.is_whitespace();
    }
    quote
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::key_value::continued::continued;
    use crate::reconcile::desired::rule::kind::KeyFormat::{Equals, Ini, Spaces};

    #[test]
    fn a_line_that_may_belong_to_the_one_before_is_known() {
        for (format, text, expected) in [
            (Equals, "a=1\nb=2", "..."),
            (Equals, "a=\"x\ny\"\nb=2", ".+.."),
            (Equals, "a=\"it's\"\nb='\"'\nc=\\'", "...."),
            (Equals, "a=\"x \\\n y\"", ".+."),
            (Equals, "a=it's\nb=2", ".++"),
            (Equals, "a=1 # it's\n# it's\n#\\\nb=2", "....."),
            (Spaces, "a b \\\nc\nd", ".+.."),
            (Spaces, "a 'b\n c", "..."),
            (Spaces, "a C:\\\\\nb c\\", "..+"),
            (Ini, "[s]\n a=1\n b=2\n  c\n\n  d\n; e\n f=1", "...+.+..."),
            (Ini, "[s]\na = 1\n[t]\n  b = 2\n  c = 3", "......"),
            (Ini, "a=1 \\\n# c\nb=2", ".++."),
        ] {
            let lines: Vec<&str> = text.lines().collect();
            let found = continued(&lines, format).into_iter().map(|is| if is { '+' } else { '.' });
            assert_eq!(found.collect::<String>(), expected, "{text}");
        }
    }
}
