//! Trees of images → what is sent, in which order. Pure.
//!
//! # Guarantees
//! * Each blob is sent once, however many images and repositories need it.
//! * A document comes after everything that it points at; an image's root is its last.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::registry::Document;
use crate::hub::copy::WantedImage;
use crate::model::{Digest, RepositoryPath};

/// Other repositories that are asked for one blob at most: each costs a request.
const CANDIDATES_MAX: usize = 4;

/// Everything that an image consists of, as the source has it.
#[derive(Debug, Clone)]
pub struct ImageTree {
    /// Which image.
    pub image: WantedImage,
    /// Its blobs and their sizes, referrers' included.
    pub blobs: BTreeMap<Digest, u64>,
    /// Its documents: children, then referrers, then the root. Those of one stage do not need each
    /// other.
    pub stages: Vec<Vec<DocumentCopy>>,
}

/// A document to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentCopy {
    /// What is stored, byte for byte.
    pub document: Document,
    /// The name under which it is stored, if not by its digest alone.
    pub tag: Option<String>,
    /// What it lists the referrers of, for hubs that keep no such lists.
    pub list_of: Option<Digest>,
}

/// A blob to be sent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobCopy {
    /// Which.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// Where the source has it, and where it is sent.
    pub repository: RepositoryPath,
    /// Repositories of the target that may hold it, likeliest first: it is mounted from there.
    pub candidates: Vec<RepositoryPath>,
    /// Further repositories that need it: they mount it once it is there.
    pub further: BTreeSet<RepositoryPath>,
    /// Images that wait for it, by their place in the plan.
    pub images: BTreeSet<usize>,
}

/// An image to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCopy {
    /// Which.
    pub image: WantedImage,
    /// All bytes of its blobs, there already or not.
    pub bytes: u64,
    /// Its documents, stage by stage.
    pub stages: Vec<Vec<DocumentCopy>>,
}

/// What is sent, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyPlan {
    /// Images that are not there whole.
    pub images: Vec<ImageCopy>,
    /// Blobs that are not there, largest first.
    pub blobs: Vec<BlobCopy>,
}

impl CopyPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Bytes of the missing blobs, each counted once.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }

    /// The images that are missing or not whole.
    pub fn missing(&self) -> impl Iterator<Item = &WantedImage> {
        self.images.iter().map(|image| &image.image)
    }
}

/// Plans to complete `trees` in a target that already holds `present`; `siblings` are repositories of
/// it that may hold more, likeliest first.
pub fn plan(
    trees: Vec<ImageTree>,
    present: &BTreeSet<(RepositoryPath, Digest)>,
    siblings: &[RepositoryPath],
) -> CopyPlan {
    let mut needed: BTreeMap<Digest, BlobCopy> = BTreeMap::new();
    let mut images = Vec::with_capacity(trees.len());
    for (at, tree) in trees.into_iter().enumerate() {
        let repository = &tree.image.repository;
        for (digest, size) in &tree.blobs {
            if present.contains(&(repository.clone(), *digest)) {
                continue;
            }
            let blob = needed.entry(*digest).or_insert_with(|| BlobCopy {
                digest: *digest,
                size: *size,
                repository: repository.clone(),
                candidates: Vec::new(),
                further: BTreeSet::new(),
                images: BTreeSet::new(),
            });
            if blob.repository != *repository {
                blob.further.insert(repository.clone());
            }
            blob.images.insert(at);
        }
        let bytes = tree.blobs.values().sum();
        images.push(ImageCopy { image: tree.image, bytes, stages: tree.stages });
    }
    let mut blobs: Vec<BlobCopy> = needed.into_values().collect();
    for blob in &mut blobs {
        blob.candidates = candidates(blob, present, siblings);
    }
    blobs.sort_by_key(|blob| (std::cmp::Reverse(blob.size), blob.digest));
    CopyPlan { images, blobs }
}

/// Where the target may have `blob`: first where it certainly has.
fn candidates(
    blob: &BlobCopy,
    present: &BTreeSet<(RepositoryPath, Digest)>,
    siblings: &[RepositoryPath],
) -> Vec<RepositoryPath> {
    let certain = present.iter().filter(|(_, digest)| *digest == blob.digest);
    if let Some((repository, _)) = certain.into_iter().next() {
        return vec![repository.clone()];
    }
    let fit = |name: &&RepositoryPath| **name != blob.repository && !blob.further.contains(*name);
    siblings.iter().filter(fit).take(CANDIDATES_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::hub::copy::{CopyPlan, ImageTree, WantedImage, plan};
    use crate::model::{Digest, RepositoryPath};

    fn path(text: &str) -> RepositoryPath {
        text.parse().unwrap()
    }

    fn blob(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn tree(repository: &str, blobs: &[(&str, u64)]) -> ImageTree {
        ImageTree {
            image: WantedImage { repository: path(repository), digest: blob(repository) },
            blobs: blobs.iter().map(|(name, size)| (blob(name), *size)).collect(),
            stages: Vec::new(),
        }
    }

    fn planned(trees: &[ImageTree], present: &[(&str, &str)], siblings: &[&str]) -> CopyPlan {
        let present = present.iter().map(|(at, name)| (path(at), blob(name))).collect();
        let siblings: Vec<_> = siblings.iter().map(|name| path(name)).collect();
        plan(trees.to_vec(), &present, &siblings)
    }

    #[test]
    fn each_blob_is_sent_once_and_the_largest_first() {
        let trees = [tree("a", &[("base", 9), ("a", 5)]), tree("b", &[("base", 9), ("b", 7)])];
        let plan = planned(&trees, &[], &[]);
        let sent: Vec<_> = plan.blobs.iter().map(|b| (b.size, b.images.len())).collect();
        assert_eq!(sent, [(9, 2), (7, 1), (5, 1)]);
        assert_eq!(plan.blobs[0].further, BTreeSet::from([path("b")]));
        assert_eq!(plan.bytes(), 21);
    }

    #[test]
    fn what_the_target_holds_is_mounted_or_left_alone() {
        let trees = [tree("a", &[("base", 9)]), tree("b", &[("base", 9)])];
        // One of them has it: the other mounts it from there and asks nobody else.
        let plan_b = planned(&trees, &[("a", "base")], &["c"]);
        assert_eq!(plan_b.blobs.len(), 1);
        assert_eq!(plan_b.blobs[0].repository, path("b"));
        assert_eq!(plan_b.blobs[0].candidates, [path("a")]);
        let both = planned(&trees, &[("a", "base"), ("b", "base")], &[]);
        assert!(both.blobs.is_empty() && both.images.len() == 2);
    }

    #[test]
    fn siblings_are_asked_within_a_limit_and_never_the_repository_itself() {
        let siblings = ["s1", "a", "s2", "s3", "s4", "s5"];
        let plan = planned(&[tree("a", &[("x", 1)])], &[], &siblings);
        assert_eq!(plan.blobs[0].candidates, ["s1", "s2", "s3", "s4"].map(path));
    }
}
