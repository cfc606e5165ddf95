//! Volumes that are a mount of the host in disguise.
//!
//! In: a volume that this service makes, the node's rules. Out: why it is denied, if it is. Pure.
//!
//! The engine's driver `local` hands type, device and options to mount(2) as they are. With `bind`
//! among the options the type says nothing and the device is a path of the host; `proc`, `overlay`,
//! `ext4` and the like show the host whatever the device says. So only what is known to come from
//! elsewhere, or to be memory, is let through.

use crate::model::mounts::is_remote;
use crate::reconcile::desired::{DesiredService, DesiredVolume};
use crate::reconcile::plan::policy::{Rules, denied_path, line};

/// The engine's own driver.
const LOCAL: &str = "local";

/// A server's file system that is also served through sockets and pipes of this host.
const LOCAL_TOO: &str = "9p";

/// Options that make a device a path of the host.
const BIND: [&str; 2] = ["bind", "rbind"];

/// Options that may accompany no type: `remount` changes a mount that is there.
const NEVER: [&str; 2] = ["remount", "move"];

/// Keys that the driver `local` knows.
const KEYS: [&str; 4] = ["type", "device", "o", "size"];

/// Why `volume` may not be made, if it may not.
pub(crate) fn denied_volume(
    service: &DesiredService,
    rules: Rules<'_>,
    volume: &DesiredVolume,
) -> Option<String> {
    let driver = driver(volume);
    if driver != LOCAL {
        let allowed = rules.0.volume_drivers.contains(driver);
        return (!allowed).then(|| format!("driver {driver}: {}", line("volume_drivers", driver)));
    }
    let said = |key: &str| volume.driver_opts.get(key).map_or("", String::as_str);
    let by_hand = "is never allowed; make the volume by hand and write `external = true`";
    if let Some(key) = volume.driver_opts.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Some(format!("driver_opts.{key} {by_hand}"));
    }
    if let Some(option) = options(volume).find(|option| NEVER.contains(&option.as_str())) {
        return Some(format!("driver_opts.o {option} {by_hand}"));
    }
    if let Some(device) = bound(volume) {
        return denied_path(service, rules, device);
    }
    let (kind, device) = (said("type"), said("device"));
    let is_mount = !kind.is_empty() || !device.is_empty();
    let is_elsewhere = is_remote(kind) && kind != LOCAL_TOO || kind == "tmpfs";
    (is_mount && !is_elsewhere).then(|| format!("driver_opts.type {kind:?} {by_hand}"))
}

/// The path of the host that a volume which this service makes shows, if it shows one.
pub(crate) fn bound(volume: &DesiredVolume) -> Option<&str> {
    let is_bind = !volume.external
        && driver(volume) == LOCAL
        && options(volume).any(|option| BIND.contains(&option.as_str()));
    is_bind.then(|| volume.driver_opts.get("device").map_or("", String::as_str))
}

/// An empty name is the engine's default.
fn driver(volume: &DesiredVolume) -> &str {
    volume.driver.as_deref().filter(|driver| !driver.is_empty()).unwrap_or(LOCAL)
}

/// Each of the options; one counts wherever it stands among the others.
fn options(volume: &DesiredVolume) -> impl Iterator<Item = String> {
    let options = volume.driver_opts.get("o").map_or("", String::as_str);
    options.split(',').map(|option| option.trim().to_ascii_lowercase())
}
