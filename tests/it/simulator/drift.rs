//! What somebody does by hand, and what the next pass makes of it.

use std::time::Duration;

use serde_json::json;
use tidegate::model::Digest;
use tidegate::reconcile::apply::ServiceResult;
use tidegate::reconcile::plan::Reason;
use tokio::time::Instant;

use crate::simulator::engine::{Behaviour, Engine, Phase};
use crate::simulator::world::{GOOD, World, app1, container, service};

fn change(engine: &mut Engine, id: &str, what: &str) {
    let container = engine.containers.get_mut(id).unwrap();
    match what {
        "stop" => container.phase = Phase::Stopped(137),
        "pause" => container.phase = Phase::Paused(Instant::now()),
        "rename" => container.name = "mine".into(),
        "update" => container.body["HostConfig"]["CpuShares"] = json!(512),
        "update restart policy" => {
            container.body["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" });
        }
        "disconnect" => drop(container.networks.remove("app1.prd")),
        "rm" => drop(engine.containers.remove(id)),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_change_by_hand_is_repaired_with_its_field_named_and_nothing_else_touched() {
    for (what, keeps, field) in [
        ("rm", false, "web"),
        ("stop", true, "web.State"),
        ("pause", true, "web.State"),
        ("rename", true, "web.Name"),
        ("update restart policy", true, "web.HostConfig.RestartPolicy.Name"),
        ("update", false, "web.HostConfig.CpuShares"),
        ("disconnect", true, "web.NetworkSettings.Networks.app1.prd"),
    ] {
        let mut world = World::deployed().await;
        let before = world.ids();
        let id = world.id("app1.prd-web");
        world.sim.hand(|engine| change(engine, &id, what));
        world.state.seen.forget(&id);
        let outcome = world.pass().await.unwrap();
        let reasons = &outcome.plan.services[0].reasons;
        assert!(
            reasons.iter().any(|r| matches!(r, Reason::Drift { field: f, .. } if f == field)),
            "{what}: {reasons:?}"
        );
        assert_eq!(outcome.outcomes[0].result, ServiceResult::Repaired, "{what}");
        world.converge(1).await;
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"], "{what}");
        let after = world.ids();
        assert_eq!(after["app1.prd-db"], before["app1.prd-db"], "{what}");
        assert_eq!(after["app1.prd-web"] == before["app1.prd-web"], keeps, "{what}");
        assert_eq!(after.len(), 3, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_vanished_migration_is_no_drift() {
    let mut world = World::deployed().await;
    let id = world.id("app1.prd-migrate");
    world.sim.hand(|engine| change(engine, &id, "rm"));
    let before = world.sim.effects();
    world.converge(1).await;
    assert_eq!(world.sim.effects(), before);
}

#[tokio::test(start_paused = true)]
async fn two_containers_whose_names_were_swapped_get_them_back() {
    let mut world = World::deployed().await;
    let before = world.ids();
    let (web, db) = (world.id("app1.prd-web"), world.id("app1.prd-db"));
    world.sim.hand(|engine| {
        engine.containers.get_mut(&web).unwrap().name = "app1.prd-db".into();
        engine.containers.get_mut(&db).unwrap().name = "app1.prd-web".into();
    });
    world.converge(1).await;
    assert_eq!(world.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_image_labels_claim_ownership_is_never_touched() {
    let mut world = World::deployed().await;
    let proof = {
        let engine = world.sim.engine.borrow();
        let web = engine.containers.values().find(|c| c.name == "app1.prd-web").unwrap();
        web.body["Labels"].clone()
    };
    let mut forged = proof.as_object().unwrap().clone();
    forged.insert("io.tidegate.container".into(), json!("other"));
    let proof_label = forged.remove("io.tidegate.proof").unwrap();
    // Without the proof label the invariants count it as foreign; with a copied one it is judged
    // by the very same rule, because the proof does not fit the changed labels.
    world.foreigner("impostor", &json!(forged));
    let mut copied = forged.clone();
    copied.insert("io.tidegate.proof".into(), proof_label);
    world.foreigner("impostor-2", &json!(copied));
    let before = world.sim.effects();
    world.converge(1).await;
    assert_eq!(world.sim.effects(), before);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_object_in_the_way_is_an_error_and_no_victim() {
    let mut world = World::deployed().await;
    let id = world.id("app1.prd-web");
    world.sim.hand(|engine| change(engine, &id, "rm"));
    world.foreigner("app1.prd-web", &json!({}));
    let before = world.sim.effects();
    let outcome = world.pass().await.unwrap();
    assert_eq!(world.sim.effects(), before);
    insta::assert_snapshot!(outcome.left.to_string(), @"app1 ! held at prd@sha1:0000000: `app1.prd-web` exists and was not made by this node: remove or rename it");
    // Out of the way: it goes on by itself.
    world.sim.hand(|engine| engine.containers.retain(|_, c| c.body["Image"] != "x"));
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[tokio::test(start_paused = true)]
async fn an_applied_container_that_crashes_on_and_on_is_started_ever_more_rarely() {
    let mut world = World::new();
    let mut web = container("web", "web1");
    web.spec.restart = tidegate::reconcile::desired::container::RestartPolicy::No;
    world.commit(vec![service("app1", vec![web])]);
    world.converge(1).await;
    world.sim.hand(|engine| {
        for image in engine.images.values_mut() {
            image.behaviour = Behaviour::Exits(1, 1);
        }
    });
    let from = world.sim.effects();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3600) {
        let outcome = world.pass().await.unwrap();
        assert!(world.memory.services["app1"].failed.is_none(), "it was good once");
        tokio::time::sleep(outcome.requeue.unwrap_or(Duration::from_secs(5))).await;
    }
    let starts = world.sim.log.borrow()[from..].iter().filter(|l| l.starts_with("start")).count();
    assert!((5..25).contains(&starts), "{starts} starts in an hour");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stopped_everything_gets_everything_started_again() {
    let mut world = World::deployed().await;
    let before = world.ids();
    world.sim.hand(|engine| {
        for container in engine.containers.values_mut() {
            container.phase =
                Phase::Stopped(if container.name.contains("migrate") { 0 } else { 137 });
        }
    });
    world.converge(1).await;
    assert_eq!(world.ids(), before);
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[tokio::test(start_paused = true)]
async fn an_image_pruned_between_pull_and_create_is_pulled_again() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    let pull = world.sim.effects();
    // The pull happens, the prune right after it: the create finds nothing.
    world.sim.crash_at.set(Some((pull, crate::simulator::sim::Effect::Happened)));
    assert!(world.pass().await.is_none());
    world.sim.hand(|engine| {
        let used: Vec<_> = engine.containers.values().map(|c| c.image).collect();
        engine.images.retain(|id, _| used.contains(id));
    });
    world.restart();
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn an_image_pruned_since_it_was_seen_is_pulled_again() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("bad", "db1", "migrate1")]);
    world.converge(2).await;
    // What failed here lies on the engine still; it is removed by hand, and then wanted after all.
    let image = Digest::of(b"config of bad");
    world.sim.hand(|engine| {
        engine.containers.retain(|_, container| container.image != image);
        assert!(engine.images.remove(&image).is_some());
    });
    world.image("bad", GOOD);
    world.commit(vec![app1("bad", "db2", "migrate1")]);
    world.pass().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db2", "app1.prd-web bad"]);
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_task_the_engine_lost_is_made_anew_and_no_version_is_blamed() {
    let mut world = World::deployed().await;
    let before = world.ids();
    let web = world.id("app1.prd-web");
    world.sim.hand(|engine| {
        engine.containers.get_mut(&web).unwrap().phase = Phase::Stopped(137);
        engine.leftovers.insert(web.clone());
    });
    world.converge(3).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    assert_ne!(world.id("app1.prd-web"), web);
    assert_eq!(world.id("app1.prd-db"), before["app1.prd-db"]);
    assert!(world.memory.services["app1"].failed.is_none());
}
