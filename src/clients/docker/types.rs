//! What the engine says, in structs that tolerate what they do not know.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// The engine's id of a container, 64 hex digits.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ContainerId(pub String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as people quote them.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The engine itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineInfo {
    /// Its id, stable over restarts.
    pub id: String,
    /// Its version, `20.10.24`.
    pub version: String,
    /// The API version spoken with it, `1.41`.
    pub api_version: String,
    /// `linux`.
    pub os: String,
    /// `amd64`, as in image indexes.
    pub architecture: String,
    /// Its host's name, which a container in the host's network shows.
    pub host_name: String,
    /// Runtime a container gets that names none.
    pub default_runtime: String,
    /// Log driver a container gets that names none.
    pub logging_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Whether a container gets a control group namespace of its own unless it says otherwise.
    pub private_cgroup_namespaces: bool,
    /// Whether swap can be limited; a memory limit then brings a swap limit with it.
    pub swap_limit: bool,
    /// Whether images live in containerd, where the image id is the manifest digest.
    pub containerd_image_store: bool,
}

/// The state of a container; what the engine says that is not listed here is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Between two runs of a crash loop.
    Restarting,
    /// Being removed.
    Removing,
    /// Stopped.
    Exited,
    /// Could not be removed.
    Dead,
    /// Something newer than this program.
    Other(String),
}

impl From<&str> for ContainerState {
    fn from(text: &str) -> Self {
        match text {
            "created" => Self::Created,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" => Self::Exited,
            "dead" => Self::Dead,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One row of the container list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSummary {
    /// Its id.
    pub id: ContainerId,
    /// Its name without the leading `/`; links' names are left out.
    pub name: String,
    /// The image reference it was made from.
    pub image: String,
    /// The engine's id of the image.
    pub image_id: String,
    /// Its state.
    pub state: ContainerState,
    /// `Up 3 minutes (healthy)`: changes with health, so that a change is seen.
    pub status: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Engine names of the networks it is on.
    pub networks: Vec<String>,
}

/// One container, whole: what this program reads often is decoded, everything is kept as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerInspect {
    /// Its id.
    pub id: ContainerId,
    /// Its name without the leading `/`.
    pub name: String,
    /// The engine's id of the image it runs.
    pub image_id: String,
    /// Its state.
    pub state: ContainerState,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// `starting`, `healthy`, `unhealthy`; none without a health check.
    pub health: Option<String>,
    /// Output of the last health check, bounded.
    pub health_log: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it last started, RFC 3339.
    pub started_at: String,
    /// Restarts by the engine's restart policy.
    pub restart_count: i64,
    /// Why the engine could not start it.
    pub error: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// The whole answer: `Config`, `HostConfig`, `Mounts`, `NetworkSettings`.
    pub raw: Value,
}

/// One image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInspect {
    /// The engine's id: config digest, or manifest digest with the containerd store.
    pub id: String,
    /// `name@sha256:…` under which it was pulled.
    pub repo_digests: Vec<String>,
    /// `name:tag`.
    pub repo_tags: Vec<String>,
    /// Digest of the descriptor, where the engine tells (API ≥ 1.48).
    pub descriptor_digest: Option<String>,
    /// `Config` of the image: Env, Cmd, Entrypoint, Labels, Healthcheck, …
    pub config: Value,
    /// `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Bytes on disk.
    pub size: u64,
}

/// One network.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkInspect {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// The whole answer.
    pub raw: Value,
}

/// One volume.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeInspect {
    /// Its name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// The whole answer.
    pub raw: Value,
}

/// A container to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateContainer {
    /// Its name.
    pub name: String,
    /// The body of `POST /containers/create`, labels included.
    pub body: Arc<Value>,
}

/// Something that happened on the engine. Events only wake; listing is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// `container`, `network`, `volume`, `image`.
    pub kind: String,
    /// `die`, `destroy`, `rename`, `update`, `disconnect`, `health_status: unhealthy`, …
    pub action: String,
    /// Id or name of what it happened to.
    pub actor: String,
    /// Its labels and more.
    pub attributes: BTreeMap<String, String>,
}

/// Credentials for one registry; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// `host[:port]` that they are for.
    pub server: String,
    /// What lets us in.
    pub login: Login,
}

/// What lets somebody into a registry; never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password.
    Password {
        /// User name.
        username: String,
        /// Password or access token.
        password: String,
    },
    /// A token with which the token server gives others (`identitytoken`).
    IdentityToken(String),
}

impl RegistryAuth {
    /// By name and password.
    pub fn password(server: &str, username: &str, password: &str) -> Self {
        let (username, password) = (username.to_owned(), password.to_owned());
        Self { server: server.to_owned(), login: Login::Password { username, password } }
    }
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth").field("server", &self.server).finish_non_exhaustive()
    }
}
