//! One agent per engine and scope.
//!
//! In: the engine's id and a scope. Out: [`EngineLock`], held until it is dropped. Effect: locks
//! files, which the kernel frees when the process ends in whatever way.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::clients::host::{HostError, create_private_dir};
use crate::model::{Digest, EnvironmentName};

/// An engine that is ours alone, or a scope of it.
#[derive(Debug)]
pub struct EngineLock {
    _held: Vec<File>,
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
        create_private_dir(folder)?;
        let engine = Digest::of(engine_id.as_bytes()).short();
        let whole = folder.join(format!("{engine}.lock"));
        let Some(scope) = scope else {
            let file = lock(&whole, FlockOperation::NonBlockingLockExclusive)?;
            return Ok(Self { _held: vec![signed(file, &whole)?] });
        };
        let own = folder.join(format!("{engine}.{scope}.lock"));
        let shared = lock(&whole, FlockOperation::NonBlockingLockShared)?;
        let file = lock(&own, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { _held: vec![shared, signed(file, &own)?] })
    }
}

fn lock(path: &PathBuf, operation: FlockOperation) -> Result<File, HostError> {
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
            Err(HostError::Locked { path: path.clone(), holder })
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
