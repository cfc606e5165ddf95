//! `dangling`: images without a name and volumes without a container, up to a limit.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::node::Table;

/// Keys of `kind = "dangling"`.
pub(crate) static KEYS: Keys = Keys {
    name: "dangling",
    doc: "Images without a name, and volumes, that no container uses: at most so many.",
    keys: &[
        Key::new("images_max", Kind::Integer, "so many images"),
        Key::new("images_size_max", TEXT_OR_INTEGER, "so much of images: `2gb`"),
        Key::new("volumes_max", Kind::Integer, "so many volumes"),
        Key::new("except", TEXT_OR_TEXTS, "names of volumes that do not count, with `*`"),
    ],
};

/// How much may lie about; what is absent does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DanglingRule {
    /// Images.
    pub images_max: Option<usize>,
    /// Their bytes.
    pub images_bytes_max: Option<u64>,
    /// Volumes.
    pub volumes_max: Option<usize>,
    /// Volumes that do not count.
    pub except: Vec<String>,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<DanglingRule> {
    let limits = ["images_max", "images_size_max", "volumes_max"];
    if limits.iter().all(|key| table.get(key).is_none()) {
        let help = format!("write one of {}", limits.join(", "));
        reader.findings.error_help(table.get("kind")?.at, "this rule has no limit", help);
        return None;
    }
    Some(DanglingRule {
        images_max: reader.integer(table, "images_max"),
        images_bytes_max: reader.size(table, "images_size_max"),
        volumes_max: reader.integer(table, "volumes_max"),
        except: reader.texts(table, "except"),
    })
}
