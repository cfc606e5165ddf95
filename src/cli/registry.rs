//! How a person's commands are let into registries: as their docker is.
//!
//! In: `config.json` as `docker login` writes it, `/etc/docker/certs.d`, the user's git settings. Out:
//! a client. Effect: reads these files, and asks the credential helper that they name.

use std::path::{Path, PathBuf};

use crate::cli::context::block_on;
use crate::cli::error::CommandError;
use crate::clients::docker::{RegistryAuth, RegistryCredentials, ask_helper, login_name};
use crate::clients::git::user_config;
use crate::clients::host::read_bounded;
use crate::clients::registry::{
    PlainHttp, RegistryClient, RegistryError, RegistryErrorKind, RegistryOptions,
};
use crate::model::Hub;

/// A few registries' credentials, or a bundle of authorities.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A client of `hub` with what this user's docker knows of it.
///
/// # Errors
/// When one of docker's files is there and cannot be used.
pub fn client(hub: &Hub, plain_http: PlainHttp) -> Result<RegistryClient, CommandError> {
    let options = RegistryOptions { plain_http, ca: authority(hub)?, auth: auth(hub)? };
    let client = RegistryClient::new(hub, options).map_err(|error| CommandError::failed(&error))?;
    let token_server = user_config(&format!("tidegate.{}.tokenServer", hub.authority()));
    Ok(client.with_token_server(token_server))
}

/// A hub's failure, with what mends it.
pub fn explain(hub: &Hub, error: &RegistryError) -> CommandError {
    let failed = CommandError::failed(error);
    match error.kind {
        RegistryErrorKind::Unauthorized => {
            let server = hub.authority();
            failed.hint(format!(
                "may you do that there? `docker login {server}`, or `[hub] credentials` on a node"
            ))
        }
        RegistryErrorKind::ForeignRealm => {
            let whether = "if who keeps the hub says that it is meant, name it (docs/hubs.md)";
            failed.hint(format!("nothing was sent there; {whether}"))
        }
        RegistryErrorKind::Unreachable => failed.hint(format!(
            "is {hub} up, and does this machine trust its certificate? `curl -v https://{}/v2/`",
            hub.authority()
        )),
        _ => failed,
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, CommandError> {
    read_bounded(path, FILE_BYTES_MAX).map_err(|error| CommandError::failed(&error))
}

/// The authority that docker trusts for this hub.
fn authority(hub: &Hub) -> Result<Option<Vec<u8>>, CommandError> {
    read(&Path::new("/etc/docker/certs.d").join(hub.authority()).join("ca.crt"))
}

fn auth(hub: &Hub) -> Result<Option<RegistryAuth>, CommandError> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let Some(bytes) = read(&path)? else { return Ok(None) };
    let mend = |error: &dyn std::error::Error| {
        CommandError::failed(error).hint(format!("mend {}: `docker login`", path.display()))
    };
    let all = RegistryCredentials::read(&bytes).map_err(|error| mend(&error))?;
    let server = hub.authority();
    if let Some(helper) = all.helper_for(server) {
        let asked = login_name(server);
        let found = block_on(async { ask_helper(helper, asked).await.map_err(|e| mend(&e)) })?;
        if let Some(found) = found {
            return Ok(Some(RegistryAuth { server: server.to_owned(), ..found }));
        }
    }
    Ok(all.for_authority(server))
}
