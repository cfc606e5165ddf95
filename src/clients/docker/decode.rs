//! JSON of the engine → our structs, tolerating whatever is missing, null or new.
//!
//! In: JSON. Out: structs, or none where even the id is missing. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clients::docker::{
    ContainerId, ContainerInspect, ContainerState, ContainerSummary, EngineEvent, EngineInfo,
    ImageInspect, NetworkInspect, StoredImage, VolumeInspect,
};

/// Characters kept of a health check's last output.
const HEALTH_LOG_CHARS_MAX: usize = 2_000;

/// Null, false, zero, empty: what Go calls a zero value, which the engine writes in any of these ways.
pub fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn map(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let object = value.pointer(pointer).and_then(Value::as_object);
    let entries = object.into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn id(value: &Value, pointer: &str) -> Option<String> {
    Some(text(value, pointer)).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// One row of the container list.
pub(crate) fn summary(row: &Value) -> Option<ContainerSummary> {
    let names = texts(row, "/Names");
    // A link's name has a second slash: `/other/alias`.
    let own = names.iter().filter_map(|name| name.strip_prefix('/')).find(|n| !n.contains('/'));
    let networks = row.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    Some(ContainerSummary {
        id: ContainerId(id(row, "/Id")?),
        name: own.unwrap_or_default().to_owned(),
        image: text(row, "/Image").to_owned(),
        image_id: text(row, "/ImageID").to_owned(),
        state: ContainerState::from(text(row, "/State")),
        status: text(row, "/Status").to_owned(),
        labels: map(row, "/Labels"),
        networks: networks.into_iter().flat_map(|map| map.keys().cloned()).collect(),
    })
}

/// One container.
pub(crate) fn container(mut raw: Value) -> Option<ContainerInspect> {
    let health_log = raw
        .pointer("/State/Health/Log")
        .and_then(Value::as_array)
        .and_then(|log| log.last())
        .map(|last| text(last, "/Output").chars().take(HEALTH_LOG_CHARS_MAX).collect());
    if let Some(health) = raw.pointer_mut("/State/Health").and_then(Value::as_object_mut) {
        health.remove("Log");
    }
    let health = text(&raw, "/State/Health/Status");
    Some(ContainerInspect {
        id: ContainerId(id(&raw, "/Id")?),
        name: text(&raw, "/Name").trim_start_matches('/').to_owned(),
        image_id: text(&raw, "/Image").to_owned(),
        state: ContainerState::from(text(&raw, "/State/Status")),
        exit_code: number(&raw, "/State/ExitCode"),
        health: (!matches!(health, "" | "none")).then(|| health.to_owned()),
        health_log,
        created_at: text(&raw, "/Created").to_owned(),
        started_at: text(&raw, "/State/StartedAt").to_owned(),
        restart_count: number(&raw, "/RestartCount"),
        error: text(&raw, "/State/Error").to_owned(),
        labels: map(&raw, "/Config/Labels"),
        raw,
    })
}

/// One image.
pub(crate) fn image(raw: &Value) -> Option<ImageInspect> {
    Some(ImageInspect {
        id: id(raw, "/Id")?,
        repo_digests: texts(raw, "/RepoDigests"),
        repo_tags: texts(raw, "/RepoTags"),
        descriptor_digest: id(raw, "/Descriptor/digest"),
        config: raw.get("Config").cloned().unwrap_or_default(),
        architecture: text(raw, "/Architecture").to_owned(),
        os: text(raw, "/Os").to_owned(),
        size: raw.get("Size").and_then(Value::as_u64).unwrap_or_default(),
    })
}

/// One row of the image list; `<none>` is no name.
pub(crate) fn stored(row: &Value) -> Option<StoredImage> {
    let names = texts(row, "/RepoTags").into_iter().chain(texts(row, "/RepoDigests"));
    Some(StoredImage {
        id: id(row, "/Id")?,
        names: names.filter(|name| !name.contains("<none>")).collect(),
        size: row.get("Size").and_then(Value::as_u64).unwrap_or_default(),
    })
}

/// One network.
pub(crate) fn network(raw: Value) -> Option<NetworkInspect> {
    Some(NetworkInspect {
        id: id(&raw, "/Id")?,
        name: text(&raw, "/Name").to_owned(),
        labels: map(&raw, "/Labels"),
        raw,
    })
}

/// One volume.
pub(crate) fn volume(raw: Value) -> Option<VolumeInspect> {
    Some(VolumeInspect { name: id(&raw, "/Name")?, labels: map(&raw, "/Labels"), raw })
}

/// The engine; `api_version` is the one spoken with it.
pub(crate) fn info(raw: &Value, api_version: String) -> EngineInfo {
    let status = raw.get("DriverStatus").and_then(Value::as_array);
    let containerd = status.into_iter().flatten().any(|row| {
        text(row, "/0") == "driver-type" && text(row, "/1") == "io.containerd.snapshotter.v1"
    });
    EngineInfo {
        id: text(raw, "/ID").to_owned(),
        version: text(raw, "/ServerVersion").to_owned(),
        api_version,
        os: text(raw, "/OSType").to_owned(),
        architecture: architecture(text(raw, "/Architecture")).to_owned(),
        host_name: text(raw, "/Name").to_owned(),
        default_runtime: text(raw, "/DefaultRuntime").to_owned(),
        logging_driver: text(raw, "/LoggingDriver").to_owned(),
        cgroup_version: text(raw, "/CgroupVersion").to_owned(),
        private_cgroup_namespaces: texts(raw, "/SecurityOptions")
            .iter()
            .any(|option| option == "name=cgroupns"),
        swap_limit: flag(raw, "/SwapLimit"),
        containerd_image_store: containerd,
    }
}

/// The kernel's word for an architecture → the word in image indexes.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

/// One event.
pub(crate) fn event(raw: &Value) -> Option<EngineEvent> {
    Some(EngineEvent {
        kind: id(raw, "/Type")?,
        action: text(raw, "/Action").to_owned(),
        actor: text(raw, "/Actor/ID").to_owned(),
        attributes: map(raw, "/Actor/Attributes"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::clients::docker::ContainerState;
    use crate::clients::docker::decode::{container, image, summary};

    #[test]
    fn an_unknown_state_is_kept_as_it_is() {
        let row = summary(&json!({ "Id": "a", "Names": ["/x/y", "/web"], "State": "dreaming" }));
        let row = row.unwrap();
        assert_eq!(row.state, ContainerState::Other("dreaming".into()));
        assert_eq!(row.name, "web");
    }

    #[test]
    fn null_and_missing_fields_are_empty() {
        let raw = json!({ "Id": "a", "Config": { "Labels": null }, "State": { "Health": null } });
        let inspect = container(raw).unwrap();
        assert_eq!((inspect.health, inspect.labels.len()), (None, 0));
        assert!(image(&json!({ "Id": "sha256:00", "RepoDigests": null })).is_some());
        assert!(summary(&json!({ "Names": ["/web"] })).is_none());
        assert!(summary(&json!(7)).is_none());
    }
}
