//! The folder that a path lies in, held open: what is checked is what is changed.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::clients::host::{HostError, HostRoot};
use crate::model::HostPath;

/// As many links as the kernel follows itself.
pub(super) const LINKS_MAX: usize = 40;

/// Flags to hold something without opening it.
pub(super) const HOLD: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A path's folder, and its name there.
pub(in crate::clients::host) struct Place<'a> {
    pub(in crate::clients::host) folder: OwnedFd,
    pub(in crate::clients::host) name: &'a str,
}

/// Where a path ends: a folder, or what has this name in it and is neither folder nor link.
#[derive(Debug)]
pub(in crate::clients::host) struct End {
    pub(in crate::clients::host) folder: OwnedFd,
    pub(in crate::clients::host) name: Option<String>,
}

impl HostRoot {
    /// The folder that `path` lies in; none if there is none.
    ///
    /// # Errors
    /// When a link in the way cannot be trusted, or it cannot be read.
    pub(in crate::clients::host) fn place<'a>(
        &self,
        path: &'a HostPath,
    ) -> Result<Option<Place<'a>>, HostError> {
        let Some((folder, name)) = path.split() else {
            return Err(HostError::unfit(&self.shown(path), "the root itself is no place"));
        };
        Ok(self.hold(&folder)?.map(|folder| Place { folder, name }))
    }

    /// Holds the directory at `path`; none if there is none.
    ///
    /// # Errors
    /// When a link in the way cannot be trusted, or it cannot be read.
    pub(super) fn hold(&self, path: &HostPath) -> Result<Option<OwnedFd>, HostError> {
        let relative = path.as_str().trim_start_matches('/');
        let relative = if relative.is_empty() { "." } else { relative };
        let flags = HOLD | OFlags::DIRECTORY;
        let resolve =
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        let found = rustix::fs::openat2(&self.root, relative, flags, Mode::empty(), resolve);
        match found {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            // A link is in the way, or a file; or the kernel is older than this call.
            Err(Errno::LOOP | Errno::NOTDIR | Errno::NOSYS) => self.walk(path),
            Err(error) => Err(self.failed("open", path, error)),
        }
    }

    /// Resolves step by step, judging each link before it is followed.
    fn walk(&self, path: &HostPath) -> Result<Option<OwnedFd>, HostError> {
        match self.end(path)? {
            None => Ok(None),
            Some(End { folder, name: None }) => Ok(Some(folder)),
            Some(End { name: Some(step), .. }) => {
                let reason = format!("`{step}` in the way is no directory");
                Err(HostError::unfit(&self.shown(path), reason))
            }
        }
    }

    /// What `path` names, its last link judged and followed like those in the way; none if there is
    /// nothing.
    ///
    /// # Errors
    /// When a link cannot be trusted, or it cannot be read.
    pub(in crate::clients::host) fn end(&self, path: &HostPath) -> Result<Option<End>, HostError> {
        let failed = |error| self.failed("open", path, error);
        let mut steps: VecDeque<String> = path.steps().map(str::to_owned).collect();
        let mut below: Vec<OwnedFd> = Vec::new();
        let mut n_links = 0;
        while let Some(step) = steps.pop_front() {
            match step.as_str() {
                "" | "." => continue,
                // As the kernel has it: above the root is the root.
                ".." => {
                    below.pop();
                    continue;
                }
                _ => {}
            }
            let at = below.last().map_or(self.root.as_fd(), AsFd::as_fd);
            let held = match rustix::fs::openat(at, step.as_str(), HOLD, Mode::empty()) {
                Ok(held) => held,
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            let stat = rustix::fs::fstat(&held).map_err(failed)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => below.push(held),
                FileType::Symlink => {
                    n_links += 1;
                    if n_links > LINKS_MAX {
                        return Err(failed(Errno::LOOP));
                    }
                    self.trust(path, &step, at, &stat)?;
                    let says = rustix::fs::readlinkat(&held, "", Vec::new()).map_err(failed)?;
                    let says = says.into_string().map_err(|_| failed(Errno::ILSEQ))?;
                    if says.starts_with('/') {
                        below.clear();
                    }
                    for step in says.split('/').rev() {
                        steps.push_front(step.to_owned());
                    }
                }
                _ if steps.is_empty() => return self.ends_in(path, below.pop(), Some(step)),
                _ => {
                    let reason = format!("`{step}` in the way is no directory");
                    return Err(HostError::unfit(&self.shown(path), reason));
                }
            }
        }
        self.ends_in(path, below.pop(), None)
    }

    fn ends_in(
        &self,
        path: &HostPath,
        folder: Option<OwnedFd>,
        name: Option<String>,
    ) -> Result<Option<End>, HostError> {
        let folder = folder.map_or_else(|| self.root.try_clone(), Ok);
        let folder = folder.map_err(|source| HostError::io("open", &self.shown(path), source))?;
        Ok(Some(End { folder, name }))
    }

    /// Refuses a link that somebody else than root and this user may have put there.
    fn trust(
        &self,
        path: &HostPath,
        step: &str,
        folder: BorrowedFd<'_>,
        link: &Stat,
    ) -> Result<(), HostError> {
        let folder = rustix::fs::fstat(folder).map_err(|error| self.failed("open", path, error))?;
        if ours(link.st_uid) && !others_write(&folder) {
            return Ok(());
        }
        let reason = format!(
            "`{step}` in the way is a link that user {} may have put there; it is not followed",
            if ours(link.st_uid) && ours(folder.st_uid) {
                "another".to_owned()
            } else if ours(link.st_uid) {
                folder.st_uid.to_string()
            } else {
                link.st_uid.to_string()
            }
        );
        Err(HostError::unfit(&self.shown(path), reason))
    }
}

/// Whether others than root and this user may put something into a folder.
pub(super) fn others_write(folder: &Stat) -> bool {
    !ours(folder.st_uid) || folder.st_mode & 0o022 != 0
}

fn ours(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}
