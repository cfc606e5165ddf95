//! A registry of OCI's distribution specification 1.1 in front of one of 2.8.2: it lists what is about
//! an image from the manifests that are really stored, page by page, and says so when it stores one.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate::model::Digest;

use crate::copy::INDEX;
use crate::registry::hub::TestHub;
use crate::support::front::{Act, Front};

/// Entries of a page: few, so that every list has pages.
const PAGE_ENTRIES: usize = 1;

/// A front before `hub` that lists referrers. What is stored through it is found in `hub`, or in
/// `other` while it is on its way.
pub(crate) fn listing(hub: &TestHub, other: &TestHub) -> Front {
    let [stored, coming] = [hub, other].map(|hub| hub.dir.path().join("data/docker/registry/v2"));
    Front::new(&hub.authority, move |_, head| {
        let line = head.lines().next().unwrap_or_default();
        let url = line.split(' ').nth(1).unwrap_or_default();
        let path = url.split('?').next().unwrap_or_default();
        if let Some((repository, subject)) = parts(path, "referrers") {
            return page(&stored, (&repository, &subject), path, url);
        }
        let put = parts(path, "manifests").filter(|_| line.starts_with("PUT "));
        let about = put.and_then(|(_, digest)| subject_of(&manifest(&coming, &digest)?));
        about.map_or(Act::Pass, |subject| Act::Adding(format!("OCI-Subject: {subject}")))
    })
}

/// `/v2/web/referrers/sha256:…` → `web`, `sha256:…`.
fn parts(path: &str, kind: &str) -> Option<(String, String)> {
    let (repository, name) = path.strip_prefix("/v2/")?.split_once(&format!("/{kind}/"))?;
    Some((repository.to_owned(), name.to_owned()))
}

fn manifest(store: &Path, digest: &str) -> Option<Vec<u8>> {
    let hex = digest.strip_prefix("sha256:")?;
    std::fs::read(store.join("blobs/sha256").join(&hex[..2]).join(hex).join("data")).ok()
}

fn subject_of(manifest: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(manifest).ok()?;
    Some(json["subject"]["digest"].as_str()?.to_owned())
}

/// The revisions of a repository, in the order of their digests.
fn revisions(store: &Path, repository: &str) -> Vec<PathBuf> {
    let folder = store.join("repositories").join(repository).join("_manifests/revisions/sha256");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn page(store: &Path, (repository, subject): (&str, &str), path: &str, url: &str) -> Act {
    let mut entries = Vec::new();
    for revision in revisions(store, repository) {
        let digest = format!("sha256:{}", revision.file_name().unwrap().to_str().unwrap());
        let Some(bytes) = manifest(store, &digest) else { continue };
        if subject_of(&bytes).as_deref() == Some(subject) {
            let json: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(Digest::of(&bytes).to_string(), digest);
            entries.push(json!({ "mediaType": json["mediaType"], "digest": digest,
                "size": bytes.len(), "artifactType": json["artifactType"] }));
        }
    }
    let from = url.split_once("?from=").map_or(0, |(_, from)| from.parse().unwrap());
    let rest: &[Value] = entries.get(from..).unwrap_or_default();
    let shown = &rest[..rest.len().min(PAGE_ENTRIES)];
    let body = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": shown });
    let next = from + PAGE_ENTRIES;
    let link = format!("Link: <{path}?from={next}>; rel=\"next\"\r\n");
    let link = if rest.len() > PAGE_ENTRIES { link } else { String::new() };
    let headers = format!("Content-Type: {INDEX}\r\n{link}");
    Act::say("200 OK", &headers, &body.to_string())
}
