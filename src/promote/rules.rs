//! Which compliance rules a commit would change, value by value.
//!
//! In: what each node should be before and after. Out: [`RuleChange`]s. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::NodeName;
use crate::promote::values::{
    Fate, NodeChange, States, ValueChange, by_name, leaves, short, values,
};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::{Condition, Rule, RuleId, Target, Test};

/// A rule that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// Its name.
    pub rule: RuleId,
    /// What it is checked for.
    pub target: Target,
    /// What becomes of it.
    pub fate: Fate,
    /// The nodes where it changes.
    pub nodes: BTreeSet<NodeName>,
    /// What differs; of a new one all that it says.
    pub values: BTreeSet<ValueChange>,
}

impl NodeChange for RuleChange {
    fn fate(&mut self) -> &mut Fate {
        &mut self.fate
    }

    fn nodes(&mut self) -> &mut BTreeSet<NodeName> {
        &mut self.nodes
    }

    fn join(&mut self, other: Self) {
        self.values.extend(other.values);
    }
}

/// Compares the rules of all nodes before and after.
pub fn rules(old: &States, new: &States) -> Vec<RuleChange> {
    by_name([old, new], all_of, |(id, target), old, new| {
        let (fate, values) = compare(old, new)?;
        let (rule, target) = (RuleId::clone(id), Target::clone(target));
        Some(RuleChange { rule, target, fate, nodes: BTreeSet::new(), values })
    })
}

fn all_of(state: &DesiredState) -> BTreeMap<(&RuleId, &Target), &Rule> {
    state.rules.iter().map(|rule| ((&rule.id, &rule.target), rule)).collect()
}

fn compare(old: Option<&Rule>, new: Option<&Rule>) -> Option<(Fate, BTreeSet<ValueChange>)> {
    let fate = match (old, new) {
        (None, None) => return None,
        (Some(_), Some(_)) => Fate::Changed,
        (None, Some(_)) => Fate::New,
        (Some(_), None) => return Some((Fate::Removed, BTreeSet::new())),
    };
    let changed = values(&flat(old), &flat(new));
    // Where it is written is told by the files that change.
    (!changed.is_empty()).then_some((fate, changed))
}

/// What a rule says, by dotted key: `sysctl.value`.
fn flat(rule: Option<&Rule>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(rule) = rule else { return found };
    let parts = [
        ("", serde_json::to_value(&rule.kind)),
        ("severity", serde_json::to_value(rule.severity)),
        ("fix", serde_json::to_value(rule.fix)),
        ("window", serde_json::to_value(&rule.windows)),
    ];
    for (key, value) in parts {
        leaves(key, &value.unwrap_or_default(), &mut found);
    }
    found.extend(words(&rule.condition).map(|words| ("match".to_owned(), short(&words))));
    found
}

/// When a rule applies, as people read it: `os debian, kernel >=6`; none: always.
fn words(condition: &Condition) -> Option<String> {
    let tests = |tests: &[Test]| {
        let tests: Vec<String> = tests.iter().map(ToString::to_string).collect();
        tests.join(" or ")
    };
    match condition {
        Condition::Place(true) => None,
        Condition::Place(false) => Some("nowhere".to_owned()),
        Condition::All(parts) => {
            let parts: Vec<String> = parts.iter().filter_map(words).collect();
            (!parts.is_empty()).then(|| parts.join(", "))
        }
        Condition::Any(parts) => {
            let parts: Option<Vec<String>> = parts.iter().map(words).collect();
            parts.map(|parts| format!("any of ({})", parts.join("; ")))
        }
        Condition::Not(inner) => {
            Some(format!("not ({})", words(inner).unwrap_or_else(|| "anywhere".to_owned())))
        }
        Condition::One { fact, tests: all } => Some(format!("{fact} {}", tests(all))),
        Condition::Row { fact, fields } => {
            let fields = fields.iter().map(|(field, all)| format!("{field} {}", tests(all)));
            Some(format!("{fact} with {}", fields.collect::<Vec<_>>().join(", ")))
        }
    }
}
