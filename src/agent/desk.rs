//! Operators' requests that a pass has taken up, until what they asked for has ended.
//!
//! In: requests, reports of passes. Out: answers. Effect: writes answers.
//!
//! A request to apply is answered when nothing it asked for is under way any more, however many
//! passes that takes; other requests are answered by the first.

use std::path::Path;

use tracing::warn;

use crate::agent::answer;
use crate::agent::control::{self, Answer, Asked, Request};
use crate::agent::node::Report;
use crate::model::ServiceName;
use crate::reconcile::apply::ServiceOutcome;
use crate::telemetry::Chain;

/// Requests that wait for their answer.
#[derive(Debug, Default)]
pub struct Desk {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    asked: Asked,
    outcomes: Vec<ServiceOutcome>,
}

impl Desk {
    /// Takes up a request whose pass comes next.
    pub fn put(&mut self, asked: Asked) {
        self.open.push(Open { asked, outcomes: Vec::new() });
    }

    /// Answers what a pass has settled; `under_way` is what goes on after it.
    pub fn settle(&mut self, state_dir: &Path, report: &Report, under_way: &[&ServiceName]) {
        let open = std::mem::take(&mut self.open);
        for mut open in open {
            open.outcomes.extend(report.outcomes.iter().cloned());
            // However many passes it takes: what is said of each service is all that is kept.
            open.outcomes = answer::standing(&open.outcomes).cloned().collect();
            let waits = match &open.asked.request {
                Request::Apply { services, .. } => {
                    under_way.iter().any(|s| services.is_empty() || services.contains(*s))
                }
                Request::Suspend { .. } | Request::Resume { .. } => false,
            };
            if waits {
                self.open.push(open);
                continue;
            }
            let status = report.status.clone();
            let whole = Report { status, plan: None, outcomes: open.outcomes, requeue: None };
            let said = answer::after(Some(&whole), &open.asked.request);
            say(state_dir, &open.asked, &said);
        }
    }

    /// Answers all: there will be no more passes, or the one they asked for did not end.
    pub fn give_up(&mut self, state_dir: &Path) {
        for open in std::mem::take(&mut self.open) {
            say(state_dir, &open.asked, &answer::after(None, &open.asked.request));
        }
    }
}

/// Answers one request.
pub fn say(state_dir: &Path, asked: &Asked, said: &Answer) {
    if let Err(error) = control::answer(state_dir, asked, said) {
        warn!(error = %Chain(&error), "an operator's request cannot be answered");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::agent::control::{self, Request};
    use crate::agent::desk::Desk;
    use crate::agent::node::Report;
    use crate::model::ServiceName;
    use crate::reconcile::apply::{ServiceOutcome, ServiceResult};

    fn waiting(service: &str) -> ServiceOutcome {
        ServiceOutcome {
            service: service.parse().unwrap(),
            target: None,
            reasons: Vec::new(),
            steps: Vec::new(),
            result: ServiceResult::Waiting { remaining: Duration::from_secs(9) },
            took: Duration::ZERO,
            trigger: String::new(),
        }
    }

    #[tokio::test]
    async fn a_request_that_many_passes_work_on_keeps_a_few_outcomes_of_each_service() {
        let dir = tempfile::tempdir().unwrap();
        let request = Request::Apply { services: [].into(), now: None, allow_removal: [].into() };
        let ask = control::ask(dir.path(), "00ff", &request, Duration::ZERO);
        assert!(ask.await.is_err());
        let left = dir.path().join("requests/00ff.request");
        std::fs::write(left, serde_json::to_vec(&request).unwrap()).unwrap();
        let mut desk = Desk::default();
        desk.put(control::take(dir.path()).pop().unwrap());
        let status = json!({ "schema": "tidegate.status/1", "node": "n1", "environment": "prd",
            "trust": "signed", "mode": "apply", "changed_at": "2026-01-01T00:00:00Z",
            "revision": {}, "services": {} });
        let under_way: ServiceName = "app9".parse().unwrap();
        for _ in 0..100 {
            let outcomes = vec![waiting("app1"), waiting("app2")];
            let status = serde_json::from_value(status.clone()).unwrap();
            let report = Report { status, plan: None, outcomes, requeue: None };
            desk.settle(dir.path(), &report, &[&under_way]);
        }
        assert_eq!(desk.open[0].outcomes.len(), 2);
    }
}
