//! Networks and volumes of a service: made when missing, never changed behind a container's back.
//!
//! In: a [`View`]. Out: steps, or what is in the way. Pure.
//!
//! # Guarantees
//! * A volume is neither changed nor removed: it holds data.
//! * A network with other settings is made anew together with every container on it, and only while
//!   nobody else is on it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{ContainerName, Digest, ServiceName};
use crate::reconcile::desired::container::hash_of;
use crate::reconcile::desired::{DesiredNetwork, DesiredService, DesiredVolume};
use crate::reconcile::observed::ObjectKind;
use crate::reconcile::plan::PlanInput;
use crate::reconcile::plan::body::{network_body, volume_body};
use crate::reconcile::plan::held::HeldReason;
use crate::reconcile::plan::matching::View;
use crate::reconcile::plan::renewal::{others_on, outdated, text};
use crate::reconcile::plan::step::Step;

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
                    outdated(view.input, view.service).into_iter().find(|o| o.name() == name)?;
                    let by = others_on(view.input, view.service, &name);
                    (!by.is_empty()).then_some(HeldReason::InUse { name, by })
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
                    let fits = owned.spec == hash_of(wanted) || volume_fits(wanted, &found.raw);
                    (!fits).then_some(HeldReason::Immutable { name })
                }
                _ => Some(HeldReason::Foreign { name }),
            },
        }
    });
    networks.chain(volumes).next()
}

/// Makes them anew, once nothing runs on them any more.
pub(crate) fn renewals(view: &View<'_>) -> Vec<Step> {
    let renewals =
        outdated(view.input, view.service).into_iter().map(|outdated| Step::RenewNetwork {
            id: outdated.found.id.clone(),
            name: outdated.name().to_owned(),
            body: new_network(view, outdated.key, outdated.wanted),
        });
    renewals.collect()
}

/// Whether a network of this very version, which the applied one has not, was made already.
pub(crate) fn is_under_way(view: &View<'_>, applied: &DesiredService) -> bool {
    view.service.networks.iter().any(|(key, wanted)| {
        let found = view.input.observed.networks.get(&wanted.engine_name);
        let owned = found.and_then(|n| view.input.key.check(ObjectKind::Network, &n.labels));
        let spec = hash_of(wanted);
        owned.is_some_and(|owned| owned.service == view.service.name && owned.spec == spec)
            && applied.networks.get(key).is_some_and(|before| hash_of(before) != spec)
    })
}

fn labels_of(
    view: &View<'_>,
    kind: ObjectKind,
    key: &str,
    spec: Digest,
) -> BTreeMap<String, String> {
    let key: Option<ContainerName> = key.parse().ok();
    key.map(|key| view.input.key.labels(&view.owned(kind, key, spec))).unwrap_or_default()
}

fn new_network(view: &View<'_>, key: &str, network: &DesiredNetwork) -> Value {
    network_body(network, &labels_of(view, ObjectKind::Network, key, hash_of(network)))
}

/// The networks and volumes that have to be made.
pub(crate) fn missing(view: &View<'_>) -> Vec<Step> {
    let input = view.input;
    let networks = view
        .service
        .networks
        .iter()
        .filter(|(_, n)| !n.external && !input.observed.networks.contains_key(&n.engine_name))
        .map(|(key, network)| Step::CreateNetwork {
            name: network.engine_name.clone(),
            body: new_network(view, key.as_str(), network),
        });
    let volumes = view
        .service
        .volumes
        .iter()
        .filter(|(_, v)| !v.external && !input.observed.volumes.contains_key(&v.engine_name))
        .map(|(key, volume)| Step::CreateVolume {
            name: volume.engine_name.clone(),
            body: volume_body(
                volume,
                &labels_of(view, ObjectKind::Volume, key.as_str(), hash_of(volume)),
            ),
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

/// Whether a volume has the settings that are wanted; the engine shows those that were asked for.
fn volume_fits(wanted: &DesiredVolume, raw: &Value) -> bool {
    let options = raw.get("Options").and_then(Value::as_object);
    let shown = options.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    let asked = wanted.driver_opts.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
    text(raw, "Driver") == wanted.driver.as_deref().unwrap_or("local")
        && shown.collect::<BTreeMap<_, _>>() == asked.collect::<BTreeMap<_, _>>()
}
