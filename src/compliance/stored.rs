//! Changes as a record of a fix keeps them, contents by their digests.
//!
//! In: [`Change`]s. Out: what is written, and what of it is shown. Pure.

use serde::{Deserialize, Serialize};

use crate::compliance::change::{Change, HIDDEN};
use crate::model::managed::PRIVATE;
use crate::model::{Digest, HostPath, Move, PathState, Permissions};

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum StoredChange {
    Path {
        path: HostPath,
        before: StoredState,
        after: StoredState,
        #[serde(default)]
        enclosed: bool,
    },
    Kernel {
        key: String,
        before: String,
        after: String,
        #[serde(default)]
        hidden: bool,
    },
    Managed {
        moves: Vec<Move>,
    },
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum StoredState {
    Absent,
    File {
        /// None where it is shown and not everybody may read it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Digest>,
        permissions: Permissions,
    },
    Unread {
        permissions: Permissions,
    },
    Directory {
        permissions: Permissions,
    },
    Symlink {
        to: String,
    },
    Special,
}

impl StoredChange {
    /// Leaves out what not everybody may read, digests of contents among it.
    pub(crate) fn hide(&mut self) {
        match self {
            Self::Path { before, after, enclosed, .. } => {
                if *enclosed || before.is_hidden() || after.is_hidden() {
                    before.hide();
                    after.hide();
                }
            }
            Self::Kernel { before, after, hidden: true, .. } => {
                HIDDEN.clone_into(before);
                HIDDEN.clone_into(after);
            }
            Self::Kernel { .. } => {}
            Self::Managed { moves } => {
                let sides = moves.iter_mut().flat_map(|one| [&mut one.before, &mut one.after]);
                for side in sides.flatten() {
                    for name in PRIVATE {
                        if let Some(value) = side.get_mut(name) {
                            HIDDEN.clone_into(value);
                        }
                    }
                }
            }
        }
    }
}

impl StoredState {
    fn is_hidden(&self) -> bool {
        matches!(self, Self::File { permissions, .. } | Self::Unread { permissions } if permissions.is_hidden())
    }

    fn hide(&mut self) {
        if let Self::File { content, .. } = self {
            *content = None;
        }
    }
}

/// As a record keeps it.
pub(crate) fn store_change(change: &Change) -> StoredChange {
    match change {
        Change::Path { path, before, after, enclosed } => {
            let (before, after) = (store(before), store(after));
            StoredChange::Path { path: path.clone(), before, after, enclosed: *enclosed }
        }
        Change::Kernel { key, before, after, hidden } => StoredChange::Kernel {
            key: key.clone(),
            before: before.clone(),
            after: after.clone(),
            hidden: *hidden,
        },
        Change::Managed(moves) => StoredChange::Managed { moves: moves.clone() },
    }
}

fn store(state: &PathState) -> StoredState {
    match state {
        PathState::Absent => StoredState::Absent,
        PathState::Special => StoredState::Special,
        PathState::Symlink { to } => StoredState::Symlink { to: to.clone() },
        PathState::Unread { owned } => StoredState::Unread { permissions: *owned },
        PathState::Directory { owned } => StoredState::Directory { permissions: *owned },
        PathState::File { content, owned } => {
            StoredState::File { content: Some(Digest::of(content)), permissions: *owned }
        }
    }
}
