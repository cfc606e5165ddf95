//! What goes on for ever: flapping, failing, version after version.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::simulator::engine::Behaviour;
use crate::simulator::world::{World, app1, container, service};

/// The longest the agent sleeps between two passes.
const INTERVAL: Duration = Duration::from_secs(60);

/// Passes as the agent makes them, for so long.
async fn goes_on(world: &mut World, secs: u64) {
    let until = Instant::now() + Duration::from_secs(secs);
    while Instant::now() < until {
        let outcome = world.pass().await.unwrap();
        sleep(outcome.requeue.unwrap_or(INTERVAL).clamp(Duration::from_secs(1), INTERVAL)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_health_flaps_after_its_gate_is_never_touched() {
    let mut world = World::new();
    world.image("flaps", Behaviour::Flaps(20));
    let one = |image: &str| vec![service("app1", vec![container("web", image)])];
    world.commit(one("web1"));
    world.converge(1).await;
    world.commit(one("flaps"));
    world.pass().await.unwrap();
    let (ids, effects) = (world.ids(), world.sim.effects());
    for _ in 0..40 {
        sleep(Duration::from_secs(7)).await;
        let outcome = world.pass().await.unwrap();
        assert!(outcome.left.is_in_sync() && outcome.outcomes.is_empty(), "{}", outcome.left);
    }
    assert_eq!((world.ids(), world.sim.effects()), (ids, effects));
    assert_eq!(world.memory.services["app1"].failed, None);
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_ever_is_tried_ever_more_rarely_whatever_fails() {
    // An image that never comes, and a name that a foreigner's port keeps from starting.
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    world.commit(vec![app1("nowhere", "db1", "migrate1")]);
    let from = world.sim.effects();
    goes_on(&mut world, 3_600).await;
    let n_pulls = world.sim.effects() - from;
    assert!(n_pulls > 30, "the hub is asked about once a minute, since the image may come");
    assert!(n_pulls < 80, "{n_pulls}: {:#?}", world.sim.log.borrow());
}

#[tokio::test(start_paused = true)]
async fn version_after_version_that_fails_leaves_nothing_behind() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    let mut sizes = Vec::new();
    for n in 10..90 {
        let mut failing = app1("bad", "db1", "migrate1");
        let web = failing.containers.values_mut().find(|c| c.name.as_str() == "web").unwrap();
        web.spec.environment.insert("N".into(), n.to_string());
        world.commit(vec![failing]);
        world.converge(1).await;
        let engine = world.sim.engine.borrow();
        let objects = engine.containers.len() + engine.networks.len() + engine.volumes.len();
        let memory = json!(world.memory).to_string().len();
        sizes.push((objects, memory, format!("{:?}", world.state).len()));
    }
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert_eq!((first.0, first.1), (last.0, last.1), "objects of the engine, the saved memory");
    // Times are a digit longer or shorter; one entry a version would be thousands of bytes by now.
    assert!(last.2 < first.2 + 100, "what the process keeps: {first:?}, {last:?}");
}
