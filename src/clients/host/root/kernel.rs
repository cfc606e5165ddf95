//! Kernel parameters, below /proc/sys of the host.

use std::fs::File;
use std::io::Write;

use rustix::fs::{Mode, OFlags};

use crate::clients::host::{HostError, HostRoot};
use crate::model::kernel_parameter::parameter_path;
use crate::model::{HostPath, Permissions};

/// A parameter is a line.
const BYTES_MAX: u64 = 64 * 1024;
/// Where they lie.
const SYSCTLS: &str = "/proc/sys";
/// It has some ten folders.
const FOLDERS_MAX: usize = 1_000;

impl HostRoot {
    /// A kernel parameter's value, white space as single blanks; none if the kernel has none such.
    ///
    /// # Errors
    /// When it cannot be read, or the kernel shows none at all here.
    pub fn kernel(&self, key: &str) -> Result<Option<String>, HostError> {
        Ok(self.kernel_owned(key)?.map(|(value, _)| value))
    }

    /// The same, and who may read it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kernel_owned(&self, key: &str) -> Result<Option<(String, Permissions)>, HostError> {
        let Some(path) = path(key) else { return Ok(None) };
        let seen = self.text_owned(&path, BYTES_MAX)?;
        if seen.is_none() && self.names(SYSCTLS, FOLDERS_MAX)?.is_empty() {
            let folder = self.folder().join(SYSCTLS.trim_start_matches('/'));
            return Err(HostError::unfit(&folder, "nothing is mounted there"));
        }
        let plain = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(seen.map(|(value, owned)| (plain(&value), owned)))
    }

    /// Sets a kernel parameter that still is `before`.
    ///
    /// # Errors
    /// When it is something else by now, or cannot be set.
    pub fn set_kernel(&self, key: &str, before: &str, after: &str) -> Result<(), HostError> {
        let unfit = |reason: &str| HostError::unfit(self.folder(), format!("{key}: {reason}"));
        if self.kernel(key)?.as_deref() != Some(before) {
            return Err(unfit("it is no longer what it was when this was decided"));
        }
        let path = path(key).and_then(|path| path.parse::<HostPath>().ok());
        let path = path.ok_or_else(|| unfit("it is no parameter"))?;
        let place = self.place(&path)?.ok_or_else(|| unfit("the kernel has no such parameter"))?;
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&place.folder, place.name, flags, Mode::empty());
        let mut file = File::from(open.map_err(|error| self.failed("set", &path, error))?);
        // One write: the kernel takes each as a value of its own.
        file.write_all(format!("{after}\n").as_bytes())
            .map_err(|source| HostError::io("set", &self.shown(&path), source))
    }
}

fn path(key: &str) -> Option<String> {
    parameter_path(key).map(|path| format!("{SYSCTLS}/{path}"))
}
