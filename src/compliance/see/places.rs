//! Mounts, and where an archive's members should lie.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::compliance::kind::{ArchiveSight, MemberSeen, MountSight, is_in_fstab};
use crate::compliance::see::{Eyes, look, once, said};
use crate::model::archive::Member;
use crate::model::{Digest, HostPath, MountSeen, PathState};
use crate::reconcile::desired::rule::RuleId;
use crate::reconcile::desired::rule::kind::{ArchiveRule, MountRule};

/// Where mounts are kept for the next boot.
const FSTAB: &str = "/etc/fstab";
/// What lies in the place of an archive's members is kept as a backup, all of it in memory.
const OTHERS_BYTES_MAX: usize = 32 * 1024 * 1024;

impl Eyes<'_> {
    pub(super) fn mount<'b>(
        &'b self,
        rule: &MountRule,
        id: &'b RuleId,
    ) -> Result<MountSight<'b>, String> {
        let host = self.input.host;
        let all = once(&self.mounts, || host.mounts())?;
        let live = all.iter().rfind(|seen| seen.path == rule.path.as_str());
        let is_wanted = match (&rule.wish, live) {
            (Some(wish), Some(live)) => {
                host.is_mount_of(live, &wish.source, &wish.kind).map_err(said)?
            }
            _ => false,
        };
        let fstab: HostPath = FSTAB.parse().map_err(said)?;
        let file = self.sight(&fstab, id)?;
        if rule.wish.is_none() && live.is_none() {
            self.is_nowhere(&rule.path, all, &file.state)?;
        }
        Ok(MountSight {
            live: live.cloned(),
            is_wanted,
            shows: live.and_then(|live| live.shown_folder(all)),
            place: live.is_none().then(|| self.sight(&rule.path, id)).transpose()?,
            fstab: (fstab, file),
        })
    }

    /// Refuses to say that nothing is mounted at a path which leads to where something is, or will be.
    fn is_nowhere(
        &self,
        path: &HostPath,
        all: &[MountSeen],
        fstab: &PathState,
    ) -> Result<(), String> {
        let there = self.input.host.leads_to(path.as_str()).map_err(said)?;
        let Ok(there) = there.parse::<HostPath>() else {
            return Ok(());
        };
        let text = match fstab {
            PathState::File { content, .. } => String::from_utf8_lossy(content),
            _ => Cow::Borrowed(""),
        };
        let is_mounted = all.iter().any(|seen| seen.path == there.as_str());
        if there != *path && (is_mounted || is_in_fstab(&text, &there)) {
            return Err(format!("{path} leads by a link to {there}: say that path in the rule"));
        }
        Ok(())
    }

    pub(super) fn archive<'b>(
        &'b self,
        rule: &'b ArchiveRule,
        id: &'b RuleId,
    ) -> Result<ArchiveSight<'b>, String> {
        let mut members = BTreeMap::new();
        let mut enclosed = BTreeSet::new();
        let mut bytes_left = OTHERS_BYTES_MAX;
        for (inner, member) in &rule.members {
            let path = rule.path.below(inner).ok_or("its path is too long")?;
            let state = look(self.input.host, &path).map_err(said)?;
            let seen = match (member, &state) {
                (Member::File { digest, .. }, PathState::File { content, owned })
                    if Digest::of(content) == *digest =>
                {
                    MemberSeen::Same(*owned)
                }
                (_, PathState::File { content, .. }) => {
                    bytes_left = bytes_left.checked_sub(content.len()).ok_or_else(|| {
                        format!("more than {OTHERS_BYTES_MAX} bytes lie in {} instead", rule.path)
                    })?;
                    MemberSeen::Other(state)
                }
                _ => MemberSeen::Other(state),
            };
            if self.is_enclosed(&path)? {
                enclosed.insert(inner.as_str());
            }
            members.insert(inner.as_str(), seen);
        }
        Ok(ArchiveSight { folder: self.sight(&rule.path, id)?, members, enclosed })
    }
}
