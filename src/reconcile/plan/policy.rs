//! What the node refuses, whatever Git says.
//!
//! In: a service, [`NodePolicy`]. Out: one sentence per denied field, with what would allow it. Pure.

use std::path::{Component, Path};

use crate::config::NodePolicy;
use crate::reconcile::desired::container::{MountSource, NetworkAttachment};
use crate::reconcile::desired::{DesiredContainer, DesiredService};

/// The engine's socket, wherever a distribution puts it.
const SOCKET_NAMES: [&str; 2] = ["docker.sock", "containerd.sock"];

/// Capabilities that mean all of them.
const ALL_CAPABILITIES: &str = "ALL";

/// Every field of `service` that `policy` denies, with the `agent.toml` line that would allow it.
pub(crate) fn denied(service: &DesiredService, policy: &NodePolicy) -> Vec<String> {
    let mut denied = Vec::new();
    for container in service.containers.values() {
        let name = format!("containers.{}", container.name);
        let spec = &container.spec;
        if spec.privileged && !policy.privileged.contains(&service.name) {
            denied.push(format!("{name}.privileged: {}", line("privileged", &service.name)));
        }
        if spec.network == NetworkAttachment::Host
            && !policy.host_namespaces.contains(&service.name)
        {
            let allow = line("host_namespaces", &service.name);
            denied.push(format!("{name}.network_mode = \"host\": {allow}"));
        }
        for capability in &spec.cap_add {
            if !may_add(policy, service, capability) {
                denied.push(format!(
                    "{name}.cap_add {capability}: [policy.capabilities] {} = [\"{capability}\"]",
                    service.name
                ));
            }
        }
        denied.extend(denied_mounts(service, container, policy, &name));
    }
    denied
}

fn line(key: &str, value: impl std::fmt::Display) -> String {
    format!("[policy] {key} = [\"{value}\"]")
}

fn may_add(policy: &NodePolicy, service: &DesiredService, capability: &str) -> bool {
    [service.name.as_str(), "*"].iter().any(|who| {
        policy.capabilities.get(*who).is_some_and(|allowed| {
            allowed.contains(capability) || allowed.contains(ALL_CAPABILITIES)
        })
    })
}

fn denied_mounts(
    service: &DesiredService,
    container: &DesiredContainer,
    policy: &NodePolicy,
    name: &str,
) -> Vec<String> {
    let paths = container.spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some(path),
        MountSource::Volume { .. } | MountSource::Tmpfs { .. } | MountSource::Config { .. } => None,
    });
    let own = paths.filter_map(|path| denied_path(service, policy, path));
    let volumes = container.spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { volume, .. } => service.volumes.get(volume),
        _ => None,
    });
    // `driver_opts = { type = "none", o = "bind", device = "/etc" }` is a bind mount in disguise.
    let devices = volumes
        .filter(|volume| !volume.external)
        .filter_map(|volume| volume.driver_opts.get("device"))
        .filter(|device| device.starts_with('/'))
        .filter_map(|device| denied_path(service, policy, device));
    own.chain(devices).map(|why| format!("{name}.volumes {why}")).collect()
}

/// Why `path` may not be mounted, if it may not.
fn denied_path(service: &DesiredService, policy: &NodePolicy, path: &str) -> Option<String> {
    let plain = Path::new(path);
    if !is_plain(plain) {
        return Some(format!("{path}: a path with `..` or `.` is never allowed"));
    }
    let is_socket = plain.file_name().is_some_and(|n| SOCKET_NAMES.iter().any(|s| n == *s));
    if is_socket {
        return (!policy.docker_socket.contains(&service.name))
            .then(|| format!("{path}: {}", line("docker_socket", &service.name)));
    }
    let allowed = policy.bind_mounts.iter().map(Path::new);
    let covered = allowed.filter(|a| is_plain(a)).any(|a| plain.starts_with(a));
    (!covered).then(|| format!("{path}: {}", line("bind_mounts", path)))
}

/// Absolute, and without a component that leads elsewhere.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
        && !path.to_string_lossy().split('/').any(|part| part == ".")
}
