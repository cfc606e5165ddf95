//! I12: two processes on one engine, with the real locks, however they interleave, die and end.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tidegate::clients::host::EngineLock;
use tidegate::reconcile::pass::PassError;

use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1, with_volume};

/// What one process does next.
#[derive(Debug, Clone)]
enum Turn {
    /// A pass, as far as it may.
    Pass,
    /// A pass that the process dies in.
    Dies {
        after: usize,
        effect: Effect,
    },
    /// It ends well, and somebody starts it again.
    Ends,
    /// Somebody removes a container.
    Removes,
    /// Another engine, without anything of ours, answers from now on.
    Replaced,
    Sleeps(u64),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let effect = || prop_oneof![Just(Effect::Happened), Just(Effect::Lost)];
    let turn = prop_oneof![
        4 => Just(Turn::Pass),
        3 => (0..12_usize, effect()).prop_map(|(after, effect)| Turn::Dies { after, effect }),
        1 => Just(Turn::Ends),
        2 => Just(Turn::Removes),
        1 => Just(Turn::Replaced),
        3 => (0..20_u64).prop_map(Turn::Sleeps),
    ];
    prop::collection::vec(turn, 1..12)
}

/// A process as the agent is one: it locks the engine that answers before it changes anything, and
/// lets go when it ends, dies, or sees another engine.
struct Process {
    world: World,
    lock: Option<(String, EngineLock)>,
}

impl Process {
    fn release(&mut self) {
        self.world.locked = None;
        if let Some((id, _lock)) = self.lock.take() {
            self.world.sim.engine.borrow_mut().holders.remove(&id);
        }
    }

    fn has_engine(&mut self, folder: &Path) -> bool {
        if self.lock.is_none() {
            let id = self.world.sim.engine.borrow().id.clone();
            let Ok(lock) = EngineLock::acquire(folder, &id, None) else { return false };
            let who = self.world.sim.who;
            let before = self.world.sim.engine.borrow_mut().holders.insert(id.clone(), who);
            assert_eq!(before, None, "two have the lock of {id}");
            self.world.locked = Some(id.clone());
            self.lock = Some((id, lock));
        }
        true
    }

    async fn pass(&mut self, folder: &Path) {
        if !self.has_engine(folder) {
            return;
        }
        match self.world.try_pass().await {
            None => {
                self.release();
                self.world.restart();
            }
            Some(Err(PassError::OtherEngine)) => self.release(),
            Some(_) => {}
        }
    }

    async fn live(&mut self, turns: Vec<Turn>, folder: &Path) {
        for turn in turns {
            match turn {
                Turn::Pass => self.pass(folder).await,
                Turn::Dies { after, effect } => {
                    self.world.sim.crash_at.set(Some((self.world.sim.effects() + after, effect)));
                    self.pass(folder).await;
                    self.world.sim.crash_at.set(None);
                }
                Turn::Ends => {
                    self.release();
                    self.world.restart();
                }
                Turn::Removes => {
                    let id = self.world.ids().into_values().next();
                    self.world
                        .sim
                        .engine
                        .borrow_mut()
                        .containers
                        .retain(|c, _| Some(c) != id.as_ref());
                }
                Turn::Replaced => {
                    // A work under way ends at its next look, which is not simulated here.
                    let mut engine = self.world.sim.engine.borrow_mut();
                    if engine.holders.len() < 2 && self.lock.is_some() {
                        engine.containers.clear();
                        engine.networks.clear();
                        engine.volumes.clear();
                        engine.id = format!("{}+", engine.id);
                    }
                }
                Turn::Sleeps(secs) => tokio::time::sleep(Duration::from_secs(secs)).await,
            }
            tokio::task::yield_now().await;
        }
        self.release();
    }
}

fn processes() -> [Process; 2] {
    let commit = |mut world: World| {
        world.commit(vec![with_volume(app1("web1", "db1", "migrate1"), "local")]);
        Process { world, lock: None }
    };
    let first = World::new();
    let mut second = World::new();
    second.sim = Rc::new(first.sim.beside(1));
    [commit(first), commit(second)]
}

async fn both(turns: [Vec<Turn>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, mut second] = processes();
    first.world.sim.engine.borrow_mut().holders.insert("nobody's".into(), 9);
    let [a, b] = turns;
    tokio::join!(first.live(a, folder.path()), second.live(b, folder.path()));
    // Whoever is left makes it so.
    assert!(first.has_engine(folder.path()));
    assert!(!second.has_engine(folder.path()), "the other one is refused");
    first.world.state = tidegate::reconcile::pass::PassState::default();
    first.world.converge(4).await;
    assert_eq!(first.world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[test]
fn two_processes_never_change_one_engine_however_they_interleave_and_die() {
    let config = ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(12),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(a in turns(), b in turns())| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(both([a, b]));
    });
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "I12")]
async fn a_process_without_the_lock_would_be_seen() {
    let [mut first, mut second] = processes();
    let folder = tempfile::tempdir().unwrap();
    assert!(first.has_engine(folder.path()));
    second.world.pass().await;
}
