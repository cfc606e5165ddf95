//! `HostConfig` of a create request.
//!
//! In: a spec. Out: JSON. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::reconcile::desired::container::{Mount, MountSource, Resources, RestartPolicy};
use crate::reconcile::desired::{ContainerSpec, DesiredService};
use crate::reconcile::plan::body::{BodyContext, config_path, port_key};

/// `HostConfig` without mounts and network.
pub(crate) fn host_config(spec: &ContainerSpec) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    set("RestartPolicy", restart_policy(spec.restart));
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in &spec.ports {
        let binding = json!({
            "HostIp": port.host_ip.map_or_else(String::new, |ip| ip.to_string()),
            "HostPort": port.host_port.map_or_else(String::new, |port| port.to_string()),
        });
        bindings.entry(port_key(port)).or_default().push(binding);
    }
    if !bindings.is_empty() {
        set("PortBindings", json!(bindings));
    }
    for (name, list) in [
        ("CapAdd", &spec.cap_add),
        ("CapDrop", &spec.cap_drop),
        ("SecurityOpt", &spec.security_opt),
        ("DnsSearch", &spec.dns_search),
        ("DnsOptions", &spec.dns_opt),
    ] {
        if !list.is_empty() {
            set(name, json!(list));
        }
    }
    if !spec.dns.is_empty() {
        set("Dns", json!(spec.dns.iter().map(ToString::to_string).collect::<Vec<_>>()));
    }
    if !spec.extra_hosts.is_empty() {
        let hosts: Vec<String> = spec
            .extra_hosts
            .iter()
            .flat_map(|(host, addresses)| addresses.iter().map(move |ip| format!("{host}:{ip}")))
            .collect();
        set("ExtraHosts", json!(hosts));
    }
    if !spec.ulimits.is_empty() {
        let limits: Vec<Value> = spec
            .ulimits
            .iter()
            .map(|(name, limit)| json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard }))
            .collect();
        set("Ulimits", json!(limits));
    }
    if !spec.sysctls.is_empty() {
        set("Sysctls", json!(spec.sysctls));
    }
    if let Some(logging) = &spec.logging {
        set("LogConfig", json!({ "Type": logging.driver, "Config": logging.options }));
    }
    if let Some(init) = spec.init {
        set("Init", json!(init));
    }
    if let Some(size) = spec.shm_size {
        set("ShmSize", json!(size));
    }
    if spec.read_only {
        set("ReadonlyRootfs", json!(true));
    }
    if spec.privileged {
        set("Privileged", json!(true));
    }
    resources(&spec.resources, &mut body);
    body
}

fn resources(resources: &Resources, body: &mut Map<String, Value>) {
    for (name, amount) in [
        ("NanoCpus", resources.nano_cpus.map(Value::from)),
        ("Memory", resources.memory.map(Value::from)),
        ("MemoryReservation", resources.memory_reservation.map(Value::from)),
        ("PidsLimit", resources.pids.map(Value::from)),
    ] {
        if let Some(amount) = amount {
            body.insert(name.to_owned(), amount);
        }
    }
}

fn restart_policy(policy: RestartPolicy) -> Value {
    let (name, count) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure(count) => ("on-failure", count),
    };
    json!({ "Name": name, "MaximumRetryCount": count })
}

/// `HostConfig.Mounts`.
pub(crate) fn mounts(
    service: &DesiredService,
    spec: &ContainerSpec,
    context: BodyContext<'_>,
    host: &mut Map<String, Value>,
) {
    let (binds, rest): (Vec<_>, Vec<_>) =
        spec.mounts.iter().map(|m| (bind_text(m), m)).partition(|(bind, _)| bind.is_some());
    let binds: Vec<String> = binds.into_iter().filter_map(|(bind, _)| bind).collect();
    let list: Vec<Value> = rest.into_iter().map(|(_, m)| mount(service, m, context)).collect();
    if !binds.is_empty() {
        host.insert("Binds".to_owned(), json!(binds));
    }
    if !list.is_empty() {
        host.insert("Mounts".to_owned(), Value::Array(list));
    }
}

/// `path:target:options`: the only form in which an engine before API 1.42 makes a missing path.
fn bind_text(mount: &Mount) -> Option<String> {
    let MountSource::Bind { path, propagation, create_host_path: true } = &mount.source else {
        return None;
    };
    if path.contains(':') || mount.target.contains(':') {
        return None;
    }
    let mut options = vec![if mount.read_only { "ro" } else { "rw" }];
    options.extend(propagation.as_deref());
    Some(format!("{path}:{}:{}", mount.target, options.join(",")))
}

fn mount(service: &DesiredService, mount: &Mount, context: BodyContext<'_>) -> Value {
    let mut body = Map::new();
    body.insert("Target".to_owned(), json!(mount.target));
    let read_only = mount.read_only || matches!(mount.source, MountSource::Config { .. });
    if read_only {
        body.insert("ReadOnly".to_owned(), json!(true));
    }
    let mut set = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    match &mount.source {
        MountSource::Volume { volume, nocopy } => {
            let name = service
                .volumes
                .get(volume)
                .map_or_else(|| volume.to_string(), |volume| volume.engine_name.clone());
            set("Type", json!("volume"));
            set("Source", json!(name));
            if *nocopy {
                set("VolumeOptions", json!({ "NoCopy": true }));
            }
        }
        MountSource::Bind { path, propagation, create_host_path } => {
            set("Type", json!("bind"));
            set("Source", json!(path));
            let mut options = Map::new();
            if let Some(propagation) = propagation {
                options.insert("Propagation".to_owned(), json!(propagation));
            }
            if *create_host_path {
                options.insert("CreateMountpoint".to_owned(), json!(true));
            }
            if !options.is_empty() {
                set("BindOptions", Value::Object(options));
            }
        }
        MountSource::Tmpfs { size, mode } => {
            set("Type", json!("tmpfs"));
            let mut options = Map::new();
            if let Some(size) = size {
                options.insert("SizeBytes".to_owned(), json!(size));
            }
            if let Some(mode) = mode {
                options.insert("Mode".to_owned(), json!(mode));
            }
            if !options.is_empty() {
                set("TmpfsOptions", Value::Object(options));
            }
        }
        MountSource::Config { content, mode, .. } => {
            set("Type", json!("bind"));
            set("Source", json!(config_path(context.files_dir, content, *mode)));
        }
    }
    Value::Object(body)
}
