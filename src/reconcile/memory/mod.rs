//! What a node remembers between passes: little, and rebuilt from Docker and Git if it is lost.
//!
//! In and out: JSON in the state directory, through [`MemoryStore`]. Effect of [`FileMemoryStore`]
//! alone: it reads and writes that file.

mod file;

pub use file::FileMemoryStore;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{CommitId, ContainerName, Digest, Revision, ServiceName, VolumeName};

/// Paths of configs' files that were not as they were written while a container that mounts them ran,
/// by the container's id: it keeps what it was started with, though the file is right again.
pub type Altered = BTreeMap<String, BTreeSet<String>>;

/// Everything remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The last verified tip: the next one must have it on its chain.
    pub verified: Option<CommitId>,
    /// Anchor that `verified` was judged from; another anchor judges all again.
    pub anchor: Option<CommitId>,
    /// Digest of the revoked keys that `verified` was judged with.
    pub revoked_keys: Option<Digest>,
    /// When this node first saw each verified tip of a branch below its own (soak), newest last.
    #[serde(default)]
    pub first_seen: BTreeMap<String, Vec<(CommitId, Timestamp)>>,
    /// By service, those that run here or did until their removal is complete.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, ServiceMemory>,
    /// Images this node pulled, by reference, with when each was last wanted.
    #[serde(default)]
    pub images: BTreeMap<String, Timestamp>,
    /// Containers that ran with configs' files that were not as they were written.
    #[serde(default, skip_serializing_if = "Altered::is_empty")]
    pub altered: Altered,
}

/// What is remembered of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMemory {
    /// What last passed its health gate.
    pub applied: Option<Applied>,
    /// What is not known of that, a memory having been lost.
    #[serde(default)]
    pub lost: Lost,
    /// The version whose rollout has begun and has come to no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// What failed and is not tried again until a commit changes it.
    pub failed: Option<Failed>,
    /// Set aside by this node's operator.
    pub suspended: Option<LocalSuspension>,
    /// Run-once containers that succeeded, with the spec hash they succeeded with.
    #[serde(default)]
    pub once: BTreeMap<ContainerName, Digest>,
    /// What each of those successes rests on; one without counts wherever the node is.
    #[serde(default)]
    pub grounds: BTreeMap<ContainerName, Ground>,
    /// Its removal was held by the brake: it stays held, however few are left, until it is allowed
    /// by name or the service is wanted again.
    #[serde(default)]
    pub braked: bool,
}

impl ServiceMemory {
    /// Whether something was applied here, be it not known what.
    pub fn was_applied(&self) -> bool {
        self.applied.is_some() || self.lost == Lost::Version
    }
}

/// What a lost memory leaves open about what was applied, until a version passes its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// Nothing.
    #[default]
    Nothing,
    /// Whether it passed its gate, which is asked again; nothing is stopped for the answer.
    Gate,
    /// Which version it was: something was applied.
    Version,
}

/// What the success of a run-once container rests on: where that is gone, so is what it did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// The engine's id; it decides only where the service has no volume of its own.
    pub engine: String,
    /// The nonces of the service's own volumes: one that was made anew has another, and no data.
    pub volumes: BTreeMap<VolumeName, String>,
    /// The nonce of the container that succeeded.
    pub container: String,
}

/// A version of a service that passed its health gate here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Where it came from; its files are still in the node's object store.
    pub revision: Revision,
    /// [`crate::reconcile::desired::DesiredService::content_hash`].
    pub content: Digest,
    /// When it passed.
    pub at: Timestamp,
}

/// A version of a service that is being rolled out in the place of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// [`crate::reconcile::desired::DesiredService::content_hash`].
    pub content: Digest,
    /// The nonces of the containers that were there before: others were made for it.
    pub before: BTreeSet<String>,
}

/// A version of a service that failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Where it came from.
    pub revision: Revision,
    /// [`crate::reconcile::desired::DesiredService::whole_hash`].
    pub whole: Digest,
    /// What went wrong, with the container and its last words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// An operator's `suspend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalSuspension {
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when, if it ends by itself.
    pub until: Option<Timestamp>,
}

/// Where the memory lives. Saving is durable: after it returns, a power loss keeps it.
pub trait MemoryStore {
    /// What failed, for people.
    type Error: std::error::Error;
    /// Writes everything, atomically and durably.
    ///
    /// # Errors
    /// When it cannot be made durable; what was stored before is still there.
    fn save(&self, memory: &Memory) -> Result<(), Self::Error>;
}
