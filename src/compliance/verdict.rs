//! What a check says: one verdict a rule and target, never one for many.
//!
//! In and out: values. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Revision, ServiceName};
use crate::reconcile::desired::rule::{RuleSeverity, RuleSource};

/// What is said about one rule for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The rule: `it.linux/swappiness`.
    pub rule: String,
    /// Its kind.
    pub kind: String,
    /// What it was checked for: `node`, `app1.prd`, `app1.prd/web`.
    pub target: String,
    /// The service, where it is about one.
    pub service: Option<ServiceName>,
    /// How bad it is when it does not hold.
    pub severity: RuleSeverity,
    /// Whether it holds.
    pub status: VerdictStatus,
    /// What is wanted.
    pub expected: String,
    /// What is so; empty where that is not known.
    pub actual: String,
    /// Why it does not apply, cannot be judged, or cannot be mended.
    pub reason: Option<String>,
    /// Which link of rule → definition → container is broken.
    pub broken: Option<Link>,
    /// Whether `tidegate fix` can mend it.
    pub fixable: bool,
    /// The revision that the rule is of.
    pub revision: Revision,
    /// Where it is written.
    pub source: Option<RuleSource>,
    /// Since when this node says so.
    pub since: Option<Timestamp>,
}

/// Whether a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictStatus {
    /// It does.
    Ok,
    /// It does not.
    NotOk,
    /// It does not apply here.
    NotApplicable,
    /// It could not be checked.
    Error,
    /// What it depends on is not known, or was last known too long ago.
    Unknown,
}

impl VerdictStatus {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Ok, Self::NotOk, Self::NotApplicable, Self::Error, Self::Unknown];

    /// For programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotOk => "not_ok",
            Self::NotApplicable => "not_applicable",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotOk => "not ok",
            Self::NotApplicable => "not applicable",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// Whether somebody should look at it.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::NotOk | Self::Error | Self::Unknown)
    }
}

/// A link of rule → definition → running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// No rule says which image it is.
    Rule,
    /// The definition in force here asks for another image than the rule.
    Definition,
    /// What runs is not what the definition asks for.
    Container,
}

impl Link {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Definition => "definition",
            Self::Container => "container",
        }
    }
}

/// How many rules hold, of those that apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Rules that hold.
    pub ok: usize,
    /// Rules that do not, or of which it is not known.
    pub trouble: usize,
    /// Rules that do not apply.
    pub not_applicable: usize,
}

impl Score {
    /// Of these verdicts.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        let mut score = Self::default();
        for verdict in verdicts {
            match verdict.status {
                VerdictStatus::Ok => score.ok += 1,
                VerdictStatus::NotApplicable => score.not_applicable += 1,
                _ => score.trouble += 1,
            }
        }
        score
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.ok + self.trouble;
        write!(f, "{} of {all} rules hold", self.ok)?;
        if self.not_applicable > 0 {
            write!(f, "; {} do not apply here", self.not_applicable)?;
        }
        Ok(())
    }
}
