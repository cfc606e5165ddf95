//! `kernel_module`: a module of the kernel, loaded or kept out, now and after the next boot.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::account::Presence;

/// Keys of `kind = "kernel_module"`.
pub(crate) static KEYS: Keys = Keys {
    name: "kernel_module",
    doc: "A kernel module, loaded now and at boot, or neither.",
    keys: &[
        Key::required("module", Kind::Text, "its own name, no alias: `br_netfilter`"),
        Key::new("state", Kind::Choice(&["loaded", "absent"]), "default loaded"),
    ],
};

/// A kernel module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelModuleRule {
    /// As the kernel names it: with `_`, never `-`.
    pub module: String,
    /// Whether it must be loaded, or must not be.
    pub state: Presence,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<KernelModuleRule> {
    let module = reader.with(table.get("module")?, |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let sound = !text.is_empty() && text.len() <= 64 && !text.starts_with('-');
        if sound && text.bytes().all(plain) {
            return Ok(text.replace('-', "_"));
        }
        Err(format!("`{text}` is no kernel module: write for example `br_netfilter`"))
    });
    let absent = reader.text_at(table, "state").is_some_and(|state| state == "absent");
    let state = if absent { Presence::Absent } else { Presence::Present };
    Some(KernelModuleRule { module: module?, state })
}
