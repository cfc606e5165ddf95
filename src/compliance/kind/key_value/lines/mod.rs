//! Files of one key a line: `key=value`, `key value`, and the same in sections.
//!
//! In: a text, a wish. Out: the text that says it. Pure.
//!
//! # Guarantees
//! * A value in quotes, as a shell reads it, stays in quotes; one that would not be read as it is
//!   wanted is refused.
//! * What readers of such files read differently is refused where it matters to the key.

mod continued;
mod line;
mod shell;
#[cfg(test)]
mod tests;
mod written;

use std::borrow::Cow;

use crate::compliance::kind::key_value::lines::line::{Line, read};
use crate::reconcile::desired::rule::kind::KeyFormat;

/// What is wanted of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) format: KeyFormat,
    pub(super) section: Option<&'a str>,
    pub(super) key: &'a str,
    pub(super) value: Option<&'a str>,
}

/// What the key says, and the text in which it says what it should, once.
pub(super) fn edit(text: &str, wish: &Wish<'_>) -> Result<(Option<String>, String), String> {
    let lines = read(text, wish)?;
    let mut is: Option<String> = None;
    let mut edited: Vec<Cow<'_, str>> = Vec::with_capacity(lines.all.len() + 1);
    for (at, line) in lines.all.iter().enumerate() {
        let Some(value) = line.value else {
            edited.push(line.text.into());
            continue;
        };
        let refused = |what: &str| format!("line {}: {what} is not edited here", at + 1);
        // A second one would win, or be believed to.
        let is_first = is.is_none();
        if is_first {
            is = Some(wish.says(value).map_err(refused)?.to_owned());
        }
        if is_first && is.as_deref() == wish.value {
            edited.push(line.text.into());
            continue;
        }
        wish.stands_alone(line.text).map_err(refused)?;
        if let Some(wanted) = wish.value.filter(|_| is_first) {
            let wanted = wish.quoted(wanted, Some(value), text)?;
            edited.push(wish.line(&wanted, Some(line.text)).into());
        }
    }
    if let (None, Some(value)) = (&is, wish.value) {
        let value = &wish.quoted(value, None, text)?;
        let place = place(&lines.all, wish);
        let at = place.unwrap_or(lines.all.len());
        if lines.all.get(at).map_or(lines.is_open, |line| line.is_continued) {
            return Err(format!(
                "line {at}: a value that may go on in what is added is not edited here"
            ));
        }
        if place.is_none() {
            edited.push(format!("[{}]", wish.section.unwrap_or_default()).into());
        }
        let at = if place.is_none() { edited.len() } else { at };
        edited.insert(at, wish.line(value, wish.neighbour(&lines.all)).into());
    }
    if edited.iter().eq(lines.all.iter().map(|line| line.text)) {
        return Ok((is, text.to_owned()));
    }
    let whole: String = edited.iter().flat_map(|line| [line, "\n"]).collect();
    Ok((is, whole))
}

/// Where a new line goes: after the section's last, before what is conditional; none if its section
/// is yet to come.
fn place(lines: &[Line<'_>], wish: &Wish<'_>) -> Option<usize> {
    if wish.format != KeyFormat::Ini {
        return Some(lines.iter().position(|line| line.is_conditional).unwrap_or(lines.len()));
    }
    let is_own = |line: &Line<'_>| line.section == wish.section && !line.text.trim().is_empty();
    let last = lines.iter().rposition(is_own);
    last.map(|last| last + 1).or(wish.section.is_none().then_some(0))
}

/// What is said besides the key: each line, and what makes it count.
pub(super) fn besides(text: &str, wish: &Wish<'_>) -> Result<Vec<String>, String> {
    let lines = read(text, wish)?;
    let is_own = |line: &Line<'_>| line.value.is_some() || line.is_header(wish.section);
    let others = lines.all.iter().filter(|line| !is_own(line));
    // A last line that has no end gets one.
    let end = if text.ends_with('\n') { "" } else { "no end" };
    let end = lines.is_open.then(|| format!("goes on, {end}"));
    Ok(others.map(|line| format!("{line:?}")).chain(end).collect())
}
