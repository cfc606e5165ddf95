//! What was applied last is resolved seldom, however many services it is about.

use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::observed::Look;

use crate::simulator::world::{World, container, service};

const NAMES: [&str; 6] = ["app1", "app2", "app3", "app4", "app5", "app6"];

/// All the services, the first so many of them of a newer image.
fn services(n_newer: usize) -> Vec<DesiredService> {
    let image = |n| if n < n_newer { "web2" } else { "web1" };
    let all = NAMES.iter().enumerate();
    all.map(|(n, name)| service(name, vec![container("site", image(n))])).collect()
}

/// A commit that changes every service and that no window lets in.
fn shut(world: &mut World) {
    let changed = services(0).into_iter().map(|mut service| {
        let site = service.containers.get_mut("site").unwrap();
        site.spec.environment.insert("A".into(), "2".into());
        service
    });
    world.commit(changed.collect());
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
}

/// How often one more pass resolves.
async fn resolved(world: &mut World, look: Look) -> usize {
    world.look = look;
    world.n_resolved.set(0);
    let outcome = world.pass().await.unwrap();
    assert_eq!(outcome.left.held.len(), NAMES.len(), "{}", outcome.left);
    world.n_resolved.get()
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_resolved_once_for_all_its_services() {
    let mut world = World::new();
    world.commit(services(0));
    world.converge(1).await;
    shut(&mut world);
    for (look, times) in [(Look::Changes, 1), (Look::Changes, 0), (Look::Everything, 0)] {
        assert_eq!(resolved(&mut world, look).await, times);
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_many_revisions_does_for_what_did_not_change_since() {
    let mut world = World::new();
    for n_newer in 0..=NAMES.len() {
        world.commit(services(n_newer));
        world.converge(1).await;
    }
    let applied = world.memory.services.values().filter_map(|known| known.applied.as_ref());
    let revisions: std::collections::BTreeSet<_> = applied.map(|a| &a.revision).collect();
    assert_eq!(revisions.len(), NAMES.len());
    shut(&mut world);
    assert_eq!(resolved(&mut world, Look::Everything).await, 1);
    let id = world.id("app1.prd-site");
    world.sim.hand(|engine| engine.containers.remove(&id));
    world.converge(2).await;
    assert_eq!(world.running()[0], "app1.prd-site web2", "healed with what it ran");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_is_asked_for_once_by_each_whole_look() {
    let mut world = World::new();
    let first = world.commit(services(0));
    world.converge(1).await;
    shut(&mut world);
    let gone = world.commits.remove(&first).unwrap();
    for (look, times) in [(Look::Everything, 1), (Look::Changes, 0), (Look::Everything, 1)] {
        assert_eq!(resolved(&mut world, look).await, times);
    }
    world.commits.insert(first, gone);
    assert_eq!(resolved(&mut world, Look::Everything).await, 1);
    let id = world.id("app1.prd-site");
    world.sim.hand(|engine| engine.containers.remove(&id));
    world.converge(2).await;
    assert_eq!(world.running().len(), NAMES.len());
}
