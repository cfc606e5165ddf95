//! `daemon_config`: a key of the engine's daemon.json, which the engine must be able to read.

use crate::compliance::kind::key_value::{self, rewritten};
use crate::compliance::kind::{Judgement, Sight};
use crate::reconcile::desired::rule::kind::KeyValueRule;

/// What a rule sees of the engine's settings.
#[derive(Debug)]
pub struct DaemonSight<'a> {
    /// The file.
    pub file: Sight<'a>,
    /// What dockerd says of the text that would land, where there is one to ask.
    pub syntax: Result<(), String>,
}

/// The text that would land; none if nothing would.
pub fn daemon_text(rule: &KeyValueRule, sight: &Sight<'_>) -> Option<String> {
    rewritten(rule, sight)
}

/// Judges it: what dockerd refuses never lands.
pub(super) fn judge(rule: &KeyValueRule, sight: &DaemonSight<'_>) -> Judgement {
    match (key_value::judge(rule, &sight.file), &sight.syntax) {
        (Judgement::NotOk { expected, actual, fix: Ok(_) }, Err(reason)) => {
            Judgement::NotOk { expected, actual, fix: Err(reason.clone()) }
        }
        (judgement, _) => judgement,
    }
}
