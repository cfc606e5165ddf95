//! A service as it should be on this node, and the whole node's desired state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{
    AppName, CheckSchedule, ContainerName, Digest, Freeze, Hub, Mode, NetworkName, NodeName,
    Revision, RulesetName, ServiceName, VolumeName, Window,
};
use crate::reconcile::desired::container::{DesiredContainer, hash_of};
use crate::reconcile::desired::rule::Rule;

/// Everything one node should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredState {
    /// What it was resolved from.
    pub revision: Revision,
    /// The node.
    pub node: NodeName,
    /// Whether the revision has a document for the node; without one the node keeps what runs.
    pub node_declared: bool,
    /// The environment's registry.
    pub hub: Hub,
    /// Whether plain HTTP to the hub was asked for (a lab).
    pub hub_plain_http: bool,
    /// Services that run here, by name.
    pub services: BTreeMap<ServiceName, DesiredService>,
    /// Compliance rules that are shown to the node and its services, by id.
    pub rules: Vec<Rule>,
    /// By container, where its pin is written.
    pub pins: Vec<PinSource>,
    /// The environment's windows; empty means always open.
    pub windows: Vec<Window>,
    /// When rules are checked; empty means only when something happens.
    pub checks: Vec<CheckSchedule>,
    /// The environment's freezes.
    pub freezes: Vec<Freeze>,
    /// Environment's and node's mode, the tighter of both; each service's is tightened by it already.
    pub mode: Mode,
    /// Services whose removal a trailer allows.
    pub allow_removal: BTreeSet<ServiceName>,
    /// Services whose version here, or whose removal, a hotfix or a rollback made: windows and freezes
    /// do not hold it.
    pub urgent: BTreeSet<ServiceName>,
}

/// Where the pin of a container is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinSource {
    /// The service.
    pub service: ServiceName,
    /// The container.
    pub container: ContainerName,
    /// The ruleset that shows it; none where the service's own file does.
    pub ruleset: Option<RulesetName>,
}

/// One service on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredService {
    /// Its name.
    pub name: ServiceName,
    /// Whom it belongs to.
    pub app: AppName,
    /// Already tightened by environment and node.
    pub mode: Mode,
    /// Set aside by its authors.
    pub suspend: Option<Suspension>,
    /// How changes are rolled out.
    pub update: UpdatePolicy,
    /// Its containers; never empty. Boxed: a map's node has room for eleven of them.
    pub containers: BTreeMap<ContainerName, Box<DesiredContainer>>,
    /// Networks it makes or joins.
    pub networks: BTreeMap<NetworkName, DesiredNetwork>,
    /// Volumes it makes or uses.
    pub volumes: BTreeMap<VolumeName, DesiredVolume>,
}

impl DesiredService {
    /// A digest over what runs: containers with their order, networks, volumes. A changed one means
    /// that there is a new version to roll out.
    pub fn content_hash(&self) -> Digest {
        let containers: Vec<_> =
            self.containers.values().map(|c| (&c.name, c.spec_hash(), &c.depends_on)).collect();
        hash_of(&(containers, &self.networks, &self.volumes))
    }

    /// A digest over everything a commit can change in it, rollout policy included: a service held
    /// after a failure is tried again when this changes.
    pub fn whole_hash(&self) -> Digest {
        hash_of(self)
    }

    /// Containers in an order in which each follows what it depends on (cycles were refused).
    pub fn start_levels(&self) -> Vec<Vec<&DesiredContainer>> {
        let mut placed: BTreeSet<&ContainerName> = BTreeSet::new();
        let mut levels = Vec::new();
        while placed.len() < self.containers.len() {
            let level: Vec<&DesiredContainer> = self
                .containers
                .values()
                .map(AsRef::as_ref)
                .filter(|c| !placed.contains(&c.name))
                .filter(|c| {
                    c.depends_on
                        .keys()
                        .all(|d| placed.contains(d) || !self.containers.contains_key(d))
                })
                .collect();
            if level.is_empty() {
                break;
            }
            placed.extend(level.iter().map(|c| &c.name));
            levels.push(level);
        }
        levels
    }
}

/// A service set aside: nothing is changed, not even repaired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suspension {
    /// Why, for people.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Suspension {
    /// Whether it holds at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// How a service is rolled out (`[update]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdatePolicy {
    /// Old before new, or new before old.
    pub strategy: Strategy,
    /// Time all containers have to become healthy.
    pub health_timeout: Duration,
    /// Without a health check: running without restart this long.
    pub stable: Duration,
    /// What a failure does.
    pub on_failure: OnFailure,
    /// The service's own windows; empty means always open.
    pub windows: Vec<Window>,
}

impl Default for UpdatePolicy {
    fn default() -> Self {
        Self {
            strategy: Strategy::StopFirst,
            health_timeout: Duration::from_secs(60),
            stable: Duration::from_secs(10),
            on_failure: OnFailure::Rollback,
            windows: Vec::new(),
        }
    }
}

/// Which goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The old stops, then the new starts.
    #[default]
    StopFirst,
    /// The new starts and proves healthy, then the old stops.
    StartFirst,
}

/// What a failed rollout does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The previous containers come back.
    #[default]
    Rollback,
    /// Everything stays as it is for people to look at.
    Hold,
}

/// A network of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredNetwork {
    /// The engine's name for it: `app1.prd`, `app1.prd_<key>`, or `name =`.
    pub engine_name: String,
    /// Made by others; only joined.
    pub external: bool,
    /// `bridge` unless said otherwise.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// No way out.
    pub internal: bool,
    /// Standalone containers may join (overlay).
    pub attachable: bool,
    /// IPv6 on.
    pub enable_ipv6: bool,
    /// Subnets, with gateway.
    pub subnets: Vec<Subnet>,
    /// The author's labels.
    pub labels: BTreeMap<String, String>,
}

/// An address range of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// CIDR.
    pub subnet: String,
    /// Gateway address.
    pub gateway: Option<String>,
    /// CIDR from which containers get addresses.
    pub ip_range: Option<String>,
}

/// A volume of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredVolume {
    /// The engine's name for it: `app1.prd_data`, or `name =`.
    pub engine_name: String,
    /// Made by others; only used.
    pub external: bool,
    /// `local` unless said otherwise.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// The author's labels.
    pub labels: BTreeMap<String, String>,
}
