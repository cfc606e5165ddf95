//! Modules of the kernel: its lists are read, modprobe and rmmod change what is loaded.

use std::collections::BTreeSet;

use crate::clients::host::managed::cannot;
use crate::clients::host::{HostError, HostRoot, Program};
use crate::model::Move;

/// A distribution's list of all modules is some megabytes.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Modules by their names with `_`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules {
    /// The kernel's release.
    pub release: String,
    /// Those that are loaded.
    pub loaded: BTreeSet<String>,
    /// Those that are part of the kernel itself.
    pub builtin: BTreeSet<String>,
    /// Those that could be loaded.
    pub there: BTreeSet<String>,
}

impl HostRoot {
    /// The kernel's modules; none where it loads none at all.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn modules(&self) -> Result<Option<Modules>, HostError> {
        let release = self.text("/proc/sys/kernel/osrelease", BYTES_MAX)?;
        let Some(release) = release.map(|text| text.trim().to_owned()) else {
            let reason = "nothing is mounted there";
            return Err(HostError::unfit(&self.folder().join("proc"), reason));
        };
        let Some(loaded) = self.loaded()? else { return Ok(None) };
        let folder = format!("/lib/modules/{release}");
        let list = |name: &str| self.text(&format!("{folder}/{name}"), BYTES_MAX);
        let (builtin, there) = (list("modules.builtin")?, list("modules.dep")?);
        if builtin.is_none() && there.is_none() {
            // What is part of the kernel would be called missing.
            let reason = format!("{folder} is not there, or not shown (ProtectKernelModules=)");
            return Err(HostError::unfit(self.folder(), reason));
        }
        let names = |text: Option<String>| -> BTreeSet<String> {
            text.unwrap_or_default().lines().filter_map(of_file).collect()
        };
        let (builtin, there) = (names(builtin), names(there));
        Ok(Some(Modules { release, loaded, builtin, there }))
    }

    /// Modules that are loaded; none where the kernel loads none at all.
    pub(super) fn loaded(&self) -> Result<Option<BTreeSet<String>>, HostError> {
        let text = self.text("/proc/modules", BYTES_MAX)?;
        let first = |line: &str| line.split(' ').next().map(str::to_owned);
        Ok(text.map(|text| text.lines().filter_map(first).collect()))
    }

    pub(super) fn move_module(&self, change: &Move) -> Result<(), HostError> {
        let name = change.thing.name();
        let program = match (&change.before, &change.after) {
            (None, Some(_)) => "modprobe",
            // It alone, and only if nothing uses it.
            (Some(_), None) => "rmmod",
            _ => return Ok(()),
        };
        let ran = self.run_well(Program::changing(&[program, "--", name]));
        ran.map(drop).map_err(cannot(format!("`{program} {name}`")))
    }
}

/// The module of a line of modules.builtin or modules.dep: `kernel/net/br-netfilter.ko.xz: …`.
fn of_file(line: &str) -> Option<String> {
    let path = line.split(':').next()?;
    let (name, _) = path.rsplit('/').next()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use crate::clients::host::managed::module::of_file;

    #[test]
    fn a_module_is_known_by_its_file_however_it_is_packed() {
        for (line, wanted) in [
            ("kernel/fs/ext4/ext4.ko", Some("ext4")),
            (
                "kernel/net/bridge/br-netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz",
                Some("br_netfilter"),
            ),
            ("updates/dkms/a.ko.zst:", Some("a")),
            ("", None),
        ] {
            assert_eq!(of_file(line).as_deref(), wanted, "{line}");
        }
    }
}
