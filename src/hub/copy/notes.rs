//! Notes of unfinished uploads, so that a killed copy goes on where it was.
//!
//! In: a folder. Out: [`Note`]s. Effect: one small file for each large blob under way. A lost one
//! costs the bytes again, no more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clients::host::{read_bounded, write_file};
use crate::hub::copy::hash::Hasher;
use crate::model::{Digest, RepositoryPath};

/// A session's address is long in some registries.
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// Registries purge uploads that nobody goes on with; distribution after a week.
const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is needed to go on with an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    repository: RepositoryPath,
    digest: Digest,
    /// The session's address.
    pub(crate) session: String,
    n_bytes: u64,
    /// The hash of these bytes, put aside.
    state: String,
}

impl Note {
    pub(crate) fn hasher(&self) -> Option<Hasher> {
        Hasher::take_up(&self.state, self.n_bytes)
    }
}

/// The folder of a hub's notes.
#[derive(Debug)]
pub(crate) struct Notes(Option<PathBuf>);

impl Notes {
    /// The notes in `folder`; without one, none are kept. Those that are too old are removed.
    pub(crate) fn open(folder: Option<&Path>) -> Self {
        let entries =
            folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten();
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|meta| meta.modified());
            let age = modified.ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > AGE_MAX) {
                let _stays = std::fs::remove_file(entry.path());
            }
        }
        Self(folder.map(Path::to_owned))
    }

    fn path(&self, repository: &RepositoryPath, digest: &Digest) -> Option<PathBuf> {
        let name = Digest::of(format!("{repository}@{digest}").as_bytes());
        Some(self.0.as_ref()?.join(format!("{}.json", name.hex())))
    }

    pub(crate) fn find(&self, repository: &RepositoryPath, digest: &Digest) -> Option<Note> {
        let path = self.path(repository, digest)?;
        let bytes = read_bounded(&path, NOTE_BYTES_MAX).ok()??;
        let note: Note = serde_json::from_slice(&bytes).ok()?;
        (note.repository == *repository && note.digest == *digest).then_some(note)
    }

    /// Notes how far an upload is. Where it cannot be written, the copy goes on all the same.
    pub(crate) fn keep(
        &self,
        repository: &RepositoryPath,
        digest: &Digest,
        session: &str,
        hasher: &Hasher,
    ) {
        let Some(path) = self.path(repository, digest) else { return };
        let Some(state) = hasher.put_aside() else { return };
        let (repository, session) = (repository.clone(), session.to_owned());
        let note = Note { repository, digest: *digest, session, n_bytes: hasher.n_bytes(), state };
        if let Ok(bytes) = serde_json::to_vec(&note) {
            let _lost = write_file(&path, &bytes, 0o600);
        }
    }

    pub(crate) fn forget(&self, repository: &RepositoryPath, digest: &Digest) {
        if let Some(path) = self.path(repository, digest) {
            let _absent = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::hub::copy::hash::Hasher;
    use crate::hub::copy::notes::Notes;
    use crate::model::Digest;

    #[test]
    fn an_upload_is_found_again_by_its_blob_alone() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::open(Some(dir.path()));
        let (web, blob) = ("app1/web".parse().unwrap(), Digest::of(b"blob"));
        let mut hasher = Hasher::new();
        hasher.update(&[7; 128]);
        notes.keep(&web, &blob, "http://hub/session", &hasher);
        let note = Notes::open(Some(dir.path())).find(&web, &blob).unwrap();
        assert_eq!(note.session, "http://hub/session");
        assert_eq!(note.hasher().unwrap().digest(), hasher.digest());
        assert!(notes.find(&"app1/db".parse().unwrap(), &blob).is_none());
        notes.forget(&web, &blob);
        assert!(notes.find(&web, &blob).is_none());
        assert!(Notes::open(None).find(&web, &blob).is_none());
    }
}
