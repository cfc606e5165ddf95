//! What verification says: the last good commit, and why nothing newer counts.
//!
//! In: judgements. Out: [`Verdict`], and as JSON [`VerifyDocument`]. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::Verified;
use crate::reconcile::trust::claim::Claim;
use crate::reconcile::trust::explain::Explanation;
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::policy::PersonName;

/// The rule that a commit broke. Stable: scripts match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The anchor or the last verified commit is not on the first-parent chain.
    Chain,
    /// The anchor itself cannot be used.
    Anchor,
    /// Part of the history is missing or damaged.
    History,
    /// The commit object is not as it must be.
    Headers,
    /// The tree holds what it may not.
    Tree,
    /// The commit's own `trust.toml` or `keys/` is not valid.
    Policy,
    /// `repository` in `tidegate.toml` changed.
    Repository,
    /// The kind is unknown, not for this environment, or not known by this version yet.
    Kind,
    /// No signature, or one that does not count.
    Signature,
    /// The signer is not listed, or their role does not cover the kind.
    Signer,
    /// The signer's or an approver's key has expired.
    Expired,
    /// This node's operator revoked the key.
    Revoked,
    /// An approval does not verify.
    Approval,
    /// Too few people.
    Threshold,
    /// Parents or changed paths do not fit the kind.
    Structure,
    /// A trailer that the kind or the policy needs is missing, twice, or not what it must be.
    Trailers,
    /// A promote's or pick's source does not verify on its environment's chain.
    Source,
    /// A source older than, or beside, one that was taken before.
    Order,
    /// The content is not the source's.
    Composition,
    /// A live hotfix would be lost, and is not named.
    Hotfix,
    /// `Rollback-To` is not on the chain.
    Rollback,
}

impl Rule {
    /// Its name as in JSON: `signature`.
    pub fn name(self) -> String {
        let text = serde_json::to_value(self).ok();
        text.as_ref().and_then(serde_json::Value::as_str).unwrap_or("rule").to_owned()
    }
}

/// Why a commit does not count, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The commit.
    pub commit: CommitId,
    /// What it broke.
    pub rule: Rule,
    /// In words, lower case, no full stop.
    pub reason: String,
    /// What mends it.
    pub remedy: String,
}

impl Refusal {
    /// A refusal of `commit`.
    pub fn new(
        commit: CommitId,
        rule: Rule,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { commit, rule, reason: reason.into(), remedy: remedy.into() }
    }
}

/// A commit that is good, but from the future.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The commit.
    pub commit: CommitId,
    /// When it may count by this node's clock.
    pub until: Timestamp,
    /// In words.
    pub reason: String,
}

/// Whether the verified commit was judged now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was: memory may move to it.
    Judged,
    /// It was verified earlier, and cannot be now: what runs stays, nothing newer is adopted, and
    /// memory keeps what it holds.
    Kept,
}

/// Somebody and the key they used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatory {
    /// Who.
    pub person: PersonName,
    /// With what.
    pub key: Key,
}

/// A commit that was judged good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The commit.
    pub commit: CommitId,
    /// Its kind.
    pub kind: CommitKind,
    /// Who signed it.
    pub signer: Signatory,
    /// Who approved it.
    pub approvers: Vec<Signatory>,
    /// Its time (TRUST.md, "Time").
    pub time: Timestamp,
    /// What it claims to do; all of it was checked.
    pub claim: Claim,
    /// Where a promote or pick comes from.
    pub origin: Option<Origin>,
}

/// The chain on which the source of a promote or pick was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The environment below.
    pub environment: EnvironmentName,
    /// Where judging began there.
    pub anchor: CommitId,
    /// The source.
    pub commit: CommitId,
    /// The source's time.
    pub time: Timestamp,
    /// How long a source rests there first.
    pub soak_secs: u64,
}

/// What verification says.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The tip that was offered.
    pub tip: CommitId,
    /// The last good commit; none when not even the anchor is on the tip's chain.
    pub verified: Option<Verified<CommitId>>,
    /// Whether it was judged now.
    pub standing: Standing,
    /// Why the tip, or one of its commits, does not count.
    pub refused: Option<Refusal>,
    /// What has to wait.
    pub waits: Option<Wait>,
    /// A commit that is ahead of the clock: it and what lies above it was not judged.
    pub ahead: Option<Wait>,
    /// Every commit that was judged good now, oldest first, wrapped ones included.
    pub accepted: Vec<Accepted>,
}

impl Verdict {
    /// Whether the tip itself is verified.
    pub fn is_good(&self) -> bool {
        self.refused.is_none() && self.waits.is_none()
    }

    /// The last good commit's id.
    pub fn verified_id(&self) -> Option<CommitId> {
        self.verified.as_ref().map(|id| *id.get())
    }

    /// Accepted commits that `key` signed or approved: what a stolen key could have done.
    pub fn signed_by<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Accepted> {
        self.accepted.iter().filter(move |accepted| {
            accepted.signer.key == *key || accepted.approvers.iter().any(|a| a.key == *key)
        })
    }

    /// The same, with whose key it was taken for.
    pub fn signed_list(&self, key: &Key) -> Vec<Signed> {
        let list = self.signed_by(key).flat_map(|accepted| {
            let Accepted { commit, kind, time, .. } = *accepted;
            let hands = std::iter::once(&accepted.signer).chain(&accepted.approvers);
            hands.enumerate().filter(|(_, who)| who.key == *key).map(move |(at, who)| Signed {
                commit,
                kind,
                time,
                person: who.person.clone(),
                as_signer: at == 0,
            })
        });
        list.collect()
    }

    /// The verdict as `tidegate verify -o json` prints it.
    pub fn document(&self) -> VerifyDocument {
        VerifyDocument {
            schema: "tidegate.verify/1",
            tip: self.tip,
            verified: self.verified_id(),
            refused: self.refused.clone(),
            waits: self.waits.clone(),
            signed_by: None,
            explained: None,
        }
    }
}

/// `tidegate.verify/1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyDocument {
    /// The document's type and version.
    pub schema: &'static str,
    /// The tip that was offered.
    pub tip: CommitId,
    /// The last good commit.
    pub verified: Option<CommitId>,
    /// Why nothing newer counts.
    pub refused: Option<Refusal>,
    /// What has to wait.
    pub waits: Option<Wait>,
    /// With `--signed-by`: what the key signed or approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Vec<Signed>>,
    /// With `--explain`: why the commit is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explanation>,
}

/// A commit that a key signed or approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The commit.
    pub commit: CommitId,
    /// Its kind.
    pub kind: CommitKind,
    /// Its time.
    pub time: Timestamp,
    /// Whose key it was taken for.
    pub person: PersonName,
    /// Whether it signed, rather than approved.
    pub as_signer: bool,
}
