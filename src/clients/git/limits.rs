//! Every cap of a fetch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a fetch may take of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchLimits {
    /// Address space of the child. libgit2 took 624 MB for a pack of 468 kB without it.
    pub memory_bytes_max: u64,
    /// Bytes received, and of any file written: a configuration repository is text. It also has to
    /// be mapped within the address space.
    pub pack_bytes_max: u64,
    /// Objects received.
    pub objects_max: u32,
    /// Size of any single object, deltas' bases included: the agent reads them in its own process.
    pub object_bytes_max: u64,
    /// References that the remote may advertise.
    pub refs_max: usize,
    /// Processor seconds.
    pub cpu_secs_max: u64,
    /// The whole fetch.
    pub total: Duration,
    /// Without any progress.
    pub idle: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 * 1024 * 1024,
            pack_bytes_max: 128 * 1024 * 1024,
            objects_max: 500_000,
            object_bytes_max: 32 * 1024 * 1024,
            refs_max: 200_000,
            cpu_secs_max: 90,
            total: Duration::from_secs(120),
            idle: Duration::from_secs(20),
        }
    }
}
