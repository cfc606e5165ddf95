//! The chosen set on a real engine: the same loop, the same story.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::clients::docker::{ContainerId, DockerClient, DockerRead, DockerWrite};
use tidegate::config::NodePolicy;
use tidegate::model::{CommitId, Hub, Mode, Revision};
use tidegate::reconcile::apply::{ConfigFiles, ServiceResult};
use tidegate::reconcile::desired::service::Strategy;
use tidegate::reconcile::desired::{DesiredService, DesiredState};
use tidegate::reconcile::memory::{Memory, MemoryStore};
use tidegate::reconcile::observed::{Look, OwnershipKey};
use tidegate::reconcile::pass::{
    Effects, Intent, PassInput, PassOutcome, PassState, reconcile_once,
};
use tidegate::reconcile::plan::{HostLinks, Overrides};

use crate::registry::hub::plain;
use crate::simulator::world::{container, service};
use crate::support::engine::PrivateEngine;
use crate::support::images::{PushedImage, open, push};

#[derive(Default)]
struct Store {
    saves: Cell<usize>,
}

impl MemoryStore for Store {
    type Error = std::io::Error;
    fn save(&self, _memory: &Memory) -> Result<(), std::io::Error> {
        self.saves.set(self.saves.get() + 1);
        Ok(())
    }
}

impl ConfigFiles for Store {
    fn write(&self, _path: &str, _content: &[u8], _mode: u32) -> std::io::Result<()> {
        Ok(())
    }

    fn is_intact(&self, _path: &str) -> bool {
        true
    }

    fn sweep(&self, _folder: &str, _kept: &BTreeSet<String>) {}

    fn links(&self, _paths: &BTreeSet<&str>) -> HostLinks {
        HostLinks::default()
    }
}

struct Node {
    client: Rc<DockerClient>,
    hub: Hub,
    commits: RefCell<BTreeMap<Revision, DesiredState>>,
    memory: Memory,
    state: PassState,
    store: Rc<Store>,
    nonces: Cell<u64>,
}

impl Node {
    fn new(engine: &PrivateEngine, hub: Hub) -> Self {
        Self {
            client: Rc::new(engine.client()),
            hub,
            commits: RefCell::default(),
            memory: Memory::default(),
            state: PassState::default(),
            store: Rc::default(),
            nonces: Cell::new(0),
        }
    }

    /// Where the host keeps what is mounted in web, by path.
    async fn sources(&self) -> BTreeMap<String, PathBuf> {
        let raw = self.client.container("app1.prd-web").await.unwrap().unwrap().raw;
        let text = |mount: &Value, key: &str| mount[key].as_str().unwrap().to_owned();
        let mounts = raw["Mounts"].as_array().unwrap().iter();
        mounts.map(|m| (text(m, "Destination"), text(m, "Source").into())).collect()
    }

    async fn pass(&mut self, services: Vec<DesiredService>) -> PassOutcome {
        let n = u8::try_from(self.commits.borrow().len()).unwrap();
        let commit = CommitId::from_bytes([n; 20]);
        let revision = Revision::Commit { environment: "prd".parse().unwrap(), commit };
        let desired = DesiredState {
            revision: revision.clone(),
            node: "n1".parse().unwrap(),
            node_declared: true,
            hub: self.hub.clone(),
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
        self.commits.borrow_mut().insert(revision, desired.clone());
        let nonce = || {
            self.nonces.set(self.nonces.get() + 1);
            format!("{:08x}", self.nonces.get())
        };
        let input = PassInput {
            desired: &desired,
            resolve: &|revision| self.commits.borrow().get(revision).cloned(),
            policy: &NodePolicy::default(),
            key: &OwnershipKey::derive(b"secret"),
            files_dir: "/nowhere",
            overrides: &Overrides::default(),
            auth: None,
            look: Look::Everything,
            intent: Intent::Apply,
            trigger: "test",
            engine: None,
        };
        let now: Rc<dyn Fn() -> Timestamp> = Rc::new(Timestamp::now);
        let effects = Effects {
            docker: &self.client,
            files: &self.store,
            store: &*self.store,
            now: &now,
            nonce: &nonce,
        };
        let (memory, state) = (&mut self.memory, &mut self.state);
        reconcile_once(input, effects, memory, state, std::future::pending()).await.unwrap()
    }

    async fn id(&self) -> ContainerId {
        self.client.container("app1.prd-web").await.unwrap().unwrap().id
    }
}

fn results(outcome: &PassOutcome) -> Vec<&ServiceResult> {
    outcome.outcomes.iter().map(|outcome| &outcome.result).collect()
}

fn app1(image: &PushedImage) -> DesiredService {
    let mut web = container("web", "");
    web.pin.repository = image.reference.repository.clone();
    web.pin.digest = Some(image.reference.digest);
    web.spec.stop_grace_period = Some(Duration::ZERO);
    let mut made = service("app1", vec![web]);
    made.update.stable = Duration::from_millis(500);
    made.update.health_timeout = Duration::from_secs(20);
    made
}

#[tokio::test]
async fn the_same_story_ends_the_same_on_a_real_engine() {
    let process = plain();
    let hub: Hub = process.authority.parse().unwrap();
    let sleep = json!(["sleep", "600"]);
    let one = push(&hub, "app1/web", json!({ "Cmd": sleep, "Env": ["V=1"] }), open()).await;
    let two = push(&hub, "app1/web", json!({ "Cmd": sleep, "Env": ["V=2"] }), open()).await;
    let check = json!({ "Test": ["CMD", "false"], "Interval": 200_000_000, "Retries": 1 });
    let bad = json!({ "Cmd": sleep, "Healthcheck": check });
    let bad = push(&hub, "app1/web", bad, open()).await;
    let crashing = push(&hub, "app1/web", json!({ "Cmd": ["false"] }), open()).await;
    let engine = PrivateEngine::start();
    let mut node = Node::new(&engine, hub);

    let outcome = node.pass(vec![app1(&one)]).await;
    assert_eq!(results(&outcome), [&ServiceResult::Applied], "{:#?}", outcome.outcomes);
    let saves = node.store.saves.get();
    let outcome = node.pass(vec![app1(&one)]).await;
    assert!(outcome.plan.is_in_sync(), "create → inspect → no drift: {}", outcome.plan);
    assert_eq!(node.store.saves.get(), saves);

    let id = node.id().await;
    node.client.stop(&id, 0).await.unwrap();
    node.client.remove_container(&id).await.unwrap();
    let outcome = node.pass(vec![app1(&one)]).await;
    assert_eq!(results(&outcome), [&ServiceResult::Repaired], "{:#?}", outcome.outcomes);

    let id = node.id().await;
    let policy = json!({ "RestartPolicy": { "Name": "no" } });
    node.client.update(&id, &policy).await.unwrap();
    node.client.rename(&id, "mine").await.unwrap();
    node.client.disconnect("app1.prd", &id).await.unwrap();
    let outcome = node.pass(vec![app1(&one)]).await;
    assert_eq!(results(&outcome), [&ServiceResult::Repaired], "{:#?}", outcome.outcomes);
    assert!(outcome.left.is_in_sync(), "{}", outcome.left);
    assert_eq!(node.id().await, id, "repaired in place");

    let outcome = node.pass(vec![app1(&bad)]).await;
    assert!(
        matches!(results(&outcome)[..], [ServiceResult::Failed { .. }, ServiceResult::Repaired]),
        "{:#?}",
        outcome.outcomes
    );
    assert_eq!(node.id().await, id, "the very container of before");

    let outcome = node.pass(vec![app1(&crashing)]).await;
    assert!(
        matches!(results(&outcome)[..], [ServiceResult::Failed { .. }, ServiceResult::Repaired]),
        "one that crashes again and again stands in nobody's way: {:#?}",
        outcome.outcomes
    );
    assert_eq!(node.id().await, id, "the very container of before");

    let outcome = node.pass(vec![app1(&two)]).await;
    assert_eq!(results(&outcome), [&ServiceResult::Applied], "{:#?}", outcome.outcomes);
    assert!(outcome.left.is_in_sync(), "{}", outcome.left);

    let outcome = node.pass(vec![]).await;
    assert_eq!(results(&outcome), [&ServiceResult::Removed], "{:#?}", outcome.outcomes);
    assert!(node.client.containers().await.unwrap().is_empty());
    assert!(node.memory.services.is_empty());
}

#[tokio::test]
async fn data_in_an_images_own_volume_outlives_every_container_of_a_real_engine() {
    let process = plain();
    let hub: Hub = process.authority.parse().unwrap();
    let cmd = json!(["sleep", "600"]);
    let volumes = json!({ "/data": {}, "/more/": {} });
    let config = |volumes: &Value| json!({ "Cmd": cmd, "Volumes": volumes });
    let one = push(&hub, "app1/web", config(&volumes), open()).await;
    let two = push(&hub, "app1/web", config(&json!({ "/data": {}, "/new": {} })), open()).await;
    let bad = push(&hub, "app1/web", json!({ "Cmd": ["false"], "Volumes": volumes }), open()).await;
    let engine = PrivateEngine::start();
    let mut node = Node::new(&engine, hub);

    let mut service = app1(&one);
    node.pass(vec![service.clone()]).await;
    let first = node.sources().await;
    std::fs::write(first["/data"].join("kept"), "x").unwrap();
    let in_sync = |outcome: &PassOutcome| outcome.left.is_in_sync() && outcome.left.held.is_empty();

    for strategy in [Strategy::StopFirst, Strategy::StartFirst] {
        let id = node.id().await;
        service.update.strategy = strategy;
        let web = service.containers.values_mut().next().unwrap();
        web.spec.labels.insert("n".to_owned(), format!("{strategy:?}"));
        let outcome = node.pass(vec![service.clone()]).await;
        assert!(in_sync(&outcome), "no drift: {}", outcome.left);
        assert_ne!(node.id().await, id);
        assert_eq!(node.sources().await, first, "a label alone");
    }
    node.pass(vec![app1(&bad)]).await;
    node.pass(vec![service.clone()]).await;
    assert_eq!(node.sources().await, first, "after a version that failed");

    let outcome = node.pass(vec![app1(&two)]).await;
    assert!(in_sync(&outcome), "{}", outcome.left);
    let second = node.sources().await;
    assert_eq!(second["/data"], first["/data"], "another image");
    assert_eq!(second.keys().collect::<Vec<_>>(), ["/data", "/new"]);

    node.pass(vec![]).await;
    assert!(node.client.containers().await.unwrap().is_empty());
    assert!(first["/data"].join("kept").exists(), "the service is gone, its data is not");
    assert!(first.values().chain(second.values()).all(|source| source.exists()));
}
