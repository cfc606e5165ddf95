//! Networks of a service whose settings changed: they are made anew, and everything on them.
//!
//! In: one version of a service, what is observed. Out: which networks, and who else is on them. Pure.
//!
//! # Guarantees
//! * A network that was made from this very definition is not made again, whatever the engine shows.

use serde_json::Value;

use crate::clients::docker::NetworkInspect;
use crate::reconcile::desired::container::hash_of;
use crate::reconcile::desired::service::Subnet;
use crate::reconcile::desired::{DesiredNetwork, DesiredService};
use crate::reconcile::observed::ObjectKind;
use crate::reconcile::plan::PlanInput;

/// A network of ours whose settings are other ones than those wanted.
#[derive(Debug)]
pub(crate) struct Outdated<'a> {
    /// Its key in the service.
    pub(crate) key: &'a str,
    /// What it should be.
    pub(crate) wanted: &'a DesiredNetwork,
    /// What it is.
    pub(crate) found: &'a NetworkInspect,
    /// The first setting that differs, what it should be and what it is.
    pub(crate) setting: (&'static str, String, String),
}

impl Outdated<'_> {
    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.wanted.engine_name
    }
}

/// The networks that have to be made anew.
pub(crate) fn outdated<'a>(
    input: &'a PlanInput<'_>,
    service: &'a DesiredService,
) -> Vec<Outdated<'a>> {
    let own = service.networks.iter().filter(|(_, wanted)| !wanted.external);
    let outdated = own.filter_map(|(key, wanted)| {
        let found = input.observed.networks.get(&wanted.engine_name)?;
        let owned = input.key.check(ObjectKind::Network, &found.labels)?;
        let before = input.applied.get(&service.name).and_then(|s| s.networks.get(key));
        let setting = network_difference(wanted, &found.raw)
            .or_else(|| dropped(wanted, before?, &found.raw))?;
        // One made from this very definition gets no nearer to it, however often it is made.
        let is_other = owned.service == service.name && owned.spec != hash_of(wanted);
        is_other.then_some(Outdated { key: key.as_str(), wanted, found, setting })
    });
    outdated.collect()
}

/// Containers on a network that are not this service's: whoever made them does not know that it goes.
pub(crate) fn others_on(
    input: &PlanInput<'_>,
    service: &DesiredService,
    network: &str,
) -> Vec<String> {
    let observed = input.observed;
    let own = observed.services.iter().filter(|(name, _)| **name != service.name);
    let own = own.flat_map(|(_, containers)| containers).filter(|container| {
        let networks = container.inspect.raw.pointer("/NetworkSettings/Networks");
        networks.is_some_and(|networks| networks.get(network).is_some())
    });
    let own = own.map(|container| &container.inspect.name);
    let unknown = observed.unknown.iter().map(|unknown| &unknown.summary);
    let listed = observed.foreign.values().chain(unknown);
    let listed = listed.filter(|summary| summary.networks.iter().any(|name| name == network));
    let mut names: Vec<String> = own.chain(listed.map(|summary| &summary.name)).cloned().collect();
    names.sort();
    names
}

/// The first setting in which a network is not what was asked for, what it should be and what it is;
/// what was left open may be anything, unless the version before asked for it.
fn network_difference(
    wanted: &DesiredNetwork,
    raw: &Value,
) -> Option<(&'static str, String, String)> {
    let driver = wanted.driver.as_deref().unwrap_or("bridge");
    let text_of = |field, should: &str| (field, should.to_owned(), text(raw, field).to_owned());
    let flag_of = |field, should: bool| (field, should.to_string(), flag(raw, field).to_string());
    let plain = [
        text_of("Driver", driver),
        flag_of("Internal", wanted.internal),
        flag_of("Attachable", wanted.attachable),
        flag_of("EnableIPv6", wanted.enable_ipv6),
    ];
    let options = wanted.driver_opts.iter().map(|(key, value)| {
        let actual = raw.pointer(&format!("/Options/{}", escaped(key))).and_then(Value::as_str);
        let actual = actual.unwrap_or("not set");
        ("Options", format!("{key}={value}"), format!("{key}={actual}"))
    });
    let found = raw.pointer("/IPAM/Config").and_then(Value::as_array);
    let found: &[Value] = found.map_or(&[], Vec::as_slice);
    let missing = wanted.subnets.iter().filter(|subnet| !has_subnet(raw, subnet));
    let all = || found.iter().map(address_words).collect::<Vec<_>>().join(", ");
    let missing = missing.map(|subnet| ("Subnet", words(subnet), all()));
    plain.into_iter().chain(options).chain(missing).find(|(_, should, is)| should != is)
}

/// The first setting that the applied version asked for, the network still has, and this version
/// leaves open: then it is the engine's again. By the engine's words alone nobody can tell what was
/// asked for from what it chose.
fn dropped(
    wanted: &DesiredNetwork,
    before: &DesiredNetwork,
    raw: &Value,
) -> Option<(&'static str, String, String)> {
    let left = || "left to the engine".to_owned();
    let option = before.driver_opts.iter().find(|(key, value)| {
        let shown = raw.pointer(&format!("/Options/{}", escaped(key)));
        !wanted.driver_opts.contains_key(*key) && shown == Some(&value.as_str().into())
    });
    let option = option.map(|(key, value)| ("Options", left(), format!("{key}={value}")));
    let subnets = before.subnets.iter().filter(|subnet| !wanted.subnets.contains(subnet));
    let mut subnets = subnets.filter(|subnet| has_subnet(raw, subnet));
    option.or_else(|| subnets.next().map(|subnet| ("Subnet", left(), words(subnet))))
}

fn has_subnet(raw: &Value, subnet: &Subnet) -> bool {
    let found = raw.pointer("/IPAM/Config").and_then(Value::as_array);
    found.is_some_and(|found| {
        found.iter().any(|entry| {
            let same = |field: &str, value: &Option<String>| {
                value.as_ref().is_none_or(|value| text(entry, field) == value)
            };
            text(entry, "Subnet") == subnet.subnet
                && same("Gateway", &subnet.gateway)
                && same("IPRange", &subnet.ip_range)
        })
    })
}

fn words(subnet: &Subnet) -> String {
    let parts = [Some(&subnet.subnet), subnet.gateway.as_ref(), subnet.ip_range.as_ref()];
    parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// A subnet with its gateway and range, as far as they are said.
fn address_words(entry: &Value) -> String {
    let parts = ["Subnet", "Gateway", "IPRange"].map(|field| text(entry, field));
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn text<'a>(raw: &'a Value, field: &str) -> &'a str {
    raw.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn flag(raw: &Value, field: &str) -> bool {
    raw.get(field).and_then(Value::as_bool).unwrap_or_default()
}

/// A key as JSON Pointer wants it (RFC 6901).
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
