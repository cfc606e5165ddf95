//! The node's object store, the quarantines beside it, and adoption.
//!
//! In: a folder. Out: quarantines to fetch into; their packs, adopted. Effect: writes below it.
//!
//! ```text
//! <state_dir>/repository.git/     a bare repository: objects of verified commits
//! <state_dir>/incoming/<nonce>/   a quarantine: repository.git/, home/, lock
//! ```
//!
//! # Guarantees
//! * The store belongs to this user alone; else nothing is read from it.
//! * An adopted pack is synced before its index shows it, so a power loss leaves no half of it.
//! * A quarantine that nobody holds any more is removed at the next start.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::clients::git::ObjectReader;
use crate::clients::host::{HostError, create_private_dir};

/// The node's object store.
#[derive(Debug, Clone)]
pub struct NodeStore {
    folder: PathBuf,
}

impl NodeStore {
    /// The store in `state_dir`; made if it is missing, and abandoned quarantines are removed.
    ///
    /// # Errors
    /// When it cannot be made, or others may write to it.
    pub fn open(state_dir: &Path) -> Result<Self, HostError> {
        let store = Self { folder: state_dir.to_owned() };
        for part in ["objects/pack", "objects/info", "refs/heads"] {
            create_private_dir(&store.repository().join(part))?;
        }
        // Enough for git to look into it by hand.
        let head = store.repository().join("HEAD");
        crate::clients::host::write_file(&head, b"ref: refs/heads/none\n", 0o600)?;
        create_private_dir(&store.incoming())?;
        for path in [store.folder.clone(), store.repository(), store.objects()] {
            check_owner(&path)?;
        }
        store.remove_abandoned()?;
        Ok(store)
    }

    /// Reads what the store in `state_dir` holds, which another process may be using.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn look(state_dir: &Path) -> Result<ObjectReader, HostError> {
        Self { folder: state_dir.to_owned() }.reader()
    }

    /// Its objects.
    pub fn objects(&self) -> PathBuf {
        self.repository().join("objects")
    }

    /// Reads verified objects.
    ///
    /// # Errors
    /// When the store is damaged.
    pub fn reader(&self) -> Result<ObjectReader, HostError> {
        ObjectReader::open(&[self.objects()])
    }

    /// Reads verified objects, and what lies in quarantines.
    ///
    /// # Errors
    /// When one of them is damaged.
    pub fn reader_with<'a>(
        &self,
        quarantines: impl IntoIterator<Item = &'a Quarantine>,
    ) -> Result<ObjectReader, HostError> {
        let mut folders = vec![self.objects()];
        folders.extend(quarantines.into_iter().map(Quarantine::fetched));
        ObjectReader::open(&folders)
    }

    /// The repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    /// Its packs, without their extension.
    pub(crate) fn packs(&self) -> Result<Vec<PathBuf>, HostError> {
        let folder = self.objects().join("pack");
        let list = fs::read_dir(&folder).map_err(|e| HostError::io("read", &folder, e))?;
        let mut packs = Vec::new();
        for entry in list {
            let path = entry.map_err(|source| HostError::io("read", &folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == "pack") {
                packs.push(path.with_extension(""));
            }
        }
        Ok(packs)
    }

    /// Removes packs that another one replaced; that one is kept, should it be among them.
    pub(crate) fn remove_packs(&self, packs: &[PathBuf]) -> Result<(), HostError> {
        let newest = self.packs()?.into_iter().find(|pack| !packs.contains(pack));
        // Without a new one, the only pack was rewritten as it was.
        for pack in packs.iter().filter(|_| newest.is_some()) {
            // The index first: without it, the pack is not seen.
            for extension in ["idx", "pack"] {
                let path = pack.with_extension(extension);
                fs::remove_file(&path).map_err(|e| HostError::io("remove", &path, e))?;
            }
        }
        Ok(())
    }

    fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// A new empty quarantine.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn quarantine(&self) -> Result<Quarantine, HostError> {
        let mut nonce = [0; 8];
        let incoming = self.incoming();
        getrandom::fill(&mut nonce)
            .map_err(|error| HostError::unfit(&incoming, error.to_string()))?;
        let folder = incoming.join(hex::encode(nonce));
        for part in ["", "home", "home/.ssh"] {
            create_private_dir(&folder.join(part))?;
        }
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|source| HostError::io("make", &path, source))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|source| HostError::io("lock", &path, source))?;
        Ok(Quarantine { folder, objects: self.objects(), _lock: lock })
    }

    /// Removes quarantines whose process has ended: the kernel freed their locks.
    fn remove_abandoned(&self) -> Result<(), HostError> {
        let incoming = self.incoming();
        let list = fs::read_dir(&incoming).map_err(|e| HostError::io("read", &incoming, e))?;
        for entry in list {
            let path = entry.map_err(|source| HostError::io("read", &incoming, source))?.path();
            let Ok(lock) = File::open(path.join("lock")) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                fs::remove_dir_all(&path).map_err(|e| HostError::io("remove", &path, e))?;
            }
        }
        Ok(())
    }
}

/// Objects that were fetched and not yet verified. Dropped, they are gone.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    objects: PathBuf,
    _lock: File,
}

impl Quarantine {
    /// Where the child fetches to.
    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    /// The child's home folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Reads what was fetched, over what the store holds.
    ///
    /// # Errors
    /// When either is damaged.
    pub fn reader(&self) -> Result<ObjectReader, HostError> {
        ObjectReader::open(&[self.objects.clone(), self.fetched()])
    }

    /// The objects that were fetched.
    pub(crate) fn fetched(&self) -> PathBuf {
        self.repository().join("objects")
    }

    /// Moves the packs into the store, durably. Call it once something of it is verified: objects are
    /// inert, and named by their content.
    ///
    /// # Errors
    /// When they cannot be moved. The store is as good as before then.
    pub fn adopt(self) -> Result<(), HostError> {
        let from = self.repository().join("objects/pack");
        let to = self.objects.join("pack");
        let mut names = Vec::new();
        let list = fs::read_dir(&from).map_err(|source| HostError::io("read", &from, source))?;
        for entry in list {
            let entry = entry.map_err(|source| HostError::io("read", &from, source))?;
            let path = PathBuf::from(entry.file_name());
            let known = path.extension().and_then(|e| e.to_str());
            if matches!(known, Some("pack" | "idx")) {
                names.push(path);
            }
        }
        // `.pack` before `.idx`: git takes a pack for there when its index is.
        names.sort_by_key(|name| name.extension().is_some_and(|e| e == "idx"));
        for name in &names {
            let path = from.join(name);
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(|source| HostError::io("sync", &path, source))?;
            fs::rename(&path, to.join(name)).map_err(|e| HostError::io("adopt", &path, e))?;
        }
        if !names.is_empty() {
            File::open(&to)
                .and_then(|folder| folder.sync_all())
                .map_err(|source| HostError::io("sync", &to, source))?;
        }
        Ok(())
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        // What stays is removed at the next start.
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

/// Refuses a folder that somebody else could have filled.
fn check_owner(path: &Path) -> Result<(), HostError> {
    let meta = fs::symlink_metadata(path).map_err(|source| HostError::io("read", path, source))?;
    let owner = rustix::process::geteuid().as_raw();
    if !meta.is_dir() || meta.uid() != owner || meta.mode() & 0o022 != 0 {
        let reason = format!("it must be a folder of user {owner} that nobody else may write to");
        return Err(HostError::unfit(path, reason));
    }
    Ok(())
}
