//! `file_line`: a line or a block in a text file.

use crate::compliance::change::plain;
use crate::compliance::kind::text::TextFile;
use crate::compliance::kind::{Judgement, Sight};
use crate::reconcile::desired::rule::RuleId;
use crate::reconcile::desired::rule::kind::{FileLineRule, LineWish, pattern};

/// Longer lines are cut where they are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Judges it.
pub(super) fn judge(rule: &FileLineRule, sight: &Sight<'_>) -> Judgement {
    let file = match TextFile::seen(&rule.path, sight) {
        Ok(file) => file,
        Err(reason) => return Judgement::Error { reason },
    };
    let text = &file.text;
    let edited = match edit(text, &rule.wish, sight.id) {
        Ok(edited) => edited,
        Err(reason) => return Judgement::Error { reason },
    };
    let hidden = sight.is_hidden();
    let (expected, actual) = shown(rule, text, hidden);
    if edited == *text {
        return Judgement::Ok { expected };
    }
    let fix = file.rewritten(edited, rule.create);
    let actual = if file.is_missing() { "no such file".to_owned() } else { actual };
    Judgement::NotOk { expected, actual, fix }
}

/// What is wanted, and which lines are otherwise.
fn shown(rule: &FileLineRule, text: &str, hidden: bool) -> (String, String) {
    let quoted = |line: &str| {
        let short = plain(&line.chars().take(SHOWN_CHARS_MAX).collect::<String>());
        if hidden { "a line that not everybody may read".to_owned() } else { format!("`{short}`") }
    };
    match &rule.wish {
        LineWish::Line { line, regex } => {
            let finds = regex.as_deref().and_then(|regex| pattern(regex).ok());
            let is_other = |l: &&str| *l != line && finds.as_ref().is_some_and(|r| r.is_match(l));
            let actual = match (text.lines().find(is_other), text.lines().any(|l| l == line)) {
                (None, false) => "no such line".to_owned(),
                (None, true) => "it stands more than once".to_owned(),
                (Some(other), false) => quoted(other),
                (Some(other), true) => format!("{} as well", quoted(other)),
            };
            (quoted(line), actual)
        }
        LineWish::NoLine { line, regex } => {
            let what = line.as_deref().map(quoted).or(regex.as_deref().map(|r| format!("/{r}/")));
            let expected = format!("no line {}", what.unwrap_or_default());
            let found = unwanted(line.as_deref(), regex.as_deref())
                .ok()
                .and_then(|is_unwanted| text.lines().find(|line| is_unwanted(line)));
            (expected, found.map_or_else(String::new, quoted))
        }
        LineWish::Block { block, .. } => {
            let expected = format!("a block of {} lines", block.lines().count());
            (expected, "another block, or none".to_owned())
        }
        LineWish::NoBlock { .. } => ("no block of this rule".to_owned(), "a block".to_owned()),
    }
}

/// Which lines may not be there.
fn unwanted<'a>(
    line: Option<&'a str>,
    regex: Option<&str>,
) -> Result<impl Fn(&str) -> bool + use<'a>, String> {
    let finds = regex.map(pattern).transpose()?;
    Ok(move |found: &str| line == Some(found) || finds.as_ref().is_some_and(|r| r.is_match(found)))
}

/// The text as it should be.
fn edit(text: &str, wish: &LineWish, id: &RuleId) -> Result<String, String> {
    match wish {
        LineWish::Line { line, regex } => {
            let finds = regex.as_deref().map(pattern).transpose()?;
            let is_it = |l: &str| l == line || finds.as_ref().is_some_and(|r| r.is_match(l));
            let keep_others = finds.is_some();
            Ok(with_line(text, line, is_it, keep_others))
        }
        LineWish::NoLine { line, regex } => {
            let is_unwanted = unwanted(line.as_deref(), regex.as_deref())?;
            Ok(text.split_inclusive('\n').filter(|line| !is_unwanted(bare(line))).collect())
        }
        LineWish::Block { block, comment } => with_block(text, Some(block), comment, id),
        LineWish::NoBlock { comment } => with_block(text, None, comment, id),
    }
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// The first line that `is_it` becomes `line`; further ones go where `alone`; else it is appended.
fn with_line(text: &str, line: &str, is_it: impl Fn(&str) -> bool, alone: bool) -> String {
    let mut edited = String::with_capacity(text.len() + line.len() + 1);
    let mut found = false;
    for whole in text.split_inclusive('\n') {
        if !is_it(bare(whole)) {
            edited.push_str(whole);
        } else if !found {
            found = true;
            edited.push_str(line);
            edited.push_str(&whole[bare(whole).len()..]);
        } else if !alone {
            edited.push_str(whole);
        }
    }
    if !found {
        let end = line_end(text);
        finish(&mut edited, end);
        edited.push_str(line);
        edited.push_str(end);
    }
    edited
}

/// How lines of this text end: as all of them do, or as new ones.
fn line_end(text: &str) -> &'static str {
    let mut whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).peekable();
    let is_crlf = whole.peek().is_some() && whole.all(|line| line.ends_with("\r\n"));
    if is_crlf { "\r\n" } else { "\n" }
}

fn finish(text: &mut String, end: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(end);
    }
}

/// The block between its marks; without one, neither.
fn with_block(
    text: &str,
    block: Option<&str>,
    comment: &str,
    id: &RuleId,
) -> Result<String, String> {
    let (begin, close) =
        (format!("{comment} begin tidegate {id}"), format!("{comment} end tidegate {id}"));
    let places = |mark: &str| {
        let mut at = 0;
        let mut found = Vec::new();
        for line in text.split_inclusive('\n') {
            if bare(line) == mark {
                found.push((at, at + line.len()));
            }
            at += line.len();
        }
        found
    };
    let end = line_end(text);
    let lines = |block: &str| format!("{begin}\n{block}{close}\n").replace('\n', end);
    let marked = block.map(lines).unwrap_or_default();
    match (&places(&begin)[..], &places(&close)[..]) {
        ([], []) => {
            let mut edited = text.to_owned();
            if !marked.is_empty() {
                finish(&mut edited, end);
                edited.push_str(&marked);
            }
            Ok(edited)
        }
        ([(from, _)], [(mark, to)]) if from < mark => {
            // A file that ends with the mark, without a line end, is as good.
            if text.get(*from..*to).is_some_and(|old| old.trim_end() == marked.trim_end()) {
                return Ok(text.to_owned());
            }
            Ok(format!("{}{marked}{}", &text[..*from], &text[*to..]))
        }
        _ => Err(format!("the marks of `{id}` do not stand in pairs: mend them by hand")),
    }
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::file_line::edit;
    use crate::reconcile::desired::rule::RuleId;
    use crate::reconcile::desired::rule::kind::LineWish;

    fn id() -> RuleId {
        RuleId { ruleset: "it.linux".parse().unwrap(), name: "motd".parse().unwrap() }
    }

    fn line(line: &str, regex: Option<&str>) -> LineWish {
        LineWish::Line { line: line.to_owned(), regex: regex.map(str::to_owned) }
    }

    #[test]
    fn a_second_edit_changes_nothing() {
        let block = |block: &str| LineWish::Block { block: block.to_owned(), comment: "#".into() };
        let no_line = LineWish::NoLine { line: Some("b".into()), regex: Some("^c".into()) };
        let begin = "# begin tidegate it.linux/motd\n";
        let close = "# end tidegate it.linux/motd\n";
        for (wish, before, after) in [
            (line("x", None), "", "x\n".to_owned()),
            (line("x", None), "a", "a\nx\n".to_owned()),
            (line("x", None), "x\na\nx\n", "x\na\nx\n".to_owned()),
            (line("p 1", Some("^p ")), "p 2\na\np 3\n", "p 1\na\n".to_owned()),
            (line("x", None), "a\r\nb\r\n", "a\r\nb\r\nx\r\n".to_owned()),
            (line("x", None), "a\r\nb", "a\r\nb\r\nx\r\n".to_owned()),
            (line("x", None), "a\r\nb\n", "a\r\nb\nx\n".to_owned()),
            (
                block("1\n2\n"),
                "a\r\n",
                format!("a\r\n{begin}1\n2\n{close}").replace('\r', "").replace('\n', "\r\n"),
            ),
            (
                block("3\n"),
                &format!("a\n{begin}1\n2\n{close}z\n").replace('\n', "\r\n"),
                format!("a\n{begin}3\n{close}z\n").replace('\n', "\r\n"),
            ),
            (line("p 1", Some("^#?p ")), "#p 2\r\na\n", "p 1\r\na\n".to_owned()),
            (no_line, "a\nb\ncc\nd", "a\nd".to_owned()),
            (block("1\n2\n"), "a\n", format!("a\n{begin}1\n2\n{close}")),
            (
                block("3\n"),
                &format!("a\n{begin}1\n2\n{close}z\n"),
                format!("a\n{begin}3\n{close}z\n"),
            ),
            (
                LineWish::NoBlock { comment: "#".into() },
                &format!("a\n{begin}1\n{close}z\n"),
                "a\nz\n".to_owned(),
            ),
        ] {
            let edited = edit(before, &wish, &id()).unwrap();
            assert_eq!(edited, after, "{wish:?}");
            assert_eq!(edit(&edited, &wish, &id()).unwrap(), edited, "{wish:?}");
        }
        let open = LineWish::NoBlock { comment: "#".into() };
        assert!(edit(begin, &open, &id()).is_err());
    }
}
