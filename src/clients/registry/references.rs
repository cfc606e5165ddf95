//! What a document points at, whatever kind it is: what must be there before it. Pure.

use serde::Deserialize;

use crate::clients::registry::manifest::{is_index_type, is_manifest_type};
use crate::clients::registry::{Descriptor, Document};

/// Layers that lie elsewhere by their maker's licence; no registry is obliged to hold them.
const FOREIGN: [&str; 2] = [".foreign.", ".nondistributable."];
/// Manifests of artifacts before OCI 1.1: blobs and a subject.
const ARTIFACT_TYPE: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// The first form of Docker's manifests, signed within themselves.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// What a document points at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// Blobs: configuration and layers.
    pub blobs: Vec<Descriptor>,
    /// Manifests and indexes.
    pub manifests: Vec<Descriptor>,
    /// What it is about: it is a signature, an attestation, an SBOM of that.
    pub subject: Option<Descriptor>,
}

// A document may carry any further field (annotations, …), so unknown ones are allowed.
#[derive(Deserialize)]
struct Raw {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    blobs: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    subject: Option<Descriptor>,
}

impl References {
    /// Reads what `document` points at; the error says why it cannot be copied.
    ///
    /// # Errors
    /// When it is of a kind that names no content, or is damaged.
    pub fn of(document: &Document) -> Result<Self, String> {
        let kind = document.media_type.as_str();
        if kind.starts_with(SCHEMA_1) {
            return Err("its manifest is of Docker's schema 1: push the image again".to_owned());
        }
        let known = is_index_type(kind) || is_manifest_type(kind) || kind == ARTIFACT_TYPE;
        if !known {
            return Err(format!("`{kind}` is not an image manifest or index"));
        }
        let raw: Raw = serde_json::from_slice(&document.bytes)
            .map_err(|error| format!("the manifest is not readable: {error}"))?;
        let blobs = raw.config.into_iter().chain(raw.layers).chain(raw.blobs);
        let (manifests, others): (Vec<_>, Vec<_>) =
            raw.manifests.into_iter().partition(|entry| is_document_type(&entry.media_type));
        // An index of a build cache names layers.
        let blobs = blobs.chain(others).filter(|blob| !is_foreign(&blob.media_type)).collect();
        Ok(Self { blobs, manifests, subject: raw.subject })
    }
}

fn is_document_type(media_type: &str) -> bool {
    is_index_type(media_type) || is_manifest_type(media_type) || media_type == ARTIFACT_TYPE
}

fn is_foreign(media_type: &str) -> bool {
    FOREIGN.iter().any(|part| media_type.contains(part))
}

#[cfg(test)]
mod tests {
    use crate::clients::registry::{Document, References};
    use crate::model::Digest;

    fn document(media_type: &str, json: &serde_json::Value) -> Document {
        let bytes = serde_json::to_vec(json).unwrap();
        Document { media_type: media_type.to_owned(), digest: Digest::of(&bytes), bytes }
    }

    fn entry(media_type: &str, content: &str) -> serde_json::Value {
        serde_json::json!({ "mediaType": media_type, "size": content.len(),
            "digest": Digest::of(content.as_bytes()), "annotations": { "a": "b" } })
    }

    #[test]
    fn every_kind_of_document_says_what_must_be_there_before_it() {
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        let manifest = "application/vnd.oci.image.manifest.v1+json";
        let index = "application/vnd.oci.image.index.v1+json";
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let image = serde_json::json!({ "config": entry("application/json", "c"),
            "layers": [entry(layer, "1"), entry(foreign, "2")], "subject": entry(manifest, "s") });
        let found = References::of(&document(manifest, &image)).unwrap();
        assert_eq!((found.blobs.len(), found.manifests.len()), (2, 0));
        assert_eq!(found.subject.unwrap().digest, Digest::of(b"s"));
        // A build cache's index names layers beside manifests.
        let cache = serde_json::json!({ "manifests": [entry(layer, "1"), entry(manifest, "2")] });
        let found = References::of(&document(index, &cache)).unwrap();
        assert_eq!((found.blobs.len(), found.manifests.len()), (1, 1));
        let artifact = "application/vnd.oci.artifact.manifest.v1+json";
        let sbom = serde_json::json!({ "blobs": [entry("text/spdx", "1")] });
        assert_eq!(References::of(&document(artifact, &sbom)).unwrap().blobs.len(), 1);
    }

    #[test]
    fn what_cannot_be_copied_whole_is_refused_by_name() {
        let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        for (kind, wanted) in [(schema_1, "schema 1"), ("text/html", "not an image")] {
            let error = References::of(&document(kind, &serde_json::json!({}))).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
