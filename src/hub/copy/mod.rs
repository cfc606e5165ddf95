//! Copies images from one hub to another, bit by bit: what is missing, then how, then doing it.
//!
//! In: two hubs, the images that are wanted. Out: a [`Survey`] with its [`CopyPlan`]; then a
//! [`CopyReport`]. Effect: reads both hubs; [`copy`] writes to the target.
//!
//! ```text
//! survey  asks the target what it has, reads from the source what it lacks
//! plan    union of all blobs, each once, largest first                         pure
//! copy    blobs → children → referrers → root with its keep-tag
//! ```
//!
//! # Guarantees
//! * What is stored has the digest that was asked for; documents are never written anew.
//! * An image's root appears in the target after everything that it needs.
//! * An image that is there whole costs one request.

mod execute;
mod hash;
mod limit;
mod notes;
mod plan;
mod progress;
mod source;
mod stages;
mod survey;
mod transfer;
pub(crate) mod tree;

pub use execute::copy;
pub use plan::{BlobCopy, CopyPlan, DocumentCopy, ImageCopy, ImageTree, plan};
pub use progress::{BlobEnd, CopyEvent};
pub use survey::survey;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::clients::registry::RegistryError;
use crate::model::{Digest, RepositoryPath};

/// An image that a hub should hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct WantedImage {
    /// Where it lies in the hub.
    pub repository: RepositoryPath,
    /// What is pulled: a manifest, or an index over platforms.
    pub digest: Digest,
}

impl std::fmt::Display for WantedImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

impl WantedImage {
    /// The tag that keeps it from other tools' garbage collection; it is set last of all, so that
    /// it also says that the image is whole: `keep-1a2b3c4d5e6f`.
    pub fn keep_tag(&self) -> String {
        format!("keep-{}", self.digest.short())
    }
}

/// How closely the target is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scrutiny {
    /// An image whose keep-tag is there is whole.
    #[default]
    KeepTag,
    /// All of it is asked for: finds signatures that came later, and what somebody deleted.
    Everything,
}

/// Whether signatures, attestations and SBOMs come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithReferrers {
    /// All that the source holds.
    #[default]
    Yes,
    /// The image alone.
    No,
}

/// What is to be in the target.
#[derive(Debug, Clone, Default)]
pub struct CopyRequest {
    /// The images.
    pub images: BTreeSet<WantedImage>,
    /// Repositories of the target that may hold some of the same blobs, likeliest first.
    pub siblings: Vec<RepositoryPath>,
    /// Whether signatures come along.
    pub referrers: WithReferrers,
    /// How closely the target is looked at.
    pub scrutiny: Scrutiny,
}

/// What the target has and lacks.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// What is there whole.
    pub present: BTreeSet<WantedImage>,
    /// What of the plan is there already, and lacks its keep-tag, or what is about it.
    pub untagged: BTreeSet<WantedImage>,
    /// How to bring what is missing.
    pub plan: CopyPlan,
    /// What the source does not have either, or not whole, and why.
    pub lacking: BTreeMap<WantedImage, RegistryError>,
}

impl Survey {
    /// What has to be copied: the plan without what only gets its names.
    pub fn absent(&self) -> impl Iterator<Item = &WantedImage> {
        self.plan.missing().filter(|image| !self.untagged.contains(*image))
    }
}

/// How a plan is carried out.
#[derive(Debug, Clone, Default)]
pub struct CopySettings {
    /// Bytes a second that are read from the source at most.
    pub bytes_per_sec_max: Option<NonZeroU64>,
    /// Where unfinished uploads are noted, so that a killed copy goes on where it was.
    pub notes: Option<PathBuf>,
    /// Set when nothing more is to be begun: large blobs end with the part that is under way, so that
    /// any registry goes on from there.
    pub stop: Arc<AtomicBool>,
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct CopyReport {
    /// Images that are in the target now.
    pub copied: BTreeSet<WantedImage>,
    /// Images that are not, and why.
    pub failed: BTreeMap<WantedImage, RegistryError>,
    /// Bytes that went through here.
    pub bytes_copied: u64,
    /// Bytes that the target took from its own other repositories.
    pub bytes_mounted: u64,
}
