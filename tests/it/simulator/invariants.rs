//! What must hold after every single call (FAULTS.md, "Invariants").

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tidegate::clients::docker::ContainerState;
use tidegate::model::Digest;
use tidegate::reconcile::memory::Memory;
use tidegate::reconcile::observed::labels;
use tokio::time::Instant;

use crate::simulator::engine::{Container, Engine};
use crate::simulator::sim::foreign;

/// The hub's password, which nobody may ever read.
pub(crate) const CANARY: &str = "canary-hub-51c7e0";

#[derive(Debug, Default)]
pub(crate) struct Invariants {
    foreign: BTreeSet<String>,
    /// Service and container of every place that the newest commit wants.
    pub(crate) wanted: BTreeSet<(String, String)>,
    /// Images that some commit names.
    pub(crate) committed: BTreeSet<Digest>,
    pub(crate) broken: Vec<String>,
    /// When calls failed, within the last minute.
    failed: VecDeque<Instant>,
}

/// Calls that may fail within a minute: what fails is tried again ever more rarely.
const FAILED_PER_MINUTE_MAX: usize = 30;

/// What matters about the container that a call is about.
pub(crate) struct Before {
    container: Option<Container>,
    healthy: bool,
}

fn place(container: &Container) -> (String, String) {
    let label = |name: &str| container.body["Labels"][name].as_str().unwrap_or_default().to_owned();
    (label(labels::SERVICE), label(labels::CONTAINER))
}

impl Invariants {
    pub(crate) fn snapshot(&mut self, engine: &Engine) {
        self.foreign = foreign(engine);
    }

    /// A call failed.
    pub(crate) fn fail(&mut self, what: &str) {
        let now = Instant::now();
        self.failed.push_back(now);
        while self.failed.front().is_some_and(|at| now - *at > Duration::from_secs(60)) {
            self.failed.pop_front();
        }
        if self.failed.len() > FAILED_PER_MINUTE_MAX {
            self.broken.push(format!("I16: {what} is one of too many that fail in a minute"));
        }
    }

    /// Something that people or machines may read.
    pub(crate) fn read(&mut self, text: &str) {
        if text.contains(CANARY) {
            self.broken.push(format!("I13: a secret is shown: {text}"));
        }
    }

    /// I12: where locks are taken, who changes an engine has that engine's.
    pub(crate) fn alone(&mut self, engine: &Engine, who: u32, what: &str) {
        let holder = engine.holders.get(&engine.id);
        if !engine.holders.is_empty() && holder != Some(&who) {
            self.broken.push(format!("I12: {what} by {who}, while {holder:?} has the engine"));
        }
    }

    pub(crate) fn before(engine: &Engine, what: &str) -> Before {
        let id = what.split(' ').nth(1).unwrap_or_default();
        let container = engine.containers.get(id).cloned();
        let healthy = container.as_ref().is_some_and(|c| {
            let now = engine.now(c);
            now.state == ContainerState::Running
                && now.restarts == 0
                && matches!(now.health, None | Some("healthy"))
        });
        Before { container, healthy }
    }

    pub(crate) fn after(&mut self, engine: &Engine, what: &str, before: Before, saved: &Memory) {
        if foreign(engine) != self.foreign {
            self.broken.push(format!("I5: {what} touched what is not ours"));
        }
        for container in engine.containers.values() {
            let ours = container.body["Labels"].get(labels::PROOF).is_some();
            if ours && !self.is_committed(engine, container) {
                self.broken.push(format!("I2: {what}: {} is in no commit", container.name));
            }
        }
        let Some(container) = before.container else { return };
        let place = place(&container);
        let wanted = self.wanted.contains(&place);
        let memory = saved.services.iter().find(|(name, _)| name.as_str() == place.0);
        let halted = memory.is_some_and(|(_, m)| !m.was_applied() && m.failed.is_some());
        let mut others =
            engine.containers.values().filter(|c| c.id != container.id && self::place(c) == place);
        if what.starts_with("stop ")
            && before.healthy
            && wanted
            && !halted
            && others.next().is_none()
        {
            self.broken.push(format!("I1: {what}: {} has no replacement", container.name));
        }
        if what.starts_with("remove ") && wanted {
            let mut others = engine.containers.values().filter(|c| {
                c.id != container.id
                    && self::place(c) == place
                    && (engine.is_up(c) || engine.now(c).exit_code == 0)
            });
            if others.next().is_none() && !saved_once(saved, &place) {
                self.broken.push(format!("I11: {what}: {} was the last one", container.name));
            }
        }
    }

    fn is_committed(&self, engine: &Engine, container: &Container) -> bool {
        let image = engine.images.get(&container.image);
        image.is_none_or(|image| self.committed.contains(&image.digest))
    }
}

fn saved_once(saved: &Memory, (service, container): &(String, String)) -> bool {
    let memory = saved.services.iter().find(|(name, _)| name.as_str() == service);
    memory.is_some_and(|(_, m)| m.once.keys().any(|key| key.as_str() == container))
}
