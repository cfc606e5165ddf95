//! Copies between registries that do what they should.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tidegate::hub::copy::{CopyRequest, CopySettings, Scrutiny};

use crate::copy::{
    assert_whole, client, noise, path, push_image, push_index, request, run, run_well, wanted,
};
use crate::registry::hub::plain;
use crate::support::front::{Act, Front};

#[tokio::test]
async fn an_index_comes_with_all_platforms_and_the_same_bytes() {
    let (dev, tst) = (plain(), plain());
    let (source, target) = (client(&dev.authority), client(&tst.authority));
    let index = push_index(&source, "app1/web", (3, 2, 50_000)).await;
    let image = wanted("app1/web", &index);
    let copied = run_well(&source, &target, std::slice::from_ref(&image)).await;
    assert_whole(&target, &image).await;
    assert_eq!(copied.report.bytes_copied, copied.survey.plan.bytes());
    assert_eq!(copied.n_retries(), 0);
    let again = run_well(&source, &target, std::slice::from_ref(&image)).await;
    assert!(again.survey.plan.is_empty() && again.survey.present.contains(&image));
}

#[tokio::test]
async fn a_repeat_costs_one_request_and_asks_the_source_nothing() {
    let (dev, tst) = (plain(), plain());
    let before_dev = Front::new(&dev.authority, |_, _| Act::Pass);
    let before_tst = Front::new(&tst.authority, |_, _| Act::Pass);
    let (source, target) = (client(&before_dev.authority), client(&before_tst.authority));
    let index = push_index(&client(&dev.authority), "app1/web", (2, 2, 1000)).await;
    let images = [wanted("app1/web", &index)];
    run_well(&source, &target, &images).await;
    let (n_source, n_target) = (before_dev.seen("").len(), before_tst.seen("").len());
    run_well(&source, &target, &images).await;
    assert_eq!(before_dev.seen("").len() - n_source, 0);
    let heads = before_tst.seen("");
    assert_eq!(heads.len() - n_target, 1);
    assert!(heads.last().unwrap().starts_with("HEAD /v2/app1/web/manifests/keep-"));
}

#[tokio::test]
async fn blobs_of_a_sibling_are_mounted_and_not_read() {
    let (dev, tst) = (plain(), plain());
    let before_dev = Front::new(&dev.authority, |_, _| Act::Pass);
    let (source, target) = (client(&before_dev.authority), client(&tst.authority));
    let dev = client(&dev.authority);
    let layers = [noise(1, 100_000), noise(2, 100_000)];
    let (web, api) =
        (push_image(&dev, "web", &layers).await, push_image(&dev, "api", &layers).await);
    run_well(&source, &target, &[wanted("web", &web)]).await;
    let n_read = before_dev.seen("/blobs/").len();
    let request = CopyRequest {
        siblings: vec![path("nobody/has-this"), path("web")],
        ..request(&[wanted("api", &api)])
    };
    let copied = run(&source, &target, &request, &CopySettings::default()).await;
    assert_whole(&target, &wanted("api", &api)).await;
    assert_eq!(copied.report.bytes_copied, 0, "{:?}", copied.events);
    assert_eq!(before_dev.seen("/blobs/").len(), n_read);
}

#[tokio::test]
async fn blobs_are_asked_to_be_mounted_all_at_once() {
    const N_BLOBS: usize = 28;
    let (dev, tst) = (plain(), plain());
    let (source, hub) = (client(&dev.authority), client(&tst.authority));
    let mut images = Vec::new();
    for name in ["web", "api"] {
        images.push(wanted(name, &push_index(&source, name, (4, 6, 100)).await));
    }
    run_well(&source, &hub, &images[..1]).await;
    // No mount is answered before the last one was asked for.
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    let front = Front::new(&tst.authority, move |_, head| {
        if head.contains("mount=") {
            let (n, changed) = &*asked;
            let mut n = n.lock().unwrap();
            *n += 1;
            changed.notify_all();
            let (_n, waited) =
                changed.wait_timeout_while(n, Duration::from_secs(60), |n| *n < N_BLOBS).unwrap();
            if waited.timed_out() {
                return Act::Drop;
            }
        }
        Act::Pass
    });
    let request = CopyRequest { siblings: vec![path("web")], ..request(&images[1..]) };
    let copied = run(&source, &client(&front.authority), &request, &CopySettings::default()).await;
    assert_eq!(front.seen("mount=").len(), N_BLOBS);
    assert_eq!((copied.report.bytes_copied, copied.n_retries()), (0, 0));
    assert_whole(&hub, &images[1]).await;
}

#[tokio::test]
async fn what_two_images_share_goes_over_the_wire_once() {
    let (dev, tst) = (plain(), plain());
    let before_dev = Front::new(&dev.authority, |_, _| Act::Pass);
    let (source, target) = (client(&before_dev.authority), client(&tst.authority));
    let dev = client(&dev.authority);
    let base = noise(1, 200_000);
    let web = push_image(&dev, "web", &[base.clone(), noise(2, 10)]).await;
    let api = push_image(&dev, "api", &[base.clone(), noise(3, 10)]).await;
    let images = [wanted("web", &web), wanted("api", &api)];
    run_well(&source, &target, &images).await;
    for image in &images {
        assert_whole(&target, image).await;
    }
    let digest = tidegate::model::Digest::of(&base).to_string();
    assert_eq!(before_dev.seen(&digest).len(), 1);
}

#[tokio::test]
async fn a_closer_look_brings_back_what_somebody_deleted() {
    let (dev, tst) = (plain(), plain());
    let (source, target) = (client(&dev.authority), client(&tst.authority));
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    let image = wanted("web", &web);
    run_well(&source, &target, std::slice::from_ref(&image)).await;
    let links = tst.dir.path().join("data/docker/registry/v2/repositories/web/_layers");
    std::fs::remove_dir_all(&links).unwrap();
    let request =
        CopyRequest { scrutiny: Scrutiny::Everything, ..request(std::slice::from_ref(&image)) };
    run(&source, &target, &request, &CopySettings::default()).await;
    assert_whole(&target, &image).await;
}

#[tokio::test]
async fn what_only_the_target_has_is_there_whatever_the_source_says_but_not_for_who_looks_closer() {
    let tst = plain();
    let target = client(&tst.authority);
    let web = push_image(&target, "web", &[noise(1, 1000)]).await;
    let image = wanted("web", &web);
    for answer in ["404 Not Found", "401 Unauthorized", "403 Forbidden", "400 Bad Request"] {
        let front = Front::new(&tst.authority, move |_, _| Act::say(answer, "", ""));
        let source = client(&front.authority);
        let request = request(std::slice::from_ref(&image));
        let once = CopySettings::default();
        let seen = run(&source, &target, &request, &once).await.survey;
        assert!(seen.present.contains(&image) && seen.lacking.is_empty(), "{answer}");
        let closer = CopyRequest { scrutiny: Scrutiny::Everything, ..request };
        let seen = run(&source, &target, &closer, &once).await.survey;
        assert!(!seen.present.contains(&image) && seen.lacking.contains_key(&image), "{answer}");
    }
}

#[tokio::test]
async fn what_the_source_lacks_is_named_and_stops_nothing_else() {
    let (dev, tst) = (plain(), plain());
    let (source, target) = (client(&dev.authority), client(&tst.authority));
    let web = push_image(&source, "web", &[noise(1, 1000)]).await;
    let mut gone = wanted("web", &web);
    gone.repository = path("api");
    let request = request(&[wanted("web", &web), gone.clone()]);
    let copied = run(&source, &target, &request, &CopySettings::default()).await;
    assert!(copied.survey.lacking.contains_key(&gone));
    assert!(copied.report.copied.contains(&wanted("web", &web)));
}
