//! `file_absent`: nothing at a path. Takes away a file, a link or an empty folder, never a tree.

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::read::path;

/// Keys of `kind = "file_absent"`.
pub(crate) static KEYS: Keys = Keys {
    name: "file_absent",
    doc: "Nothing at a path: no file, no link, no folder.",
    keys: &[Key::required("path", Kind::Text, "where, absolute; no pattern")],
};

/// Nothing at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileAbsentRule {
    /// Where.
    pub path: HostPath,
}

/// Reads it: a path that the host cannot do without, or a pattern, is a mistake.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<FileAbsentRule> {
    let at = table.get("path").map(|node| node.at)?;
    let path = path(table, "path", reader)?;
    if path.is_kept() {
        let message = format!("`{path}` is never removed: the host would be gone without it");
        reader.findings.error_help(at, message, "name what is to be removed below it");
        return None;
    }
    if path.as_str().contains(['*', '?', '[']) {
        let message = format!("`{path}` looks like a pattern, and patterns never remove");
        reader.findings.error_help(at, message, "write one rule for each path");
        return None;
    }
    Some(FileAbsentRule { path })
}
