//! Which lines of a YAML file belong together.
//!
//! In: lines. Out: where what begins in one ends, or why that cannot be told. Pure.
//!
//! # Guarantees
//! * What lies deeper than a key belongs to it, comments too: they may be the text of a value.
//! * Every line is looked at a few times at most, however many there are.

/// Refuses what could make a line mean something else than it says.
pub(super) fn sound(lines: &[&str]) -> Result<(), String> {
    let mut earlier = false;
    for (at, line) in lines.iter().enumerate() {
        let refused = |what: &str| Err(format!("line {}: {what} is not edited here", at + 1));
        let starts = |mark: &str| line.starts_with(mark);
        if line.trim_start_matches(' ').starts_with('\t') {
            return refused("a tab before a key");
        }
        if starts("%") || starts("...") || (starts("---") && (earlier || line.trim() != "---")) {
            return refused("a file of several documents");
        }
        earlier |= !is_void(line);
    }
    Ok(())
}

/// Nothing, a comment, or the mark at the beginning.
pub(super) fn is_void(line: &str) -> bool {
    let trimmed = line.trim();
    trimmed.is_empty() || trimmed.starts_with('#') || trimmed == "---"
}

pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The line after the last that says something in a mapping whose keys are so deep.
pub(super) fn end_of_content(lines: &[&str], begin: usize, end: usize, depth: usize) -> usize {
    let is_blank = |at: usize| lines[at].trim().is_empty();
    let says = |at: &usize| !is_void(lines[*at]) || (!is_blank(*at) && indent(lines[*at]) > depth);
    let Some(last) = (begin..end).rev().find(says) else { return end };
    // Blank lines behind it may be the value's, if it keeps them.
    let keeps = |line: &&str| header(line).is_some_and(|marks| marks.contains('+'));
    let deepest =
        (begin..=last).rev().take_while(|at| is_void(lines[*at]) || indent(lines[*at]) > depth);
    let first = deepest.last().map_or(last, |at| at.saturating_sub(1).max(begin));
    if lines[first..=last].iter().any(keeps) {
        return (last + 1..end).find(|at| !is_blank(*at)).unwrap_or(end);
    }
    last + 1
}

/// The marks of a value that the lines below hold: `|`, `>-`, `|2+`; none if the line ends otherwise.
fn header(line: &str) -> Option<&str> {
    let text = line.split(" #").next()?.trim_end();
    let (_, marks) = text.rsplit_once(' ').unwrap_or(("", text));
    let is_mark = |c: char| matches!(c, '+' | '-') || c.is_ascii_digit();
    let rest = marks.strip_prefix(['|', '>'])?;
    rest.chars().all(is_mark).then_some(marks)
}

/// Refuses an entry of which some value goes on after its lines: what looks like the next key is then
/// none.
pub(super) fn closed(lines: &[&str]) -> Result<(), String> {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if is_void(line) {
            at += 1;
            continue;
        }
        let (depth, value) = value_of(line);
        at = match value.chars().next() {
            Some('|' | '>') => {
                let is_its = |line: &&&str| is_void(line) || indent(line) > depth;
                at + 1 + lines[at + 1..].iter().take_while(is_its).count()
            }
            Some('{' | '[' | '"' | '\'') => {
                let behind = lines[at + 1..].iter().copied();
                at + closing(value, behind).ok_or("a value goes on in a line that is less deep")?
            }
            _ => at + 1,
        };
    }
    Ok(())
}

/// How deep what a line says lies, and the value in it, without its anchor and tag.
fn value_of(line: &str) -> (usize, &str) {
    let (mut depth, mut text) = (indent(line), line.trim_start());
    while let Some(item) = text.strip_prefix("- ") {
        let item = item.trim_start_matches(' ');
        if key_end(item).is_some() || item.starts_with("- ") {
            depth += text.len() - item.len();
        }
        text = item;
    }
    if let Some(end) = key_end(text) {
        text = text[end..].trim_start();
    }
    while text.starts_with(['&', '!'])
        && let Some((_, rest)) = text.split_once(' ')
    {
        text = rest.trim_start();
    }
    (depth, text)
}

/// Where the value begins behind a key.
fn key_end(text: &str) -> Option<usize> {
    let from = match text.chars().next()? {
        quote @ ('"' | '\'') => text[1..].find(quote)? + 2,
        '{' | '[' => return None,
        _ => 0,
    };
    text[from..].find(": ").map(|at| from + at + 1)
}

/// After how many lines what `text` opens is closed; none if it never is.
fn closing<'a>(text: &'a str, more: impl Iterator<Item = &'a str>) -> Option<usize> {
    let (mut open, mut quote) = (0_usize, None);
    for (n_before, line) in std::iter::once(text).chain(more).enumerate() {
        let (mut before, mut escaped) = (' ', false);
        // What stands before a word, blanks aside: a quote within one is none.
        let mut last = '[';
        for c in line.chars() {
            match quote {
                Some('"') if escaped => escaped = false,
                Some('"') if c == '\\' => escaped = true,
                Some(mark) if c == mark => quote = None,
                Some(_) => {}
                None => match c {
                    '#' if before == ' ' => break,
                    '{' | '[' => open += 1,
                    '}' | ']' => open = open.saturating_sub(1),
                    // Twice the same within quotes is one of the text: it opens again.
                    '"' | '\'' if matches!(last, '[' | '{' | ',' | ':') || before == c => {
                        quote = Some(c);
                    }
                    _ => {}
                },
            }
            before = c;
            if c != ' ' {
                last = c;
            }
        }
        if open == 0 && quote.is_none() {
            return Some(n_before + 1);
        }
    }
    None
}
