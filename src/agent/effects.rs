//! What a pass acts with: configs' files, fresh nonces, the hub's credentials.
//!
//! In: settings, the engine. Out: implementations of the stages' traits. Effect: theirs.

use std::io;
use std::path::Path;

use crate::agent::AgentError;
use crate::clients::docker::{RegistryAuth, RegistryCredentials};
use crate::clients::host::{read_bounded, write_file};
use crate::config::Settings;
use crate::model::Hub;
use crate::reconcile::apply::ConfigFiles;
use crate::telemetry::Chain;

/// A credentials file longer than this is a mistake.
const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;

/// The node's store of configs' contents, on the host's file system.
#[derive(Debug, Clone, Copy)]
pub struct HostFiles;

impl ConfigFiles for HostFiles {
    fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        write_file(Path::new(path), content, mode)
            .map_err(|error| io::Error::other(Chain(&error).to_string()))
    }
}

/// Fresh random hex: enough that no two objects ever share it.
pub fn nonce() -> String {
    let mut bytes = [0; 8];
    // Without randomness the process's id and the time still tell objects apart.
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&nanos[..8]);
    }
    hex::encode(bytes)
}

/// A number that nobody guesses, for jitter.
pub fn chance() -> u16 {
    let mut bytes = [0; 2];
    let _zero_is_as_good = getrandom::fill(&mut bytes);
    u16::from_le_bytes(bytes)
}

/// Credentials for the environment's hub, read afresh so that they can be changed at any time.
///
/// # Errors
/// When the file that the configuration names cannot be used.
pub fn hub_credentials(settings: &Settings, hub: &Hub) -> Result<Option<RegistryAuth>, AgentError> {
    let Some(path) = &settings.hub.credentials else { return Ok(None) };
    let unusable = |reason: String| AgentError::Credentials { path: path.clone(), reason };
    let bytes = read_bounded(path, CREDENTIALS_BYTES_MAX).map_err(AgentError::Host)?;
    let bytes = bytes.ok_or_else(|| unusable("it is not there".to_owned()))?;
    let all =
        RegistryCredentials::parse(&bytes).map_err(|error| unusable(Chain(&error).to_string()))?;
    Ok(all.for_authority(hub.authority()))
}
