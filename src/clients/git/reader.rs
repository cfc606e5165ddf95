//! Reading objects exactly as stored: no replace refs, no grafts, no alternates, hashes checked.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Odb, Oid};

use crate::clients::git::repository_folder;
use crate::clients::host::HostError;
use crate::model::{CommitId, ObjectId, Objects, ObjectsError};

/// The largest commit that is read into memory; TRUST refuses those above 256 KiB by name.
const COMMIT_BYTES_MAX: u64 = 1024 * 1024;
/// The largest tree that is read into memory: 100,000 entries with names of a hundred bytes.
const TREE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Objects of one folder, or of a quarantine over the store.
pub struct ObjectReader {
    odb: Odb<'static>,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectReader")
    }
}

impl ObjectReader {
    /// Reads from `folders`, each the `objects` of a repository.
    ///
    /// # Errors
    /// When one is missing, or points to objects elsewhere.
    pub fn open(folders: &[PathBuf]) -> Result<Self, HostError> {
        // Every object is read once; a cache would only hold memory.
        git2::opts::enable_caching(false);
        git2::opts::strict_hash_verification(true);
        let failed = |path: &Path, error: &git2::Error| HostError::unfit(path, error.message());
        let odb = Odb::new().map_err(|error| failed(Path::new("objects"), &error))?;
        for folder in folders {
            for pointer in ["info/alternates", "info/http-alternates"] {
                if folder.join(pointer).symlink_metadata().is_ok() {
                    let reason = format!("`{pointer}` points to objects elsewhere: remove it");
                    return Err(HostError::unfit(folder, reason));
                }
            }
            if !folder.is_dir() {
                return Err(HostError::unfit(folder, "there are no objects"));
            }
            let path = folder.to_str().ok_or_else(|| HostError::unfit(folder, "not UTF-8"))?;
            odb.add_disk_alternate(path).map_err(|error| failed(folder, &error))?;
        }
        Ok(Self { odb })
    }

    /// Reads from an engineer's or auditor's own repository in `folder`: bare, a work tree,
    /// or a linked one.
    ///
    /// # Errors
    /// As [`ObjectReader::open`].
    pub fn open_repository(folder: &Path) -> Result<Self, HostError> {
        Self::open(&[repository_folder(folder).join("objects")])
    }

    /// Whether a commit is there.
    pub fn has(&self, id: CommitId) -> bool {
        Oid::from_bytes(id.as_bytes()).is_ok_and(|id| self.odb.exists(id))
    }

    fn size(&self, id: Oid, wanted: ObjectType) -> Result<u64, ObjectsError> {
        let (bytes, kind) = self.odb.read_header(id).map_err(|error| told(id, &error))?;
        if kind == wanted {
            Ok(bytes as u64)
        } else {
            Err(unreadable(id, format!("it is a {kind}, not a {wanted}")))
        }
    }

    /// The size is looked at first, so that nothing large is ever taken into memory.
    fn read(&self, id: [u8; 20], wanted: ObjectType, most: u64) -> Result<Vec<u8>, ObjectsError> {
        let id = oid(id)?;
        let bytes = self.size(id, wanted)?;
        if bytes > most {
            return Err(unreadable(id, format!("it has {bytes} bytes; the limit is {most}")));
        }
        let object = self.odb.read(id).map_err(|error| told(id, &error))?;
        Ok(object.data().to_vec())
    }
}

impl Objects for ObjectReader {
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
        self.size(oid(*id.as_bytes())?, ObjectType::Blob)
    }
}

fn oid(id: [u8; 20]) -> Result<Oid, ObjectsError> {
    Oid::from_bytes(&id).map_err(|_| ObjectsError::Missing { id: hex::encode(id) })
}

fn told(id: Oid, error: &git2::Error) -> ObjectsError {
    match error.code() {
        ErrorCode::NotFound => ObjectsError::Missing { id: id.to_string() },
        _ => unreadable(id, error.message().to_owned()),
    }
}

fn unreadable(id: Oid, reason: String) -> ObjectsError {
    ObjectsError::Unreadable { id: id.to_string(), reason }
}
