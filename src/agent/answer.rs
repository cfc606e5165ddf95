//! What operators ask of a node, done: the same with and without a running agent.
//!
//! In: a [`Request`], a node. Out: the pass to run, and an [`Answer`]. Effect: the memory, the journal.

use std::collections::BTreeSet;

use crate::agent::AgentError;
use crate::agent::control::{Answer, AnswerResult, Request};
use crate::agent::node::{Ask, Node, Report};
use crate::agent::record;
use crate::model::ServiceName;
use crate::reconcile::apply::ServiceResult;
use crate::reconcile::memory::{LocalSuspension, MemoryStore as _};
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::Overrides;
use crate::reconcile::report::{Health, ServiceStatus, Status, Sync};

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

/// The answer about the first of the named services that is not there, if one is not. Without any
/// repository to read, the operator is believed.
pub fn stranger<'a>(
    node: &Node,
    named: impl IntoIterator<Item = &'a ServiceName>,
) -> Option<Answer> {
    node.belief.desired.as_ref()?;
    let stranger = named.into_iter().find(|name| !is_known(node, name))?;
    let line = format!("no service `{stranger}` runs or should run on this node");
    Some(Answer { result: AnswerResult::Senseless, lines: vec![line] })
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
    let mut result = AnswerResult::Done;
    let mut lines = Vec::new();
    match request {
        Request::Suspend { service, .. } => lines.push(format!("{service} is suspended")),
        Request::Resume { service } => lines.push(format!("{service} is resumed")),
        Request::Apply { .. } => {}
    }
    if matches!(request, Request::Apply { .. }) {
        let troubles = troubles(&report.status);
        if !troubles.is_empty() {
            result = AnswerResult::Failed;
        }
        lines.extend(troubles);
    }
    if let Request::Apply { services, .. } = request {
        let (held, is_ill) = held(report, services);
        lines.extend(held);
        if is_ill {
            result = AnswerResult::Failed;
        }
    }
    for outcome in report.outcomes.iter().filter(|outcome| is_about(request, &outcome.service)) {
        let line = match &outcome.result {
            ServiceResult::Applied => "applied".to_owned(),
            ServiceResult::Repaired => "repaired".to_owned(),
            ServiceResult::Removed if outcome.is_way_back() => "stopped".to_owned(),
            ServiceResult::Removed => "removed".to_owned(),
            ServiceResult::Failed { reason, .. } => {
                result = AnswerResult::Failed;
                format!("failed: {reason}")
            }
            ServiceResult::Interrupted => "was set aside for what is wanted now".to_owned(),
            ServiceResult::Waiting { remaining } => {
                result = AnswerResult::Failed;
                format!("failed lately, is tried again in {} s", remaining.as_secs())
            }
        };
        lines.push(format!("{} {line}", outcome.service));
    }
    if let (Request::Apply { .. }, Some(refused)) = (request, &report.status.refused) {
        result = AnswerResult::Refused;
        lines.push(format!("refused {}: {}", refused.commit, refused.reason));
        lines.push(format!("what to do: {}", refused.remedy));
    }
    Answer { result, lines }
}

/// Whether a request is about a service; what else a pass did is none of its answer.
fn is_about(request: &Request, name: &ServiceName) -> bool {
    match request {
        Request::Apply { services, .. } => services.is_empty() || services.contains(name),
        Request::Suspend { service, .. } | Request::Resume { service } => service == name,
    }
}

/// Chosen services of which nothing was done, for something holds them: a line each, and whether one of
/// them does not run as it should meanwhile.
pub fn held(report: &Report, chosen: &BTreeSet<ServiceName>) -> (Vec<String>, bool) {
    let is_done = |name: &ServiceName| report.outcomes.iter().any(|done| done.service == *name);
    let held = report.status.services.iter().filter(|(name, service)| {
        let is_chosen = chosen.is_empty() || chosen.contains(*name);
        service.sync == Sync::Held && is_chosen && !is_done(name)
    });
    let line = |(name, service): (&ServiceName, &ServiceStatus)| {
        let is_ill = matches!(service.health, Health::Degraded | Health::Missing);
        (format!("{name} is held: {}", service.reason), is_ill)
    };
    let (lines, ill): (Vec<String>, Vec<bool>) = held.map(line).unzip();
    (lines, ill.contains(&true))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::agent::answer::after;
    use crate::agent::control::{AnswerResult, Request};
    use crate::agent::node::Report;
    use crate::model::ServiceName;
    use crate::reconcile::apply::{FailureClass, ServiceOutcome, ServiceResult};

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
        let status = json!({ "schema": "tidegate.status/1", "node": "n1", "environment": "prd",
            "trust": "signed", "mode": "apply", "changed_at": "2026-01-01T00:00:00Z",
            "revision": {}, "services": {} });
        let reason = "no route to host".to_owned();
        let failed = ServiceResult::Failed { class: FailureClass::Transient, reason };
        let report = Report {
            status: serde_json::from_value(status).unwrap(),
            plan: None,
            outcomes: vec![outcome("app1", failed), outcome("app4", ServiceResult::Applied)],
            requeue: None,
        };
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
}
