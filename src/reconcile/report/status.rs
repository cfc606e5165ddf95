//! What a node says about itself: `status.json`, `tidegate.status/1`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{CommitId, EnvironmentName, Mode, NodeName, ServiceName};
use crate::reconcile::plan::HeldReason;

/// Name and version of the document.
pub const SCHEMA: &str = "tidegate.status/1";

/// Everything a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: String,
    /// The node.
    pub node: NodeName,
    /// Its environment.
    pub environment: EnvironmentName,
    /// What is demanded of commits here.
    pub trust: TrustLevel,
    /// Environment's and node's mode.
    pub mode: Mode,
    /// When anything below last changed.
    pub changed_at: Timestamp,
    /// Which revisions count.
    pub revision: Revisions,
    /// The commit that is not believed, if the tip is not.
    pub refused: Option<RefusedCommit>,
    /// The good commit that waits, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitingCommit>,
    /// Git, if it cannot be reached.
    pub git: Option<Outage>,
    /// The engine, if it cannot be reached.
    pub engine: Option<Outage>,
    /// Metrics, if they are not where the node's configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Outage>,
    /// The node's own configuration, if it was changed to what is not in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Outage>,
    /// The newest revision, if it cannot be used.
    pub configuration: Option<ConfigurationFault>,
    /// Every service that runs or should run here.
    pub services: BTreeMap<ServiceName, ServiceStatus>,
    /// What the last check found, where rules were checked; added when the status is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<ComplianceStatus>,
}

/// What the last check of the rules found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComplianceStatus {
    /// What the rules are of, `prd@sha1:ab12cd3`.
    pub revision: String,
    /// When it was checked.
    pub checked_at: Timestamp,
    /// Whether it was due again since, and nothing came of it.
    pub is_stale: bool,
    /// Of all rules.
    pub score: RuleCount,
    /// By service.
    pub services: BTreeMap<String, RuleCount>,
    /// By ruleset.
    pub rulesets: BTreeMap<String, RuleCount>,
    /// What does not hold or is not known, the worst first, at most 20.
    pub troubles: Vec<String>,
}

/// How many rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCount {
    /// Rules that hold.
    pub ok: usize,
    /// Rules that do not, or of which it is not known.
    pub trouble: usize,
    /// Rules that do not apply.
    pub not_applicable: usize,
}

impl Status {
    /// Whether both say the same, whenever they say it.
    pub fn says_the_same(&self, other: &Self) -> bool {
        *self == Self { changed_at: self.changed_at, ..other.clone() }
    }

    /// Whether it is known what should run: a commit was believed once, or, where nothing is
    /// demanded, the source was read.
    pub fn has_revision(&self) -> bool {
        let is_read = self.trust == TrustLevel::None && self.git.is_none();
        self.revision.verified.is_some() || is_read
    }

    /// Whether everything is as the newest tip wants it, as far as Git told.
    pub fn is_in_sync(&self) -> bool {
        self.has_revision()
            && self.refused.is_none()
            && self.configuration.is_none()
            && self.engine.is_none()
            && self.services.values().all(|service| service.sync == Sync::Synced)
    }
}

/// What is demanded of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustLevel {
    /// Signatures and structure.
    Signed,
    /// Nothing: what runs is UNVERIFIED.
    None,
}

/// Which revisions count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revisions {
    /// What the branch points at, believed or not.
    pub tip: Option<CommitId>,
    /// The newest one that is believed.
    pub verified: Option<CommitId>,
    /// The newest one that runs whole: every health gate has passed.
    pub applied: Option<CommitId>,
}

/// A commit that is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedCommit {
    /// Which.
    pub commit: CommitId,
    /// The rule it breaks.
    pub rule: String,
    /// How.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// Since when this node refuses it.
    pub since: Timestamp,
}

/// A good commit that may not count yet; what lies above it waits too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingCommit {
    /// Which.
    pub commit: CommitId,
    /// When it may count by this node's clock.
    pub until: Timestamp,
    /// Why it waits.
    pub reason: String,
}

/// Something outside that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Since when.
    pub since: Timestamp,
    /// What was said last.
    pub reason: String,
}

/// A believed revision that cannot be used; what ran before keeps running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigurationFault {
    /// Which.
    pub commit: Option<CommitId>,
    /// Every mistake, as `file:line:column: what`.
    pub mistakes: Vec<String>,
    /// Since when.
    pub since: Timestamp,
}

/// One service on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStatus {
    /// Whom it belongs to, as far as known.
    pub app: Option<String>,
    /// Whether it is as the newest verified revision wants it.
    pub sync: Sync,
    /// Whether it works.
    pub health: Health,
    /// What to know about both, or empty.
    pub reason: String,
    /// What holds it, if it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldReason>,
    /// Since when both are so.
    pub since: Timestamp,
    /// What was last applied, `prd@sha1:ab12cd3`.
    pub revision: Option<String>,
    /// Its own mode.
    pub mode: Mode,
    /// Its containers, by name within the service.
    pub containers: BTreeMap<String, ContainerStatus>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerStatus {
    /// Repository path of the wanted image.
    pub image: Option<String>,
    /// Its version, for people.
    pub version: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
    /// The engine's word for its state, with health; `missing` if it is not there.
    pub state: String,
}

/// Whether a service is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sync {
    /// As the newest verified revision wants it, health gate passed.
    Synced,
    /// Not so, and being changed or reported.
    OutOfSync,
    /// Not so, and may not be changed now.
    Held,
    /// Nothing can be said: no revision, or no engine.
    Unknown,
}

/// Whether a service works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// All containers run and are healthy.
    Healthy,
    /// Starting, or under a rollout.
    Progressing,
    /// Something crashed or is unhealthy.
    Degraded,
    /// Nothing of it is there.
    Missing,
    /// Set aside.
    Suspended,
    /// The engine does not answer.
    Unknown,
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Synced => "Synced",
            Self::OutOfSync => "OutOfSync",
            Self::Held => "Held",
            Self::Unknown => "Unknown",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Missing => "Missing",
            Self::Suspended => "Suspended",
            Self::Unknown => "Unknown",
        })
    }
}
