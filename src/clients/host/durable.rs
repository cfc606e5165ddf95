//! A small file that survives power loss, with its previous generation.
//!
//! In: bytes. Out: the bytes last written, or those before them with the reason. Effect: reads and
//! writes `<path>` and `<path>.previous`.
//!
//! # Guarantees
//! * A write is: temporary file beside it, fsync, previous generation linked, rename, fsync folder.
//! * The first line holds version, length and checksum, so nothing torn or foreign is ever taken.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clients::host::files::{Durability, beside, sync_parent, write_beside};
use crate::clients::host::{HostError, create_private_dir, read_bounded};
use crate::model::Digest;

/// The version of the frame around the content.
const FRAME: &str = "tidegate-state/1";
/// State is small; what is larger is not ours.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A small durable file.
#[derive(Debug, Clone)]
pub struct DurableFile {
    path: PathBuf,
    previous: PathBuf,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The content of the newest readable generation; none if there is none.
    pub content: Option<T>,
    /// Generations that are there but cannot be used, for people, newest first.
    pub problems: Vec<String>,
}

impl DurableFile {
    /// The file at `path`, which need not be there.
    pub fn new(path: &Path) -> Self {
        let mut previous = path.as_os_str().to_owned();
        previous.push(".previous");
        Self { path: path.to_owned(), previous: previous.into() }
    }

    /// The newest generation that is whole and that `decode` understands. What cannot be used is
    /// said, never an error: state is rebuilt from Docker and Git.
    pub fn load<T>(&self, decode: impl Fn(&[u8]) -> Result<T, String>) -> Loaded<T> {
        let mut problems = Vec::new();
        for path in [&self.path, &self.previous] {
            match read_frame(path).map(|found| found.map(|content| decode(&content))) {
                Ok(Some(Ok(content))) => return Loaded { content: Some(content), problems },
                Ok(Some(Err(reason))) | Err(reason) => {
                    problems.push(format!("{}: {reason}", path.display()));
                }
                // The step between linking and renaming leaves no gap, so both missing is new.
                Ok(None) => {}
            }
        }
        Loaded { content: None, problems }
    }

    /// Replaces the content durably; the one before becomes the previous generation.
    ///
    /// # Errors
    /// When it cannot be made durable. What was there before is still read then.
    pub fn save(&self, content: &[u8]) -> Result<(), HostError> {
        if let Some(folder) = self.path.parent() {
            create_private_dir(folder)?;
        }
        let header = format!("{FRAME} {} {}\n", content.len(), Digest::of(content));
        let framed = [header.as_bytes(), content].concat();
        let temporary = write_beside(&self.path, &framed, 0o600, Durability::Durable)?;
        let placed = self.keep_previous().and_then(|()| {
            fs::rename(&temporary, &self.path)
                .map_err(|source| HostError::io("write", &self.path, source))
        });
        if placed.is_err() {
            let _gone = fs::remove_file(&temporary);
        }
        placed?;
        sync_parent(&self.path)
    }

    /// Links the current generation as the previous one, unless it is damaged: a good previous
    /// generation must not give way to a bad current one.
    fn keep_previous(&self) -> Result<(), HostError> {
        if !matches!(read_frame(&self.path), Ok(Some(_))) {
            return Ok(());
        }
        let link = beside(&self.previous)?;
        fs::hard_link(&self.path, &link)
            .and_then(|()| fs::rename(&link, &self.previous))
            .map_err(|source| HostError::io("keep", &self.path, source))
    }
}

fn read_frame(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let Some(bytes) = read_bounded(path, BYTES_MAX).map_err(|error| describe(&error))? else {
        return Ok(None);
    };
    let end = bytes.iter().position(|b| *b == b'\n').ok_or("it is empty or torn")?;
    let header = std::str::from_utf8(&bytes[..end]).map_err(|_| "its first line is not text")?;
    let content = &bytes[end + 1..];
    let mut words = header.split(' ');
    match words.next() {
        Some(FRAME) => {}
        Some(other) if other.starts_with("tidegate-state/") => {
            return Err(format!("it is of another version, `{other}`"));
        }
        _ => return Err("it is not a state file".to_owned()),
    }
    let whole = words.next() == Some(content.len().to_string().as_str())
        && words.next() == Some(Digest::of(content).to_string().as_str())
        && words.next().is_none();
    if whole { Ok(Some(content.to_vec())) } else { Err("its checksum does not fit".to_owned()) }
}

fn describe(error: &HostError) -> String {
    crate::telemetry::Chain(error).to_string()
}
