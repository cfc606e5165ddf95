//! What a hotfix or a rollback made passes windows and freezes, and nothing else does.

use jiff::Timestamp;
use tidegate::model::Freeze;
use tidegate::reconcile::memory::Memory;
use tidegate::reconcile::plan::HeldReason;

use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1, container, service};

const OLD: [&str; 2] = ["app1.prd-db db1", "app1.prd-web web1"];
const NEW: [&str; 2] = ["app1.prd-db db1", "app1.prd-web web2"];

/// No window is open, and a freeze covers now.
fn close(world: &mut World) {
    let tip = world.tip_mut();
    tip.windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    let to = "2026-03-05T00:00:00Z".parse().unwrap();
    tip.freezes = vec![Freeze { from: Timestamp::MIN, to, reason: "year's end".into() }];
}

fn make_urgent(world: &mut World, service: &str) {
    world.tip_mut().urgent.insert(service.parse().unwrap());
}

/// A node whose tip is an urgent new version of the reference service, while everything is closed.
async fn urgent(web: &str) -> World {
    let mut world = World::deployed().await;
    world.commit(vec![app1(web, "db1", "migrate1")]);
    close(&mut world);
    make_urgent(&mut world, "app1");
    world
}

#[tokio::test(start_paused = true)]
async fn an_urgent_version_passes_a_shut_window_and_a_freeze_and_says_so() {
    for (has_window, has_freeze, passed) in [
        (true, false, "which passes: no window is open before 2026-03-03T02:00:00Z"),
        (true, true, "which passes: frozen until 2026-03-05T00:00:00Z: year's end"),
    ] {
        let mut world = urgent("web2").await;
        if !has_window {
            world.tip_mut().windows.clear();
        }
        if !has_freeze {
            world.tip_mut().freezes.clear();
        }
        let outcome = world.pass().await.unwrap();
        assert!(outcome.plan.to_string().contains(passed), "{}", outcome.plan);
        assert_eq!(world.running(), NEW);
    }
}

#[tokio::test(start_paused = true)]
async fn an_urgent_version_jumps_no_window_for_another_service_or_for_what_comes_after_it() {
    let two = |first, second| {
        vec![app1(first, "db1", "migrate1"), service("app2", vec![container("site", second)])]
    };
    let mut world = World::new();
    world.commit(two("web1", "web1"));
    world.converge(1).await;
    world.commit(two("web2", "web2"));
    close(&mut world);
    make_urgent(&mut world, "app1");
    world.converge(1).await;
    assert_eq!(world.running(), [NEW[0], NEW[1], "app2.prd-site web1"]);
    world.commit(two("web3", "web2"));
    close(&mut world);
    let outcome = world.pass().await.unwrap();
    let all_frozen =
        outcome.left.held.iter().all(|held| matches!(held.reason, HeldReason::Freeze { .. }));
    assert!(all_frozen && outcome.left.held.len() == 2, "{}", outcome.left);
    assert_eq!(world.running(), [NEW[0], NEW[1], "app2.prd-site web1"]);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_version_passes_neither_suspension_nor_policy_nor_its_own_failure() {
    let mut world = urgent("web2").await;
    let tip = world.tip_mut().services.get_mut("app1").unwrap();
    tip.containers.get_mut("web").unwrap().spec.privileged = true;
    let outcome = world.pass().await.unwrap();
    assert!(matches!(outcome.left.held[0].reason, HeldReason::Policy { .. }), "{}", outcome.left);

    let mut world = urgent("web2").await;
    let reason = "repair of the disk".to_owned();
    let suspension =
        tidegate::reconcile::memory::LocalSuspension { reason, at: world.now, until: None };
    world.memory.services.get_mut("app1").unwrap().suspended = Some(suspension);
    let outcome = world.pass().await.unwrap();
    let reason = &outcome.left.held[0].reason;
    assert!(matches!(reason, HeldReason::Suspended { .. }), "{}", outcome.left);
    assert_eq!(world.running(), OLD);

    let mut world = urgent("bad").await;
    world.converge(2).await;
    let outcome = world.pass().await.unwrap();
    assert!(matches!(outcome.left.held[0].reason, HeldReason::Failed { .. }), "{}", outcome.left);
    assert_eq!(world.running(), OLD);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_removal_passes_windows_and_not_the_brake() {
    let both = || vec![container("web", "web1"), container("db", "db1")];
    let mut world = World::new();
    world.commit(vec![service("app1", both()), service("app2", both())]);
    world.converge(1).await;
    world.commit(vec![service("app1", both())]);
    close(&mut world);
    world.converge(1).await;
    assert_eq!(world.running().len(), 4, "it is not urgent yet");
    make_urgent(&mut world, "app2");
    world.converge(1).await;
    assert_eq!(world.running(), OLD);

    let mut world = World::new();
    world.commit(vec![service("app1", both()), service("app2", both())]);
    world.converge(1).await;
    world.commit(vec![]);
    close(&mut world);
    make_urgent(&mut world, "app1");
    make_urgent(&mut world, "app2");
    let outcome = world.pass().await.unwrap();
    assert!(matches!(outcome.left.held[1].reason, HeldReason::Brake { .. }), "{}", outcome.left);
    assert_eq!(world.running().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_version_passes_also_in_the_pass_that_learns_what_was_applied() {
    let mut world = urgent("web2").await;
    *world.sim.saved.borrow_mut() = Memory::default();
    world.restart();
    let outcome = world.pass().await.unwrap();
    assert!(outcome.notes[0].contains("the memory of app1 was lost"), "{:?}", outcome.notes);
    assert_eq!(world.running(), NEW);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_applied_yet_a_hotfix_waits_for_a_freeze_as_all_else_does() {
    let mut world = World::new();
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    close(&mut world);
    make_urgent(&mut world, "app1");
    let outcome = world.pass().await.unwrap();
    let held = &outcome.left.held[0].reason;
    assert!(matches!(held, HeldReason::Freeze { .. }), "{}", outcome.left);
    assert!(world.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_effect_of_an_urgent_change_is_finished_by_the_next() {
    let mut world = urgent("web2").await;
    let from = world.sim.effects();
    world.converge(1).await;
    let n = world.sim.effects() - from;
    assert!(n > 3);
    for k in 0..n {
        for effect in [Effect::Happened, Effect::Lost] {
            let mut world = urgent("web2").await;
            world.sim.crash_at.set(Some((world.sim.effects() + k, effect)));
            while !world.sim.crashed.get() && world.pass().await.is_some() {}
            world.restart();
            world.converge(3).await;
            assert_eq!(world.running(), NEW, "dies at {k}, {effect:?}");
        }
    }
}
