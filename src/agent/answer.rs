//! What operators ask of a node, done: the same with and without a running agent.
//!
//! In: a [`Request`], a node. Out: the pass to run, and an [`Answer`]. Effect: the memory, the journal.

use std::collections::BTreeSet;

use crate::agent::AgentError;
use crate::agent::control::{Answer, AnswerResult, Request};
use crate::agent::node::{Ask, Node, Report};
use crate::agent::record;
use crate::model::ServiceName;
use crate::reconcile::apply::{ServiceOutcome, ServiceResult};
use crate::reconcile::memory::{LocalSuspension, MemoryStore as _};
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::{HeldReason, Hold, Overrides};
use crate::reconcile::report::{Health, Reach, ServiceStatus, Status, Sync, next_status};

/// Does what comes before the pass, and says which pass to run; or why the request makes no sense.
///
/// # Errors
/// When this machine's own files do not work.
pub fn before(node: &mut Node, request: &Request) -> Result<Result<Ask, Answer>, AgentError> {
    let mut overrides = Overrides::default();
    match request {
        Request::Apply { services, now, allow_removal } => {
            if let Some(refusal) = stranger(node, services) {
                return Ok(Err(refusal));
            }
            overrides.services.clone_from(services);
            overrides.now.clone_from(now);
            overrides.allow_removal.clone_from(allow_removal);
            let said = now.iter().cloned().chain(
                (!allow_removal.is_empty()).then(|| format!("removal of {}", list(allow_removal))),
            );
            let said: Vec<String> = said.collect();
            if !said.is_empty() {
                node.journal_and_log(record::of_operator("override", None, &said.join("; ")))?;
            }
        }
        Request::Suspend { service, reason, until } => {
            if let Some(refusal) = stranger(node, [service]) {
                return Ok(Err(refusal));
            }
            let at = jiff::Timestamp::now();
            let suspension = LocalSuspension { reason: reason.clone(), at, until: *until };
            node.memory.services.entry(service.clone()).or_default().suspended = Some(suspension);
            node.store.save(&node.memory).map_err(AgentError::Host)?;
            node.journal_and_log(record::of_operator("suspend", Some(service), reason))?;
        }
        Request::Resume { service } => {
            let memory = node.memory.services.get_mut(service);
            if memory.and_then(|memory| memory.suspended.take()).is_none() {
                let line = format!("{service} is not suspended on this node");
                return Ok(Err(Answer { result: AnswerResult::Senseless, lines: vec![line] }));
            }
            node.store.save(&node.memory).map_err(AgentError::Host)?;
            node.journal_and_log(record::of_operator("resume", Some(service), "resumed"))?;
        }
    }
    Ok(Ok(Ask::whole("operator", overrides, Intent::Apply)))
}

/// A service that the node knows of, or is about to.
fn is_known(node: &Node, service: &ServiceName) -> bool {
    let desired = node.belief.desired.as_ref();
    node.memory.services.contains_key(service)
        || desired.is_some_and(|desired| desired.services.contains_key(service))
}

/// Whether the repository must be read to say whether the named services exist.
pub fn needs_reading(node: &Node, request: &Request) -> bool {
    match request {
        Request::Apply { services, .. } => services.iter().any(|name| !is_known(node, name)),
        Request::Suspend { service, .. } => !is_known(node, service),
        Request::Resume { .. } => false,
    }
}

/// The answer about the first of the named services that is not there, if one is not: that it makes no
/// sense to name it, unless a revision that is not in force may have it. Without any repository to
/// read, the operator is believed.
pub fn stranger<'a>(
    node: &Node,
    named: impl IntoIterator<Item = &'a ServiceName>,
) -> Option<Answer> {
    let desired = node.belief.desired.as_ref()?;
    let stranger = named.into_iter().find(|name| !is_known(node, name))?;
    let status = next_status(node.status.as_ref(), &node.facts(Reach::Answers, None, None));
    let obstacles = obstacles(&status);
    let line = format!("no service `{stranger}` runs or should run on this node");
    let Some(result) = obstacles.iter().map(|(_, result)| *result).max() else {
        return Some(Answer { result: AnswerResult::Senseless, lines: vec![line] });
    };
    let line = format!("{line} by {}, which is in force", desired.revision);
    let obstacles = obstacles.into_iter().map(|(line, _)| line);
    Some(Answer { result, lines: std::iter::once(line).chain(obstacles).collect() })
}

fn list(names: &std::collections::BTreeSet<ServiceName>) -> String {
    names.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

/// What to say after the pass.
pub fn after(report: Option<&Report>, request: &Request) -> Answer {
    let Some(report) = report else {
        let lines = vec!["the pass did not end; the agent's log says why".to_owned()];
        return Answer { result: AnswerResult::Failed, lines };
    };
    let services = match request {
        Request::Suspend { service, .. } => return done(format!("{service} is suspended")),
        Request::Resume { service } => return done(format!("{service} is resumed")),
        Request::Apply { services, .. } => services,
    };
    let lines = obstacles(&report.status).into_iter().chain(left(report, services));
    let mut lines: Vec<String> = lines.map(|(line, _)| line).collect();
    for outcome in about(report, services) {
        let line = match &outcome.result {
            ServiceResult::Applied => "applied".to_owned(),
            ServiceResult::Repaired => "repaired".to_owned(),
            ServiceResult::Removed if outcome.is_way_back() => "stopped".to_owned(),
            ServiceResult::Removed => "removed".to_owned(),
            ServiceResult::Failed { reason, .. } => format!("failed: {reason}"),
            ServiceResult::Interrupted => "was set aside for what is wanted now".to_owned(),
            ServiceResult::Waiting { remaining } => {
                format!("failed lately, is tried again in {} s", remaining.as_secs())
            }
        };
        lines.push(format!("{} {line}", outcome.service));
    }
    Answer { result: result(report, services), lines }
}

fn done(line: String) -> Answer {
    Answer { result: AnswerResult::Done, lines: vec![line] }
}

fn is_chosen(chosen: &BTreeSet<ServiceName>, name: &ServiceName) -> bool {
    chosen.is_empty() || chosen.contains(name)
}

/// What was done about the chosen services, as it stands; what else a pass did is none of their answer.
pub fn about<'a>(
    report: &'a Report,
    chosen: &'a BTreeSet<ServiceName>,
) -> impl Iterator<Item = &'a ServiceOutcome> {
    standing(&report.outcomes).filter(|outcome| is_chosen(chosen, &outcome.service))
}

/// Outcomes that no later one of the same service says more than.
pub fn standing(outcomes: &[ServiceOutcome]) -> impl Iterator<Item = &ServiceOutcome> {
    let is_said = |(n, outcome): &(usize, &ServiceOutcome)| {
        let mut later = outcomes.iter().skip(n + 1).filter(|o| o.service == outcome.service);
        later.any(|later| says_more(later, outcome))
    };
    let standing = outcomes.iter().enumerate().filter(move |outcome| !is_said(outcome));
    standing.map(|(_, outcome)| outcome)
}

/// To wait is not to do, and neither the way back nor a repair of the version before makes up for a
/// failure.
fn says_more(later: &ServiceOutcome, earlier: &ServiceOutcome) -> bool {
    let whole = |outcome: &ServiceOutcome| outcome.target.as_ref().map(|target| target.whole);
    match later.result {
        ServiceResult::Waiting { .. } => matches!(earlier.result, ServiceResult::Waiting { .. }),
        _ if earlier.is_way_back() => true,
        _ if later.is_way_back() => false,
        ServiceResult::Repaired => whole(later) == whole(earlier),
        _ => true,
    }
}

/// How applying the chosen services ended: by the worst of what is said about it.
pub fn result(report: &Report, chosen: &BTreeSet<ServiceName>) -> AnswerResult {
    let left = left(report, chosen).into_iter().chain(obstacles(&report.status));
    let left = left.map(|(_, result)| result);
    let failed = about(report, chosen).filter(|outcome| has_failed(outcome));
    let all = left.chain(failed.map(|_| AnswerResult::Failed));
    all.max().unwrap_or(AnswerResult::Done)
}

fn has_failed(outcome: &ServiceOutcome) -> bool {
    matches!(outcome.result, ServiceResult::Failed { .. } | ServiceResult::Waiting { .. })
}

/// Chosen services that are not as they should be, though nothing failed in this pass: a line each, and
/// what that makes of the whole.
pub fn left(report: &Report, chosen: &BTreeSet<ServiceName>) -> Vec<(String, AnswerResult)> {
    let failed = about(report, chosen).filter(|outcome| has_failed(outcome));
    let told: BTreeSet<&ServiceName> = failed.map(|outcome| &outcome.service).collect();
    let is_left = |service: &ServiceStatus| match service.sync {
        Sync::Held | Sync::OutOfSync => true,
        Sync::Synced => is_ill(service),
        Sync::Unknown => false,
    };
    let left = report.status.services.iter().filter(|(name, service)| {
        is_chosen(chosen, name) && !told.contains(name) && is_left(service)
    });
    left.map(|(name, service)| (line(name, service), weight(service))).collect()
}

fn line(name: &ServiceName, service: &ServiceStatus) -> String {
    match service.sync {
        Sync::Held => format!("{name} is held: {}", service.reason),
        Sync::Synced => format!("{name} does not run as it should: {}", service.reason),
        _ => format!("{name} differs: {}", service.reason),
    }
}

fn is_ill(service: &ServiceStatus) -> bool {
    matches!(service.health, Health::Degraded | Health::Missing)
}

fn weight(service: &ServiceStatus) -> AnswerResult {
    match service.held.as_ref().map(HeldReason::hold) {
        Some(Hold::Denied) => AnswerResult::Denied,
        Some(Hold::Fails) => AnswerResult::Failed,
        Some(Hold::Waits) if is_ill(service) => AnswerResult::Failed,
        None if service.sync == Sync::Synced => AnswerResult::Failed,
        Some(Hold::Waits) | None => AnswerResult::Left,
    }
}

/// What keeps the node as a whole from its work, a line each.
pub fn troubles(status: &Status) -> Vec<String> {
    let mistakes = status.configuration.iter().flat_map(|fault| &fault.mistakes);
    let mut lines: Vec<String> =
        mistakes.map(|mistake| format!("the revision cannot be used: {mistake}")).collect();
    for (what, outage) in [("git", &status.git), ("the engine", &status.engine)] {
        lines.extend(outage.as_ref().map(|o| format!("{what} is unreachable: {}", o.reason)));
    }
    lines
}

/// The good commit that waits, if one does, in a line.
pub fn waits(status: &Status) -> Option<String> {
    let waits = status.waits.as_ref()?;
    Some(format!("{} waits until {}: {}", waits.commit, waits.until, waits.reason))
}

/// The same, and what keeps the branch's tip from being in force; and what that makes of the whole.
fn obstacles(status: &Status) -> Vec<(String, AnswerResult)> {
    let troubles = troubles(status).into_iter().map(|line| (line, AnswerResult::Failed));
    let waits = waits(status).into_iter().map(|line| (line, AnswerResult::Left));
    let refused = status.refused.iter().flat_map(|refused| {
        let why = format!("refused {}: {}", refused.commit, refused.reason);
        [why, format!("what to do: {}", refused.remedy)].map(|line| (line, AnswerResult::Refused))
    });
    troubles.chain(waits).chain(refused).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::json;

    use crate::agent::answer::{after, weight};
    use crate::agent::control::{AnswerResult, Request};
    use crate::agent::node::Report;
    use crate::model::{Revision, ServiceName};
    use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult};
    use crate::reconcile::plan::Reason;
    use crate::reconcile::report::ServiceStatus;

    fn name(name: &str) -> ServiceName {
        name.parse().unwrap()
    }

    fn outcome(service: &str, result: ServiceResult) -> ServiceOutcome {
        ServiceOutcome {
            service: name(service),
            target: None,
            reasons: Vec::new(),
            steps: Vec::new(),
            result,
            took: Duration::ZERO,
            trigger: "operator".to_owned(),
        }
    }

    #[test]
    fn an_answer_is_about_the_services_that_were_asked_for() {
        let reason = "no route to host".to_owned();
        let failed = ServiceResult::Failed { class: FailureClass::Transient, reason };
        let outcomes = vec![outcome("app1", failed), outcome("app4", ServiceResult::Applied)];
        let report = report(&json!({}), outcomes);
        let apply = |names: &[&str]| Request::Apply {
            services: names.iter().map(|service| name(service)).collect(),
            now: None,
            allow_removal: [].into(),
        };
        let (failed, applied) = ("app1 failed: no route to host", "app4 applied");
        for (request, result, lines) in [
            (apply(&[]), AnswerResult::Failed, &[failed, applied][..]),
            (apply(&["app1"]), AnswerResult::Failed, &[failed]),
            (apply(&["app4"]), AnswerResult::Done, &[applied]),
            (Request::Resume { service: name("app2") }, AnswerResult::Done, &["app2 is resumed"]),
        ] {
            let said = after(Some(&report), &request);
            assert_eq!(
                (said.result, &said.lines[..]),
                (result, &lines.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
            );
        }
    }

    fn report(status: &serde_json::Value, outcomes: Vec<ServiceOutcome>) -> Report {
        let mut whole = json!({ "schema": "tidegate.status/1", "node": "n1", "environment": "prd",
            "trust": "signed", "mode": "apply", "changed_at": "2026-01-01T00:00:00Z",
            "revision": {}, "services": {} });
        let fields = status.as_object().cloned().unwrap_or_default();
        whole.as_object_mut().unwrap().extend(fields);
        let status = serde_json::from_value(whole).unwrap();
        Report { status, plan: None, outcomes, requeue: None }
    }

    fn failed(class: FailureClass) -> ServiceResult {
        ServiceResult::Failed { class, reason: "no".to_owned() }
    }

    #[test]
    fn what_became_of_a_service_counts_and_not_what_was_tried_before() {
        use ServiceResult::{Applied, Repaired, Waiting};
        let (transient, version) = (failed(FailureClass::Transient), failed(FailureClass::Version));
        let waiting = |secs| Waiting { remaining: Duration::from_secs(secs) };
        let revision = Revision::WorkTree { environment: "prd".parse().unwrap() };
        let way_back = ServiceOutcome {
            reasons: vec![Reason::Rollback { revision, because: "no".to_owned() }],
            ..outcome("app1", Repaired)
        };
        let app1 = |result: &ServiceResult| outcome("app1", result.clone());
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (outcomes, result, said) in [
            (vec![app1(&transient), app1(&Applied)], AnswerResult::Done, &["app1 applied"][..]),
            (vec![app1(&waiting(9)), app1(&Applied)], AnswerResult::Done, &["app1 applied"]),
            (
                vec![app1(&version), way_back.clone(), way_back],
                AnswerResult::Failed,
                &["app1 failed: no", "app1 repaired"],
            ),
            (
                vec![app1(&transient), app1(&waiting(9)), app1(&waiting(7))],
                AnswerResult::Failed,
                &["app1 failed: no", "app1 failed lately, is tried again in 7 s"],
            ),
        ] {
            let request =
                Request::Apply { services: [].into(), now: None, allow_removal: [].into() };
            let said = (result, lines(said));
            let answer = after(Some(&report(&json!({}), outcomes)), &request);
            assert_eq!((answer.result, answer.lines), said);
        }
    }

    #[test]
    fn a_tip_that_waits_is_named_and_is_not_done() {
        let waits = json!({ "waits": { "commit": "1".repeat(40),
            "until": "2026-01-02T00:00:00Z", "reason": "it soaks" } });
        // It may be about any service, the one that was asked for too.
        for services in [BTreeSet::new(), [name("app1")].into()] {
            let request = Request::Apply { services, now: None, allow_removal: [].into() };
            let answer = after(Some(&report(&waits, Vec::new())), &request);
            assert_eq!(answer.result, AnswerResult::Left);
            assert!(answer.lines[0].ends_with("waits until 2026-01-02T00:00:00Z: it soaks"));
        }
    }

    fn service(sync: &str, health: &str, held: &serde_json::Value) -> ServiceStatus {
        let service = json!({
            "app": null, "sync": sync, "health": health, "reason": "", "mode": "apply", "held": held,
            "since": "2026-01-01T00:00:00Z", "revision": null, "containers": {},
        });
        serde_json::from_value(service).unwrap()
    }

    #[test]
    fn what_is_held_weighs_by_its_reason_and_by_whether_it_runs() {
        use AnswerResult::{Denied, Failed, Left};
        let window = json!({ "held": "window", "opens": null });
        let suspended = json!({ "held": "suspended", "reason": "repair", "until": null });
        let policy = json!({ "held": "policy", "denied": ["containers.web.privileged"] });
        let failed = json!({ "held": "failed", "reason": "it is unhealthy" });
        let hub = json!({ "held": "hub", "reason": "not there" });
        for (held, health, weighs) in [
            (&window, "Healthy", Left),
            (&window, "Missing", Failed),
            (&suspended, "Suspended", Left),
            (&policy, "Healthy", Denied),
            (&policy, "Missing", Denied),
            (&failed, "Healthy", Failed),
            (&hub, "Healthy", Failed),
        ] {
            assert_eq!(weight(&service("Held", health, held)), weighs, "{held} {health}");
        }
        assert_eq!(weight(&service("Synced", "Degraded", &json!(null))), Failed, "it runs ill");
        assert_eq!(weight(&service("OutOfSync", "Degraded", &json!(null))), Left, "report mode");
    }
}
