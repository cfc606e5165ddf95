//! What happens beside a health gate that lasts: drift elsewhere, commits, suspension, the end.

use std::time::Duration;

use tidegate::reconcile::apply::{FailureClass, ServiceResult};
use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::desired::service::Suspension;
use tidegate::reconcile::pass::PassOutcome;
use tidegate::reconcile::report::{Facts, Health, Reach, Status, Sync, TrustLevel, next_status};
use tokio::time::{Instant, sleep};

use crate::simulator::engine::Phase;
use crate::simulator::world::{World, app1, container, digest, service};

/// The health timeout of every service here.
const GATE: Duration = Duration::from_secs(60);

fn other(image: &str) -> DesiredService {
    service("app2", vec![container("site", image)])
}

/// Two services run; the first one's new version is in its gate, for `secs` by now.
async fn in_its_gate(secs: u64) -> World {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1"), other("web1")]);
    world.converge(1).await;
    world.commit(vec![app1("slow", "db1", "migrate1"), other("web1")]);
    let outcome = pass(&mut world, secs).await;
    assert!(outcome.outcomes.is_empty(), "{:?}", outcome.outcomes);
    assert_eq!(under_way(&world), ["app1"]);
    world
}

async fn pass(world: &mut World, secs: u64) -> PassOutcome {
    world.pass_until(sleep(Duration::from_secs(secs))).await.unwrap().unwrap()
}

fn under_way(world: &World) -> Vec<String> {
    world.state.under_way().map(ToString::to_string).collect()
}

fn results(outcome: &PassOutcome) -> Vec<(&str, &ServiceResult)> {
    outcome.outcomes.iter().map(|o| (o.service.as_str(), &o.result)).collect()
}

#[tokio::test(start_paused = true)]
async fn drift_elsewhere_is_repaired_while_a_gate_lasts_and_the_gate_ends_when_it_must() {
    let mut world = in_its_gate(5).await;
    let began = Instant::now() - Duration::from_secs(5);
    let gated = world.id("app1.prd-web");
    for _ in 0..4 {
        let id = world.id("app2.prd-site");
        world.sim.hand(|engine| engine.containers.remove(&id));
        let outcome = pass(&mut world, 4).await;
        assert_eq!(results(&outcome), [("app2", &ServiceResult::Repaired)]);
        assert_eq!(world.id("app1.prd-web"), gated, "it is left alone");
        world.work(3).await;
    }
    let outcome = world.pass().await.unwrap();
    let results = results(&outcome);
    assert!(
        matches!(
            results[..],
            [
                ("app1", ServiceResult::Failed { class: FailureClass::Version, .. }),
                ("app1", ServiceResult::Repaired)
            ]
        ),
        "{results:?}"
    );
    let lasted = outcome.outcomes[0].took;
    assert!(lasted >= GATE && lasted < GATE + Duration::from_secs(5), "{lasted:?}");
    assert!(began.elapsed() >= GATE);
    let running = ["app1.prd-db db1", "app1.prd-web web1", "app2.prd-site web1"];
    assert_eq!(world.running(), running);
    world.converge(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_to_another_service_is_applied_while_a_gate_lasts() {
    let mut world = in_its_gate(5).await;
    world.commit(vec![app1("slow", "db1", "migrate1"), other("web2")]);
    let outcome = pass(&mut world, 10).await;
    assert_eq!(results(&outcome), [("app2", &ServiceResult::Applied)]);
    assert_eq!(under_way(&world), ["app1"]);
    world.commit(vec![app1("slow", "db1", "migrate1")]);
    let outcome = pass(&mut world, 5).await;
    assert_eq!(results(&outcome), [("app2", &ServiceResult::Removed)]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_to_the_service_in_its_gate_replaces_it_at_once_and_blames_nobody() {
    let mut world = in_its_gate(5).await;
    world.commit(vec![app1("web2", "db1", "migrate1"), other("web1")]);
    let since = Instant::now();
    let outcome = world.pass().await.unwrap();
    assert_eq!(
        results(&outcome),
        [("app1", &ServiceResult::Interrupted), ("app1", &ServiceResult::Applied)]
    );
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert!(world.memory.services["app1"].failed.is_none());
    world.converge(1).await;
    assert_eq!(world.ids().len(), 4, "nothing is left over: {:?}", world.ids());
}

#[tokio::test(start_paused = true)]
async fn a_commit_back_to_what_was_applied_ends_the_gate_and_restores_the_very_containers() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    let before = world.ids();
    world.commit(vec![app1("slow", "db1", "migrate1")]);
    pass(&mut world, 5).await;
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    assert_eq!(world.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_suspension_ends_a_gate_without_a_verdict_and_it_goes_on_afterwards() {
    let mut world = in_its_gate(30).await;
    let suspension = Suspension { reason: "a look by hand".into(), until: None };
    world.tip_mut().services.get_mut("app1").unwrap().suspend = Some(suspension);
    let outcome = world.pass().await.unwrap();
    assert_eq!(results(&outcome), [("app1", &ServiceResult::Interrupted)]);
    let before = world.sim.effects();
    sleep(Duration::from_secs(10)).await;
    world.converge(1).await;
    assert_eq!(world.sim.effects(), before);
    world.tip_mut().services.get_mut("app1").unwrap().suspend = None;
    let since = Instant::now();
    let outcome = world.pass().await.unwrap();
    assert!(matches!(outcome.outcomes[0].result, ServiceResult::Failed { .. }));
    assert!(since.elapsed() < Duration::from_secs(30), "its time went on: {:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_crash_within_a_gate_does_not_lengthen_it() {
    let mut world = in_its_gate(40).await;
    world.restart();
    let since = Instant::now();
    let outcome = world.pass().await.unwrap();
    assert!(matches!(
        outcome.outcomes[0].result,
        ServiceResult::Failed { class: FailureClass::Version, .. }
    ));
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_by_ten_years_passes_and_fails_no_gate() {
    for years in [-10, 10] {
        let mut world = World::new();
        world.commit(vec![app1("web1", "db1", "migrate1")]);
        world.converge(1).await;
        world.commit(vec![app1("web2", "db1", "migrate3")]);
        pass(&mut world, 5).await;
        // The engine's clock is the machine's: what it says of a start before the step stays.
        world.now += jiff::SignedDuration::from_hours(years * 24 * 365);
        pass(&mut world, 5).await;
        world.converge(1).await;
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"], "{years}");
        assert!(world.memory.services["app1"].failed.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn asked_to_end_every_wait_ends_at_once_and_the_next_process_goes_on() {
    let mut world = in_its_gate(5).await;
    let since = Instant::now();
    world.state.end_works();
    world.work(60).await;
    assert_eq!(world.state.take_ended()[0].result, ServiceResult::Interrupted);
    assert!(under_way(&world).is_empty());
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    world.restart();
    world.converge(3).await;
    let running = ["app1.prd-db db1", "app1.prd-web web1", "app2.prd-site web1"];
    assert_eq!(world.running(), running);
}

#[tokio::test(start_paused = true)]
async fn a_migration_is_not_left_half_way_for_another_commit_but_for_the_end() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    world.commit(vec![app1("web2", "db1", "migrate3")]);
    pass(&mut world, 10).await;
    let migration = world.id("app1.prd-migrate");
    world.commit(vec![app1("web2", "db1", "migrate2")]);
    pass(&mut world, 10).await;
    let is_up = |world: &World| {
        let engine = world.sim.engine.borrow();
        engine.find(&migration).is_some_and(|c| matches!(c.phase, Phase::Started(_)))
    };
    assert!(is_up(&world));
    assert_eq!(under_way(&world), ["app1"]);
    world.state.end_works();
    world.work(1).await;
    assert!(is_up(&world), "it goes on by itself");
    assert!(under_way(&world).is_empty());
    world.restart();
    world.converge(3).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_at_any_effect_of_a_rollout_is_what_runs_in_the_end() {
    let mut n = 0;
    for k in 0.. {
        let mut world = World::new();
        world.commit(vec![app1("web1", "db1", "migrate1"), other("web1")]);
        world.converge(1).await;
        world.commit(vec![app1("web2", "db2", "migrate2"), other("web2")]);
        let (sim, at) = (std::rc::Rc::clone(&world.sim), world.sim.effects() + k);
        let reached = async {
            while sim.effects() < at {
                sleep(Duration::from_millis(1)).await;
            }
        };
        drop(world.pass_until(reached).await);
        if under_way(&world).is_empty() && k > n {
            break;
        }
        n = k;
        world.commit(vec![app1("web3", "db2", "migrate2"), other("web1")]);
        world.converge(2).await;
        let running = ["app1.prd-db db2", "app1.prd-web web3", "app2.prd-site web1"];
        assert_eq!(world.running(), running, "after {k}");
        assert_eq!(world.ids().len(), 4, "after {k}: {:?}", world.ids());
    }
    assert!(n > 10, "{n}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_services_work_is_its_own_failure_alone() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1"), other("web1")]);
    world.converge(1).await;
    world.commit(vec![app1("web2", "db1", "migrate1"), other("web2")]);
    *world.sim.panic_at.borrow_mut() = Some("create app2.prd-site".into());
    let outcome = world.pass().await.unwrap();
    let results = results(&outcome);
    assert!(
        matches!(
            results[..],
            [
                ("app2", ServiceResult::Failed { class: FailureClass::Transient, .. }),
                ("app1", ServiceResult::Applied),
                ..
            ]
        ),
        "{results:?}"
    );
    world.converge(3).await;
    let running = ["app1.prd-db db1", "app1.prd-web web2", "app2.prd-site web2"];
    assert_eq!(world.running(), running);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_slow_to_show_a_container_holds_up_no_rollout_of_another() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1"), other("web1")]);
    world.converge(1).await;
    world.commit(vec![app1("web2", "db1", "migrate1"), other("web1")]);
    pass(&mut world, 0).await;
    assert_eq!(under_way(&world), ["app1"]);
    // Its inspect takes a minute and a half, and it is looked at again.
    let site = world.id("app2.prd-site");
    world.state.seen.forget(&site);
    *world.sim.slow.borrow_mut() = Some((site, Duration::from_secs(90)));
    let sim = std::rc::Rc::clone(&world.sim);
    let meanwhile = async {
        sleep(Duration::from_secs(30)).await;
        let engine = sim.engine.borrow();
        let web = engine.containers.values().find(|c| c.name == "app1.prd-web").unwrap();
        assert!(engine.is_up(web), "{:#?}", sim.log.borrow());
        assert!(web.body["Image"].as_str().unwrap().ends_with(&digest("web2").to_string()));
    };
    let (outcome, ()) = tokio::join!(world.pass(), meanwhile);
    assert_eq!(results(&outcome.unwrap()), [("app1", &ServiceResult::Applied)]);
    *world.sim.slow.borrow_mut() = None;
    world.converge(1).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_be_in_sync_while_its_health_gate_is_open_not_even_a_repair() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1"), other("web1")]);
    world.converge(1).await;
    let id = world.id("app1.prd-web");
    world.sim.hand(|engine| engine.containers.remove(&id));
    pass(&mut world, 1).await;
    let outcome = pass(&mut world, 0).await;
    assert_eq!(world.running().len(), 3, "its replacement runs already");
    assert!(outcome.left.is_in_sync(), "nothing is left to be done but to wait: {}", outcome.left);
    let said = said(&world, &outcome);
    let (app1, app2) = (&said.services["app1"], &said.services["app2"]);
    assert_eq!((app1.sync, app1.health), (Sync::OutOfSync, Health::Progressing));
    assert!(app1.reason.starts_with("under way: drift in web"), "{}", app1.reason);
    assert_eq!((app2.sync, app2.health), (Sync::Synced, Health::Healthy));
    assert!(!said.is_in_sync() && said.revision.applied.is_none());
    let outcome = world.pass().await.unwrap();
    assert!(self::said(&world, &outcome).is_in_sync());
}

fn said(world: &World, outcome: &PassOutcome) -> Status {
    let desired = &world.commits[world.tip.as_ref().unwrap()];
    let facts = Facts {
        node: &desired.node,
        environment: desired.revision.environment(),
        trust: TrustLevel::Signed,
        tip: desired.revision.commit(),
        verified: desired.revision.commit(),
        committed_at: None,
        refused: None,
        waits: None,
        git: Reach::Answers,
        metrics: Reach::Answers,
        unused: Reach::Answers,
        engine: Reach::Answers,
        mistakes: Vec::new(),
        desired: Some(desired),
        plan: Some(&outcome.left),
        observed: Some(&outcome.observed),
        failures: std::collections::BTreeMap::new(),
        under_way: world.state.reasons_under_way(),
        memory: &world.memory,
        now: world.now,
    };
    next_status(None, &facts)
}
