//! Which failures are known: each kind of a version's is told once, however often it is tried.
//!
//! In: outcomes. Out: whether one is news; why each service could not be changed. Pure.
//!
//! # Guarantees
//! * What one service adds to the journal by failing is bounded by what can fail of a version, not by
//!   how often that is tried, nor by words that change with each try.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};

use crate::model::{ContainerName, Digest, ServiceName};
use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult};
use crate::reconcile::plan::{Plan, Step};

/// Versions of one service whose failures are known: the newest, the one that heals, and those that
/// quick commits bring in between.
const VERSIONS_MAX: usize = 4;

/// Failures of services, until these are as they should be.
#[derive(Debug, Clone, Default)]
pub struct Failures(BTreeMap<ServiceName, Known>);

/// A version by its whole hash; none is no version at all: a removal.
type Version = Option<Digest>;

#[derive(Debug, Clone, Default)]
struct Known {
    /// What was told, by version, the newest last.
    told: Vec<(Version, Vec<Kind>)>,
    /// Why the service could not be changed last; to which version.
    last: Option<(Version, String)>,
}

/// What tells failures of one version apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    class: FailureClass,
    /// What was done, and for which container.
    step: Option<(Discriminant<Step>, Option<ContainerName>)>,
}

/// Whether an outcome is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It is.
    New,
    /// It failed like this before.
    Known,
}

impl Failures {
    /// Takes in what came of a service.
    pub fn learn(&mut self, outcome: &ServiceOutcome) -> Novelty {
        let (service, version) = (&outcome.service, version(outcome));
        match &outcome.result {
            ServiceResult::Failed { class, reason } => {
                let known = self.0.entry(service.clone()).or_default();
                known.last = Some((version, reason.clone()));
                return known.tell(version, Kind::of(*class, outcome));
            }
            ServiceResult::Waiting { .. } | ServiceResult::Interrupted => {}
            ServiceResult::Applied => drop(self.0.remove(service)),
            // The version before the newest may be healed as often as it takes.
            ServiceResult::Repaired | ServiceResult::Removed => {
                if let Some(known) = self.0.get_mut(service) {
                    known.told.retain(|(failed, _)| *failed != version);
                    known.last.take_if(|(failed, _)| *failed == version);
                }
            }
        }
        Novelty::New
    }

    /// Forgets services of which nothing is `left` to be done, nor held.
    pub fn keep(&mut self, left: &Plan) {
        let is_left = |name: &ServiceName| {
            left.services.iter().any(|service| service.service == *name)
                || left.held.iter().any(|held| held.service == *name)
        };
        self.0.retain(|name, _| is_left(name));
    }

    /// Why, by service.
    pub fn reasons(&self) -> BTreeMap<ServiceName, String> {
        let last = |known: &Known| known.last.as_ref().map(|(_, reason)| reason.clone());
        self.0.iter().filter_map(|(name, known)| Some((name.clone(), last(known)?))).collect()
    }
}

fn version(outcome: &ServiceOutcome) -> Version {
    outcome.target.as_ref().map(|target| target.whole)
}

impl Known {
    fn tell(&mut self, version: Version, kind: Kind) -> Novelty {
        let Some((_, kinds)) = self.told.iter_mut().find(|(failed, _)| *failed == version) else {
            if self.told.len() == VERSIONS_MAX {
                self.told.remove(0);
            }
            self.told.push((version, vec![kind]));
            return Novelty::New;
        };
        if kinds.contains(&kind) {
            return Novelty::Known;
        }
        kinds.push(kind);
        Novelty::New
    }
}

impl Kind {
    fn of(class: FailureClass, outcome: &ServiceOutcome) -> Self {
        let failed = outcome.steps.iter().find(|step| step.error.is_some());
        let step = failed.map(|failed| (discriminant(&failed.step), container(&failed.step)));
        Self { class, step }
    }
}

fn container(step: &Step) -> Option<ContainerName> {
    match step {
        Step::Create { container, .. }
        | Step::Start { container, .. }
        | Step::Await { container, .. }
        | Step::RunOnce { container, .. } => Some(container.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::agent::failures::{Failures, Novelty, VERSIONS_MAX};
    use crate::model::{Digest, Revision};
    use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult, StepOutcome};
    use crate::reconcile::plan::{Held, HeldReason, Plan, Step, Target};

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

    /// A version whose container does not start, in these words.
    fn fails(version: &str, container: &str, words: &str) -> ServiceOutcome {
        let step = Step::Start {
            container: container.parse().unwrap(),
            name: format!("app1.prd-{container}"),
            paused: false,
            binds: [].into(),
        };
        let (error, reason) = (Some(words.to_owned()), words.to_owned());
        let steps = vec![StepOutcome { step, error, took: Duration::ZERO }];
        let failed = ServiceResult::Failed { class: FailureClass::Transient, reason };
        ServiceOutcome { steps, ..outcome(version, failed) }
    }

    fn lacks(version: &str) -> ServiceOutcome {
        let reason = "manifest unknown".to_owned();
        outcome(version, ServiceResult::Failed { class: FailureClass::Hub, reason })
    }

    #[test]
    fn a_failure_is_told_once_for_each_version_and_kind_as_long_as_the_service_is_held() {
        use Novelty::{Known, New};
        let reason = HeldReason::Hub { reason: "manifest unknown".to_owned() };
        let held = Held { service: "app1".parse().unwrap(), reason, revision: revision() };
        let left = Plan { revision: revision(), services: Vec::new(), held: vec![held] };
        let mut known = Failures::default();
        for (what, outcome, novelty) in [
            ("it fails", lacks("v2"), New),
            ("it is tried again", lacks("v2"), Known),
            ("the one before it does not heal", fails("v1", "web", "port 40001 is taken"), New),
            ("it is tried again", lacks("v2"), Known),
            ("in other words", fails("v1", "web", "port 40002 is taken"), Known),
            ("another container", fails("v1", "db", "port 40002 is taken"), New),
            ("the first again", fails("v1", "web", "port 40003 is taken"), Known),
            ("for another reason", fails("v2", "web", "no route to host"), New),
            ("it is tried again", lacks("v2"), Known),
            ("the one before it is healed", outcome("v1", ServiceResult::Repaired), New),
            ("it is tried again", lacks("v2"), Known),
            ("the one before it is ill again", fails("v1", "web", "port 40004 is taken"), New),
            ("another fails", lacks("v3"), New),
            ("it is applied", outcome("v3", ServiceResult::Applied), New),
            ("it fails after all", lacks("v3"), New),
        ] {
            assert_eq!(known.learn(&outcome), novelty, "{what}");
            known.keep(&left);
            let is_applied = outcome.result == ServiceResult::Applied;
            assert_eq!(known.reasons().is_empty(), is_applied, "{what}");
        }
        known.keep(&Plan { held: Vec::new(), ..left });
        assert!(known.reasons().is_empty(), "nothing is left to be done");
    }

    #[test]
    fn what_is_known_of_one_service_does_not_grow_with_its_versions() {
        let mut known = Failures::default();
        for version in 0..100 {
            assert_eq!(known.learn(&lacks(&version.to_string())), Novelty::New);
        }
        assert_eq!(known.0.values().next().unwrap().told.len(), VERSIONS_MAX);
        assert_eq!(known.learn(&lacks("99")), Novelty::Known);
    }
}
