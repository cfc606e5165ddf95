//! What each document of a repository may hold.
//!
//! In: nothing. Out: static [`Keys`] and their JSON Schemas. Pure.

mod container;
mod environment;
mod parts;
mod ruleset;
mod service;

pub use container::CONTAINER;
pub use environment::ENVIRONMENT;
pub use environment::NODE;
pub use environment::REPOSITORY;
pub use ruleset::RULESET;
pub use service::OVERLAY;
pub use service::SERVICE;

use crate::reconcile::desired::document::json_schema::json_schema;
use crate::reconcile::desired::document::kind::Keys;

/// Every document: the schema's name, what it describes, its keys.
pub const DOCUMENTS: [(&str, &str, &Keys); 6] = [
    ("tidegate", "tidegate.toml", &REPOSITORY),
    ("service", "services/<service>.toml", &SERVICE),
    ("overlay", "environments/<environment>/services/<service>.toml", &OVERLAY),
    ("ruleset", "rulesets/**/<ruleset>.toml", &RULESET),
    ("environment", "environments/<environment>/environment.toml", &ENVIRONMENT),
    ("node", "environments/<environment>/nodes/<node>.toml", &NODE),
];

/// The JSON Schema called `name`, as pretty-printed text; `None` if there is none of that name.
pub fn schema_text(name: &str) -> Option<String> {
    let (_, title, keys) = DOCUMENTS.iter().find(|(known, _, _)| *known == name)?;
    serde_json::to_string_pretty(&json_schema(title, keys)).ok().map(|text| text + "\n")
}
