//! Kinds of rules: what each takes, one file a kind.
//!
//! In: a checked `[[rules]]` table. Out: [`RuleKind`]; mistakes as findings with their place. Pure.

mod directory;
mod file;
mod file_absent;
mod file_line;
mod key_value;
mod owner;
mod symlink;
mod sysctl;

pub use directory::DirectoryRule;
pub use file::FileRule;
pub use file_absent::FileAbsentRule;
pub use file_line::FileLineRule;
pub use file_line::LineWish;
pub use file_line::pattern;
pub use key_value::KeyFormat;
pub use key_value::KeyValueRule;
pub use owner::Access;
pub use owner::Principal;
pub use symlink::SymlinkRule;
pub use sysctl::SysctlRule;

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::RuleFiles;

/// The keys of every kind that this version has.
pub static KINDS: &[&Keys] = &[
    &file::KEYS,
    &file_line::KEYS,
    &file_absent::KEYS,
    &directory::KEYS,
    &symlink::KEYS,
    &key_value::KEYS,
    &sysctl::KEYS,
];

/// What a rule wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A file with this content, mode and owner.
    File(FileRule),
    /// A line or block in a file.
    FileLine(FileLineRule),
    /// Nothing at a path.
    FileAbsent(FileAbsentRule),
    /// A directory.
    Directory(DirectoryRule),
    /// A symbolic link.
    Symlink(SymlinkRule),
    /// A key's value in a configuration file.
    KeyValue(KeyValueRule),
    /// A kernel parameter.
    Sysctl(SysctlRule),
}

impl RuleKind {
    /// As written in `kind = "…"`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => file::KEYS.name,
            Self::FileLine(_) => file_line::KEYS.name,
            Self::FileAbsent(_) => file_absent::KEYS.name,
            Self::Directory(_) => directory::KEYS.name,
            Self::Symlink(_) => symlink::KEYS.name,
            Self::KeyValue(_) => key_value::KEYS.name,
            Self::Sysctl(_) => sysctl::KEYS.name,
        }
    }

    /// The thing of the host that it is about; two rules about one thing must want the same.
    pub fn thing(&self) -> String {
        match self {
            Self::File(rule) => rule.path.to_string(),
            Self::FileLine(rule) => rule.thing(),
            Self::FileAbsent(rule) => rule.path.to_string(),
            Self::Directory(rule) => rule.path.to_string(),
            Self::Symlink(rule) => rule.path.to_string(),
            Self::KeyValue(rule) => rule.thing(),
            Self::Sysctl(rule) => format!("kernel parameter {}", rule.key),
        }
    }
}

/// Reads the parameters of a checked table; none after an error was noted.
pub(crate) fn read(
    table: &Table,
    files: &RuleFiles<'_>,
    reader: &mut Reader<'_>,
) -> Option<RuleKind> {
    match table.get("kind").and_then(Node::as_text)? {
        "file" => file::read(table, files, reader).map(RuleKind::File),
        "file_line" => file_line::read(table, reader).map(RuleKind::FileLine),
        "file_absent" => file_absent::read(table, reader).map(RuleKind::FileAbsent),
        "directory" => directory::read(table, reader).map(RuleKind::Directory),
        "symlink" => symlink::read(table, reader).map(RuleKind::Symlink),
        "key_value" => key_value::read(table, reader).map(RuleKind::KeyValue),
        "sysctl" => sysctl::read(table, reader).map(RuleKind::Sysctl),
        _ => None,
    }
}
