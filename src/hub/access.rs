//! How a node is let into hubs: by its own configuration.
//!
//! In: a hub, [`HubSettings`]. Out: a client. Effect: reads the files that the settings name.

use std::path::{Path, PathBuf};

use crate::clients::docker::{CredentialsError, RegistryCredentials};
use crate::clients::host::{HostError, read_bounded};
use crate::clients::registry::{PlainHttp, RegistryClient, RegistryError, RegistryOptions};
use crate::config::HubSettings;
use crate::model::Hub;

/// A few registries' credentials, or a bundle of authorities.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files that let nobody in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("cannot read what lets us into hubs")]
    File(#[source] HostError),
    /// A file is not there.
    #[error("there is no {}", .0.display())]
    Absent(PathBuf),
    /// The credentials cannot be used.
    #[error("cannot use {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// The client cannot be made.
    #[error("cannot speak to the hub")]
    Client(#[source] RegistryError),
}

fn read(path: &Path) -> Result<Vec<u8>, AccessError> {
    let bytes = read_bounded(path, FILE_BYTES_MAX).map_err(AccessError::File)?;
    bytes.ok_or_else(|| AccessError::Absent(path.to_owned()))
}

/// A client of `hub`; its own entry of the credentials alone is ever used for it.
///
/// # Errors
/// When a file that the settings name cannot be used.
pub fn open_hub(
    hub: &Hub,
    plain_http: PlainHttp,
    settings: &HubSettings,
) -> Result<RegistryClient, AccessError> {
    let all = match &settings.credentials {
        None => RegistryCredentials::default(),
        Some(path) => RegistryCredentials::parse(&read(path)?)
            .map_err(|source| AccessError::Credentials { path: path.clone(), source })?,
    };
    let auth = all.for_authority(hub.authority());
    let ca = settings.ca.as_deref().map(read).transpose()?;
    let client = RegistryClient::new(hub, RegistryOptions { plain_http, ca, auth });
    Ok(client.map_err(AccessError::Client)?.with_token_server(settings.token_server.clone()))
}
