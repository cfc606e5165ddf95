//! What the agent may mend by itself: `fix = "auto"`.
//!
//! In: a rule, its windows, earlier fixes, a time. Out: yes, or why not. Pure.
//!
//! # Guarantees
//! * Only inside the rule's and the environment's windows, and in no freeze.
//! * At most [`FIXES_MAX`] times in [`SPAN`] for one rule and target: what does not stay mended is
//!   reported as fought over, and left.

use jiff::{SignedDuration, Timestamp};

use crate::compliance::record::{FixRecord, FixResult, FixedBy};
use crate::model::Window;
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::{FixPolicy, Rule};

/// So often the agent mends one thing in [`SPAN`].
pub const FIXES_MAX: usize = 3;
/// The time that fixes are counted over.
pub const SPAN: SignedDuration = SignedDuration::from_hours(24);

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
    for windows in [&desired.windows, &rule.windows] {
        let closed = !windows.is_empty() && !windows.iter().any(|window| window.is_open(now));
        if closed {
            let next = windows.iter().filter_map(|window: &Window| window.next_open(now)).min();
            let next = next.map_or_else(String::new, |next| format!(", which opens {next}"));
            return Err(format!("mended in its window{next}"));
        }
    }
    let id = rule.id.to_string();
    let recent = earlier.iter().filter(|record| {
        record.by == FixedBy::Agent
            && record.rule == id
            && record.target == target
            && now.duration_since(record.at) < SPAN
    });
    let recent: Vec<&FixRecord> = recent.collect();
    let (Some(first), true) = (recent.first(), recent.len() >= FIXES_MAX) else { return Ok(()) };
    let (n, since) = (recent.len(), first.at);
    if recent.iter().all(|record| record.result == FixResult::Fixed) {
        return Err(format!(
            "{FOUGHT_OVER}: mended {n} times since {since}, and something on this host undoes it; \
             `tidegate fix` mends it once more"
        ));
    }
    Err(format!("tried {n} times since {since} in vain; `tidegate fix list` says why"))
}
