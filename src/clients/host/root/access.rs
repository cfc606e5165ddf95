//! Mode and owner of a file that otherwise stays what it is, for whoever has it open.

use std::fs::File;
use std::io::Read;

use rustix::fs::{FileType, Mode, OFlags};

use crate::clients::host::root::extended::Extended;
use crate::clients::host::root::look::owned;
use crate::clients::host::root::put::own;
use crate::clients::host::root::resolve::{Place, others_write};
use crate::clients::host::{HostError, HostRoot};
use crate::model::{HostPath, PathState, Permissions};

impl HostRoot {
    /// Gives the file at `path` this mode and owner. Not if it has another name as well and somebody
    /// else may have put it here: it may be the password file. It is then to be replaced whole, which
    /// is said with `false`, or refused.
    pub(super) fn give_access(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        before: &PathState,
        after: Permissions,
        kept: Option<&Extended>,
    ) -> Result<bool, HostError> {
        let failed = |error| self.failed("change", path, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&place.folder, place.name, flags, Mode::empty());
        let file = File::from(open.map_err(failed)?);
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        let folder = rustix::fs::fstat(&place.folder).map_err(failed)?;
        if stat.st_nlink > 1 && others_write(&folder) {
            if let PathState::File { .. } = before {
                return Ok(false);
            }
            let reason = "it has another name, and somebody else may have put it here: nobody knows \
                          whose file it is";
            return Err(HostError::unfit(&self.shown(path), reason));
        }
        let io = |source| HostError::io("change", &self.shown(path), source);
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let (was, content) = match before {
            PathState::File { content, owned } => (*owned, Some(content)),
            PathState::Unread { owned } => (*owned, None),
            _ => return Ok(false),
        };
        let is_so = match content {
            None => true,
            Some(content) => {
                let mut bytes = Vec::new();
                (&file).take(content.len() as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
                bytes == **content
            }
        };
        if !is_file || owned(&stat) != was || !is_so {
            return Err(HostError::unfit(&self.shown(path), "it changed while it was looked at"));
        }
        Extended::hand_over(&file, was, after)
            .and_then(|()| own(&file, after).map_err(Into::into))
            .and_then(|()| match kept {
                Some(kept) => kept.give_back(&file, content.is_some()),
                None => Ok(()),
            })
            .and_then(|()| own(&file, after).map_err(Into::into))
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        Ok(true)
    }
}
