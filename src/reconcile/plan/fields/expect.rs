//! Expected values that take more than what was told: merged from the image, or the engine's own.
//!
//! In: facts. Out: what inspect should show. Pure.

use serde_json::{Map, Value, json};

use crate::clients::docker::{EngineInfo, is_blank};
use crate::reconcile::plan::fields::Facts;
use crate::reconcile::plan::fields::normal::{environment, security, ulimits};

/// /dev/shm of a container that says nothing, in bytes.
const SHM_BYTES_DEFAULT: u64 = 64 << 20;

/// Hex digits of an id that become the host name.
const HOST_NAME_DIGITS: usize = 12;

pub(crate) fn host_name(facts: &Facts<'_>) -> Value {
    if facts.is_told("Config.Hostname") {
        return facts.told("Config.Hostname");
    }
    if facts.told("HostConfig.NetworkMode") == "host" {
        // The engine fills it in when the container first starts.
        let shown = facts.shown("Config.Hostname");
        return if is_blank(&shown) { shown } else { json!(facts.expected.engine.host_name) };
    }
    json!(facts.id.get(..HOST_NAME_DIGITS).unwrap_or(facts.id))
}

/// The image's variables, with ours over them.
pub(crate) fn merged_environment(facts: &Facts<'_>) -> Value {
    let mut all = environment(&facts.in_image("Config.Env"));
    let ours = environment(&facts.told("Config.Env"));
    if all.is_null() {
        all = json!({});
    }
    if let (Some(all), Some(ours)) = (all.as_object_mut(), ours.as_object()) {
        all.extend(ours.clone());
    }
    let pairs = all.as_object().into_iter().flatten();
    pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect()
}

fn merged_maps(facts: &Facts<'_>, path: &str) -> Value {
    let mut all = Map::new();
    for layer in [facts.in_image(path), facts.told(path)] {
        all.extend(layer.as_object().cloned().unwrap_or_default());
    }
    Value::Object(all)
}

pub(crate) fn labels(facts: &Facts<'_>) -> Value {
    merged_maps(facts, "Config.Labels")
}

pub(crate) fn exposed_ports(facts: &Facts<'_>) -> Value {
    merged_maps(facts, "Config.ExposedPorts")
}

pub(crate) fn volumes(facts: &Facts<'_>) -> Value {
    merged_maps(facts, "Config.Volumes")
}

/// An entrypoint of ours sets the image's command aside, too.
pub(crate) fn command(facts: &Facts<'_>) -> Value {
    if facts.is_told("Config.Cmd") || facts.is_told("Config.Entrypoint") {
        facts.told("Config.Cmd")
    } else {
        facts.in_image("Config.Cmd")
    }
}

/// `[""]` is how the engine is told that there is none.
pub(crate) fn entrypoint(facts: &Facts<'_>) -> Value {
    let told = facts.told("Config.Entrypoint");
    if told == json!([""]) {
        Value::Null
    } else if is_blank(&told) {
        facts.in_image("Config.Entrypoint")
    } else {
        told
    }
}

/// What a health check leaves open is the image's.
pub(crate) fn health_check(facts: &Facts<'_>) -> Value {
    let mut all = facts.in_image("Config.Healthcheck").as_object().cloned().unwrap_or_default();
    let ours = facts.told("Config.Healthcheck").as_object().cloned().unwrap_or_default();
    all.extend(ours.into_iter().filter(|(_, value)| !is_blank(value)));
    Value::Object(all)
}

pub(crate) fn log_driver(facts: &Facts<'_>) -> Value {
    if facts.is_told("HostConfig.LogConfig.Type") {
        facts.told("HostConfig.LogConfig.Type")
    } else {
        json!(facts.expected.engine.logging_driver)
    }
}

/// The engine adds its own options to those of its own driver, and does not say which they are.
pub(crate) fn log_options(facts: &Facts<'_>) -> Value {
    let told = facts.told("HostConfig.LogConfig.Config");
    if log_driver(facts) != facts.expected.engine.logging_driver.as_str() {
        return told;
    }
    let mut all =
        facts.shown("HostConfig.LogConfig.Config").as_object().cloned().unwrap_or_default();
    all.extend(told.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

/// What is told as well as what the engine's default-ulimits add.
pub(crate) fn merged_ulimits(facts: &Facts<'_>) -> Value {
    let told = facts.told("HostConfig.Ulimits");
    let named = ulimits(&told);
    let shown = facts.shown("HostConfig.Ulimits");
    let mut all = told.as_array().cloned().unwrap_or_default();
    let extra = shown.as_array().into_iter().flatten().filter(|limit| {
        let name = limit.get("Name").and_then(Value::as_str).unwrap_or_default();
        named.get(name).is_none()
    });
    all.extend(extra.cloned());
    Value::Array(all)
}

/// The engine adds `label=disable` to a privileged container.
pub(crate) fn security_options(facts: &Facts<'_>) -> Value {
    let mut all: Vec<Value> =
        facts.told("HostConfig.SecurityOpt").as_array().cloned().unwrap_or_default();
    let shown = security(&facts.shown("HostConfig.SecurityOpt"));
    let disabled = json!("label:disable");
    if facts.is_privileged() && shown.as_array().is_some_and(|list| list.contains(&disabled)) {
        all.push(disabled);
    }
    Value::Array(all)
}

pub(crate) fn cgroup_namespace(facts: &Facts<'_>) -> Value {
    let engine = facts.expected.engine;
    let private = engine.private_cgroup_namespaces
        && (engine.cgroup_version == "2" || !facts.is_privileged());
    json!(if private { "private" } else { "host" })
}

pub(crate) fn private_ipc(_facts: &Facts<'_>) -> Value {
    json!("private")
}

pub(crate) fn shm_size(facts: &Facts<'_>) -> Value {
    let told = facts.told("HostConfig.ShmSize");
    if is_blank(&told) { json!(SHM_BYTES_DEFAULT) } else { told }
}

pub(crate) fn runtime(facts: &Facts<'_>) -> Value {
    json!(facts.expected.engine.default_runtime)
}

/// A memory limit brings a limit of twice that for memory and swap together.
pub(crate) fn memory_swap(memory: &Value, engine: &EngineInfo) -> Value {
    match memory.as_u64() {
        None | Some(0) => Value::Null,
        Some(_) if !engine.swap_limit => json!(-1),
        Some(bytes) => json!(bytes.saturating_mul(2)),
    }
}

pub(crate) fn swap(facts: &Facts<'_>) -> Value {
    memory_swap(&facts.told("HostConfig.Memory"), facts.expected.engine)
}

/// The engine's own list, which differs from version to version; only "none at all" is drift.
fn hidden_paths(facts: &Facts<'_>, path: &str) -> Value {
    let shown = facts.shown(path);
    if facts.is_privileged() || !is_blank(&shown) { shown } else { json!("the engine's own") }
}

pub(crate) fn masked_paths(facts: &Facts<'_>) -> Value {
    hidden_paths(facts, "HostConfig.MaskedPaths")
}

pub(crate) fn readonly_paths(facts: &Facts<'_>) -> Value {
    hidden_paths(facts, "HostConfig.ReadonlyPaths")
}
