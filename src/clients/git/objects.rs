//! A repository's objects exactly as stored.
//!
//! In: a repository on disk. Out: [`ObjectStore`]. Effect: reads the repository.
//!
//! # Guarantees
//! * Raw reads from the object database: replace refs, grafts and `shallow` have no say.
//! * libgit2 hashes what it reads (SHA-1 with collision detection) and refuses what does not fit.
//! * Nothing is read before its size is known to be within its limit.

use std::path::Path;

use git2::{ErrorCode, ObjectType, Odb, Oid, Repository};

use crate::model::{CommitId, ObjectId, Objects, ObjectsError};

/// The largest commit object that is read at all; trust has a smaller limit with a reason.
const COMMIT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The largest tree object: 100,000 entries with long names fit.
const TREE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The object database of one repository.
pub struct ObjectStore {
    repository: Repository,
}

impl ObjectStore {
    /// Opens the repository at `path`, bare or not; nothing above `path` is searched.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path) -> Result<Self, git2::Error> {
        let flags = git2::RepositoryOpenFlags::NO_SEARCH;
        let none: [&Path; 0] = [];
        Repository::open_ext(path, flags, none).map(|repository| Self { repository })
    }

    fn odb(&self, id: Oid) -> Result<Odb<'_>, ObjectsError> {
        self.repository.odb().map_err(|error| unreadable(id, &error))
    }

    fn read(&self, id: [u8; 20], kind: ObjectType, max: u64) -> Result<Vec<u8>, ObjectsError> {
        let (id, odb) = self.object(id)?;
        let (bytes, found) = odb.read_header(id).map_err(|error| unreadable(id, &error))?;
        if found != kind {
            let reason = format!("it is a {found}, not a {kind}");
            return Err(ObjectsError::Unreadable { id: id.to_string(), reason });
        }
        if bytes as u64 > max {
            let reason = format!("it has {bytes} bytes; the limit is {max}");
            return Err(ObjectsError::Unreadable { id: id.to_string(), reason });
        }
        let object = odb.read(id).map_err(|error| unreadable(id, &error))?;
        Ok(object.data().to_vec())
    }

    fn object(&self, id: [u8; 20]) -> Result<(Oid, Odb<'_>), ObjectsError> {
        let missing = || ObjectsError::Missing { id: hex::encode(id) };
        let id = Oid::from_bytes(&id).map_err(|_| missing())?;
        Ok((id, self.odb(id)?))
    }
}

impl std::fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStore").field("path", &self.repository.path()).finish()
    }
}

fn unreadable(id: Oid, error: &git2::Error) -> ObjectsError {
    match error.code() {
        ErrorCode::NotFound => ObjectsError::Missing { id: id.to_string() },
        _ => ObjectsError::Unreadable { id: id.to_string(), reason: error.message().to_owned() },
    }
}

impl Objects for ObjectStore {
    fn commit(&self, id: CommitId) -> Result<Vec<u8>, ObjectsError> {
        self.read(*id.as_bytes(), ObjectType::Commit, COMMIT_BYTES_MAX)
    }

    fn tree(&self, id: ObjectId) -> Result<Vec<u8>, ObjectsError> {
        self.read(*id.as_bytes(), ObjectType::Tree, TREE_BYTES_MAX)
    }

    fn blob(&self, id: ObjectId, bytes_max: u64) -> Result<Vec<u8>, ObjectsError> {
        self.read(*id.as_bytes(), ObjectType::Blob, bytes_max)
    }

    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectsError> {
        let (id, odb) = self.object(*id.as_bytes())?;
        match odb.read_header(id).map_err(|error| unreadable(id, &error))? {
            (bytes, ObjectType::Blob) => Ok(bytes as u64),
            (_, found) => {
                let reason = format!("it is a {found}, not a blob");
                Err(ObjectsError::Unreadable { id: id.to_string(), reason })
            }
        }
    }
}
