//! What each kind of rule makes of what it sees, one file a kind.
//!
//! In: a rule's parameters, a [`Sight`]. Out: [`Judgement`]: whether it holds, and how it could be
//! mended. Pure.
//!
//! # Guarantees
//! * A judgement's changes, once made, give a judgement without changes.
//! * No judgement shows contents that not everybody may read.

mod text;
mod directory;
mod file;
mod file_absent;
mod file_line;
mod key_value;
mod owned;
mod symlink;
mod sysctl;

use crate::compliance::change::Change;
use crate::compliance::facts::Accounts;
pub use crate::compliance::kind::sysctl::{SysctlSight, own_path};
use crate::model::HostPath;
use crate::model::PathState;
use crate::reconcile::desired::rule::kind::SysctlRule;
use crate::reconcile::desired::rule::{RuleId, RuleKind};

/// What a rule sees of the host.
#[derive(Debug)]
pub struct Sight<'a> {
    /// What lies at the rule's path.
    pub state: PathState,
    /// Folders that are missing on the way to it, outermost first.
    pub missing: Vec<HostPath>,
    /// Users and groups.
    pub accounts: &'a Accounts,
    /// User and group of what is made without saying whose it is.
    pub creator: (u32, u32),
    /// The rule.
    pub id: &'a RuleId,
}

/// What a rule of some kind sees.
#[derive(Debug)]
pub enum View<'a> {
    /// A path.
    Path(Sight<'a>),
    /// A kernel parameter.
    Sysctl(SysctlSight),
}

/// What a rule comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It holds.
    Ok {
        /// What is wanted, and is so.
        expected: String,
    },
    /// It does not.
    NotOk {
        /// What is wanted.
        expected: String,
        /// What is so.
        actual: String,
        /// How it is mended, or why it cannot be.
        fix: Result<Vec<Change>, String>,
    },
    /// There is nothing here that it could be about.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// It could not be judged.
    Error {
        /// Why.
        reason: String,
    },
}

/// What a rule has to see.
#[derive(Debug, Clone, Copy)]
pub enum Need<'a> {
    /// What lies at a path.
    Path(&'a HostPath),
    /// A kernel parameter.
    Sysctl(&'a SysctlRule),
}

/// What this rule has to see.
pub fn need(kind: &RuleKind) -> Need<'_> {
    match kind {
        RuleKind::File(rule) => Need::Path(&rule.path),
        RuleKind::FileLine(rule) => Need::Path(&rule.path),
        RuleKind::FileAbsent(rule) => Need::Path(&rule.path),
        RuleKind::Directory(rule) => Need::Path(&rule.path),
        RuleKind::Symlink(rule) => Need::Path(&rule.path),
        RuleKind::KeyValue(rule) => Need::Path(&rule.path),
        RuleKind::Sysctl(rule) => Need::Sysctl(rule),
    }
}

/// Judges a rule by what it needed to see.
pub fn judge(kind: &RuleKind, view: &View<'_>) -> Judgement {
    match (kind, view) {
        (RuleKind::File(rule), View::Path(sight)) => file::judge(rule, sight),
        (RuleKind::FileLine(rule), View::Path(sight)) => file_line::judge(rule, sight),
        (RuleKind::FileAbsent(rule), View::Path(sight)) => file_absent::judge(rule, sight),
        (RuleKind::Directory(rule), View::Path(sight)) => directory::judge(rule, sight),
        (RuleKind::Symlink(rule), View::Path(sight)) => symlink::judge(rule, sight),
        (RuleKind::KeyValue(rule), View::Path(sight)) => key_value::judge(rule, sight),
        (RuleKind::Sysctl(rule), View::Sysctl(sight)) => sysctl::judge(rule, sight),
        _ => Judgement::Error { reason: "it was not looked at".to_owned() },
    }
}

impl Sight<'_> {
    /// The step that makes `after` of what is there, after those that make missing folders.
    fn change(&self, path: &HostPath, after: PathState) -> Vec<Change> {
        let (uid, gid) = self.creator;
        let owned = crate::model::Permissions { mode: 0o755, uid, gid };
        let made = |folder: &HostPath| Change::Path {
            path: folder.clone(),
            before: PathState::Absent,
            after: PathState::Directory { owned },
        };
        let mut changes: Vec<Change> = self.missing.iter().map(made).collect();
        let before = self.state.clone();
        changes.push(Change::Path { path: path.clone(), before, after });
        changes
    }
}
