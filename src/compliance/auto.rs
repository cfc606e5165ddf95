//! What the agent may mend by itself: `fix = "auto"`.
//!
//! In: a rule, its windows, earlier fixes, a time. Out: yes, or why not. Pure.
//!
//! # Guarantees
//! * Only while the rule's, its service's and the environment's windows are open together, and in no
//!   freeze.
//! * At most [`FIXES_MAX`] times in [`SPAN`] for one rule and target: what does not stay mended is
//!   reported as fought over, and left. At most [`NODE_FIXES_MAX`] times in all.
//! * A clock that jumps never takes away more than one such span, nor adds more than one.

use jiff::Timestamp;

use crate::compliance::record::{FixRecord, FixResult, FixedBy};
use crate::model::schedule::shut_at;
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::{FixPolicy, Rule, Target};

pub use crate::compliance::record::COUNTED as SPAN;

/// So often the agent mends one thing in [`SPAN`].
pub const FIXES_MAX: usize = 3;
/// So often it mends anything in [`SPAN`]: more is wrong with no node, and each is a record that is
/// kept as long.
pub const NODE_FIXES_MAX: usize = 5_000;

/// How it begins what it says of a rule that does not stay mended.
pub const FOUGHT_OVER: &str = "fought over";

/// Whether the agent may mend what `rule` finds for `target`.
///
/// # Errors
/// Why not, for people.
pub fn may_mend(
    rule: &Rule,
    target: &str,
    desired: &DesiredState,
    earlier: &[FixRecord],
    now: Timestamp,
) -> Result<(), String> {
    if rule.fix != FixPolicy::Auto {
        return Err("an operator mends it: `tidegate fix`".to_owned());
    }
    if let Some(freeze) = desired.freezes.iter().find(|freeze| freeze.covers(now)) {
        return Err(format!("mended after {}: freeze, {}", freeze.to, freeze.reason));
    }
    let service = match &rule.target {
        Target::Service(name) => desired.services.get(name),
        Target::Node => None,
    };
    let of_service = service.map(|service| &service.update.windows);
    let sets = [Some(&desired.windows), of_service, Some(&rule.windows)].into_iter().flatten();
    if let Some(shut) = shut_at(sets, now) {
        let next = shut.opens.map_or_else(String::new, |at| format!(", which opens {at}"));
        return Err(format!("mended in its window{next}"));
    }
    let id = rule.id.to_string();
    let recent = earlier.iter().filter(|record| record.by == FixedBy::Agent && record.counts(now));
    let recent: Vec<&FixRecord> = recent.collect();
    if recent.len() >= NODE_FIXES_MAX {
        return Err(format!("{NODE_FIXES_MAX} times something was mended here within a day"));
    }
    let of_it = |record: &&FixRecord| record.rule == id && record.target == target;
    let recent: Vec<&FixRecord> = recent.into_iter().filter(of_it).collect();
    let (Some(first), true) = (recent.first(), recent.len() >= FIXES_MAX) else { return Ok(()) };
    let (n, since) = (recent.len(), first.at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    if recent.iter().all(|record| record.result == FixResult::Fixed) {
        return Err(format!(
            "{FOUGHT_OVER}: mended {n} times since {since}, and something on this host undoes it; \
             `tidegate fix` mends it once more"
        ));
    }
    Err(format!("tried {n} times since {since} in vain; `tidegate fix list` says why"))
}
