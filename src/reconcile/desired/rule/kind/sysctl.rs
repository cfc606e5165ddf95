//! `sysctl`: a kernel parameter, now and after the next boot.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SCALAR;
use crate::reconcile::desired::document::node::Table;

/// Keys of `kind = "sysctl"`.
pub(crate) static KEYS: Keys = Keys {
    name: "sysctl",
    doc: "A kernel parameter, now and after the next boot.",
    keys: &[
        Key::required("key", Kind::Text, "as sysctl names it: `vm.swappiness`"),
        Key::required("value", SCALAR, "what it must be"),
    ],
};

/// A kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SysctlRule {
    /// As sysctl names it.
    pub key: String,
    /// What it must be, white space as single blanks.
    pub value: String,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<SysctlRule> {
    let is_step = |step: &str| {
        !step.is_empty()
            && step.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let key = reader.with(table.get("key")?, |text| {
        if text.contains('.') && text.split('.').all(is_step) {
            return Ok(text.to_owned());
        }
        Err(format!("`{text}` is no kernel parameter: write for example `vm.swappiness`"))
    });
    let value = reader.with(table.get("value")?, |text| {
        if text.trim().is_empty() || text.contains(['\n', '\r', '\0']) {
            return Err("a kernel parameter has a value, in one line".to_owned());
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    Some(SysctlRule { key: key?, value: value? })
}
