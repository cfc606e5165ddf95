//! Mounts: the kernel's table is read, mount(8) mounts, and a call of the kernel's own unmounts.

use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::clients::host::managed::cannot;
use crate::clients::host::root::End;
use crate::clients::host::{HostError, HostRoot, Program, read_bounded};
use crate::model::managed::attributes;
use crate::model::mounts::below;
use crate::model::{Attributes, HostPath, MountSeen, Move};

/// The table of a host with thousands of containers.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// What stands for a type where a folder is shown in a second place.
const BIND: &str = "none";
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

    /// Whether a mount is of this type, `none` for a folder in a second place, and of this source:
    /// the same by name, the same device, or the same folder.
    ///
    /// # Errors
    /// When it cannot be looked at, or this program does not see the device.
    pub fn is_mount_of(
        &self,
        seen: &MountSeen,
        source: &str,
        kind: &str,
    ) -> Result<bool, HostError> {
        if kind == BIND {
            let shown = self.identity(source)?;
            return Ok(shown.is_some() && shown == self.identity(&seen.path)?);
        }
        if !seen.is_type(kind) {
            return Ok(false);
        }
        if seen.source == source {
            return Ok(true);
        }
        let device = |name: &str| -> Result<Option<(u32, u32)>, HostError> {
            let Some(path) = device_path(name) else { return Ok(None) };
            match self.device(&path)? {
                None if self.is_this_machine() && self.place(&path)?.is_none() => {
                    let reason = "this program does not see that device; the agent's unit keeps \
                                  devices from it (`PrivateDevices=`), an operator's command has them";
                    Err(HostError::unfit(&self.shown(&path), reason))
                }
                found => Ok(found),
            }
        };
        let Some(wanted) = device(source)? else { return Ok(false) };
        Ok(wanted == seen.device || Some(wanted) == device(&seen.source)?)
    }

    /// What lies at a path, whatever it is called by, as mount(8) finds it: through a link, unless
    /// that is somebody else's.
    fn identity(&self, path: &str) -> Result<Option<(u64, u64)>, HostError> {
        let Ok(path) = path.parse::<HostPath>() else { return Ok(None) };
        let Some(End { folder, name }) = self.end(&path)? else { return Ok(None) };
        let found = match &name {
            Some(name) => rustix::fs::statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW),
            None => rustix::fs::fstat(&folder),
        };
        let stat = found.map_err(|error| self.failed("read", &path, error))?;
        Ok(Some((stat.st_dev, stat.st_ino)))
    }

    /// The number of the device at a path, its links followed; none if it is no device.
    fn device(&self, path: &HostPath) -> Result<Option<(u32, u32)>, HostError> {
        let Ok(at) = self.leads_to(path.as_str())?.parse::<HostPath>() else { return Ok(None) };
        let Some(place) = self.place(&at)? else { return Ok(None) };
        match rustix::fs::statat(&place.folder, place.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice => {
                let number = stat.st_rdev;
                Ok(Some((rustix::fs::major(number), rustix::fs::minor(number))))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("read", &at, error)),
        }
    }

    /// What is mounted where a change wants something: the side that it fits, or else what is seen.
    pub(super) fn mounted(&self, change: &Move) -> Result<Option<Attributes>, HostError> {
        let path = change.thing.name();
        let Some(seen) = self.mounts()?.into_iter().rfind(|seen| seen.path == path) else {
            return Ok(None);
        };
        for side in [&change.before, &change.after].into_iter().flatten() {
            let Side { source, kind, options } = Side::of(side);
            if seen.fits(options.split(',')) && self.is_mount_of(&seen, source, kind)? {
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
                let bind = if side.kind == BIND { "bind," } else { "" };
                let plain = side.options.split(',').filter(|option| *option != "bind");
                remount = format!("remount,{bind}{}", plain.collect::<Vec<_>>().join(","));
                (side, remount.as_str())
            }
            (None, None) => return Ok(()),
        };
        self.is_no_file(side.source, side.kind)?;
        if side.kind == BIND {
            // Refuses a link that another user could lead elsewhere.
            self.identity(side.source)?;
        }
        let mut argv = vec!["mount"];
        if side.kind != BIND {
            argv.extend(["-t", side.kind]);
        }
        if !options.is_empty() {
            argv.extend(["-o", options]);
        }
        argv.extend(["--", side.source, name]);
        let ran = self.run_well(Program::changing(&argv));
        ran.map(drop).map_err(cannot(format!("mounting {} at {name}", side.source)))?;
        if options.split(',').any(|option| option == "nofail") && self.mounted(change)?.is_none() {
            let reason = format!("{} is not there, which `nofail` lets pass", side.source);
            return Err(unfit(format!("nothing was mounted at {name}: {reason}")));
        }
        Ok(())
    }

    /// Refuses a file as a source: mount(8) would make a loop device of it.
    fn is_no_file(&self, source: &str, kind: &str) -> Result<(), HostError> {
        let Ok(path) = source.parse::<HostPath>() else { return Ok(()) };
        let Some(place) = self.place(&path)?.filter(|_| kind != BIND) else { return Ok(()) };
        let found = rustix::fs::statat(&place.folder, place.name, AtFlags::empty());
        if found.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
            let reason = "it is a file, and loop devices are not looked at: name a device";
            return Err(HostError::unfit(&self.shown(&path), reason));
        }
        Ok(())
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

/// Where the device lies that fstab(5) names so, if it is one.
fn device_path(source: &str) -> Option<HostPath> {
    let tag = TAGS.iter().find_map(|(tag, folder)| {
        Some(format!("{folder}{}", source.strip_prefix(tag)?.trim_matches('"')))
    });
    tag.as_deref().unwrap_or(source).parse().ok()
}
