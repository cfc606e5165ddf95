//! Mounts: the kernel's table is read, mount(8) mounts, and a call of the kernel's own unmounts.

use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::clients::host::managed::cannot;
use crate::clients::host::{HostError, HostRoot, Program, read_bounded};
use crate::model::managed::attributes;
use crate::model::mounts::below;
use crate::model::{Attributes, HostPath, MountSeen, Move};

/// The table of a host with thousands of containers.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Links from a name of a device to the device.
const LINKS_MAX: usize = 8;
/// Where devices have the names that fstab(5) knows.
const TAGS: [(&str, &str); 4] = [
    ("UUID=", "/dev/disk/by-uuid/"),
    ("LABEL=", "/dev/disk/by-label/"),
    ("PARTUUID=", "/dev/disk/by-partuuid/"),
    ("PARTLABEL=", "/dev/disk/by-partlabel/"),
];

impl HostRoot {
    /// Every mount below the root, by the paths of this host; the topmost of several at one path
    /// comes last.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn mounts(&self) -> Result<Vec<MountSeen>, HostError> {
        // The host's own first process sees what the host does, this one perhaps not.
        let hosts = match Path::new("/proc/1/mountinfo") {
            table if self.is_this_machine() => read_bounded(table, BYTES_MAX).ok().flatten(),
            _ => None,
        };
        let table = match hosts {
            Some(table) => Some(table),
            None => read_bounded(Path::new("/proc/thread-self/mountinfo"), BYTES_MAX)?,
        };
        let table = table
            .ok_or_else(|| HostError::unfit(Path::new("/proc"), "nothing is mounted there"))?;
        let folder = self.folder().canonicalize();
        let folder = folder.map_err(|source| HostError::io("read", self.folder(), source))?;
        let folder = folder.to_string_lossy();
        let one = |line: &str| {
            let mut seen = MountSeen::parse(line)?;
            seen.path = format!("/{}", below(&seen.path, &folder)?);
            Some(seen)
        };
        Ok(String::from_utf8_lossy(&table).lines().filter_map(one).collect())
    }

    /// Whether a mount is of this source: the same by name, the same device, or the same folder.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_mounted_from(
        &self,
        seen: &MountSeen,
        source: &str,
        is_bind: bool,
    ) -> Result<bool, HostError> {
        if is_bind {
            let shown = self.identity(source)?;
            return Ok(shown.is_some() && shown == self.identity(&seen.path)?);
        }
        if seen.source == source {
            return Ok(true);
        }
        let Some(wanted) = self.device(source)? else { return Ok(false) };
        Ok(wanted == seen.device || Some(wanted) == self.device(&seen.source)?)
    }

    /// What lies at a path, whatever it is called by.
    fn identity(&self, path: &str) -> Result<Option<(u64, u64)>, HostError> {
        let Ok(path) = path.parse::<HostPath>() else { return Ok(None) };
        let Some(place) = self.place(&path)? else { return Ok(None) };
        match rustix::fs::statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("read", &path, error)),
        }
    }

    /// The number of the device that fstab(5) names so.
    fn device(&self, source: &str) -> Result<Option<(u32, u32)>, HostError> {
        let tag = TAGS.iter().find_map(|(tag, folder)| {
            Some(format!("{folder}{}", source.strip_prefix(tag)?.trim_matches('"')))
        });
        let Ok(mut at) = tag.as_deref().unwrap_or(source).parse::<HostPath>() else {
            return Ok(None);
        };
        for _ in 0..LINKS_MAX {
            let Some(place) = self.place(&at)? else { return Ok(None) };
            let failed = |error| self.failed("read", &at, error);
            let stat =
                match rustix::fs::statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    Err(Errno::NOENT) => return Ok(None),
                    Err(error) => return Err(failed(error)),
                };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::BlockDevice => {
                    let number = stat.st_rdev;
                    return Ok(Some((rustix::fs::major(number), rustix::fs::minor(number))));
                }
                FileType::Symlink => {
                    let to = rustix::fs::readlinkat(&place.folder, place.name, Vec::new());
                    let to = to.map_err(failed)?;
                    let Some(next) = at.beside(&to.to_string_lossy()) else { return Ok(None) };
                    at = next;
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What is mounted where a change wants something: the side that it fits, or else what is seen.
    pub(super) fn mounted(&self, change: &Move) -> Result<Option<Attributes>, HostError> {
        let path = change.thing.name();
        let Some(seen) = self.mounts()?.into_iter().rfind(|seen| seen.path == path) else {
            return Ok(None);
        };
        for side in [&change.before, &change.after].into_iter().flatten() {
            let Side { source, kind, options } = Side::of(side);
            let same_kind = kind == "none" || is_type(kind, &seen.kind);
            let fits = same_kind && seen.fits(options.split(','));
            if fits && self.is_mounted_from(&seen, source, kind == "none")? {
                return Ok(Some(side.clone()));
            }
        }
        let (kind, options) = (seen.kind.clone(), seen.all_options());
        Ok(Some(attributes([("source", &seen.source), ("type", &kind), ("options", &options)])))
    }

    pub(super) fn move_mount(&self, change: &Move) -> Result<(), HostError> {
        let name = change.thing.name();
        let unfit = |reason: String| HostError::unfit(self.folder(), reason);
        let path: HostPath = name.parse().map_err(|_| unfit(format!("{name} is no path")))?;
        self.sees_the_hosts_mounts()?;
        let at = self.firm(&path)?;
        // What is mounted already is what it is, and perhaps a folder that the host needs.
        if path.is_kept() || change.before.is_none() && self.is_kept(&at) {
            let reason = "nothing is mounted or unmounted there: the host needs it";
            return Err(HostError::unfit(&self.shown(&path), reason));
        }
        let remount;
        let (side, options) = match (&change.before, &change.after) {
            (Some(_), None) => {
                // Never by force, and never lazily: what is in use stays.
                let at = self.shown(&path);
                return rustix::mount::unmount(&at, UnmountFlags::NOFOLLOW)
                    .map_err(|error| self.failed("unmount", &path, error));
            }
            (None, Some(after)) => (Side::of(after), Side::of(after).options),
            (Some(_), Some(after)) => {
                let side = Side::of(after);
                let bind = if side.kind == "none" { "bind," } else { "" };
                let plain = side.options.split(',').filter(|option| *option != "bind");
                remount = format!("remount,{bind}{}", plain.collect::<Vec<_>>().join(","));
                (side, remount.as_str())
            }
            (None, None) => return Ok(()),
        };
        let mut argv = vec!["mount"];
        if side.kind != "none" {
            argv.extend(["-t", side.kind]);
        }
        if !options.is_empty() {
            argv.extend(["-o", options]);
        }
        argv.extend(["--", side.source, name]);
        let ran = self.run_well(Program::changing(&argv));
        ran.map(drop).map_err(cannot(format!("mounting {} at {name}", side.source)))
    }

    /// Refuses where this program has mounts of its own: nobody else would see what it mounts.
    fn sees_the_hosts_mounts(&self) -> Result<(), HostError> {
        // Mounts have numbers of their own everywhere; whose namespace it is, not everybody may ask.
        let root = |of: &str| {
            let table = read_bounded(Path::new(&format!("/proc/{of}/mountinfo")), BYTES_MAX);
            let table = String::from_utf8(table.ok()??).ok()?;
            let mut words = table.lines().map(|line| line.split(' '));
            words.find_map(|mut words| {
                let id = words.next()?.to_owned();
                (words.nth(3)? == "/").then_some(id)
            })
        };
        let (hosts, own) = (root("1"), root("thread-self"));
        if self.is_this_machine() && hosts.is_some() && hosts != own {
            let reason = "this program has mounts of its own, as systemd gives them to the agent: an \
                          operator's `tidegate fix` mounts for everybody";
            return Err(HostError::unfit(self.folder(), reason));
        }
        Ok(())
    }

    /// Refuses what somebody else could swap for another place between this look and a mount: a link
    /// in the way, or a folder that others may write to. What lies at the path.
    fn firm(&self, path: &HostPath) -> Result<Stat, HostError> {
        let own = rustix::process::geteuid().as_raw();
        let unfit = |at: &HostPath, reason: &str| Err(HostError::unfit(&self.shown(at), reason));
        let mut at = path.clone();
        let mut last = None;
        loop {
            let relative = format!(".{at}");
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let resolve =
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
            let found =
                rustix::fs::openat2(self.as_fd(), relative.as_str(), flags, Mode::empty(), resolve);
            let held = match found {
                Ok(held) => held,
                Err(Errno::LOOP) => return unfit(&at, "a link is in the way: name it without"),
                Err(error) => return Err(self.failed("open", &at, error)),
            };
            let stat = rustix::fs::fstat(&held).map_err(|e| self.failed("open", &at, e))?;
            let others = stat.st_uid != 0 && stat.st_uid != own || stat.st_mode & 0o022 != 0;
            if last.is_some() && others {
                return unfit(&at, "others may write to this folder, which is in the way");
            }
            let of_path = *last.get_or_insert(stat);
            match at.split() {
                Some((outer, _)) if outer.as_str() != "/" => at = outer,
                _ => return Ok(of_path),
            }
        }
    }
}

/// What is, or should be, mounted.
struct Side<'a> {
    source: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Side<'a> {
    fn of(side: &'a Attributes) -> Self {
        let of = |key: &str| side.get(key).map(String::as_str).unwrap_or_default();
        Self { source: of("source"), kind: of("type"), options: of("options") }
    }
}

/// Whether the kernel's type is the wanted one: it tells versions of NFS apart, mount(8) does not.
pub fn is_type(wanted: &str, seen: &str) -> bool {
    wanted == seen || wanted == "nfs" && seen == "nfs4"
}
