//! `archive`: a tar archive of the ruleset's, by its digest, unpacked into a directory.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::Digest;
use crate::model::HostPath;
use crate::model::archive::Member;
use crate::model::archive::members;
use crate::reconcile::desired::container::ConfigContent;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::RuleFiles;
use crate::reconcile::desired::rule::kind::owner::Principal;
use crate::reconcile::desired::rule::kind::owner::principal;
use crate::reconcile::desired::rule::read::path;

/// Keys of `kind = "archive"`.
pub(crate) static KEYS: Keys = Keys {
    name: "archive",
    doc: "A tar archive, plain or packed with gzip, unpacked into a directory.",
    keys: &[
        Key::required("path", Kind::Text, "the directory, absolute"),
        Key::required("source", Kind::Text, "a file of the ruleset's `.files/` folder"),
        Key::required("digest", Kind::Text, "what the archive's digest must be: `sha256:…`"),
        Key::new("owner", TEXT_OR_INTEGER, "whose all of it is; default as the archive says"),
        Key::new("group", TEXT_OR_INTEGER, "the same of the group"),
    ],
};

/// An unpacked archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchiveRule {
    /// The directory.
    pub path: HostPath,
    /// The file's name in the tree.
    pub source: String,
    /// The archive.
    pub packed: ConfigContent,
    /// What is in it, by the path below the directory; the directory itself has the empty one.
    pub members: BTreeMap<String, Member>,
    /// Whose all of it is.
    pub owner: Option<Principal>,
    /// Whose group's.
    pub group: Option<Principal>,
}

/// Reads it.
pub(crate) fn read(
    table: &Table,
    files: &RuleFiles<'_>,
    reader: &mut Reader<'_>,
) -> Option<ArchiveRule> {
    let at = path(table, "path", reader);
    let owner = table.get("owner").map(|node| principal(node, reader));
    let group = table.get("group").map(|node| principal(node, reader));
    let digest: Option<Digest> = table.get("digest").and_then(|node| reader.parsed(node));
    let node = table.get("source")?;
    let packed = ConfigContent(files.content(node, reader)?);
    let (at, wanted) = (at?, digest?);
    if at.is_kept() {
        let message = format!("`{at}` is no directory to unpack an archive into");
        let help = "name a directory of its own, for example below `/opt`";
        reader.findings.error_help(table.get("path")?.at, message, help);
        return None;
    }
    if packed.digest() != wanted {
        let message = format!("the archive's digest is not {wanted}: it is {}", packed.digest());
        reader.findings.error(table.get("digest")?.at, message);
        return None;
    }
    let source = reader.text(node)?;
    let members = match members(&packed.0) {
        Ok(members) => members,
        Err(error) => {
            reader.findings.error(node.at, format!("`{source}`: {error}"));
            return None;
        }
    };
    if members.keys().any(|inner| at.below(inner).is_none()) {
        reader.findings.error(node.at, format!("`{source}`: a path in it is too long here"));
        return None;
    }
    // An owner that could not be read was noted.
    let (owner, group) =
        (owner.map_or(Some(None), |o| o.map(Some))?, group.map_or(Some(None), |g| g.map(Some))?);
    Some(ArchiveRule { path: at, source, packed, members, owner, group })
}
