//! `hub_login`: the node's own credentials for its hub.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;

/// Keys of `kind = "hub_login"`.
pub(crate) static KEYS: Keys = Keys {
    name: "hub_login",
    doc: "The node's credentials for its hub are there, are accepted, and nobody else can read them.",
    keys: &[Key::new("verify", Kind::Boolean, "whether the hub is asked; default true")],
};

/// The node's credentials for its hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HubLoginRule {
    /// Whether the hub is asked.
    pub verify: bool,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> HubLoginRule {
    HubLoginRule { verify: reader.option(table, "verify").unwrap_or(true) }
}
