//! Making a path what it should be.

use std::fs::File;
use std::io::Write;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::clients::host::root::extended::Extended;
use crate::clients::host::root::nest::{NEW, Nest, sweep};
use crate::clients::host::root::resolve::Place;
use crate::clients::host::{HostError, HostRoot};
use crate::model::{HostPath, PathState, Permissions};

impl HostRoot {
    /// Makes `path`, at which `before` lies, what `after` says. A file has the extended attributes of
    /// the one that it replaces, and those that were `kept`; a new folder the latter. What only mode or
    /// owner changes of stays the same file.
    ///
    /// # Errors
    /// When something else lies there by now, or it cannot be changed. What was there is then there
    /// still, except that an empty folder or link that gives way to something else may be gone.
    pub fn put(
        &self,
        path: &HostPath,
        before: &PathState,
        after: &PathState,
        kept: Option<&Extended>,
    ) -> Result<(), HostError> {
        if !self.is_so(path, before)? {
            let reason =
                format!("it is no longer {}, as it was when this was decided", before.noun());
            return Err(HostError::unfit(&self.shown(path), reason));
        }
        if before == after && kept.is_none() {
            return Ok(());
        }
        let Some(place) = self.place(path)? else {
            return Err(HostError::unfit(&self.shown(path), "there is no folder for it"));
        };
        sweep(&place);
        if let Some(owned) = before.new_access(after)
            && self.give_access(path, &place, before, owned, kept)?
        {
            return Ok(());
        }
        if let PathState::Unread { .. } = before {
            let reason = "what it says is not known, so that it could not be brought back";
            return Err(HostError::unfit(&self.shown(path), reason));
        }
        let is_made = matches!((before, after), (PathState::Absent, PathState::Directory { .. }));
        if !is_made {
            self.may_go(path, &place)?;
        }
        let needs_gone = match (before, after) {
            (PathState::Directory { .. }, _) | (_, PathState::Absent) => true,
            (_, PathState::Directory { .. }) => *before != PathState::Absent,
            _ => false,
        };
        if needs_gone {
            self.remove(path, &place, before)?;
        }
        match after {
            PathState::Absent => {}
            PathState::File { content, owned } => {
                let extended = self.extended_after(path, &place, [before, after], kept)?;
                let new = (&**content, *owned);
                self.put_file(path, &place, before, new, extended.as_ref())?;
            }
            PathState::Directory { owned } => {
                self.put_directory(path, &place, before, *owned, kept)?;
            }
            PathState::Symlink { to } => self.put_link(path, &place, before, to, kept)?,
            PathState::Special | PathState::Unread { .. } => {
                let reason = "devices, pipes, sockets and unknown files are not made";
                return Err(HostError::unfit(&self.shown(path), reason));
            }
        }
        sync(&place).map_err(|error| self.failed("change", path, error))
    }

    /// Removes what a change of `path` left beside it that was interrupted.
    ///
    /// # Errors
    /// When its folder cannot be looked at.
    pub fn sweep(&self, path: &HostPath) -> Result<(), HostError> {
        if let Some(place) = self.place(path)? {
            sweep(&place);
        }
        Ok(())
    }

    /// Refuses what the host cannot be without.
    fn may_go(&self, path: &HostPath, place: &Place<'_>) -> Result<(), HostError> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let is_kept = match rustix::fs::statat(&place.folder, place.name, flags) {
            Ok(stat) => self.is_kept(&stat),
            Err(Errno::NOENT) => false,
            Err(error) => return Err(self.failed("change", path, error)),
        };
        if is_kept || path.is_kept() {
            let reason = "it is never removed or replaced: the host would be gone without it";
            return Err(HostError::unfit(&self.shown(path), reason));
        }
        Ok(())
    }

    /// Removes a file, link or empty folder.
    fn remove(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        before: &PathState,
    ) -> Result<(), HostError> {
        let failed = |error| self.failed("remove", path, error);
        let flags = match before {
            PathState::Directory { .. } => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        rustix::fs::unlinkat(&place.folder, place.name, flags).map_err(failed)
    }

    fn put_file(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        before: &PathState,
        (content, owned): (&[u8], Permissions),
        extended: Option<&Extended>,
    ) -> Result<(), HostError> {
        let written = Nest::beside(place).and_then(|nest| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let open = rustix::fs::openat(&nest, NEW, flags, Mode::RUSR | Mode::WUSR)?;
            let mut file = File::from(open);
            extended.map_or(Ok(()), |extended| extended.give(&file))?;
            file.write_all(content)?;
            own(&file, owned)?;
            extended.map_or(Ok(()), |extended| extended.give_of_content(&file))?;
            file.sync_all()?;
            nest.land(before)
        });
        written.map_err(|source| HostError::io("write", &self.shown(path), source))
    }

    /// Makes a directory that nobody ever finds with another mode or owner.
    fn put_directory(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        before: &PathState,
        owned: Permissions,
        kept: Option<&Extended>,
    ) -> Result<(), HostError> {
        let made = Nest::beside(place).and_then(|nest| {
            rustix::fs::mkdirat(&nest, NEW, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let held = File::from(rustix::fs::openat(&nest, NEW, flags, Mode::empty())?);
            kept.map_or(Ok(()), |kept| kept.give(&held))?;
            own(&held, owned)?;
            nest.land(before)
        });
        made.map_err(|source| HostError::io("make", &self.shown(path), source))
    }

    fn put_link(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        before: &PathState,
        to: &str,
        kept: Option<&Extended>,
    ) -> Result<(), HostError> {
        let made = Nest::beside(place).and_then(|nest| {
            rustix::fs::symlinkat(to, &nest, NEW)?;
            if let Some((uid, gid)) = kept.and_then(Extended::link_owner) {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&nest, NEW, Some(uid), Some(gid), flags)?;
            }
            nest.land(before)
        });
        made.map_err(|source| HostError::io("link", &self.shown(path), source))
    }
}

/// Of something new that nobody finds yet. Owner first: changing it takes set-user-id bits
/// away.
fn own(held: &impl std::os::fd::AsFd, owned: Permissions) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(held)?;
    if (stat.st_uid, stat.st_gid) != (owned.uid, owned.gid) {
        let (uid, gid) = (Uid::from_raw(owned.uid), Gid::from_raw(owned.gid));
        rustix::fs::fchown(held, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(held, Mode::from_raw_mode(owned.mode))
}

/// Makes renames in the folder durable.
fn sync(place: &Place<'_>) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(&place.folder, ".", flags, Mode::empty())?;
    rustix::fs::fsync(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::clients::host::HostRoot;
    use crate::model::{HostPath, PathState, Permissions};

    #[test]
    fn what_somebody_made_meanwhile_where_there_was_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "theirs").unwrap();
        let host = HostRoot::open(folder.path()).unwrap();
        let path: HostPath = "/a".parse().unwrap();
        let place = host.place(&path).unwrap().unwrap();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let new = (&b"ours"[..], Permissions { mode: 0o644, uid, gid });
        let absent = PathState::Absent;
        assert!(host.put_file(&path, &place, &absent, new, None).is_err());
        assert!(host.put_link(&path, &place, &absent, "/x", None).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
