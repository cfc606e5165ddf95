//! `directory`: a directory with this mode and owner.

use crate::compliance::kind::owned::{differences, joined, wanted};
use crate::compliance::kind::{Judgement, Sight};
use crate::model::PathState;
use crate::reconcile::desired::rule::kind::DirectoryRule;

/// What a new directory may be used by, unless the rule says otherwise.
const MODE: u32 = 0o755;

/// Judges it.
pub(super) fn judge(rule: &DirectoryRule, sight: &Sight<'_>) -> Judgement {
    let owned = match &sight.state {
        PathState::Directory { owned } => Some(*owned),
        _ => None,
    };
    let target = match wanted(&rule.access, owned, MODE, sight) {
        Ok(target) => target,
        Err(reason) => return Judgement::Error { reason },
    };
    let after = PathState::Directory { owned: target };
    let Some(owned) = owned else {
        let fix = match &sight.state {
            PathState::Absent => Ok(sight.change(&rule.path, after)),
            other => Err(format!("{} is in its place", other.noun())),
        };
        let expected = format!("a directory, mode {:04o}", target.mode);
        return Judgement::NotOk { expected, actual: sight.state.noun().to_owned(), fix };
    };
    let found = differences(target, owned);
    if found.is_empty() {
        return Judgement::Ok { expected: format!("a directory, mode {:04o}", owned.mode) };
    }
    let (expected, actual) = joined(found);
    Judgement::NotOk { expected, actual, fix: Ok(sight.change(&rule.path, after)) }
}
