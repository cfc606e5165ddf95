//! A node, its commits and its engine; passes that may die in the middle.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::clients::docker::RegistryAuth;
use tidegate::config::NodePolicy;
use tidegate::model::{CommitId, Digest, Mode, Revision};
use tidegate::reconcile::desired::container::{
    Condition, Endpoint, NetworkAttachment, Pin, RestartPolicy, Run,
};
use tidegate::reconcile::desired::service::UpdatePolicy;
use tidegate::reconcile::desired::{
    ContainerSpec, DesiredContainer, DesiredNetwork, DesiredService, DesiredState, DesiredVolume,
};
use tidegate::reconcile::memory::Memory;
use tidegate::reconcile::observed::{Look, OwnershipKey};
use tidegate::reconcile::pass::{
    Effects, Intent, PassError, PassInput, PassOutcome, PassState, reconcile_once,
};
use tidegate::reconcile::plan::{HeldReason, Overrides};
use tokio::time::Instant;

use crate::simulator::engine::{BEGAN, Behaviour, Container, Image, Phase};
use crate::simulator::invariants::CANARY;
use crate::simulator::sim::Sim;

pub(crate) const GOOD: Behaviour = Behaviour::Healthy(2);

pub(crate) struct World {
    pub(crate) sim: Rc<Sim>,
    pub(crate) commits: BTreeMap<Revision, DesiredState>,
    pub(crate) tip: Option<Revision>,
    pub(crate) memory: Memory,
    pub(crate) state: PassState,
    pub(crate) policy: NodePolicy,
    pub(crate) overrides: Overrides,
    pub(crate) intent: Intent,
    pub(crate) look: Look,
    pub(crate) now: Timestamp,
    /// How often an older revision was resolved.
    pub(crate) n_resolved: Cell<usize>,
    /// The engine that this process has for itself; none where a test has one process alone.
    pub(crate) locked: Option<String>,
    key: OwnershipKey,
    began: Instant,
    nonces: Cell<u64>,
}

pub(crate) fn digest(name: &str) -> Digest {
    Digest::of(format!("manifest of {name}").as_bytes())
}

pub(crate) fn container(name: &str, image: &str) -> DesiredContainer {
    let endpoint = Endpoint { aliases: vec![name.to_owned()], ..Endpoint::default() };
    let networks = BTreeMap::from([("default".parse().unwrap(), endpoint)]);
    DesiredContainer {
        name: name.parse().unwrap(),
        pin: Pin {
            repository: "x".parse().unwrap(),
            digest: Some(digest(image)),
            image_id: None,
            version: None,
        },
        run: Run::Always,
        depends_on: BTreeMap::new(),
        spec: ContainerSpec {
            network: NetworkAttachment::Networks { networks },
            restart: RestartPolicy::UnlessStopped,
            ..ContainerSpec::default()
        },
    }
}

pub(crate) fn once(name: &str, image: &str) -> DesiredContainer {
    let mut container = container(name, image);
    container.run = Run::Once;
    container.spec.restart = RestartPolicy::No;
    container
}

pub(crate) fn after(
    mut container: DesiredContainer,
    on: &str,
    condition: Condition,
) -> DesiredContainer {
    container.depends_on.insert(on.parse().unwrap(), condition);
    container
}

pub(crate) fn service(name: &str, containers: Vec<DesiredContainer>) -> DesiredService {
    let network = DesiredNetwork {
        engine_name: format!("{name}.prd"),
        external: false,
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        enable_ipv6: false,
        subnets: Vec::new(),
        labels: BTreeMap::new(),
    };
    DesiredService {
        name: name.parse().unwrap(),
        app: "app".parse().unwrap(),
        mode: Mode::Apply,
        suspend: None,
        update: UpdatePolicy::default(),
        containers: containers.into_iter().map(|c| (c.name.clone(), Box::new(c))).collect(),
        networks: BTreeMap::from([("default".parse().unwrap(), network)]),
        volumes: BTreeMap::new(),
    }
}

/// The reference service: web and db, and a migration in between.
pub(crate) fn app1(web: &str, db: &str, migrate: &str) -> DesiredService {
    let mut web = container("web", web);
    web.spec.environment.insert("A".into(), "1".into());
    let mut migrate = after(once("migrate", migrate), "db", Condition::ServiceHealthy);
    migrate.spec.command = Some(vec!["migrate".into()]);
    let web = after(web, "migrate", Condition::ServiceCompletedSuccessfully);
    service("app1", vec![after(web, "db", Condition::ServiceHealthy), container("db", db), migrate])
}

/// The same service on a network that leads nowhere else.
pub(crate) fn closed(mut service: DesiredService) -> DesiredService {
    service.networks.values_mut().for_each(|network| network.internal = true);
    service
}

/// The same service with data of its own.
pub(crate) fn with_volume(mut service: DesiredService, driver: &str) -> DesiredService {
    let volume = DesiredVolume {
        engine_name: format!("{}.prd_data", service.name),
        external: false,
        driver: Some(driver.to_owned()),
        driver_opts: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    service.volumes.insert("data".parse().unwrap(), volume);
    service
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            sim: Rc::new(Sim::new()),
            commits: BTreeMap::new(),
            tip: None,
            memory: Memory::default(),
            state: PassState::default(),
            policy: NodePolicy::default(),
            overrides: Overrides::default(),
            intent: Intent::Apply,
            look: Look::Changes,
            now: BEGAN.parse().unwrap(),
            n_resolved: Cell::new(0),
            locked: None,
            key: OwnershipKey::derive(b"secret"),
            began: Instant::now(),
            nonces: Cell::new(0),
        };
        for (name, behaviour) in [
            ("web1", GOOD),
            ("web2", GOOD),
            ("web3", Behaviour::Plain),
            ("bad", Behaviour::NeverHealthy),
            // Healthy, but not before any gate's end.
            ("slow", Behaviour::Healthy(3600)),
            ("crash", Behaviour::Exits(1, 3)),
            ("db1", GOOD),
            ("db2", GOOD),
            ("migrate1", Behaviour::Exits(2, 0)),
            ("migrate2", Behaviour::Exits(2, 0)),
            ("migrate3", Behaviour::Exits(30, 0)),
            ("migratebad", Behaviour::Exits(2, 9)),
        ] {
            world.image(name, behaviour);
        }
        world
    }

    /// A node on which the reference service runs.
    pub(crate) async fn deployed() -> Self {
        let mut world = Self::new();
        world.commit(vec![app1("web1", "db1", "migrate1")]);
        world.converge(1).await;
        world
    }

    pub(crate) fn image(&self, name: &str, behaviour: Behaviour) {
        let image = Image {
            digest: digest(name),
            id: Digest::of(format!("config of {name}").as_bytes()),
            behaviour,
            config: json!({ "Env": ["PATH=/bin"], "Cmd": [name], "Labels": { "maker": "us" } }),
        };
        self.sim.hand(|engine| engine.hub.insert(image.digest, image));
    }

    /// A commit with these services; it is the newest from now on.
    pub(crate) fn commit(&mut self, services: Vec<DesiredService>) -> Revision {
        let n = u8::try_from(self.commits.len()).unwrap();
        let revision = Revision::Commit {
            environment: "prd".parse().unwrap(),
            commit: CommitId::from_bytes([n; 20]),
        };
        let state = DesiredState {
            revision: revision.clone(),
            node: "n1".parse().unwrap(),
            node_declared: true,
            hub: "hub.test".parse().unwrap(),
            hub_plain_http: false,
            checks: Vec::new(),
            rules: Vec::new(),
            pins: Vec::new(),
            services: services.into_iter().map(|s| (s.name.clone(), s)).collect(),
            windows: Vec::new(),
            freezes: Vec::new(),
            mode: Mode::Apply,
            allow_removal: std::collections::BTreeSet::new(),
            urgent: std::collections::BTreeSet::new(),
        };
        let mut invariants = self.sim.invariants.borrow_mut();
        invariants.wanted.clear();
        for service in state.services.values() {
            for container in service.containers.values() {
                let place = (service.name.to_string(), container.name.to_string());
                invariants.wanted.insert(place);
                invariants.committed.extend(container.pin.digest);
            }
        }
        drop(invariants);
        self.commits.insert(revision.clone(), state);
        self.tip = Some(revision.clone());
        revision
    }

    pub(crate) fn tip_mut(&mut self) -> &mut DesiredState {
        self.commits.get_mut(self.tip.as_ref().unwrap()).unwrap()
    }

    /// One pass; none if the process died in it.
    pub(crate) async fn pass(&mut self) -> Option<PassOutcome> {
        self.try_pass().await.map(Result::unwrap)
    }

    /// One pass, which may find no engine or no space.
    pub(crate) async fn try_pass(&mut self) -> Option<Result<PassOutcome, PassError>> {
        self.pass_until(std::future::pending()).await
    }

    /// One pass that is over at the latest with `until`, whatever is under way.
    pub(crate) async fn pass_until(
        &mut self,
        until: impl Future<Output = ()>,
    ) -> Option<Result<PassOutcome, PassError>> {
        let commits = self.commits.clone();
        let resolve = |revision: &Revision| {
            self.n_resolved.set(self.n_resolved.get() + 1);
            commits.get(revision).cloned()
        };
        let clock = self.clock();
        let nonce = || {
            self.nonces.set(self.nonces.get() + 1);
            format!("{:08x}", self.nonces.get())
        };
        let auth = RegistryAuth::password("hub.test", "alice", CANARY);
        let input = PassInput {
            desired: &commits[self.tip.as_ref().unwrap()],
            resolve: &resolve,
            policy: &self.policy,
            key: &self.key,
            files_dir: "/var/lib/tidegate/files",
            overrides: &self.overrides,
            auth: Some(&auth),
            look: self.look,
            intent: self.intent,
            trigger: "test",
            engine: self.locked.as_deref(),
        };
        let sim = &self.sim;
        let effects =
            Effects { docker: sim, files: sim, store: &**sim, now: &clock, nonce: &nonce };
        let pass = reconcile_once(input, effects, &mut self.memory, &mut self.state, until);
        let ended = tokio::select! {
            biased;
            () = sim.dies.notified() => None,
            result = pass => Some(result),
        };
        if let Some(Ok(outcome)) = &ended {
            let said = (&outcome.plan, &outcome.left, &outcome.outcomes, &outcome.notes);
            let said = format!("{said:?}{}{:?}", outcome.plan, self.memory);
            self.sim.invariants.borrow_mut().read(&said);
        }
        self.assert_sound();
        match ended {
            Some(result) if !self.sim.crashed.get() => Some(result),
            _ => None,
        }
    }

    /// Works for so long on what is under way, as the agent does between passes, or until one of it
    /// has ended.
    pub(crate) async fn work(&mut self, secs: u64) {
        let now = self.clock();
        let work = self.state.work(&mut self.memory, &*self.sim, &*now);
        let _ = tokio::time::timeout(Duration::from_secs(secs), work).await;
        self.assert_sound();
    }

    fn clock(&self) -> Rc<dyn Fn() -> Timestamp> {
        let (now, began) = (self.now, self.began);
        Rc::new(move || now + began.elapsed())
    }

    fn assert_sound(&self) {
        let broken = self.sim.invariants.borrow().broken.clone();
        assert_eq!(broken, Vec::<String>::new(), "{:#?}", self.sim.log.borrow());
    }

    /// A new process: what was saved is all it knows.
    pub(crate) fn restart(&mut self) {
        self.sim.crashed.set(false);
        // A death that nobody waited for is over, too.
        let _ = self.sim.dies.notified().now_or_never();

        self.memory = self.sim.saved.borrow().clone();
        self.state = PassState::default();
    }

    /// Passes, as the agent makes them, until one has nothing to do; at most `passes_max`.
    pub(crate) async fn converge(&mut self, passes_max: usize) {
        for _ in 0..passes_max {
            let Ok(outcome) = self.try_pass().await.unwrap() else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let saved = !outcome.notes.iter().any(|note| note.contains("cannot be saved"));
            let later = outcome.left.held.iter();
            let later =
                later.filter(|held| matches!(held.reason, HeldReason::Later { .. })).count();
            if outcome.left.services.is_empty() && saved && later == 0 {
                return self.assert_idle().await;
            }
            tokio::time::sleep(outcome.requeue.unwrap_or(Duration::from_secs(1))).await;
        }
        let log = self.sim.log.borrow().clone();
        let tail = &log[log.len().saturating_sub(30)..];
        let plan = self.pass().await.map(|outcome| outcome.plan.to_string());
        panic!("not converged in {passes_max} passes: {tail:#?}\n{plan:?}");
    }

    /// I4: nothing to do, no effect, no save.
    async fn assert_idle(&mut self) {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = self.sim.effects();
        let outcome = self.pass().await.unwrap();
        assert_eq!(self.sim.log.borrow()[before..], [] as [String; 0], "{}", outcome.plan);
    }

    /// What runs: name and image, in order of names.
    pub(crate) fn running(&self) -> Vec<String> {
        let engine = self.sim.engine.borrow();
        let up = engine.containers.values().filter(|c| engine.is_up(c));
        let mut names: Vec<String> = up.map(|c| format!("{} {}", c.name, image_name(c))).collect();
        names.sort();
        names
    }

    /// Name and id of every container.
    pub(crate) fn ids(&self) -> BTreeMap<String, String> {
        let engine = self.sim.engine.borrow();
        engine.containers.values().map(|c| (c.name.clone(), c.id.clone())).collect()
    }

    /// The id of the container with this name.
    pub(crate) fn id(&self, name: &str) -> String {
        self.ids().remove(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Somebody starts a container without us.
    pub(crate) fn foreigner(&self, name: &str, labels: &Value) {
        let mut container = Container {
            id: format!("{:064x}", 0xf0_0000 + name.len()),
            name: name.to_owned(),
            body: json!({ "Image": "x", "Labels": labels, "HostConfig": { "NetworkMode": "none" } }),
            image: digest("foreign"),
            phase: Phase::Started(Instant::now()),
            networks: BTreeMap::new(),
            anonymous: BTreeMap::new(),
        };
        container.networks.insert("none".into(), json!({}));
        self.sim.hand(|engine| engine.containers.insert(container.id.clone(), container));
    }
}

fn image_name(container: &Container) -> String {
    let text = container.body["Image"].as_str().unwrap_or_default();
    ["web1", "web2", "web3", "bad", "slow", "crash", "db1", "db2"]
        .iter()
        .find(|name| text.ends_with(&digest(name).to_string()))
        .map_or_else(|| "?".to_owned(), |name| (*name).to_owned())
}
