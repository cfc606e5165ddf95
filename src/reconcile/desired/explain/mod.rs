//! Who says what a value is: every candidate for a key of a service, and the one that wins.
//!
//! In: a verified snapshot, a node, a service, a dotted key. Out: [`Explanation`]s. Pure.
//!
//! # Guarantees
//! * The rules are those of resolving: the same documents, matches and precedence.
//! * Candidates stand from general to specific.

mod keys;
mod sources;
mod value;

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

use crate::model::EnvironmentName;
use crate::model::NodeName;
use crate::model::ServiceName;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::explain::keys::Key;
use crate::reconcile::desired::explain::keys::keys;
use crate::reconcile::desired::explain::sources::Sources;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// Keys that are explained at once; more are asked for by a narrower key.
const KEYS_MAX: usize = 1_000;
/// Keys that are offered when none fits.
const NEAR_MAX: usize = 5;

/// Why a key of a service has the value that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The dotted key.
    pub key: String,
    /// What the node sees, everything substituted; none if nothing sets it in the end.
    pub value: Option<String>,
    /// Everything that sets it, from general to specific.
    pub candidates: Vec<Candidate>,
}

/// One place that sets a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The file.
    pub file: String,
    /// Where in it.
    #[serde(skip)]
    pub span: Range<usize>,
    /// The value as it is written there.
    pub written: String,
    /// Whether it counts.
    pub standing: Standing,
}

/// What came of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// This is the value.
    Wins,
    /// A more specific one replaces it.
    Overridden,
    /// An overlay's `unset` removes it.
    Removed,
    /// Two unrelated rulesets say different things: an error.
    Disputed,
}

/// Why nothing can be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No such service.
    #[error("no service `{service}` flows here")]
    NoService {
        /// The service.
        service: ServiceName,
        /// Those that do.
        known: Vec<ServiceName>,
    },
    /// Nothing sets the key.
    #[error("nothing sets `{key}` of {service}")]
    Unset {
        /// The service.
        service: ServiceName,
        /// The key.
        key: String,
        /// Keys that something sets, the likest first.
        near: Vec<String>,
    },
    /// Too much was asked for at once.
    #[error("`{key}` is {n_keys} keys")]
    TooMany {
        /// The key.
        key: String,
        /// How many it is.
        n_keys: usize,
    },
}

/// The nodes that the environment has documents of.
pub fn nodes(snapshot: &Verified<Snapshot>, environment: &EnvironmentName) -> Vec<NodeName> {
    Repository::read(&snapshot.get().files, environment).nodes.into_keys().collect()
}

/// Explains `key` of `service`, and every key below it; the variables that a value uses follow it.
///
/// # Errors
/// When there is no such service, or nothing sets the key.
pub fn explain(
    snapshot: &Verified<Snapshot>,
    environment: &EnvironmentName,
    node: &NodeName,
    service: &ServiceName,
    key: &str,
) -> Result<Vec<Explanation>, ExplainError> {
    let repository = Repository::read(&snapshot.get().files, environment);
    let sources = Sources::of(&repository, node, service).ok_or_else(|| {
        let known = repository.services.keys().cloned().collect();
        ExplainError::NoService { service: service.clone(), known }
    })?;
    let known = keys(&sources);
    let asked: Vec<&Key> = known.iter().filter(|known| known.is_within(key)).collect();
    if asked.is_empty() {
        let near = near(key, &known);
        return Err(ExplainError::Unset { service: service.clone(), key: key.to_owned(), near });
    }
    if asked.len() > KEYS_MAX {
        return Err(ExplainError::TooMany { key: key.to_owned(), n_keys: asked.len() });
    }
    let mut told: Vec<Explanation> = Vec::new();
    for key in asked {
        let explanation = sources.explain(key);
        let written = explanation.candidates.iter().filter(|c| c.standing == Standing::Wins);
        let used: Vec<Key> = written.flat_map(|c| value::variables(&c.written, key)).collect();
        told.push(explanation);
        let used = used.iter().filter(|used| known.contains(used));
        told.extend(used.map(|used| sources.explain(used)));
    }
    let mut seen = BTreeSet::new();
    told.retain(|explanation| seen.insert(explanation.key.clone()));
    Ok(told)
}

/// Keys that are like `key`, the likest first.
fn near(key: &str, known: &[Key]) -> Vec<String> {
    let mut near: Vec<(f64, String)> = known
        .iter()
        .map(|known| (strsim::jaro_winkler(key, &known.to_string()), known.to_string()))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(NEAR_MAX).map(|(_, key)| key).collect()
}

/// A candidate before it is known what comes of it.
fn candidate(repository: &Repository<'_>, at: Place, written: String) -> Candidate {
    Candidate {
        file: repository.files.path(at).to_owned(),
        span: at.start as usize..at.end as usize,
        written,
        standing: Standing::Overridden,
    }
}
