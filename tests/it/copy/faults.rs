//! Registries that break off, refuse, lie or ask for what they must not get.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tidegate::clients::registry::{RegistryErrorKind, RegistryOptions, RegistryWrite as _};
use tidegate::hub::copy::{CopyRequest, CopySettings, survey};

use crate::copy::{
    Copied, MANIFEST, assert_whole, client, document, noise, path, push_image, push_index, request,
    run, run_well, wanted,
};
use crate::registry::hub::{TestHub, free_port, plain};
use crate::support::front::{Act, Front};

/// Copies one image of one layer through these fronts.
async fn through(
    n_bytes: usize,
    source: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    target: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
) -> (Copied, Front, Front, TestHub, tidegate::hub::copy::WantedImage) {
    let (dev, tst) = (plain(), plain());
    let web = push_image(&client(&dev.authority), "web", &[noise(1, n_bytes)]).await;
    let image = wanted("web", &web);
    let fronts = (Front::new(&dev.authority, source), Front::new(&tst.authority, target));
    let (from, to) = (client(&fronts.0.authority), client(&fronts.1.authority));
    let request = request(std::slice::from_ref(&image));
    let copied = run(&from, &to, &request, &CopySettings::default()).await;
    if copied.report.failed.is_empty() {
        assert_whole(&client(&tst.authority), &image).await;
    }
    (copied, fronts.0, fronts.1, tst, image)
}

fn pass(_: usize, _: &str) -> Act {
    Act::Pass
}

/// The layer's request, not the configuration's.
fn is_layer(head: &str) -> bool {
    let layer = tidegate::model::Digest::of(&noise(1, 400_000)).to_string();
    head.starts_with("GET") && head.contains(&layer)
}

#[tokio::test]
async fn a_source_that_breaks_off_is_read_on_from_there() {
    let n = AtomicUsize::new(0);
    let source = move |_, head: &str| {
        let breaks = is_layer(head) && n.fetch_add(1, Ordering::Relaxed) == 0;
        if breaks { Act::Cut(150_000) } else { Act::Pass }
    };
    let (copied, front, target, ..) = through(400_000, source, pass).await;
    assert!(copied.report.failed.is_empty(), "{:?}", copied.report.failed);
    let reads: Vec<_> = front.seen("/blobs/").into_iter().filter(|head| is_layer(head)).collect();
    assert_eq!(reads.len(), 2);
    assert!(reads[1].contains("range: bytes=150000-"), "{}", reads[1]);
    // The target did not notice.
    assert_eq!(target.seen("POST").len(), 2);
}

#[tokio::test]
async fn a_source_that_ignores_range_is_read_on_all_the_same() {
    let n = AtomicUsize::new(0);
    let source = move |_, head: &str| match is_layer(head) {
        true if n.fetch_add(1, Ordering::Relaxed) == 0 => Act::Cut(150_000),
        true => Act::Without("range"),
        false => Act::Pass,
    };
    let (copied, ..) = through(400_000, source, pass).await;
    assert!(copied.report.failed.is_empty(), "{:?}", copied.report.failed);
}

#[tokio::test]
async fn a_target_that_breaks_off_gets_the_blob_again() {
    let n = AtomicUsize::new(0);
    let target = move |_, head: &str| {
        let is_data = head.starts_with("PUT") && head.contains("content-length: 400000");
        let breaks = is_data && n.fetch_add(1, Ordering::Relaxed) == 0;
        if breaks { Act::CutRequest(100_000) } else { Act::Pass }
    };
    let (copied, ..) = through(400_000, pass, target).await;
    assert!(copied.report.failed.is_empty(), "{:?}", copied.report.failed);
    assert_eq!(copied.n_retries(), 1);
}

#[tokio::test]
async fn a_large_blob_goes_on_from_the_last_acknowledged_part() {
    let n = AtomicUsize::new(0);
    let target = move |_, head: &str| {
        let breaks = head.starts_with("PATCH") && n.fetch_add(1, Ordering::Relaxed) == 1;
        if breaks { Act::Drop } else { Act::Pass }
    };
    let (copied, source, front, ..) = through(70 << 20, pass, target).await;
    assert!(copied.report.failed.is_empty(), "{:?}", copied.report.failed);
    assert_eq!(copied.n_retries(), 1);
    let part = 32 << 20;
    let resumed = source.seen(&format!("range: bytes={part}-"));
    assert_eq!(resumed.len(), 1, "the source is read on from the first part's end");
    assert!(front.seen("PATCH").len() <= 4);
}

#[tokio::test]
async fn a_large_blob_whose_session_the_registry_gives_up_begins_anew() {
    let n = AtomicUsize::new(0);
    // Distribution does not go on after a part that broke off in its middle.
    let target = move |_, head: &str| {
        let breaks = head.starts_with("PATCH") && n.fetch_add(1, Ordering::Relaxed) == 1;
        if breaks { Act::CutRequest(20 << 20) } else { Act::Pass }
    };
    let (copied, ..) = through(70 << 20, pass, target).await;
    assert!(copied.report.failed.is_empty(), "{:?}", copied.report.failed);
}

#[tokio::test]
async fn one_request_in_a_hundred_may_be_refused_as_too_many() {
    let (dev, tst) = (plain(), plain());
    let busy = |number: usize, _: &str| match number % 100 {
        17 => Act::say("503 Service Unavailable", "", ""),
        63 => Act::say("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        _ => Act::Pass,
    };
    let fronts = (Front::new(&dev.authority, busy), Front::new(&tst.authority, busy));
    let index = push_index(&client(&dev.authority), "web", (8, 6, 20_000)).await;
    let image = wanted("web", &index);
    let (source, target) = (client(&fronts.0.authority), client(&fronts.1.authority));
    run_well(&source, &target, std::slice::from_ref(&image)).await;
    assert_whole(&client(&tst.authority), &image).await;
    assert!(fronts.0.seen("").len() + fronts.1.seen("").len() > 200);
}

#[tokio::test]
async fn hubs_that_are_busy_all_the_time_do_not_wait_for_each_other() {
    let (dev, tst) = (plain(), plain());
    let busy = |number: usize, _: &str| match number % 5 {
        0 => Act::say("503 Service Unavailable", "Retry-After: 0\r\n", ""),
        _ => Act::Pass,
    };
    let fronts = (Front::new(&dev.authority, busy), Front::new(&tst.authority, busy));
    let index = push_index(&client(&dev.authority), "web", (4, 5, 1 << 20)).await;
    let image = wanted("web", &index);
    let (source, target) = (client(&fronts.0.authority), client(&fronts.1.authority));
    run_well(&source, &target, std::slice::from_ref(&image)).await;
    assert_whole(&client(&tst.authority), &image).await;
}

#[tokio::test]
async fn a_mount_that_opens_a_session_is_gone_on_with() {
    let (dev, tst) = (plain(), plain());
    let front = Front::new(&tst.authority, |_, _| Act::Pass);
    let web = push_image(&client(&dev.authority), "web", &[noise(1, 1000)]).await;
    // The sibling has nothing: distribution answers 202 and opens a session.
    let asked = CopyRequest { siblings: vec![path("base")], ..request(&[wanted("web", &web)]) };
    let (source, target) = (client(&dev.authority), client(&front.authority));
    run(&source, &target, &asked, &CopySettings::default()).await;
    assert_whole(&client(&tst.authority), &wanted("web", &web)).await;
    let posts = front.seen("POST");
    assert_eq!(posts.len(), 2, "one session a blob");
    assert!(posts.iter().all(|head| head.contains("mount=") && head.contains("from=base")));
}

#[tokio::test]
async fn other_bytes_for_a_digest_are_never_stored() {
    let other = |_: usize, head: &str| {
        if is_layer(head) { Act::say("200 OK", "", &"x".repeat(400_000)) } else { Act::Pass }
    };
    let (copied, _, target, tst, image) = through(400_000, other, pass).await;
    let error = copied.report.failed.get(&image).unwrap();
    assert_eq!(error.kind, RegistryErrorKind::Malformed, "{error}");
    assert!(error.to_string().contains("other bytes"), "{error}");
    assert!(target.seen("PUT /v2/web/manifests").is_empty(), "no root without its blobs");
    drop(tst);
}

/// Nothing is left to send: no last bytes wait until all is checked.
#[tokio::test]
async fn a_target_that_has_every_byte_keeps_none_before_they_are_checked() {
    let (dev, tst) = (plain(), plain());
    let (source, front) = (client(&dev.authority), Front::new(&tst.authority, pass));
    let digest = source.push_blob(&path("web"), b"abc".to_vec()).await.unwrap();
    let config = source.push_blob(&path("web"), b"{}".to_vec()).await.unwrap();
    let manifest = document(
        MANIFEST,
        &json!({ "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/example", "digest": config, "size": 2 },
            "layers": [{ "mediaType": "application/example", "digest": digest, "size": 0 }] }),
    );
    source.push_manifest(&path("web"), &manifest, None).await.unwrap();
    let image = wanted("web", &manifest);
    let request = request(std::slice::from_ref(&image));
    let target = client(&front.authority);
    let copied = run(&source, &target, &request, &CopySettings::default()).await;
    let error = copied.report.failed.get(&image).unwrap();
    assert_eq!(error.kind, RegistryErrorKind::Malformed, "{error}");
    let finished = front.seen("PUT /v2/web/blobs/uploads/");
    assert!(finished.iter().all(|head| !head.contains(&digest.hex())), "{finished:?}");
    // One that is empty for good is copied as any other.
    let empty = push_image(&source, "web", &[Vec::new()]).await;
    run_well(&source, &target, &[wanted("web", &empty)]).await;
    assert_whole(&target, &wanted("web", &empty)).await;
}

#[tokio::test]
async fn a_blob_longer_or_shorter_than_its_size_is_refused() {
    for (case, n_bytes) in [("longer", 400_001), ("shorter", 399_999)] {
        let lies = move |_: usize, head: &str| {
            if is_layer(head) { Act::say("200 OK", "", &"x".repeat(n_bytes)) } else { Act::Pass }
        };
        let (copied, _, _, _, image) = through(400_000, lies, pass).await;
        assert!(copied.report.failed.contains_key(&image), "{case}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_foreign_host_gets_no_credentials_and_its_bytes_are_checked() {
    let foreign = Front::new("127.0.0.1:1", |_, _| Act::say("200 OK", "", &to_text(&layer())));
    let to = foreign.authority.clone();
    let (dev, tst) = (plain(), plain());
    let web = push_image(&client(&dev.authority), "web", &[layer()]).await;
    let digest = tidegate::model::Digest::of(&layer()).to_string();
    let front = Front::new(&dev.authority, move |_, head| {
        match (head.starts_with("GET") && head.contains(&digest), head.contains("authorization:")) {
            (_, false) => {
                let ask = "WWW-Authenticate: Basic realm=\"hub\"\r\n";
                Act::say("401 Unauthorized", ask, "")
            }
            (true, true) => {
                let location = format!("Location: http://{to}/blob\r\n");
                Act::say("307 Temporary Redirect", &location, "")
            }
            (false, true) => Act::Pass,
        }
    });
    let options = RegistryOptions {
        auth: Some(tidegate::clients::docker::RegistryAuth::password(
            &front.authority,
            "alice",
            "s3cr3t",
        )),
        ..crate::support::images::open()
    };
    let hub = front.authority.parse().unwrap();
    let source = tidegate::clients::registry::RegistryClient::new(&hub, options).unwrap();
    let target = client(&tst.authority);
    run_well(&source, &target, &[wanted("web", &web)]).await;
    let seen = foreign.seen("");
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].to_lowercase().contains("authorization"), "{}", seen[0]);
}

/// A layer that is text, which a front can answer with.
fn layer() -> Vec<u8> {
    b"layer ".repeat(1000)
}

fn to_text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_upload_session_on_a_foreign_host_gets_nothing() {
    let target = |_: usize, head: &str| {
        let foreign = "Location: http://localhost:1/x\r\n";
        if head.starts_with("POST") { Act::say("202 Accepted", foreign, "") } else { Act::Pass }
    };
    let (copied, _, _, _, image) = through(1000, pass, target).await;
    let error = copied.report.failed.get(&image).unwrap();
    assert_eq!(error.kind, RegistryErrorKind::ForeignRealm, "{error}");
}

#[tokio::test]
async fn a_source_that_hangs_is_left_in_the_end() {
    let hangs = |_: usize, head: &str| if is_layer(head) { Act::Hang } else { Act::Pass };
    let (dev, tst) = (plain(), plain());
    let web = push_image(&client(&dev.authority), "web", &[noise(1, 400_000)]).await;
    let front = Front::new(&dev.authority, hangs);
    let (source, target) = (client(&front.authority), client(&tst.authority));
    let image = wanted("web", &web);
    let asked = request(std::slice::from_ref(&image));
    let settings = CopySettings::default();
    let copying = run(&source, &target, &asked, &settings);
    // From then on time jumps, whenever nothing but deadlines is waited for.
    let hurry = async {
        while !front.seen("GET").iter().any(|head| is_layer(head)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        tokio::time::pause();
        std::future::pending::<()>().await;
    };
    let copied = tokio::select! { copied = copying => copied, () = hurry => return };
    let error = copied.report.failed.get(&image).unwrap();
    assert_eq!(error.kind, RegistryErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn a_target_that_is_gone_is_an_error_of_the_survey() {
    let dev = plain();
    let web = push_image(&client(&dev.authority), "web", &[noise(1, 1000)]).await;
    let gone = client(&format!("127.0.0.1:{}", free_port()));
    let asked = request(&[wanted("web", &web)]);
    let error = survey(&client(&dev.authority), &gone, &asked).await.unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn a_target_that_refuses_writing_fails_every_image_with_its_reason() {
    let target = |_: usize, head: &str| {
        let words = r#"{"errors":[{"code":"DENIED","message":"read only"}]}"#;
        if head.starts_with("POST") { Act::say("403 Forbidden", "", words) } else { Act::Pass }
    };
    let (copied, _, front, _, image) = through(1000, pass, target).await;
    let error = copied.report.failed.get(&image).unwrap();
    assert_eq!(error.kind, RegistryErrorKind::Unauthorized, "{error}");
    assert!(error.to_string().contains("read only"), "{error}");
    assert!(front.seen("PUT").is_empty());
}
