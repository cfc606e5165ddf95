//! What a rule makes of a file, held against what lies there.
//!
//! In: a rule, what lies at a path. Out: whether it holds, what it would leave. Pure.

use std::sync::Arc;

use crate::compliance::change::Change;
use crate::compliance::dispute::table;
use crate::compliance::kind::{DaemonSight, Judgement, Sight, View, judge, zone_path};
use crate::model::archive::{Member, contents};
use crate::model::{AccountTables, HostPath, PathState, Permissions};
use crate::reconcile::desired::rule::kind::{ArchiveRule, DropInRule, FileRule, Principal};
use crate::reconcile::desired::rule::{Rule, RuleKind};

/// The file of which this rule is about a part.
pub(super) fn part_of(kind: &RuleKind) -> Option<&HostPath> {
    match kind {
        RuleKind::FileLine(rule) => Some(&rule.path),
        RuleKind::KeyValue(rule) | RuleKind::DaemonConfig(rule) => Some(&rule.path),
        _ => None,
    }
}

/// The path of which this rule says all that lies there.
pub(super) fn whole_of(kind: &RuleKind) -> Option<&HostPath> {
    match kind {
        RuleKind::File(rule) => rule.content.is_some().then_some(&rule.path),
        RuleKind::Sudoers(rule) | RuleKind::Cron(rule) => Some(&rule.path),
        RuleKind::FileAbsent(rule) => Some(&rule.path),
        RuleKind::Directory(rule) => Some(&rule.path),
        RuleKind::Symlink(rule) => Some(&rule.path),
        _ => None,
    }
}

/// What such a rule, or an archive with a member there, wants at this path.
pub(super) fn wanted(rule: &Rule, path: &HostPath) -> PathState {
    match &rule.kind {
        RuleKind::File(FileRule { content: Some(content), .. })
        | RuleKind::Sudoers(DropInRule { content: Some(content), .. })
        | RuleKind::Cron(DropInRule { content: Some(content), .. }) => text(&content.0),
        RuleKind::Directory(_) => PathState::Directory { owned: OWNED },
        RuleKind::Symlink(rule) => PathState::Symlink { to: rule.to.clone() },
        RuleKind::Archive(archive) => match member_at(archive, path) {
            Some((inner, Member::File { .. })) => {
                let content = contents(&archive.packed.0, |name| name == inner).ok();
                text(&content.and_then(|mut all| all.remove(inner)).unwrap_or_default())
            }
            Some((_, Member::Symlink { to })) => PathState::Symlink { to: to.clone() },
            Some((_, Member::Directory { .. })) => PathState::Directory { owned: OWNED },
            None => PathState::Absent,
        },
        _ => PathState::Absent,
    }
}

/// What an archive has at a path.
pub(super) fn member_at<'a>(
    archive: &'a ArchiveRule,
    path: &'a HostPath,
) -> Option<(&'a str, &'a Member)> {
    let inner = path.as_str().strip_prefix(archive.path.as_str())?.strip_prefix('/')?;
    Some((inner, archive.members.get(inner)?))
}

/// The path at which an archive and this rule each say what it may be used for, or whose it is, and
/// say it differently.
pub(super) fn quarrels_about<'k>(
    archive: &ArchiveRule,
    kind: &'k RuleKind,
) -> Option<&'k HostPath> {
    let (path, access) = match kind {
        RuleKind::File(rule) => (&rule.path, &rule.access),
        RuleKind::Directory(rule) => (&rule.path, &rule.access),
        _ => return None,
    };
    let owned = match member_at(archive, path)? {
        (_, Member::File { owned, .. }) => *owned,
        (_, Member::Directory { owned }) => (*owned)?,
        (_, Member::Symlink { .. }) => return None,
    };
    let differ = |theirs: &Option<Principal>, ours: &Option<Principal>, number: u32| {
        match (theirs, ours) {
            (Some(Principal::Name(theirs)), Some(Principal::Name(ours))) => theirs != ours,
            (Some(Principal::Id(theirs)), Some(Principal::Id(ours))) => theirs != ours,
            (Some(Principal::Id(theirs)), None) => *theirs != number,
            // Whose number a name has is not known here.
            _ => false,
        }
    };
    let is_other = access.mode.is_some_and(|mode| mode != owned.mode)
        || differ(&access.owner, &archive.owner, owned.uid)
        || differ(&access.group, &archive.group, owned.gid);
    is_other.then_some(path)
}

/// Whose it is does not matter here.
const OWNED: Permissions = Permissions { mode: 0o644, uid: 0, gid: 0 };

pub(super) fn text(content: &[u8]) -> PathState {
    PathState::File { content: Arc::from(content), owned: OWNED }
}

/// Whether a rule about a part holds where this lies at its path.
pub(super) fn holds(rule: &Rule, path: &HostPath, state: &PathState) -> bool {
    if part_of(&rule.kind).is_some() {
        return matches!(on(rule, state.clone()), Judgement::Ok { .. });
    }
    if let RuleKind::Time(rule) = &rule.kind {
        // What a file there says is not known here.
        let zone = rule.zone.as_deref().and_then(zone_path);
        let leads = |to: &str| path.beside(to);
        return match state {
            PathState::Symlink { to } => zone.is_none_or(|zone| leads(to) == Some(zone)),
            PathState::File { .. } => true,
            _ => false,
        };
    }
    let kept = table::text_of(state).map(|text| table::edited(&rule.kind, path, text) == text);
    kept.unwrap_or_default()
}

/// What lies there once this rule is mended; the same where it cannot be.
pub(super) fn edited(rule: &Rule, path: &HostPath, state: PathState) -> PathState {
    if part_of(&rule.kind).is_none() {
        let new = table::text_of(&state).map(|old| table::edited(&rule.kind, path, old));
        return new.map_or(state, |new| text(new.as_bytes()));
    }
    match on(rule, state.clone()) {
        Judgement::NotOk { fix: Ok(mut changes), .. } => match changes.pop() {
            Some(Change::Path { after, .. }) => after,
            _ => state,
        },
        _ => state,
    }
}

/// What a rule about a part comes to where this lies at its path.
fn on(rule: &Rule, state: PathState) -> Judgement {
    let accounts = AccountTables::default();
    let creator = (OWNED.uid, OWNED.gid);
    let (enclosed, missing) = (false, Vec::new());
    let sight = Sight { state, enclosed, missing, accounts: &accounts, creator, id: &rule.id };
    let view = match &rule.kind {
        RuleKind::DaemonConfig(_) => View::Daemon(DaemonSight { file: sight, syntax: Ok(()) }),
        _ => View::Path(sight),
    };
    judge(&rule.kind, &view)
}
