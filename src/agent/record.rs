//! What a pass did, as journal records.
//!
//! In: outcomes, news of a belief. Out: [`Record`]s. Pure.

use std::time::Duration;

use crate::agent::belief::News;
use crate::agent::failures::{Failures, Novelty};
use crate::model::{EnvironmentName, Revision, ServiceName};
use crate::reconcile::apply::{ServiceOutcome, ServiceResult, StepOutcome};
use crate::reconcile::report::{End, Record};

/// Records of what was done. A failure of a kind that `known` has already is not told again.
pub fn of_outcomes(outcomes: &[ServiceOutcome], known: &mut Failures) -> Vec<Record> {
    let told = outcomes.iter().filter_map(|outcome| {
        let novelty = known.learn(outcome);
        let error = match &outcome.result {
            ServiceResult::Waiting { .. } => return None,
            // It had not begun.
            ServiceResult::Interrupted if outcome.steps.is_empty() => return None,
            ServiceResult::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        if novelty == Novelty::Known {
            return None;
        }
        Some(Record {
            what: what(outcome).to_owned(),
            service: Some(outcome.service.clone()),
            revision: outcome.target.as_ref().map(|target| target.revision.clone()),
            why: outcome.reasons.iter().map(ToString::to_string).collect(),
            steps: outcome.steps.iter().map(step).collect(),
            error,
            trigger: outcome.trigger.clone(),
            duration_ms: millis(outcome.took),
            unverified: false,
        })
    });
    told.collect()
}

/// What came to an end for a service, and how; none if nothing did.
pub(crate) fn end_of(outcome: &ServiceOutcome) -> Option<(&'static str, End)> {
    let end = match &outcome.result {
        ServiceResult::Interrupted | ServiceResult::Waiting { .. } => return None,
        ServiceResult::Failed { .. } => End::Failed,
        _ => End::Done,
    };
    Some((what(outcome), end))
}

fn what(outcome: &ServiceOutcome) -> &'static str {
    match outcome.result {
        ServiceResult::Interrupted => "set aside",
        _ if outcome.is_way_back() => "rollback",
        ServiceResult::Repaired => "repair",
        ServiceResult::Removed => "remove",
        ServiceResult::Failed { .. } if outcome.target.is_none() => "remove",
        ServiceResult::Applied | ServiceResult::Failed { .. } | ServiceResult::Waiting { .. } => {
            "apply"
        }
    }
}

fn step(step: &StepOutcome) -> String {
    let took = millis(step.took);
    match &step.error {
        None => format!("{} ({took} ms)", step.step),
        Some(error) => format!("! {} ({took} ms): {error}", step.step.words()),
    }
}

/// Records of commits that were newly believed or refused.
pub fn of_news(
    news: &News,
    environment: &EnvironmentName,
    trigger: &str,
    took: Duration,
) -> Vec<Record> {
    let record = |what: &str, commit, why, error| Record {
        what: what.to_owned(),
        service: None,
        revision: Some(Revision::Commit { environment: environment.clone(), commit }),
        why,
        steps: Vec::new(),
        error,
        trigger: trigger.to_owned(),
        duration_ms: millis(took),
        unverified: false,
    };
    let verified = news.verified.map(|(commit, n_accepted)| {
        let why = match n_accepted {
            0 => "it is the anchor, or was verified before".to_owned(),
            1 => "1 commit is good".to_owned(),
            n => format!("{n} commits are good"),
        };
        record("verify", commit, vec![why], None)
    });
    let refused = news.refused.as_ref().map(|refusal| {
        let why = vec![refusal.remedy.clone()];
        record("refuse", refusal.commit, why, Some(refusal.reason.clone()))
    });
    verified.into_iter().chain(refused).collect()
}

/// A record of what an operator asked for.
pub fn of_operator(what: &str, service: Option<&ServiceName>, why: &str) -> Record {
    Record {
        what: what.to_owned(),
        service: service.cloned(),
        revision: None,
        why: vec![why.to_owned()],
        steps: Vec::new(),
        error: None,
        trigger: "operator".to_owned(),
        duration_ms: 0,
        unverified: false,
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
