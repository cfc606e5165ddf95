//! One check: every rule that is shown here, and the built-in one.
//!
//! In: rules, facts, the host. Out: [`Checked`]. Effect: reads the host.
//!
//! # Guarantees
//! * Rules that contradict one another are neither right nor mended, whichever of them is asked for.
//! * One rule that cannot be checked says so in its own verdict; the others go on.
//! * Nothing is changed, and no file is read that no rule names.

use crate::compliance::change::Change;
use crate::compliance::kind::{self, Judgement};
use crate::compliance::matching::{Applies, applies};
use crate::compliance::see::Eyes;
pub use crate::compliance::see::{CheckInput, Purpose};
use crate::compliance::verdict::{Verdict, VerdictStatus};
use crate::model::{Mode, ServiceName};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::{FixPolicy, Rule, Target};

/// A rule, what is said about it, and how it would be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What is said.
    pub verdict: Verdict,
    /// How it is mended; empty where it is not, or cannot be.
    pub changes: Vec<Change>,
}

/// Checks these rules, which are some of `input.desired`'s.
pub fn check<'a>(input: CheckInput<'_>, rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Checked> {
    let eyes = Eyes::new(input);
    rules.into_iter().map(|rule| beside_others(input, rule, &eyes)).collect()
}

/// Checks one of them.
pub fn check_one(input: CheckInput<'_>, rule: &Rule) -> Checked {
    beside_others(input, rule, &Eyes::new(input))
}

fn beside_others(input: CheckInput<'_>, rule: &Rule, eyes: &Eyes<'_>) -> Checked {
    let checked = one(input, rule, eyes);
    match input.disputes.of(rule) {
        Some(reason) => checked.disputed(reason),
        None => checked,
    }
}

impl Checked {
    /// The same with the rule in dispute, if it could be judged.
    fn disputed(mut self, reason: &str) -> Self {
        if matches!(self.verdict.status, VerdictStatus::Ok | VerdictStatus::NotOk) {
            self.verdict.status = VerdictStatus::Error;
            self.verdict.reason = Some(reason.to_owned());
            self.verdict.fixable = false;
            self.changes.clear();
        }
        self
    }
}

fn one(input: CheckInput<'_>, rule: &Rule, eyes: &Eyes<'_>) -> Checked {
    let mut verdict = base(input.desired, rule);
    match applies(&rule.condition, input.facts) {
        Applies::Yes => {}
        Applies::No(reason) => {
            verdict.status = VerdictStatus::NotApplicable;
            verdict.reason = Some(reason);
            return Checked { verdict, changes: Vec::new() };
        }
        Applies::Unknown(reason) => {
            verdict.status = VerdictStatus::Unknown;
            verdict.reason = Some(reason);
            return Checked { verdict, changes: Vec::new() };
        }
    }
    let judgement = match eyes.see(rule) {
        Ok(view) => kind::judge(&rule.kind, &view),
        Err(reason) => Judgement::Error { reason },
    };
    let mut changes = Vec::new();
    match judgement {
        Judgement::Ok { expected } => verdict.expected = expected,
        Judgement::NotApplicable { reason } => {
            verdict.status = VerdictStatus::NotApplicable;
            verdict.reason = Some(reason);
        }
        Judgement::Error { reason } => {
            verdict.status = VerdictStatus::Error;
            verdict.reason = Some(reason);
        }
        Judgement::NotOk { expected, actual, fix } => {
            verdict.status = VerdictStatus::NotOk;
            (verdict.expected, verdict.actual) = (expected, actual);
            match (may_fix(input.desired, rule), fix) {
                (Ok(()), Ok(planned)) => {
                    verdict.fixable = true;
                    changes = planned;
                }
                (Err(reason), _) | (_, Err(reason)) => verdict.reason = Some(reason),
            }
        }
    }
    Checked { verdict, changes }
}

/// Whether the revision lets anybody mend what this rule finds.
fn may_fix(desired: &DesiredState, rule: &Rule) -> Result<(), String> {
    let mode = match &rule.target {
        Target::Node => Some(desired.mode),
        Target::Service(name) => desired.services.get(name).map(|service| service.mode),
    };
    match (rule.fix, mode) {
        (FixPolicy::Never, _) => Err("the rule says `fix = \"never\"`".to_owned()),
        (_, Some(Mode::Apply)) => Ok(()),
        _ => Err("report mode: nothing is changed here".to_owned()),
    }
}

fn base(desired: &DesiredState, rule: &Rule) -> Verdict {
    let environment = desired.revision.environment();
    let (target, service): (String, Option<ServiceName>) = match &rule.target {
        Target::Node => ("node".to_owned(), None),
        Target::Service(name) => (format!("{name}.{environment}"), Some(name.clone())),
    };
    Verdict {
        rule: rule.id.to_string(),
        kind: rule.kind.name().to_owned(),
        target,
        service,
        severity: rule.severity,
        status: VerdictStatus::Ok,
        expected: String::new(),
        actual: String::new(),
        reason: None,
        broken: None,
        fixable: false,
        revision: desired.revision.clone(),
        source: Some(rule.source.clone()),
        since: None,
    }
}
