//! A commit as reports name it: when, what kind, by whom, from where, why.
//!
//! In: a [`Moment`]. Out: [`Step`]. Pure.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::claim::DECIDING;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::message::Message;
use crate::reconcile::trust::snapshot::ALLOW_REMOVAL;
use crate::reconcile::trust::{CommitKind, Moment, Objects, Origin, Scope, Signatory};

/// Characters of a message's first line that are told.
const SUBJECT_CHARS_MAX: usize = 120;

/// Somebody, and the key they used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// As trust.toml named them then.
    pub person: String,
    /// The key's fingerprint.
    pub key: String,
}

impl From<&Signatory> for Signed {
    fn from(signatory: &Signatory) -> Self {
        Self { person: signatory.person.to_string(), key: signatory.key.fingerprint() }
    }
}

/// Where a commit's content came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The environment below, or for a rollback the same.
    pub environment: EnvironmentName,
    /// The commit.
    pub commit: CommitId,
}

/// A commit that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its id.
    pub commit: CommitId,
    /// Its time (TRUST.md, "Time").
    pub at: Timestamp,
    /// From when it counts: later than `at` where it waited for its soak; none if a later commit
    /// counted before it would have.
    pub counts_from: Option<Timestamp>,
    /// `promote`, `pick`, `hotfix`, `rollback`, `local`, `admin`, `change`, or `anchor`.
    pub kind: String,
    /// Who signed it; nobody was asked for an anchor.
    pub signed_by: Option<Signed>,
    /// Who approved it.
    pub approved_by: Vec<Signed>,
    /// What a promote, a pick or a rollback took its content from.
    pub source: Option<Source>,
    /// What a pick or a rollback covers, if not all that flows.
    pub paths: Vec<String>,
    /// Why a hotfix was made.
    pub reason: Option<String>,
    /// Hotfixes that it replaced knowingly.
    pub supersedes: Vec<CommitId>,
    /// Services whose removal it allowed.
    pub allowed_removal: Vec<String>,
    /// Other trailers: tickets and the like.
    pub trailers: BTreeMap<String, Vec<String>>,
    /// The message's first line.
    pub subject: String,
    /// The merge that landed it.
    pub landed_by: Option<CommitId>,
}

impl Step {
    /// The commit of a moment.
    pub fn of(objects: &impl Objects, environment: &EnvironmentName, moment: &Moment) -> Self {
        let bytes = objects.commit(moment.commit).unwrap_or_default();
        let message = Commit::parse(moment.commit, &bytes).ok().map(|commit| commit.message);
        let text = message.as_ref().map_or("", |message| message.text());
        let mut trailers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut allowed_removal = Vec::new();
        for (key, value) in message.iter().flat_map(Message::trailers) {
            // What decides is told as what it means.
            if key == ALLOW_REMOVAL {
                allowed_removal.push(value.to_owned());
            } else if !DECIDING.contains(&key) {
                trailers.entry(key.to_owned()).or_default().push(value.to_owned());
            }
        }
        let mut step = Self {
            commit: moment.commit,
            at: moment.time,
            counts_from: moment.counts_from,
            kind: "anchor".to_owned(),
            signed_by: None,
            approved_by: Vec::new(),
            source: None,
            paths: Vec::new(),
            reason: None,
            supersedes: Vec::new(),
            allowed_removal,
            trailers,
            subject: text.lines().next().unwrap_or("").chars().take(SUBJECT_CHARS_MAX).collect(),
            landed_by: moment.landed_by,
        };
        step.judged(environment, moment);
        step
    }

    fn judged(&mut self, environment: &EnvironmentName, moment: &Moment) {
        let Some(accepted) = &moment.accepted else { return };
        let claim = &accepted.claim;
        self.kind = accepted.kind.to_string();
        self.signed_by = Some(Signed::from(&accepted.signer));
        self.approved_by = accepted.approvers.iter().map(Signed::from).collect();
        self.source = match (&accepted.origin, claim.source) {
            (Some(Origin { environment, commit, .. }), _) => {
                Some(Source { environment: environment.clone(), commit: *commit })
            }
            (None, Some(commit)) if accepted.kind == CommitKind::Rollback => {
                Some(Source { environment: environment.clone(), commit })
            }
            _ => None,
        };
        if let Scope::Paths(paths) = &claim.scope {
            self.paths.clone_from(paths);
        }
        self.reason.clone_from(&claim.reason);
        self.supersedes.clone_from(&claim.supersedes);
    }

    /// Since when it counts.
    pub fn since(&self) -> Timestamp {
        self.counts_from.unwrap_or(self.at)
    }

    /// Who signed, for people.
    pub fn signer(&self) -> &str {
        self.signed_by.as_ref().map_or("", |signed| signed.person.as_str())
    }

    /// Who approved, for people.
    pub fn approvers(&self) -> String {
        let names: Vec<&str> = self.approved_by.iter().map(|by| by.person.as_str()).collect();
        names.join(", ")
    }

    /// Where it came from, for people: `tst@sha1:ab12cd3`, or a hotfix's reason.
    pub fn came_from(&self) -> String {
        match (&self.source, &self.reason) {
            (Some(source), _) => source.to_string(),
            (None, Some(reason)) => format!("hotfix: {reason}"),
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha1:{}", self.environment, self.commit.short())
    }
}
