//! Documents of an image → the order in which they are stored. Pure.
//!
//! # Guarantees
//! * A document comes after those that it names; referrers after children; the root last, under its
//!   keep-tag.

use std::collections::BTreeMap;

use crate::clients::registry::{Document, Referrer};
use crate::hub::copy::tree::{Documents, Found, Listed, Part, referrers_tag};
use crate::hub::copy::{DocumentCopy, ImageTree, WantedImage};
use crate::model::Digest;

/// An index of the tag schema is an ordinary index.
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// What the target lists about a digest, where it has no API that keeps the list itself.
pub(crate) type TargetLists = BTreeMap<Digest, Vec<Referrer>>;

/// Puts an image's documents in order. `lists` has an entry for each digest whose list the target
/// needs to be given.
pub(crate) fn tree(image: &WantedImage, all: Documents, lists: &TargetLists) -> ImageTree {
    let mut heights = BTreeMap::new();
    for digest in all.found.keys() {
        height(*digest, &all.found, &mut heights);
    }
    let blobs = all.blobs();
    let indexes = lists.iter().filter_map(|(subject, there)| {
        let document = merged(all.referrers.get(subject)?, there)?;
        let tag = Some(referrers_tag(subject));
        Some(DocumentCopy { document, tag, list_of: Some(*subject) })
    });
    let indexes: Vec<DocumentCopy> = indexes.collect();
    let mut stages: BTreeMap<(Part, usize), Vec<DocumentCopy>> = BTreeMap::new();
    let mut root = Vec::new();
    for (digest, found) in all.found {
        let copy = DocumentCopy { document: found.document, tag: found.tag, list_of: None };
        if digest == image.digest {
            root.push(DocumentCopy { tag: Some(image.keep_tag()), ..copy });
        } else {
            let height = heights.get(&digest).copied().unwrap_or_default();
            stages.entry((found.part, height)).or_default().push(copy);
        }
    }
    let stages = stages.into_values().chain([indexes, root]);
    let stages = stages.filter(|stage| !stage.is_empty()).collect();
    ImageTree { image: image.clone(), blobs, stages }
}

/// How many documents stand between this one and a blob. A cycle cannot be: digests are hashes.
fn height(
    digest: Digest,
    found: &BTreeMap<Digest, Found>,
    known: &mut BTreeMap<Digest, usize>,
) -> usize {
    if let Some(height) = known.get(&digest) {
        return *height;
    }
    let children = found.get(&digest).into_iter().flat_map(|f| &f.references.manifests);
    let below = children.map(|child| height(child.digest, found, known) + 1).max();
    let height = below.unwrap_or_default();
    known.insert(digest, height);
    height
}

/// The list that the target needs: what it lists already, and what the source does; nothing if that
/// is no more. The source's own index, byte for byte, unless the target lists something besides.
fn merged(source: &Listed, target: &[Referrer]) -> Option<Document> {
    let lacks = |list: &[Referrer], entry: &Referrer| {
        !list.iter().any(|other| other.descriptor.digest == entry.descriptor.digest)
    };
    let missing: Vec<_> = source.entries.iter().filter(|new| lacks(target, new)).collect();
    if missing.is_empty() {
        return None;
    }
    let adds_nothing = !target.iter().any(|old| lacks(&source.entries, old));
    if let Some(index) = source.index.as_ref().filter(|_| adds_nothing) {
        return Some(index.clone());
    }
    let entries: Vec<_> = target.iter().chain(missing).map(|referrer| &referrer.entry).collect();
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries,
    });
    let bytes = index.to_string().into_bytes();
    Some(Document { media_type: INDEX_TYPE.to_owned(), digest: Digest::of(&bytes), bytes })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::clients::registry::{Descriptor, Document, References, Referrer};
    use crate::hub::copy::WantedImage;
    use crate::hub::copy::stages::{INDEX_TYPE, merged, tree};
    use crate::hub::copy::tree::{Documents, Found, Listed, Part};
    use crate::model::Digest;

    fn descriptor(name: &str) -> Descriptor {
        let digest = Digest::of(name.as_bytes());
        Descriptor { media_type: String::new(), digest, size: 1, platform: None }
    }

    fn found(name: &str, part: Part, children: &[&str]) -> (Digest, Found) {
        let digest = Digest::of(name.as_bytes());
        let document = Document { media_type: String::new(), digest, bytes: Vec::new() };
        let manifests = children.iter().map(|child| descriptor(child)).collect();
        let references = References { manifests, ..References::default() };
        (digest, Found { document, references, part, tag: None })
    }

    fn referrer(name: &str) -> Referrer {
        let descriptor = descriptor(name);
        let entry = serde_json::json!({ "digest": descriptor.digest, "size": 1 });
        Referrer { descriptor, entry }
    }

    #[test]
    fn children_come_before_referrers_and_the_root_last_under_its_keep_tag() {
        let all = [
            found("root", Part::Child, &["inner", "c2"]),
            found("inner", Part::Child, &["c1"]),
            found("c1", Part::Child, &[]),
            found("c2", Part::Child, &[]),
            found("sig", Part::Referrer, &[]),
        ];
        let documents = Documents { found: all.into(), referrers: BTreeMap::new() };
        let image = WantedImage { repository: "a".parse().unwrap(), digest: Digest::of(b"root") };
        let tree = tree(&image, documents, &BTreeMap::new());
        let sizes: Vec<usize> = tree.stages.iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
        let at = |stage: usize| tree.stages[stage][0].document.digest;
        assert_eq!(at(1), Digest::of(b"inner"));
        assert_eq!(at(2), Digest::of(b"sig"));
        assert_eq!(tree.stages[3][0].tag.as_deref(), Some(image.keep_tag().as_str()));
    }

    #[test]
    fn a_list_of_the_target_is_added_to_and_never_cut() {
        let (ours, theirs) = ([referrer("a"), referrer("b")], [referrer("b"), referrer("z")]);
        let index = Document {
            media_type: INDEX_TYPE.to_owned(),
            digest: Digest::of(b"as it is"),
            bytes: b"as it is".to_vec(),
        };
        let ours = Listed { entries: ours.into(), index: Some(index.clone()) };
        let document = merged(&ours, &theirs).unwrap();
        let text = String::from_utf8(document.bytes).unwrap();
        for name in ["a", "b", "z"] {
            let digest = Digest::of(name.as_bytes()).to_string();
            assert_eq!(text.matches(&digest).count(), 1, "{name}");
        }
        assert!(merged(&ours, &ours.entries).is_none());
        for within in [&[][..], &ours.entries[..1]] {
            assert_eq!(merged(&ours, within).as_ref(), Some(&index));
        }
    }
}
