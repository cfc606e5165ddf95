//! What this node refuses whatever Git says: default deny.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ServiceName;

/// Node-local policy, which Git cannot loosen: default deny.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePolicy {
    /// Host paths (and what lies below them) that may be mounted.
    pub bind_mounts: Vec<String>,
    /// Services that may run privileged containers.
    pub privileged: BTreeSet<ServiceName>,
    /// Services that may join the host's namespaces.
    pub host_namespaces: BTreeSet<ServiceName>,
    /// Capabilities that may be added, by service; `*` is every service.
    pub capabilities: BTreeMap<String, BTreeSet<String>>,
    /// Services that may mount the engine's socket.
    pub docker_socket: BTreeSet<ServiceName>,
}
