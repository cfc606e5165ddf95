//! `file`: content, mode and owner of a regular file.

use std::sync::Arc;

use crate::compliance::change::is_hidden;
use crate::compliance::kind::owned::{differences, joined, wanted, without_another_s_powers};
use crate::compliance::kind::{Judgement, Sight, too_large};
use crate::model::Digest;
use crate::model::PathState;
use crate::reconcile::desired::rule::kind::FileRule;

/// What a new file may be read by, unless the rule says otherwise.
const MODE: u32 = 0o644;

/// Judges it. Without a content the file is not read: whatever is in it stays.
pub(super) fn judge(rule: &FileRule, sight: &Sight<'_>) -> Judgement {
    let owned = match &sight.state {
        PathState::File { owned, .. } | PathState::Unread { owned } => Some(*owned),
        _ => None,
    };
    let target = match wanted(&rule.access, owned, MODE, sight) {
        Ok(target) => without_another_s_powers(&rule.access, owned, target),
        Err(reason) => return Judgement::Error { reason },
    };
    let wants = rule.content.as_ref().map(|content| &content.0);
    let after = match (wants, &sight.state) {
        (None, PathState::Unread { .. }) => PathState::Unread { owned: target },
        (None, PathState::File { content, .. }) | (Some(content), _) => {
            PathState::File { content: Arc::clone(content), owned: target }
        }
        (None, _) => PathState::File { content: Arc::default(), owned: target },
    };
    let Some(owned) = owned else {
        let fix = match &sight.state {
            PathState::Directory { .. } => Err("a directory is in its place".to_owned()),
            PathState::Special => Err("a device, pipe or socket is in its place".to_owned()),
            PathState::Symlink { .. } if wants.is_none() => {
                Err("a symbolic link is in its place, and the rule has no content".to_owned())
            }
            _ => Ok(sight.change(&rule.path, after)),
        };
        let expected = format!("a file, mode {:04o}", target.mode);
        return Judgement::NotOk { expected, actual: sight.state.noun().to_owned(), fix };
    };
    let hidden = is_hidden(&after) || sight.is_hidden();
    let mut found = differences(target, owned);
    if let (PathState::File { content: new, .. }, PathState::File { content, .. }) =
        (&after, &sight.state)
        && new != content
    {
        found.insert(0, contents(new, content, hidden));
    }
    let fix = match (&after, &sight.state) {
        (PathState::File { .. }, PathState::Unread { .. }) => {
            found.insert(0, ("the rule's content".to_owned(), "a larger file".to_owned()));
            Err(too_large())
        }
        _ => Ok(sight.change(&rule.path, after)),
    };
    if found.is_empty() {
        let expected = format!("{} as written, mode {:04o}", rule.path, owned.mode);
        return Judgement::Ok { expected };
    }
    let (expected, actual) = joined(found);
    Judgement::NotOk { expected, actual, fix }
}

fn contents(new: &[u8], old: &[u8], hidden: bool) -> (String, String) {
    if hidden {
        return ("the rule's content".to_owned(), "other content".to_owned());
    }
    let shown =
        |bytes: &[u8]| format!("sha256:{}, {} bytes", Digest::of(bytes).short(), bytes.len());
    (shown(new), shown(old))
}
