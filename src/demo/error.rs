//! Why the demo could not go on.

use crate::clients::docker::DockerError;
use crate::clients::registry::RegistryError;
use crate::hub::PinError;
use crate::promote::InitError;

/// A demo that ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The file system or a process said no.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The directory is somebody else's.
    #[error("`{0}` is in use and was not made by the demo")]
    Foreign(String),
    /// A program failed.
    #[error("`{program}` failed: {message}")]
    Program {
        /// What was run.
        program: String,
        /// Its last words.
        message: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {secs} s; {seen}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        secs: u64,
        /// What was seen last.
        seen: String,
    },
    /// A check failed.
    #[error("a check failed: {0}")]
    Check(String),
    /// The example repository is not what the story needs.
    #[error("the example repository does not fit the story: {0}")]
    Example(String),
    /// No engine.
    #[error("no container engine can be used: {0}")]
    NoEngine(String),
    /// An engine failed.
    #[error("the engine failed")]
    Docker(#[source] DockerError),
    /// A hub failed.
    #[error("the hub failed")]
    Registry(#[source] RegistryError),
    /// Pinning failed.
    #[error("cannot pin an image")]
    Pin(#[source] PinError),
    /// The repository could not be made.
    #[error("cannot make the repository")]
    Init(#[source] InitError),
}

/// Turns an I/O error into one of ours, saying what was tried.
pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> DemoError {
    let action = action.into();
    move |source| DemoError::Io { action, source }
}
