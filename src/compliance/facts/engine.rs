//! The engine and its containers, from what a pass observed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::clients::docker::{
    ContainerInspect, ContainerState, ContainerSummary, EngineInfo, Stock, StoredImage,
};
use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::model::Hub;
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::DesiredContainer;
use crate::reconcile::desired::rule::kind::capability;
use crate::reconcile::observed::{ObservedContainer, ObservedState, UnknownContainer};
use crate::reconcile::plan::body::image_name;

const BYTES_MAX: u64 = 1024 * 1024;
/// What images say of their own version (the OCI's annotations).
const VERSION_LABEL: &str = "org.opencontainers.image.version";
const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// Learns them.
pub(super) fn learn(info: &EngineInfo, observed: &ObservedState, facts: &mut Facts) {
    let one = |value| Some(FactValue::text(value));
    facts.one("engine", one("docker"), "");
    facts.one("engine_version", Some(FactValue::version(&info.version)), "");
    facts.one("engine_api", Some(FactValue::version(&info.api_version)), "");
    let store = if info.containerd_image_store { "containerd" } else { "classic" };
    facts.one("engine_image_store", one(store), "");
    let own = observed.services.values().flatten().map(own_row);
    let hidden = observed.unknown.iter().map(hidden_row);
    let foreign = observed.foreign.values().map(foreign_row);
    facts.learn("container", Known::Rows(own.chain(hidden).chain(foreign).collect()));
}

/// Learns the version that each container has by its definition: that of the pin whose image it was
/// made from. What no definition tells stays as the image itself says it.
pub fn learn_versions(services: &[&DesiredService], hub: &Hub, facts: &mut Facts) {
    let Some(Known::Rows(rows)) = facts.0.get_mut("container") else { return };
    for row in rows {
        let own = services.iter().filter(|service| service.name.as_str() == row.text("service"));
        let is_it = |container: &DesiredContainer| {
            container.name.as_str() == row.text("container")
                && image_name(&container.pin, hub) == row.text("image")
        };
        let found =
            own.flat_map(|service| service.containers.values()).find(|container| is_it(container));
        if let Some(version) = found.and_then(|container| container.pin.version.clone()) {
            row.0.retain(|(field, _)| *field != "version");
            row.0.push(("version", FactValue::text(version)));
        }
    }
}

/// Learns what lies on the engine, or why nobody knows.
pub fn learn_stock(stock: Result<(&Stock, &ObservedState), &str>, facts: &mut Facts) {
    let (stock, observed) = match stock {
        Ok(seen) => seen,
        Err(reason) => {
            for name in ["image", "volume"] {
                facts.learn(name, Known::Missing(reason.to_owned()));
            }
            return;
        }
    };
    let own = observed.services.values().flatten().map(|c| c.inspect.image_id.as_str());
    let hidden = observed.unknown.iter().map(|c| c.summary.image_id.as_str());
    let foreign = observed.foreign.values().map(|summary| summary.image_id.as_str());
    let used: BTreeSet<&str> = own.chain(hidden).chain(foreign).collect();
    let image = |image: &StoredImage| {
        let dangling = image.names.is_empty() && !used.contains(image.id.as_str());
        Row(vec![
            ("id", FactValue::text(&image.id)),
            ("names", FactValue::text(image.names.join(","))),
            ("size", FactValue::count(image.size)),
            ("dangling", FactValue::Boolean(dangling)),
        ])
    };
    facts.learn("image", Known::Rows(stock.images.iter().map(image).collect()));
    let volumes = observed.volumes.values().map(|volume| {
        let driver = volume.raw.get("Driver").and_then(Value::as_str).unwrap_or_default();
        Row(vec![
            ("name", FactValue::text(&volume.name)),
            ("driver", FactValue::text(driver)),
            ("dangling", FactValue::Boolean(stock.unused_volumes.contains(&volume.name))),
        ])
    });
    facts.learn("volume", Known::Rows(volumes.collect()));
}

fn state_name(state: &ContainerState) -> String {
    match state {
        ContainerState::Other(other) => other.clone(),
        known => format!("{known:?}").to_lowercase(),
    }
}

/// What the list says of a container of ours that the engine would not show whole.
fn hidden_row(container: &UnknownContainer) -> Row {
    let mut row = listed_row(&container.summary);
    row.0.push(("service", FactValue::text(container.owned.service.as_str())));
    row.0.push(("container", FactValue::text(container.owned.key.as_str())));
    row
}

/// What the list says of a container that is not ours: it is not looked into.
fn foreign_row(summary: &ContainerSummary) -> Row {
    let mut row = listed_row(summary);
    row.0.extend([("service", FactValue::Nothing), ("container", FactValue::Nothing)]);
    row
}

fn listed_row(summary: &ContainerSummary) -> Row {
    Row(vec![
        ("name", FactValue::text(&summary.name)),
        ("image", FactValue::text(&summary.image)),
        ("image_id", FactValue::text(&summary.image_id)),
        ("state", FactValue::text(state_name(&summary.state))),
    ])
}

fn own_row(container: &ObservedContainer) -> Row {
    let ContainerInspect { raw, .. } = &*container.inspect;
    let inspect = &container.inspect;
    let text = |path: &str| raw.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let truth = |path: &str| raw.pointer(path).and_then(Value::as_bool).unwrap_or_default();
    let number = |path: &str| raw.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let capabilities =
        |path: &str| joined(texts(raw.pointer(path)).iter().map(|name| capability(name)));
    let options = texts(raw.pointer("/HostConfig/SecurityOpt"));
    let no_new_privileges = options.iter().any(|option| {
        matches!(
            option.as_str(),
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true"
        )
    });
    let namespaces = ["Network", "Pid", "Ipc", "UTS", "Userns"]
        .into_iter()
        .filter(|name| text(&format!("/HostConfig/{name}Mode")) == "host");
    let version = inspect.labels.get(VERSION_LABEL).map_or(FactValue::Nothing, FactValue::text);
    Row(vec![
        ("name", FactValue::text(&inspect.name)),
        ("service", FactValue::text(container.owned.service.as_str())),
        ("container", FactValue::text(container.owned.key.as_str())),
        ("image", FactValue::text(text("/Config/Image"))),
        ("image_id", FactValue::text(&inspect.image_id)),
        ("state", FactValue::text(state_name(&inspect.state))),
        ("health", FactValue::text(inspect.health.as_deref().unwrap_or("none"))),
        ("restarts", FactValue::Number(inspect.restart_count)),
        ("privileged", FactValue::Boolean(truth("/HostConfig/Privileged"))),
        ("host_namespaces", FactValue::text(joined(namespaces.map(str::to_lowercase)))),
        ("user", FactValue::text(text("/Config/User"))),
        ("read_only", FactValue::Boolean(truth("/HostConfig/ReadonlyRootfs"))),
        ("memory_limit", FactValue::Number(number("/HostConfig/Memory"))),
        ("cpu_millis", FactValue::Number(cpu_millis(number))),
        ("pids_limit", FactValue::Number(number("/HostConfig/PidsLimit").max(0))),
        ("cap_add", FactValue::text(capabilities("/HostConfig/CapAdd"))),
        ("cap_drop", FactValue::text(capabilities("/HostConfig/CapDrop"))),
        ("no_new_privileges", FactValue::Boolean(no_new_privileges)),
        ("ports", FactValue::text(joined(ports(raw)))),
        ("mounts", FactValue::text(joined(mounts(raw)))),
        ("started_at", FactValue::text(&inspect.started_at)),
        ("version", version),
    ])
}

/// What is set by `cpus`, or else by quota and period.
fn cpu_millis(number: impl Fn(&str) -> i64) -> i64 {
    let nano = number("/HostConfig/NanoCpus");
    if nano > 0 {
        return nano / 1_000_000;
    }
    let (quota, period) = (number("/HostConfig/CpuQuota"), number("/HostConfig/CpuPeriod"));
    let period = if period > 0 { period } else { 100_000 };
    quota.max(0).saturating_mul(1_000) / period
}

fn joined(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(",")
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn ports(raw: &Value) -> Vec<String> {
    let bindings = raw.pointer("/HostConfig/PortBindings").and_then(Value::as_object);
    let mut found = Vec::new();
    for (inside, hosts) in bindings.into_iter().flatten() {
        for host in hosts.as_array().into_iter().flatten() {
            let of = |key: &str| host.get(key).and_then(Value::as_str).unwrap_or_default();
            found.push(format!("{}:{}:{inside}", of("HostIp"), of("HostPort")));
        }
    }
    found
}

fn mounts(raw: &Value) -> Vec<String> {
    let mounts = raw.get("Mounts").and_then(Value::as_array).into_iter().flatten();
    let source = |mount: &Value| {
        let of = |key: &str| mount.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        of("Name").or(of("Source")).map(str::to_owned)
    };
    mounts.filter_map(source).collect()
}

/// The leaves of daemon.json.
pub(super) fn settings(host: &HostRoot) -> Known {
    let text = match host.text(DAEMON_JSON, BYTES_MAX) {
        Ok(Some(text)) => text,
        Ok(None) => return Known::Rows(Vec::new()),
        Err(error) => return Known::Missing(error.to_string()),
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => {
            let mut rows = Vec::new();
            leaves("", &value, &mut rows);
            Known::Rows(rows)
        }
        Err(error) => Known::Missing(format!("{DAEMON_JSON} is not JSON: {error}")),
    }
}

fn leaves(path: &str, value: &Value, rows: &mut Vec<Row>) {
    if let Value::Object(entries) = value {
        for (key, inner) in entries {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            leaves(&path, inner, rows);
        }
        return;
    }
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.push(Row(vec![("key", FactValue::text(path)), ("value", FactValue::text(shown))]));
}
