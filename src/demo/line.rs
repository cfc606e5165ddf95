//! One environment in the demo: its engine, its hub, its node's agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::clients::docker::{ContainerInspect, DockerRead as _};
use crate::demo::engine::{DemoEngine, EngineKind};
use crate::demo::error::{DemoError, io};
use crate::demo::hub::DemoHub;
use crate::demo::place::Place;
use crate::demo::process::start;
use crate::demo::repository::Repository;
use crate::reconcile::report::{Status, StatusFile};

/// A small page is answered within a fraction of this.
const PAGE_SECS_MAX: u64 = 2;
/// A page of ours is a line.
const PAGE_BYTES_MAX: u64 = 4096;

/// One environment, running.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) environment: String,
    pub(crate) engine: DemoEngine,
    pub(crate) hub: DemoHub,
    pub(crate) state_dir: PathBuf,
    pub(crate) config: PathBuf,
}

impl Line {
    /// Writes the node's configuration and starts its agent.
    pub(crate) fn start_agent(
        place: &Place,
        repository: &Repository,
        environment: &str,
        engine: DemoEngine,
        hub: DemoHub,
    ) -> Result<Self, DemoError> {
        let anchored =
            repository.lines.iter().find(|line| line.environment.as_str() == environment);
        let missing = || DemoError::Example(format!("{environment} has no node"));
        let anchored = anchored.ok_or_else(missing)?;
        let node = anchored.nodes.first().ok_or_else(missing)?.clone();
        let state_dir = place.folder(&format!("{environment}/state"))?;
        let config = place.path(&format!("{environment}/agent.toml"));
        let scope = match engine.kind {
            EngineKind::Private => String::new(),
            EngineKind::Shared => format!("scope = \"{environment}\"\n"),
        };
        let text = format!(
            "node = \"{node}\"\nenvironment = \"{environment}\"\nstate_dir = \"{}\"\n{scope}\n\
             [repository]\nurl = \"{}\"\nid = \"{}\"\nanchor = \"{}\"\ninterval = \"1s\"\n\n\
             [engine]\nsocket = \"{}\"\n\n[keys]\nnode = \"{}\"\n",
            state_dir.display(),
            repository.root.display(),
            repository.id,
            anchored.anchor,
            engine.address(),
            place.path(&format!("{environment}/node.key")).display(),
        );
        std::fs::write(&config, text).map_err(io("write a node's configuration"))?;
        let own = std::env::current_exe().map_err(io("find this program"))?;
        let mut command = Command::new(own);
        command.arg("agent").arg("--config").arg(&config);
        let log = place.path(&format!("{environment}/agent.log"));
        start(&format!("agent {environment}"), command, &log, &place.ledger())?;
        Ok(Self { environment: environment.to_owned(), engine, hub, state_dir, config })
    }

    /// What the node says about itself; `None` before it has said anything.
    pub(crate) fn status(&self) -> Option<Status> {
        StatusFile::below(&self.state_dir).read().ok().flatten()
    }

    /// The engine's name of a container.
    pub(crate) fn name(&self, service: &str, container: &str) -> String {
        format!("{service}.{}-{container}", self.environment)
    }

    /// A container, as the engine has it.
    pub(crate) async fn container(
        &self,
        service: &str,
        container: &str,
    ) -> Result<Option<ContainerInspect>, DemoError> {
        let name = self.name(service, container);
        self.engine.client()?.container(&name).await.map_err(DemoError::Docker)
    }

    /// Every container of this environment: name → id and state.
    pub(crate) async fn containers(&self) -> Result<BTreeMap<String, String>, DemoError> {
        let all = self.engine.client()?.containers().await.map_err(DemoError::Docker)?;
        let own = all.into_iter().filter(|c| {
            c.labels.get("io.tidegate.environment").is_some_and(|e| *e == self.environment)
        });
        Ok(own.map(|c| (c.name.clone(), format!("{} {:?}", c.id.short(), c.state))).collect())
    }

    /// The port that a container publishes first.
    pub(crate) fn published(container: &ContainerInspect) -> Option<u16> {
        let ports = container.raw.pointer("/NetworkSettings/Ports")?.as_object()?;
        ports.values().find_map(|list| list.get(0)?.get("HostPort")?.as_str()?.parse().ok())
    }

    /// What a published port answers to `GET /`.
    pub(crate) async fn page(&self, port: u16) -> Option<String> {
        let ask = async {
            let mut stream = TcpStream::connect((self.engine.node_host, port)).await.ok()?;
            stream.write_all(b"GET / HTTP/1.0\r\nHost: demo\r\n\r\n").await.ok()?;
            let mut answer = Vec::new();
            stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer).await.ok()?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            text.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned())
        };
        timeout(Duration::from_secs(PAGE_SECS_MAX), ask).await.ok().flatten()
    }

    /// Runs the docker command line against this engine, as a person would.
    pub(crate) fn docker(&self, args: &[&str]) -> Result<String, DemoError> {
        let mut command = Command::new("docker");
        command.arg("-H").arg(self.engine.address()).args(args);
        crate::demo::process::run(&mut command)
    }
}
