//! What is said about a pass: status, journal, log.
//!
//! In: what came of a pass. Out: a [`Report`]. Effect: writes the status file and the journal.

use jiff::Timestamp;
use tracing::field::display;
use tracing::{debug, error, info, warn};

use crate::agent::AgentError;
use crate::agent::inspect::Inspected;
use crate::agent::node::{Ask, Node, Report};
use crate::agent::record;
use crate::reconcile::apply::ServiceOutcome;
use crate::reconcile::observed::ObservedState;
use crate::reconcile::pass::{Intent, PassOutcome};
use crate::reconcile::plan::Plan;
use crate::reconcile::report::{Facts, Reach, Record, Sync, TrustLevel, next_status};
use crate::telemetry::Chain;

impl Node {
    /// Status and journal.
    pub(crate) fn say(
        &mut self,
        ask: &Ask,
        passed: Option<Result<PassOutcome, String>>,
    ) -> Result<Report, AgentError> {
        let (outcome, engine) = match passed {
            None => (None, Reach::Answers),
            Some(Ok(outcome)) => (Some(outcome), Reach::Answers),
            Some(Err(reason)) => (None, Reach::Silent(reason)),
        };
        let outcomes = outcome.as_ref().map_or(&[][..], |outcome| &outcome.outcomes);
        self.note_outcomes(outcomes)?;
        if let Some(outcome) = &outcome {
            self.failures.keep(&outcome.left);
        }
        let facts = self.facts(
            engine,
            outcome.as_ref().map(|outcome| &outcome.left),
            outcome.as_ref().map(|outcome| &outcome.observed),
        );
        let status = next_status(self.status.as_ref(), &facts);
        if let Some(meter) = self.meter.as_ref().filter(|_| ask.intent == Intent::Apply) {
            let mut meter = meter.borrow_mut();
            meter.said(&facts, &status);
            for (what, end) in outcomes.iter().filter_map(record::end_of) {
                meter.did(what, end);
            }
        }
        if ask.intent == Intent::Apply && self.status.as_ref() != Some(&status) {
            self.status_file.write(&status).map_err(AgentError::Report)?;
            self.status = Some(status.clone());
        }
        for note in outcome.iter().flat_map(|outcome| &outcome.notes) {
            warn!("{note}");
        }
        Ok(match outcome {
            None => Report { status, plan: None, outcomes: Vec::new(), requeue: None },
            Some(PassOutcome { plan, outcomes, requeue, .. }) => {
                Report { status, plan: Some(plan), outcomes, requeue }
            }
        })
    }

    /// All that is known, for the status.
    pub(crate) fn facts<'a>(
        &'a self,
        engine: Reach,
        left: Option<&'a Plan>,
        observed: Option<&'a ObservedState>,
    ) -> Facts<'a> {
        let belief = &self.belief;
        Facts {
            node: &self.settings.node,
            environment: &self.settings.environment,
            trust: self.trust(),
            tip: belief.tip,
            verified: belief.verified,
            committed_at: belief.committed_at,
            refused: belief.refused.as_ref().map(|refusal| {
                (
                    refusal.commit,
                    refusal.rule.name(),
                    refusal.reason.clone(),
                    refusal.remedy.clone(),
                )
            }),
            waits: belief.waits.as_ref(),
            git: belief.git.clone(),
            engine,
            metrics: self.metrics.clone(),
            unused: self.unused.clone(),
            mistakes: belief.mistakes.iter().chain(&belief.unjudged).cloned().collect(),
            desired: belief.desired.as_ref(),
            plan: left,
            observed,
            failures: self.failures.reasons(),
            under_way: self.state.reasons_under_way(),
            memory: &self.memory,
            now: Timestamp::now(),
        }
    }

    /// Journals what was done, durably; only then is a failure known.
    pub(crate) fn note_outcomes(&mut self, outcomes: &[ServiceOutcome]) -> Result<(), AgentError> {
        let mut known = self.failures.clone();
        for record in record::of_outcomes(outcomes, &mut known) {
            self.note(record)?;
        }
        self.journal.sync().map_err(AgentError::Report)?;
        self.failures = known;
        Ok(())
    }

    /// Journals what a check found, if it found anything new.
    pub(crate) fn say_checked(&mut self, checked: Option<Inspected>, trigger: &str) {
        if let Some(meter) = &self.meter {
            let found = checked.as_ref().map(|found| (found.tally.clone(), found.fixes.len()));
            meter.borrow_mut().checked(found);
        }
        let Some(checked) = checked else { return };
        debug!("checked by {trigger}: {}", checked.score);
        let Inspected { revision, turns, fixes, .. } = checked;
        if turns.is_empty() && fixes.is_empty() {
            return;
        }
        let operator = record::of_operator("check", None, "");
        let (revision, trigger) = (Some(revision), trigger.to_owned());
        let record = Record { revision, why: turns, steps: fixes, trigger, ..operator };
        if let Err(error) = self.journal_and_log(record) {
            error!(error = %Chain(&error), "a check is not in the journal: {}", Chain(&error));
        }
    }

    /// Adds to the journal, durably, and says it where the agent's own events go.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn journal_and_log(&mut self, record: Record) -> Result<(), AgentError> {
        self.note(record)?;
        self.journal.sync().map_err(AgentError::Report)
    }

    /// As [`Node::journal_and_log`], but durable only when the pass has been told.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(crate) fn note(&mut self, record: Record) -> Result<(), AgentError> {
        let unverified = self.trust() == TrustLevel::None && record.revision.is_some();
        let record = Record { unverified, ..record };
        let revision = record.revision_text();
        let service = record.service.as_ref().map(ToString::to_string);
        let why = record.brief();
        let (what, trigger) = (&record.what, &record.trigger);
        let about = service.as_ref().unwrap_or(&revision);
        // What there is none of is left out of the event.
        let service = service.as_ref().map(display);
        match &record.error {
            None => info!(service.name = service, revision = %revision, trigger = %trigger,
                "{what} {about}: {why}"),
            Some(error) if what == "refuse" => warn!(revision = %revision, trigger = %trigger,
                "refused {about}: {error}; {why}"),
            Some(error) => warn!(service.name = service, revision = %revision,
                trigger = %trigger, "{what} {about} failed: {error} ({why})"),
        }
        self.journal.add(record, &self.key, Timestamp::now()).map_err(AgentError::Report)
    }
}

impl Report {
    /// One line for `systemctl status`.
    pub(crate) fn line(&self) -> String {
        let status = &self.status;
        let n_synced = status.services.values().filter(|s| s.sync == Sync::Synced).count();
        let applied = status.revision.applied.map_or_else(|| "-".to_owned(), |id| id.short());
        let trouble = match (&status.refused, &status.git, &status.engine) {
            (_, _, Some(_)) => ", engine unreachable",
            (Some(_), ..) => ", tip refused",
            (_, Some(_), _) => ", git unreachable",
            _ => "",
        };
        format!(
            "applied {applied}, {n_synced} of {} services in sync{trouble}",
            status.services.len()
        )
    }
}
