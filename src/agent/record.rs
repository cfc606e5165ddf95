//! What a pass did, as journal records.
//!
//! In: outcomes, news of a belief. Out: [`Record`]s. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::belief::News;
use crate::model::{Digest, EnvironmentName, Revision, ServiceName};
use crate::reconcile::apply::{ServiceOutcome, ServiceResult, StepOutcome};
use crate::reconcile::plan::Plan;
use crate::reconcile::report::{End, Record};

/// Why services could not be changed, until they could; and to which version.
#[derive(Debug, Default)]
pub struct Failures(BTreeMap<ServiceName, (Option<Digest>, String)>);

impl Failures {
    /// Takes in what a pass did; `left` is what it left to be done, and held.
    pub fn learn(&mut self, outcomes: &[ServiceOutcome], left: &Plan) {
        for outcome in outcomes {
            let (service, version) = (&outcome.service, version(outcome));
            match &outcome.result {
                ServiceResult::Failed { reason, .. } => {
                    self.0.insert(service.clone(), (version, reason.clone()));
                }
                ServiceResult::Waiting { .. } | ServiceResult::Interrupted => {}
                // The version before it may be healed as often as it takes.
                _ if self.0.get(service).is_some_and(|(failed, _)| *failed != version) => {}
                _ => drop(self.0.remove(service)),
            }
        }
        let is_left = |name: &ServiceName| {
            left.services.iter().any(|service| service.service == *name)
                || left.held.iter().any(|held| held.service == *name)
        };
        self.0.retain(|name, _| is_left(name));
    }

    /// Why, by service.
    pub fn reasons(&self) -> BTreeMap<ServiceName, String> {
        self.0.iter().map(|(name, (_, reason))| (name.clone(), reason.clone())).collect()
    }

    fn knows(&self, outcome: &ServiceOutcome, reason: &str) -> bool {
        let known = self.0.get(&outcome.service);
        known.is_some_and(|(failed, why)| *failed == version(outcome) && why == reason)
    }
}

fn version(outcome: &ServiceOutcome) -> Option<Digest> {
    outcome.target.as_ref().map(|target| target.whole)
}

/// Records of what one pass did. A failure that is the same as before, as `known` has it, is not told
/// again.
pub fn of_outcomes(outcomes: &[ServiceOutcome], known: &Failures) -> Vec<Record> {
    let told = outcomes.iter().filter_map(|outcome| {
        let error = match &outcome.result {
            ServiceResult::Waiting { .. } => return None,
            // It had not begun.
            ServiceResult::Interrupted if outcome.steps.is_empty() => return None,
            ServiceResult::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        if error.as_ref().is_some_and(|reason| known.knows(outcome, reason)) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::record::{Failures, of_outcomes};
    use crate::model::{Digest, Revision};
    use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult};
    use crate::reconcile::plan::{Held, HeldReason, Plan, Target};

    fn revision() -> Revision {
        Revision::WorkTree { environment: "prd".parse().unwrap() }
    }

    /// What came of a version of app1.
    fn outcome(version: &str, result: ServiceResult) -> ServiceOutcome {
        let whole = Digest::of(version.as_bytes());
        ServiceOutcome {
            service: "app1".parse().unwrap(),
            target: Some(Target { revision: revision(), content: whole, whole }),
            reasons: Vec::new(),
            steps: Vec::new(),
            result,
            took: Duration::ZERO,
            trigger: "time".to_owned(),
        }
    }

    fn lacks(version: &str) -> ServiceOutcome {
        let reason = "manifest unknown".to_owned();
        outcome(version, ServiceResult::Failed { class: FailureClass::Hub, reason })
    }

    #[test]
    fn a_failure_is_told_once_for_each_version_as_long_as_that_is_held_for_it() {
        let reason = HeldReason::Hub { reason: "manifest unknown".to_owned() };
        let held = Held { service: "app1".parse().unwrap(), reason, revision: revision() };
        let left = Plan { revision: revision(), services: Vec::new(), held: vec![held] };
        let mut known = Failures::default();
        for (what, outcome, n_told) in [
            ("it fails", lacks("v2"), 1),
            ("it is tried again", lacks("v2"), 0),
            ("the one before it is healed", outcome("v1", ServiceResult::Repaired), 1),
            ("it is tried again", lacks("v2"), 0),
            ("another fails", lacks("v3"), 1),
            ("it is applied", outcome("v3", ServiceResult::Applied), 1),
            ("it fails after all", lacks("v3"), 1),
        ] {
            let outcomes = [outcome];
            assert_eq!(of_outcomes(&outcomes, &known).len(), n_told, "{what}");
            known.learn(&outcomes, &left);
            let is_applied = outcomes[0].result == ServiceResult::Applied;
            assert_eq!(known.reasons().is_empty(), is_applied, "{what}");
        }
        known.learn(&[], &Plan { held: Vec::new(), ..left });
        assert!(known.reasons().is_empty(), "nothing is left to be done");
    }
}
