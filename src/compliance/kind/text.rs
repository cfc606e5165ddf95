//! A text file that rules edit: as it is seen, and how it is written anew. Pure.

use crate::compliance::change::Change;
use crate::compliance::kind::{FILE_BYTES_MAX, Sight};
use crate::model::{HostPath, PathState, Permissions};

/// What a new file may be read by.
const MODE: u32 = 0o644;

/// A text file, or the place of one.
#[derive(Debug)]
pub(super) struct TextFile<'a> {
    path: &'a HostPath,
    sight: &'a Sight<'a>,
    owned: Permissions,
    /// What it says; nothing where there is none.
    pub(super) text: String,
}

impl<'a> TextFile<'a> {
    /// What is seen at `path`, or why that is no text file.
    pub(super) fn seen(path: &'a HostPath, sight: &'a Sight<'a>) -> Result<Self, String> {
        let (content, owned) = match &sight.state {
            PathState::File { content, owned } => (&content[..], *owned),
            PathState::Absent => {
                let (uid, gid) = sight.creator;
                (&[][..], Permissions { mode: MODE, uid, gid })
            }
            PathState::Unread { .. } => {
                return Err(format!("{path} is larger than {} MiB", FILE_BYTES_MAX >> 20));
            }
            other => return Err(format!("{path} is {}, not a file", other.noun())),
        };
        let text = std::str::from_utf8(content).map_err(|_| format!("{path} is not UTF-8 text"))?;
        Ok(Self { path, sight, owned, text: text.to_owned() })
    }

    /// Whether there is no file yet.
    pub(super) fn is_missing(&self) -> bool {
        self.sight.state == PathState::Absent
    }

    /// The steps that make it say `edited`, or why it is not made.
    pub(super) fn rewritten(&self, edited: String, create: bool) -> Result<Vec<Change>, String> {
        if self.is_missing() && !create {
            return Err("`create = true` makes one".to_owned());
        }
        let after = PathState::File { content: edited.into_bytes().into(), owned: self.owned };
        Ok(self.sight.change(self.path, after))
    }
}
