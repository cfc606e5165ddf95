//! Collects what is asked for.

use std::collections::BTreeSet;

use crate::clients::docker::EngineInfo;
use crate::clients::host::HostRoot;
use crate::compliance::facts::{
    Facts, Known, accounts, engine, filesystems, network, packages, system, units,
};
use crate::reconcile::desired::rule::{Condition, FACTS, Rule, RuleKind, Test};
use crate::reconcile::observed::ObservedState;

/// What is worth collecting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    facts: BTreeSet<&'static str>,
    sysctls: BTreeSet<String>,
}

impl Wanted {
    /// Every fact, but no kernel parameters.
    pub fn everything() -> Self {
        Self { facts: FACTS.iter().map(|fact| fact.name).collect(), sysctls: BTreeSet::new() }
    }

    /// The same, and these kernel parameters.
    #[must_use]
    pub fn with_sysctls(self, sysctls: BTreeSet<String>) -> Self {
        Self { sysctls, ..self }
    }

    /// What these rules, and their conditions, ask for.
    pub fn by<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Self {
        let mut wanted = Self::default();
        for rule in rules {
            wanted.add(&rule.condition);
            match &rule.kind {
                RuleKind::Dangling(_) => wanted.facts.extend(["image", "volume"]),
                RuleKind::ForbiddenImage(rule) if rule.stored => drop(wanted.facts.insert("image")),
                RuleKind::HubLogin(_) => drop(wanted.facts.insert("hub_login")),
                _ => {}
            }
        }
        wanted
    }

    fn add(&mut self, condition: &Condition) {
        match condition {
            Condition::Place(_) => {}
            Condition::All(all) | Condition::Any(all) => all.iter().for_each(|c| self.add(c)),
            Condition::Not(inner) => self.add(inner),
            Condition::One { fact, .. } => drop(self.facts.insert(fact)),
            Condition::Row { fact, fields } => {
                self.facts.insert(fact);
                let keys = fields.iter().filter(|(field, _)| *fact == "sysctl" && *field == "key");
                self.sysctls.extend(keys.flat_map(|(_, tests)| tests).filter_map(
                    |test| match test {
                        Test::Like(key) if !key.contains('*') => Some(key.clone()),
                        _ => None,
                    },
                ));
            }
        }
    }

    /// Whether one of these facts is asked for.
    pub fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.facts.contains(name))
    }
}

/// Collects what is wanted. `observed` is what the engine showed, or why it does not answer.
pub fn collect(
    host: &HostRoot,
    observed: Result<(&EngineInfo, &ObservedState), &str>,
    wanted: &Wanted,
) -> Facts {
    let mut facts = Facts::default();
    system::learn(host, &mut facts);
    if wanted.any(&["address"]) {
        facts.learn("address", network::addresses(host));
    }
    if wanted.any(&["filesystem"]) {
        facts.learn("filesystem", filesystems::rows(host));
    }
    if wanted.any(&["user", "group"]) {
        accounts::learn(host, &mut facts);
    }
    if wanted.any(&["package", "package_manager"]) {
        packages::learn(host, &mut facts);
    }
    if wanted.any(&["unit"]) {
        facts.learn("unit", units::rows(host));
    }
    if wanted.any(&["sysctl"]) {
        facts.learn("sysctl", system::sysctls(host, &wanted.sysctls));
    }
    if wanted.any(&["engine_setting"]) {
        facts.learn("engine_setting", engine::settings(host));
    }
    match observed {
        Ok((info, observed)) => engine::learn(info, observed, &mut facts),
        Err(reason) => {
            let names = ["engine", "engine_version", "engine_api", "engine_image_store"];
            for name in names.into_iter().chain(["container", "image", "volume"]) {
                facts.learn(name, Known::Missing(reason.to_owned()));
            }
        }
    }
    facts
}
