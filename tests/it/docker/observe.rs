//! Looking at a real engine: what is ours, what changed, and what hangs. FAULTS 11, 15, 16.

use std::collections::BTreeSet;

use serde_json::json;
use tidegate::clients::docker::{CreateContainer, DockerClient, DockerErrorKind, DockerWrite};
use tidegate::reconcile::desired::container::{ContainerSpec, NetworkAttachment};
use tidegate::reconcile::observed::{Look, ObservedCache, ObservedState, Viewer, observe};

use crate::docker::lab::Lab;
use crate::support::images::{open, push};
use crate::support::socket::Proxy;

fn spec() -> ContainerSpec {
    ContainerSpec { network: NetworkAttachment::None, ..ContainerSpec::default() }
}

async fn look(
    lab: &Lab,
    client: &DockerClient,
    look: Look,
    cache: &mut ObservedCache,
) -> ObservedState {
    let images = BTreeSet::from([lab.rich.reference.to_string()]);
    let viewer = Viewer { key: &lab.key, environment: &lab.environment, images: &images };
    observe(client, viewer, look, cache).await.unwrap()
}

fn names(state: &ObservedState) -> Vec<&str> {
    state.services.values().flatten().map(|c| c.inspect.name.as_str()).collect()
}

#[tokio::test]
async fn an_idle_look_is_one_list_call_and_a_changed_one_inspects_what_changed() {
    let lab = Lab::start().await;
    let proxy = Proxy::start(&lab.engine.socket());
    let client = DockerClient::new(&proxy.socket().display().to_string()).unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let id = lab.create(&lab.body(&lab.desired(&lab.bare, spec()))).await;
        lab.client.start(&id).await.unwrap();
        ids.push(id);
    }
    let mut cache = ObservedCache::default();
    let first = look(&lab, &client, Look::Changes, &mut cache).await;
    assert_eq!(names(&first), ["app1.prd-c0", "app1.prd-c1", "app1.prd-c2", "app1.prd-c3"]);
    assert!(first.images.contains_key(&lab.rich.reference.to_string()));
    assert!(first.networks.contains_key("app1.prd") && first.volumes.contains_key("app1.prd_data"));
    proxy.seen();

    let again = look(&lab, &client, Look::Changes, &mut cache).await;
    let list = format!("GET /v{}/containers/json?all=true HTTP/1.1", lab.info.api_version);
    assert_eq!(proxy.seen(), [list]);
    assert_eq!((names(&again), again.networks.len()), (names(&first), first.networks.len()));

    // By hand: stopped, renamed, removed; an update shows in no list, an event tells of it.
    lab.client.stop(&ids[0], 0).await.unwrap();
    lab.client.rename(&ids[1], "mine").await.unwrap();
    lab.remove(&ids[2]).await;
    lab.client.update(&ids[3], &json!({ "PidsLimit": 7 })).await.unwrap();
    cache.forget(ids[3].as_str());
    let changed = look(&lab, &client, Look::Changes, &mut cache).await;
    assert_eq!(proxy.seen().len(), 6, "one list, three inspects; one is gone: networks, volumes");
    assert_eq!(names(&changed), ["app1.prd-c0", "app1.prd-c3", "mine"]);
    let own = || changed.services.values().flatten();
    let limits: Vec<_> = own().map(|c| &c.inspect.raw["HostConfig"]["PidsLimit"]).collect();
    assert_eq!(limits, [&json!(null), &json!(7), &json!(null)]);

    look(&lab, &client, Look::Everything, &mut cache).await;
    assert!(proxy.seen().len() > 6, "everything is asked again");
    one_inspect_that_hangs_hides_no_other(&lab, &client, &proxy, ids[0].as_str()).await;
}

async fn one_inspect_that_hangs_hides_no_other(
    lab: &Lab,
    client: &DockerClient,
    proxy: &Proxy,
    id: &str,
) {
    proxy.hang(id);
    let state = look(lab, client, Look::Everything, &mut ObservedCache::default()).await;
    assert_eq!(names(&state), ["app1.prd-c3", "mine"]);
    assert_eq!(state.unknown.len(), 1);
    assert_eq!(state.unknown[0].summary.name, "app1.prd-c0");
    assert!(state.unknown[0].reason.contains("no answer within"), "{}", state.unknown[0].reason);
    assert!(!state.foreign.contains_key("app1.prd-c0"), "ours, though unknown");
}

#[tokio::test]
async fn labels_that_claim_ownership_prove_nothing() {
    let lab = Lab::start().await;
    let own = lab.create(&lab.body(&lab.desired(&lab.bare, spec()))).await;
    let labels = lab.inspect(&own).await.labels;
    let mut guessed = labels.clone();
    guessed.insert("io.tidegate.proof".into(), "00".repeat(32));
    for (name, labels) in [("guessed", json!(guessed)), ("copied", json!(labels))] {
        let config = json!({ "Cmd": ["sleep", "600"], "Labels": labels });
        let image = push(&lab.hub, &format!("evil/{name}"), config, open()).await;
        lab.client.pull(&image.reference, None).await.unwrap();
        let body = json!({ "Image": image.reference.to_string() });
        let request = CreateContainer { name: name.into(), body: body.into() };
        lab.client.create_container(&request).await.unwrap();
    }
    let state = look(&lab, &lab.client, Look::Everything, &mut ObservedCache::default()).await;
    assert_eq!(names(&state), ["app1.prd-c0"]);
    let foreign: Vec<&str> = state.foreign.keys().map(String::as_str).collect();
    assert_eq!(foreign, ["copied", "guessed"]);

    let other =
        Viewer { environment: &"tst".parse().unwrap(), key: &lab.key, images: &BTreeSet::new() };
    let mut cache = ObservedCache::default();
    let state = observe(&lab.client, other, Look::Everything, &mut cache).await.unwrap();
    assert!(state.services.is_empty(), "another environment's objects are not ours");
    let image = lab.client.remove_image(&lab.bare.reference.to_string()).await.unwrap_err();
    assert_eq!(image.kind, DockerErrorKind::Conflict, "in use");
}
