//! Which lines may belong to the one before, to one reader or another.
//!
//! In: lines. Out: whether each goes on. Pure.

use std::iter;

use crate::compliance::kind::key_value::lines::shell::Shell;
use crate::reconcile::desired::rule::kind::KeyFormat;

/// For each line, and for what would follow the last: whether a `\`, what a shell has open
/// (`equals`) or a deeper indent (`ini`) makes it part of what stands above.
pub(super) fn continued(lines: &[&str], format: KeyFormat) -> Vec<bool> {
    if format == KeyFormat::Equals {
        let mut shell = Shell::default();
        let is_within = |line: &&str| {
            shell.read(line);
            shell.is_within()
        };
        return iter::once(false).chain(lines.iter().map(is_within)).collect();
    }
    let mut escaped = false;
    // Where the last entry of the section begins.
    let mut indent = None;
    let mut all = Vec::with_capacity(lines.len() + 1);
    for line in lines {
        let trimmed = line.trim_start();
        let comment = if format == KeyFormat::Ini { &['#', ';'][..] } else { &['#'] };
        let says_something = !trimmed.is_empty() && !trimmed.starts_with(comment);
        let own = line.len() - trimmed.len();
        let deeper = says_something && indent.is_some_and(|indent| own > indent);
        all.push(escaped || deeper);
        if trimmed.starts_with(comment) {
            // Some readers skip it and go on behind it.
            continue;
        }
        escaped = (line.len() - line.trim_end_matches('\\').len()) % 2 == 1;
        if format == KeyFormat::Ini && says_something && !deeper {
            indent = (!trimmed.starts_with('[')).then_some(own);
        }
    }
    all.push(escaped);
    all
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::key_value::lines::continued::continued;
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
