//! Records of fixes with what they replaced, so that each can be taken back.
//!
//! In: changes. Out: a folder a fix below `<state_dir>/fixes`. Effect: writes and reads them.
//!
//! # Guarantees
//! * The record, with every byte that is about to be replaced, is durable before anything changes.
//! * Nobody but the agent's user can read it. It is bounded: the oldest records go first. Of a fix
//!   that the agent's budget counts only what was kept goes: it stays counted.

mod kept;

pub use kept::Kept;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clients::host::{HostError, create_private_dir, read_bounded, write_durable};
use crate::compliance::change::Change;
use crate::compliance::stored::{StoredChange, StoredState, store_change};
use crate::model::{Digest, PathState};

/// The record's format.
const SCHEMA: &str = "tidegate.fix/1";
/// What stands before the name of a fix that is taken back.
pub(super) const RESTORE: &str = "restore ";
/// Records that are kept with all that they replaced.
const RECORDS_MAX: usize = 500;
/// The time that the agent's fixes are counted over.
pub const COUNTED: SignedDuration = SignedDuration::from_hours(24);
/// What is lost of a time in a record's name.
const NAME_RESOLUTION: SignedDuration = SignedDuration::from_secs(1);
/// A record names its contents by digest: that of a whole archive, with the longest of paths.
const RECORD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Where the record itself lies.
const RECORD: &str = "record.json";
/// Where those lie that are counted, and of which nothing else is kept: so none of them is read, nor
/// looked into, for each fix that comes after it.
const COUNTED_FOLDER: &str = "counted";

/// One fix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixRecord {
    /// Name and version of the format.
    pub schema: String,
    /// Its name: the time, and some random digits.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// The rule, or `restore <id>`.
    pub rule: String,
    /// What it was checked for.
    pub target: String,
    /// The revision that the rule is of.
    pub revision: String,
    /// Who mended.
    pub by: FixedBy,
    /// How it ended.
    pub result: FixResult,
    /// What else is to be known of how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it changed.
    changes: Vec<StoredChange>,
}

/// Who mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FixedBy {
    /// Somebody who said so.
    Operator,
    /// The agent by itself: `fix = "auto"`.
    Agent,
}

/// How a fix ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FixResult {
    /// It was begun; if it stays so, the machine or the program went down.
    Begun,
    /// The rule holds now.
    Fixed,
    /// It was done, and the rule does not hold all the same.
    NotFixed {
        /// What is so.
        reason: String,
    },
    /// It could not be done, whole or in part.
    Failed {
        /// Why.
        reason: String,
    },
}

impl FixedBy {
    /// As records write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Agent => "agent",
        }
    }
}

impl FixRecord {
    /// Whether it is of the last day; or of the next, as a clock that was set back makes it. One of
    /// further ahead tells nothing: it would block for as long as that clock was wrong.
    pub fn counts(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).abs() < COUNTED
    }

    /// The same without what not everybody may read, digests of contents among it.
    #[must_use]
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        shown.changes.iter_mut().for_each(StoredChange::hide);
        shown
    }

    /// The name of the fix that this one took back; none of another.
    pub fn taken_back(&self) -> Option<&str> {
        self.rule.strip_prefix(RESTORE)
    }

    /// Leaves in it what was changed in the end.
    pub(super) fn narrow(&mut self, made: &[Change]) {
        self.changes = made.iter().map(store_change).collect();
    }
}

/// All records of a node.
#[derive(Debug, Clone)]
pub struct FixRecords {
    folder: PathBuf,
}

impl FixRecords {
    /// Those below a state directory.
    pub fn below(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("fixes") }
    }

    /// Stores a fix that is about to begin, with every content.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn begin(
        &self,
        by: FixedBy,
        rule: &str,
        target: &str,
        revision: &str,
        changes: &[Change],
        at: Timestamp,
    ) -> Result<FixRecord, HostError> {
        create_private_dir(&self.folder)?;
        self.prune(at);
        let id = new_id(at);
        let folder = self.folder.join(&id);
        create_private_dir(&folder)?;
        let record = FixRecord {
            schema: SCHEMA.to_owned(),
            id,
            at,
            rule: rule.to_owned(),
            target: target.to_owned(),
            revision: revision.to_owned(),
            by,
            result: FixResult::Begun,
            note: None,
            changes: changes.iter().map(store_change).collect(),
        };
        let kept = keep_contents(&folder, changes).and_then(|()| self.save(&record));
        kept.inspect_err(|_| self.forget(&record.id))?;
        Ok(record)
    }

    /// Removes a record of which nothing was begun: it would push out one with a backup.
    fn forget(&self, id: &str) {
        // Without the record itself it is none.
        let _gone = std::fs::remove_dir_all(self.folder.join(id));
    }

    /// Stores how a fix ended.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub fn save(&self, record: &FixRecord) -> Result<(), HostError> {
        let path = self.folder.join(&record.id).join(RECORD);
        let text = serde_json::to_vec_pretty(record).unwrap_or_default();
        if text.len() as u64 > RECORD_BYTES_MAX {
            return Err(HostError::TooLarge { path, bytes_max: RECORD_BYTES_MAX });
        }
        write_durable(&path, &text)
    }

    /// Every record, oldest first; what cannot be read is left out.
    pub fn all(&self) -> Vec<FixRecord> {
        self.ids().iter().filter_map(|id| self.get(id).ok().flatten()).collect()
    }

    /// The record of this name; none if there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, id: &str) -> Result<Option<FixRecord>, HostError> {
        let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain {
            return Ok(None);
        }
        for folder in [self.folder.clone(), self.counted()] {
            let path = folder.join(id).join(RECORD);
            if let Some(bytes) = read_bounded(&path, RECORD_BYTES_MAX)? {
                return serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|error| HostError::unfit(&path, format!("it is no record: {error}")));
            }
        }
        Ok(None)
    }

    /// What a fix changed, contents included.
    ///
    /// # Errors
    /// When a content is not there any more, or not as it was stored.
    pub fn changes(&self, record: &FixRecord) -> Result<Vec<Change>, HostError> {
        let folder = self.folder.join(&record.id);
        let mut contents = BTreeMap::new();
        let mut load = |state: &StoredState| -> Result<PathState, HostError> {
            Ok(match state {
                StoredState::Absent => PathState::Absent,
                StoredState::Special => PathState::Special,
                StoredState::Symlink { to } => PathState::Symlink { to: to.clone() },
                StoredState::Unread { permissions } => PathState::Unread { owned: *permissions },
                StoredState::Directory { permissions } => {
                    PathState::Directory { owned: *permissions }
                }
                StoredState::File { content, permissions } => {
                    let digest = content.ok_or_else(|| {
                        HostError::unfit(&folder, "the record does not say which content it was")
                    })?;
                    let bytes = match contents.get(&digest) {
                        Some(bytes) => Arc::clone(bytes),
                        None => content_of(&folder, digest)?,
                    };
                    contents.insert(digest, Arc::clone(&bytes));
                    PathState::File { content: bytes, owned: *permissions }
                }
            })
        };
        let change = |stored: &StoredChange| {
            Ok(match stored {
                StoredChange::Path { path, before, after, enclosed } => {
                    let (before, after) = (load(before)?, load(after)?);
                    Change::Path { path: path.clone(), before, after, enclosed: *enclosed }
                }
                StoredChange::Kernel { key, before, after, hidden } => Change::Kernel {
                    key: key.clone(),
                    before: before.clone(),
                    after: after.clone(),
                    hidden: *hidden,
                },
                StoredChange::Managed { moves } => Change::Managed(moves.clone()),
            })
        };
        record.changes.iter().map(change).collect()
    }

    fn counted(&self) -> PathBuf {
        self.folder.join(COUNTED_FOLDER)
    }

    fn ids(&self) -> Vec<String> {
        let mut ids = ids_in(&self.folder);
        ids.extend(ids_in(&self.counted()));
        // They begin with the time.
        ids.sort();
        ids
    }

    /// Room for one more: what is furthest from now goes, whichever way the clock was set. Each record
    /// is read once, when it goes.
    fn prune(&self, now: Timestamp) {
        let away = |id: &String| time_of(id).map(|at| now.duration_since(at).abs());
        let mut ids = ids_in(&self.folder);
        ids.sort_by_key(|id| std::cmp::Reverse(away(id)));
        for id in ids.iter().take((ids.len() + 1).saturating_sub(RECORDS_MAX)) {
            let folder = self.folder.join(id);
            let is_counted = self
                .get(id)
                .ok()
                .flatten()
                .is_some_and(|record| record.by == FixedBy::Agent && record.counts(now));
            // What stays is tried again the next time.
            let _gone = if is_counted { self.empty(id) } else { std::fs::remove_dir_all(folder) };
        }
        // A name has no parts of a second.
        let counts = |id: &String| away(id).is_some_and(|away| away <= COUNTED + NAME_RESOLUTION);
        for id in ids_in(&self.counted()).iter().filter(|id| !counts(id)) {
            let _gone = std::fs::remove_dir_all(self.counted().join(id));
        }
    }

    /// Removes what a record kept, but not the record, which is only counted from now on.
    fn empty(&self, id: &str) -> std::io::Result<()> {
        let folder = self.folder.join(id);
        for entry in std::fs::read_dir(&folder)?.flatten() {
            if entry.file_name() != RECORD {
                std::fs::remove_file(entry.path())?;
            }
        }
        create_private_dir(&self.counted()).map_err(std::io::Error::other)?;
        std::fs::rename(folder, self.counted().join(id))
    }
}

/// The names of records in a folder.
fn ids_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut ids: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // The lock lies here as well.
    ids.retain(|id| time_of(id).is_some());
    ids
}

fn keep_contents(folder: &Path, changes: &[Change]) -> Result<(), HostError> {
    let states = changes.iter().flat_map(|change| match change {
        Change::Path { before, after, .. } => vec![before, after],
        _ => Vec::new(),
    });
    for state in states {
        if let PathState::File { content, .. } = state {
            write_durable(&folder.join(Digest::of(content).hex()), content)?;
        }
    }
    Ok(())
}

fn content_of(folder: &Path, digest: Digest) -> Result<Arc<[u8]>, HostError> {
    let path = folder.join(digest.hex());
    let bytes = read_bounded(&path, crate::compliance::see::FILE_BYTES_MAX)?;
    match bytes.filter(|bytes| Digest::of(bytes) == digest) {
        Some(bytes) => Ok(bytes.into()),
        None => Err(HostError::unfit(&path, "the backup is gone or damaged")),
    }
}

/// When a record was made; none if it is no record.
fn time_of(id: &str) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y%m%dT%H%M%S", id.get(..15)?).ok()?;
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// `20261122T211530123456Z-1f3c9a`: sorts by time, and two of one moment differ.
fn new_id(at: Timestamp) -> String {
    let mut nonce = [0; 3];
    let _filled = getrandom::fill(&mut nonce);
    format!(
        "{}-{}",
        at.strftime("%Y%m%dT%H%M%S%6fZ").to_string().replace('.', ""),
        hex::encode(nonce)
    )
}
