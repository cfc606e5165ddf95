//! `systemd_unit`: a unit that is enabled, running or masked.

use crate::compliance::change::Change;
use crate::compliance::kind::Judgement;
use crate::model::{Attributes, Move, Thing};
use crate::reconcile::desired::rule::kind::SystemdUnitRule;

/// What a rule sees of a unit.
#[derive(Debug)]
pub enum UnitSight {
    /// systemd is not installed.
    NoSystemd,
    /// What is so of it; none if there is no such unit.
    Unit(Option<Attributes>),
}

/// Judges it.
pub(crate) fn judge(rule: &SystemdUnitRule, sight: &UnitSight) -> Judgement {
    let name = &rule.unit;
    let UnitSight::Unit(unit) = sight else {
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
    if compare(rule.enabled, enabled, ["enabled", "not enabled"]) {
        let word = if rule.enabled == Some(true) { "enabled" } else { "disabled" };
        after.insert("enabled".to_owned(), word.to_owned());
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
    let fix = possible(rule, unit.as_ref(), state).map(|()| {
        let thing = Thing::Unit { name: name.clone() };
        let change = Move { thing, before: unit.clone(), after: Some(after) };
        vec![Change::Managed(vec![change])]
    });
    Judgement::NotOk { expected, actual, fix }
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
    use crate::compliance::change::Change;
    use crate::compliance::kind::Judgement;
    use crate::compliance::kind::systemd_unit::{UnitSight, judge};
    use crate::model::managed::attributes;
    use crate::reconcile::desired::rule::kind::SystemdUnitRule;

    fn judged(enabled: Option<bool>, masked: Option<bool>, state: &str) -> Judgement {
        let rule = SystemdUnitRule { unit: "a.service".to_owned(), enabled, active: None, masked };
        judge(&rule, &UnitSight::Unit(Some(attributes([("enabled", state)]))))
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
