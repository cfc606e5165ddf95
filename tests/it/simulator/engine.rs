//! The simulated engine's state: what containers do over (virtual) time, and how inspect shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate::clients::docker::{
    ContainerId, ContainerInspect, ContainerState, ContainerSummary, ImageInspect, NetworkInspect,
    VolumeInspect,
};
use tidegate::model::Digest;
use tokio::time::Instant;

/// What containers of an image do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Healthy so long after its start.
    Healthy(u64),
    /// Healthy for so many seconds, then unhealthy as long, again and again.
    Flaps(u64),
    /// Has a health check that never passes.
    NeverHealthy,
    /// Runs, without a health check.
    Plain,
    /// Exits with this code after so many seconds, again and again if restarted.
    Exits(u64, i64),
}

#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) digest: Digest,
    pub(crate) id: Digest,
    pub(crate) behaviour: Behaviour,
    pub(crate) config: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Phase {
    Created,
    Started(Instant),
    Paused(Instant),
    Stopped(i64),
}

#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) body: Value,
    pub(crate) image: Digest,
    pub(crate) phase: Phase,
    pub(crate) networks: BTreeMap<String, Value>,
    /// Volumes that the engine made up, by path.
    pub(crate) anonymous: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) id: String,
    pub(crate) began: Instant,
    pub(crate) hub: BTreeMap<Digest, Image>,
    pub(crate) images: BTreeMap<Digest, Image>,
    pub(crate) containers: BTreeMap<String, Container>,
    pub(crate) networks: BTreeMap<String, NetworkInspect>,
    pub(crate) volumes: BTreeMap<String, VolumeInspect>,
    pub(crate) next_id: u64,
    /// Containers whose task the engine lost: they never start again.
    pub(crate) leftovers: BTreeSet<String>,
    /// Which process has the lock of which engine; empty where nobody asks.
    pub(crate) holders: BTreeMap<String, u32>,
}

pub(crate) struct Now {
    pub(crate) state: ContainerState,
    pub(crate) health: Option<&'static str>,
    pub(crate) restarts: u64,
    pub(crate) exit_code: i64,
    pub(crate) started: Duration,
}

/// When the simulated engine's clock began to run.
pub(crate) const BEGAN: &str = "2026-03-02T12:00:00Z";

fn started_at(now: &Now) -> String {
    if now.state == ContainerState::Created {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    (BEGAN.parse::<jiff::Timestamp>().unwrap() + now.started).to_string()
}

/// Ids are given in order, and no two are made at once.
fn created_at(container: &Container) -> String {
    let nth = i64::from_str_radix(&container.id[..12], 16).unwrap();
    jiff::Timestamp::from_microsecond(nth).unwrap().to_string()
}

impl Engine {
    pub(crate) fn image_of(&self, reference: &str) -> Option<&Image> {
        let digest: Digest = reference.rsplit('@').next()?.parse().ok()?;
        self.images.values().find(|i| i.id == digest || i.digest == digest)
    }

    fn behaviour(&self, container: &Container) -> Behaviour {
        self.images.get(&container.image).map_or(Behaviour::Plain, |image| image.behaviour)
    }

    pub(crate) fn now(&self, container: &Container) -> Now {
        let now = |state, health, restarts, exit_code, started| Now {
            state,
            health,
            restarts,
            exit_code,
            started,
        };
        let zero = Duration::ZERO;
        let since = match container.phase {
            Phase::Created => return now(ContainerState::Created, None, 0, 0, zero),
            Phase::Stopped(code) => return now(ContainerState::Exited, None, 0, code, zero),
            Phase::Paused(at) => {
                return now(ContainerState::Paused, None, 0, 0, at - self.began);
            }
            Phase::Started(at) => at,
        };
        let (up, started) = (since.elapsed(), since - self.began);
        let running = |health| now(ContainerState::Running, health, 0, 0, started);
        match self.behaviour(container) {
            Behaviour::Plain => running(None),
            Behaviour::Healthy(after) if up.as_secs() >= after => running(Some("healthy")),
            Behaviour::Flaps(secs) if (up.as_secs() / secs) % 2 == 1 => running(Some("unhealthy")),
            Behaviour::Flaps(_) => running(Some("healthy")),
            Behaviour::NeverHealthy if up.as_secs() >= 3 => running(Some("unhealthy")),
            Behaviour::Healthy(_) | Behaviour::NeverHealthy => running(Some("starting")),
            Behaviour::Exits(after, _) if up.as_secs() < after => running(None),
            Behaviour::Exits(after, code) => {
                let policy = container.body.pointer("/HostConfig/RestartPolicy/Name");
                let restarts = policy.is_some_and(|p| p == "always" || p == "unless-stopped");
                if !restarts {
                    return now(ContainerState::Exited, None, 0, code, started);
                }
                let (cycle, n) = (after + 1, up.as_secs() / (after + 1));
                let began = started + Duration::from_secs(n * cycle);
                let state = if up.as_secs() % cycle < after {
                    ContainerState::Running
                } else {
                    ContainerState::Restarting
                };
                now(state, None, n, code, began)
            }
        }
    }

    pub(crate) fn labels(&self, container: &Container) -> BTreeMap<String, String> {
        let of = |value: Option<&Value>| -> BTreeMap<String, String> {
            value.map(|v| serde_json::from_value(v.clone()).unwrap()).unwrap_or_default()
        };
        let image = self.images.get(&container.image);
        let mut labels = of(image.and_then(|image| image.config.get("Labels")));
        labels.extend(of(container.body.get("Labels")));
        labels
    }

    pub(crate) fn summary(&self, container: &Container) -> ContainerSummary {
        let now = self.now(container);
        let up = match container.phase {
            Phase::Started(_) => (Instant::now() - self.began).saturating_sub(now.started),
            _ => Duration::ZERO,
        };
        let status = match (&now.state, now.health) {
            (ContainerState::Running, Some(health)) => {
                format!("Up {} seconds ({health})", up.as_secs())
            }
            (ContainerState::Running, None) => format!("Up {} seconds", up.as_secs()),
            (ContainerState::Exited, _) => format!("Exited ({}) 1 second ago", now.exit_code),
            (state, _) => format!("{state:?}"),
        };
        ContainerSummary {
            id: ContainerId(container.id.clone()),
            name: container.name.clone(),
            image: container.body["Image"].as_str().unwrap_or_default().to_owned(),
            image_id: container.image.to_string(),
            state: now.state,
            status,
            labels: self.labels(container),
            networks: container.networks.keys().cloned().collect(),
        }
    }

    pub(crate) fn inspect(&self, container: &Container) -> ContainerInspect {
        let now = self.now(container);
        let started_at = started_at(&now);
        ContainerInspect {
            id: ContainerId(container.id.clone()),
            name: container.name.clone(),
            image_id: container.image.to_string(),
            state: now.state,
            exit_code: now.exit_code,
            health: now.health.map(str::to_owned),
            health_log: now.health.map(|health| format!("probe says {health}")),
            created_at: created_at(container),
            started_at,
            restart_count: i64::try_from(now.restarts).unwrap(),
            error: String::new(),
            labels: self.labels(container),
            raw: self.raw(container),
        }
    }

    /// As the real one: the image's defaults under the request, the engine's under both.
    fn raw(&self, container: &Container) -> Value {
        let image = self.images.get(&container.image).map(|i| i.config.clone()).unwrap_or_default();
        let mut config: Map<String, Value> = image.as_object().cloned().unwrap_or_default();
        let body = container.body.as_object().unwrap();
        let mut env: Vec<Value> =
            config.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
        env.extend(body.get("Env").and_then(Value::as_array).cloned().unwrap_or_default());
        for (key, value) in body {
            if key != "HostConfig" && key != "NetworkingConfig" {
                config.insert(key.clone(), value.clone());
            }
        }
        config.insert("Hostname".into(), json!(&container.id[..12]));
        config.insert("Env".into(), json!(env));
        config.insert("Labels".into(), json!(self.labels(container)));
        let mut host = json!({
            "LogConfig": { "Type": "json-file", "Config": {} }, "CgroupnsMode": "host",
            "IpcMode": "private", "ShmSize": 67_108_864, "Runtime": "runc",
            "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"],
        });
        for (key, value) in body["HostConfig"].as_object().unwrap() {
            host[key] = value.clone();
        }
        if let Some(memory) = host.get("Memory").and_then(Value::as_i64).filter(|m| *m > 0) {
            host["MemorySwap"] = json!(memory * 2);
        }
        let mut mounts: Vec<Value> = host
            .get("Mounts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|m| {
                json!({ "Type": m["Type"], "Name": m["Source"], "Source": m["Source"],
                "Destination": m["Target"], "RW": m.get("ReadOnly") != Some(&json!(true)) })
            })
            .collect();
        mounts.extend(container.anonymous.iter().map(|(path, name)| {
            json!({ "Type": "volume", "Name": name, "Source": name, "Destination": path, "RW": true })
        }));
        json!({
            "Id": container.id, "Name": format!("/{}", container.name), "Config": config,
            "HostConfig": host, "Mounts": mounts,
            "NetworkSettings": { "Networks": container.networks },
        })
    }

    /// Makes a volume for each that the image declares and the request mounts nothing at.
    pub(crate) fn make_anonymous(
        &mut self,
        image: Digest,
        body: &Value,
    ) -> BTreeMap<String, String> {
        let told = body.pointer("/HostConfig/Mounts").and_then(Value::as_array);
        let is_told =
            |path: &str| told.is_some_and(|told| told.iter().any(|m| m["Target"] == path));
        let config = &self.images[&image].config;
        let declared = config["Volumes"].as_object().into_iter().flatten();
        let declared = declared.map(|(path, _)| path.trim_end_matches('/').to_owned());
        let paths: Vec<String> = declared.filter(|path| !is_told(path)).collect();
        let named = paths.into_iter().map(|path| {
            self.next_id += 1;
            (path, format!("{:064x}", self.next_id))
        });
        named.collect()
    }

    pub(crate) fn image_inspect(image: &Image) -> ImageInspect {
        ImageInspect {
            id: image.id.to_string(),
            repo_digests: vec![format!("hub.test/x@{}", image.digest)],
            repo_tags: Vec::new(),
            descriptor_digest: None,
            config: image.config.clone(),
            architecture: "amd64".into(),
            os: "linux".into(),
            size: 1,
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Container> {
        self.containers.get(id).or_else(|| self.containers.values().find(|c| c.name == id))
    }

    pub(crate) fn is_up(&self, container: &Container) -> bool {
        matches!(
            self.now(container).state,
            ContainerState::Running | ContainerState::Restarting | ContainerState::Paused
        )
    }

    /// One that ran keeps the ids of its networks, and starts on no others of the same names.
    pub(crate) fn finds_its_networks(&self, container: &Container) -> bool {
        container.networks.iter().all(|(name, endpoint)| {
            let found = self.networks.get(name);
            let id = endpoint["NetworkID"].as_str();
            name == "none"
                || name == "host"
                || found.is_some_and(|found| id.is_none_or(|id| id == found.id))
        })
    }

    /// Notes on which networks a container runs now.
    pub(crate) fn join(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        for (name, endpoint) in &mut container.networks {
            if let Some(network) = self.networks.get(name) {
                endpoint["NetworkID"] = json!(network.id);
            }
        }
    }

    pub(crate) fn ports(container: &Container) -> BTreeSet<String> {
        let bindings = container.body.pointer("/HostConfig/PortBindings");
        let lists = bindings.and_then(Value::as_object).into_iter().flatten();
        let all = lists.flat_map(|(_, list)| list.as_array().cloned().unwrap_or_default());
        all.filter_map(|b| b["HostPort"].as_str().map(str::to_owned))
            .filter(|p| !p.is_empty())
            .collect()
    }

    pub(crate) fn endpoint(id: &str, endpoint: &Value) -> Value {
        let mut aliases = endpoint["Aliases"].as_array().cloned().unwrap_or_default();
        aliases.push(json!(&id[..12]));
        json!({ "Aliases": aliases, "IPAMConfig": endpoint["IPAMConfig"] })
    }
}
