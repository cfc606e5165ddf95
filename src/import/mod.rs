//! Other tools' documents → services and rulesets of a configuration repository.
//!
//! In: the text of an export, the files that are there already. Out: [`Imported`]: new files, and
//! remarks on what could not be carried, or not as it was. Pure.
//!
//! ```text
//! words      names and texts in our grammar
//! draft      rulesets, services and environments to be, and how they are written
//! collector  OpenSVC's compliance export
//! service    an OpenSVC service's configuration
//! sound      lints the result and takes out what would not pass
//! ```
//!
//! # Guarantees
//! * Everything in the document is carried or named in a remark, with the reason.
//! * Nothing is shown to more nodes than it was: what cannot be told waits for a label.
//! * Nothing of the document is run, and no address in it is asked.

mod words;
mod draft;
mod collector;
mod service;
mod sound;

pub use draft::{Fate, Imported, Remark};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::import::draft::Draft;
use crate::model::EnvironmentName;

/// The JSON Schema of what the command prints, by name.
pub const SCHEMA: (&str, &str) = ("import", include_str!("../../docs/schema/import.json"));

/// Contents by path within the repository.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// What an import is told besides the document.
#[derive(Debug, Clone, Copy)]
pub struct Into<'a> {
    /// Files that are there already; none of them is changed but `tidegate.toml`.
    pub there: &'a Files,
    /// The environments, the first one first; empty takes them from what is there, or from the
    /// document.
    pub environments: &'a [EnvironmentName],
    /// Who signs, by name and key: they may do everything until they let others.
    pub person: Option<(&'a str, &'a str)>,
}

/// A document that cannot be imported at all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is not what it should be.
    #[error("{what}")]
    NotThat {
        /// What it is not.
        what: String,
    },
    /// A file that would be written is there already.
    #[error("{path} is there already")]
    There {
        /// The file.
        path: String,
    },
    /// What it comes to does not pass lint, whatever rules are left out.
    #[error("{path} would not pass lint: {why}{}", more(*.n_others))]
    Unsound {
        /// The first file that would not.
        path: String,
        /// Why it would not.
        why: String,
        /// How many other mistakes there are.
        n_others: usize,
    },
    /// A file that is there cannot be understood.
    #[error("{path} is not TOML")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: toml_edit::TomlError,
    },
}

fn more(n_others: usize) -> String {
    if n_others == 0 { String::new() } else { format!(" (and {n_others} more mistakes)") }
}

/// Imports what `/compliance/*/export` of an OpenSVC collector gives.
///
/// # Errors
/// When it is no such export, or what it comes to is there already.
pub fn opensvc_compliance(text: &str, into: Into<'_>) -> Result<Imported, ImportError> {
    let mut draft = Draft::new(into)?;
    collector::read(text, &mut draft)?;
    sound::finish(draft, into)
}

/// Imports the configuration of the OpenSVC service called `name`.
///
/// # Errors
/// When it is no such configuration, or what it comes to is there already.
pub fn opensvc_service(name: &str, text: &str, into: Into<'_>) -> Result<Imported, ImportError> {
    let mut draft = Draft::new(into)?;
    service::read(name, text, &mut draft)?;
    sound::finish(draft, into)
}
