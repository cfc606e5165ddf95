//! The process dies at every effect of a run, before or after the effect, and starts again.

use tidegate::clients::docker::DockerErrorKind;
use tidegate::model::Digest;
use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::desired::service::Strategy;
use tidegate::reconcile::memory::Memory;

use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1, closed, container, service};

/// I3: passes until nothing is left, once faults stop.
const PASSES_MAX: usize = 3;

const EFFECTS: [Effect; 2] = [Effect::Happened, Effect::Lost];

struct Run {
    name: &'static str,
    first: Vec<DesiredService>,
    then: Vec<DesiredService>,
    end: &'static [&'static str],
}

fn start_first(image: &str) -> DesiredService {
    let mut made = service("app1", vec![container("web", image)]);
    made.update.strategy = Strategy::StartFirst;
    made
}

fn runs() -> Vec<Run> {
    let both = || vec![container("web", "web1"), container("db", "db1")];
    vec![
        Run {
            name: "new",
            first: vec![],
            then: vec![app1("web1", "db1", "migrate1")],
            end: &["app1.prd-db db1", "app1.prd-web web1"],
        },
        Run {
            name: "change",
            first: vec![app1("web1", "db1", "migrate1")],
            then: vec![app1("web2", "db2", "migrate2")],
            end: &["app1.prd-db db2", "app1.prd-web web2"],
        },
        Run {
            name: "fail",
            first: vec![app1("web1", "db1", "migrate1")],
            then: vec![app1("bad", "db2", "migrate1")],
            end: &["app1.prd-db db1", "app1.prd-web web1"],
        },
        Run {
            name: "crash loop",
            first: vec![app1("web1", "db1", "migrate1")],
            then: vec![app1("crash", "db1", "migrate1")],
            end: &["app1.prd-db db1", "app1.prd-web web1"],
        },
        Run {
            name: "start first",
            first: vec![start_first("web1")],
            then: vec![start_first("web2")],
            end: &["app1.prd-web web2"],
        },
        Run {
            name: "remove",
            first: vec![service("app1", both()), service("app2", both())],
            then: vec![service("app1", both())],
            end: &["app1.prd-db db1", "app1.prd-web web1"],
        },
        Run {
            name: "a network's settings",
            first: vec![app1("web1", "db1", "migrate1")],
            then: vec![closed(app1("web1", "db1", "migrate1"))],
            end: &["app1.prd-db db1", "app1.prd-web web1"],
        },
        Run {
            name: "a network's settings and an image that fails",
            first: vec![app1("web1", "db1", "migrate1")],
            then: vec![closed(app1("bad", "db1", "migrate1"))],
            end: &["app1.prd-db db1", "app1.prd-web web1"],
        },
        Run {
            name: "container removed and renamed",
            first: vec![service("app1", both())],
            then: vec![service("app1", vec![container("front", "web2")])],
            end: &["app1.prd-front web2"],
        },
    ]
}

async fn prepared(run: &Run) -> World {
    let mut world = World::new();
    if !run.first.is_empty() {
        world.commit(run.first.clone());
        world.converge(1).await;
    }
    world.commit(run.then.clone());
    world
}

/// Converges and checks the end; says how many effects that took.
async fn finish(world: &mut World, run: &Run, what: &str) {
    world.converge(PASSES_MAX).await;
    assert_eq!(world.running(), run.end, "{what}: {:#?}", world.sim.log.borrow());
    let olds: Vec<String> = world.ids().into_keys().filter(|n| n.contains(".old-")).collect();
    assert_eq!(olds, [] as [String; 0], "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_effect_is_finished_or_undone_by_the_next() {
    for run in runs() {
        let mut world = prepared(&run).await;
        let from = world.sim.effects();
        finish(&mut world, &run, run.name).await;
        let n = world.sim.effects() - from;
        assert!(n > 3, "{}", run.name);
        for k in 0..n {
            for effect in EFFECTS {
                let mut world = prepared(&run).await;
                world.sim.crash_at.set(Some((world.sim.effects() + k, effect)));
                while !world.sim.crashed.get() && world.pass().await.is_some() {}
                world.restart();
                finish(&mut world, &run, &format!("{} dies at {k}, {effect:?}", run.name)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_again_while_recovering_is_finished_all_the_same() {
    for run in runs() {
        let mut world = prepared(&run).await;
        let from = world.sim.effects();
        finish(&mut world, &run, run.name).await;
        let n = world.sim.effects() - from;
        for k in 0..n {
            // Every second death within the first steps of the recovery, then ever sparser.
            for again in [0, 1, 3, 8] {
                let effect = EFFECTS[(k + again) % 2];
                let mut world = prepared(&run).await;
                for at in [k, again] {
                    world.sim.crash_at.set(Some((world.sim.effects() + at, effect)));
                    for _ in 0..PASSES_MAX {
                        if world.pass().await.is_none() {
                            break;
                        }
                    }
                    world.sim.crash_at.set(None);
                    world.restart();
                }
                let what = format!("{} dies at {k} and {again}, {effect:?}", run.name);
                finish(&mut world, &run, &what).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_with_or_without_its_effect_is_made_good() {
    let kinds = [
        DockerErrorKind::Timeout,
        DockerErrorKind::Interrupted,
        DockerErrorKind::Engine,
        DockerErrorKind::Malformed,
    ];
    for run in runs() {
        let mut world = prepared(&run).await;
        let from = world.sim.effects();
        finish(&mut world, &run, run.name).await;
        let n = world.sim.effects() - from;
        for k in 0..n {
            for effect in EFFECTS {
                // Each kind meets each step somewhere: the runs are of different lengths.
                let kind = kinds[k % kinds.len()];
                let mut world = prepared(&run).await;
                world.sim.fault_at.set(Some((world.sim.effects() + k, kind, effect)));
                let what = format!("{} fails at {k}: {kind:?}, {effect:?}", run.name);
                // A start that is refused counts against the version; then the way back is right.
                world.converge(PASSES_MAX).await;
                let memory = &world.memory.services;
                let blamed = memory.values().any(|m| m.failed.is_some());
                if !blamed {
                    assert_eq!(world.running(), run.end, "{what}: {:#?}", world.sim.log.borrow());
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_memory_is_rebuilt_from_what_runs() {
    for run in runs() {
        let mut world = prepared(&run).await;
        let from = world.sim.effects();
        finish(&mut world, &run, run.name).await;
        let n = world.sim.effects() - from;
        for k in 0..=n {
            let mut world = prepared(&run).await;
            world.sim.crash_at.set(Some((world.sim.effects() + k, Effect::Happened)));
            for _ in 0..PASSES_MAX {
                if world.pass().await.is_none() {
                    break;
                }
            }
            world.sim.crash_at.set(None);
            *world.sim.saved.borrow_mut() = Memory::default();
            world.restart();
            finish(&mut world, &run, &format!("{} dies at {k}, memory lost", run.name)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spec_hash_that_an_upgrade_changes_restarts_nothing() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    let ids = world.ids();
    let other = Digest::of(b"as another version of the program would hash it");
    for memory in world.memory.services.values_mut() {
        memory.applied.as_mut().unwrap().content = other;
        memory.once.values_mut().for_each(|spec| *spec = other);
    }
    world.converge(1).await;
    assert_eq!(world.ids(), ids);
}
