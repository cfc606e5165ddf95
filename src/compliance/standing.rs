//! What was found last, since when, and what changed: what a node keeps of its checks.
//!
//! In: verdicts. Out: [`Standing`], [`Turn`]s. Pure; files are in `shelf`.
//!
//! # Guarantees
//! * "Since" stays while a verdict stays.
//! * What was last checked too long ago is unknown, whatever was found then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compliance::verdict::{Score, Verdict, VerdictStatus};
use crate::model::{CheckSchedule, EnvironmentName, NodeName, Revision, Share};
use crate::reconcile::desired::rule::RuleSeverity;
use crate::reconcile::report::{ComplianceStatus, RuleCount};

/// Name and version of the document.
pub const SCHEMA: &str = "tidegate.compliance/1";

/// Troubles that a status names; `tidegate check --last` shows all.
const TROUBLES_MAX: usize = 20;

/// What a node's last check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// [`SCHEMA`].
    pub schema: String,
    /// The node.
    pub node: NodeName,
    /// Its environment.
    pub environment: EnvironmentName,
    /// What the rules are of.
    pub revision: Revision,
    /// Whether nobody need have signed it.
    pub unverified: bool,
    /// When it was checked.
    pub checked_at: Timestamp,
    /// What started the check: `schedule`, `commit`, `docker die app1.prd-web`, ….
    pub trigger: String,
    /// From when on it says nothing any more; none if no check is scheduled.
    pub stale_at: Option<Timestamp>,
    /// Of all rules.
    pub score: Score,
    /// By service.
    pub services: BTreeMap<String, Score>,
    /// By ruleset.
    pub rulesets: BTreeMap<String, Score>,
    /// Every verdict.
    pub verdicts: Vec<Verdict>,
}

/// A check's own circumstances.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// The node.
    pub node: NodeName,
    /// The rules' revision.
    pub revision: Revision,
    /// Whether nobody need have signed it.
    pub unverified: bool,
    /// When.
    pub at: Timestamp,
    /// What started it.
    pub trigger: String,
    /// When it is due again.
    pub stale_at: Option<Timestamp>,
}

/// A verdict that became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// When it was found.
    pub at: Timestamp,
    /// The rule.
    pub rule: String,
    /// What it was checked for.
    pub target: String,
    /// How bad.
    pub severity: RuleSeverity,
    /// What was said before; none for a new rule.
    pub from: Option<VerdictStatus>,
    /// What is said now; none for a rule that is gone.
    pub to: Option<VerdictStatus>,
    /// What is wanted.
    pub expected: String,
    /// What is so.
    pub actual: String,
    /// Why.
    pub reason: Option<String>,
    /// The revision, `prd@sha1:ab12cd3`.
    pub revision: String,
}

/// What is known after a check, and what changed by it.
pub fn next(
    before: Option<&Standing>,
    occasion: Occasion,
    mut verdicts: Vec<Verdict>,
) -> (Standing, Vec<Turn>) {
    let old = before.map(|standing| standing.verdicts.as_slice()).unwrap_or_default();
    let mut known: BTreeMap<(&str, &str), &Verdict> = old
        .iter()
        .map(|verdict| ((verdict.rule.as_str(), verdict.target.as_str()), verdict))
        .collect();
    let mut turns = Vec::new();
    let revision = occasion.revision.to_string();
    let turn = |verdict: &Verdict, from, to| Turn {
        at: occasion.at,
        rule: verdict.rule.clone(),
        target: verdict.target.clone(),
        severity: verdict.severity,
        from,
        to,
        expected: verdict.expected.clone(),
        actual: verdict.actual.clone(),
        reason: verdict.reason.clone(),
        revision: revision.clone(),
    };
    for verdict in &mut verdicts {
        let before = known.remove(&(verdict.rule.as_str(), verdict.target.as_str()));
        match before {
            Some(before) if before.status == verdict.status => verdict.since = before.since,
            _ => {
                verdict.since = Some(occasion.at);
                turns.push(turn(verdict, before.map(|b| b.status), Some(verdict.status)));
            }
        }
    }
    turns.extend(known.into_values().map(|gone| turn(gone, Some(gone.status), None)));
    let standing = Standing {
        schema: SCHEMA.to_owned(),
        environment: occasion.revision.environment().clone(),
        node: occasion.node,
        revision: occasion.revision,
        unverified: occasion.unverified,
        checked_at: occasion.at,
        trigger: occasion.trigger,
        stale_at: occasion.stale_at,
        score: Score::of(&verdicts),
        services: scores(&verdicts, |v| v.service.as_ref().map(ToString::to_string)),
        rulesets: scores(&verdicts, |v| ruleset(&v.rule).map(str::to_owned)),
        verdicts,
    };
    (standing, turns)
}

/// When a check of `at` says nothing any more: the one after it was missed, too.
pub fn stale_at(schedules: &[CheckSchedule], at: Timestamp, share: Share) -> Option<Timestamp> {
    let due = |at| schedules.iter().filter_map(|schedule| schedule.next(at, share)).min();
    due(due(at)?)
}

impl Standing {
    /// The same as it is to be read at `now`.
    #[must_use]
    pub fn aged(mut self, now: Timestamp) -> Self {
        if self.stale_at.is_none_or(|stale| now < stale) {
            return self;
        }
        let reason = format!("stale: last checked {}", self.checked_at);
        for verdict in &mut self.verdicts {
            verdict.status = VerdictStatus::Unknown;
            verdict.reason = Some(reason.clone());
            verdict.since = self.stale_at;
        }
        self.score = Score::of(&self.verdicts);
        self.services = scores(&self.verdicts, |v| v.service.as_ref().map(ToString::to_string));
        self.rulesets = scores(&self.verdicts, |v| ruleset(&v.rule).map(str::to_owned));
        self
    }
}

impl From<&Standing> for ComplianceStatus {
    fn from(standing: &Standing) -> Self {
        let all = |scores: &BTreeMap<String, Score>| {
            scores.iter().map(|(name, score)| (name.clone(), count(score))).collect()
        };
        let wrong = standing.verdicts.iter().filter(|v| v.status.is_trouble());
        let mut wrong: Vec<&Verdict> = wrong.collect();
        wrong.sort_by_key(|verdict| std::cmp::Reverse(verdict.severity));
        let line = |verdict: &&Verdict| {
            let (severity, status) = (verdict.severity, verdict.status.as_str());
            format!("{} ({}), {severity}: {status}", verdict.rule, verdict.target)
        };
        Self {
            revision: standing.revision.to_string(),
            checked_at: standing.checked_at,
            is_stale: false,
            score: count(&standing.score),
            services: all(&standing.services),
            rulesets: all(&standing.rulesets),
            troubles: wrong.iter().take(TROUBLES_MAX).map(line).collect(),
        }
    }
}

/// A score as reports have it.
pub(crate) fn count(score: &Score) -> RuleCount {
    RuleCount { ok: score.ok, trouble: score.trouble, not_applicable: score.not_applicable }
}

/// The ruleset of `it.linux/motd`; none where a service's own file says it.
fn ruleset(rule: &str) -> Option<&str> {
    rule.split_once('/').map(|(ruleset, _)| ruleset).filter(|ruleset| *ruleset != "services")
}

fn scores(
    verdicts: &[Verdict],
    of: impl Fn(&Verdict) -> Option<String>,
) -> BTreeMap<String, Score> {
    let mut by_name: BTreeMap<String, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts {
        if let Some(name) = of(verdict) {
            by_name.entry(name).or_default().push(verdict);
        }
    }
    by_name.into_iter().map(|(name, verdicts)| (name, Score::of(verdicts))).collect()
}

impl Turn {
    /// In one line.
    pub fn line(&self) -> String {
        let word = |status: Option<VerdictStatus>| status.map_or("-", VerdictStatus::as_str);
        let mut line =
            format!("{} ({}): {} → {}", self.rule, self.target, word(self.from), word(self.to));
        if self.to.is_some_and(VerdictStatus::is_trouble) {
            let why = match &self.reason {
                Some(reason) if self.actual.is_empty() => reason.clone(),
                _ => format!("expected {}; {}", self.expected, self.actual),
            };
            line = format!("{line}, {why}");
        }
        line
    }
}
