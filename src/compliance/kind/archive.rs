//! `archive`: a tar archive that is unpacked into a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::compliance::change::{Change, describe};
use crate::compliance::kind::owned::{differences, joined, wanted};
use crate::compliance::kind::{Judgement, Sight, listed, too_large};
use crate::model::archive::{Member, contents};
use crate::model::{HostPath, PathState, Permissions};
use crate::reconcile::desired::rule::kind::{Access, ArchiveRule};

/// What a directory that the archive does not speak of may be used by.
const FOLDER_MODE: u32 = 0o755;

/// What a rule sees of an archive's members.
#[derive(Debug)]
pub struct ArchiveSight<'a> {
    /// The directory.
    pub folder: Sight<'a>,
    /// What lies where each member should.
    pub members: BTreeMap<&'a str, MemberSeen>,
    /// Members that a folder on the way keeps others from.
    pub enclosed: BTreeSet<&'a str>,
}

/// What lies where a member should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberSeen {
    /// A file with the member's content.
    Same(Permissions),
    /// Anything else.
    Other(PathState),
}

/// A member that is not as it should be.
struct Wrong<'a> {
    inner: &'a str,
    path: HostPath,
    why: String,
    after: After,
}

/// What should be there.
enum After {
    File(Permissions),
    State(PathState),
    /// What is in its place is not taken away.
    Stuck,
}

/// Judges it.
pub(super) fn judge(rule: &ArchiveRule, sight: &ArchiveSight<'_>) -> Judgement {
    let mut all = Vec::new();
    for (inner, member) in &rule.members {
        let (Some(path), Some(seen)) = (rule.path.below(inner), sight.members.get(&**inner)) else {
            return Judgement::Error { reason: format!("`{inner}` was not looked at") };
        };
        match wrong(rule, member, seen, &sight.folder) {
            Err(reason) => return Judgement::Error { reason },
            Ok(None) => {}
            Ok(Some((why, after))) => all.push(Wrong { inner, path, why, after }),
        }
    }
    let expected = format!(
        "{} of sha256:{} in {}, {} members",
        rule.source,
        rule.packed.digest().short(),
        rule.path,
        rule.members.len()
    );
    if all.is_empty() {
        return Judgement::Ok { expected };
    }
    let named: Vec<String> = all.iter().map(|one| format!("{}: {}", one.path, one.why)).collect();
    Judgement::NotOk { expected, actual: listed(&named), fix: fix(rule, sight, all) }
}

/// Why a member is not as it should be, and what would be.
fn wrong(
    rule: &ArchiveRule,
    member: &Member,
    seen: &MemberSeen,
    folder: &Sight<'_>,
) -> Result<Option<(String, After)>, String> {
    let state = match seen {
        MemberSeen::Same(is) => {
            let Member::File { owned, .. } = member else { return Ok(None) };
            let target = target(rule, Some(*owned), folder)?;
            return Ok(differing(target, *is).map(|why| (why, After::File(target))));
        }
        MemberSeen::Other(state) => state,
    };
    let otherwise = match state {
        PathState::Absent => "missing".to_owned(),
        PathState::File { .. } => "other content".to_owned(),
        other => describe(other, false),
    };
    if let (Member::File { .. }, PathState::Unread { .. }) = (member, state) {
        return Ok(Some((format!("other content; {}", too_large()), After::Stuck)));
    }
    let stuck = || Ok(Some((format!("{} is in its place", state.noun()), After::Stuck)));
    match (member, state) {
        (Member::Symlink { to }, PathState::Absent | PathState::Symlink { .. }) => {
            let after = PathState::Symlink { to: to.clone() };
            Ok((*state != after).then_some((otherwise, After::State(after))))
        }
        (Member::Directory { owned: None }, PathState::Directory { .. }) => Ok(None),
        (Member::Directory { owned }, PathState::Directory { .. } | PathState::Absent) => {
            let target = target(rule, *owned, folder)?;
            let after = After::State(PathState::Directory { owned: target });
            let why = match state {
                PathState::Directory { owned } => differing(target, *owned),
                _ => Some(otherwise),
            };
            Ok(why.map(|why| (why, after)))
        }
        (
            Member::File { owned, .. },
            PathState::Absent | PathState::File { .. } | PathState::Symlink { .. },
        ) => Ok(Some((otherwise, After::File(target(rule, Some(*owned), folder)?)))),
        _ => stuck(),
    }
}

/// Mode and owner as the archive has them, unless the rule says whose all of it is.
fn target(
    rule: &ArchiveRule,
    owned: Option<Permissions>,
    folder: &Sight<'_>,
) -> Result<Permissions, String> {
    let access = Access { mode: None, owner: rule.owner.clone(), group: rule.group.clone() };
    wanted(&access, owned, FOLDER_MODE, folder)
}

fn differing(target: Permissions, is: Permissions) -> Option<String> {
    let found = differences(target, is);
    (!found.is_empty()).then(|| {
        let (expected, actual) = joined(found);
        format!("{actual}, not {expected}")
    })
}

fn fix(
    rule: &ArchiveRule,
    sight: &ArchiveSight<'_>,
    all: Vec<Wrong<'_>>,
) -> Result<Vec<Change>, String> {
    if let Some(stuck) = all.iter().find(|one| matches!(one.after, After::Stuck)) {
        return Err(format!("{}: {}", stuck.path, stuck.why));
    }
    let files: BTreeSet<&str> =
        all.iter().filter(|one| matches!(one.after, After::File(_))).map(|one| one.inner).collect();
    let unpacked: BTreeMap<String, Arc<[u8]>> =
        contents(&rule.packed.0, |inner| files.contains(inner)).map_err(|e| e.to_string())?;
    let mut changes = sight.folder.made_folders();
    for one in all {
        let content = unpacked.get(one.inner).cloned().unwrap_or_default();
        let before = match sight.members.get(one.inner) {
            Some(MemberSeen::Same(owned)) => {
                PathState::File { content: Arc::clone(&content), owned: *owned }
            }
            Some(MemberSeen::Other(state)) => state.clone(),
            None => PathState::Absent,
        };
        let after = match one.after {
            After::File(owned) => PathState::File { content, owned },
            After::State(state) => state,
            After::Stuck => continue,
        };
        let enclosed = sight.enclosed.contains(one.inner);
        changes.push(Change::Path { path: one.path, before, after, enclosed });
    }
    Ok(changes)
}
