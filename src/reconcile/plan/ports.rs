//! Host ports that another service of this node still has.
//!
//! In: a [`View`], a container's definition. Out: who is in the way. Pure.

use serde_json::Value;

use crate::reconcile::desired::ContainerSpec;
use crate::reconcile::desired::container::PortMapping;
use crate::reconcile::observed::ObservedContainer;
use crate::reconcile::plan::body::port_key;
use crate::reconcile::plan::held::HeldReason;
use crate::reconcile::plan::matching::View;

/// Which container of another service has a host port that `spec` publishes. One that is stopped has
/// it too, for its version may have to come back: it is free when that container is removed.
pub(crate) fn taken(view: &View<'_>, spec: &ContainerSpec) -> Option<HeldReason> {
    let wanted: Vec<&PortMapping> = published(spec).collect();
    let others =
        view.input.observed.services.iter().filter(|(name, _)| **name != view.service.name);
    let mut clashes = others.flat_map(|(_, own)| own).filter_map(|other| {
        let port = wanted.iter().find(|port| has(other, port))?;
        let number = port.host_port.unwrap_or_default();
        let protocol = port_key(port).rsplit_once('/').map(|(_, p)| p.to_owned());
        let port = format!("{number}/{}", protocol.unwrap_or_default());
        Some(HeldReason::Taken { port, by: other.inspect.name.clone() })
    });
    clashes.next()
}

fn published(spec: &ContainerSpec) -> impl Iterator<Item = &PortMapping> {
    spec.ports.iter().filter(|port| port.host_port.is_some())
}

/// Whether a container publishes what meets `port`.
fn has(container: &ObservedContainer, port: &PortMapping) -> bool {
    let bindings = container.inspect.raw.pointer("/HostConfig/PortBindings");
    let bindings = bindings.and_then(Value::as_object).into_iter().flatten();
    let inside = |key: &str| key.rsplit_once('/').map(|(_, protocol)| protocol.to_owned());
    let protocol = inside(&port_key(port));
    let hosts = bindings.filter(|(key, _)| inside(key) == protocol);
    hosts.flat_map(|(_, hosts)| hosts.as_array().into_iter().flatten()).any(|host| {
        let of = |key: &str| host.get(key).and_then(Value::as_str).unwrap_or_default();
        let other = PortMapping {
            host_ip: of("HostIp").parse().ok(),
            host_port: of("HostPort").parse().ok(),
            ..*port
        };
        other.host_port.is_some() && other.clashes(port)
    })
}
