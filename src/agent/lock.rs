//! One writer per state directory, and where the engine's lock lies.
//!
//! In: a state directory. Out: a lock that lasts as long as the process. Effect: lock files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::model::EnvironmentName;

/// Where the locks of the engine at `socket` lie.
///
/// They can only exclude those who look at the same place, so an engine has one agent only if that
/// agent is of the engine's own user (root, but for a rootless engine). Others, of the `docker` group
/// for instance, keep to a scope.
///
/// # Errors
/// When the engine is another user's and `scope` is none.
pub fn engine_locks(socket: &Path, scope: Option<&EnvironmentName>) -> Result<PathBuf, LockError> {
    let user = rustix::process::geteuid().as_raw();
    // A socket that cannot be looked at is nobody's engine; calling it fails for its own reason.
    let owner = fs::metadata(socket).map_or(user, |meta| meta.uid());
    if !may_have(user, owner, scope) {
        return Err(LockError::NotOwner { socket: socket.to_owned() });
    }
    if user == ROOT {
        return Ok(PathBuf::from("/run/tidegate"));
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    Ok(runtime.filter(|dir| dir.is_dir()).unwrap_or_else(|| own_folder(user)))
}

/// Where the locks of a user lie who has no runtime directory.
fn own_folder(user: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/tidegate-{user}"))
}

/// Removes the folder that this user's locks were in, if none is left there.
pub fn tidy_locks() {
    let _ = fs::remove_dir(own_folder(rustix::process::geteuid().as_raw()));
}

const ROOT: u32 = 0;

fn may_have(user: u32, owner: u32, scope: Option<&EnvironmentName>) -> bool {
    user == ROOT || user == owner || scope.is_some()
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
    /// The engine belongs to somebody else.
    #[error("{socket} is another user's engine: only that user's agent can have it alone")]
    NotOwner {
        /// Which.
        socket: PathBuf,
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

/// Its lock file.
const LOCK: &str = "lock";

/// The right to write a state directory, held until dropped.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes a state directory.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be used.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        Self::take_file(state_dir, LOCK)
    }

    /// Whether it is this state directory that is held, whatever it is called.
    pub fn is_of(&self, state_dir: &Path) -> bool {
        let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let (held, there) = (self.file.metadata(), fs::metadata(state_dir.join(LOCK)));
        matches!((held.map(id), there.map(id)), (Ok(held), Ok(there)) if held == there)
    }

    fn take_file(state_dir: &Path, name: &str) -> Result<Self, LockError> {
        let path = state_dir.join(name);
        let failed = |source| LockError::File { path: path.clone(), source };
        let file = open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Taken { state_dir: state_dir.to_owned() }),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// What an agent holds from the end of its first pass on: until then, the status file is what
/// another process said, or this one by another configuration.
#[derive(Debug, Default)]
pub struct Presence {
    held: Option<StateLock>,
}

/// Its lock file.
const PRESENCE: &str = "said.lock";
/// How often an agent tries while somebody looks whether it is there, which takes no time.
const PRESENCE_TRIES_MAX: u32 = 20;
/// Time between two tries.
const PRESENCE_LOOK: Duration = Duration::from_millis(50);

impl Presence {
    /// Tells those who wait that the status is this agent's own; not being told, they go on waiting.
    pub async fn announce(&mut self, state_dir: &Path) {
        for _ in 0..PRESENCE_TRIES_MAX {
            if self.held.is_some() {
                return;
            }
            match StateLock::take_file(state_dir, PRESENCE) {
                Err(LockError::Taken { .. }) => tokio::time::sleep(PRESENCE_LOOK).await,
                taken => self.held = taken.ok(),
            }
        }
    }

    /// Whether an agent is there that has said how the node is.
    pub fn is_seen(state_dir: &Path) -> bool {
        matches!(StateLock::take_file(state_dir, PRESENCE), Err(LockError::Taken { .. }))
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
    use crate::agent::lock::{LockError, Presence, StateLock, may_have};

    #[tokio::test]
    async fn an_agent_is_seen_from_its_first_word_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let _state = StateLock::take(dir.path()).unwrap();
        assert!(!Presence::is_seen(dir.path()), "it has said nothing yet");
        let mut agent = Presence::default();
        agent.announce(dir.path()).await;
        assert!(Presence::is_seen(dir.path()));
        drop(agent);
        assert!(!Presence::is_seen(dir.path()), "what it said is what a dead one said");
    }

    #[test]
    fn a_whole_engine_is_for_its_own_user_and_root() {
        let scope = "dev".parse().unwrap();
        for (user, owner, scope, may) in [
            (0, 0, None, true),
            (0, 1000, None, true),
            (1000, 1000, None, true),
            (1000, 0, None, false),
            (1000, 0, Some(&scope), true),
        ] {
            assert_eq!(may_have(user, owner, scope), may, "{user} {owner} {scope:?}");
        }
    }

    #[test]
    fn a_state_directory_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        assert!(matches!(StateLock::take(dir.path()), Err(LockError::Taken { .. })));
        let (other, link) = (tempfile::tempdir().unwrap(), dir.path().join("link"));
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let second = StateLock::take(other.path()).unwrap();
        assert!(first.is_of(dir.path()) && first.is_of(&link) && !first.is_of(other.path()));
        assert!(second.is_of(other.path()) && !second.is_of(dir.path()));
        drop(first);
        assert!(StateLock::take(dir.path()).is_ok());
    }
}
