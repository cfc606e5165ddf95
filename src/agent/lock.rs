//! One writer per state directory, and where the engine's lock lies.
//!
//! In: a state directory. Out: a lock that lasts as long as the process. Effect: lock files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Where engines' locks lie: one place for a whole machine, since engines are a machine's.
pub fn engine_locks() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run/tidegate");
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = format!("tidegate-{}", rustix::process::geteuid().as_raw());
    runtime.filter(|dir| dir.is_dir()).unwrap_or_else(|| PathBuf::from("/tmp").join(own))
}

/// A lock that is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("another tidegate works on state directory {state_dir}")]
    Taken {
        /// Which.
        state_dir: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The right to write a state directory, held until dropped.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes a state directory.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be used.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let failed = |source| LockError::File { path: path.clone(), source };
        let file = open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Taken { state_dir: state_dir.to_owned() }),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// Opens for reading, which is enough to lock, so that another user's file serves too; in a sticky
/// directory the kernel refuses to "create" a file of somebody else.
fn open(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::File::open(path),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::lock::{LockError, StateLock};

    #[test]
    fn a_state_directory_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        assert!(matches!(StateLock::take(dir.path()), Err(LockError::Taken { .. })));
        drop(first);
        assert!(StateLock::take(dir.path()).is_ok());
    }
}
