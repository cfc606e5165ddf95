//! What files had beside content, mode and owner: before a fix, and after it.

use std::collections::BTreeMap;

use crate::clients::host::{Extended, HostError, read_bounded, write_durable};
use crate::compliance::record::{FixRecord, FixRecords};
use crate::model::HostPath;

/// Where they lie as they were before.
const BEFORE: &str = "extended.json";
/// Where they lie as the fix left them.
const AFTER: &str = "extended-after.json";
/// Those of a whole archive, each with labels and a list, have room; what a fix writes is checked.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Extended attributes of files, as they were before a fix or after it; none of those without.
pub type Kept = BTreeMap<HostPath, Extended>;

impl FixRecords {
    /// Stores the extended attributes of what a fix that is about to begin changes. A record of which
    /// this fails is gone, as nothing was begun.
    ///
    /// # Errors
    /// When they cannot be made durable.
    pub fn keep(&self, record: &FixRecord, kept: &Kept) -> Result<(), HostError> {
        if kept.is_empty() {
            return Ok(());
        }
        let stored = self.store(record, BEFORE, kept);
        stored.inspect_err(|_| self.forget(&record.id))
    }

    /// The extended attributes of what a fix changed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn kept(&self, record: &FixRecord) -> Result<Kept, HostError> {
        self.load(record, BEFORE).map(Option::unwrap_or_default)
    }

    /// Stores the extended attributes that a fix left.
    ///
    /// # Errors
    /// When they cannot be made durable.
    pub fn leave(&self, record: &FixRecord, left: &Kept) -> Result<(), HostError> {
        self.store(record, AFTER, left)
    }

    /// The extended attributes that a fix left; none if nobody knows, as of one that was interrupted.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn left(&self, record: &FixRecord) -> Result<Option<Kept>, HostError> {
        self.load(record, AFTER)
    }

    fn store(&self, record: &FixRecord, name: &str, kept: &Kept) -> Result<(), HostError> {
        let path = self.folder.join(&record.id).join(name);
        let text = serde_json::to_vec(kept).unwrap_or_default();
        if text.len() as u64 > BYTES_MAX {
            return Err(HostError::TooLarge { path, bytes_max: BYTES_MAX });
        }
        write_durable(&path, &text)
    }

    fn load(&self, record: &FixRecord, name: &str) -> Result<Option<Kept>, HostError> {
        let path = self.folder.join(&record.id).join(name);
        let Some(bytes) = read_bounded(&path, BYTES_MAX)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| HostError::unfit(&path, format!("the backup is damaged: {error}")))
    }
}
