//! Who is blamed at a gate, and what a version that is withdrawn or fails leaves behind.

use std::time::Duration;

use tidegate::clients::docker::DockerErrorKind;
use tidegate::reconcile::apply::{FailureClass, ServiceResult};
use tidegate::reconcile::desired::container::Condition;
use tidegate::reconcile::desired::service::Strategy;
use tokio::time::sleep;

use crate::simulator::engine::{Behaviour, Phase};
use crate::simulator::sim::Effect;
use crate::simulator::world::{GOOD, World, after, app1, container, digest, service};

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_taken_back_during_its_pull_leaves_no_trace() {
    let mut world = World::deployed().await;
    let (before, once) = (world.ids(), world.memory.services["app1"].once.clone());
    world.commit(vec![
        app1("web2", "db2", "migrate2"),
        service("app9", vec![container("x", "web3")]),
    ]);
    world.sim.pull_takes.set(Duration::from_secs(30));
    world.pass_until(sleep(Duration::from_secs(5))).await.unwrap().unwrap();
    assert_eq!(world.state.under_way().count(), 2);
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    assert_eq!(world.ids(), before);
    assert_eq!(world.memory.services["app1"].once, once, "no migration has run");
    assert!(!world.sim.log.borrow().iter().any(|effect| effect.contains("app9")));
}

/// The service's images behave like this from now on, those that run already included.
fn behave(world: &World, image: &str, behaviour: Behaviour) {
    let digest = digest(image);
    world.sim.hand(|engine| {
        let images = engine.images.values_mut().filter(|image| image.digest == digest);
        images.for_each(|image| image.behaviour = behaviour);
    });
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_not_blamed_for_a_neighbour_that_was_ill_before() {
    let mut world = World::deployed().await;
    behave(&world, "db1", Behaviour::NeverHealthy);
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    let outcome = world.pass().await.unwrap();
    // Not `Transient`, which would leave the version the target, and what runs unhealed.
    assert!(matches!(
        outcome.outcomes[0].result,
        ServiceResult::Failed { class: FailureClass::Later, .. }
    ));
    assert!(world.memory.services["app1"].failed.is_none());
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"], "it serves on");
    behave(&world, "db1", GOOD);
    world.converge(4).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn while_a_new_version_waits_for_an_ill_neighbour_what_was_applied_is_healed() {
    let version = |web: &str| {
        let web = after(container("web", web), "db", Condition::ServiceHealthy);
        service("app1", vec![web, container("db", "db1"), container("cache", "web3")])
    };
    let mut world = World::new();
    world.commit(vec![version("web1")]);
    world.converge(1).await;
    behave(&world, "db1", Behaviour::NeverHealthy);
    world.commit(vec![version("web2")]);
    world.pass().await.unwrap();
    let cache = world.id("app1.prd-cache");
    world.sim.hand(|engine| engine.containers.remove(&cache));
    for _ in 0..2 {
        world.pass().await.unwrap();
    }
    assert_eq!(
        world.running(),
        ["app1.prd-cache web3", "app1.prd-db db1", "app1.prd-web web1"],
        "{:#?}",
        world.sim.log.borrow()
    );
    // Nor is it held up by one that is gone, too, and cannot start while its neighbour is ill.
    for name in ["app1.prd-cache", "app1.prd-web"] {
        let id = world.id(name);
        world.sim.hand(|engine| engine.containers.remove(&id));
    }
    let soon = sleep(Duration::from_secs(15));
    world.pass_until(soon).await.unwrap().unwrap();
    assert_eq!(world.running(), ["app1.prd-cache web3", "app1.prd-db db1"]);
    behave(&world, "db1", GOOD);
    sleep(Duration::from_secs(600)).await;
    world.converge(4).await;
    assert!(world.running().contains(&"app1.prd-web web2".to_owned()), "{:?}", world.running());
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_that_falls_ill_for_a_moment_fails_no_gate_and_one_that_stays_ill_does() {
    for (behaviour, is_good) in [(Behaviour::Flaps(5), true), (Behaviour::NeverHealthy, false)] {
        let mut world = World::new();
        let plain =
            |web: &str| service("app1", vec![container("web", web), container("db", "db1")]);
        world.commit(vec![plain("web1")]);
        world.converge(1).await;
        world.commit(vec![plain("web2")]);
        // It was well when the rollout was planned, and falls ill within it.
        world.sim.pull_takes.set(Duration::from_secs(30));
        world.pass_until(sleep(Duration::from_secs(5))).await.unwrap().unwrap();
        behave(&world, "db1", behaviour);
        world.pass().await.unwrap();
        let failed = world.memory.services["app1"].failed.clone();
        assert_eq!(failed.is_none(), is_good, "{behaviour:?}: {failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_while_the_last_is_awaited_fails_the_gate_of_all() {
    let mut world = World::deployed().await;
    world.image("brief", Behaviour::Healthy(1));
    world.image("late", Behaviour::Healthy(20));
    let next = |web: &str| service("app1", vec![container("web", web), container("db", "late")]);
    world.commit(vec![next("brief")]);
    world.pass_until(sleep(Duration::from_secs(10))).await.unwrap().unwrap();
    let id = world.id("app1.prd-web");
    world.sim.hand(|engine| engine.containers.get_mut(&id).unwrap().phase = Phase::Stopped(1));
    let outcome = world.pass().await.unwrap();
    assert!(matches!(
        outcome.outcomes[0].result,
        ServiceResult::Failed { class: FailureClass::Version, .. }
    ));
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_leaves_the_old_one_running_although_its_revision_is_not_to_be_had() {
    for strategy in [Strategy::StopFirst, Strategy::StartFirst] {
        let one = |image: &str| {
            let mut service = service("app1", vec![container("web", image)]);
            service.update.strategy = strategy;
            service
        };
        let mut world = World::new();
        let old = world.commit(vec![one("web1")]);
        world.converge(1).await;
        world.commit(vec![one("bad")]);
        world.commits.remove(&old);
        world.converge(3).await;
        let running: Vec<String> = world
            .running()
            .iter()
            .filter_map(|name| name.split(' ').nth(1).map(str::to_owned))
            .collect();
        assert_eq!(running, ["web1"], "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_memory_stops_nothing_although_a_container_is_ill() {
    for phase in [None, Some(Phase::Stopped(1))] {
        let mut world = World::deployed().await;
        let db = world.id("app1.prd-db");
        behave(&world, "db1", Behaviour::NeverHealthy);
        world.sim.hand(|engine| {
            if let Some(phase) = phase {
                engine.containers.get_mut(&db).unwrap().phase = phase;
            }
        });
        let before = world.ids();
        *world.sim.saved.borrow_mut() = tidegate::reconcile::memory::Memory::default();
        world.restart();
        for _ in 0..3 {
            world.pass().await.unwrap();
            assert!(world.running().contains(&"app1.prd-web web1".to_owned()));
        }
        assert_eq!(world.ids(), before);
        assert_eq!(world.memory.services["app1"].failed, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_there_and_does_not_start_is_told_in_the_engines_words() {
    let mut good = World::deployed().await;
    good.commit(vec![app1("web2", "db1", "migrate1")]);
    let from = good.sim.effects();
    good.converge(1).await;
    let at = good.sim.log.borrow()[from..].iter().position(|what| what.starts_with("start"));

    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    // As engines answer where a network went after the container was made.
    let fault = (world.sim.effects() + at.unwrap(), DockerErrorKind::NotFound, Effect::Lost);
    world.sim.fault_at.set(Some(fault));
    let outcome = world.pass().await.unwrap();
    let ServiceResult::Failed { class: FailureClass::Version, reason } =
        &outcome.outcomes[0].result
    else {
        panic!("{:?}", outcome.outcomes[0].result);
    };
    assert!(reason.contains("simulated"), "{reason}");
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"], "back at once");
}
