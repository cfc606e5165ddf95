//! Mode and owner of a file or folder that otherwise stays what it is, for whoever has it open.
//!
//! In: what it is, what it is to be. Out: [`Step`]s (pure), done. Effect: changes the host.
//!
//! # Guarantees
//! * Between two steps nobody may do more than before the first or after the last.
//! * No list that a user made is ever on what is another's.
//! * A step that fails takes back those before it; what an interruption leaves is known
//!   ([`PathState::halfway`]), and a list that it left away is missed ([`HostRoot::misses`]).

use std::fs::File;
use std::io::{Error, Read, Result};

use rustix::fs::{FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use crate::clients::host::root::extended::{ACCESS, DEFAULT, Extended, about, changes_hands};
use crate::clients::host::root::list::{nameless, names_somebody};
use crate::clients::host::root::look::owned;
use crate::clients::host::root::resolve::{Place, others_write};
use crate::clients::host::{HostError, HostRoot};
use crate::model::{HostPath, PathState, Permissions};

/// One call, and the one that takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The list of this name: what it is, what it becomes.
    List(&'static str, [Option<Vec<u8>>; 2]),
    /// User and group.
    Owner([(u32, u32); 2]),
    /// The mode.
    Mode([u32; 2]),
}

impl Step {
    fn undone(self) -> Self {
        match self {
            Self::List(name, [before, after]) => Self::List(name, [after, before]),
            Self::Owner([before, after]) => Self::Owner([after, before]),
            Self::Mode([before, after]) => Self::Mode([after, before]),
        }
    }

    fn take(&self, file: &File) -> Result<()> {
        match self {
            Self::List(name, [_, Some(list)]) => {
                rustix::fs::fsetxattr(file, *name, list, XattrFlags::empty())
                    .map_err(|error| about(name, error))
            }
            Self::List(name, [_, None]) => match rustix::fs::fremovexattr(file, *name) {
                Ok(()) | Err(Errno::NODATA) => Ok(()),
                Err(error) => Err(about(name, error)),
            },
            Self::Owner([_, (uid, gid)]) => {
                let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
                Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
            }
            Self::Mode([_, mode]) => Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(*mode))?),
        }
    }
}

/// The order in which it passes from what it `was`: what a user's list lets others do goes first, then
/// what the new owner and group may not; what they may comes last, after a list that comes back.
fn steps(
    has: &Extended,
    [was, after]: [Permissions; 2],
    between: u32,
    kept: Option<&Extended>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut list, mut default) = (has.value(ACCESS), has.value(DEFAULT));
    if changes_hands(was, after) {
        if let Some(named) = list.take_if(|list| names_somebody(list)) {
            list = nameless(&named);
            steps.push(Step::List(ACCESS, [Some(named), list.clone()]));
        }
        if let Some(inherited) = default.take() {
            steps.push(Step::List(DEFAULT, [Some(inherited), None]));
        }
    }
    let owners = [was, after].map(|owned| (owned.uid, owned.gid));
    let mut mode = was.mode;
    if owners[0] != owners[1] {
        steps.push(Step::Mode([mode, between]));
        steps.push(Step::Owner(owners));
        mode = between;
    }
    let kept = |name| kept.and_then(|kept| kept.value(name));
    if let Some(back) = kept(ACCESS).filter(|back| names_somebody(back))
        && !list.as_deref().is_some_and(names_somebody)
    {
        steps.push(Step::List(ACCESS, [list, Some(back)]));
    }
    if let Some(back) = kept(DEFAULT)
        && default.is_none()
    {
        steps.push(Step::List(DEFAULT, [None, Some(back)]));
    }
    // Setting a list sets the mode.
    steps.push(Step::Mode([mode, after.mode]));
    steps
}

impl HostRoot {
    /// Gives the file or folder at `path` this mode and owner. Not a file that has another name as well
    /// if somebody else may have put it here: it may be the password file. It is then to be replaced
    /// whole, which is said with `false`, or refused. Nor a file whose content matters and that somebody
    /// may have open who may not write it any more.
    pub(super) fn give_access(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        before: &PathState,
        after: Permissions,
        kept: Option<&Extended>,
    ) -> std::result::Result<bool, HostError> {
        let failed = |error| self.failed("change", path, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&place.folder, place.name, flags, Mode::empty());
        let file = File::from(open.map_err(failed)?);
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        let folder = rustix::fs::fstat(&place.folder).map_err(failed)?;
        let is_folder = matches!(before, PathState::Directory { .. });
        if !is_folder && stat.st_nlink > 1 && others_write(&folder) {
            if let PathState::File { .. } = before {
                return Ok(false);
            }
            let reason = "it has another name, and somebody else may have put it here: nobody knows \
                          whose file it is";
            return Err(HostError::unfit(&self.shown(path), reason));
        }
        let io = |source| HostError::io("change", &self.shown(path), source);
        let Some(was) = before.owned() else { return Ok(false) };
        if matches!(before, PathState::File { .. }) && may_still_write(was, after) {
            return Ok(false);
        }
        if !is_still(before, &file, &stat).map_err(io)? {
            return Err(HostError::unfit(&self.shown(path), "it changed while it was looked at"));
        }
        let has = Extended::of(&file).map_err(io)?;
        let between = before.mode_between(was, after);
        let steps = steps(&has, [was, after], between, kept);
        let given = pass(&file, steps, || {
            if let (Some(kept), PathState::File { .. }) = (kept, before) {
                kept.give_powers_back(&file)?;
            }
            file.sync_all()
        });
        given.map_err(|error| {
            // Another owner took them away, and it is the old one's again.
            let _given = has.give_powers_back(&file);
            io(error)
        })?;
        Ok(true)
    }

    /// Whether lists that went from a file or folder when it became another's are not back, though mode
    /// and owner are: of what passes from `given` to `back`, or is so and has only lists to come.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn misses(
        &self,
        path: &HostPath,
        [given, back]: [&PathState; 2],
        kept: Option<&Extended>,
    ) -> std::result::Result<bool, HostError> {
        let (Some(kept), Some(back), Some(given)) = (kept, given.new_access(back), given.owned())
        else {
            return Ok(false);
        };
        if given != back && !changes_hands(back, given) {
            return Ok(false);
        }
        let mut due = steps(&self.extended(path)?, [back; 2], back.mode, Some(kept));
        due.retain(|step| matches!(step, Step::List(..)));
        Ok(!due.is_empty())
    }
}

/// Whether somebody who had it open to write before could write on after, though then they may not.
/// Where its content matters, that is another reason to replace it whole.
fn may_still_write(was: Permissions, after: Permissions) -> bool {
    let owner = was.uid != after.uid && was.uid != 0;
    let group = was.mode & 0o020 != 0 && (was.gid != after.gid || after.mode & 0o020 == 0);
    let others = was.mode & 0o002 != 0 && after.mode & 0o002 == 0;
    owner || group || others
}

/// Takes all steps, and what comes `after` them; where one fails, those before it are taken back.
fn pass(file: &File, steps: Vec<Step>, after: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut taken = Vec::new();
    let take = || {
        for step in steps {
            step.take(file)?;
            taken.push(step);
        }
        after()
    };
    let Err(error) = take() else { return Ok(()) };
    for step in taken.into_iter().rev() {
        if let Err(back) = step.undone().take(file) {
            return Err(Error::other(format!("{error}; and taking back: {back}")));
        }
    }
    Err(error)
}

/// Whether it is what it was when this was decided.
fn is_still(before: &PathState, file: &File, stat: &Stat) -> Result<bool> {
    let is_kind = match before {
        PathState::Directory { .. } => FileType::Directory,
        _ => FileType::RegularFile,
    } == FileType::from_raw_mode(stat.st_mode);
    let is_content = match before {
        PathState::File { content, .. } => {
            let mut bytes = Vec::new();
            file.take(content.len() as u64 + 1).read_to_end(&mut bytes)?;
            bytes == **content
        }
        _ => true,
    };
    Ok(is_kind && is_content && before.owned() == Some(owned(stat)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{PermissionsExt as _, fchown};

    use rustix::fs::XattrFlags;

    use crate::clients::host::root::access::steps;
    use crate::clients::host::root::extended::{ACCESS, Extended};
    use crate::clients::host::root::look::owned;
    use crate::model::{PathState, Permissions};

    /// Owner, group, both after, whom the list names, anybody: by number, and in which group.
    const PEOPLE: [(u32, u32); 6] = [(1, 99), (5, 10), (2, 99), (6, 20), (1001, 99), (7, 99)];

    /// Names user 1001, who may read and write, and the group, which may read; at most this.
    fn list(mask: u8) -> Vec<u8> {
        let mut list = vec![2, 0, 0, 0];
        let none = u32::MAX;
        for (tag, may, id) in
            [(1, 6, none), (2, 6, 1001), (4, 4, none), (16, mask, none), (32, 0, none)]
        {
            list.extend([[tag, 0, may, 0], u32::to_le_bytes(id)].concat());
        }
        list
    }

    /// What the kernel lets each of them do (acl(5)).
    fn rights(file: &File) -> Vec<u32> {
        let owned = owned(&rustix::fs::fstat(file).unwrap());
        let list = Extended::of(file).unwrap().value(ACCESS).unwrap_or_default();
        let entries: Vec<&[u8]> = list.get(4..).unwrap_or_default().chunks(8).collect();
        let says = |tag: u8, id: Option<u32>| {
            let id = id.unwrap_or(u32::MAX).to_le_bytes();
            entries
                .iter()
                .find(|entry| entry[0] == tag && entry[4..] == id)
                .map(|e| u32::from(e[2]))
        };
        let mask = owned.mode >> 3 & 7;
        let may = |(uid, gid): (u32, u32)| match () {
            () if uid == owned.uid => owned.mode >> 6 & 7,
            () if says(2, Some(uid)).is_some() => says(2, Some(uid)).unwrap() & mask,
            () if gid == owned.gid => says(4, None).unwrap_or(mask) & mask,
            () => owned.mode & 7,
        };
        PEOPLE.map(may).to_vec()
    }

    #[test]
    fn nobody_may_more_between_two_steps_than_before_or_after_them_there_and_back() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let of = |mode, uid, gid| Permissions { mode, uid, gid };
        for (was, after, mask) in [
            (of(0o660, 1, 10), of(0o660, 0, 20), Some(6)),
            (of(0o660, 1, 10), of(0o640, 2, 20), Some(6)),
            (of(0o640, 1, 10), of(0o666, 2, 10), Some(4)),
            (of(0o660, 0, 10), of(0o600, 2, 20), Some(6)),
            (of(0o640, 1, 10), of(0o604, 2, 20), None),
            (of(0o604, 1, 10), of(0o640, 1, 20), None),
            (of(0o4750, 1, 10), of(0o4755, 2, 20), None),
        ] {
            let file = tempfile::tempfile().unwrap();
            let set = |mode| file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            fchown(&file, Some(was.uid), Some(was.gid)).unwrap();
            if let Some(mask) = mask {
                rustix::fs::fsetxattr(&file, ACCESS, &list(mask), XattrFlags::empty()).unwrap();
            }
            set(was.mode);
            let kept = Extended::of(&file).unwrap();
            let state = PathState::Unread { owned: was };
            for (way, kept) in [([was, after], None), ([after, was], Some(&kept))] {
                let between = state.mode_between(was, after);
                let has = Extended::of(&file).unwrap();
                let mut seen = vec![rights(&file)];
                for step in steps(&has, way, between, kept) {
                    step.take(&file).unwrap();
                    seen.push(rights(&file));
                }
                assert_eq!(owned(&rustix::fs::fstat(&file).unwrap()), way[1]);
                let (first, last) = (&seen[0], &seen[seen.len() - 1]);
                for (at, between) in seen.iter().enumerate() {
                    let is_less = |n: usize| between[n] & !(first[n] | last[n]) == 0;
                    assert!((0..PEOPLE.len()).all(is_less), "{way:?} step {at}: {seen:?}");
                }
            }
            assert_eq!(Extended::of(&file).unwrap(), kept, "{was:?} {after:?}");
        }
    }
}
