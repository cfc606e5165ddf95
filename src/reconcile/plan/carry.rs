//! Anonymous volumes that go from a container to its replacement, as Compose has it.
//!
//! In: who leaves, what comes, its image. Out: volumes by the path they are mounted at. Pure.
//!
//! # Guarantees
//! * A path that the new container mounts something else at is its own.
//! * Only where the new image still declares a volume is the old one mounted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::reconcile::desired::DesiredContainer;
use crate::reconcile::observed::ObservedContainer;

/// Whether a volume's name is one that the engine made up.
pub(crate) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn clean(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// The anonymous volumes of those that leave, by path: of two for one path, that of the nearer.
pub(crate) fn carried(
    container: &DesiredContainer,
    leaving: &[&ObservedContainer],
) -> BTreeMap<String, String> {
    let mounts = leaving.iter().rev().filter_map(|old| old.inspect.raw.get("Mounts")?.as_array());
    let text = |mount: &Value, key: &str| mount.get(key)?.as_str().map(str::to_owned);
    let anonymous =
        mounts.flatten().filter(|mount| mount["Type"] == "volume").filter_map(|mount| {
            let name = text(mount, "Name").filter(|name| is_anonymous(name))?;
            Some((clean(&text(mount, "Destination")?).to_owned(), name))
        });
    let mut carried: BTreeMap<String, String> = anonymous.collect();
    for own in &container.spec.mounts {
        carried.remove(clean(&own.target));
    }
    carried
}

/// The request for a container with the volumes that it takes over, as far as its image, of this
/// `Config`, declares volumes there.
pub(crate) fn with_carried(
    body: &Value,
    image: &Value,
    carried: &BTreeMap<String, String>,
) -> Value {
    let volumes = image.get("Volumes").and_then(Value::as_object);
    let declares = |path: &str| {
        volumes.is_some_and(|volumes| volumes.keys().any(|volume| clean(volume) == path))
    };
    let taken = carried.iter().filter(|(path, _)| declares(path));
    let taken =
        taken.map(|(path, name)| json!({ "Type": "volume", "Source": name, "Target": path }));
    let mut body = body.clone();
    if let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut) {
        let mounts = host.entry("Mounts").or_insert_with(|| Value::Array(Vec::new()));
        if let Some(mounts) = mounts.as_array_mut() {
            mounts.extend(taken);
        }
    }
    body
}
