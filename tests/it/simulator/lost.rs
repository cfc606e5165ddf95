//! What is known again of a service where the memory, or the version before, is gone.

use std::time::Duration;

use tidegate::clients::docker::DockerErrorKind;
use tidegate::model::Revision;
use tidegate::reconcile::memory::{Lost, Memory};
use tokio::time::sleep;

use crate::simulator::engine::Behaviour;
use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1, container, once, service};

const OLD: [&str; 2] = ["app1.prd-db db1", "app1.prd-web web1"];

/// Another commit with the same services, of which all earlier ones are gone, in a shut window.
fn shut_and_alone(world: &mut World) {
    world.restart();
    let again: Revision = world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.commits.retain(|revision, _| *revision == again);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
}

fn forget_all(world: &mut World) {
    *world.sim.saved.borrow_mut() = Memory::default();
    world.restart();
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_dies_is_finished_after_another_commit_although_the_one_before_is_gone() {
    let mut ends: Vec<Vec<String>> = Vec::new();
    for k in 0.. {
        let mut world = World::deployed().await;
        world.commit(vec![app1("web2", "db1", "migrate1")]);
        world.sim.crash_at.set(Some((world.sim.effects() + k, Effect::Happened)));
        if world.pass().await.is_some() {
            break;
        }
        world.sim.crash_at.set(None);
        shut_and_alone(&mut world);
        world.converge(2).await;
        let running = world.running();
        ends.push(running.iter().map(|c| c.split(' ').nth(1).unwrap().to_owned()).collect());
    }
    // Where nothing of it was made it waits; never is the service left between two versions.
    let n_old = ends.iter().take_while(|end| **end == ["db1", "web1"]).count();
    assert!(ends[n_old..].iter().all(|end| *end == ["db1", "web2"]), "{ends:?}");
    assert_eq!((n_old, ends.len()), (3, 8), "a save and a rename come before what is made");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_of_which_nothing_was_made_waits_for_its_window() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.sim.pulls_fail.set(Some(DockerErrorKind::Registry));
    world.pass().await.unwrap();
    world.sim.pulls_fail.set(None);
    shut_and_alone(&mut world);
    world.converge(2).await;
    assert_eq!(world.running(), OLD);
    // Nor is one that was taken back under way when it comes again.
    world.tip_mut().windows.clear();
    world.sim.crash_at.set(Some((world.sim.effects() + 3, Effect::Happened)));
    assert!(world.pass().await.is_none());
    world.sim.crash_at.set(None);
    world.restart();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(2).await;
    assert_eq!(world.running(), OLD);
    shut_and_alone(&mut world);
    world.converge(2).await;
    assert_eq!(world.running(), OLD);
}

#[tokio::test(start_paused = true)]
async fn what_runs_after_the_memory_is_lost_counts_once_it_has_passed_its_gate() {
    let mut world = World::new();
    world.commit(vec![service("app1", vec![container("web", "slow")])]);
    world.pass_until(sleep(Duration::from_secs(5))).await.unwrap().unwrap();
    forget_all(&mut world);
    let before = world.ids();
    for _ in 0..3 {
        let outcome = world.pass().await.unwrap();
        assert_eq!(world.memory.services["app1"].lost, Lost::Gate);
        assert!(!outcome.left.services.is_empty(), "it is not in sync");
        assert_eq!(world.ids(), before, "nothing is stopped for it");
        sleep(outcome.requeue.unwrap()).await;
    }
    sleep(Duration::from_secs(3600)).await;
    world.converge(2).await;
    let known = world.memory.services["app1"].clone();
    assert!(known.applied.is_some() && known.lost == Lost::Nothing);
    assert_eq!(world.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn what_ran_once_and_is_gone_with_the_memory_is_done_whoever_waited_for_it() {
    for name in ["migrate", "seed"] {
        let mut world = World::new();
        world.image("seed1", Behaviour::Exits(2, 0));
        let mut all = app1("web1", "db1", "migrate1");
        // Nothing waits for this one.
        all.containers.insert("seed".parse().unwrap(), Box::new(once("seed", "seed1")));
        world.commit(vec![all]);
        world.converge(1).await;
        let (name, made) = (format!("app1.prd-{name}"), world.sim.log.borrow().len());
        let id = world.id(&name);
        world.sim.hand(|engine| engine.containers.remove(&id));
        forget_all(&mut world);
        world.converge(2).await;
        let log = world.sim.log.borrow();
        let n = log[made..].iter().filter(|call| call.starts_with("create ")).count();
        assert_eq!(n, 0, "{name}: {:#?}", &log[made..]);
        assert_eq!(world.running(), OLD);
    }
}

#[tokio::test(start_paused = true)]
async fn a_memory_that_was_lost_is_lost_once() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    forget_all(&mut world);
    let told = |notes: &[String]| notes.iter().filter(|note| note.contains("was lost")).count();
    assert_eq!(told(&world.pass().await.unwrap().notes), 1);
    world.restart();
    assert_eq!(told(&world.pass().await.unwrap().notes), 0);
}
