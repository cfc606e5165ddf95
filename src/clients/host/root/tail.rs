//! The end of a file that grows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::clients::host::{HostError, HostRoot};
use crate::model::HostPath;

impl HostRoot {
    /// The last `bytes_max` bytes of a text file, from a whole line on; none if it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tail(&self, path: &str, bytes_max: u64) -> Result<Option<String>, HostError> {
        let Ok(path) = path.parse::<HostPath>() else { return Ok(None) };
        let Some(place) = self.place(&path)? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&place.folder, place.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("read", &path, error)),
        };
        let failed = |source| HostError::io("read", &self.shown(&path), source);
        let length = file.metadata().map_err(failed)?.len();
        let from = length.saturating_sub(bytes_max);
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole =
            if from == 0 { &*text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
        Ok(Some(whole.to_owned()))
    }
}
