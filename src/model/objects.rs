//! A Git repository's objects, as bytes.
//!
//! In: ids. Out: [`Objects`], which clients implement and pure stages read. Pure.

use crate::model::commit::{CommitId, ObjectId};

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
