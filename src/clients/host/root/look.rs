//! What lies at a path.

use std::fs::File;
use std::io::Read;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::clients::host::root::resolve::{End, Place};
use crate::clients::host::{HostError, HostRoot};
use crate::model::{HostPath, PathState, Permissions};

impl HostRoot {
    /// What lies at `path`; a file of more than `bytes_max` bytes is refused.
    ///
    /// # Errors
    /// When it cannot be read, or a link in the way cannot be trusted.
    pub fn look(&self, path: &HostPath, bytes_max: u64) -> Result<PathState, HostError> {
        self.seen(path, Some(bytes_max))
    }

    /// The same, but no file is read.
    ///
    /// # Errors
    /// When it cannot be looked at, or a link in the way cannot be trusted.
    pub fn look_outside(&self, path: &HostPath) -> Result<PathState, HostError> {
        self.seen(path, None)
    }

    fn seen(&self, path: &HostPath, bytes_max: Option<u64>) -> Result<PathState, HostError> {
        let Some(_) = path.split() else {
            let stat = rustix::fs::fstat(&self.root).map_err(|e| self.failed("read", path, e))?;
            return Ok(PathState::Directory { owned: owned(&stat) });
        };
        match self.place(path)? {
            Some(place) => self.seen_at(path, &place, bytes_max),
            None => Ok(PathState::Absent),
        }
    }

    fn seen_at(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        bytes_max: Option<u64>,
    ) -> Result<PathState, HostError> {
        let failed = |error| self.failed("read", path, error);
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = match rustix::fs::statat(&place.folder, place.name, flags) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(PathState::Absent),
            Err(error) => return Err(failed(error)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => match bytes_max {
                Some(bytes_max) => self.read_file(path, place, bytes_max),
                None => Ok(PathState::Unread { owned: owned(&stat) }),
            },
            FileType::Directory => Ok(PathState::Directory { owned: owned(&stat) }),
            FileType::Symlink => {
                let to = rustix::fs::readlinkat(&place.folder, place.name, Vec::new());
                let to = to.map_err(failed)?.to_string_lossy().into_owned();
                Ok(PathState::Symlink { to })
            }
            _ => Ok(PathState::Special),
        }
    }

    /// Whether exactly this lies at `path`.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_so(&self, path: &HostPath, state: &PathState) -> Result<bool, HostError> {
        let bytes_max = match state {
            PathState::File { content, .. } => Some(content.len() as u64),
            _ => None,
        };
        match self.seen(path, bytes_max) {
            Err(HostError::TooLarge { .. }) => Ok(false),
            now => Ok(now? == *state),
        }
    }

    /// Whether the folder at `path`, or one around it, keeps others from what lies in it. What is not
    /// there keeps nobody out.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_enclosing(&self, path: &HostPath) -> Result<bool, HostError> {
        let mut at = self.leads_to(path.as_str())?.parse::<HostPath>().ok();
        while let Some(folder) = at {
            let Some((outer, _)) = folder.split() else { break };
            if let Some(held) = self.hold(&folder)? {
                let stat = rustix::fs::fstat(&held).map_err(|e| self.failed("read", &folder, e))?;
                if stat.st_mode & 0o001 == 0 {
                    return Ok(true);
                }
            }
            at = Some(outer);
        }
        Ok(false)
    }

    /// A small text file of the host; none if it is not there. For facts.
    ///
    /// # Errors
    /// When it cannot be read, or is larger.
    pub fn text(&self, path: &str, bytes_max: u64) -> Result<Option<String>, HostError> {
        Ok(self.text_owned(path, bytes_max)?.map(|(text, _)| text))
    }

    /// The same, and who may read it.
    ///
    /// # Errors
    /// When it cannot be read, or is larger.
    pub fn text_owned(
        &self,
        path: &str,
        bytes_max: u64,
    ) -> Result<Option<(String, Permissions)>, HostError> {
        let Ok(path) = path.parse::<HostPath>() else { return Ok(None) };
        let mut state = self.look(&path, bytes_max)?;
        // A last link, as /etc/os-release is, is judged and followed like those in the way.
        if let PathState::Symlink { .. } = state
            && let Some(End { folder, name: Some(name) }) = self.end(&path)?
        {
            state = self.seen_at(&path, &Place { folder, name: &name }, Some(bytes_max))?;
        }
        Ok(match state {
            PathState::File { content, owned } => {
                Some((String::from_utf8_lossy(&content).into_owned(), owned))
            }
            _ => None,
        })
    }

    /// Whether anything lies at `path`.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn is_there(&self, path: &str) -> Result<bool, HostError> {
        let Ok(path) = path.parse::<HostPath>() else { return Ok(false) };
        let Some(place) = self.place(&path)? else { return Ok(false) };
        match rustix::fs::statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed("read", &path, error)),
        }
    }

    /// Names in a folder of the host, at most `n_max`; none if there is no such folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self, path: &str, n_max: usize) -> Result<Vec<String>, HostError> {
        let Ok(path) = path.parse::<HostPath>() else { return Ok(Vec::new()) };
        let Some(folder) = self.hold(&path)? else { return Ok(Vec::new()) };
        let failed = |error| self.failed("list", &path, error);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&folder, ".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(open).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
            if names.len() >= n_max {
                break;
            }
        }
        names.sort();
        Ok(names)
    }

    fn read_file(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        bytes_max: u64,
    ) -> Result<PathState, HostError> {
        let failed = |error| self.failed("read", path, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&place.folder, place.name, flags, Mode::empty());
        let file = open.map_err(failed)?;
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(HostError::unfit(&self.shown(path), "it changed while it was read"));
        }
        let mut content = Vec::new();
        File::from(file)
            .take(bytes_max + 1)
            .read_to_end(&mut content)
            .map_err(|source| HostError::io("read", &self.shown(path), source))?;
        if content.len() as u64 > bytes_max {
            return Err(HostError::TooLarge { path: self.shown(path), bytes_max });
        }
        Ok(PathState::File { content: content.into(), owned: owned(&stat) })
    }

    /// Folders that are missing on the way to `path`, outermost first.
    ///
    /// # Errors
    /// When a link in the way cannot be trusted.
    pub fn missing_folders(&self, path: &HostPath) -> Result<Vec<HostPath>, HostError> {
        let mut missing = Vec::new();
        let mut at = path.split().map(|(folder, _)| folder);
        while let Some(folder) = at {
            if self.hold(&folder)?.is_some() {
                break;
            }
            at = folder.split().map(|(outer, _)| outer);
            missing.push(folder);
        }
        missing.reverse();
        Ok(missing)
    }
}

pub(super) fn owned(stat: &Stat) -> Permissions {
    Permissions { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
}
