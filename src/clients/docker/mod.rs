//! The Docker Engine API, as much as a reconciler needs, decoded into tolerant structs.
//!
//! In: a socket. Out: [`DockerRead`], [`DockerWrite`]. Effect: talks to the engine.
//!
//! # Guarantees
//! * Every call has a deadline; every body a cap.
//! * One unknown state or field never hides the rest of a list.
//! * The API version is negotiated (20.10 speaks at most 1.41; 29 refuses below 1.44).

mod error;
mod types;
mod decode;
mod lines;
mod connection;
mod client;
mod read;
mod pull;
mod write;
mod events;
pub mod credentials;
mod helper;
mod save;
mod stock;

pub use client::DockerClient;
pub use credentials::{CredentialsError, HelperName, RegistryCredentials, login_name};
pub use decode::is_blank;
pub use error::{DockerError, DockerErrorKind, is_leftover, is_scarcity, leftover_task};
pub use helper::{HelperError, ask_helper};
pub use stock::{Stock, StoredImage};
pub use types::{
    ContainerId, ContainerInspect, ContainerState, ContainerSummary, CreateContainer, EngineEvent,
    EngineInfo, ImageInspect, Login, NetworkInspect, RegistryAuth, VolumeInspect,
};

use futures_util::Stream;

use crate::model::ImageReference;

/// What a failing call says about itself is in [`DockerError`]; "not there" is `Ok(None)`.
#[expect(async_fn_in_trait, reason = "the agent runs on one thread and never sends these futures")]
pub trait DockerRead {
    /// Version, id and defaults of the engine.
    async fn info(&self) -> Result<EngineInfo, DockerError>;
    /// All containers, ours and others, stopped ones included: one call.
    async fn containers(&self) -> Result<Vec<ContainerSummary>, DockerError>;
    /// One container, by id or name.
    async fn container(&self, id: &str) -> Result<Option<ContainerInspect>, DockerError>;
    /// One image, by id or reference.
    async fn image(&self, reference: &str) -> Result<Option<ImageInspect>, DockerError>;
    /// All networks, containers not listed.
    async fn networks(&self) -> Result<Vec<NetworkInspect>, DockerError>;
    /// All volumes.
    async fn volumes(&self) -> Result<Vec<VolumeInspect>, DockerError>;
    /// The last lines that a container wrote, for a failure's report; bounded.
    async fn logs(&self, id: &ContainerId, lines_max: u32) -> Result<String, DockerError>;
}

/// What happens on an engine, as it happens.
pub trait DockerEvents {
    /// Events of containers, networks and images from now on; it ends with an error or when the
    /// engine ends it, and is then asked for again.
    fn events(&self) -> impl Stream<Item = Result<EngineEvent, DockerError>>;
}

/// Everything that changes an engine. `plan` is never handed one.
#[expect(async_fn_in_trait, reason = "the agent runs on one thread and never sends these futures")]
pub trait DockerWrite {
    /// Pulls by digest. The credentials go to the reference's hub alone and into no log.
    async fn pull(
        &self,
        image: &ImageReference,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), DockerError>;
    /// Creates a container; it does not start.
    async fn create_container(&self, request: &CreateContainer)
    -> Result<ContainerId, DockerError>;
    /// Starts a container; already running is success.
    async fn start(&self, id: &ContainerId) -> Result<(), DockerError>;
    /// Stops a container, with SIGKILL after `grace_secs`; already stopped is success.
    async fn stop(&self, id: &ContainerId, grace_secs: u64) -> Result<(), DockerError>;
    /// Resumes a paused container.
    async fn unpause(&self, id: &ContainerId) -> Result<(), DockerError>;
    /// Renames a container.
    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), DockerError>;
    /// Changes limits or the restart policy in place (`POST /containers/{id}/update`).
    async fn update(&self, id: &ContainerId, body: &serde_json::Value) -> Result<(), DockerError>;
    /// Removes a stopped container, not its volumes; gone already is success.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), DockerError>;
    /// Makes a network; returns its id.
    async fn create_network(&self, body: &serde_json::Value) -> Result<String, DockerError>;
    /// Removes a network; gone already is success.
    async fn remove_network(&self, id: &str) -> Result<(), DockerError>;
    /// Connects a container to a network, with `EndpointConfig` as in `NetworkingConfig`.
    async fn connect(
        &self,
        network: &str,
        id: &ContainerId,
        endpoint: &serde_json::Value,
    ) -> Result<(), DockerError>;
    /// Disconnects a container from a network; not connected is success.
    async fn disconnect(&self, network: &str, id: &ContainerId) -> Result<(), DockerError>;
    /// Makes a volume.
    async fn create_volume(&self, body: &serde_json::Value) -> Result<(), DockerError>;
    /// Removes an image by id or reference; gone already is success, in use is a conflict.
    async fn remove_image(&self, reference: &str) -> Result<(), DockerError>;
}
