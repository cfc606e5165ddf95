//! `symlink`: a symbolic link that says this.

use crate::compliance::change::describe;
use crate::compliance::kind::{Judgement, Sight};
use crate::model::PathState;
use crate::reconcile::desired::rule::kind::SymlinkRule;

/// Judges it. A file or folder in its place is not taken away: it may be all there is of something.
pub(super) fn judge(rule: &SymlinkRule, sight: &Sight<'_>) -> Judgement {
    let after = PathState::Symlink { to: rule.to.clone() };
    let expected = describe(&after, false);
    if sight.state == after {
        return Judgement::Ok { expected };
    }
    let fix = match &sight.state {
        PathState::Absent | PathState::Symlink { .. } => Ok(sight.change(&rule.path, after)),
        other => Err(format!("{} is in its place", other.noun())),
    };
    let actual = match &sight.state {
        link @ PathState::Symlink { .. } => describe(link, false),
        other => other.noun().to_owned(),
    };
    Judgement::NotOk { expected, actual, fix }
}
