//! `package` and `package_vulnerable`: what is installed, and in which version.

use std::cmp::Ordering;

use crate::compliance::change::Change;
use crate::compliance::facts::FactValue;
use crate::compliance::kind::Judgement;
use crate::compliance::matching::fits;
use crate::model::{Move, Offer, PackageManager, Thing};
use crate::reconcile::desired::rule::Test;
use crate::reconcile::desired::rule::kind::{PackageRule, PackageVulnerableRule, PackageWish};

/// What a rule sees of a package.
#[derive(Debug)]
pub struct PackageSight {
    /// Which manager there is.
    pub manager: Option<PackageManager>,
    /// Versions that are installed: of a kernel, several.
    pub installed: Vec<String>,
    /// What one of them was left as, if it is not wholly installed: `half-configured`.
    pub unfinished: Option<String>,
    /// What the manager would do, if it was asked.
    pub plan: Option<Result<Vec<Move>, String>>,
}

/// What a package manager is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageOrder {
    /// Nothing: the rule holds.
    Nothing,
    /// The newest version that one of `versions` fits, or that none of `but` does.
    Newest {
        /// Any will do if there is none.
        versions: Vec<Test>,
        /// Never one of these.
        but: Vec<Test>,
    },
    /// To remove it.
    Removal,
}

/// What is to be asked for where `installed` is so.
pub fn order(rule: &PackageRule, manager: PackageManager, installed: &[String]) -> PackageOrder {
    match &rule.wish {
        PackageWish::Absent if installed.is_empty() => PackageOrder::Nothing,
        PackageWish::Absent => PackageOrder::Removal,
        PackageWish::Present(versions) if has(manager, installed, versions) => {
            PackageOrder::Nothing
        }
        PackageWish::Present(versions) => {
            PackageOrder::Newest { versions: versions.clone(), but: Vec::new() }
        }
    }
}

/// The same for a package that must not be installed in some versions.
pub fn order_vulnerable(
    rule: &PackageVulnerableRule,
    manager: PackageManager,
    installed: &[String],
) -> PackageOrder {
    if installed.iter().any(|version| is(manager, version, &rule.vulnerable)) {
        let but = rule.vulnerable.clone();
        return PackageOrder::Newest { versions: Vec::new(), but };
    }
    PackageOrder::Nothing
}

/// What the manager itself would install if that will do, else the newest version on offer that does.
///
/// # Errors
/// When there is none, for people.
pub fn choose(
    order: &PackageOrder,
    manager: PackageManager,
    package: &str,
    offer: &Offer,
) -> Result<Option<String>, String> {
    let PackageOrder::Newest { versions, but } = order else { return Ok(None) };
    let will_do = |version: &&String| {
        (versions.is_empty() || is(manager, version, versions)) && !is(manager, version, but)
    };
    let compare = |a: &&String, b: &&String| -> Ordering { manager.order().compare(a, b) };
    let candidate = offer.candidate.iter().find(will_do);
    if let Some(best) = candidate.or_else(|| offer.versions.iter().filter(will_do).max_by(compare))
    {
        return Ok(Some(best.clone()));
    }
    let refresh = match manager {
        PackageManager::Dpkg => "; `apt-get update` reads them anew",
        PackageManager::Rpm => "",
    };
    match offer.versions.iter().chain(&offer.candidate).max_by(compare) {
        None => Err(format!("no repository of this node has {package}{refresh}")),
        Some(newest) => Err(format!(
            "no repository of this node has a version of {package} that will do; \
             the newest is {newest}{refresh}"
        )),
    }
}

/// Judges `package`.
pub(crate) fn judge(rule: &PackageRule, sight: &PackageSight) -> Judgement {
    let Some(manager) = sight.manager else { return unmanaged() };
    let name = &rule.package;
    let expected = match &rule.wish {
        PackageWish::Absent => format!("no package {name}"),
        PackageWish::Present(versions) if versions.is_empty() => format!("package {name}"),
        PackageWish::Present(versions) => format!("package {name} {}", wanted(versions)),
    };
    if order(rule, manager, &sight.installed) == PackageOrder::Nothing {
        return match &sight.unfinished {
            None => Judgement::Ok { expected },
            Some(state) => Judgement::Error {
                reason: format!("{name} is {state}: `dpkg --configure -a` may finish it"),
            },
        };
    }
    Judgement::NotOk { expected, actual: actual(name, sight), fix: fix(name, sight) }
}

/// Judges `package_vulnerable`.
pub(crate) fn judge_vulnerable(rule: &PackageVulnerableRule, sight: &PackageSight) -> Judgement {
    let Some(manager) = sight.manager else { return unmanaged() };
    let name = &rule.package;
    if sight.installed.is_empty() {
        return Judgement::NotApplicable { reason: format!("{name} is not installed") };
    }
    let advisory = rule.advisory.as_ref().map(|a| format!(" ({a})")).unwrap_or_default();
    let expected = format!("package {name} not {}{advisory}", wanted(&rule.vulnerable));
    if order_vulnerable(rule, manager, &sight.installed) == PackageOrder::Nothing {
        return Judgement::Ok { expected };
    }
    Judgement::NotOk { expected, actual: actual(name, sight), fix: fix(name, sight) }
}

fn unmanaged() -> Judgement {
    Judgement::NotApplicable { reason: "neither dpkg nor rpm is used here".to_owned() }
}

fn actual(name: &str, sight: &PackageSight) -> String {
    if sight.installed.is_empty() {
        return format!("{name} is not installed");
    }
    let state = sight.unfinished.as_deref().unwrap_or("installed");
    format!("{name} {} is {state}", sight.installed.join(" and "))
}

fn wanted(versions: &[Test]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn is(manager: PackageManager, version: &str, tests: &[Test]) -> bool {
    fits(&FactValue::Version(version.to_owned(), manager.order()), tests)
}

fn has(manager: PackageManager, installed: &[String], versions: &[Test]) -> bool {
    let will_do = |version: &String| versions.is_empty() || is(manager, version, versions);
    installed.iter().any(will_do)
}

/// What the manager would do, unless it would take away what nobody spoke of.
fn fix(name: &str, sight: &PackageSight) -> Result<Vec<Change>, String> {
    let Some(plan) = &sight.plan else { return Ok(Vec::new()) };
    let moves = plan.clone()?;
    let is_it = |m: &&Move| matches!(&m.thing, Thing::Package { name: n, .. } if n == name);
    if !moves.iter().any(|m| is_it(&m)) {
        return Err(format!("the package manager would do nothing about {name}"));
    }
    let others: Vec<&str> =
        moves.iter().filter(|m| m.after.is_none() && !is_it(m)).map(|m| m.thing.name()).collect();
    if !others.is_empty() {
        let others = others.join(", ");
        return Err(format!("{others} would be removed with it: an operator must do that"));
    }
    // The way back names one version of each.
    let versions = |m: &Move| m.before.as_ref().and_then(|b| b.get("version")).cloned();
    if let Some(many) = moves.iter().find(|m| versions(m).is_some_and(|v| v.contains(' '))) {
        return Err(format!("{} is installed in several versions", many.thing.name()));
    }
    Ok(vec![Change::Managed(moves)])
}

#[cfg(test)]
mod tests {
    use crate::compliance::change::Change;
    use crate::compliance::kind::Judgement;
    use crate::compliance::kind::package::{PackageOrder, PackageSight, choose, judge};
    use crate::model::managed::attributes;
    use crate::model::{Move, Offer, PackageManager, Thing};
    use crate::reconcile::desired::rule::kind::{PackageRule, PackageWish};

    fn gone(name: &str) -> Move {
        let thing = Thing::Package { manager: PackageManager::Dpkg, name: name.to_owned() };
        Move { thing, before: Some(attributes([("version", "1")])), after: None }
    }

    fn absent(moves: Vec<Move>) -> Result<Vec<Change>, String> {
        let rule = PackageRule { package: "a".to_owned(), wish: PackageWish::Absent };
        let sight = PackageSight {
            manager: Some(PackageManager::Dpkg),
            installed: vec!["1".to_owned()],
            unfinished: None,
            plan: Some(Ok(moves)),
        };
        match judge(&rule, &sight) {
            Judgement::NotOk { fix, .. } => fix,
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn what_would_take_other_packages_away_is_left_to_an_operator() {
        assert_eq!(absent(vec![gone("a")]), Ok(vec![Change::Managed(vec![gone("a")])]));
        let reason = "b would be removed with it: an operator must do that";
        assert_eq!(absent(vec![gone("a"), gone("b")]), Err(reason.to_owned()));
        let reason = "the package manager would do nothing about a";
        assert_eq!(absent(Vec::new()), Err(reason.to_owned()));
    }

    #[test]
    fn without_a_version_on_offer_it_says_what_there_is() {
        let order = PackageOrder::Newest { versions: Vec::new(), but: Vec::new() };
        let versions = vec!["1.9".to_owned(), "1.10".to_owned()];
        let mut offer = Offer { candidate: None, versions };
        let chosen = choose(&order, PackageManager::Rpm, "a", &offer);
        assert_eq!(chosen, Ok(Some("1.10".to_owned())));
        offer.candidate = Some("1.8".to_owned());
        let pinned = choose(&order, PackageManager::Rpm, "a", &offer);
        assert_eq!(pinned, Ok(Some("1.8".to_owned())), "the host's own settings count");
        let none = choose(&order, PackageManager::Rpm, "a", &Offer::default());
        assert_eq!(none, Err("no repository of this node has a".to_owned()));
    }
}
