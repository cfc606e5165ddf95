//! One agent per engine and scope.
//!
//! In: the engine's id and a scope. Out: [`EngineLock`], held until it is dropped. Effect: locks
//! files, which the kernel frees when the process ends in whatever way; one that ends well removes
//! its files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::clients::host::{HostError, create_private_dir};
use crate::model::{Digest, EnvironmentName};

/// So often a lock's file may be removed by who had it just when it is taken.
const REMOVED_MAX: u32 = 100;

/// An engine that is ours alone, or a scope of it.
#[derive(Debug)]
pub struct EngineLock {
    held: Vec<(File, PathBuf)>,
}

impl EngineLock {
    /// Locks the engine with `engine_id`: without a scope all of it, with one only against agents of
    /// the same scope and unscoped ones. `folder` must be the same for every agent of the machine.
    ///
    /// # Errors
    /// [`HostError::Locked`] when another agent has it.
    pub fn acquire(
        folder: &Path,
        engine_id: &str,
        scope: Option<&EnvironmentName>,
    ) -> Result<Self, HostError> {
        let engine = Digest::of(engine_id.as_bytes()).short();
        let whole = folder.join(format!("{engine}.lock"));
        let Some(scope) = scope else {
            let file = lock(&whole, FlockOperation::NonBlockingLockExclusive)?;
            return Ok(Self { held: vec![(signed(file, &whole)?, whole)] });
        };
        let own = folder.join(format!("{engine}.{scope}.lock"));
        let shared = lock(&whole, FlockOperation::NonBlockingLockShared)?;
        let file = lock(&own, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { held: vec![(shared, whole), (signed(file, &own)?, own)] })
    }
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        for (file, path) in &self.held {
            // Only who has it alone may remove it; a scoped agent leaves that to the last of them.
            if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(file, path) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether `file` is what lies at `path`: who waited for a file may get one that was removed.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let (held, there) = (file.metadata().map(id), fs::symlink_metadata(path).map(id));
    matches!((held, there), (Ok(held), Ok(there)) if held == there)
}

fn lock(path: &Path, operation: FlockOperation) -> Result<File, HostError> {
    for _ in 0..REMOVED_MAX {
        path.parent().map_or(Ok(()), create_private_dir)?;
        match lock_once(path, operation) {
            Ok(file) if is_at(&file, path) => return Ok(file),
            // Its folder went meanwhile.
            Err(HostError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Err(HostError::io("lock", path, io::Error::other("it is removed again and again")))
}

fn lock_once(path: &Path, operation: FlockOperation) -> Result<File, HostError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| HostError::io("open", path, source))?;
    match flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => {
            let holder = fs::read_to_string(path).unwrap_or_default();
            let holder = match holder.trim() {
                "" => "one confined to a scope".to_owned(),
                text => text.chars().take(80).collect(),
            };
            Err(HostError::Locked { path: path.to_owned(), holder })
        }
        Err(error) => Err(HostError::io("lock", path, error)),
    }
}

/// Writes who holds the lock into its file, for whoever is refused.
fn signed(mut file: File, path: &Path) -> Result<File, HostError> {
    file.set_len(0)
        .and_then(|()| writeln!(file, "process {}", std::process::id()))
        .map_err(|source| HostError::io("write", path, source))?;
    Ok(file)
}
