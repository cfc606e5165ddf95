//! A folder beside a path in which what is to lie there is made: nobody else enters it.
//!
//! In: a path's [`Place`]. Out: [`Nest`]. Effect: makes and removes it.
//!
//! # Guarantees
//! * Whatever is done to what lies in it, and in which order, nobody else opens that, or puts something
//!   else in its place, before it is whole and has its own name.
//! * It goes with what is left in it; what an interruption left of one goes with the next.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::clients::host::root::resolve::{Place, others_write};
use crate::model::PathState;

/// What lies in it: no name that anything else has, should one of root's folders be in its place.
pub(super) const NEW: &str = ".tidegate-new";

/// Such a folder, held open.
pub(super) struct Nest<'a> {
    place: &'a Place<'a>,
    held: OwnedFd,
}

impl<'a> Nest<'a> {
    /// Makes an empty one.
    pub(super) fn beside(place: &'a Place<'a>) -> std::io::Result<Self> {
        sweep(place);
        let name = name(place);
        rustix::fs::mkdirat(&place.folder, name.as_str(), Mode::RWXU)?;
        let held = enter(place, &name).inspect_err(|_| sweep(place))?;
        let nest = Self { place, held };
        // Who may write beside it may have put another in its place.
        let stat = rustix::fs::fstat(&nest.held)?;
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
        let is_closed = is_own && stat.st_mode & 0o777 == 0o700;
        if !is_closed && others_write(&rustix::fs::fstat(&place.folder)?) {
            return Err(Errno::PERM.into());
        }
        Ok(nest)
    }

    /// Gives what was made its name. What somebody made meanwhile where there was nothing stays.
    pub(super) fn land(&self, before: &PathState) -> std::io::Result<()> {
        let Place { folder, name } = self.place;
        // What a link or file gave way to is gone.
        if *before == PathState::Absent {
            match rustix::fs::renameat_with(self, NEW, folder, *name, RenameFlags::NOREPLACE) {
                // Some file systems cannot.
                Err(Errno::INVAL | Errno::NOSYS) => {}
                other => return Ok(other?),
            }
        }
        Ok(rustix::fs::renameat(self, NEW, folder, *name)?)
    }
}

impl AsFd for Nest<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

impl Drop for Nest<'_> {
    fn drop(&mut self) {
        sweep(self.place);
    }
}

/// What a put that did not come to its end left beside a path goes.
pub(super) fn sweep(place: &Place<'_>) {
    let name = name(place);
    if matches!(remove(&place.folder, &name), Err(Errno::NOTEMPTY | Errno::EXIST))
        && let Ok(held) = enter(place, &name)
    {
        let _gone = remove(&held, NEW);
        let _gone = remove(&place.folder, &name);
    }
}

fn remove(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR),
        other => other,
    }
}

/// Holds it, if it is a folder and nothing is mounted there.
fn enter(place: &Place<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(&place.folder, name, flags, Mode::empty(), resolve) {
        // The kernel is older than this call.
        Err(Errno::NOSYS) => rustix::fs::openat(&place.folder, name, flags, Mode::empty()),
        other => other,
    }
}

/// Always the same, so that what a crash leaves is found again.
fn name(place: &Place<'_>) -> String {
    let short: String = place.name.chars().take(40).collect();
    format!(".{short}.tidegate-new")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use crate::clients::host::HostRoot;
    use crate::clients::host::root::nest::{NEW, Nest, sweep};
    use crate::model::HostPath;

    #[test]
    fn it_is_its_makers_alone_and_goes_with_what_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), open).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(1000), Some(1000)).unwrap();
        }
        let host = HostRoot::open(folder.path()).unwrap();
        let path: HostPath = "/a".parse().unwrap();
        let place = host.place(&path).unwrap().unwrap();
        let at = folder.path().join(".a.tidegate-new");
        for is_interrupted in [true, false] {
            let nest = Nest::beside(&place).unwrap();
            assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o7777, 0o700);
            fs::write(at.join(NEW), "canary").unwrap();
            if is_interrupted {
                // As a crash does.
                std::mem::forget(nest);
                sweep(&place);
            } else {
                drop(nest);
            }
            assert!(!at.exists());
        }
    }
}
