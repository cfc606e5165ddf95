//! Signatures, attestations and SBOMs: by the API, by the tag schema, by cosign's tags.

use serde_json::{Value, json};
use tidegate::clients::registry::{
    Document, ManifestReference, RegistryClient, RegistryRead as _, RegistryWrite as _,
};
use tidegate::hub::copy::{CopyRequest, CopySettings, Scrutiny};
use tidegate::model::Digest;

use crate::copy::{
    INDEX, MANIFEST, assert_whole, client, descriptor, document, noise, path, push_image, request,
    run, run_well, wanted,
};
use crate::registry::hub::plain;
use crate::support::front::{Act, Front};
use crate::support::listing::listing;

const EMPTY: &[u8] = b"{}";

/// Pushes a manifest whose one layer is `content`, about `subject` if there is one.
async fn push_artifact(
    hub: &RegistryClient,
    content: &str,
    subject: Option<&Document>,
    tag: Option<&str>,
) -> Document {
    let config = hub.push_blob(&path("web"), EMPTY.to_vec()).await.unwrap();
    let layer = hub.push_blob(&path("web"), content.as_bytes().to_vec()).await.unwrap();
    let mut json = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/example",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/example", "digest": layer,
                     "size": content.len(), "annotations": { "signature": content } }],
    });
    if let Some(subject) = subject {
        json["subject"] = descriptor(MANIFEST, subject);
    }
    let artifact = document(MANIFEST, &json);
    hub.push_manifest(&path("web"), &artifact, tag).await.unwrap();
    artifact
}

fn tag_of(document: &Document) -> String {
    format!("sha256-{}", document.digest.hex())
}

fn list(entries: &[&Document]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|d| descriptor(MANIFEST, d)).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

async fn under_tag(hub: &RegistryClient, tag: &str) -> Option<Document> {
    hub.manifest(&path("web"), &ManifestReference::Tag(tag.to_owned())).await.unwrap()
}

async fn has(hub: &RegistryClient, document: &Document) -> bool {
    let reference = ManifestReference::Digest(document.digest);
    let found = hub.manifest(&path("web"), &reference).await.unwrap();
    found.is_some_and(|found| found.bytes == document.bytes)
}

#[tokio::test]
async fn signatures_of_a_signed_image_come_along_with_the_same_digests() {
    let (dev, tst) = (plain(), plain());
    let (source, target) = (client(&dev.authority), client(&tst.authority));
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    // As cosign signs where there is no list of referrers, and attests the signature itself.
    let signature = push_artifact(&source, "sig", None, Some(&(tag_of(&web) + ".sig"))).await;
    let attested = push_artifact(&source, "att", None, Some(&(tag_of(&signature) + ".att"))).await;
    // As newer tools do: a referrer in the index of the tag schema, and a signature of that.
    let sbom = push_artifact(&source, "sbom", Some(&web), None).await;
    let signed = push_artifact(&source, "sbom's", Some(&sbom), None).await;
    for (of, by) in [(&web, &sbom), (&sbom, &signed)] {
        let index = document(INDEX, &list(&[by]));
        source.push_manifest(&path("web"), &index, Some(&tag_of(of))).await.unwrap();
    }
    run_well(&source, &target, &[wanted("web", &web)]).await;
    assert_whole(&target, &wanted("web", &web)).await;
    for document in [&signature, &attested, &sbom, &signed] {
        assert!(has(&target, document).await);
    }
    let tagged = under_tag(&target, &(tag_of(&web) + ".sig")).await.unwrap();
    assert_eq!(tagged.digest, signature.digest);
    let tagged = under_tag(&target, &(tag_of(&signature) + ".att")).await.unwrap();
    assert_eq!(tagged.digest, attested.digest);
    for (of, by) in [(&web, &sbom), (&sbom, &signed)] {
        let index = under_tag(&target, &tag_of(of)).await.unwrap();
        assert_eq!(index, document(INDEX, &list(&[by])));
    }
}

#[tokio::test]
async fn referrers_of_all_pages_of_the_api_come_and_the_target_gets_a_list() {
    let (dev, tst) = (plain(), plain());
    let hub = client(&dev.authority);
    let web = push_image(&hub, "web", &[noise(1, 1000)]).await;
    let first = push_artifact(&hub, "first", Some(&web), None).await;
    let second = push_artifact(&hub, "second", Some(&web), None).await;
    let pages = [list(&[&first]).to_string(), list(&[&second]).to_string()];
    let subject = web.digest.to_string();
    let front = Front::new(&dev.authority, move |_, head| {
        let line = head.lines().next().unwrap_or_default();
        match (line.contains("/referrers/"), line.contains(&subject), line.contains("page=2")) {
            (false, ..) => Act::Pass,
            (true, true, false) => {
                let next = format!("/v2/web/referrers/{subject}?page=2");
                Act::say("200 OK", &format!("Link: <{next}>; rel=\"next\"\r\n"), &pages[0])
            }
            (true, true, true) => Act::say("200 OK", "", &pages[1]),
            (true, false, _) => Act::say("200 OK", "", &list(&[]).to_string()),
        }
    });
    let (source, target) = (client(&front.authority), client(&tst.authority));
    run_well(&source, &target, &[wanted("web", &web)]).await;
    assert!(has(&target, &first).await && has(&target, &second).await);
    let index = under_tag(&target, &tag_of(&web)).await.unwrap();
    let text = String::from_utf8(index.bytes).unwrap();
    assert!(text.contains(&first.digest.to_string()) && text.contains(&second.digest.to_string()));
}

#[tokio::test]
async fn a_target_that_lists_referrers_itself_is_given_no_list() {
    let (dev, tst) = (plain(), plain());
    let source = client(&dev.authority);
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    let sbom = push_artifact(&source, "sbom", Some(&web), None).await;
    let index = document(INDEX, &list(&[&sbom]));
    source.push_manifest(&path("web"), &index, Some(&tag_of(&web))).await.unwrap();
    let front = Front::new(&tst.authority, |_, head| {
        let is_list = head.lines().next().is_some_and(|line| line.contains("/referrers/"));
        if is_list { Act::say("200 OK", "", &list(&[]).to_string()) } else { Act::Pass }
    });
    run_well(&source, &client(&front.authority), &[wanted("web", &web)]).await;
    let target = client(&tst.authority);
    assert!(has(&target, &sbom).await);
    assert!(under_tag(&target, &tag_of(&web)).await.is_none());
}

/// As zot: while it has no such repository, it knows of no list of what is in it.
#[tokio::test]
async fn a_target_that_says_only_when_storing_that_it_lists_referrers_is_given_no_list() {
    let (dev, tst) = (plain(), plain());
    let source = client(&dev.authority);
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    let sbom = push_artifact(&source, "sbom", Some(&web), None).await;
    let index = document(INDEX, &list(&[&sbom]));
    source.push_manifest(&path("web"), &index, Some(&tag_of(&web))).await.unwrap();
    let (about, subject) = (sbom.digest.to_string(), web.digest);
    let front = Front::new(&tst.authority, move |_, head| {
        let line = head.lines().next().unwrap_or_default();
        if line.contains("/referrers/") {
            Act::say("404 Not Found", "", "")
        } else if line.starts_with("PUT") && line.contains(&about) {
            Act::Adding(format!("OCI-Subject: {subject}"))
        } else {
            Act::Pass
        }
    });
    run_well(&source, &client(&front.authority), &[wanted("web", &web)]).await;
    let target = client(&tst.authority);
    assert!(has(&target, &sbom).await);
    assert!(under_tag(&target, &tag_of(&web)).await.is_none());
    assert_whole(&target, &wanted("web", &web)).await;
}

#[tokio::test]
async fn a_signature_that_was_added_in_the_target_stays() {
    let (dev, tst) = (plain(), plain());
    let (source, target) = (client(&dev.authority), client(&tst.authority));
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    let tag = tag_of(&web) + ".sig";
    let ours = push_artifact(&source, "alice", None, Some(&tag)).await;
    let theirs = push_artifact(&target, "bob", None, Some(&tag)).await;
    run_well(&source, &target, &[wanted("web", &web)]).await;
    assert_eq!(under_tag(&target, &tag).await.unwrap().digest, theirs.digest);
    assert!(has(&target, &ours).await, "it came by its digest");
}

#[test]
fn documents_of_these_tests_are_not_as_a_serialiser_writes_them() {
    let text = document(INDEX, &list(&[])).bytes;
    let again = serde_json::to_vec(&serde_json::from_slice::<Value>(&text).unwrap()).unwrap();
    assert_ne!(Digest::of(&text), Digest::of(&again));
}

/// Both sides keep lists of what they really hold, as zot and newer registries do.
#[tokio::test]
async fn between_registries_that_list_referrers_all_come_page_by_page_and_no_list_is_stored() {
    let (dev, tst) = (plain(), plain());
    let fronts = (listing(&dev, &dev), listing(&tst, &dev));
    let (source, target) = (client(&fronts.0.authority), client(&fronts.1.authority));
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    let mut about = Vec::new();
    for name in ["signature", "attestation", "sbom"] {
        about.push(push_artifact(&source, name, Some(&web), None).await);
    }
    // A signature of the SBOM.
    about.push(push_artifact(&source, "sbom's", Some(&about[2]), None).await);
    run_well(&source, &target, &[wanted("web", &web)]).await;
    assert_whole(&target, &wanted("web", &web)).await;
    for document in &about {
        assert!(has(&target, document).await);
    }
    for (subject, n) in [(&web, 3), (&about[2], 1)] {
        let lists = [&source, &target].map(async |hub: &RegistryClient| {
            let listed = hub.referrers(&path("web"), &subject.digest).await.unwrap().unwrap();
            listed.into_iter().map(|referrer| referrer.entry).collect::<Vec<_>>()
        });
        let [theirs, ours] = lists;
        let (theirs, ours) = (theirs.await, ours.await);
        assert_eq!((theirs.len(), &theirs), (n, &ours));
        assert!(under_tag(&target, &tag_of(subject)).await.is_none());
    }
    assert!(fronts.0.seen("/referrers/").iter().any(|head| head.contains("?from=2")));
    // What comes later is found when all is looked at.
    let late = push_artifact(&source, "late", Some(&web), None).await;
    let request = CopyRequest { scrutiny: Scrutiny::Everything, ..request(&[wanted("web", &web)]) };
    let again = run(&source, &target, &request, &CopySettings::default()).await;
    assert!(again.report.failed.is_empty(), "{:?}", again.report.failed);
    assert!(has(&target, &late).await);
}
