//! Deploying, changing, failing and coming back.

use tidegate::clients::docker::DockerErrorKind;
use tidegate::reconcile::apply::{FailureClass, ServiceResult};
use tidegate::reconcile::desired::service::{OnFailure, Strategy};

use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1, container, service};

#[tokio::test(start_paused = true)]
async fn a_first_deployment_starts_in_dependency_order_and_is_applied_after_its_gate() {
    let world = World::deployed().await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    let memory = &world.memory.services["app1"];
    assert!(memory.applied.is_some() && memory.failed.is_none() && memory.once.len() == 1);
    assert_eq!(*world.sim.saved.borrow(), world.memory);
}

#[tokio::test(start_paused = true)]
async fn a_changed_image_replaces_its_container_alone() {
    let mut world = World::deployed().await;
    let db = world.id("app1.prd-db");
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
    assert_eq!(world.id("app1.prd-db"), db);
    assert_eq!(world.ids().len(), 3, "the old one is removed: {:?}", world.ids());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_never_gets_healthy_is_rolled_back_and_held_until_a_commit_changes_it() {
    for bad in ["bad", "crash"] {
        let mut world = World::deployed().await;
        let before = world.ids();
        world.commit(vec![app1(bad, "db1", "migrate1")]);
        let outcome = world.pass().await.unwrap();
        let results: Vec<_> = outcome.outcomes.iter().map(|o| &o.result).collect();
        assert!(
            matches!(
                results[..],
                [
                    ServiceResult::Failed { class: FailureClass::Version, .. },
                    ServiceResult::Repaired
                ]
            ),
            "{results:?}"
        );
        assert_eq!(world.ids(), before, "the very containers of before");
        assert_eq!(outcome.left.held.len(), 1);
        world.converge(1).await;
        world.commit(vec![app1("web2", "db1", "migrate1")]);
        world.converge(1).await;
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_stays_for_people_to_look_at_when_told_to_hold() {
    let mut world = World::deployed().await;
    let mut changed = app1("bad", "db1", "migrate1");
    changed.update.on_failure = OnFailure::Hold;
    world.commit(vec![changed]);
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web bad"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_version_that_fails_is_stopped_and_kept() {
    let mut world = World::new();
    world.commit(vec![app1("bad", "db1", "migrate1")]);
    world.converge(1).await;
    assert!(world.running().is_empty(), "{:?}", world.running());
    assert_eq!(world.ids().len(), 3);
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_migration_fails_the_version_and_is_named() {
    let mut world = World::deployed().await;
    let before = world.ids();
    world.commit(vec![app1("web2", "db1", "migratebad")]);
    world.converge(1).await;
    assert_eq!(world.ids(), before);
    let failed = world.memory.services["app1"].failed.clone().unwrap();
    assert!(failed.reason.contains("migrate exited with code 9"), "{}", failed.reason);
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_ran_before_the_failure_is_named_and_not_undone() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("bad", "db1", "migrate2")]);
    world.converge(1).await;
    let failed = world.memory.services["app1"].failed.clone().unwrap();
    assert!(failed.reason.contains("app1.prd-migrate did is not undone"), "{}", failed.reason);
    let runs =
        world.sim.log.borrow().iter().filter(|l| l.contains("create app1.prd-migrate")).count();
    assert_eq!(runs, 2, "the first version's is not run again by the way back");
}

#[tokio::test(start_paused = true)]
async fn start_first_stops_the_old_one_only_after_the_new_ones_gate() {
    let mut world = World::new();
    let make = |image: &str| {
        let mut made = service("app1", vec![container("web", image)]);
        made.update.strategy = Strategy::StartFirst;
        made
    };
    world.commit(vec![make("web1")]);
    world.converge(1).await;
    let old = world.id("app1.prd-web");
    let from = world.sim.effects();
    world.commit(vec![make("web2")]);
    world.converge(1).await;
    let log = world.sim.log.borrow()[from..].to_vec();
    let at = |what: &str| log.iter().position(|l| l.starts_with(what)).unwrap();
    // What was begun is saved before the start, what passed its gate after it.
    let between = &log[at("start ")..at(&format!("stop {old}"))];
    assert!(between.contains(&"save".to_owned()), "{log:#?}");
    assert_eq!(world.running(), ["app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn a_version_whose_image_is_not_in_the_hub_is_held_until_it_comes() {
    let mut world = World::deployed().await;
    let before = world.ids();
    world.commit(vec![app1("nowhere", "db1", "migrate1")]);
    let outcome = world.pass().await.unwrap();
    assert!(matches!(
        outcome.outcomes[0].result,
        ServiceResult::Failed { class: FailureClass::Hub, .. }
    ));
    let held = &outcome.left.held[0].reason;
    assert!(matches!(held, tidegate::reconcile::plan::HeldReason::Hub { .. }), "{held}");
    assert!(outcome.left.services.is_empty());
    assert!(outcome.requeue.is_some());
    assert_eq!(world.ids(), before);
    world.image("nowhere", crate::simulator::world::GOOD);
    tokio::time::sleep(outcome.requeue.unwrap()).await;
    world.converge(1).await;
}

#[tokio::test(start_paused = true)]
async fn removed_services_and_containers_go_and_a_moved_service_comes_elsewhere() {
    let mut world = World::new();
    let both = vec![container("web", "web1"), container("db", "db1")];
    world.commit(vec![service("app1", both.clone()), service("app2", both.clone())]);
    world.converge(1).await;
    world.commit(vec![
        service("app1", vec![container("web", "web1")]),
        service("app2", both.clone()),
    ]);
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-web web1", "app2.prd-db db1", "app2.prd-web web1"]);
    // Moved to another node: not wanted here any more.
    world.commit(vec![service("app2", both)]);
    world.converge(1).await;
    assert_eq!(world.running(), ["app2.prd-db db1", "app2.prd-web web1"]);
    assert!(!world.sim.engine.borrow().networks.contains_key("app1.prd"));
    assert_eq!(world.memory.services.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_renamed_container_in_the_service_is_replaced_by_one_of_the_new_name() {
    let mut world = World::new();
    world.commit(vec![service("app1", vec![container("web", "web1"), container("db", "db1")])]);
    world.converge(1).await;
    world.commit(vec![service("app1", vec![container("front", "web1"), container("db", "db1")])]);
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-front web1"]);
    assert_eq!(world.ids().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_changes_nothing_of_a_service_touches_nothing() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    let before = world.sim.effects();
    world.converge(1).await;
    assert_eq!(world.sim.effects(), before);
}

#[tokio::test(start_paused = true)]
async fn a_commit_to_one_service_restarts_no_other() {
    let mut world = World::new();
    let other = || service("app2", vec![container("web", "web1")]);
    world.commit(vec![app1("web1", "db1", "migrate1"), other()]);
    world.converge(1).await;
    let id = world.id("app2.prd-web");
    world.commit(vec![app1("web2", "db1", "migrate1"), other()]);
    let from = world.sim.effects();
    world.converge(1).await;
    assert!(world.sim.log.borrow()[from..].iter().all(|l| !l.contains(&id)));
}

#[tokio::test(start_paused = true)]
async fn services_that_pass_their_gates_together_are_saved_together() {
    let mut world = World::new();
    let names = ["app1", "app2", "app3"];
    world.commit(names.map(|name| service(name, vec![container("web", "web1")])).to_vec());
    world.pass().await.unwrap();
    let saves = world.sim.log.borrow().iter().filter(|what| *what == "save").count();
    assert_eq!(saves, 2, "that they are begun, and that they are applied");
    assert_eq!(*world.sim.saved.borrow(), world.memory);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_saved_is_not_applied_and_reached_again() {
    let mut good = World::new();
    good.commit(vec![service("app1", vec![container("web", "web1")])]);
    good.pass().await.unwrap();
    let last = good.sim.log.borrow().iter().rposition(|what| what == "save").unwrap();
    let mut world = World::new();
    world.commit(vec![service("app1", vec![container("web", "web1")])]);
    world.sim.fault_at.set(Some((last, DockerErrorKind::Engine, Effect::Lost)));
    let outcome = world.pass().await.unwrap();
    let result = &outcome.outcomes[0].result;
    assert!(matches!(result, ServiceResult::Failed { class: FailureClass::Transient, .. }));
    world.sim.fault_at.set(None);
    world.converge(3).await;
    assert!(world.sim.saved.borrow().services["app1"].applied.is_some());
}
