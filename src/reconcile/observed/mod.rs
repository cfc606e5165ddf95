//! What runs on this engine, and whose it is.
//!
//! In: [`crate::clients::docker::DockerRead`], the node's key. Out: [`ObservedState`].
//! Effect: reads the engine.
//!
//! # Guarantees
//! * A container is ours only with a proof made with this node's key; labels alone are not believed.
//! * One list call; inspects only where something changed since the last pass, or when asked to
//!   look at everything.

mod ownership;
mod uptime;
mod look;

pub use look::{Look, ObservedCache, Viewer, observe};
pub use ownership::{ObjectKind, Owned, OwnershipKey, labels};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clients::docker::{
    ContainerInspect, ContainerState, ContainerSummary, EngineInfo, ImageInspect, NetworkInspect,
    VolumeInspect,
};
use crate::model::ServiceName;

/// Everything seen on the engine.
#[derive(Debug, Clone, Default)]
pub struct ObservedState {
    /// The engine.
    pub engine: EngineInfo,
    /// Containers with our proof, by service.
    pub services: BTreeMap<ServiceName, Vec<ObservedContainer>>,
    /// Containers with our proof that the engine would not show whole: nothing may be decided about
    /// their services, others go on.
    pub unknown: Vec<UnknownContainer>,
    /// Everything else, by name: an error when in the way, never a victim.
    pub foreign: BTreeMap<String, ContainerSummary>,
    /// Networks by name.
    pub networks: BTreeMap<String, NetworkInspect>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, VolumeInspect>,
    /// Images that matter: by engine id, and by the reference that is wanted.
    pub images: BTreeMap<String, ImageInspect>,
}

/// A container of ours whose inspect failed or hung.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownContainer {
    /// What its labels prove.
    pub owned: Owned,
    /// What the list says.
    pub summary: ContainerSummary,
    /// Why no more is known.
    pub reason: String,
}

/// One container of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// What its labels prove.
    pub owned: Owned,
    /// What inspect says of it; of the whole answer only what plans read: `Config` and `HostConfig`
    /// without nulls, `Mounts`, `NetworkSettings.Networks`.
    pub inspect: Arc<ContainerInspect>,
}

impl ObservedContainer {
    /// Whether it runs (a restarting one does not).
    pub fn is_running(&self) -> bool {
        self.inspect.state == ContainerState::Running
    }
}
