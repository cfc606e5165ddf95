//! Why an agent cannot work: what belongs to this machine, not to a remote or a commit.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::agent::lock::LockError;
use crate::clients::docker::DockerError;
use crate::clients::host::HostError;
use crate::config::ConfigError;
use crate::reconcile::pass::PassError;
use crate::reconcile::report::StoreError;
use crate::reconcile::source::SourceError;

/// Why an agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The node's own configuration.
    #[error("the configuration cannot be used")]
    Config(#[source] ConfigError),
    /// Somebody else has the state directory.
    #[error("the state is not to be had")]
    Lock(#[source] LockError),
    /// A file of this machine.
    #[error("this machine's own files do not work")]
    Host(#[source] HostError),
    /// Another agent has the engine, or its lock does not work.
    #[error("the engine is not to be had")]
    Taken(#[source] HostError),
    /// The object store.
    #[error("no revision is to be had")]
    Source(#[source] SourceError),
    /// The engine.
    #[error("the engine does not answer")]
    Engine(#[source] DockerError),
    /// Status or journal.
    #[error("the report cannot be written")]
    Report(#[source] StoreError),
    /// The pass itself.
    #[error("the pass cannot be made")]
    Pass(#[source] PassError),
    /// The list of revoked keys: without it nothing is judged.
    #[error("{path}, the list of revoked keys, cannot be used: {reason}")]
    RevokedKeys {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The hub's credentials.
    #[error("{path}, the hub's credentials, cannot be used: {reason}")]
    Credentials {
        /// Which file.
        path: PathBuf,
        /// Why; never what it holds.
        reason: String,
    },
    /// The port that answers who asks for metrics.
    #[error("cannot listen on {address}, as `[listen] metrics` says")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something panicked.
    #[error("a part of the agent panicked: {reason}")]
    Panicked {
        /// Its words.
        reason: String,
    },
    /// What the kernel is asked for: signals, watches.
    #[error("cannot {what}")]
    System {
        /// What was asked.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
