//! What the engine is told: bodies of the create requests, whole.
//!
//! In: a desired container, network or volume, and the labels that prove it is ours.
//! Out: JSON for the Engine API. Pure.
//!
//! # Guarantees
//! * An image is named by digest, or by id where the pin has no digest; never by tag.
//! * What the spec leaves open is left out, so that the image's or the engine's default applies.

mod host;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::{EnvironmentName, Hub, ImageReference};
use crate::reconcile::desired::container::{
    ConfigContent, Healthcheck, NetworkAttachment, Pin, PortMapping,
};
use crate::reconcile::desired::{
    ContainerSpec, DesiredContainer, DesiredNetwork, DesiredService, DesiredVolume,
};

/// What a body needs besides the container.
#[derive(Debug, Clone, Copy)]
pub struct BodyContext<'a> {
    /// The environment, for names.
    pub environment: &'a EnvironmentName,
    /// The registry that images come from.
    pub hub: &'a Hub,
    /// Where configs' contents lie on the host.
    pub files_dir: &'a str,
}

/// A container to be made: everything the engine is told about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerBody {
    /// Its name, `app1.prd-web`.
    pub name: String,
    /// Body of `POST /containers/create`: shared by the plan, its copies and the work.
    pub body: Arc<Value>,
    /// Networks to connect before it starts, after the one in the body: engine name and endpoint.
    pub connect: Vec<(String, Value)>,
}

/// The name of a service's container on the engine: `app1.prd-web`.
pub fn container_name(
    service: &DesiredService,
    container: &DesiredContainer,
    environment: &EnvironmentName,
) -> String {
    format!("{}.{environment}-{}", service.name, container.name)
}

/// Where a config's content lies on the host: `<files_dir>/<hex>-<mode>`.
pub fn config_path(files_dir: &str, content: &ConfigContent, mode: u32) -> String {
    format!("{files_dir}/{}-{mode:04o}", content.digest().hex())
}

/// What a pin is pulled by; none where the pin has no digest.
pub fn image_reference(pin: &Pin, hub: &Hub) -> Option<ImageReference> {
    let digest = pin.digest?;
    Some(ImageReference { hub: hub.clone(), repository: pin.repository.clone(), digest })
}

/// What a container is made from, as the engine is told: the digest reference, or the image id.
pub fn image_name(pin: &Pin, hub: &Hub) -> String {
    match (image_reference(pin, hub), &pin.image_id) {
        (Some(reference), _) => reference.to_string(),
        (None, Some(id)) => id.to_string(),
        (None, None) => String::new(),
    }
}

/// The whole request for a container. `labels` are ours, proof included; they win over the author's.
pub fn container_body(
    service: &DesiredService,
    container: &DesiredContainer,
    labels: &BTreeMap<String, String>,
    context: BodyContext<'_>,
) -> ContainerBody {
    let spec = &container.spec;
    let mut body = config(spec);
    body.insert("Image".to_owned(), image_name(&container.pin, context.hub).into());
    let mut all_labels = spec.labels.clone();
    all_labels.extend(labels.clone());
    body.insert("Labels".to_owned(), json!(all_labels));
    let mut host = host::host_config(spec);
    host::mounts(service, spec, context, &mut host);
    let mut endpoints = endpoints(service, &spec.network).into_iter();
    let mode = match &spec.network {
        NetworkAttachment::Host => "host".to_owned(),
        NetworkAttachment::None => "none".to_owned(),
        NetworkAttachment::Networks { .. } => match endpoints.next() {
            Some((network, endpoint)) => {
                let first = json!({ "EndpointsConfig": { network.clone(): endpoint } });
                body.insert("NetworkingConfig".to_owned(), first);
                network
            }
            None => "none".to_owned(),
        },
    };
    host.insert("NetworkMode".to_owned(), mode.into());
    body.insert("HostConfig".to_owned(), Value::Object(host));
    ContainerBody {
        name: container_name(service, container, context.environment),
        body: Arc::new(Value::Object(body)),
        connect: endpoints.collect(),
    }
}

/// Engine names and endpoints of the networks a container is on, in the order of their keys.
pub fn endpoints(service: &DesiredService, network: &NetworkAttachment) -> Vec<(String, Value)> {
    let NetworkAttachment::Networks { networks } = network else { return Vec::new() };
    networks
        .iter()
        .map(|(key, endpoint)| {
            let name = service
                .networks
                .get(key)
                .map_or_else(|| key.to_string(), |network| network.engine_name.clone());
            let mut body = Map::new();
            if !endpoint.aliases.is_empty() {
                body.insert("Aliases".to_owned(), json!(endpoint.aliases));
            }
            let mut fixed = Map::new();
            if let Some(address) = endpoint.ipv4_address {
                fixed.insert("IPv4Address".to_owned(), address.to_string().into());
            }
            if let Some(address) = endpoint.ipv6_address {
                fixed.insert("IPv6Address".to_owned(), address.to_string().into());
            }
            if !fixed.is_empty() {
                body.insert("IPAMConfig".to_owned(), Value::Object(fixed));
            }
            (name, Value::Object(body))
        })
        .collect()
}

/// Body of `POST /networks/create`.
pub fn network_body(network: &DesiredNetwork, labels: &BTreeMap<String, String>) -> Value {
    let mut all_labels = network.labels.clone();
    all_labels.extend(labels.clone());
    let subnets: Vec<Value> = network
        .subnets
        .iter()
        .map(|subnet| {
            let mut entry = Map::from_iter([("Subnet".to_owned(), json!(subnet.subnet))]);
            if let Some(gateway) = &subnet.gateway {
                entry.insert("Gateway".to_owned(), json!(gateway));
            }
            if let Some(range) = &subnet.ip_range {
                entry.insert("IPRange".to_owned(), json!(range));
            }
            Value::Object(entry)
        })
        .collect();
    json!({
        "Name": network.engine_name,
        "CheckDuplicate": true,
        "Driver": network.driver.as_deref().unwrap_or("bridge"),
        "Options": network.driver_opts,
        "Internal": network.internal,
        "Attachable": network.attachable,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": { "Driver": "default", "Config": subnets },
        "Labels": all_labels,
    })
}

/// Body of `POST /volumes/create`.
pub fn volume_body(volume: &DesiredVolume, labels: &BTreeMap<String, String>) -> Value {
    let mut all_labels = volume.labels.clone();
    all_labels.extend(labels.clone());
    json!({
        "Name": volume.engine_name,
        "Driver": volume.driver.as_deref().unwrap_or("local"),
        "DriverOpts": volume.driver_opts,
        "Labels": all_labels,
    })
}

/// `Config`: what the image could say too.
fn config(spec: &ContainerSpec) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    if let Some(command) = &spec.command {
        set("Cmd", json!(command));
    }
    if let Some(entrypoint) = &spec.entrypoint {
        // The engine takes `[""]` for "no entrypoint"; an empty list would keep the image's.
        set("Entrypoint", if entrypoint.is_empty() { json!([""]) } else { json!(entrypoint) });
    }
    if !spec.environment.is_empty() {
        let pairs: Vec<String> = spec.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
        set("Env", json!(pairs));
    }
    if !spec.ports.is_empty() {
        let exposed: Map<String, Value> =
            spec.ports.iter().map(|port| (port_key(port), json!({}))).collect();
        set("ExposedPorts", Value::Object(exposed));
    }
    if let Some(check) = &spec.healthcheck {
        set("Healthcheck", healthcheck(check));
    }
    for (name, text) in [
        ("User", &spec.user),
        ("StopSignal", &spec.stop_signal),
        ("Hostname", &spec.hostname),
        ("Domainname", &spec.domainname),
        ("WorkingDir", &spec.working_dir),
    ] {
        if let Some(text) = text {
            set(name, json!(text));
        }
    }
    if let Some(grace) = spec.stop_grace_period {
        set("StopTimeout", json!(whole_secs(grace)));
    }
    if spec.stdin_open {
        set("OpenStdin", json!(true));
    }
    if spec.tty {
        set("Tty", json!(true));
    }
    body
}

/// Seconds, rounded up: the engine counts no less.
pub fn whole_secs(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// The engine's name of a port inside: `80/tcp`.
pub fn port_key(port: &PortMapping) -> String {
    format!("{}/{}", port.container_port, port.protocol)
}

fn healthcheck(check: &Healthcheck) -> Value {
    let nanos = |time: Option<Duration>| {
        time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    };
    let mut body = Map::new();
    if !check.test.is_empty() {
        body.insert("Test".to_owned(), json!(check.test));
    }
    for (name, amount) in [
        ("Interval", nanos(check.interval)),
        ("Timeout", nanos(check.timeout)),
        ("StartPeriod", nanos(check.start_period)),
        ("Retries", u64::from(check.retries.unwrap_or(0))),
    ] {
        if amount > 0 {
            body.insert(name.to_owned(), json!(amount));
        }
    }
    Value::Object(body)
}
