//! Extended attributes of files and folders: access control lists, security labels, what programs noted.
//!
//! In: an open file. Out: [`Extended`]. Effect: reads and sets them.
//!
//! # Guarantees
//! * What vouches for a content, or gives a program powers, never passes to another content, nor whom
//!   a user's list names to a file that is another's.
//! * Bounded. Where the file system has none, nothing happens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::clients::host::root::list::{nameless, names_somebody};
use crate::clients::host::root::resolve::Place;
use crate::clients::host::{HostError, HostRoot};
use crate::model::{HostPath, PathState, Permissions};

/// The kernel's own limit of one value, and of the list of names.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// All of one file: more than any label or list needs.
const BYTES_MAX: usize = 256 * 1024;
/// Who else may do what: the mode of such a file holds the most that they may.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// What is made in a folder has this list.
pub(super) const DEFAULT: &str = "system.posix_acl_default";
/// Powers of a program, and what the kernel signed of a content; writing takes the former away.
const OF_CONTENT: [&str; 2] = ["security.capability", "security.ima"];
/// What the kernel signed of a file, its number included.
const OF_FILE: &str = "security.evm";

/// Whose a link is, if not whoever would make it: in none of the kernel's names.
const OWNER: &str = "owner";

/// The extended attributes of a file, by name; values in hexadecimal digits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Extended(BTreeMap<String, String>);

impl Extended {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What there is of a link: whose it is.
    fn of_link(link: &Stat) -> Self {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let owner = (link.st_uid, link.st_gid);
        let said = (owner != own).then(|| hex::encode(format!("{}:{}", owner.0, owner.1)));
        Self(said.map(|said| (OWNER.to_owned(), said)).into_iter().collect())
    }

    /// Whose a link was.
    pub(super) fn link_owner(&self) -> Option<(u32, u32)> {
        let said = String::from_utf8(self.value(OWNER)?).ok()?;
        let (uid, gid) = said.split_once(':')?;
        Some((uid.parse().ok()?, gid.parse().ok()?))
    }

    /// The value of this name, if it has one that can be read.
    pub(super) fn value(&self, name: &str) -> Option<Vec<u8>> {
        hex::decode(self.0.get(name)?).ok()
    }

    pub(super) fn of(file: &impl AsFd) -> Result<Self> {
        let mut names = Vec::with_capacity(VALUE_BYTES_MAX);
        match rustix::fs::flistxattr(file, spare_capacity(&mut names)) {
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Self::default()),
            other => other?,
        };
        let (mut found, mut n_bytes) = (BTreeMap::new(), 0);
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let Ok(name) = str::from_utf8(name) else {
                return Err(Error::other("the name of an extended attribute is not UTF-8"));
            };
            let mut value = Vec::with_capacity(VALUE_BYTES_MAX);
            match rustix::fs::fgetxattr(file, name, spare_capacity(&mut value)) {
                // It went meanwhile.
                Err(Errno::NODATA) => continue,
                other => other.map_err(|error| about(name, error))?,
            };
            n_bytes += name.len() + value.len();
            if n_bytes > BYTES_MAX {
                let reason = format!("its extended attributes are more than {BYTES_MAX} bytes");
                return Err(Error::other(reason));
            }
            found.insert(name.to_owned(), hex::encode(value));
        }
        found.remove(OF_FILE);
        Ok(Self(found))
    }

    /// What of a file passes to the one that takes its place.
    fn left(mut self, before: &PathState, after: &PathState) -> Option<Self> {
        let (
            PathState::File { content: old, owned: from },
            PathState::File { content: new, owned: to },
        ) = (before, after)
        else {
            return None;
        };
        let is_same = old == new && (from.uid, from.gid) == (to.uid, to.gid);
        self.0.retain(|name, _| is_same || !OF_CONTENT.contains(&name.as_str()));
        if changes_hands(*from, *to)
            && let Some(list) = self.value(ACCESS).filter(|list| names_somebody(list))
        {
            match nameless(&list) {
                Some(left) => self.0.insert(ACCESS.to_owned(), hex::encode(left)),
                None => self.0.remove(ACCESS),
            };
        }
        Some(self)
    }

    /// These, and of the others those that these do not name.
    fn over(&self, others: Option<Self>) -> Self {
        let mut all = others.unwrap_or_default();
        all.0.extend(self.0.clone());
        all
    }

    /// Gives them to a new file before it has a content, or to a new folder, that nobody finds yet: its
    /// mode has to be set afterwards.
    pub(super) fn give(&self, file: &File) -> Result<()> {
        let has = Self::of(file)?;
        // Made by the folder's own list, which the file that was there did not go by.
        for list in [ACCESS, DEFAULT] {
            if has.0.contains_key(list) && !self.0.contains_key(list) {
                rustix::fs::fremovexattr(file, list).map_err(|error| about(list, error))?;
            }
        }
        self.set(file, &has, |name| !OF_CONTENT.contains(&name))
    }

    /// Gives those that go with its content, once it has that and its owner.
    pub(super) fn give_of_content(&self, file: &File) -> Result<()> {
        self.set(file, &Self::default(), |name| OF_CONTENT.contains(&name))
    }

    /// Gives a file back what goes with its content, which is the same, and what another owner took.
    pub(super) fn give_powers_back(&self, file: &File) -> Result<()> {
        let has = Self::of(file)?;
        self.set(file, &has, |name| OF_CONTENT.contains(&name) && !has.0.contains_key(name))
    }

    fn set(&self, file: &File, has: &Self, is_due: impl Fn(&str) -> bool) -> Result<()> {
        for (name, value) in self.0.iter().filter(|(name, _)| is_due(name)) {
            // A label that the folder gives is not to be asked for.
            if has.0.get(name) == Some(value) {
                continue;
            }
            let value = hex::decode(value).map_err(Error::other)?;
            rustix::fs::fsetxattr(file, name.as_str(), &value, XattrFlags::empty())
                .map_err(|error| about(name, error))?;
        }
        Ok(())
    }
}

/// Whether a list that its owner made would be in force for a file of somebody else.
pub(super) fn changes_hands(from: Permissions, to: Permissions) -> bool {
    from.uid != to.uid && from.uid != 0
}

pub(super) fn about(name: &str, error: Errno) -> Error {
    Error::other(format!("extended attribute {name}: {}", Error::from(error)))
}

impl HostRoot {
    /// The extended attributes of a file or folder, and whose a link is; nothing of anything else.
    ///
    /// # Errors
    /// When they cannot be read, or are too many.
    pub fn extended(&self, path: &HostPath) -> std::result::Result<Extended, HostError> {
        let Some(place) = self.place(path)? else { return Ok(Extended::default()) };
        self.extended_at(path, &place)
    }

    fn extended_at(
        &self,
        path: &HostPath,
        place: &Place<'_>,
    ) -> std::result::Result<Extended, HostError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&place.folder, place.name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NXIO) => return Ok(Extended::default()),
            Err(Errno::LOOP) => {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let link = rustix::fs::statat(&place.folder, place.name, flags);
                return link
                    .map(|link| Extended::of_link(&link))
                    .map_err(|error| self.failed("read", path, error));
            }
            other => other.map_err(|error| self.failed("read", path, error))?,
        };
        Extended::of(&file).map_err(|error| HostError::io("read", &self.shown(path), error))
    }

    /// What the file that replaces another is to have: what passes on, and what is `kept` of it.
    /// None if there was no file, and nothing is kept: the folder says what it has.
    pub(super) fn extended_after(
        &self,
        path: &HostPath,
        place: &Place<'_>,
        [before, after]: [&PathState; 2],
        kept: Option<&Extended>,
    ) -> std::result::Result<Option<Extended>, HostError> {
        let left = match before {
            PathState::File { .. } => self.extended_at(path, place)?.left(before, after),
            _ => None,
        };
        Ok(match kept {
            Some(kept) => Some(kept.over(left)),
            None => left,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::clients::host::root::extended::Extended;
    use crate::model::{PathState, Permissions};

    fn file(content: &str, uid: u32) -> PathState {
        let owned = Permissions { mode: 0o755, uid, gid: 0 };
        PathState::File { content: content.as_bytes().into(), owned }
    }

    #[test]
    fn powers_pass_to_no_other_content_and_a_users_list_to_no_other_owner() {
        let names = [
            "security.capability",
            "security.ima",
            "security.selinux",
            "system.posix_acl_access",
            "user.note",
        ];
        for (before, after, passing) in [
            (file("a", 0), file("a", 0), &names[..]),
            (file("a", 0), file("b", 0), &names[2..]),
            (file("a", 0), file("a", 7), &names[2..]),
            (file("a", 7), file("b", 7), &names[2..]),
            (file("a", 7), file("a", 0), &[names[2], names[4]]),
        ] {
            let list = "02000000010006000000000002000600e903000004000600000000001000060000000000";
            let all = Extended(names.iter().map(|n| ((*n).to_owned(), list.to_owned())).collect());
            let left = all.left(&before, &after).unwrap();
            assert_eq!(left.0.keys().collect::<Vec<_>>(), passing, "{before:?} {after:?}");
        }
    }
}
