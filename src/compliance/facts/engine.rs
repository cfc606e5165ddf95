//! The engine and its containers, from what a pass observed.

use serde_json::Value;

use crate::clients::docker::{ContainerInspect, ContainerState, ContainerSummary, EngineInfo};
use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::reconcile::observed::{ObservedContainer, ObservedState};

const BYTES_MAX: u64 = 1024 * 1024;
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
    let foreign = observed.foreign.values().map(foreign_row);
    facts.learn("container", Known::Rows(own.chain(foreign).collect()));
}

fn state_name(state: &ContainerState) -> String {
    match state {
        ContainerState::Other(other) => other.clone(),
        known => format!("{known:?}").to_lowercase(),
    }
}

/// What the list says of a container that is not ours: it is not looked into.
fn foreign_row(summary: &ContainerSummary) -> Row {
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
    let namespaces = ["Network", "Pid", "Ipc", "UTS", "Userns"]
        .into_iter()
        .filter(|name| text(&format!("/HostConfig/{name}Mode")) == "host");
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
        ("cap_add", FactValue::text(joined(texts(raw.pointer("/HostConfig/CapAdd"))))),
        ("ports", FactValue::text(joined(ports(raw)))),
        ("mounts", FactValue::text(joined(mounts(raw)))),
        ("started_at", FactValue::text(&inspect.started_at)),
    ])
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
