//! Takes back from the machine's own engine what this demo's nodes made there, and nothing else.

use std::fs;
use std::process::Command;

use crate::clients::docker::{DockerClient, DockerRead as _};
use crate::clients::host::NodeKey;
use crate::demo::engine::{DemoEngine, shared};
use crate::demo::error::{DemoError, io};
use crate::demo::place::Place;
use crate::demo::process::run;
use crate::reconcile::observed::{ObjectKind, OwnershipKey};

/// The file that says that the machine's own engine is used; it lists the demo's hubs.
pub(crate) const SHARED: &str = "shared";

/// Everything of the demo's on an engine, as `docker` names it.
#[derive(Debug, Default)]
struct Own {
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

/// Removes what carries the proof of one of this demo's nodes, and images of its hubs.
pub(crate) async fn remove(place: &Place) -> Result<(), DemoError> {
    let hubs = fs::read_to_string(place.path(SHARED)).map_err(io("read whose engine it is"))?;
    let engine = shared().await?;
    let client = engine.client()?;
    let mut own = Own::default();
    for entry in fs::read_dir(place.root()).map_err(io("look through the demo's directory"))? {
        let folder = entry.map_err(io("look through the demo's directory"))?.path();
        if let Ok(Some(key)) = NodeKey::load(&folder.join("node.key")) {
            collect(&client, &OwnershipKey::derive(key.secret().as_ref()), &mut own).await?;
        }
    }
    take_away(&engine, &["rm", "--force", "--volumes"], &own.containers)?;
    take_away(&engine, &["network", "rm"], &own.networks)?;
    take_away(&engine, &["volume", "rm"], &own.volumes)?;
    for hub in hubs.lines() {
        let reference = format!("reference={hub}/*/*");
        let filter = ["images", "--quiet", "--no-trunc", "--filter", &reference];
        let listed = docker(&engine, &filter)?;
        let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        take_away(&engine, &["rmi", "--force"], &ids)?;
    }
    Ok(())
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
