//! Decides which commits count: bytes → [`Verified`], or why not (TRUST.md).
//!
//! In: commits and trees as bytes through [`Objects`], an anchor, revoked keys. Out: [`Verdict`].
//! Pure: the verdict is a function of the anchor, the commit and its history, and the revoked keys.
//!
//! # Guarantees
//! * Only this module builds a [`Verified`]; nothing unverified is ever parsed further on.
//! * Clocks only hold; they never make a commit valid or invalid.

use crate::model::{CommitId, ObjectId};

/// A value from a commit that was judged good.
#[derive(Debug, Clone)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Wraps what nobody signed: for `lint` and `render`, which read their author's own tree, and
    /// for `apply --worktree`, which says UNVERIFIED everywhere. The tidy test allows nobody else.
    pub fn unverified_own_work_tree(value: T) -> Self {
        Self(value)
    }
}

/// A repository's objects, exactly as stored: no replace refs, no grafts.
pub trait Objects {
    /// The bytes of a commit object (without the `commit <n>\0` header).
    fn commit(&self, id: CommitId) -> Result<Vec<u8>, ObjectsError>;
    /// The bytes of a tree object.
    fn tree(&self, id: ObjectId) -> Result<Vec<u8>, ObjectsError>;
    /// The bytes of a blob, if it is at most `bytes_max` long.
    fn blob(&self, id: ObjectId, bytes_max: u64) -> Result<Vec<u8>, ObjectsError>;
    /// The size of a blob, without reading it.
    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectsError>;
}

/// An object that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsError {
    /// It is not there (a shallow or damaged history).
    #[error("object {id} is not in the repository")]
    Missing {
        /// Its id.
        id: String,
    },
    /// It is there, but not what it should be.
    #[error("object {id} is unreadable: {reason}")]
    Unreadable {
        /// Its id.
        id: String,
        /// What is wrong.
        reason: String,
    },
}
