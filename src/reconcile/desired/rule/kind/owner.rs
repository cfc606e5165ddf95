//! Mode, owner and group, which several kinds take.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;

/// What `mode` looks like.
pub(crate) const MODE: Kind = TEXT_OR_INTEGER;

/// A user or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// By name, looked up on the host.
    Name(String),
    /// By number.
    Id(u32),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.pad(name),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

/// Who may do what with a path; what is absent is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Access {
    /// Permission bits.
    pub mode: Option<u32>,
    /// User.
    pub owner: Option<Principal>,
    /// Group.
    pub group: Option<Principal>,
}

/// Reads `mode`, `owner` and `group`.
pub(crate) fn access(table: &Table, reader: &mut Reader<'_>) -> Access {
    Access {
        mode: reader.mode(table, "mode"),
        owner: table.get("owner").and_then(|node| principal(node, reader)),
        group: table.get("group").and_then(|node| principal(node, reader)),
    }
}

/// Reads a name or number.
pub(crate) fn principal(node: &Node, reader: &mut Reader<'_>) -> Option<Principal> {
    reader.with(node, |text| match text.parse::<u32>() {
        Ok(id) => Ok(Principal::Id(id)),
        Err(_) if is_name(text) => Ok(Principal::Name(text.to_owned())),
        Err(_) => Err(format!("`{text}` is no name of a user or group")),
    })
}

/// What useradd(8) accepts, and no more.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.len() <= 32
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$'))
}
