//! Normal forms: two values that mean the same to the engine become equal.
//!
//! In: a value as told or as shown. Out: its normal form; null where nothing is said. Pure.

use serde_json::{Map, Value, json};

use crate::clients::docker::is_blank;

/// A blank is null; anything else is itself.
pub(crate) fn plain(value: &Value) -> Value {
    if is_blank(value) { Value::Null } else { value.clone() }
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
}

fn sorted(mut list: Vec<String>) -> Value {
    list.sort();
    list.dedup();
    plain(&json!(list))
}

/// A list whose order means nothing.
pub(crate) fn set(value: &Value) -> Value {
    sorted(texts(value))
}

/// Capabilities: `CAP_NET_ADMIN` is `NET_ADMIN`.
pub(crate) fn capabilities(value: &Value) -> Value {
    let one = |name: String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
    };
    sorted(texts(value).into_iter().map(one).collect())
}

/// `no-new-privileges` is `no-new-privileges:true`, and `=` is `:` after an option's name.
pub(crate) fn security(value: &Value) -> Value {
    let one = |option: String| match option.as_str() {
        "no-new-privileges" => "no-new-privileges:true".to_owned(),
        _ => option.replacen('=', ":", usize::from(!option.contains(':'))),
    };
    sorted(texts(value).into_iter().map(one).collect())
}

/// `host=address` is `host:address`.
pub(crate) fn hosts(value: &Value) -> Value {
    sorted(texts(value).into_iter().map(|entry| entry.replacen('=', ":", 1)).collect())
}

/// `["A=1"]` as a map; the last of two wins, as in a process.
pub(crate) fn environment(value: &Value) -> Value {
    let mut map = Map::new();
    for entry in texts(value) {
        let (key, text) = entry.split_once('=').unwrap_or((&entry, ""));
        map.insert(key.to_owned(), json!(text));
    }
    plain(&Value::Object(map))
}

/// The keys of a map whose values are empty objects.
pub(crate) fn keys(value: &Value) -> Value {
    let map = value.as_object().into_iter().flatten();
    sorted(map.map(|(key, _)| key.clone()).collect())
}

/// `SIGTERM`, with and without `SIG`, is what stops a container that says nothing else.
pub(crate) fn signal(value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default().to_ascii_uppercase();
    match text.strip_prefix("SIG").unwrap_or(&text) {
        "" | "TERM" | "15" => Value::Null,
        other => json!(other),
    }
}

/// Ten seconds are the engine's own.
pub(crate) fn stop_timeout(value: &Value) -> Value {
    if value.as_i64() == Some(10) { Value::Null } else { value.clone() }
}

/// A working directory; the root is where one without starts.
pub(crate) fn directory(value: &Value) -> Value {
    match value.as_str().unwrap_or_default().trim_end_matches('/') {
        "" => Value::Null,
        path => json!(path),
    }
}

/// A map without its blanks.
pub(crate) fn dense(value: &Value) -> Value {
    let map = value.as_object().into_iter().flatten();
    let entries = map.filter(|(_, item)| !is_blank(item));
    plain(&Value::Object(entries.map(|(key, item)| (key.clone(), item.clone())).collect()))
}

/// `no` is what a container that says nothing has.
pub(crate) fn restart_name(value: &Value) -> Value {
    if value == "no" { Value::Null } else { plain(value) }
}

/// `default` is what an empty text means.
pub(crate) fn or_default(value: &Value) -> Value {
    if value == "default" { Value::Null } else { plain(value) }
}

/// Nothing, zero and below are "without limit".
pub(crate) fn limit(value: &Value) -> Value {
    if value.as_i64().is_some_and(|limit| limit > 0) { value.clone() } else { Value::Null }
}

/// Bindings by port, in any order.
pub(crate) fn ports(value: &Value) -> Value {
    let text = |binding: &Value, name: &str| {
        binding.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let map = value.as_object().into_iter().flatten();
    let entries = map.filter(|(_, list)| !is_blank(list)).map(|(port, list)| {
        let list = list.as_array().into_iter().flatten();
        let ends = list.map(|b| format!("{}:{}", text(b, "HostIp"), text(b, "HostPort")));
        (port.clone(), sorted(ends.collect()))
    });
    plain(&Value::Object(entries.collect()))
}

/// Limits by name: `soft:hard`.
pub(crate) fn ulimits(value: &Value) -> Value {
    let list = value.as_array().into_iter().flatten();
    let entries = list.filter_map(|limit| {
        let amount = |name: &str| limit.get(name).and_then(Value::as_i64).unwrap_or_default();
        let name = limit.get("Name")?.as_str()?.to_owned();
        Some((name, json!(format!("{}:{}", amount("Soft"), amount("Hard")))))
    });
    plain(&Value::Object(entries.collect()))
}

/// Mounts by target, without what is blank or the engine's own.
pub(crate) fn mounts(value: &Value) -> Value {
    let list = value.as_array().into_iter().flatten();
    let entries = list.filter_map(|mount| {
        let mut mount = mount.as_object()?.clone();
        let target = mount.remove("Target")?.as_str()?.trim_end_matches('/').to_owned();
        for options in ["BindOptions", "VolumeOptions", "TmpfsOptions"] {
            let Some(inner) = mount.get_mut(options) else { continue };
            if inner.get("Propagation").is_some_and(|propagation| propagation == "rprivate") {
                inner["Propagation"] = Value::Null;
            }
            *inner = dense(inner);
        }
        Some((target, dense(&Value::Object(mount))))
    });
    plain(&Value::Object(entries.collect()))
}
