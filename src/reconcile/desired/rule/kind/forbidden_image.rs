//! `forbidden_image`: images that no container may be made of.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SOME_TEXTS;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::node::Table;

/// Keys of `kind = "forbidden_image"`.
pub(crate) static KEYS: Keys = Keys {
    name: "forbidden_image",
    doc: "Images that no container may be made of.",
    keys: &[
        Key::required(
            "images",
            SOME_TEXTS,
            "names as `docker.io/*` or `*:latest`, or ids, with `*`",
        ),
        Key::new("except", TEXT_OR_TEXTS, "those of them that are allowed, with `*`"),
        Key::new("stored", Kind::Boolean, "whether it may not even lie on the engine"),
    ],
};

/// Images that may not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForbiddenImageRule {
    /// Names or ids, with `*`.
    pub images: Vec<String>,
    /// Those of them that are allowed.
    pub except: Vec<String>,
    /// Whether one may not even lie on the engine.
    pub stored: bool,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> ForbiddenImageRule {
    ForbiddenImageRule {
        images: reader.texts(table, "images"),
        except: reader.texts(table, "except"),
        stored: reader.boolean(table, "stored"),
    }
}
