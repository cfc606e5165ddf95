//! `hub_login`: the node's own credentials for its hub.

use crate::compliance::facts::{FactValue, Row};
use crate::compliance::kind::{FactSight, Judgement};
use crate::reconcile::desired::rule::kind::HubLoginRule;

/// What the hub answers to credentials that are good.
pub const ACCEPTED: &str = "accepted";
/// How an answer begins that says nothing about the credentials.
pub const NO_ANSWER: &str = "no answer";

/// Judges it.
pub(super) fn judge(rule: &HubLoginRule, sight: FactSight<'_>) -> Judgement {
    let row: &Row = match sight.rows("hub_login") {
        Ok([row, ..]) => row,
        Ok([]) => return Judgement::NotApplicable { reason: "there is no hub".to_owned() },
        Err(reason) => return Judgement::Error { reason },
    };
    let (hub, file, answer) = (row.text("hub"), row.text("file"), row.text("answer"));
    let expected = if rule.verify {
        format!("{hub} accepts the node's credentials, and nobody else can read them")
    } else {
        format!("credentials for {hub}, and nobody else can read them")
    };
    let not_ok = |actual: String, remedy: &str| Judgement::NotOk {
        expected: expected.clone(),
        actual,
        fix: Err(remedy.to_owned()),
    };
    if file.is_empty() {
        let actual = "no credentials are configured".to_owned();
        return not_ok(actual, "`[hub] credentials` in agent.toml names their file");
    }
    if row.get("others") == Some(&FactValue::Boolean(true)) {
        let actual = format!("others can read {file}");
        return not_ok(actual, &format!("chmod 0600 {file}, and renew them: others saw them"));
    }
    let Some(said) = row.get("answer").map(|_| answer) else {
        return Judgement::Error { reason: format!("{file} could not be looked at") };
    };
    if said == ACCEPTED || (!rule.verify && said.starts_with(NO_ANSWER)) {
        return Judgement::Ok { expected };
    }
    if said.starts_with(NO_ANSWER) {
        return Judgement::Error { reason: said.to_owned() };
    }
    not_ok(said.to_owned(), &format!("put the hub's credentials for this node into {file}"))
}
