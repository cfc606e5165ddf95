//! Rules that cannot hold together: each would undo what another mends.
//!
//! In: the rules of a node that apply. Out: [`Disputes`]. Pure.
//!
//! # Guarantees
//! * A rule about a part of a file is held against the whole content that another rule wants there,
//!   and is in dispute only if it does not hold on it.
//! * Rules about parts of one file are in dispute only if one undoes the other, both ways, in a file
//!   that has nothing else in it. What keeps mounts, accounts, kernel parameters and modules are such
//!   files, and rules about these are about parts of them.
//! * A file is the same by whatever links a path leads to it.

mod claim;
mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::compliance::dispute::claim::{
    edited, holds, member_at, part_of, quarrels_about, text, wanted, whole_of,
};
use crate::compliance::dispute::table::is_kept_in;
use crate::compliance::facts::Facts;
use crate::compliance::matching::{Applies, applies};
use crate::model::{AccountTables, HostPath};
use crate::reconcile::desired::rule::{Rule, RuleId, RuleKind, Target};

/// Rules in dispute, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disputes(BTreeMap<(RuleId, Target), String>);

impl Disputes {
    /// Those among the rules that apply on a node of which this is known, with these accounts. `leads`
    /// says where a folder leads by links; none if that cannot be told.
    pub fn on_node(
        rules: &[Rule],
        facts: &Facts,
        accounts: &AccountTables,
        leads: impl Fn(&HostPath) -> Option<HostPath>,
    ) -> Self {
        let yes = |rule: &&Rule| matches!(applies(&rule.condition, facts), Applies::Yes);
        let mut known: BTreeMap<HostPath, Option<HostPath>> = BTreeMap::new();
        let mut there = |path: &HostPath| {
            let (folder, name) = path.split()?;
            let leads = known.entry(folder).or_insert_with_key(&leads).as_ref()?;
            leads.below(name).filter(|there| there != path)
        };
        let rules: Vec<Cow<'_, Rule>> =
            rules.iter().filter(yes).map(|rule| led(rule, &mut there)).collect();
        Self::among(rules.iter().map(AsRef::as_ref), accounts)
    }

    /// Those among these rules, all of which apply, where these accounts are known.
    pub fn among<'a>(rules: impl IntoIterator<Item = &'a Rule>, accounts: &AccountTables) -> Self {
        let rules: Vec<&Rule> = rules.into_iter().collect();
        let mut found = Self::default();
        found.about_things(&rules);
        let mut by_path: BTreeMap<&HostPath, Claims<'_>> = BTreeMap::new();
        for rule in &rules {
            if let Some(path) = part_of(&rule.kind) {
                by_path.entry(path).or_default().parts.push(rule);
            } else if let Some(path) = whole_of(&rule.kind) {
                by_path.entry(path).or_default().wholes.push(rule);
            }
        }
        for rule in &rules {
            if let RuleKind::Archive(archive) = &rule.kind {
                for other in &rules {
                    if let Some(path) = quarrels_about(archive, &other.kind) {
                        found.add_both(path, [*rule, *other]);
                    }
                }
                for (path, claims) in &mut by_path {
                    if member_at(archive, path).is_some() {
                        claims.wholes.push(rule);
                    }
                }
            }
        }
        for (path, claims) in &mut by_path {
            let kept = rules.iter().filter(|rule| is_kept_in(&rule.kind, path, accounts));
            claims.parts.extend(kept);
        }
        for (path, claims) in by_path {
            found.about_file(path, &claims);
        }
        found
    }

    /// Why this rule is in dispute; none if it is in none.
    pub fn of(&self, rule: &Rule) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(rule.id.clone(), rule.target.clone())).map(String::as_str)
    }

    /// Two rules about one thing that want it differently leave all rules about it in dispute.
    fn about_things(&mut self, rules: &[&Rule]) {
        let mut by_thing: BTreeMap<String, Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            by_thing.entry(rule.kind.thing()).or_default().push(rule);
        }
        for (thing, rules) in by_thing.into_iter().filter(|(_, rules)| rules.len() > 1) {
            let pair = rules.iter().find_map(|one| {
                let other = rules.iter().find(|other| one.kind.contradicts(&other.kind))?;
                Some([*one, *other])
            });
            if let Some(pair) = pair {
                for rule in rules {
                    self.add(rule, &thing, pair);
                }
            }
        }
    }

    fn about_file(&mut self, path: &HostPath, claims: &Claims<'_>) {
        if claims.wholes.len() + claims.parts.len() < 2 {
            return;
        }
        if let [one, rest @ ..] = &claims.wholes[..] {
            let first = wanted(one, path);
            for other in rest.iter().filter(|other| wanted(other, path) != first) {
                self.add_both(path, [one, other]);
            }
            for part in &claims.parts {
                if !holds(part, path, &first) {
                    self.add_both(path, [one, part]);
                }
            }
            return;
        }
        // Most files have no quarrel, which one walk over their rules shows.
        let edited = |rule: &Rule, state| edited(rule, path, state);
        let holds = |rule: &Rule, state: &_| holds(rule, path, state);
        let all = claims.parts.iter().fold(text(&[]), |state, part| edited(part, state));
        let undone = |part: &&&Rule| !holds(part, &all) && holds(part, &edited(part, text(&[])));
        for one in claims.parts.iter().filter(undone) {
            let quarrels = |other: &Rule| {
                let theirs = edited(other, edited(one, text(&[])));
                let ours = edited(one, theirs.clone());
                !holds(one, &theirs) && holds(other, &theirs) && !holds(other, &ours)
            };
            for other in &claims.parts {
                // One reason each is enough: many rules that all quarrel are not tried in pairs.
                let is_known = self.of(one).is_some() && self.of(other).is_some();
                if !is_known && quarrels(other) {
                    self.add_both(path, [one, other]);
                }
            }
        }
    }

    fn add_both(&mut self, path: &HostPath, pair: [&Rule; 2]) {
        for rule in pair {
            self.add(rule, path.as_str(), pair);
        }
    }

    fn add(&mut self, rule: &Rule, what: &str, [one, other]: [&Rule; 2]) {
        let reason =
            || format!("{what} is wanted differently by rules {} and {}", one.id, other.id);
        self.0.entry((rule.id.clone(), rule.target.clone())).or_insert_with(reason);
    }
}

/// What rules want of one path.
#[derive(Default)]
struct Claims<'a> {
    wholes: Vec<&'a Rule>,
    parts: Vec<&'a Rule>,
}

/// The same rule, about where its path leads.
fn led(rule: &Rule, there: impl FnOnce(&HostPath) -> Option<HostPath>) -> Cow<'_, Rule> {
    let at = match &rule.kind {
        RuleKind::File(rule) => Some(&rule.path),
        RuleKind::Archive(rule) => Some(&rule.path),
        kind => part_of(kind).or_else(|| whole_of(kind)),
    };
    let Some(led) = at.and_then(there) else { return Cow::Borrowed(rule) };
    let mut rule = rule.clone();
    let path = match &mut rule.kind {
        RuleKind::File(rule) => &mut rule.path,
        RuleKind::FileLine(rule) => &mut rule.path,
        RuleKind::FileAbsent(rule) => &mut rule.path,
        RuleKind::Directory(rule) => &mut rule.path,
        RuleKind::Symlink(rule) => &mut rule.path,
        RuleKind::KeyValue(rule) | RuleKind::DaemonConfig(rule) => &mut rule.path,
        RuleKind::Sudoers(rule) | RuleKind::Cron(rule) => &mut rule.path,
        RuleKind::Archive(rule) => &mut rule.path,
        _ => return Cow::Owned(rule),
    };
    *path = led;
    Cow::Owned(rule)
}
