//! Where a node keeps what its checks found: `compliance/standing.json`, `compliance/history.jsonl`.
//!
//! In: [`Standing`]s, [`Turn`]s. Out: files below the state directory. Effect: reads and writes them.
//!
//! # Guarantees
//! * What was found is there whole or as it was before. The history is bounded: a file that is full
//!   is put aside, the one put aside before is gone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::clients::host::{HostError, create_private_dir, read_bounded, write_file};
use crate::compliance::standing::{Standing, Turn};

/// A history file this long is put aside: some 10,000 turns.
const HISTORY_BYTES_MAX: u64 = 4 << 20;
/// A longer file is not ours: one write may pass the limit.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What a node keeps of its checks.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The one below a state directory.
    pub fn below(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("compliance") }
    }

    /// Its folder, made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self) -> Result<&Path, HostError> {
        create_private_dir(&self.folder)?;
        Ok(&self.folder)
    }

    /// What was found last; none before the first check.
    ///
    /// # Errors
    /// When it cannot be read, or is of another version.
    pub fn standing(&self) -> Result<Option<Standing>, HostError> {
        let path = self.folder.join("standing.json");
        let Some(bytes) = read_bounded(&path, FILE_BYTES_MAX)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| HostError::unfit(&path, format!("it is of no use: {error}")))
    }

    /// Keeps what was found, and what changed by it: first the history, so that a crash in between
    /// repeats a turn rather than losing it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, standing: &Standing, turns: &[Turn]) -> Result<(), HostError> {
        create_private_dir(&self.folder)?;
        let history = self.history_file();
        self.append(turns).map_err(|source| HostError::io("write", &history, source))?;
        let path = self.folder.join("standing.json");
        let text = serde_json::to_vec(standing)
            .map_err(|error| HostError::unfit(&path, error.to_string()))?;
        write_file(&path, &text, 0o600)
    }

    /// Every turn that is kept, oldest first; a line that a crash left unfinished is left out.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn history(&self) -> Result<Vec<Turn>, HostError> {
        let mut turns = Vec::new();
        for path in [self.older_file(), self.history_file()] {
            let bytes = read_bounded(&path, FILE_BYTES_MAX)?.unwrap_or_default();
            let lines = bytes.split(|byte| *byte == b'\n');
            turns.extend(lines.filter_map(|line| serde_json::from_slice(line).ok()));
        }
        Ok(turns)
    }

    fn history_file(&self) -> PathBuf {
        self.folder.join("history.jsonl")
    }

    fn older_file(&self) -> PathBuf {
        self.folder.join("history.1.jsonl")
    }

    fn append(&self, turns: &[Turn]) -> io::Result<()> {
        if turns.is_empty() {
            return Ok(());
        }
        let path = self.history_file();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > HISTORY_BYTES_MAX) {
            fs::rename(&path, self.older_file())?;
        }
        // A line that a crash cut off must not swallow the first of these.
        let mut text = b"\n".to_vec();
        for turn in turns {
            serde_json::to_writer(&mut text, turn).map_err(io::Error::other)?;
            text.push(b'\n');
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        file.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::compliance::shelf::{HISTORY_BYTES_MAX, Shelf};
    use crate::compliance::standing::Turn;
    use crate::reconcile::desired::rule::RuleSeverity;

    fn turn(n: usize) -> Turn {
        Turn {
            at: "2026-03-01T02:00:00Z".parse().unwrap(),
            rule: format!("it/r{n}"),
            target: "node".to_owned(),
            severity: RuleSeverity::Info,
            from: None,
            to: None,
            expected: "x".repeat(64 * 1024),
            actual: String::new(),
            reason: None,
            revision: String::new(),
        }
    }

    #[test]
    fn the_history_is_bounded_and_its_end_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::below(dir.path());
        let folder = shelf.folder().unwrap().to_owned();
        let line = serde_json::to_string(&turn(0)).unwrap().len() as u64;
        let n_all = usize::try_from(5 * HISTORY_BYTES_MAX / line).unwrap();
        for n in 0..n_all {
            shelf.append(&[turn(n)]).unwrap();
            let files = fs::read_dir(&folder).unwrap();
            let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
            assert!(bytes <= 2 * (HISTORY_BYTES_MAX + 2 * line), "{bytes}");
        }
        let rules: Vec<String> = shelf.history().unwrap().into_iter().map(|t| t.rule).collect();
        let kept = n_all - rules.len()..n_all;
        assert!(rules.len() as u64 >= HISTORY_BYTES_MAX / line && kept.start > 0);
        assert_eq!(rules, kept.map(|n| format!("it/r{n}")).collect::<Vec<_>>());
    }
}
