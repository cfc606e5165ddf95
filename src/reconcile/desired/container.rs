//! A container as it should be, in Compose's terms and the engine's units.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::model::{
    ConfigName, ContainerName, Digest, ImageId, NetworkName, RepositoryPath, VolumeName,
};

/// One container of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredContainer {
    /// Its name within the service.
    pub name: ContainerName,
    /// The exact image.
    pub pin: Pin,
    /// Keeps running, or runs once.
    pub run: Run,
    /// What must be so before it starts.
    pub depends_on: BTreeMap<ContainerName, Condition>,
    /// Everything the engine is told.
    pub spec: ContainerSpec,
}

impl DesiredContainer {
    /// A digest over everything the engine is told, pin included; not over order or policy.
    /// Equal hashes mean: nothing to recreate.
    pub fn spec_hash(&self) -> Digest {
        hash_of(&(&self.pin.repository, self.pin.digest, &self.pin.image_id, self.run, &self.spec))
    }
}

/// The digest of a value's canonical JSON (maps are ordered, so equal values give equal bytes).
pub(crate) fn hash_of(value: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(value).unwrap_or_default())
}

/// The image a container must run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Repository path in the hub.
    pub repository: RepositoryPath,
    /// Manifest or index digest: what is pulled. Without it only images already present will do.
    pub digest: Option<Digest>,
    /// Config digest of this platform's image.
    pub image_id: Option<ImageId>,
    /// For people.
    pub version: Option<String>,
}

/// How long a container is meant to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    /// Until it is replaced.
    #[default]
    Always,
    /// Until it exits 0; again when its spec changes.
    Once,
}

/// What a dependency must have reached (Compose `depends_on.*.condition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It runs.
    ServiceStarted,
    /// Its health check passes.
    ServiceHealthy,
    /// It has exited 0.
    ServiceCompletedSuccessfully,
}

/// The engine-facing part of a container: all values are resolved and in the engine's units.
/// A field that is `None` or empty leaves the image's or the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ContainerSpec {
    /// Arguments; replaces the image's `CMD`.
    pub command: Option<Vec<String>>,
    /// Replaces the image's `ENTRYPOINT` (an empty list clears it) and, as in Compose, its `CMD`.
    pub entrypoint: Option<Vec<String>>,
    /// Added to the image's environment.
    pub environment: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
    /// Everything mounted, in the order written.
    pub mounts: Vec<Mount>,
    /// How it is connected.
    pub network: NetworkAttachment,
    /// Replaces the image's health check.
    pub healthcheck: Option<Healthcheck>,
    /// When the engine restarts it by itself.
    pub restart: RestartPolicy,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Root file system read-only.
    pub read_only: bool,
    /// Capabilities added, upper case, without `CAP_`.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges:true` and the like.
    pub security_opt: Vec<String>,
    /// A tiny init as process 1.
    pub init: Option<bool>,
    /// Signal that stops it.
    pub stop_signal: Option<String>,
    /// Time it has to stop before it is killed; Compose's default is 10 s.
    pub stop_grace_period: Option<Duration>,
    /// The author's labels, without Tidegate's own.
    pub labels: BTreeMap<String, String>,
    /// Soft and hard limits by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Host name to addresses.
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// Log driver and its options; none leaves the engine's.
    pub logging: Option<Logging>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Domain name inside.
    pub domainname: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// `deploy.resources`.
    pub resources: Resources,
    /// Asks for every capability and device; node policy denies it by default.
    pub privileged: bool,
    /// Keeps standard input open.
    pub stdin_open: bool,
    /// A terminal.
    pub tty: bool,
    /// Size of /dev/shm in bytes.
    pub shm_size: Option<u64>,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortMapping {
    /// Host address; none is every address.
    pub host_ip: Option<IpAddr>,
    /// Host port; none lets the engine choose.
    pub host_port: Option<u16>,
    /// Port inside.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
}

impl PortMapping {
    /// Whether both cannot be published at the same time: the unspecified address is every one.
    pub fn clashes(&self, other: &Self) -> bool {
        let every = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        let meets = every(self.host_ip) || every(other.host_ip) || self.host_ip == other.host_ip;
        meets && self.protocol == other.protocol && self.host_port == other.host_port
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Absolute path inside.
    pub target: String,
    /// What is mounted.
    pub source: MountSource,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MountSource {
    /// A named volume of the service.
    Volume {
        /// Its key in `[volumes]`.
        volume: VolumeName,
        /// Whether an empty volume is *not* filled from the image.
        nocopy: bool,
    },
    /// A path of the host; node policy must allow it.
    Bind {
        /// Absolute path of the host.
        path: String,
        /// `rprivate`, `rshared`, …; none is the engine's default.
        propagation: Option<String>,
        /// Whether a missing path is made.
        create_host_path: bool,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; none is unlimited.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
    /// A file from the repository, mounted read-only from the node's content-addressed store.
    Config {
        /// Its key in `[configs]`.
        config: ConfigName,
        /// Digest of the content, so that changed content changes the spec.
        content: ConfigContent,
        /// Permission bits, 0444 unless said otherwise.
        mode: u32,
    },
}

/// A config's bytes; its hash and its serialised form are those of the content's digest.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigContent(pub Arc<[u8]>);

impl ConfigContent {
    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl std::fmt::Debug for ConfigContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigContent({})", self.digest().short())
    }
}

impl Serialize for ConfigContent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.digest())
    }
}

/// How a container is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum NetworkAttachment {
    /// Only loopback (`network_mode = "none"`).
    None,
    /// The host's own (`network_mode = "host"`); node policy denies it by default.
    Host,
    /// These networks of the service.
    Networks {
        /// By key; the first by name is where it is created, the others are connected before start.
        networks: BTreeMap<NetworkName, Endpoint>,
    },
}

impl Default for NetworkAttachment {
    fn default() -> Self {
        Self::Networks { networks: BTreeMap::new() }
    }
}

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Endpoint {
    /// Names it answers to there, its own name in the service included.
    pub aliases: Vec<String>,
    /// Fixed IPv4 address.
    pub ipv4_address: Option<std::net::Ipv4Addr>,
    /// Fixed IPv6 address.
    pub ipv6_address: Option<std::net::Ipv6Addr>,
}

/// A health check (Compose `healthcheck`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", "…"]`, `["NONE"]`; empty keeps the image's.
    pub test: Vec<String>,
    /// Time between checks.
    pub interval: Option<Duration>,
    /// Time one check may take.
    pub timeout: Option<Duration>,
    /// Failures in a row until it is unhealthy.
    pub retries: Option<u32>,
    /// Time in which failures do not count.
    pub start_period: Option<Duration>,
}

/// When the engine restarts a container by itself (Compose `restart`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Always.
    Always,
    /// When it exits with an error, at most so often (0: without limit).
    OnFailure(u32),
    /// Unless it was stopped.
    UnlessStopped,
}

/// Soft and hard limit of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// What applies.
    pub soft: i64,
    /// What the process may raise it to.
    pub hard: i64,
}

/// A log driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// `json-file`, `local`, `journald`, …
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// Limits and reservations (Compose `deploy.resources`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Resources {
    /// CPUs in billionths (`limits.cpus = "0.5"` is 500,000,000).
    pub nano_cpus: Option<i64>,
    /// Bytes (`limits.memory`).
    pub memory: Option<u64>,
    /// Processes (`limits.pids`).
    pub pids: Option<i64>,
    /// Bytes (`reservations.memory`).
    pub memory_reservation: Option<u64>,
}
