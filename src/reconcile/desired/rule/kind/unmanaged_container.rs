//! `unmanaged_container`: no containers but those of services.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::node::Table;

/// Keys of `kind = "unmanaged_container"`.
pub(crate) static KEYS: Keys = Keys {
    name: "unmanaged_container",
    doc: "The engine has no containers but those of services.",
    keys: &[Key::new("except", TEXT_OR_TEXTS, "names of containers that are known, with `*`")],
};

/// No containers but those of services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnmanagedContainerRule {
    /// Names of containers that are known, with `*`.
    pub except: Vec<String>,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> UnmanagedContainerRule {
    UnmanagedContainerRule { except: reader.texts(table, "except") }
}
