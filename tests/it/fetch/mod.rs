//! Fetching from real servers, and from hostile ones.

mod between;
mod deadlines;
mod hostile;
mod secrets;
mod state;
mod store;
mod transports;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tidegate::clients::git::{FetchLimits, FetchProgram, GitError};
use tidegate::config::Remote;
use tidegate::model::CommitId;
use tidegate::reconcile::source::{Fetch, Fetched, Source, SourceError};

use crate::support::git::Origin;

/// A node's source and a repository to fetch from, in one temporary folder.
struct Bench {
    dir: TempDir,
    source: Source,
    origin: Origin,
}

impl Bench {
    fn new() -> Self {
        Self::with(FetchLimits { total: Duration::from_secs(60), ..FetchLimits::default() })
    }

    fn with(limits: FetchLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let origin = Origin::new(dir.path());
        let source = open(&dir.path().join("state"), limits);
        Self { dir, source, origin }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn quarantines(&self) -> usize {
        std::fs::read_dir(self.path().join("state/incoming")).unwrap().count()
    }

    fn local(&self) -> Remote {
        remote(self.origin.path.to_str().unwrap())
    }

    async fn fetch(&self, remote: &Remote) -> Result<Fetched, SourceError> {
        match self.source.fetch(remote, None, &[]).await? {
            Fetch::New(fetched) => Ok(fetched),
            Fetch::Unchanged { tip } => unreachable!("{tip} is not known"),
        }
    }

    async fn fetch_error(&self, remote: &Remote) -> GitError {
        let error = self.fetch(remote).await.unwrap_err();
        assert_eq!(self.quarantines(), 0, "nothing is left behind");
        match error {
            SourceError::Fetch { source, .. } => source,
            store @ (SourceError::Store(_) | SourceError::Consolidate { .. }) => {
                unreachable!("{store:?}")
            }
        }
    }
}

fn open(state_dir: &Path, limits: FetchLimits) -> Source {
    let executable = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
    Source::open(state_dir, FetchProgram { executable, limits }).unwrap()
}

fn remote(url: &str) -> Remote {
    Remote::plain(url.parse().unwrap(), &"prd".parse().unwrap())
}

/// A file with a secret, for its owner alone.
fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The tip is readable from the quarantine, then adopted and readable from the store.
fn check_adoption(bench: &Bench, fetched: Fetched, tip: CommitId) {
    assert_eq!(fetched.tip(), tip);
    assert!(fetched.objects().unwrap().has(tip));
    assert!(!bench.source.has(tip).unwrap(), "not before it is adopted");
    fetched.adopt().unwrap();
    assert!(bench.source.has(tip).unwrap());
    assert_eq!(bench.quarantines(), 0);
}
