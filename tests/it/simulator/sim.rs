//! The simulated engine behind the real traits, with crashes and faults at any call.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::clients::docker::{
    ContainerId, ContainerInspect, ContainerSummary, CreateContainer, DockerError, DockerErrorKind,
    DockerRead, DockerWrite, EngineInfo, ImageInspect, NetworkInspect, RegistryAuth, VolumeInspect,
};
use tidegate::model::{Digest, ImageReference};
use tidegate::reconcile::apply::ConfigFiles;
use tidegate::reconcile::memory::{Memory, MemoryStore};
use tidegate::reconcile::plan::HostLinks;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::simulator::engine::{Container, Engine, Phase};
use crate::simulator::invariants::Invariants;

/// Whether the effect of the call at which the process dies still takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Happened,
    Lost,
}

/// A file, whatever its name is by now.
pub(crate) type Inode = Rc<RefCell<Vec<u8>>>;

#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) engine: Rc<RefCell<Engine>>,
    /// Which process this is, where there are several.
    pub(crate) who: u32,
    /// Every effect since the start, engine calls, files and saves alike.
    pub(crate) log: RefCell<Vec<String>>,
    pub(crate) saved: RefCell<Memory>,
    /// Where paths of the host lead, look after look; the last stays.
    pub(crate) links: RefCell<BTreeMap<String, VecDeque<String>>>,
    pub(crate) files: RefCell<BTreeMap<String, Inode>>,
    /// The configs' files that a container was started with, by its id: it keeps them.
    pub(crate) mounted: RefCell<BTreeMap<String, BTreeMap<String, Inode>>>,
    pub(crate) invariants: RefCell<Invariants>,
    pub(crate) crash_at: Cell<Option<(usize, Effect)>>,
    /// Fails the nth effect from now with this kind, with or without its effect.
    pub(crate) fault_at: Cell<Option<(usize, DockerErrorKind, Effect)>>,
    /// Every pull fails with this kind.
    pub(crate) pulls_fail: Cell<Option<DockerErrorKind>>,
    /// A pull takes so long.
    pub(crate) pull_takes: Cell<Duration>,
    /// Panics at the first effect whose description begins so.
    pub(crate) panic_at: RefCell<Option<String>>,
    /// An inspect by this id takes so long.
    pub(crate) slow: RefCell<Option<(String, Duration)>>,
    pub(crate) crashed: Cell<bool>,
    pub(crate) dies: Notify,
}

fn error(kind: DockerErrorKind, operation: &str) -> DockerError {
    DockerError { kind, operation: operation.to_owned(), message: "simulated".to_owned() }
}

impl Sim {
    pub(crate) fn new() -> Self {
        Self {
            who: 0,
            engine: Rc::new(RefCell::new(Engine {
                id: "first".to_owned(),
                began: Instant::now(),
                hub: BTreeMap::new(),
                images: BTreeMap::new(),
                containers: BTreeMap::new(),
                networks: BTreeMap::new(),
                volumes: BTreeMap::new(),
                next_id: 0,
                leftovers: BTreeSet::new(),
                holders: BTreeMap::new(),
            })),
            pulls_fail: Cell::default(),
            pull_takes: Cell::default(),
            log: RefCell::default(),
            saved: RefCell::default(),
            links: RefCell::default(),
            files: RefCell::default(),
            mounted: RefCell::default(),
            invariants: RefCell::default(),
            crash_at: Cell::new(None),
            fault_at: Cell::new(None),
            panic_at: RefCell::default(),
            slow: RefCell::default(),
            crashed: Cell::new(false),
            dies: Notify::new(),
        }
    }

    /// Another process that works on the same engine.
    pub(crate) fn beside(&self, who: u32) -> Self {
        Self { who, engine: Rc::clone(&self.engine), ..Self::new() }
    }

    pub(crate) fn effects(&self) -> usize {
        self.log.borrow().len()
    }

    /// A change by somebody else's hand.
    pub(crate) fn hand<T>(&self, change: impl FnOnce(&mut Engine) -> T) -> T {
        let result = change(&mut self.engine.borrow_mut());
        self.invariants.borrow_mut().snapshot(&self.engine.borrow());
        result
    }

    /// Counts an effect; says whether it happens and whether the process dies at it.
    fn count(&self, what: &str) -> (bool, bool, Option<DockerErrorKind>) {
        let at = self.log.borrow().len();
        self.log.borrow_mut().push(what.to_owned());
        if let Some((when, kind, effect)) = self.fault_at.get()
            && when == at
        {
            self.fault_at.set(None);
            return (effect == Effect::Happened, false, Some(kind));
        }
        match self.crash_at.get() {
            Some((when, effect)) if when == at => (effect == Effect::Happened, true, None),
            _ => (true, false, None),
        }
    }

    fn die(&self) {
        self.crashed.set(true);
        self.crash_at.set(None);
        self.dies.notify_one();
    }

    async fn alive(&self) {
        tokio::task::yield_now().await;
        if self.crashed.get() {
            std::future::pending::<()>().await;
        }
    }

    async fn effect<T>(
        &self,
        what: String,
        change: impl FnOnce(&mut Engine) -> Result<T, DockerError>,
    ) -> Result<T, DockerError> {
        self.alive().await;
        if self.panic_at.borrow().as_ref().is_some_and(|at| what.starts_with(at)) {
            self.panic_at.take();
            panic!("simulated: {what}");
        }
        let (happens, dies, fault) = self.count(&what);
        let result = happens.then(|| {
            self.invariants.borrow_mut().alone(&self.engine.borrow(), self.who, &what);
            let before = Invariants::before(&self.engine.borrow(), &what);
            let result = change(&mut self.engine.borrow_mut());
            self.invariants.borrow_mut().after(
                &self.engine.borrow(),
                &what,
                before,
                &self.saved.borrow(),
            );
            result
        });
        if dies {
            self.die();
            std::future::pending::<()>().await;
        }
        let result = match (fault, result) {
            (Some(kind), _) => Err(error(kind, &what)),
            (None, Some(result)) => result,
            (None, None) => Err(error(DockerErrorKind::Interrupted, &what)),
        };
        if result.is_err() {
            self.invariants.borrow_mut().fail(&what);
        }
        result
    }

    /// What a container finds at its mounts from its start on.
    fn mount(&self, container: &Container) {
        let files = self.files.borrow();
        let mounts = container.body.pointer("/HostConfig/Mounts").and_then(Value::as_array);
        let sources = mounts.into_iter().flatten().filter_map(|mount| mount["Source"].as_str());
        let found = sources.filter_map(|path| Some((path.to_owned(), Rc::clone(files.get(path)?))));
        self.mounted.borrow_mut().insert(container.id.clone(), found.collect());
    }

    async fn on<T>(
        &self,
        what: &str,
        id: &str,
        change: impl FnOnce(&mut Container) -> Result<T, DockerError>,
    ) -> Result<T, DockerError> {
        let named = format!("{what} {id}");
        self.effect(named.clone(), |engine| {
            let container = engine.containers.get_mut(id);
            change(container.ok_or_else(|| error(DockerErrorKind::NotFound, &named))?)
        })
        .await
    }
}

impl MemoryStore for Sim {
    type Error = std::io::Error;
    fn save(&self, memory: &Memory) -> Result<(), std::io::Error> {
        if self.crashed.get() {
            return Err(std::io::Error::other("dead"));
        }
        let (happens, dies, fault) = self.count("save");
        if happens {
            *self.saved.borrow_mut() = memory.clone();
        }
        if dies {
            self.die();
        }
        if happens && fault.is_none() { Ok(()) } else { Err(std::io::Error::other("no space")) }
    }
}

impl ConfigFiles for Sim {
    fn write(&self, path: &str, content: &[u8], _mode: u32) -> std::io::Result<()> {
        if self.crashed.get() {
            return Err(std::io::Error::other("dead"));
        }
        let (happens, dies, fault) = self.count(&format!("write {path}"));
        // A file that is right is left alone; another one takes the name of one that is not.
        if happens && !self.is_intact(path) {
            self.files.borrow_mut().insert(path.to_owned(), Rc::new(content.to_vec().into()));
        }
        if dies {
            self.die();
        }
        if happens && fault.is_none() { Ok(()) } else { Err(std::io::Error::other("no space")) }
    }

    fn is_intact(&self, path: &str) -> bool {
        let files = self.files.borrow();
        let content = files.get(path).map(|file| Digest::of(&file.borrow()).hex());
        content
            .is_some_and(|hex| path.rsplit('/').next().is_some_and(|name| name.starts_with(&hex)))
    }

    fn sweep(&self, _folder: &str, kept: &BTreeSet<String>) {
        self.files.borrow_mut().retain(|path, _| kept.contains(path));
    }

    fn links(&self, paths: &BTreeSet<&str>) -> HostLinks {
        let mut links = self.links.borrow_mut();
        let mut lead = |path: &str| {
            let Some(leads) = links.get_mut(path) else { return Ok(path.to_owned()) };
            let next = if leads.len() > 1 { leads.pop_front() } else { leads.front().cloned() };
            next.ok_or_else(|| "permission denied".to_owned())
        };
        paths.iter().map(|path| ((*path).to_owned(), lead(path))).collect()
    }
}

impl DockerRead for Sim {
    async fn info(&self) -> Result<EngineInfo, DockerError> {
        self.alive().await;
        Ok(EngineInfo {
            id: self.engine.borrow().id.clone(),
            default_runtime: "runc".into(),
            logging_driver: "json-file".into(),
            swap_limit: true,
            ..EngineInfo::default()
        })
    }

    async fn containers(&self) -> Result<Vec<ContainerSummary>, DockerError> {
        self.alive().await;
        let engine = self.engine.borrow();
        Ok(engine.containers.values().map(|c| engine.summary(c)).collect())
    }

    async fn container(&self, id: &str) -> Result<Option<ContainerInspect>, DockerError> {
        self.alive().await;
        let slow = self.slow.borrow().clone().filter(|(slow, _)| slow == id);
        if let Some((_, takes)) = slow {
            tokio::time::sleep(takes).await;
        }
        let engine = self.engine.borrow();
        Ok(engine.find(id).map(|c| engine.inspect(c)))
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageInspect>, DockerError> {
        self.alive().await;
        Ok(self.engine.borrow().image_of(reference).map(Engine::image_inspect))
    }

    async fn networks(&self) -> Result<Vec<NetworkInspect>, DockerError> {
        self.alive().await;
        Ok(self.engine.borrow().networks.values().cloned().collect())
    }

    async fn volumes(&self) -> Result<Vec<VolumeInspect>, DockerError> {
        self.alive().await;
        Ok(self.engine.borrow().volumes.values().cloned().collect())
    }

    async fn logs(&self, _id: &ContainerId, _lines_max: u32) -> Result<String, DockerError> {
        self.alive().await;
        Ok("the last words".into())
    }
}

impl DockerWrite for Sim {
    async fn pull(
        &self,
        image: &ImageReference,
        _auth: Option<&RegistryAuth>,
    ) -> Result<(), DockerError> {
        tokio::time::sleep(self.pull_takes.get()).await;
        let fails = self.pulls_fail.get();
        self.effect(format!("pull {image}"), |engine| {
            if let Some(kind) = fails {
                return Err(error(kind, "pull"));
            }
            let found = engine.hub.get(&image.digest).cloned();
            let found = found.ok_or_else(|| error(DockerErrorKind::ImageMissing, "pull"))?;
            engine.images.insert(found.id, found);
            Ok(())
        })
        .await
    }

    async fn create_container(
        &self,
        request: &CreateContainer,
    ) -> Result<ContainerId, DockerError> {
        self.effect(format!("create {}", request.name), |engine| {
            if engine.containers.values().any(|c| c.name == request.name) {
                return Err(error(DockerErrorKind::Conflict, "create: name taken"));
            }
            let reference = request.body["Image"].as_str().unwrap_or_default();
            let image = engine.image_of(reference).map(|image| image.id);
            let image = image.ok_or_else(|| error(DockerErrorKind::NotFound, "create: image"))?;
            engine.next_id += 1;
            let id = format!("{:012x}{:052x}", engine.next_id, 0);
            let first = request.body.pointer("/NetworkingConfig/EndpointsConfig");
            let mut networks: BTreeMap<String, Value> = first
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, endpoint)| (name.clone(), Engine::endpoint(&id, endpoint)))
                .collect();
            if networks.is_empty() {
                let mode = request.body["HostConfig"]["NetworkMode"].as_str().unwrap_or("none");
                networks.insert(mode.to_owned(), json!({}));
            }
            let anonymous = engine.make_anonymous(image, &request.body);
            let container = Container {
                anonymous,
                id: id.clone(),
                name: request.name.clone(),
                body: Value::clone(&request.body),
                image,
                phase: Phase::Created,
                networks,
            };
            engine.containers.insert(id.clone(), container);
            Ok(ContainerId(id))
        })
        .await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.effect(format!("start {id}"), |engine| {
            let Some(container) = engine.containers.get(id.as_str()) else {
                return Err(error(DockerErrorKind::NotFound, "start"));
            };
            if engine.is_up(container) {
                return Ok(());
            }
            if engine.leftovers.contains(id.as_str()) {
                let message = format!("task {id}: already exists");
                return Err(DockerError { message, ..error(DockerErrorKind::Conflict, "start") });
            }
            if !engine.finds_its_networks(container) {
                return Err(error(DockerErrorKind::NotFound, "start: network"));
            }
            let ports = Engine::ports(container);
            let mut others = engine.containers.values().filter(|c| c.id != id.0);
            if others.any(|c| engine.is_up(c) && !Engine::ports(c).is_disjoint(&ports)) {
                let message = "Bind for 0.0.0.0:80 failed: port is already allocated".to_owned();
                return Err(DockerError { message, ..error(DockerErrorKind::Engine, "start") });
            }
            engine.join(id.as_str());
            let container = engine.containers.get_mut(id.as_str()).unwrap();
            container.phase = Phase::Started(Instant::now());
            self.mount(container);
            Ok(())
        })
        .await
    }

    async fn stop(&self, id: &ContainerId, _grace_secs: u64) -> Result<(), DockerError> {
        self.on("stop", id.as_str(), |container| {
            if !matches!(container.phase, Phase::Created | Phase::Stopped(_)) {
                container.phase = Phase::Stopped(137);
            }
            Ok(())
        })
        .await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.on("unpause", id.as_str(), |container| {
            if let Phase::Paused(at) = container.phase {
                container.phase = Phase::Started(at);
            }
            Ok(())
        })
        .await
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), DockerError> {
        self.effect(format!("rename {id} {name}"), |engine| {
            if engine.containers.values().any(|c| c.name == name) {
                return Err(error(DockerErrorKind::Conflict, "rename: name taken"));
            }
            let container = engine.containers.get_mut(id.as_str());
            let container = container.ok_or_else(|| error(DockerErrorKind::NotFound, "rename"))?;
            name.clone_into(&mut container.name);
            Ok(())
        })
        .await
    }

    async fn update(&self, id: &ContainerId, body: &Value) -> Result<(), DockerError> {
        self.on("update", id.as_str(), |container| {
            for (key, value) in body.as_object().unwrap() {
                container.body["HostConfig"][key] = value.clone();
            }
            Ok(())
        })
        .await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.effect(format!("remove {id}"), |engine| {
            let up = engine.containers.get(id.as_str()).is_some_and(|c| engine.is_up(c));
            if up {
                return Err(error(DockerErrorKind::Conflict, "remove: it runs"));
            }
            engine.containers.remove(id.as_str());
            Ok(())
        })
        .await
    }

    async fn create_network(&self, body: &Value) -> Result<String, DockerError> {
        let name = body["Name"].as_str().unwrap().to_owned();
        self.effect(format!("create network {name}"), |engine| {
            if engine.networks.contains_key(&name) {
                return Err(error(DockerErrorKind::Conflict, "network: name taken"));
            }
            engine.next_id += 1;
            let id = format!("net{}", engine.next_id);
            let labels = serde_json::from_value(body["Labels"].clone()).unwrap();
            let network =
                NetworkInspect { id: id.clone(), name: name.clone(), labels, raw: body.clone() };
            engine.networks.insert(name, network);
            Ok(id)
        })
        .await
    }

    async fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        self.effect(format!("remove network {id}"), |engine| {
            let name = engine.networks.values().find(|n| n.id == id).map(|n| n.name.clone());
            let Some(name) = name else { return Ok(()) };
            let on = |c: &Container| engine.is_up(c) && c.networks.contains_key(&name);
            if engine.containers.values().any(on) {
                return Err(error(DockerErrorKind::Conflict, "network: active endpoints"));
            }
            engine.networks.remove(&name);
            Ok(())
        })
        .await
    }

    async fn connect(
        &self,
        network: &str,
        id: &ContainerId,
        endpoint: &Value,
    ) -> Result<(), DockerError> {
        let shown = Engine::endpoint(id.as_str(), endpoint);
        self.effect(format!("connect {id}"), |engine| {
            let container = engine.containers.get_mut(id.as_str());
            let container = container.ok_or_else(|| error(DockerErrorKind::NotFound, "connect"))?;
            container.networks.remove("none");
            container.networks.insert(network.to_owned(), shown);
            if engine.containers.get(id.as_str()).is_some_and(|c| engine.is_up(c)) {
                engine.join(id.as_str());
            }
            Ok(())
        })
        .await
    }

    async fn disconnect(&self, network: &str, id: &ContainerId) -> Result<(), DockerError> {
        self.on("disconnect", id.as_str(), |container| {
            container.networks.remove(network);
            Ok(())
        })
        .await
    }

    async fn create_volume(&self, body: &Value) -> Result<(), DockerError> {
        let name = body["Name"].as_str().unwrap().to_owned();
        self.effect(format!("create volume {name}"), |engine| {
            let labels = serde_json::from_value(body["Labels"].clone()).unwrap();
            let mut raw = body.clone();
            raw["Options"] = raw["DriverOpts"].take();
            let volume = VolumeInspect { name: name.clone(), labels, raw };
            engine.volumes.insert(name, volume);
            Ok(())
        })
        .await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        self.effect(format!("remove image {reference}"), |_| Ok(())).await
    }
}

/// Ids and states of everything that carries no proof.
pub(crate) fn foreign(engine: &Engine) -> BTreeSet<String> {
    let theirs = engine.containers.values().filter(|c| c.body["Labels"].get(PROOF).is_none());
    theirs.map(|c| format!("{} {} {:?} {:?}", c.id, c.name, c.phase, c.networks)).collect()
}

const PROOF: &str = tidegate::reconcile::observed::labels::PROOF;
