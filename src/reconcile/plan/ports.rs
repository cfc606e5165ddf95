//! Host ports that another service of this node still has.
//!
//! In: a [`View`], a container's definition. Out: who is in the way. Pure.
//!
//! # Guarantees
//! * Services that wait for one another in a circle are told apart from those whose turn comes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::ServiceName;
use crate::reconcile::desired::ContainerSpec;
use crate::reconcile::desired::container::PortMapping;
use crate::reconcile::observed::{ObservedContainer, ObservedState};
use crate::reconcile::plan::held::{Held, HeldReason};
use crate::reconcile::plan::matching::View;

/// Which container of another service has a host port that `spec` publishes. One that is stopped has
/// it too, for its version may have to come back: it is free when that container is removed.
pub(crate) fn taken(view: &View<'_>, spec: &ContainerSpec) -> Option<HeldReason> {
    let wanted: Vec<&PortMapping> = spec.ports.iter().filter(|p| p.host_port.is_some()).collect();
    if wanted.is_empty() {
        return None;
    }
    let others =
        view.input.observed.services.iter().filter(|(name, _)| **name != view.service.name);
    let mut clashes = others.flat_map(|(_, own)| own).filter_map(|other| {
        let port = wanted.iter().find(|port| has(other, port))?;
        let port = format!("{}/{}", port.host_port?, port.protocol);
        Some(HeldReason::Taken { port, by: other.inspect.name.clone() })
    });
    clashes.next()
}

/// Names the services among the `held` that wait for one another's ports: none of them can begin.
pub(crate) fn name_exchanges(held: &mut [Held], observed: &ObservedState) {
    let owner = |container: &str| {
        let mut services = observed.services.iter();
        let has = |own: &[ObservedContainer]| own.iter().any(|c| c.inspect.name == container);
        services.find(|(_, own)| has(own)).map(|(name, _)| name.clone())
    };
    let waits = held.iter().filter_map(|held| match &held.reason {
        HeldReason::Taken { by, .. } => Some((held.service.clone(), owner(by)?)),
        _ => None,
    });
    let waits: BTreeMap<ServiceName, ServiceName> = waits.collect();
    let is_in_circle = |service: &ServiceName| {
        let mut next = waits.get(service);
        (0..waits.len()).any(|_| {
            let at = next;
            next = at.and_then(|at| waits.get(at));
            at == Some(service)
        })
    };
    for held in held.iter_mut().filter(|held| is_in_circle(&held.service)) {
        if let HeldReason::Taken { port, by } = &held.reason {
            held.reason = HeldReason::Exchange { port: port.clone(), by: by.clone() };
        }
    }
}

/// Whether a container publishes what meets `port`.
fn has(container: &ObservedContainer, port: &PortMapping) -> bool {
    let bindings = container.inspect.raw.pointer("/HostConfig/PortBindings");
    let bindings = bindings.and_then(Value::as_object).into_iter().flatten();
    let protocol = port.protocol.to_string();
    let hosts = bindings.filter(|(key, _)| key.rsplit('/').next() == Some(protocol.as_str()));
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
