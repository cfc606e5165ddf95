//! What a commit's `trust.toml` says, for people; and whether a commit serves as an anchor.
//!
//! In: a commit. Out: [`TrustSummary`], [`Refusal`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::facts::{Facts, FactsReader};
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::kind::Declared;
use crate::reconcile::trust::policy::{PersonName, Role, Threshold};
use crate::reconcile::trust::remedy;
use crate::reconcile::trust::tree::{Mode, Trees};
use crate::reconcile::trust::verdict::{Refusal, Rule};

/// Who may do what from a commit on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrustSummary {
    /// The commit.
    pub commit: CommitId,
    /// Whose branch.
    pub environment: EnvironmentName,
    /// `repository` in `tidegate.toml`.
    pub repository: Option<String>,
    /// Everybody, by name.
    pub people: BTreeMap<PersonName, PersonSummary>,
    /// Roles that somebody holds.
    pub roles: BTreeMap<Role, Threshold>,
    /// Where promotions come from; none: a first environment.
    pub promotion: Option<PromotionSummary>,
}

/// One person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersonSummary {
    /// Fingerprints of their keys.
    pub keys: Vec<String>,
    /// The last day on which they count.
    pub not_after: Option<Date>,
}

/// The section `[promotion]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromotionSummary {
    /// The environment below.
    pub from: EnvironmentName,
    /// Its anchor.
    pub anchor: CommitId,
    /// How long a source rests there first.
    pub soak_secs: u64,
    /// Trailers that must be there.
    pub require: Vec<String>,
}

/// What the trust.toml of `commit` says: the policy that the next commit is judged by.
///
/// # Errors
/// When the commit has no valid one.
pub fn show(
    objects: &impl Objects,
    commit: CommitId,
    environment: &EnvironmentName,
) -> Result<TrustSummary, Refusal> {
    let facts = facts(objects, commit, environment)?;
    let policy = &facts.trust.policy;
    let people = policy.people.iter().map(|(name, person)| {
        let keys = person.keys.iter().map(ToString::to_string).collect();
        (name.clone(), PersonSummary { keys, not_after: person.not_after })
    });
    let promotion = policy.promotion.as_ref().map(|promotion| PromotionSummary {
        from: promotion.from.clone(),
        anchor: promotion.anchor,
        soak_secs: promotion.soak.as_secs(),
        require: promotion.require.clone(),
    });
    Ok(TrustSummary {
        commit,
        environment: environment.clone(),
        repository: facts.repository.ok().flatten().map(|name| name.to_string()),
        people: people.collect(),
        roles: policy.roles.clone(),
        promotion,
    })
}

/// Checks a commit that was made to be an anchor: the trailer, and only its own directory.
///
/// A node asks less of the commit in its configuration (a checkpoint has no such trailer).
///
/// # Errors
/// When it is not one.
pub fn check_anchor(
    objects: &impl Objects,
    commit: CommitId,
    environment: &EnvironmentName,
) -> Result<(), Refusal> {
    let refuse = |reason: String| Refusal::new(commit, Rule::Anchor, reason, remedy::ANCHOR);
    facts(objects, commit, environment)?;
    let bytes = objects.commit(commit).map_err(|error| refuse(error.to_string()))?;
    let parsed = Commit::parse(commit, &bytes).map_err(|error| refuse(error.to_string()))?;
    match parsed.message.kind().map(Declared::parse) {
        Some(Declared::Anchor(named)) if named == *environment => {}
        _ => return Err(refuse(format!("it has no trailer `Tidegate: anchor {environment}`"))),
    }
    let mut trees = Trees::new(objects);
    trees.check(parsed.tree).map_err(|error| refuse(error.to_string()))?;
    let found = trees.find(parsed.tree, "environments").map_err(|e| refuse(e.to_string()))?;
    let names: BTreeSet<Vec<u8>> = match found.filter(|entry| entry.mode == Mode::Directory) {
        Some(entry) => {
            let entries = trees.entries(entry.id).map_err(|error| refuse(error.to_string()))?;
            entries.iter().map(|entry| entry.name.clone()).collect()
        }
        None => BTreeSet::new(),
    };
    if names.iter().any(|name| name != environment.as_str().as_bytes()) {
        return Err(refuse(format!("`environments/` holds more than `{environment}`")));
    }
    Ok(())
}

fn facts(
    objects: &impl Objects,
    commit: CommitId,
    environment: &EnvironmentName,
) -> Result<Facts, Refusal> {
    let refuse = |reason: String| Refusal::new(commit, Rule::Policy, reason, remedy::ANCHOR);
    let header = header(objects, commit).map_err(|error| refuse(error.to_string()))?;
    let trees = Trees::new(objects);
    let facts = FactsReader::new(objects, environment).of(&trees, header.tree);
    facts.map_err(|error| refuse(error.to_string()))
}
