//! What lies at a path of the host, as a value.
//!
//! In and out: values. Pure.
//!
//! # Guarantees
//! * Contents may be secret: no debugging output shows them.

use std::sync::Arc;

/// What lies at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum PathState {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Its bytes.
        content: Arc<[u8]>,
        /// Mode and owner.
        owned: Permissions,
    },
    /// A regular file whose content was not read: it does not matter, or is too large.
    Unread {
        /// Mode and owner.
        owned: Permissions,
    },
    /// A directory.
    Directory {
        /// Mode and owner.
        owned: Permissions,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        to: String,
    },
    /// A device, pipe or socket.
    Special,
}

/// Mode and owner of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Permission bits.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Permissions {
    /// Whether they keep others from reading.
    pub fn is_hidden(self) -> bool {
        self.mode & 0o004 == 0
    }
}

impl PathState {
    /// What a person would call it.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::File { .. } | Self::Unread { .. } => "a file",
            Self::Directory { .. } => "a directory",
            Self::Symlink { .. } => "a symbolic link",
            Self::Special => "a device, pipe or socket",
        }
    }
}

impl PathState {
    /// Mode and owner that a file or directory gets which otherwise stays what it is; none if more
    /// changes.
    pub fn new_access(&self, after: &Self) -> Option<Permissions> {
        match (self, after) {
            (Self::Unread { .. }, Self::Unread { owned })
            | (Self::Directory { .. }, Self::Directory { owned }) => Some(*owned),
            (Self::File { content: old, .. }, Self::File { content, owned }) => {
                (old == content).then_some(*owned)
            }
            _ => None,
        }
    }

    /// What a file says; none where nothing was read of one.
    pub fn content(&self) -> Option<&Arc<[u8]>> {
        match self {
            Self::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Mode and owner, of what has them.
    pub fn owned(&self) -> Option<Permissions> {
        match self {
            Self::File { owned, .. } | Self::Unread { owned } | Self::Directory { owned } => {
                Some(*owned)
            }
            Self::Absent | Self::Symlink { .. } | Self::Special => None,
        }
    }

    /// The mode that it has while it passes from one owner to another: what both let. The kernel takes
    /// set-id bits from a file that changes hands.
    pub fn mode_between(&self, one: Permissions, other: Permissions) -> u32 {
        let bits = if let Self::Directory { .. } = self { 0o7777 } else { 0o1777 };
        one.mode & other.mode & bits
    }

    /// What an interruption leaves of this that was to become `after`, or the other way round; nothing
    /// if more than mode and owner changes, or no owner.
    pub fn halfway(&self, after: &Self) -> Vec<Self> {
        let (Some(from), Some(to)) = (self.owned(), self.new_access(after)) else {
            return Vec::new();
        };
        if (from.uid, from.gid) == (to.uid, to.gid) {
            return Vec::new();
        }
        let mode = self.mode_between(from, to);
        [from, to].map(|owner| self.with(Permissions { mode, ..owner })).into()
    }

    fn with(&self, access: Permissions) -> Self {
        let mut other = self.clone();
        if let Self::File { owned, .. } | Self::Unread { owned } | Self::Directory { owned } =
            &mut other
        {
            *owned = access;
        }
        other
    }
}

impl std::fmt::Debug for PathState {
    /// Contents may be secret: they are never shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { content, owned } => write!(f, "File({} bytes, {owned:?})", content.len()),
            Self::Unread { owned } => write!(f, "Unread({owned:?})"),
            Self::Directory { owned } => write!(f, "Directory({owned:?})"),
            Self::Symlink { to } => write!(f, "Symlink({to})"),
            Self::Absent | Self::Special => f.write_str(self.noun()),
        }
    }
}
