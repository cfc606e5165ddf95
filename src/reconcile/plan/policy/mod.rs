//! What the node refuses, whatever Git says.
//!
//! In: a service, [`NodePolicy`], where the host's links lead. Out: one sentence per denied field, with what would allow it. Pure.
//!
//! # Guarantees
//! * A path of the host is what it leads to, not what it is called.
//! * What is not known to be harmless is denied: a volume's type, its driver, a security option.
//! * Each line that is said to allow something does, as `agent.toml` is read.

mod links;
mod volume;
#[cfg(test)]
mod tests;

pub use links::HostLinks;
pub(crate) use links::{binds, host_paths};

use std::fmt::Display;
use std::path::{Component, Path};

use crate::config::{NodePolicy, SecurityOption};
use crate::reconcile::desired::container::{MountSource, NetworkAttachment};
use crate::reconcile::desired::{DesiredContainer, DesiredService};
use crate::reconcile::plan::policy::volume::denied_volume;

/// The engine's socket, wherever a distribution puts it.
const SOCKET_NAMES: [&str; 2] = ["docker.sock", "containerd.sock"];

/// Where it lies on most hosts, and that of the engine below it.
const SOCKETS: [&str; 3] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
];

/// Capabilities that mean all of them.
const ALL_CAPABILITIES: &str = "ALL";

/// The engine's name for the host's own network.
const HOST_NETWORK: &str = "host";

/// Security options that close something, or say what holds anyway.
const HARMLESS_OPTIONS: [&str; 4] =
    ["no-new-privileges", "no-new-privileges=true", "seccomp=builtin", "apparmor=docker-default"];

/// What the node refuses, and where its links lead.
pub(crate) type Rules<'a> = (&'a NodePolicy, &'a HostLinks);

/// Every field of `service` that `policy` denies, with the `agent.toml` line that would allow it.
pub(crate) fn denied(
    service: &DesiredService,
    policy: &NodePolicy,
    links: &HostLinks,
) -> Vec<String> {
    let mut denied = Vec::new();
    for container in service.containers.values() {
        let name = format!("containers.{}", container.name);
        let spec = &container.spec;
        if spec.privileged && !policy.privileged.contains(&service.name) {
            denied.push(format!("{name}.privileged: {}", line("privileged", &service.name)));
        }
        if joins_host(service, &spec.network) && !policy.host_namespaces.contains(&service.name) {
            let allow = line("host_namespaces", &service.name);
            denied.push(format!("{name}.network_mode = \"host\": {allow}"));
        }
        for capability in spec.cap_add.iter().filter(|c| !may_add(policy, service, c)) {
            let allow = line_for("cap_add", service, capability);
            denied.push(format!("{name}.cap_add {capability}: {allow}"));
        }
        for option in spec.security_opt.iter().filter(|o| !may_loosen(policy, service, o)) {
            let allow = line_for("security_opt", service, option);
            denied.push(format!("{name}.security_opt {option}: {allow}"));
        }
        denied.extend(denied_mounts(service, container, (policy, links), &name));
    }
    denied.extend(denied_volumes(service, (policy, links)));
    denied
}

/// Whether a container is on the host's own network, by mode or by the network's name.
fn joins_host(service: &DesiredService, network: &NetworkAttachment) -> bool {
    match network {
        NetworkAttachment::Host => true,
        NetworkAttachment::None => false,
        NetworkAttachment::Networks { networks } => networks.keys().any(|key| {
            service.networks.get(key).is_some_and(|network| network.engine_name == HOST_NETWORK)
        }),
    }
}

/// The line that would allow `value` to every service.
fn line(key: &str, value: impl Display) -> String {
    format!("[policy] {key} = [{}]", quoted(value))
}

/// The line that would allow `value` to this service.
fn line_for(key: &str, service: &DesiredService, value: &str) -> String {
    format!("[policy.{key}] {} = [{}]", service.name, quoted(value))
}

/// A string as TOML has it.
fn quoted(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

fn may_loosen(policy: &NodePolicy, service: &DesiredService, option: &str) -> bool {
    let option = SecurityOption::from(option);
    HARMLESS_OPTIONS.contains(&option.as_str())
        || policy.privileged.contains(&service.name)
        || [service.name.as_str(), "*"]
            .iter()
            .any(|who| policy.security_opt.get(*who).is_some_and(|all| all.contains(&option)))
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
    rules: Rules<'_>,
    name: &str,
) -> Vec<String> {
    let paths = container.spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some(path),
        MountSource::Volume { .. } | MountSource::Tmpfs { .. } | MountSource::Config { .. } => None,
    });
    let own = paths.filter_map(|path| denied_path(service, rules, path));
    own.map(|why| format!("{name}.volumes {why}")).collect()
}

/// Mounted here or not: what one service makes another may mount as `external`.
fn denied_volumes(service: &DesiredService, rules: Rules<'_>) -> Vec<String> {
    let made = service.volumes.iter().filter(|(_, volume)| !volume.external);
    let denied = made.filter_map(|(key, volume)| {
        denied_volume(service, rules, volume).map(|why| format!("volumes.{key} {why}"))
    });
    denied.collect()
}

/// Why `path` may not be mounted, if it may not.
fn denied_path(service: &DesiredService, (policy, links): Rules<'_>, path: &str) -> Option<String> {
    if !is_plain(Path::new(path)) {
        return Some(format!(
            "{path:?}: only an absolute path without `..` and `.` is ever allowed"
        ));
    }
    let leads = match links.of(path) {
        Ok(leads) => leads,
        Err(reason) => return Some(format!("{path}: where it leads cannot be seen: {reason}")),
    };
    let plain = Path::new(leads);
    let called = if plain == Path::new(path) {
        path.to_owned()
    } else {
        format!("{path}, which leads to {leads}")
    };
    let may = policy.docker_socket.contains(&service.name);
    let engine = links.of(&policy.engine_socket).unwrap_or(&policy.engine_socket);
    let sockets = || SOCKETS.into_iter().chain([engine]).map(Path::new);
    let is_named = plain.file_name().is_some_and(|n| SOCKET_NAMES.iter().any(|s| n == *s));
    if is_named || sockets().any(|socket| socket == plain) {
        return (!may).then(|| format!("{called}: {}", line("docker_socket", &service.name)));
    }
    let allowed = policy.bind_mounts.iter().map(Path::new);
    let covered = allowed.filter(|a| is_plain(a)).any(|a| plain.starts_with(a));
    if !covered {
        return Some(format!("{called}: {}", line("bind_mounts", leads)));
    }
    let socket = sockets().find(|socket| socket.starts_with(plain)).filter(|_| !may)?;
    let allow = line("docker_socket", &service.name);
    Some(format!("{called}, with {} in it: {allow}", socket.display()))
}

/// Absolute, and without a component that leads elsewhere.
fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
        && !path.to_string_lossy().split('/').any(|part| part == ".")
}
