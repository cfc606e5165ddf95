//! Files that rules change which do not name them: tables of mounts and accounts, settings of the
//! kernel, keys of users.
//!
//! In: a rule, such a file's text. Out: the text once the rule is mended. Pure.
//!
//! # Guarantees
//! * What a rule does not say, such as a number that it leaves open, is changed nowhere.
//! * A setting that nothing else outdoes, or that is not there, is no matter of dispute.

use crate::compliance::kind::{
    BootSettings, CONF_PLACES, blocks_module, edit_fstab, edit_keys, keys_paths, lists_module,
    own_path,
};
use crate::model::{AccountTables, HostPath, PathState};
use crate::reconcile::desired::rule::RuleKind;
use crate::reconcile::desired::rule::kind::{
    GroupRule, KernelModuleRule, MembershipRule, Presence, Principal, SysctlRule, UserRule,
};

/// Whether a rule is also about this file.
pub(super) fn is_kept_in(kind: &RuleKind, path: &HostPath, accounts: &AccountTables) -> bool {
    let path = path.as_str();
    match kind {
        RuleKind::Mount(_) => path == "/etc/fstab",
        RuleKind::Time(rule) => rule.zone.is_some() && path == "/etc/localtime",
        RuleKind::User(_) => path == "/etc/passwd",
        RuleKind::SshAuthorizedKey(rule) => {
            let user = accounts.user(&rule.user);
            user.is_some_and(|user| keys_paths(user).first().is_some_and(|at| at.as_str() == path))
        }
        RuleKind::Group(_) => path == "/etc/group",
        RuleKind::Membership(rule) => path == "/etc/group" && !is_first(rule, accounts),
        RuleKind::Sysctl(rule) => outdoes(path, rule),
        RuleKind::KernelModule(rule) => match rule.state {
            Presence::Present => conf_in(path, "modprobe.d").is_some(),
            Presence::Absent => conf_in(path, "modules-load.d").is_some(),
        },
        _ => false,
    }
}

/// A file as such a rule would read it; none of what is no text.
pub(super) fn text_of(state: &PathState) -> Option<&str> {
    match state {
        PathState::Absent => Some(""),
        PathState::File { content, .. } => str::from_utf8(content).ok(),
        _ => None,
    }
}

/// Its text once the rule is mended; of what the rule leaves to others, once it says nothing else.
pub(super) fn edited(kind: &RuleKind, path: &HostPath, text: &str) -> String {
    let without = |is_against: &dyn Fn(&str) -> bool| {
        text.split_inclusive('\n').filter(|line| !is_against(line)).collect()
    };
    match kind {
        RuleKind::Mount(rule) => edit_fstab(text, rule),
        RuleKind::User(rule) => user(text, rule),
        RuleKind::Group(rule) => group(text, rule),
        RuleKind::Membership(rule) => membership(text, rule),
        RuleKind::Sysctl(rule) => sysctl(text, path, rule),
        RuleKind::SshAuthorizedKey(rule) => edit_keys(text, rule),
        RuleKind::KernelModule(KernelModuleRule { module, state }) => match state {
            Presence::Present => without(&|line| blocks_module(line, module)),
            Presence::Absent => without(&|line| lists_module(line, module)),
        },
        _ => text.to_owned(),
    }
}

/// The name of a file of such a folder that counts.
fn conf_in<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let (at, name) = path.rsplit_once('/')?;
    let is = at
        .rsplit_once('/')
        .is_some_and(|(place, last)| last == folder && CONF_PLACES.contains(&place));
    (is && name.strip_suffix(".conf").is_some()).then_some(name)
}

/// Whether what the file says wins over what the rule writes, or is that.
fn outdoes(path: &str, rule: &SysctlRule) -> bool {
    let own = own_path(rule);
    let own = own.as_ref().and_then(|own| conf_in(own.as_str(), "sysctl.d"));
    path == "/etc/sysctl.conf"
        || conf_in(path, "sysctl.d").zip(own).is_some_and(|(it, own)| it >= own)
}

fn sysctl(text: &str, path: &HostPath, rule: &SysctlRule) -> String {
    let SysctlRule { key, value } = rule;
    // Whether it says anything else of the parameter itself.
    let is_against = |text: &str| {
        let said = BootSettings::read([(text, false)]);
        said.named(key).is_some_and(|said| said.is_none_or(|said| said.value != *value))
    };
    if own_path(rule).as_ref() == Some(path) {
        let is_so =
            BootSettings::read([(text, false)]).of(key).is_some_and(|so| so.value == *value);
        return if is_so { text.to_owned() } else { format!("{key} = {value}\n") };
    }
    if !is_against(text) {
        return text.to_owned();
    }
    text.split_inclusive('\n').filter(|line| !is_against(line)).collect()
}

fn user(text: &str, rule: &UserRule) -> String {
    let Some(wish) = &rule.wish else { return with_entry(text, &rule.user, |_| None) };
    let gid = match &wish.group {
        Some(Principal::Id(gid)) => Some(gid.to_string()),
        _ => None,
    };
    let wanted = [
        (2, wish.uid.map(|uid| uid.to_string())),
        (3, gid),
        (4, wish.comment.clone()),
        (5, wish.home.as_ref().map(ToString::to_string)),
        (6, wish.shell.as_ref().map(ToString::to_string)),
    ];
    with_entry(text, &rule.user, |fields| Some(with_fields(fields, 7, wanted.clone())))
}

fn group(text: &str, rule: &GroupRule) -> String {
    let Some(wish) = &rule.wish else { return with_entry(text, &rule.group, |_| None) };
    let gid = [(2, wish.gid.map(|gid| gid.to_string()))];
    with_entry(text, &rule.group, |fields| Some(with_fields(fields, 4, gid.clone())))
}

/// Whether somebody is in a group because it is their first, which another file says; a user has one
/// of the same name where nothing else is known.
fn is_first(rule: &MembershipRule, accounts: &AccountTables) -> bool {
    let MembershipRule { user, group, state } = rule;
    let known = accounts.user(user).zip(accounts.group(group));
    *state == Presence::Present
        && (user == group || known.is_some_and(|(user, group)| user.gid == group.gid))
}

fn membership(text: &str, rule: &MembershipRule) -> String {
    let MembershipRule { user, group, state } = rule;
    with_entry(text, group, |fields| {
        let listed = fields.get(3).map_or("", String::as_str);
        let members = listed.split(',').filter(|member| !member.is_empty());
        let is_in = members.clone().any(|member| member == user);
        match (state, is_in) {
            (Presence::Present, false) => {
                let members: Vec<&str> = members.chain([user.as_str()]).collect();
                Some(with_fields(fields.clone(), 4, [(3, Some(members.join(",")))]))
            }
            (Presence::Absent, true) => {
                let members: Vec<&str> = members.filter(|member| member != user).collect();
                Some(with_fields(fields.clone(), 4, [(3, Some(members.join(",")))]))
            }
            _ => (!fields.is_empty()).then(|| fields.clone()),
        }
    })
}

/// The table with another entry of this name, which has no fields if there was none; or without one.
fn with_entry(
    text: &str,
    name: &str,
    change: impl Fn(Vec<String>) -> Option<Vec<String>>,
) -> String {
    let is_it = |line: &str| line.split(':').next() == Some(name);
    let fields = |line: &str| line.trim_end_matches('\n').split(':').map(str::to_owned).collect();
    let entry = |fields: Vec<String>| {
        let named = |mut fields: Vec<String>| {
            name.clone_into(&mut fields[0]);
            fields.join(":") + "\n"
        };
        change(fields).filter(|fields| !fields.is_empty()).map(named).unwrap_or_default()
    };
    let mut edited: String = text
        .split_inclusive('\n')
        .map(|line| if is_it(line) { entry(fields(line)) } else { line.to_owned() })
        .collect();
    if !text.lines().any(is_it) {
        edited.push_str(&entry(Vec::new()));
    }
    edited
}

/// So many fields, with those that are wanted.
fn with_fields<const N: usize>(
    mut fields: Vec<String>,
    n: usize,
    wanted: [(usize, Option<String>); N],
) -> Vec<String> {
    if fields.is_empty() {
        fields = vec![String::new(), "x".to_owned()];
    }
    fields.resize(n, String::new());
    for (at, value) in wanted {
        if let Some(value) = value {
            fields[at] = value;
        }
    }
    fields
}
