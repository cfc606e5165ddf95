//! Copies between real registries, and registries that misbehave.

mod faults;
mod honest;
mod referrers;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate::clients::registry::{
    Document, ManifestReference, RegistryClient, RegistryRead as _, RegistryWrite as _,
};
use tidegate::hub::copy::{
    CopyEvent, CopyReport, CopyRequest, CopySettings, Survey, WantedImage, copy, survey,
};
use tidegate::model::{Digest, Hub, RepositoryPath};

use crate::support::images::open;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub(crate) fn client(authority: &str) -> RegistryClient {
    RegistryClient::new(&authority.parse::<Hub>().unwrap(), open()).unwrap()
}

pub(crate) fn path(text: &str) -> RepositoryPath {
    text.parse().unwrap()
}

/// Bytes that no other seed gives, and that do not compress.
pub(crate) fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}

pub(crate) fn document(media_type: &str, json: &Value) -> Document {
    // Spaces that no serialiser of ours would write: bytes must come through as they are.
    let bytes = format!(" {json}\n").into_bytes();
    Document { media_type: media_type.to_owned(), digest: Digest::of(&bytes), bytes }
}

pub(crate) fn descriptor(media_type: &str, document: &Document) -> Value {
    json!({ "mediaType": media_type, "digest": document.digest, "size": document.bytes.len() })
}

/// Pushes an image of these layers.
pub(crate) async fn push_image(hub: &RegistryClient, at: &str, layers: &[Vec<u8>]) -> Document {
    let mut entries = Vec::new();
    for layer in layers {
        let digest = hub.push_blob(&path(at), layer.clone()).await.unwrap();
        entries.push(json!({ "mediaType": LAYER, "digest": digest, "size": layer.len() }));
    }
    let config = json!({ "os": "linux", "n": entries }).to_string().into_bytes();
    let size = config.len();
    let digest = hub.push_blob(&path(at), config).await.unwrap();
    let manifest = document(
        MANIFEST,
        &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": entries,
            "config": { "mediaType": CONFIG, "digest": digest, "size": size } }),
    );
    hub.push_manifest(&path(at), &manifest, None).await.unwrap();
    manifest
}

/// Pushes an index over so many platforms, each of so many layers of so many bytes.
pub(crate) async fn push_index(
    hub: &RegistryClient,
    at: &str,
    (n_platforms, n_layers, n_bytes): (u64, u64, usize),
) -> Document {
    let mut entries = Vec::new();
    for platform in 0..n_platforms {
        let layers: Vec<_> =
            (0..n_layers).map(|layer| noise(platform * 100 + layer + 1, n_bytes)).collect();
        let image = push_image(hub, at, &layers).await;
        let mut entry = descriptor(MANIFEST, &image);
        entry["platform"] = json!({ "os": "linux", "architecture": format!("p{platform}") });
        entries.push(entry);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let index = document(INDEX, &index);
    hub.push_manifest(&path(at), &index, Some("1.0")).await.unwrap();
    index
}

pub(crate) fn wanted(at: &str, document: &Document) -> WantedImage {
    WantedImage { repository: path(at), digest: document.digest }
}

pub(crate) fn request(images: &[WantedImage]) -> CopyRequest {
    CopyRequest { images: images.iter().cloned().collect(), ..CopyRequest::default() }
}

/// What one whole copy gave.
pub(crate) struct Copied {
    pub(crate) survey: Survey,
    pub(crate) report: CopyReport,
    pub(crate) events: Vec<CopyEvent>,
}

impl Copied {
    pub(crate) fn n_retries(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, CopyEvent::Retry { .. })).count()
    }
}

pub(crate) async fn run(
    source: &RegistryClient,
    target: &RegistryClient,
    request: &CopyRequest,
    settings: &CopySettings,
) -> Copied {
    let survey = survey(source, target, request).await.unwrap();
    let events = RefCell::new(Vec::new());
    let listen = |event: &CopyEvent| events.borrow_mut().push(event.clone());
    let report = copy(source, target, &survey.plan, settings, &listen).await;
    Copied { survey, report, events: events.into_inner() }
}

/// Copies with everything usual, and demands that it works.
pub(crate) async fn run_well(
    source: &RegistryClient,
    target: &RegistryClient,
    images: &[WantedImage],
) -> Copied {
    let copied = run(source, target, &request(images), &CopySettings::default()).await;
    assert!(copied.report.failed.is_empty(), "{:?}", copied.report.failed);
    assert!(copied.survey.lacking.is_empty(), "{:?}", copied.survey.lacking);
    copied
}

/// Demands that a hub holds all of an image, byte for byte.
pub(crate) async fn assert_whole(hub: &RegistryClient, image: &WantedImage) {
    let mut waiting = vec![image.digest];
    let mut seen = BTreeSet::new();
    while let Some(digest) = waiting.pop() {
        let reference = ManifestReference::Digest(digest);
        let found = hub.manifest(&image.repository, &reference).await.unwrap();
        assert!(found.is_some(), "{digest} is missing");
        let found = found.unwrap();
        let json: Value = serde_json::from_slice(&found.bytes).unwrap();
        let entries = |key: &str| json[key].as_array().cloned().unwrap_or_default();
        waiting.extend(entries("manifests").iter().map(digest_of));
        let blobs = entries("layers").into_iter().chain([json["config"].clone()]);
        for blob in blobs.filter(|blob| !blob.is_null()) {
            let (digest, size) = (digest_of(&blob), blob["size"].as_u64().unwrap());
            if !seen.insert(digest) {
                continue;
            }
            let reader = hub.blob(&image.repository, &digest, size, 0).await.unwrap();
            assert!(reader.is_some(), "{digest} is missing");
            let mut reader = reader.unwrap();
            let mut bytes = Vec::new();
            while let Some(piece) = reader.piece().await.unwrap() {
                bytes.extend_from_slice(&piece);
            }
            assert_eq!(Digest::of(&bytes), digest);
        }
    }
    let tag = ManifestReference::Tag(image.keep_tag());
    let kept = hub.manifest_digest(&image.repository, &tag).await.unwrap();
    assert_eq!(kept, Some(image.digest), "the keep-tag");
}

fn digest_of(entry: &Value) -> Digest {
    entry["digest"].as_str().unwrap().parse().unwrap()
}
