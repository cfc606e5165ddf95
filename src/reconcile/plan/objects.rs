//! Networks and volumes of a service: made when missing, never changed behind a container's back.
//!
//! In: a [`View`]. Out: steps, or what is in the way. Pure.

use serde_json::Value;

use crate::model::{ContainerName, ServiceName};
use crate::reconcile::desired::container::hash_of;
use crate::reconcile::desired::{DesiredNetwork, DesiredVolume};
use crate::reconcile::observed::ObjectKind;
use crate::reconcile::plan::PlanInput;
use crate::reconcile::plan::body::{network_body, volume_body};
use crate::reconcile::plan::matching::View;
use crate::reconcile::plan::step::{HeldReason, Step};

/// What is in the way of the networks and volumes of this version, if anything is.
pub(crate) fn obstacle(view: &View<'_>) -> Option<HeldReason> {
    let (observed, key) = (view.input.observed, view.input.key);
    let networks = view.service.networks.values().filter_map(|wanted| {
        let name = wanted.engine_name.clone();
        match observed.networks.get(&name) {
            None if wanted.external => Some(HeldReason::Missing { name }),
            None => None,
            Some(_) if wanted.external => None,
            Some(found) => match key.check(ObjectKind::Network, &found.labels) {
                Some(owned) if owned.service == view.service.name => {
                    (!network_fits(wanted, &found.raw)).then_some(HeldReason::Immutable { name })
                }
                _ => Some(HeldReason::Foreign { name }),
            },
        }
    });
    let volumes = view.service.volumes.values().filter_map(|wanted| {
        let name = wanted.engine_name.clone();
        match observed.volumes.get(&name) {
            None if wanted.external => Some(HeldReason::Missing { name }),
            None => None,
            Some(_) if wanted.external => None,
            Some(found) => match key.check(ObjectKind::Volume, &found.labels) {
                Some(owned) if owned.service == view.service.name => {
                    (!volume_fits(wanted, &found.raw)).then_some(HeldReason::Immutable { name })
                }
                _ => Some(HeldReason::Foreign { name }),
            },
        }
    });
    networks.chain(volumes).next()
}

/// The networks and volumes that have to be made.
pub(crate) fn missing(view: &View<'_>) -> Vec<Step> {
    let input = view.input;
    let labels = |kind, key: &str, spec| {
        let key: Option<ContainerName> = key.parse().ok();
        key.map(|key| input.key.labels(&view.owned(kind, key, spec))).unwrap_or_default()
    };
    let networks = view
        .service
        .networks
        .iter()
        .filter(|(_, n)| !n.external && !input.observed.networks.contains_key(&n.engine_name))
        .map(|(key, network)| Step::CreateNetwork {
            name: network.engine_name.clone(),
            body: network_body(
                network,
                &labels(ObjectKind::Network, key.as_str(), hash_of(network)),
            ),
        });
    let volumes = view
        .service
        .volumes
        .iter()
        .filter(|(_, v)| !v.external && !input.observed.volumes.contains_key(&v.engine_name))
        .map(|(key, volume)| Step::CreateVolume {
            name: volume.engine_name.clone(),
            body: volume_body(volume, &labels(ObjectKind::Volume, key.as_str(), hash_of(volume))),
        });
    networks.chain(volumes).collect()
}

/// Our networks of `service` that are not wanted any more. Volumes hold data and stay.
pub(crate) fn unwanted_networks(
    input: &PlanInput<'_>,
    service: &ServiceName,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Step> {
    let own = input.observed.networks.values().filter(|network| {
        let owned = input.key.check(ObjectKind::Network, &network.labels);
        owned.is_some_and(|owned| &owned.service == service)
    });
    own.filter(|network| !is_wanted(&network.name))
        .map(|network| Step::RemoveNetwork { id: network.id.clone(), name: network.name.clone() })
        .collect()
}

fn text<'a>(raw: &'a Value, field: &str) -> &'a str {
    raw.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn flag(raw: &Value, field: &str) -> bool {
    raw.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// Whether a network has the settings asked for; what was left open may be anything.
fn network_fits(wanted: &DesiredNetwork, raw: &Value) -> bool {
    let subnets = raw.pointer("/IPAM/Config").and_then(Value::as_array);
    text(raw, "Driver") == wanted.driver.as_deref().unwrap_or("bridge")
        && flag(raw, "Internal") == wanted.internal
        && flag(raw, "Attachable") == wanted.attachable
        && flag(raw, "EnableIPv6") == wanted.enable_ipv6
        && wanted
            .driver_opts
            .iter()
            .all(|(k, v)| raw.pointer(&format!("/Options/{}", escaped(k))) == Some(&v[..].into()))
        && wanted.subnets.iter().all(|subnet| {
            subnets.is_some_and(|found| {
                found.iter().any(|entry| {
                    let same = |field: &str, value: &Option<String>| {
                        value.as_ref().is_none_or(|v| text(entry, field) == v)
                    };
                    text(entry, "Subnet") == subnet.subnet
                        && same("Gateway", &subnet.gateway)
                        && same("IPRange", &subnet.ip_range)
                })
            })
        })
}

fn volume_fits(wanted: &DesiredVolume, raw: &Value) -> bool {
    text(raw, "Driver") == wanted.driver.as_deref().unwrap_or("local")
        && wanted
            .driver_opts
            .iter()
            .all(|(k, v)| raw.pointer(&format!("/Options/{}", escaped(k))) == Some(&v[..].into()))
}

/// A key as JSON Pointer wants it (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
