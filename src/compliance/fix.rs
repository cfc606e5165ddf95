//! Mends what a check found, and takes it back.
//!
//! In: a [`Checked`], the host, the records. Out: how it ended. Effect: changes the host.
//!
//! # Guarantees
//! * What was there is stored durably before the first change, and each step looks again whether it
//!   is still so.
//! * A step that fails ends the fix, and the steps before it are taken back.
//! * What is already as it was before a fix is left so when the fix is taken back: one that was
//!   interrupted can be. A folder that it made and in which something lies by now stays.
//! * Only kinds that the node's own policy allows are ever changed, whoever asks.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::clients::host::{HostError, HostRoot, Silence};
use crate::compliance::change::Change;
use crate::compliance::check::Checked;
use crate::compliance::record::{FixRecord, FixRecords, FixResult, FixedBy, Kept, RESTORE};
use crate::model::{HostPath, PathState};
use crate::telemetry::Chain;

/// Why nothing was done at all.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// The node's operator did not allow it.
    #[error("the node's policy does not allow fixes of kind `{kind}`")]
    Policy {
        /// The rule's kind.
        kind: String,
    },
    /// The backup cannot be written or read, so nothing is begun.
    #[error("cannot keep what is there, so nothing is begun")]
    Record(#[source] HostError),
    /// Nobody knows what is left of the fix.
    #[error("cannot see what is to be taken back, so nothing is begun")]
    Look(#[source] HostError),
}

/// Mends with this host, these records and this policy.
#[derive(Debug, Clone, Copy)]
pub struct Mender<'a> {
    /// The host.
    pub host: &'a HostRoot,
    /// Where backups go.
    pub records: &'a FixRecords,
    /// Kinds of rules whose fixes the node allows.
    pub allowed: &'a BTreeSet<String>,
    /// Who mends.
    pub by: FixedBy,
}

impl Mender<'_> {
    /// Whether the node allows fixes of this kind.
    ///
    /// # Errors
    /// When it does not.
    pub fn allows(&self, kind: &str) -> Result<(), FixError> {
        if self.allowed.contains(kind) {
            return Ok(());
        }
        Err(FixError::Policy { kind: kind.to_owned() })
    }

    /// Makes a rule's changes. `recheck` says what the rule comes to afterwards: none if it holds.
    ///
    /// # Errors
    /// When nothing was begun. What failed on the way is in the record.
    pub fn fix(
        &self,
        checked: &Checked,
        recheck: impl FnOnce() -> Option<String>,
        now: Timestamp,
    ) -> Result<FixRecord, FixError> {
        let verdict = &checked.verdict;
        self.allows(&verdict.kind)?;
        let revision = verdict.revision.to_string();
        let kept = self.extended(&checked.changes).map_err(FixError::Record)?;
        let begun = self.records.begin(
            self.by,
            &verdict.rule,
            &verdict.target,
            &revision,
            &checked.changes,
            now,
        );
        let mut record = begun.map_err(FixError::Record)?;
        self.records.keep(&record, &kept).map_err(FixError::Record)?;
        record.result = match self.make(&checked.changes, &kept) {
            Ok(made) => {
                self.leave(&record, &made);
                record.narrow(&made);
                recheck().map_or(FixResult::Fixed, |reason| FixResult::NotFixed { reason })
            }
            Err(reason) => FixResult::Failed { reason },
        };
        self.records.save(&record).map_err(FixError::Record)?;
        Ok(record)
    }

    /// What taking a fix back comes to now.
    ///
    /// # Errors
    /// When a backup is gone, or the host cannot be looked at.
    pub fn way_back(&self, record: &FixRecord) -> Result<WayBack, FixError> {
        let mut way = WayBack::default();
        let mut goes = BTreeSet::new();
        let stored = self.records.kept(record).map_err(FixError::Record)?;
        let silence = Silence::of(self.host).map_err(FixError::Look)?;
        for change in undo(self.records, record)? {
            answers(&silence, &change).map_err(FixError::Look)?;
            match self.left(&change, &goes, &stored).map_err(FixError::Look)? {
                Left::Nothing => {}
                Left::Stays(folder) => way.stays.push(folder),
                Left::Step(step) => {
                    if let Change::Path { path, after: PathState::Absent, .. } = &step {
                        goes.insert(path.clone());
                    }
                    way.changes.push(step);
                }
            }
        }
        Ok(way)
    }

    /// Takes a fix back, step by step from its end. The record holds what was changed for that.
    ///
    /// # Errors
    /// When nothing was begun, as when a backup is gone. What failed on the way is in the record.
    pub fn restore(
        &self,
        record: &FixRecord,
        way: &WayBack,
        now: Timestamp,
    ) -> Result<FixRecord, FixError> {
        let changes = &way.changes;
        let stored = self.records.kept(record).map_err(FixError::Record)?;
        let left = self.records.left(record).map_err(FixError::Record)?;
        let kept = self.extended(changes).map_err(FixError::Record)?;
        for change in undo(self.records, record)? {
            if let Change::Path { path, .. } = &change {
                self.host.sweep(path).map_err(FixError::Look)?;
            }
        }
        let name = format!("{RESTORE}{}", record.id);
        let begun =
            self.records.begin(self.by, &name, &record.target, &record.revision, changes, now);
        let mut restored = begun.map_err(FixError::Record)?;
        self.records.keep(&restored, &kept).map_err(FixError::Record)?;
        restored.result = match self.make_back(changes, left.as_ref(), &stored, &kept) {
            Ok(WayBack { changes: made, stays, lost }) => {
                restored.note = said(&made, &[&way.stays[..], &stays].concat(), &lost);
                self.leave(&restored, &made);
                restored.narrow(&made);
                FixResult::Fixed
            }
            Err(reason) => FixResult::Failed { reason },
        };
        self.records.save(&restored).map_err(FixError::Record)?;
        Ok(restored)
    }

    /// What files and folders that change have beside content, mode and owner.
    fn extended(&self, changes: &[Change]) -> Result<Kept, HostError> {
        let mut kept = Kept::new();
        for change in changes {
            if let Change::Path {
                path,
                before:
                    PathState::File { .. }
                    | PathState::Unread { .. }
                    | PathState::Directory { .. }
                    | PathState::Symlink { .. },
                ..
            } = change
            {
                let extended = self.host.extended(path)?;
                if !extended.is_empty() {
                    kept.insert(path.clone(), extended);
                }
            }
        }
        Ok(kept)
    }

    /// Notes what files have now, so that who changes that is noticed; where it cannot be noted nobody
    /// is. Folders are removed only empty.
    fn leave(&self, record: &FixRecord, changes: &[Change]) {
        let is_file =
            |change: &&Change| matches!(change, Change::Path { after: PathState::File { .. }, .. });
        let made: Vec<Change> = changes.iter().filter(is_file).map(Change::undone).collect();
        if !made.is_empty() {
            let _noted = self.extended(&made).and_then(|left| self.records.leave(record, &left));
        }
    }

    /// Refuses to replace a file whose extended attributes are no longer those that a fix `left`.
    fn is_left(&self, step: &Change, left: Option<&Kept>) -> Result<(), HostError> {
        let (Change::Path { path, before: before @ PathState::File { .. }, after, .. }, Some(left)) =
            (step, left)
        else {
            return Ok(());
        };
        let is_same = before.new_access(after).is_some()
            || self.host.extended(path)? == left.get(path).cloned().unwrap_or_default();
        let reason = "its extended attributes are no longer as the fix left them";
        if is_same { Ok(()) } else { Err(HostError::unfit(path.as_str().as_ref(), reason)) }
    }

    /// Makes changes in their order, and gives what they came to; after a failure those before it are
    /// taken back, with what was `kept`.
    fn make(&self, changes: &[Change], kept: &Kept) -> Result<Vec<Change>, String> {
        let mut made = Vec::new();
        for change in changes {
            self.step(change, &Kept::new()).map_err(|error| self.revert(&made, kept, &error))?;
            made.push(self.come_to(change));
        }
        Ok(made)
    }

    /// What a change came to: the kernel may make another value of the one that it is told, such as the
    /// next that it can do.
    fn come_to(&self, change: &Change) -> Change {
        let mut made = change.clone();
        if let Change::Kernel { key, after, .. } = &mut made
            && let Ok(Some(now)) = self.host.kernel(key)
        {
            *after = now;
        }
        made
    }

    /// The same for changes that may have been made before, in part or never, with what was `stored`.
    fn make_back(
        &self,
        changes: &[Change],
        after: Option<&Kept>,
        stored: &Kept,
        kept: &Kept,
    ) -> Result<WayBack, String> {
        let mut back = WayBack::default();
        for change in changes {
            let left = self.left(change, &BTreeSet::new(), stored).and_then(|mut left| {
                if let Left::Step(step) = &mut left {
                    if let Change::Managed(moves) = step {
                        for change in moves {
                            back.lost.extend(self.host.leave_out(change)?);
                        }
                    }
                    self.is_left(step, after)?;
                    self.step(step, stored)?;
                }
                Ok(left)
            });
            match left {
                Ok(Left::Step(made)) => back.changes.push(made),
                Ok(Left::Nothing) => {}
                Ok(Left::Stays(folder)) => back.stays.push(folder),
                Err(error) => return Err(self.revert(&back.changes, kept, &error)),
            }
        }
        Ok(back)
    }

    /// What is left to do of a step on the way back, once what `goes` is gone, where the fix `stored`
    /// this.
    fn left(
        &self,
        change: &Change,
        goes: &BTreeSet<HostPath>,
        stored: &Kept,
    ) -> Result<Left, HostError> {
        Ok(match change {
            Change::Path { path, before, after, enclosed } if self.host.is_so(path, after)? => {
                if !self.host.misses(path, [before, after], stored.get(path))? {
                    return Ok(Left::Nothing);
                }
                let (path, before, after) = (path.clone(), after.clone(), after.clone());
                Left::Step(Change::Path { path, before, after, enclosed: *enclosed })
            }
            Change::Path {
                path,
                before: PathState::Directory { .. },
                after: PathState::Absent,
                ..
            } if self.is_in_use(path, goes)? => Left::Stays(path.clone()),
            Change::Path { path, before, after, enclosed } => {
                for half in before.halfway(after) {
                    if self.host.is_so(path, &half)? {
                        let (path, after, enclosed) = (path.clone(), after.clone(), *enclosed);
                        return Ok(Left::Step(Change::Path {
                            path,
                            before: half,
                            after,
                            enclosed,
                        }));
                    }
                }
                Left::Step(change.clone())
            }
            Change::Kernel { key, after, .. } if self.host.kernel(key)?.as_ref() == Some(after) => {
                Left::Nothing
            }
            Change::Managed(moves) => match self.host.outstanding(moves)? {
                left if left.is_empty() => Left::Nothing,
                left => Left::Step(Change::Managed(left)),
            },
            Change::Kernel { .. } => Left::Step(change.clone()),
        })
    }

    /// Whether something lies in a folder besides what goes.
    fn is_in_use(&self, folder: &HostPath, goes: &BTreeSet<HostPath>) -> Result<bool, HostError> {
        if !matches!(self.host.look(folder, 0), Ok(PathState::Directory { .. })) {
            return Ok(false);
        }
        let names = self.host.names(folder.as_str(), goes.len() + 1)?;
        Ok(!names.iter().all(|name| folder.below(name).is_some_and(|path| goes.contains(&path))))
    }

    /// Takes back what was made before a step that failed, and says why it did.
    fn revert(&self, made: &[Change], kept: &Kept, error: &HostError) -> String {
        let mut reason = Chain(error).to_string();
        for change in made.iter().rev() {
            if let Err(error) = self.step(&change.undone(), kept) {
                reason = format!("{reason}; and taking back: {}", Chain(&error));
            }
        }
        reason
    }

    fn step(&self, change: &Change, kept: &Kept) -> Result<(), HostError> {
        match change {
            Change::Path { path, before, after, .. } => {
                self.host.put(path, before, after, kept.get(path))
            }
            Change::Kernel { key, before, after, .. } => self.host.set_kernel(key, before, after),
            Change::Managed(moves) => self.host.manage(moves),
        }
    }
}

/// What is left to do of a step on the way back.
enum Left {
    /// This.
    Step(Change),
    /// Nothing: it is so.
    Nothing,
    /// Nothing: a folder that the fix made is in use by now.
    Stays(HostPath),
}

/// What taking a fix back comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WayBack {
    /// What it changes, in its order.
    pub changes: Vec<Change>,
    /// Folders that the fix made, and in which something else lies by now.
    pub stays: Vec<HostPath>,
    /// What the host cannot give users and groups by now.
    lost: Vec<String>,
}

/// What there is to know of a way back that ended well.
fn said(made: &[Change], stays: &[HostPath], lost: &[String]) -> Option<String> {
    let mut notes = Vec::new();
    if !stays.is_empty() {
        let stays: Vec<&str> = stays.iter().map(HostPath::as_str).collect();
        notes.push(format!("left, as something else lies in it by now: {}", stays.join(", ")));
    }
    notes.extend(lost.iter().map(|lost| format!("without {lost}")));
    if made.is_empty() && notes.is_empty() {
        notes.push("nothing was left to take back".to_owned());
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// Refuses to look at what would hang.
fn answers(silence: &Silence, change: &Change) -> Result<(), HostError> {
    let Change::Path { path, .. } = change else { return Ok(()) };
    silence.answers(path).map_err(|reason| HostError::unfit(path.as_str().as_ref(), reason))
}

/// A fix's changes, reversed.
fn undo(records: &FixRecords, record: &FixRecord) -> Result<Vec<Change>, FixError> {
    let changes = records.changes(record).map_err(FixError::Record)?;
    // A folder that every host needs stays once it is made.
    let needed = |change: &Change| matches!(change, Change::Path { path, after: PathState::Absent, .. } if path.is_kept());
    Ok(changes.iter().rev().map(Change::undone).filter(|change| !needed(change)).collect())
}
