//! Kernel parameters, live and at boot.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::clients::host::{HostError, HostRoot};
use crate::compliance::kind::{SysctlSight, own_path};
use crate::compliance::see::{FILE_BYTES_MAX, look};
use crate::model::PathState;
use crate::reconcile::desired::rule::kind::SysctlRule;

/// Folders of sysctl.d(5), the strongest first: a file of the same name hides those after it.
const SYSCTL_FOLDERS: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];
/// A folder with more files than this is no configuration.
const SYSCTL_FILES_MAX: usize = 1_000;

/// Sees a parameter and every file that sets some.
pub(super) fn see(
    host: &HostRoot,
    rule: &SysctlRule,
    creator: (u32, u32),
) -> Result<SysctlSight, HostError> {
    let mut boot = BTreeMap::new();
    for folder in SYSCTL_FOLDERS {
        let names = host.names(folder, SYSCTL_FILES_MAX)?;
        for name in names.into_iter().filter(|name| name.strip_suffix(".conf").is_some()) {
            let path = format!("{folder}/{name}");
            if let Entry::Vacant(place) = boot.entry(name) {
                place.insert(host.text(&path, FILE_BYTES_MAX)?.unwrap_or_default());
            }
        }
    }
    let last = host.text("/etc/sysctl.conf", FILE_BYTES_MAX)?.unwrap_or_default();
    let (own, missing) = match own_path(rule) {
        Some(path) => look(host, &path)?,
        None => (PathState::Absent, Vec::new()),
    };
    Ok(SysctlSight { live: host.kernel(&rule.key)?, boot, last, own, missing, creator })
}
