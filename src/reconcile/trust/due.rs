//! From when each commit of a chain counts, as far as history alone can say.
//!
//! In: [`Moment`]s of a whole chain. Out: the same with their `counts_from`. Pure.
//!
//! This is what `hold` finds out for one instant, solved for the first instant at which nothing
//! holds a commit any more. A node goes by when it saw a source itself; history, by the source's own
//! time.
//!
//! # Guarantees
//! * At any time, the last commit that counts from then or earlier is what a node adopts that saw
//!   nothing of the branches below.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::CommitId;
use crate::reconcile::trust::claim::Scope;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::past::Moment;
use crate::reconcile::trust::verdict::Origin;

/// Until when each commit waits, wrappers included.
type Waiting = HashMap<CommitId, Timestamp>;

/// Finds from when each of `moments` counts. Their wrappers are known.
pub(in crate::reconcile::trust) fn settle(moments: &mut [Moment]) {
    let mut waiting = Waiting::new();
    let (mut until, mut latest) = (Timestamp::MIN, Timestamp::MIN);
    for moment in moments.iter_mut() {
        until = waits(moment, until, &waiting);
        let ids = std::iter::once(moment.commit).chain(moment.landed_by);
        waiting.extend(ids.map(|id| (id, until)));
        latest = latest.max(moment.time);
        moment.counts_from = Some(latest.max(until));
    }
    let mut soonest = Timestamp::MAX;
    let mut merge: Option<(CommitId, Timestamp)> = None;
    for moment in moments.iter_mut().rev() {
        let mut from = moment.since();
        if let Some(id) = moment.landed_by {
            // What a merge lands counts with the merge.
            from = merge.filter(|merge| merge.0 == id).map_or(from, |merge| merge.1);
            merge = Some((id, from));
        }
        moment.counts_from = (from <= soonest).then_some(from);
        soonest = soonest.min(from);
    }
}

/// Until when a commit waits, on top of one that waits until `before`.
fn waits(moment: &Moment, before: Timestamp, waiting: &Waiting) -> Timestamp {
    let Some(accepted) = &moment.accepted else { return before };
    match (accepted.kind, accepted.claim.source) {
        (CommitKind::Rollback, Some(target)) => {
            let until = waiting.get(&target).copied().unwrap_or(Timestamp::MIN);
            if accepted.claim.scope == Scope::Everything { until } else { until.max(before) }
        }
        _ => accepted.origin.as_ref().map_or(before, |origin| before.max(soaked(origin))),
    }
}

/// When a source has rested long enough.
fn soaked(origin: &Origin) -> Timestamp {
    if origin.soak_secs == 0 {
        return Timestamp::MIN;
    }
    let soak = SignedDuration::from_secs(i64::try_from(origin.soak_secs).unwrap_or(i64::MAX));
    origin.time.checked_add(soak).unwrap_or(Timestamp::MAX)
}
