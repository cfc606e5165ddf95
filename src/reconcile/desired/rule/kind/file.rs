//! `file`: a regular file with this content, mode and owner.

use serde::Serialize;

use crate::model::Digest;
use crate::model::HostPath;
use crate::reconcile::desired::container::ConfigContent;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::RuleFiles;
use crate::reconcile::desired::rule::kind::owner::Access;
use crate::reconcile::desired::rule::kind::owner::MODE;
use crate::reconcile::desired::rule::kind::owner::access;
use crate::reconcile::desired::rule::read::own_path;

/// Keys of `kind = "file"`.
pub(crate) static KEYS: Keys = Keys {
    name: "file",
    doc: "A regular file with this content, mode and owner.",
    keys: &[
        Key::required("path", Kind::Text, "where, absolute"),
        Key::new("content", Kind::Text, "its content; `${…}` is substituted"),
        Key::new("template", Kind::Text, "a file of the ruleset's `.files/` folder, substituted"),
        Key::new("source", Kind::Text, "a file of that folder, byte for byte"),
        Key::new("digest", Kind::Text, "what the source's digest must be"),
        Key::new("mode", MODE, "permission bits; 0644 for a new file"),
        Key::new("owner", TEXT_OR_INTEGER, "user by name or number"),
        Key::new("group", TEXT_OR_INTEGER, "group by name or number"),
    ],
};

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRule {
    /// Where.
    pub path: HostPath,
    /// What it holds; absent leaves that.
    pub content: Option<ConfigContent>,
    /// Mode and owner.
    pub access: Access,
}

/// Reads it.
pub(crate) fn read(
    table: &Table,
    files: &RuleFiles<'_>,
    reader: &mut Reader<'_>,
) -> Option<FileRule> {
    let at = own_path(table, "path", reader);
    let access = access(table, reader);
    let content = content(table, files, reader).ok()?;
    Some(FileRule { path: at?, content, access })
}

/// An error was noted.
struct Noted;

/// The content, if the rule says one.
fn content(
    table: &Table,
    files: &RuleFiles<'_>,
    reader: &mut Reader<'_>,
) -> Result<Option<ConfigContent>, Noted> {
    let ways: Vec<(&str, &Node)> = ["content", "template", "source"]
        .into_iter()
        .filter_map(|key| Some((key, table.get(key)?)))
        .collect();
    if let [_, (_, second), ..] = ways[..] {
        let message = "only one of `content`, `template` and `source` can say what it holds";
        reader.findings.error_help(second.at, message, "remove the others");
        return Err(Noted);
    }
    let bytes = match ways.first() {
        None => None,
        Some(("content", node)) => Some(reader.text(node).ok_or(Noted)?.into_bytes().into()),
        Some(("template", node)) => Some(template(node, files, reader).ok_or(Noted)?),
        Some((_, node)) => Some(files.content(node, reader).ok_or(Noted)?),
    };
    let content = bytes.map(ConfigContent);
    if let Some(node) = table.get("digest") {
        let wanted: Digest = reader.parsed(node).ok_or(Noted)?;
        let found = content.as_ref().map(ConfigContent::digest);
        if found != Some(wanted) {
            let found = found.map_or("there is no content".to_owned(), |d| format!("it is {d}"));
            let message = format!("the content's digest is not {wanted}: {found}");
            reader.findings.error(node.at, message);
            return Err(Noted);
        }
    }
    Ok(content)
}

/// A file of the tree as text with everything substituted; it can do nothing else.
fn template(
    node: &Node,
    files: &RuleFiles<'_>,
    reader: &mut Reader<'_>,
) -> Option<std::sync::Arc<[u8]>> {
    let bytes = files.content(node, reader)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        reader.findings.error_help(node.at, "the template is not UTF-8", "use `source`");
        return None;
    };
    let text = reader.scope.substitute(text, node.at, reader.findings)?;
    Some(text.into_owned().into_bytes().into())
}
