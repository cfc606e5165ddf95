//! `audit provenance`: an image's way through the lines.
//!
//! In: the chains of an environment and of those below it. Out: [`ProvenanceReport`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::audit::chain::{Chain, Head};
use crate::audit::images::{Stay, stay};
use crate::audit::interval::intervals;
use crate::audit::wanted::Image;
use crate::model::EnvironmentName;
use crate::reconcile::trust::{Objects, ReadError};

/// The fewest digits that name an image.
pub const DIGITS_MIN: usize = 10;

/// `tidegate.audit.provenance/1`.
#[derive(Debug, Clone, Serialize)]
pub struct ProvenanceReport {
    /// The document's type and version.
    pub schema: &'static str,
    /// What was asked for.
    pub digest: String,
    /// Every different image that it names; more than one if it was shortened too much.
    pub images: Vec<Image>,
    /// Environments, the first of the line first.
    pub lines: Vec<Line>,
}

/// One environment's part.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What it was made from.
    pub history: Head,
    /// Whether `tip` is not the branch's, but the last commit that was promoted from it.
    pub is_last_source: bool,
    /// Each time that it was wanted, oldest first; empty: never.
    pub stays: Vec<Stay>,
}

/// A chain to look into.
pub struct Looked<'a, O> {
    /// The chain.
    pub chain: Chain<'a, O>,
    /// Whether its tip is not the branch's, but the last commit that was promoted from it.
    pub is_last_source: bool,
}

impl ProvenanceReport {
    /// Whether any environment ever wanted it.
    pub fn is_known(&self) -> bool {
        self.lines.iter().any(|line| !line.stays.is_empty())
    }

    /// Environments whose chain is refused.
    pub fn refused(&self) -> Vec<&EnvironmentName> {
        let refused = self.lines.iter().filter(|line| line.history.refused.is_some());
        refused.map(|line| &line.history.environment).collect()
    }
}

/// The way of the image that `digest` names through `chains`, the first environment first.
///
/// # Errors
/// When a commit's files cannot be read.
pub fn provenance<O: Objects>(
    chains: &[Looked<'_, O>],
    digest: &str,
) -> Result<ProvenanceReport, ReadError> {
    let mut images = BTreeSet::new();
    let mut lines = Vec::new();
    for Looked { chain, is_last_source } in chains {
        let moments = chain.in_force_until(chain.now());
        let found = intervals(chain, moments, &BTreeSet::new())?;
        let mut named: Vec<_> =
            found.all.iter().filter(|interval| interval.wanted.image.is_named(digest)).collect();
        named.sort_by_key(|interval| (interval.first, &interval.wanted));
        images.extend(named.iter().map(|interval| without_version(&interval.wanted.image)));
        let mut steps = BTreeMap::new();
        let stays = named.into_iter().map(|named| stay(chain, moments, named, &mut steps));
        let stays = stays.collect();
        lines.push(Line { history: chain.head(), is_last_source: *is_last_source, stays });
    }
    Ok(ProvenanceReport {
        schema: "tidegate.audit.provenance/1",
        digest: digest.to_owned(),
        images: images.into_iter().collect(),
        lines,
    })
}

/// Versions are for people: two of them do not make two images.
fn without_version(image: &Image) -> Image {
    Image { version: None, ..image.clone() }
}
