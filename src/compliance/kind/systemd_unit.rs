//! `systemd_unit`: a unit that is enabled, running or masked.

use std::collections::BTreeMap;

use crate::compliance::change::Change;
use crate::compliance::kind::Judgement;
use crate::model::managed::attributes;
use crate::model::{Attributes, Move, Thing};
use crate::reconcile::desired::rule::kind::SystemdUnitRule;

/// What a rule sees of a unit.
#[derive(Debug)]
pub enum UnitSight {
    /// systemd is not installed.
    NoSystemd,
    /// One that there is, or not.
    Unit {
        /// What is so of it; none if there is no such unit.
        unit: Option<Attributes>,
        /// Those that are enabled and disabled with it, since they name each other in `Also=`.
        tied: BTreeMap<String, Tied>,
    },
}

/// A unit that changes along with another.
#[derive(Debug)]
pub struct Tied {
    /// Whether it is enabled, as systemctl says it.
    pub enabled: String,
    /// Whether another rule wants it enabled, or not.
    pub wanted: Option<bool>,
}

/// Judges it.
pub(crate) fn judge(rule: &SystemdUnitRule, sight: &UnitSight) -> Judgement {
    let name = &rule.unit;
    let UnitSight::Unit { unit, tied } = sight else {
        return Judgement::NotApplicable { reason: "systemd is not installed here".to_owned() };
    };
    let none = Attributes::new();
    let before = unit.as_ref().unwrap_or(&none);
    let says = |key: &str| before.get(key).map(String::as_str);
    let state = says("enabled");
    if state == Some("alias") && rule.enabled.or(rule.masked).is_some() {
        // It is there whether or not what it stands for starts at boot.
        let reason = format!("{name} is an alias: name the unit itself");
        return Judgement::Error { reason };
    }
    let (enabled, masked) = (is_enabled(state), is_masked(state, rule.masked));
    let runs = says("active").map(|active| ["active", "activating", "reloading"].contains(&active));
    if rule.active.is_some() && unit.is_some() && runs.is_none() {
        let reason = "systemd does not run here, so that nobody knows what does".to_owned();
        return Judgement::Error { reason };
    }
    let mut after = before.clone();
    let (mut expected, mut wrong) = (Vec::new(), Vec::new());
    let mut compare = |wish: Option<bool>, is: bool, words: [&'static str; 2]| {
        let Some(wish) = wish else { return false };
        let word = |truth: bool| words[usize::from(!truth)];
        expected.push(word(wish));
        if wish != is {
            wrong.push(word(is));
        }
        wish != is
    };
    if compare(rule.masked, masked, ["masked", "not masked"]) {
        // What is below a mask is seen only without it, and stays unless the rule says so.
        match (rule.masked, rule.enabled) {
            (Some(true), _) => after.insert("enabled".to_owned(), "masked".to_owned()),
            (_, Some(false)) => after.insert("enabled".to_owned(), "disabled".to_owned()),
            _ => after.remove("enabled"),
        };
    }
    let mut along = Ok(Vec::new());
    if compare(rule.enabled, enabled, ["enabled", "not enabled"]) {
        let word = if rule.enabled == Some(true) { "enabled" } else { "disabled" };
        after.insert("enabled".to_owned(), word.to_owned());
        along = moved_along(rule, tied, word);
    }
    if compare(rule.active, runs == Some(true), ["active", "not active"]) {
        let word = if rule.active == Some(true) { "active" } else { "inactive" };
        after.insert("active".to_owned(), word.to_owned());
    }
    let expected = format!("{name} {}", expected.join(" and "));
    if wrong.is_empty() {
        return Judgement::Ok { expected };
    }
    let actual = match unit {
        None => format!("there is no {name}"),
        Some(_) => format!("{name} is {}", wrong.join(" and ")),
    };
    let fix = possible(rule, unit.as_ref(), state).and(along).map(|along| {
        let thing = Thing::Unit { name: name.clone() };
        let change = Move { thing, before: unit.clone(), after: Some(after) };
        vec![Change::Managed([vec![change], along].concat())]
    });
    Judgement::NotOk { expected, actual, fix }
}

/// What becomes of those that change along.
fn moved_along(
    rule: &SystemdUnitRule,
    tied: &BTreeMap<String, Tied>,
    word: &str,
) -> Result<Vec<Move>, String> {
    let moved: Vec<_> = tied
        .iter()
        .filter(|(_, tied)| ["enabled", "disabled"].contains(&&*tied.enabled))
        .filter(|(_, tied)| tied.enabled != word)
        .collect();
    let opposed =
        |(_, tied): &&(&String, &Tied)| tied.wanted.is_some_and(|w| Some(w) != rule.enabled);
    if let Some((other, _)) = moved.iter().find(opposed) {
        return Err(format!(
            "{other} is enabled and disabled with {}, as both name each other in `Also=`, and \
             another rule wants it otherwise",
            rule.unit
        ));
    }
    let state = |word: &str| Some(attributes([("enabled", word)]));
    let one = |(name, tied): (&String, &Tied)| Move {
        thing: Thing::Unit { name: name.clone() },
        before: state(&tied.enabled),
        after: state(word),
    };
    Ok(moved.into_iter().map(one).collect())
}

/// `enabled-runtime` is gone after the next boot.
fn is_enabled(state: Option<&str>) -> bool {
    matches!(state, Some("enabled" | "generated"))
}

/// `masked-runtime` is gone after the next boot, and a mask until then.
fn is_masked(state: Option<&str>, wish: Option<bool>) -> bool {
    state == Some("masked") || state == Some("masked-runtime") && wish != Some(true)
}

/// Whether systemctl can do it.
fn possible(
    rule: &SystemdUnitRule,
    unit: Option<&Attributes>,
    state: Option<&str>,
) -> Result<(), String> {
    let name = &rule.unit;
    if unit.is_none() {
        return Err("install what brings it".to_owned());
    }
    match state {
        Some("masked" | "masked-runtime") if rule.masked.is_none() => {
            Err(format!("{name} is masked; `masked = false` unmasks it"))
        }
        Some(state @ ("static" | "indirect")) if rule.enabled == Some(true) => Err(format!(
            "{name} is {state}: it has no section [Install] of its own, and others start it"
        )),
        Some(state @ ("generated" | "transient")) if rule.enabled == Some(false) => {
            Err(format!("{name} is {state}: systemctl cannot disable it"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::compliance::change::Change;
    use crate::compliance::kind::Judgement;
    use crate::compliance::kind::systemd_unit::{Tied, UnitSight, judge};
    use crate::model::managed::attributes;
    use crate::reconcile::desired::rule::kind::SystemdUnitRule;

    fn judged(enabled: Option<bool>, masked: Option<bool>, state: &str) -> Judgement {
        let rule = SystemdUnitRule { unit: "a.service".to_owned(), enabled, active: None, masked };
        let unit = Some(attributes([("enabled", state)]));
        judge(&rule, &UnitSight::Unit { unit, tied: BTreeMap::new() })
    }

    #[test]
    fn a_unit_is_not_changed_with_another_against_a_rule_of_its_own() {
        for (is, wanted, n_moves) in [
            ("disabled", None, Some(2)),
            ("disabled", Some(true), Some(2)),
            ("disabled", Some(false), None),
            // It does not change.
            ("enabled", Some(false), Some(1)),
            ("static", None, Some(1)),
        ] {
            let rule = SystemdUnitRule {
                unit: "a.service".to_owned(),
                enabled: Some(true),
                active: None,
                masked: None,
            };
            let tied = Tied { enabled: is.to_owned(), wanted };
            let tied = BTreeMap::from([("b.service".to_owned(), tied)]);
            let unit = Some(attributes([("enabled", "disabled")]));
            let judgement = judge(&rule, &UnitSight::Unit { unit, tied });
            let Judgement::NotOk { fix, .. } = judgement else { panic!("{is} {wanted:?}") };
            let moves = fix.ok().map(|changes| match &changes[..] {
                [Change::Managed(moves)] => moves.len(),
                _ => 0,
            });
            assert_eq!(moves, n_moves, "{is} {wanted:?}");
        }
    }

    #[test]
    fn unmasking_says_nothing_of_what_is_below_and_a_mask_until_the_next_boot_is_none_to_rely_on() {
        for (enabled, masked, state, wanted) in [
            (None, false, "masked", None),
            (None, false, "masked-runtime", None),
            (Some(false), false, "masked", Some("disabled")),
            (Some(true), false, "masked", Some("enabled")),
            (None, true, "masked-runtime", Some("masked")),
        ] {
            let Judgement::NotOk { fix: Ok(changes), .. } = judged(enabled, Some(masked), state)
            else {
                panic!("{state} cannot be mended");
            };
            let [Change::Managed(moves)] = &changes[..] else { panic!("another change") };
            let after = moves[0].after.as_ref().unwrap();
            assert_eq!(after.get("enabled").map(String::as_str), wanted, "{state}");
        }
    }

    #[test]
    fn what_systemctl_cannot_do_is_said_and_not_tried() {
        for (enabled, masked, state, reason) in [
            (Some(true), None, "static", "is static: it has no section [Install]"),
            (Some(true), None, "masked", "is masked; `masked = false` unmasks it"),
            (Some(false), None, "generated", "is generated: systemctl cannot disable it"),
        ] {
            let Judgement::NotOk { fix: Err(said), .. } = judged(enabled, masked, state) else {
                panic!("{state} can be mended");
            };
            assert!(said.contains(reason), "{said}");
        }
        for (enabled, masked) in [(Some(true), None), (Some(false), None), (None, Some(true))] {
            let Judgement::Error { reason } = judged(enabled, masked, "alias") else {
                panic!("an alias was judged");
            };
            assert_eq!(reason, "a.service is an alias: name the unit itself");
        }
        assert!(matches!(judged(Some(false), None, "static"), Judgement::Ok { .. }));
        assert!(matches!(judged(None, Some(true), "masked"), Judgement::Ok { .. }));
    }
}
