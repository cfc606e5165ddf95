//! Rules that cannot hold together: each would undo what another mends.
//!
//! In: the rules of a node that apply. Out: [`Disputes`]. Pure.
//!
//! # Guarantees
//! * A rule about a part of a file is held against the whole content that another rule wants there,
//!   and is in dispute only if it does not hold on it.
//! * Rules about parts of one file are in dispute only if one undoes the other, both ways, in a file
//!   that has nothing else in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compliance::change::Change;
use crate::compliance::facts::Facts;
use crate::compliance::kind::{DaemonSight, Judgement, Sight, View, judge};
use crate::compliance::matching::{Applies, applies};
use crate::model::archive::{Member, contents};
use crate::model::{AccountTables, HostPath, PathState, Permissions};
use crate::reconcile::desired::rule::kind::{ArchiveRule, DropInRule, FileRule};
use crate::reconcile::desired::rule::{Rule, RuleId, RuleKind, Target};

/// Rules in dispute, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disputes(BTreeMap<(RuleId, Target), String>);

impl Disputes {
    /// Those among the rules that apply on a node of which this is known.
    pub fn on_node(rules: &[Rule], facts: &Facts) -> Self {
        let yes = |rule: &&Rule| matches!(applies(&rule.condition, facts), Applies::Yes);
        Self::among(rules.iter().filter(yes))
    }

    /// Those among these rules, all of which apply.
    pub fn among<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Self {
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
                for (path, claims) in &mut by_path {
                    if member_at(archive, path).is_some() {
                        claims.wholes.push(rule);
                    }
                }
            }
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
        let mut add = |[one, other]: [&Rule; 2]| {
            for rule in [one, other] {
                self.add(rule, path.as_str(), [one, other]);
            }
        };
        if let [one, rest @ ..] = &claims.wholes[..] {
            let first = wanted(one, path);
            for other in rest.iter().filter(|other| wanted(other, path) != first) {
                add([one, other]);
            }
            for part in &claims.parts {
                if !matches!(on(part, first.clone()), Judgement::Ok { .. }) {
                    add([one, part]);
                }
            }
            return;
        }
        // Most files have no quarrel, which one walk over their rules shows.
        let all = claims.parts.iter().fold(text(&[]), |state, part| edited(part, state));
        let undone = |part: &&&Rule| !holds(part, &all) && holds(part, &edited(part, text(&[])));
        for one in claims.parts.iter().filter(undone) {
            let quarrels = |other: &&&Rule| {
                let theirs = edited(other, edited(one, text(&[])));
                let ours = edited(one, theirs.clone());
                !holds(one, &theirs) && holds(other, &theirs) && !holds(other, &ours)
            };
            for other in claims.parts.iter().filter(quarrels) {
                add([one, other]);
            }
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

/// The file of which this rule is about a part.
fn part_of(kind: &RuleKind) -> Option<&HostPath> {
    match kind {
        RuleKind::FileLine(rule) => Some(&rule.path),
        RuleKind::KeyValue(rule) | RuleKind::DaemonConfig(rule) => Some(&rule.path),
        _ => None,
    }
}

/// The path of which this rule says all that lies there.
fn whole_of(kind: &RuleKind) -> Option<&HostPath> {
    match kind {
        RuleKind::File(rule) => rule.content.is_some().then_some(&rule.path),
        RuleKind::Sudoers(rule) | RuleKind::Cron(rule) => Some(&rule.path),
        RuleKind::FileAbsent(rule) => Some(&rule.path),
        RuleKind::Directory(rule) => Some(&rule.path),
        RuleKind::Symlink(rule) => Some(&rule.path),
        _ => None,
    }
}

/// What such a rule, or an archive with a member there, wants at this path.
fn wanted(rule: &Rule, path: &HostPath) -> PathState {
    match &rule.kind {
        RuleKind::File(FileRule { content: Some(content), .. })
        | RuleKind::Sudoers(DropInRule { content: Some(content), .. })
        | RuleKind::Cron(DropInRule { content: Some(content), .. }) => text(&content.0),
        RuleKind::Directory(_) => PathState::Directory { owned: OWNED },
        RuleKind::Symlink(rule) => PathState::Symlink { to: rule.to.clone() },
        RuleKind::Archive(archive) => match member_at(archive, path) {
            Some((inner, Member::File { .. })) => {
                let content = contents(&archive.packed.0, |name| name == inner).ok();
                text(&content.and_then(|mut all| all.remove(inner)).unwrap_or_default())
            }
            Some((_, Member::Symlink { to })) => PathState::Symlink { to: to.clone() },
            Some((_, Member::Directory { .. })) => PathState::Directory { owned: OWNED },
            None => PathState::Absent,
        },
        _ => PathState::Absent,
    }
}

/// What an archive has at a path.
fn member_at<'a>(archive: &'a ArchiveRule, path: &'a HostPath) -> Option<(&'a str, &'a Member)> {
    let inner = path.as_str().strip_prefix(archive.path.as_str())?.strip_prefix('/')?;
    Some((inner, archive.members.get(inner)?))
}

/// Whose it is does not matter here.
const OWNED: Permissions = Permissions { mode: 0o644, uid: 0, gid: 0 };

fn text(content: &[u8]) -> PathState {
    PathState::File { content: Arc::from(content), owned: OWNED }
}

/// What a rule about a part comes to where this lies at its path.
fn on(rule: &Rule, state: PathState) -> Judgement {
    let accounts = AccountTables::default();
    let creator = (OWNED.uid, OWNED.gid);
    let (enclosed, missing) = (false, Vec::new());
    let sight = Sight { state, enclosed, missing, accounts: &accounts, creator, id: &rule.id };
    let view = match &rule.kind {
        RuleKind::DaemonConfig(_) => View::Daemon(DaemonSight { file: sight, syntax: Ok(()) }),
        _ => View::Path(sight),
    };
    judge(&rule.kind, &view)
}

fn holds(rule: &Rule, state: &PathState) -> bool {
    matches!(on(rule, state.clone()), Judgement::Ok { .. })
}

/// What lies there once this rule is mended; the same where it cannot be.
fn edited(rule: &Rule, state: PathState) -> PathState {
    match on(rule, state.clone()) {
        Judgement::NotOk { fix: Ok(mut changes), .. } => match changes.pop() {
            Some(Change::Path { after, .. }) => after,
            _ => state,
        },
        _ => state,
    }
}
