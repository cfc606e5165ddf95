//! Bounded reading of one file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::clients::host::HostError;

/// The bytes of the regular file at `path`, at most `bytes_max`; none if there is no file. A pipe or
/// device in its place is refused rather than waited for.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, HostError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(HostError::io("open", path, error)),
    };
    let meta = file.metadata().map_err(|source| HostError::io("read", path, source))?;
    if !meta.is_file() {
        return Err(HostError::unfit(path, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| HostError::io("read", path, source))?;
    if bytes.len() as u64 > bytes_max {
        return Err(HostError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(Some(bytes))
}

/// Whether others than its owner may read the file at `path`; none if there is no file.
///
/// # Errors
/// When it cannot be looked at.
pub fn others_read(path: &Path) -> Result<Option<bool>, HostError> {
    match rustix::fs::stat(path) {
        Ok(meta) => Ok(Some(meta.st_mode & 0o077 != 0)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(HostError::io("look at", path, error)),
    }
}
