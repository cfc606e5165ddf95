//! What must hold between the parts of a service, and between the services of a node.
//!
//! In: decoded services and the tables they came from. Out: findings. Pure.

use std::collections::BTreeMap;

use crate::model::ContainerName;
use crate::model::ServiceName;
use crate::model::duration::format_duration;
use crate::reconcile::desired::container::Condition;
use crate::reconcile::desired::container::DesiredContainer;
use crate::reconcile::desired::container::MountSource;
use crate::reconcile::desired::container::NetworkAttachment;
use crate::reconcile::desired::container::PortMapping;
use crate::reconcile::desired::container::Protocol;
use crate::reconcile::desired::container::RestartPolicy;
use crate::reconcile::desired::container::Run;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::service::DesiredNetwork;
use crate::reconcile::desired::service::DesiredService;
use crate::reconcile::desired::service::Strategy;

/// Networks that Docker's default address pools have room for: 15 of 172.16.0.0/12 and 16 of
/// 192.168.0.0/16, without the engine's own.
const POOL_NETWORKS_MAX: usize = 30;

/// The merged table that a service was read from, for places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The service's file.
    pub(crate) at: Place,
    /// Service and overlay, merged.
    pub(crate) table: &'a Table,
}

impl Source<'_> {
    /// Whether the service names this container, sound or not.
    fn has_container(&self, name: &ContainerName) -> bool {
        self.table.table("containers").is_some_and(|table| table.0.contains_key(name.as_str()))
    }

    /// Where `key` of a container is written, or else the container, or else the file.
    fn place(&self, container: &ContainerName, key: &str) -> Place {
        let containers = self.table.table("containers");
        let Some(entry) = containers.and_then(|table| table.0.get(container.as_str())) else {
            return self.at;
        };
        let inner = entry.node.as_table().and_then(|table| table.0.get(key));
        inner.map_or(entry.key_at, |inner| inner.key_at)
    }
}

/// Checks one service, and settles what run-once dependencies mean.
pub(crate) fn service(service: &mut DesiredService, source: Source<'_>, findings: &mut Findings) {
    let runs: BTreeMap<ContainerName, (Run, bool)> = service
        .containers
        .values()
        .map(|c| (c.name.clone(), (c.run, c.spec.healthcheck.is_some())))
        .collect();
    for container in service.containers.values_mut() {
        dependencies(container, &runs, source, findings);
        run_once(container, source, findings);
        if container.spec.network == NetworkAttachment::Host && !container.spec.ports.is_empty() {
            let at = source.place(&container.name, "ports");
            let message = "`ports` does not go with `network_mode = \"host\"`";
            findings.error_help(at, message, "on the host's network every port is the host's");
        }
    }
    slow_checks(service, source, findings);
    let placed: usize = service.start_levels().iter().map(Vec::len).sum();
    if placed < service.containers.len() {
        cycle(service, source, findings);
    }
    if service.update.strategy == Strategy::StartFirst {
        exclusive(service, source, findings);
        shared(service, source, findings);
    }
}

fn dependencies(
    container: &mut DesiredContainer,
    runs: &BTreeMap<ContainerName, (Run, bool)>,
    source: Source<'_>,
    findings: &mut Findings,
) {
    let at = source.place(&container.name, "depends_on");
    for (on, condition) in &mut container.depends_on {
        let Some((run, has_check)) = runs.get(on) else {
            // One that is there and has mistakes is told of there.
            if source.has_container(on) {
                continue;
            }
            let message = format!("`depends_on` names `{on}`, which the service does not have");
            findings.error(at, message);
            continue;
        };
        match (*condition, *run) {
            (Condition::ServiceStarted, Run::Once) => {
                *condition = Condition::ServiceCompletedSuccessfully;
            }
            (Condition::ServiceHealthy, Run::Once) => {
                let message = format!("`{on}` runs once and is never healthy");
                let help = "write `condition = \"service_completed_successfully\"`";
                findings.error_help(at, message, help);
            }
            (Condition::ServiceCompletedSuccessfully, Run::Always) => {
                let message = format!("`{on}` is not meant to complete");
                findings.error_help(at, message, format!("write `run = \"once\"` in `{on}`"));
            }
            (Condition::ServiceHealthy, Run::Always) if !has_check => {
                let message = format!("`{on}` must become healthy but has no `healthcheck`");
                let help = "write one; without it the image's own decides, if it has any";
                findings.warning(at, message, help);
            }
            _ => {}
        }
    }
}

fn run_once(container: &DesiredContainer, source: Source<'_>, findings: &mut Findings) {
    let spec = &container.spec;
    if container.run == Run::Once
        && matches!(spec.restart, RestartPolicy::Always | RestartPolicy::UnlessStopped)
    {
        let at = source.place(&container.name, "restart");
        let message = "what runs once is not restarted";
        findings.error_help(at, message, "remove `restart`, or write `on-failure:<times>`");
    }
}

fn cycle(service: &DesiredService, source: Source<'_>, findings: &mut Findings) {
    let placed: Vec<&ContainerName> =
        service.start_levels().into_iter().flatten().map(|c| &c.name).collect();
    let stuck = service.containers.values().filter(|c| !placed.contains(&&c.name));
    // Follow the first stuck dependency of each until a name comes again: that is a cycle.
    let next = |name: &ContainerName| {
        let on = service.containers.get(name)?.depends_on.keys();
        on.filter(|on| service.containers.contains_key(*on) && !placed.contains(on)).min()
    };
    let Some(first) = stuck.map(|c| &c.name).next() else { return };
    let (mut walk, mut at) = (vec![first], first);
    while let Some(on) = next(at) {
        if let Some(begin) = walk.iter().position(|name| *name == on) {
            let mut names: Vec<&str> = walk[begin..].iter().map(|n| n.as_str()).collect();
            names.push(on.as_str());
            let message = format!("containers depend on each other: {}", names.join(" → "));
            findings.error(source.place(on, "depends_on"), message);
            return;
        }
        walk.push(on);
        at = on;
    }
}

/// Start-first runs old and new side by side: nothing may be had by one alone.
fn exclusive(service: &DesiredService, source: Source<'_>, findings: &mut Findings) {
    let help = "write `strategy = \"stop-first\"`, or free it";
    for container in service.containers.values().filter(|c| c.run == Run::Always) {
        let name = &container.name;
        if let Some(port) = container.spec.ports.iter().find_map(|p| p.host_port) {
            let message = format!("start-first cannot share host port {port} of `{name}`");
            findings.error_help(source.place(name, "ports"), message, help);
        }
        match &container.spec.network {
            NetworkAttachment::Host => {
                let message = format!("start-first cannot share the host's network of `{name}`");
                findings.error_help(source.place(name, "network_mode"), message, help);
            }
            NetworkAttachment::Networks { networks } => {
                let fixed =
                    networks.values().any(|e| e.ipv4_address.is_some() || e.ipv6_address.is_some());
                if fixed {
                    let message = format!("start-first cannot share the fixed address of `{name}`");
                    findings.error_help(source.place(name, "networks"), message, help);
                }
            }
            NetworkAttachment::None => {}
        }
    }
}

/// What start-first has two containers write at the same time.
fn shared(service: &DesiredService, source: Source<'_>, findings: &mut Findings) {
    for container in service.containers.values().filter(|c| c.run == Run::Always) {
        let name = &container.name;
        for mount in container.spec.mounts.iter().filter(|mount| !mount.read_only) {
            let what = match &mount.source {
                MountSource::Volume { volume, .. } => format!("volume `{volume}`"),
                MountSource::Bind { path, .. } => format!("`{path}`"),
                MountSource::Tmpfs { .. } | MountSource::Config { .. } => continue,
            };
            let message =
                format!("start-first has the old and the new `{name}` write to {what} at once");
            let help = "write `strategy = \"stop-first\"`, or mount it read-only, unless two may";
            findings.warning(source.place(name, "volumes"), message, help);
        }
    }
}

/// Health checks that say nothing yet when the gate's time is over: the first comes after an interval.
fn slow_checks(service: &DesiredService, source: Source<'_>, findings: &mut Findings) {
    let limit = service.update.health_timeout.max(service.update.stable);
    for container in service.containers.values().filter(|c| c.run == Run::Always) {
        let Some(check) = &container.spec.healthcheck else { continue };
        let off = check.test.first().is_some_and(|word| word == "NONE");
        let slow = check.interval.filter(|interval| *interval > limit);
        let Some(interval) = slow.filter(|_| !off) else { continue };
        let message = format!(
            "`interval` of `{}` is {}, and [update] health_timeout gives it {} to become healthy",
            container.name,
            format_duration(interval),
            format_duration(limit)
        );
        let help = "the time counts from the start; write a longer `health_timeout`";
        findings.warning(source.place(&container.name, "healthcheck"), message, help);
    }
}

/// Checks the services of a node together.
pub(crate) fn node(
    services: &BTreeMap<ServiceName, DesiredService>,
    sources: &BTreeMap<ServiceName, Source<'_>>,
    findings: &mut Findings,
) {
    ports(services, sources, findings);
    names(services, sources, findings);
    address_pools(services, sources, findings);
}

/// A port and who has it.
type Taken<'a> = (&'a PortMapping, &'a ServiceName, &'a ContainerName);

fn ports(
    services: &BTreeMap<ServiceName, DesiredService>,
    sources: &BTreeMap<ServiceName, Source<'_>>,
    findings: &mut Findings,
) {
    let mut taken: BTreeMap<(u16, Protocol), Vec<Taken<'_>>> = BTreeMap::new();
    for (service, desired) in services {
        for container in desired.containers.values() {
            for port in &container.spec.ports {
                let Some(number) = port.host_port else { continue };
                let others = taken.entry((number, port.protocol)).or_default();
                let clash = others.iter().find(|(other, ..)| other.clashes(port));
                if let (Some((_, other, inside)), Some(source)) = (clash, sources.get(service)) {
                    let at = source.place(&container.name, "ports");
                    let message = format!(
                        "host port {number} is taken by container `{inside}` of service {other}"
                    );
                    let help = "publish another port, or another address, or on another node";
                    findings.error_help(at, message, help);
                }
                others.push((port, service, &container.name));
            }
        }
    }
}

/// Two services that make a thing of the same name at the engine would fight over it.
fn names(
    services: &BTreeMap<ServiceName, DesiredService>,
    sources: &BTreeMap<ServiceName, Source<'_>>,
    findings: &mut Findings,
) {
    let mut taken: BTreeMap<(&str, &str), &ServiceName> = BTreeMap::new();
    for (service, desired) in services {
        let networks = desired.networks.values().filter(|n| !n.external);
        let volumes = desired.volumes.values().filter(|v| !v.external);
        let made = networks
            .map(|n| ("network", n.engine_name.as_str()))
            .chain(volumes.map(|v| ("volume", v.engine_name.as_str())));
        for thing in made {
            let other = taken.insert(thing, service).filter(|other| *other != service);
            if let (Some(other), Some(source)) = (other, sources.get(service)) {
                let (kind, name) = thing;
                let message = format!("{kind} `{name}` is made by service {other} already");
                let help = "write `external = true` in the service that only uses it";
                findings.error_help(source.at, message, help);
            }
        }
    }
}

/// Each network without a subnet of its own takes one of Docker's, and those are few.
fn address_pools(
    services: &BTreeMap<ServiceName, DesiredService>,
    sources: &BTreeMap<ServiceName, Source<'_>>,
    findings: &mut Findings,
) {
    let mut n_networks = 0;
    for (service, desired) in services {
        let takes = |network: &&DesiredNetwork| {
            let bridge = network.driver.as_deref().is_none_or(|driver| driver == "bridge");
            bridge && !network.external && network.subnets.is_empty()
        };
        let before = n_networks;
        n_networks += desired.networks.values().filter(takes).count();
        if before <= POOL_NETWORKS_MAX
            && n_networks > POOL_NETWORKS_MAX
            && let Some(source) = sources.get(service)
        {
            let message = format!(
                "with service {service} a node has more than {POOL_NETWORKS_MAX} networks: \
                 Docker's default address pools hold no more"
            );
            let help = "give networks an `ipam` subnet, or the engine `default-address-pools`";
            findings.warning(source.at, message, help);
        }
    }
}
