//! `file_absent`: nothing at a path.

use crate::compliance::kind::{Judgement, Sight, too_large};
use crate::model::PathState;
use crate::reconcile::desired::rule::kind::FileAbsentRule;

/// Judges it. A folder that is not empty is found out when it is removed: nothing is removed then.
pub(super) fn judge(rule: &FileAbsentRule, sight: &Sight<'_>) -> Judgement {
    let expected = format!("nothing at {}", rule.path);
    let fix = match sight.state {
        PathState::Absent => return Judgement::Ok { expected },
        PathState::Unread { .. } => Err(too_large()),
        PathState::Special => Err("devices, pipes and sockets are not removed".to_owned()),
        _ => Ok(sight.change(&rule.path, PathState::Absent)),
    };
    Judgement::NotOk { expected, actual: sight.state.noun().to_owned(), fix }
}
