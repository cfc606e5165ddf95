//! `symlink`: a symbolic link that says this.

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::read::own_path;

/// Keys of `kind = "symlink"`.
pub(crate) static KEYS: Keys = Keys {
    name: "symlink",
    doc: "A symbolic link that says this.",
    keys: &[
        Key::required("path", Kind::Text, "where, absolute"),
        Key::required("to", Kind::Text, "what it says: absolute, or from its own folder"),
    ],
};

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SymlinkRule {
    /// Where.
    pub path: HostPath,
    /// What it says.
    pub to: String,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<SymlinkRule> {
    let to = reader.with(table.get("to")?, |text| {
        if text.is_empty() || text.len() > 4095 || text.contains('\0') {
            return Err("a link must say something, in at most 4095 bytes".to_owned());
        }
        Ok(text.to_owned())
    });
    Some(SymlinkRule { path: own_path(table, "path", reader)?, to: to? })
}
