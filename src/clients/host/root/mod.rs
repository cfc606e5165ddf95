//! The host as rules see and change it: one client with a root prefix.
//!
//! In: [`HostPath`]s. Out: [`crate::model::PathState`]s. Effect: reads, and where told so changes,
//! what lies below the root.
//!
//! # Guarantees
//! * Nothing outside the root is ever reached: a path is resolved below it, links included.
//! * A link in the way is followed only if root (or this user) made it in a folder that nobody else
//!   may write to; a service's user cannot send a rule elsewhere by planting one.
//! * The last step is never followed, except of files that are only read whole as text, and there only
//!   as one in the way is. A content is never written through: a new file takes the place
//!   of the old one, and has its extended attributes. Where mode and owner alone change, the file
//!   stays the same one, for whoever has it open, unless somebody else may have put it there.
//! * Folders that a host cannot be without are never removed, whatever they are called by.
//! * Every read is bounded.

mod resolve;
mod list;
mod extended;
mod kernel;
mod leads;
mod look;
mod nest;
mod put;
mod access;
mod tail;

pub use extended::Extended;
pub(in crate::clients::host) use leads::Led;
pub(in crate::clients::host) use resolve::End;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::clients::host::silence::can_hang;
use crate::clients::host::{CHANGE_TIME_MAX, HostError, Program};
use crate::model::HostPath;
use crate::model::host_path::kept_paths;

/// A host, or a folder that stands for one.
#[derive(Debug)]
pub struct HostRoot {
    folder: PathBuf,
    root: OwnedFd,
    package_time_max: Duration,
}

impl HostRoot {
    /// The host whose root is `folder`, as this process calls it: `/proc/1/root` stays that.
    ///
    /// # Errors
    /// When it is no folder.
    pub fn open(folder: &Path) -> Result<Self, HostError> {
        // Programs of the host are run from elsewhere.
        let folder =
            &std::path::absolute(folder).map_err(|source| HostError::io("find", folder, source))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty())
            .map_err(|error| HostError::io("open", folder, error))?;
        Ok(Self { folder: folder.to_owned(), root, package_time_max: CHANGE_TIME_MAX })
    }

    /// The same, whose package manager is ended after this time.
    #[must_use]
    pub fn with_package_time_max(self, package_time_max: Duration) -> Self {
        Self { package_time_max, ..self }
    }

    /// A package manager's run that changes something.
    pub(in crate::clients::host) fn installing<'a>(&self, argv: &'a [&'a str]) -> Program<'a> {
        Program { time_max: self.package_time_max, ..Program::changing(argv) }
    }

    /// Where its root lies on this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it is this machine itself.
    pub fn is_this_machine(&self) -> bool {
        self.folder == Path::new("/")
    }

    /// Whether the host would be gone without it: by what it is, not by what it is called, since a
    /// link in the way may lead to `/etc`.
    /// None of those that may hang is asked: what is mounted there cannot be removed.
    pub(super) fn is_kept(&self, stat: &Stat) -> bool {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::Directory | FileType::Symlink) {
            return false;
        }
        let mut hanging = self.mounts().unwrap_or_default();
        hanging.retain(|seen| can_hang(&seen.kind) && seen.path != "/");
        let answers =
            |kept: &&str| !hanging.iter().any(|seen| Path::new(kept).starts_with(&seen.path));
        kept_paths().filter(answers).any(|kept| {
            let relative = format!(".{kept}");
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let found = rustix::fs::statat(&self.root, relative.as_str(), flags);
            found.is_ok_and(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino))
        })
    }

    /// The root, held open.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    pub(super) fn failed(&self, action: &'static str, path: &HostPath, error: Errno) -> HostError {
        HostError::io(action, &self.shown(path), error)
    }

    /// The path as a person on this machine would name it.
    pub(super) fn shown(&self, path: &HostPath) -> PathBuf {
        self.folder.join(path.as_str().trim_start_matches('/'))
    }
}
