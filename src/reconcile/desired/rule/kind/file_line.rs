//! `file_line`: a line or a block in a file, there or not there.

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::read::path;

/// The memory that a compiled pattern may take: repetitions nested in repetitions explode.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Keys of `kind = "file_line"`.
pub(crate) static KEYS: Keys = Keys {
    name: "file_line",
    doc: "A line or a block in a text file, present or absent.",
    keys: &[
        Key::required("path", Kind::Text, "the file, absolute"),
        Key::new("line", Kind::Text, "one line"),
        Key::new("block", Kind::Text, "several lines, kept between two marks"),
        Key::new("comment", Kind::Text, "what begins a comment, for the marks; default `#`"),
        Key::new("regex", Kind::Text, "lines that the line replaces, or that are absent"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
        Key::new("create", Kind::Boolean, "whether a missing file is made"),
    ],
};

/// A line or block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileLineRule {
    /// The file.
    pub path: HostPath,
    /// What is wanted in it.
    pub wish: LineWish,
    /// Whether a missing file is made.
    pub create: bool,
}

/// What is wanted of a file's lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineWish {
    /// This line, once, in place of those that the pattern finds.
    Line {
        /// The line.
        line: String,
        /// What it replaces.
        regex: Option<String>,
    },
    /// These lines between two marks.
    Block {
        /// The lines, each ended.
        block: String,
        /// What begins a comment.
        comment: String,
    },
    /// No such line.
    NoLine {
        /// This line.
        line: Option<String>,
        /// Lines that this finds.
        regex: Option<String>,
    },
    /// Nothing between the marks, and no marks.
    NoBlock {
        /// What begins a comment.
        comment: String,
    },
}

impl FileLineRule {
    /// What of the file it is about.
    pub(crate) fn thing(&self) -> String {
        let path = &self.path;
        match &self.wish {
            LineWish::Line { line, regex: None } => format!("line `{line}` of {path}"),
            LineWish::Line { regex: Some(regex), .. }
            | LineWish::NoLine { regex: Some(regex), .. } => {
                format!("lines like `{regex}` of {path}")
            }
            LineWish::NoLine { line, .. } => {
                format!("line `{}` of {path}", line.as_deref().unwrap_or_default())
            }
            // Each rule has marks of its own.
            LineWish::Block { block, .. } => format!("block `{block}` of {path}"),
            LineWish::NoBlock { .. } => format!("a block of {path}"),
        }
    }
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<FileLineRule> {
    let path = path(table, "path", reader);
    let create = reader.boolean(table, "create");
    let present = reader.text_at(table, "state").is_none_or(|state| state == "present");
    let regex = match table.get("regex") {
        None => None,
        Some(node) => Some(reader.with(node, |text| pattern(text).map(|_| text.to_owned()))?),
    };
    let one_line = |text: &str| {
        if text.contains(['\n', '\r']) {
            return Err("a line has no line end in it; write `block` for several".to_owned());
        }
        Ok(text.to_owned())
    };
    let line = match table.get("line") {
        None => None,
        Some(node) => Some(reader.with(node, one_line)?),
    };
    let comment = match table.get("comment") {
        None => "#".to_owned(),
        Some(node) => reader.with(node, one_line)?,
    };
    let at = table.get("path").map(|node| node.at)?;
    let wish = match (table.get("block"), line, regex, present) {
        (Some(block), None, None, true) => {
            LineWish::Block { block: ended(reader.text(block)?), comment }
        }
        (Some(_), None, None, false) => LineWish::NoBlock { comment },
        (None, Some(line), regex, true) => replaced(table.get("regex"), line, regex, reader)?,
        (None, line, regex, false) if line.is_some() || regex.is_some() => {
            LineWish::NoLine { line, regex }
        }
        _ => {
            let message = "it needs `line` (with or without `regex`), or `block` alone";
            let help = "with `state = \"absent\"`, `regex` alone will do";
            reader.findings.error_help(at, message, help);
            return None;
        }
    };
    Some(FileLineRule { path: path?, wish, create })
}

/// A line that its own pattern does not find would be added again and again.
fn replaced(
    at: Option<&Node>,
    line: String,
    regex: Option<String>,
    reader: &mut Reader<'_>,
) -> Option<LineWish> {
    let misses =
        regex.as_deref().is_some_and(|regex| !pattern(regex).is_ok_and(|r| r.is_match(&line)));
    if let (true, Some(node)) = (misses, at) {
        let message = "`regex` does not find `line` itself";
        let help = "widen it, so that what was mended once is found the next time";
        reader.findings.error_help(node.at, message, help);
        return None;
    }
    Some(LineWish::Line { line, regex })
}

fn ended(block: String) -> String {
    if block.is_empty() || block.ends_with('\n') { block } else { block + "\n" }
}

/// A pattern, bounded in memory; it runs in time linear in the text.
///
/// # Errors
/// When it is none, or too large.
pub fn pattern(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| {
        format!("`{text}` is no pattern: {}", error.to_string().replace('\n', " "))
    })
}
