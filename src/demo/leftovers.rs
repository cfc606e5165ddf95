//! Takes back from the machine's own engine what this demo's nodes made there, and nothing else.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::docker::{DockerClient, DockerRead as _};
use crate::clients::host::NodeKey;
use crate::demo::engine::{DemoEngine, shared_at};
use crate::demo::error::{DemoError, io};
use crate::demo::hub::DemoHub;
use crate::demo::place::Place;
use crate::demo::process::run;
use crate::model::{Digest, RepositoryPath};
use crate::reconcile::observed::{ObjectKind, OwnershipKey};

/// The file that says that the machine's own engine is used, and where it is.
pub(crate) const SHARED: &str = "shared";
/// The file that lists the demo's hubs.
const HUBS: &str = "hubs";
/// The file that lists what the demo pushed into them, as `repository@digest`.
const IMAGES: &str = "images";

/// An engine removes a few containers within a fraction of this.
const REMOVE_SECS_MAX: u64 = 30;
/// Time between two tries.
const REMOVE_AGAIN: Duration = Duration::from_millis(300);

/// Everything of the demo's on an engine, as `docker` names it.
#[derive(Debug, Default)]
struct Own {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

/// Notes a hub, from which images may be pulled.
pub(crate) fn note_hub(place: &Place, hub: &DemoHub) -> Result<(), DemoError> {
    note(place, HUBS, &hub.address.to_string())
}

/// Notes an image that the demo made and pushed.
pub(crate) fn note_image(
    place: &Place,
    repository: &RepositoryPath,
    digest: &Digest,
) -> Result<(), DemoError> {
    note(place, IMAGES, &format!("{repository}@{digest}"))
}

fn note(place: &Place, file: &str, line: &str) -> Result<(), DemoError> {
    let path = place.path(file);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let noted = file.and_then(|mut file| writeln!(file, "{line}"));
    noted.map_err(io(format!("write {}", path.display())))
}

/// Removes from the machine's own engine, if that was used, what carries the proof of one of this
/// demo's nodes, and its images, each by the reference that it was pulled by: what has another name
/// stays under that.
pub(crate) async fn remove(place: &Place) -> Result<(), DemoError> {
    let socket = match fs::read_to_string(place.path(SHARED)) {
        Ok(socket) => socket,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // What tells the demo's own things from others' must not be removed unread.
        Err(error) => return Err(io("read whose engine was used")(error)),
    };
    let engine = shared_at(PathBuf::from(socket.trim()));
    let client = engine.client()?;
    if client.info().await.is_err() {
        let (at, dir) = (engine.socket.display(), place.root().display());
        return Err(DemoError::NoEngine(format!(
            "what an earlier run made is on the engine at {at}; start that again, or remove {dir} yourself"
        )));
    }
    let since = Instant::now();
    while let Err(error) = remove_own(place, &engine, &client).await {
        // What an earlier run was removing when it was interrupted may be half gone.
        if since.elapsed() > Duration::from_secs(REMOVE_SECS_MAX) {
            return Err(error);
        }
        sleep(REMOVE_AGAIN).await;
    }
    for reference in references(place) {
        if docker(&engine, &["image", "inspect", "--format", "{{.Id}}", &reference]).is_ok() {
            // One that somebody's container uses stays, as `docker rmi` says itself.
            let _stays = docker(&engine, &["rmi", &reference]);
        }
    }
    Ok(())
}

async fn remove_own(
    place: &Place,
    engine: &DemoEngine,
    client: &DockerClient,
) -> Result<(), DemoError> {
    let mut own = Own::default();
    for entry in fs::read_dir(place.root()).map_err(io("look through the demo's directory"))? {
        let folder = entry.map_err(io("look through the demo's directory"))?.path();
        if let Ok(Some(key)) = NodeKey::load(&folder.join("node.key")) {
            collect(client, &OwnershipKey::derive(key.secret().as_ref()), &mut own).await?;
        }
    }
    take_away(engine, &["rm", "--force", "--volumes"], &own.containers)?;
    take_away(engine, &["network", "rm"], &own.networks)?;
    take_away(engine, &["volume", "rm"], &own.volumes)
}

/// Everything that may have been pulled: what was pushed, from any of the hubs, since promoting
/// copies it from one to the next.
fn references(place: &Place) -> BTreeSet<String> {
    let lines = |file| fs::read_to_string(place.path(file)).unwrap_or_default();
    let (hubs, images) = (lines(HUBS), lines(IMAGES));
    let of_hub = |hub| images.lines().map(move |image| format!("{hub}/{image}"));
    hubs.lines().flat_map(of_hub).collect()
}

fn docker(engine: &DemoEngine, args: &[&str]) -> Result<String, DemoError> {
    run(Command::new("docker").arg("-H").arg(engine.address()).args(args))
}

fn take_away(engine: &DemoEngine, verb: &[&str], names: &[String]) -> Result<(), DemoError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut args: Vec<&str> = verb.to_vec();
    args.extend(names.iter().map(String::as_str));
    docker(engine, &args).map(drop)
}

async fn collect(
    client: &DockerClient,
    key: &OwnershipKey,
    own: &mut Own,
) -> Result<(), DemoError> {
    let containers = client.containers().await.map_err(DemoError::Docker)?;
    let ours =
        containers.into_iter().filter(|c| key.check(ObjectKind::Container, &c.labels).is_some());
    own.containers.extend(ours.map(|c| c.id.to_string()));
    let networks = client.networks().await.map_err(DemoError::Docker)?;
    let ours = networks.into_iter().filter(|n| key.check(ObjectKind::Network, &n.labels).is_some());
    own.networks.extend(ours.map(|n| n.id));
    let volumes = client.volumes().await.map_err(DemoError::Docker)?;
    let ours = volumes.into_iter().filter(|v| key.check(ObjectKind::Volume, &v.labels).is_some());
    own.volumes.extend(ours.map(|v| v.name));
    Ok(())
}
