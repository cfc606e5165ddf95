//! `unmanaged_container`: no containers but those of services.

use crate::compliance::kind::{FactSight, Judgement, listed};
use crate::compliance::matching::like;
use crate::reconcile::desired::rule::kind::UnmanagedContainerRule;

/// Judges it.
pub(super) fn judge(rule: &UnmanagedContainerRule, sight: FactSight<'_>) -> Judgement {
    let rows = match sight.rows("container") {
        Ok(rows) => rows,
        Err(reason) => return Judgement::Error { reason },
    };
    let foreign = rows.iter().filter(|row| row.text("service").is_empty());
    let known = |name: &str| rule.except.iter().any(|pattern| like(pattern, name));
    let found: Vec<String> = foreign
        .filter(|row| !known(row.text("name")))
        .map(|row| format!("{} ({}, {})", row.text("name"), row.text("image"), row.text("state")))
        .collect();
    let expected = if rule.except.is_empty() {
        "only containers of services".to_owned()
    } else {
        format!("only containers of services, and {}", rule.except.join(", "))
    };
    if found.is_empty() {
        return Judgement::Ok { expected };
    }
    let fix = Err("what is not ours is never touched: remove it, or make it a service".to_owned());
    Judgement::NotOk { expected, actual: listed(&found), fix }
}
