//! The plan as data: what will be done, in which order, and why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::clients::docker::ContainerId;
use crate::model::{ContainerName, Digest, ImageReference, Mode, Revision, ServiceName};
use crate::reconcile::desired::container::Pin;
use crate::reconcile::memory::Ground;
use crate::reconcile::plan::held::{Held, HeldReason};

/// What one pass would do on this node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The newest verified revision.
    pub revision: Revision,
    /// Services with something to do, by name. Independent: they proceed in parallel.
    pub services: Vec<ServicePlan>,
    /// What is wanted but may not happen now.
    pub held: Vec<Held>,
}

impl Plan {
    /// Whether nothing differs: no step, nothing held.
    pub fn is_in_sync(&self) -> bool {
        self.services.is_empty() && self.held.is_empty()
    }
}

/// What would be done for one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePlan {
    /// The service.
    pub service: ServiceName,
    /// In report mode nothing of this is done.
    pub mode: Mode,
    /// What it becomes: revision and content; none when it is removed.
    pub target: Option<Target>,
    /// Why, most important first; never empty.
    pub reasons: Vec<Reason>,
    /// One after the other; the steps within a stage may run at the same time.
    pub stages: Vec<Stage>,
    /// Whether a failure of the gate makes the target failed (a new version), or is only reported
    /// and tried again (a repair of what was applied before).
    pub is_new_version: bool,
}

/// The version of a service that a plan leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Where it comes from.
    pub revision: Revision,
    /// Its content hash, remembered as applied once the gate has passed.
    pub content: Digest,
    /// Its whole hash, remembered if it fails.
    pub whole: Digest,
}

/// Steps that may run at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stage {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One change, complete: nothing is left to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Fetch an image from the hub by digest, then check that it is the pinned one.
    Pull {
        /// What is pulled.
        image: ImageReference,
        /// What it must be.
        pin: Pin,
    },
    /// Put a config's content into the node's content-addressed store.
    WriteFile {
        /// Path on the host.
        path: String,
        /// Bytes.
        content: crate::reconcile::desired::container::ConfigContent,
        /// Permission bits.
        mode: u32,
    },
    /// Make a network.
    CreateNetwork {
        /// Its name.
        name: String,
        /// Body of the request.
        body: Value,
    },
    /// Make a volume.
    CreateVolume {
        /// Its name.
        name: String,
        /// Body of the request.
        body: Value,
    },
    /// Give a container another name.
    Rename {
        /// Which.
        id: ContainerId,
        /// Its present name.
        from: String,
        /// Its new name.
        to: String,
    },
    /// Make a container under its final name; it does not start yet.
    Create {
        /// Which of the service's containers.
        container: ContainerName,
        /// Its name on the engine.
        name: String,
        /// Found again by this if the call fails half-way.
        nonce: String,
        /// Body of the request.
        body: Arc<Value>,
        /// Networks to connect before it starts, after the one in the body: name and endpoint.
        connect: Vec<(String, Value)>,
        /// Anonymous volumes that it takes over where its image declares one, by path.
        carried: BTreeMap<String, String>,
        /// Paths of the host that it is given, and where each led when that was judged.
        #[serde(skip)]
        binds: BTreeMap<String, String>,
    },
    /// Stop a container.
    Stop {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: String,
        /// Seconds until it is killed.
        grace_secs: u64,
    },
    /// Start a container.
    Start {
        /// Which of the service's containers.
        container: ContainerName,
        /// Its name on the engine; it may have been made in this very plan.
        name: String,
        /// Resume instead of start.
        paused: bool,
        /// Paths of the host that it is given, and where each led when that was judged.
        #[serde(skip)]
        binds: BTreeMap<String, String>,
    },
    /// Wait until another container has reached its condition.
    Await {
        /// Whose turn is next.
        container: ContainerName,
        /// Name on the engine of what it waits for.
        name: String,
        /// What must be so.
        condition: AwaitCondition,
        /// Whether the version applied before has it just the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        kept: Option<Kept>,
        /// How long.
        timeout: Duration,
    },
    /// Run a container that must exit 0, and remember its success.
    RunOnce {
        /// Which of the service's containers.
        container: ContainerName,
        /// Its name on the engine.
        name: String,
        /// Remembered on success.
        spec: Digest,
        /// Remembered with it.
        #[serde(skip)]
        ground: Ground,
        /// Paths of the host that it is given, and where each led when that was judged.
        #[serde(skip)]
        binds: BTreeMap<String, String>,
        /// How long it may take.
        timeout: Duration,
    },
    /// Change limits or restart policy in place.
    Update {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: String,
        /// Body of the request.
        body: Value,
    },
    /// Connect a container to a network.
    Connect {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: String,
        /// The network.
        network: String,
        /// `EndpointConfig`.
        endpoint: Value,
    },
    /// Disconnect a container from a network.
    Disconnect {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: String,
        /// The network.
        network: String,
    },
    /// All containers of the service must be healthy, or run without restart, over the stable window.
    Gate(Gate),
    /// Remove a stopped container.
    Remove {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: String,
    },
    /// Remove a network of ours on which nothing runs any more, and make it again with other settings.
    RenewNetwork {
        /// Id of the one that goes.
        id: String,
        /// Its name.
        name: String,
        /// Body of the request for the one that comes.
        body: Value,
    },
    /// Remove a network of ours.
    RemoveNetwork {
        /// Its id.
        id: String,
        /// Its name, for people.
        name: String,
    },
}

/// What a container must have reached before the next stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitCondition {
    /// It runs.
    Running,
    /// Its health check passes.
    Healthy,
    /// It has ended, well or not; one that takes too long is not waited for.
    Ended,
}

/// The health gate of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// Names on the engine of the containers that are judged.
    pub containers: Vec<String>,
    /// Whether those are all that keep running: the version counts as applied once they pass.
    pub is_whole: bool,
    /// Those of them that the version applied before has just the same.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Kept>,
    /// Time they have to become healthy.
    pub health_timeout: Duration,
    /// Without a health check: running without restart this long.
    pub stable: Duration,
}

/// How a container was, that a new version has in common with the one applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Nothing was wrong with it: it may take its time, and counts for the new version.
    Well,
    /// It was ill already, for which nobody blames the new version.
    Ailing,
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The service is new here.
    New {
        /// Where it comes from.
        revision: Revision,
    },
    /// A commit changes it.
    Changed {
        /// Where the new version comes from.
        revision: Revision,
        /// Container and field, `web.image`.
        field: String,
        /// What it was.
        from: String,
        /// What it becomes.
        to: String,
    },
    /// Somebody changed what runs.
    Drift {
        /// Container and field.
        field: String,
        /// What it should be.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// It is no longer wanted here.
    Removed {
        /// Which revision says so.
        revision: Revision,
    },
    /// A version failed; the one before comes back.
    Rollback {
        /// What failed.
        revision: Revision,
        /// Why.
        because: String,
    },
    /// A rollout was interrupted and is finished.
    Resume {
        /// Which version.
        revision: Revision,
    },
    /// A hotfix or a rollback made it, so that it passes what would hold it.
    Urgent {
        /// What it passes.
        held: HeldReason,
    },
    /// All runs as wanted, but its health gate has not passed yet.
    Confirm {
        /// Which version.
        revision: Revision,
    },
}
