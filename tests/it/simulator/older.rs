//! What was applied last is resolved seldom, however many services it is about.

use std::time::Duration;

use tidegate::model::Mode;
use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::observed::Look;
use tidegate::reconcile::pass::PassOutcome;
use tokio::time::sleep;

use crate::simulator::world::{World, app1, container, service};

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

/// app1 in this mode, and app2; both with something that changes them.
fn two(mode: Mode, first: &str, second: &str) -> Vec<DesiredService> {
    let of = |name: &str, value: &str| {
        let mut site = container("site", "web1");
        site.spec.environment.insert("A".into(), value.into());
        service(name, vec![site])
    };
    vec![DesiredService { mode, ..of("app1", first) }, of("app2", second)]
}

fn lose(world: &World, name: &str) {
    let id = world.id(name);
    world.sim.hand(|engine| engine.containers.remove(&id));
}

fn shut_windows(world: &mut World) {
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
}

/// A few passes; the last one's outcome.
async fn passes(world: &mut World) -> PassOutcome {
    for _ in 0..3 {
        let outcome = world.pass().await.unwrap();
        sleep(outcome.requeue.unwrap_or(Duration::from_secs(600))).await;
    }
    world.pass().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_back_to_is_treated_as_the_newest_commit_says_wherever_it_is_taken_from() {
    let mut world = World::new();
    world.commit(two(Mode::Apply, "1", "1"));
    world.converge(1).await;
    // For a while app1 was only watched; app2's version is of then.
    world.commit(two(Mode::Report, "1", "2"));
    world.converge(1).await;
    world.commit(two(Mode::Apply, "2", "3"));
    shut_windows(&mut world);
    lose(&world, "app1.prd-site");
    let outcome = passes(&mut world).await;
    assert_eq!(world.running(), ["app1.prd-site web1", "app2.prd-site web1"], "{}", outcome.left);
    assert_eq!(outcome.left.held.len(), 2, "both wait for their window: {}", outcome.left);
}

#[tokio::test(start_paused = true)]
async fn report_mode_heals_nothing_though_the_version_before_was_applied_in_another() {
    for environment in [Mode::Apply, Mode::Report] {
        for hold in ["window", "failure"] {
            let mut world = World::new();
            world.commit(two(Mode::Apply, "1", "1"));
            world.converge(1).await;
            let mut newest = two(Mode::Report, "2", "1");
            newest[1].mode = environment;
            world.commit(newest);
            world.tip_mut().mode = environment;
            if hold == "window" {
                shut_windows(&mut world);
            } else {
                let whole = world.tip_mut().services["app1"].whole_hash();
                let revision = world.tip.clone().unwrap();
                let (reason, at) = ("it is unhealthy".to_owned(), world.now);
                let failed = tidegate::reconcile::memory::Failed { revision, whole, reason, at };
                world.memory.services.get_mut("app1").unwrap().failed = Some(failed);
            }
            lose(&world, "app1.prd-site");
            let before = world.sim.effects();
            let outcome = passes(&mut world).await;
            let log = world.sim.log.borrow();
            assert_eq!(log[before..], [] as [String; 0], "{environment} {hold} {}", outcome.left);
            let left = &outcome.left.services[0];
            assert_eq!((left.service.as_str(), left.mode), ("app1", Mode::Report), "it is said");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_repair_under_way_goes_no_further_once_report_mode_is_wanted() {
    let mut world = World::deployed().await;
    for name in ["app1.prd-db", "app1.prd-web"] {
        lose(&world, name);
    }
    // db is not healthy yet, and web waits for it.
    world.pass_until(sleep(Duration::from_secs(1))).await.unwrap().unwrap();
    assert_eq!(world.running(), ["app1.prd-db db1"]);
    let newest = DesiredService { mode: Mode::Report, ..app1("web2", "db1", "migrate1") };
    world.commit(vec![newest]);
    shut_windows(&mut world);
    passes(&mut world).await;
    assert_eq!(world.running(), ["app1.prd-db db1"]);
}
