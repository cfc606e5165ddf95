//! Data that goes, and what had run once on it.

use tidegate::reconcile::desired::DesiredService;

use crate::simulator::engine::Engine;
use crate::simulator::sim::Effect;
use crate::simulator::world::{World, after, app1, once, with_volume};

const END: [&str; 2] = ["app1.prd-db db1", "app1.prd-web web1"];

fn stateful() -> DesiredService {
    with_volume(app1("web1", "db1", "migrate1"), "local")
}

async fn deployed(service: DesiredService) -> World {
    let mut world = World::new();
    world.commit(vec![service]);
    world.converge(1).await;
    assert_eq!(n_runs(&world), 1);
    world
}

fn n_runs(world: &World) -> usize {
    let log = world.sim.log.borrow();
    log.iter().filter(|what| what.contains("create app1.prd-migrate")).count()
}

/// Everything of the engine's is gone.
fn empty(engine: &mut Engine) {
    engine.containers.clear();
    engine.networks.clear();
    engine.volumes.clear();
    engine.images.clear();
}

#[tokio::test(start_paused = true)]
async fn a_migration_runs_again_where_its_data_is_gone_before_what_waits_for_it_starts() {
    // Engine 20.10 keeps its id in /etc, so that an emptied one is known by its volumes alone.
    for id in ["first", "another"] {
        let mut world = deployed(stateful()).await;
        world.sim.hand(|engine| {
            empty(engine);
            engine.id = id.to_owned();
        });
        let from = world.sim.effects();
        let plan = world.pass().await.unwrap().plan.to_string();
        let why =
            "drift in migrate: is done on data that is gone, should be done on the data of now";
        assert!(plan.contains(why), "{plan}");
        world.converge(1).await;
        assert_eq!((n_runs(&world), world.running()), (2, END.map(str::to_owned).to_vec()), "{id}");
        let log = world.sim.log.borrow()[from..].to_vec();
        let started: Vec<&String> = log.iter().filter(|what| what.starts_with("start ")).collect();
        let ids = ["app1.prd-db", "app1.prd-migrate", "app1.prd-web"].map(|name| world.id(name));
        let wanted = ids.map(|id| format!("start {id}"));
        assert_eq!(started, wanted.iter().collect::<Vec<_>>(), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_removed_by_hand_takes_the_success_of_its_migration_along() {
    let mut world = deployed(stateful()).await;
    let (db, migrate) = (world.id("app1.prd-db"), world.id("app1.prd-migrate"));
    // The container that succeeded is still there, and would say so. The agent has heard of the other
    // one's end, and not yet of the volume's.
    world.state.seen.forget(&db);
    world.sim.hand(|engine| {
        engine.containers.remove(&db);
        engine.volumes.clear();
    });
    world.converge(1).await;
    assert_eq!(n_runs(&world), 2);
    assert_ne!(world.id("app1.prd-migrate"), migrate);
    assert_eq!(world.running(), END);
}

#[tokio::test(start_paused = true)]
async fn a_migration_does_not_run_again_while_its_data_is_there() {
    let mut world = deployed(stateful()).await;
    // Containers, networks and the engine's identity go; the data stays.
    world.sim.hand(|engine| {
        engine.containers.clear();
        engine.networks.clear();
        engine.id = "another".to_owned();
    });
    world.converge(1).await;
    assert_eq!((n_runs(&world), world.running()), (1, END.map(str::to_owned).to_vec()));
    // A volume more does not mean that the other one is new.
    let mut more = stateful();
    let mut cache = more.volumes.values().next().unwrap().clone();
    cache.engine_name = "app1.prd_cache".into();
    more.volumes.insert("cache".parse().unwrap(), cache);
    world.commit(vec![more]);
    world.converge(1).await;
    assert_eq!(n_runs(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_volume_the_engine_decides() {
    for (id, n) in [("first", 1), ("another", 2)] {
        let mut world = deployed(app1("web1", "db1", "migrate1")).await;
        world.sim.hand(|engine| {
            empty(engine);
            engine.id = id.to_owned();
        });
        world.converge(1).await;
        assert_eq!((n_runs(&world), world.running()), (n, END.map(str::to_owned).to_vec()), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_effect_runs_every_migration_again_on_new_data() {
    use tidegate::reconcile::desired::container::Condition::ServiceCompletedSuccessfully;
    let mut service = stateful();
    let second = after(once("second", "migrate2"), "migrate", ServiceCompletedSuccessfully);
    service.containers.insert(second.name.clone(), Box::new(second));
    let lost = async || {
        let mut world = World::new();
        world.commit(vec![service.clone()]);
        world.converge(1).await;
        world.sim.hand(|engine| {
            empty(engine);
            engine.id = "another".to_owned();
        });
        world
    };
    let mut world = lost().await;
    let from = world.sim.effects();
    world.converge(1).await;
    let n = world.sim.effects() - from;
    for k in 0..n {
        for effect in [Effect::Happened, Effect::Lost] {
            let mut world = lost().await;
            let from = world.sim.effects();
            world.sim.crash_at.set(Some((from + k, effect)));
            while !world.sim.crashed.get() && world.pass().await.is_some() {}
            world.restart();
            world.converge(3).await;
            assert_eq!(world.running(), END, "{k} {effect:?}");
            let log = world.sim.log.borrow()[from..].to_vec();
            for name in ["migrate", "second"] {
                let started = format!("start {}", world.id(&format!("app1.prd-{name}")));
                assert!(log.contains(&started), "{name} {k} {effect:?}: {log:#?}");
            }
        }
    }
}
