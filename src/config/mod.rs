//! The node's own configuration, which Git cannot loosen.
//!
//! In: `/etc/tidegate/agent.toml` and its drop-ins `agent.toml.d/*.toml`. Out: [`Settings`], or
//! every mistake with file, line and column. Effect: reads those files.
//!
//! ```text
//! files.rs     bounded reading, drop-ins in order
//! fragment.rs  raw: values with their places, merged; a later file wins key by key
//! section.rs   strict: each key read once, the rest is unknown
//! settings.rs  validated
//! ```

mod error;
mod files;
mod fragment;
mod policy;
mod remote;
mod section;
mod settings;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub use policy::{NodePolicy, SecurityOption};
pub use remote::{BranchName, Remote, RemoteUrl, RemoteUrlError, RepositoryId};
pub use settings::{
    AGENT_TOML, EngineSettings, HubSettings, ImageSettings, KeySettings, RepositorySettings,
    Requirement, Settings, TrustSettings,
};
