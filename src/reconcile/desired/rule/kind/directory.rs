//! `directory`: a folder with this mode and owner.

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::owner::Access;
use crate::reconcile::desired::rule::kind::owner::MODE;
use crate::reconcile::desired::rule::kind::owner::access;
use crate::reconcile::desired::rule::read::path;

/// Keys of `kind = "directory"`.
pub(crate) static KEYS: Keys = Keys {
    name: "directory",
    doc: "A directory with this mode and owner; what lies in it does not matter.",
    keys: &[
        Key::required("path", Kind::Text, "where, absolute"),
        Key::new("mode", MODE, "permission bits; 0755 for a new one"),
        Key::new("owner", TEXT_OR_INTEGER, "user by name or number"),
        Key::new("group", TEXT_OR_INTEGER, "group by name or number"),
    ],
};

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirectoryRule {
    /// Where.
    pub path: HostPath,
    /// Mode and owner.
    pub access: Access,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<DirectoryRule> {
    let access = access(table, reader);
    Some(DirectoryRule { path: path(table, "path", reader)?, access })
}
