//! Where status and journal lie: `status.json`, `journal.jsonl`, `journal.1.jsonl` ….
//!
//! In: documents and lines. Out: files. Effect: reads and writes the state directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::clients::host::{HostError, NodeKey, write_file};
use crate::model::{Digest, EnvironmentName, NodeName};
use crate::reconcile::report::journal::{self, Entry, JournalError, Record};
use crate::reconcile::report::status::Status;

/// A file this long is put aside: some 4,000 entries.
const JOURNAL_BYTES_MAX: u64 = 4 << 20;
/// Files put aside; older ones are gone. With the current one at most 20 MiB.
const JOURNAL_FILES_MAX: usize = 4;
/// A longer status file is not ours.
const STATUS_BYTES_MAX: u64 = 16 << 20;

/// A document that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system says no.
    #[error("cannot {action} {path}")]
    File {
        /// `read`, `write`, ….
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written whole.
    #[error("cannot write the status")]
    Host(#[source] HostError),
    /// The file holds something else.
    #[error("{path} is not a document of this version")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The journal's entry cannot be made.
    #[error("cannot write the journal")]
    Journal(#[source] JournalError),
}

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::File { action, path: path.to_owned(), source }
}

/// Reads at most `bytes_max`; a file that is not there is `None`.
fn read_bounded(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes).map_err(file_error("read", path))?;
    Ok(Some(bytes))
}

/// The status file.
#[derive(Debug, Clone)]
pub struct StatusFile(PathBuf);

impl StatusFile {
    /// The one in a state directory.
    pub fn below(state_dir: &Path) -> Self {
        Self(state_dir.join("status.json"))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was last said; none before the first pass.
    ///
    /// # Errors
    /// When it cannot be read or is not a status of this version.
    pub fn read(&self) -> Result<Option<Status>, StoreError> {
        read_bounded(&self.0, STATUS_BYTES_MAX)?
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .map_err(|source| StoreError::Malformed { path: self.0.clone(), source })
    }

    /// Says it, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; what was said before is still there.
    pub fn write(&self, status: &Status) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec_pretty(status)
            .map_err(|source| StoreError::Malformed { path: self.0.clone(), source })?;
        text.push(b'\n');
        write_file(&self.0, &text, 0o600).map_err(StoreError::Host)
    }
}

/// The journal, opened for adding.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    node: NodeName,
    environment: EnvironmentName,
    last: Option<(u64, Digest)>,
    /// Whether something was written that a power loss may still take.
    is_unsynced: bool,
}

impl Journal {
    /// Opens the one in a state directory and finds its end. A line that a crash left unfinished is
    /// ended, and stays as an unreadable one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(
        state_dir: &Path,
        node: NodeName,
        environment: EnvironmentName,
    ) -> Result<Self, StoreError> {
        let lines = read_journal(state_dir)?;
        let last = lines.iter().rev().find_map(|line| {
            journal::parse(line).map(|(entry, ..)| (entry.number, Digest::of(line.as_bytes())))
        });
        Ok(Self { dir: state_dir.to_owned(), node, environment, last, is_unsynced: false })
    }

    /// Adds an entry. It outlives this process at once, and a power loss after [`Journal::sync`].
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn add(&mut self, record: Record, key: &NodeKey, now: Timestamp) -> Result<(), StoreError> {
        let entry = Entry {
            schema: journal::SCHEMA.to_owned(),
            number: self.last.map_or(1, |(number, _)| number + 1),
            at: now,
            node: self.node.clone(),
            environment: self.environment.clone(),
            previous: self.last.map(|(_, digest)| digest),
            record,
        };
        let line = journal::line(&entry, key).map_err(StoreError::Journal)?;
        self.append(&line)?;
        self.last = Some((entry.number, Digest::of(line.as_bytes())));
        self.is_unsynced = true;
        Ok(())
    }

    /// Makes all entries durable, together: fifty services that end in one pass cost one sync.
    ///
    /// # Errors
    /// When they cannot be made durable.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if self.is_unsynced {
            let path = file_name(&self.dir, 0);
            let synced = File::open(&path).and_then(|file| file.sync_data());
            synced.map_err(file_error("write", &path))?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    fn append(&mut self, line: &str) -> Result<(), StoreError> {
        let path = file_name(&self.dir, 0);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(file_error("open", &path))?;
        let length = file.metadata().map_err(file_error("read", &path))?.len();
        if length > JOURNAL_BYTES_MAX {
            self.sync()?;
            self.rotate()?;
            return self.append(line);
        }
        let torn =
            length > 0 && !ends_with_newline(&file, length).map_err(file_error("read", &path))?;
        let text = format!("{}{line}\n", if torn { "\n" } else { "" });
        file.write_all(text.as_bytes()).map_err(file_error("write", &path))
    }

    fn rotate(&self) -> Result<(), StoreError> {
        for at in (0..JOURNAL_FILES_MAX).rev() {
            let (from, to) = (file_name(&self.dir, at), file_name(&self.dir, at + 1));
            if from.exists() {
                fs::rename(&from, &to).map_err(file_error("rename", &from))?;
            }
        }
        Ok(())
    }
}

fn ends_with_newline(file: &File, length: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}

fn file_name(dir: &Path, at: usize) -> PathBuf {
    match at {
        0 => dir.join("journal.jsonl"),
        _ => dir.join(format!("journal.{at}.jsonl")),
    }
}

/// Every line of a state directory's journal, oldest first. One that a power loss or a bad disk has
/// torn is shown as far as it is text; the others are as they were.
///
/// # Errors
/// When a file of it cannot be read.
pub fn read_journal(state_dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    for at in (0..=JOURNAL_FILES_MAX).rev() {
        // One entry may cross the limit before the file is put aside.
        let bytes = read_bounded(&file_name(state_dir, at), 2 * JOURNAL_BYTES_MAX)?;
        let bytes = bytes.unwrap_or_default();
        let written = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.extend(written.map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    Ok(lines)
}
