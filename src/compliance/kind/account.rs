//! `user`, `group` and `membership`: who there is on a host.

use std::collections::BTreeSet;

use crate::compliance::change::Change;
use crate::compliance::kind::{Judgement, listed};
use crate::model::managed::{PRIVATE, attributes};
use crate::model::{AccountTables, Attributes, Move, Thing};
use crate::reconcile::desired::rule::kind::{
    GroupRule, IdRange, MembershipRule, Presence, Principal, UserRule, UserWish,
};

/// Numbers that people get, as login.defs(5) comes.
const PEOPLE: std::ops::Range<u32> = 1_000..60_000;
/// Numbers that programs get, from the end.
const PROGRAMS: std::ops::Range<u32> = 100..1_000;
/// Debian's adduser gives programs numbers from the start; those from here on are from the end.
const FROM_END: u32 = 500;

/// Judges `user`.
pub(crate) fn judge_user(rule: &UserRule, tables: &AccountTables) -> Judgement {
    let name = &rule.user;
    let thing = Thing::User { name: name.clone() };
    let before = tables.user_attributes(name);
    let Some(wish) = &rule.wish else {
        // Their own group goes with them, unless others are in it.
        let stays = tables.own_group(name).is_some_and(|(_, goes)| !goes);
        let note =
            if stays { format!("; group {name} stays: others are in it") } else { String::new() };
        return absent(thing, before, &note);
    };
    let mut wanted = before.clone().unwrap_or_default();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            wanted.insert(key.to_owned(), value);
        }
    };
    set("uid", wish.uid.map(|uid| uid.to_string()));
    set("comment", wish.comment.clone());
    set("home", wish.home.as_ref().map(ToString::to_string));
    set("shell", wish.shell.as_ref().map(ToString::to_string));
    let after = match (&before, first_group(wish, tables)) {
        (_, Err(reason)) => return Judgement::Error { reason },
        (Some(_), Ok(None)) => Ok(wanted),
        (Some(_), Ok(Some((gid, group)))) => {
            wanted.extend(attributes([("gid", &gid.to_string()), ("group", &group)]));
            Ok(wanted)
        }
        (None, Ok(group)) => new_user(name, wish, group, tables),
    };
    let uid = wish.uid.filter(|uid| tables.users.iter().any(|u| u.uid == *uid && u.name != *name));
    let after = match uid {
        Some(uid) => Err(format!("another user has the number {uid}")),
        None => after,
    };
    present(thing, before, after)
}

/// Judges `group`.
pub(crate) fn judge_group(rule: &GroupRule, tables: &AccountTables) -> Judgement {
    let name = &rule.group;
    let thing = Thing::Group { name: name.clone() };
    let before = tables.group_attributes(name);
    let Some(wish) = &rule.wish else { return absent(thing, before, "") };
    let [_, used] = used(tables);
    let taken = wish.gid.and_then(|gid| tables.group_name(gid)).filter(|other| other != name);
    let gid = match (wish.gid, taken) {
        (Some(gid), Some(other)) => Err(format!("group {other} has the number {gid}")),
        (Some(gid), None) => Ok(Some(gid)),
        (None, _) if before.is_some() => Ok(None),
        (None, _) => free(wish.range, &used).map(Some),
    };
    let after = gid.map(|gid| {
        let mut after = before.clone().unwrap_or_else(|| attributes([("members", "")]));
        after.extend(gid.map(|gid| ("gid".to_owned(), gid.to_string())));
        after
    });
    let now = tables.group(name).map(|group| group.gid);
    let first = tables.users.iter().filter(|user| Some(user.gid) == now);
    let first: Vec<String> = first.map(|user| user.name.clone()).collect();
    match present(thing, before, after) {
        Judgement::NotOk { expected, actual, fix } if !first.is_empty() => {
            let actual = format!("{actual}; it is the first group of {}", listed(&first));
            Judgement::NotOk { expected, actual, fix }
        }
        judgement => judgement,
    }
}

/// Judges `membership`.
pub(crate) fn judge_membership(rule: &MembershipRule, tables: &AccountTables) -> Judgement {
    let MembershipRule { user, group, state } = rule;
    let (known, known_group) = (tables.user(user), tables.group(group));
    // Members may be users whom another directory than /etc/passwd knows.
    let is_in = known_group.is_some_and(|group| group.members.contains(user));
    let is_first =
        known.zip(known_group).is_some_and(|(known, known_group)| known.gid == known_group.gid);
    let thing = Thing::Member { name: user.clone(), group: group.clone() };
    match (state, is_first || is_in) {
        (Presence::Present, true) => Judgement::Ok { expected: thing.to_string() },
        (Presence::Present, false) => {
            let missing = match (known, known_group) {
                (None, _) => Some(format!("user {user}")),
                (_, None) => Some(format!("group {group}")),
                _ => None,
            };
            let expected = thing.to_string();
            let actual = match &missing {
                Some(missing) => format!("there is no {missing}"),
                None => format!("user {user} is not in group {group}"),
            };
            let fix = match missing {
                Some(missing) => Err(format!("a rule of kind `user` or `group` makes {missing}")),
                None => Ok(one(thing, None, Some(Attributes::new()))),
            };
            Judgement::NotOk { expected, actual, fix }
        }
        (Presence::Absent, false) => {
            Judgement::Ok { expected: format!("user {user} not in group {group}") }
        }
        (Presence::Absent, true) => {
            let fix = if is_first {
                Err(format!("it is the first group of user {user}"))
            } else {
                Ok(one(thing, Some(Attributes::new()), None))
            };
            let expected = format!("user {user} not in group {group}");
            Judgement::NotOk { expected, actual: format!("user {user} is in group {group}"), fix }
        }
    }
}

/// What only root may read goes and comes with an account; otherwise it is nobody's matter here.
fn one(thing: Thing, mut before: Option<Attributes>, mut after: Option<Attributes>) -> Vec<Change> {
    if let (Some(before), Some(after)) = (&mut before, &mut after) {
        for side in [before, after] {
            side.retain(|name, _| !PRIVATE.contains(&name.as_str()));
        }
    }
    vec![Change::Managed(vec![Move { thing, before, after }])]
}

fn absent(thing: Thing, before: Option<Attributes>, note: &str) -> Judgement {
    let expected = format!("no {thing}");
    if before.is_none() {
        return Judgement::Ok { expected };
    }
    let actual = format!("there is a {thing}{note}");
    Judgement::NotOk { expected, actual, fix: Ok(one(thing, before, None)) }
}

fn present(
    thing: Thing,
    before: Option<Attributes>,
    after: Result<Attributes, String>,
) -> Judgement {
    let (Some(is), Ok(wanted)) = (&before, &after) else {
        let expected = format!("a {thing}");
        let actual = match before {
            Some(_) => format!("{thing} is another"),
            None => format!("there is no {thing}"),
        };
        let fix = after.map(|after| one(thing, before, Some(after)));
        return Judgement::NotOk { expected, actual, fix };
    };
    let differs = |key: &&String| is.get(*key) != wanted.get(*key) && *key != "group";
    let shown = |side: &Attributes| {
        let pairs = wanted.keys().filter(differs);
        let pair = |key: &String| format!("{key} {}", side.get(key).map_or("", String::as_str));
        format!("{thing}: {}", pairs.map(pair).collect::<Vec<_>>().join(", "))
    };
    if is == wanted {
        return Judgement::Ok { expected: format!("{thing} as wanted") };
    }
    let (expected, actual) = (shown(wanted), shown(is));
    Judgement::NotOk { expected, actual, fix: after.map(|after| one(thing, before, Some(after))) }
}

/// The first group that a rule names.
fn first_group(wish: &UserWish, tables: &AccountTables) -> Result<Option<(u32, String)>, String> {
    let Some(principal) = &wish.group else { return Ok(None) };
    let found = match principal {
        Principal::Name(name) => tables.group(name),
        Principal::Id(gid) => tables.groups.iter().find(|group| group.gid == *gid),
    };
    let group = found.ok_or_else(|| format!("there is no group {principal} here"))?;
    Ok(Some((group.gid, group.name.clone())))
}

/// Everything of a user who is yet to be made, numbers included: what is decided is what is made.
fn new_user(
    name: &str,
    wish: &UserWish,
    group: Option<(u32, String)>,
    tables: &AccountTables,
) -> Result<Attributes, String> {
    let [uids, gids] = used(tables);
    let own = tables.group(name).map(|group| (group.gid, group.name.clone()));
    let (uid, (gid, group)) = match (wish.uid, group.or(own)) {
        (Some(uid), Some(group)) => (uid, group),
        (Some(uid), None) if tables.group_name(uid).is_none() => (uid, (uid, name.to_owned())),
        (Some(uid), None) => (uid, (free(wish.range, &gids)?, name.to_owned())),
        (None, Some(group)) => (free(wish.range, &uids)?, group),
        (None, None) => {
            // One number for both, as people expect.
            let used = uids.union(&gids).copied().collect();
            let number = free(wish.range, &used)?;
            (number, (number, name.to_owned()))
        }
    };
    let shown =
        |path: Option<String>, otherwise: &str| path.unwrap_or_else(|| otherwise.to_owned());
    let home = shown(wish.home.as_ref().map(ToString::to_string), &format!("/home/{name}"));
    let nologin = "/usr/sbin/nologin";
    let shell = match wish.range {
        IdRange::Person => "/bin/sh",
        IdRange::System => nologin,
    };
    let shell = shown(wish.shell.as_ref().map(ToString::to_string), shell);
    let groups = tables.groups_of(name).join(",");
    Ok(attributes([
        ("uid", &uid.to_string()),
        ("gid", &gid.to_string()),
        ("group", &group),
        ("groups", &groups),
        ("comment", wish.comment.as_deref().unwrap_or_default()),
        ("home", &home),
        ("shell", &shell),
    ]))
}

/// Numbers of users and of groups that somebody has, or had before the last change: files of one who
/// is gone are not given to the next.
fn used(tables: &AccountTables) -> [BTreeSet<u32>; 2] {
    let [mut uids, mut gids] = tables.former.clone();
    uids.extend(tables.users.iter().map(|user| user.uid));
    gids.extend(tables.groups.iter().map(|group| group.gid));
    [uids, gids]
}

/// The next number beyond those in use: upwards for people, downwards for programs. One who is gone
/// may have left files, so that gaps are filled only where nothing else is free.
fn free(range: IdRange, used: &BTreeSet<u32>) -> Result<u32, String> {
    let is_free = |number: &u32| !used.contains(number);
    let found = match range {
        IdRange::Person => {
            let next = used.range(PEOPLE).next_back().map_or(PEOPLE.start, |last| last + 1);
            (next..PEOPLE.end).next().or_else(|| PEOPLE.clone().find(is_free))
        }
        IdRange::System => {
            let end = used.range(FROM_END..PROGRAMS.end).next().copied().unwrap_or(PROGRAMS.end);
            (FROM_END..end).next_back().or_else(|| PROGRAMS.clone().rev().find(is_free))
        }
    };
    found.ok_or_else(|| "no number is free".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::compliance::change::Change;
    use crate::compliance::kind::Judgement;
    use crate::compliance::kind::account::{PEOPLE, free, judge_membership, judge_user};
    use crate::model::AccountTables;
    use crate::reconcile::desired::rule::kind::{
        IdRange, MembershipRule, Presence, UserRule, UserWish,
    };

    fn tables() -> AccountTables {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        AccountTables::parse(passwd, "root:x:0:\nalice:x:1000:\nadm:x:4:alice\nold:x:1001:\n")
    }

    fn bob(uid: Option<u32>, range: IdRange) -> Judgement {
        let (group, comment, home, shell) = (None, None, None, None);
        let wish = Some(UserWish { uid, group, comment, home, shell, range });
        judge_user(&UserRule { user: "bob".to_owned(), wish }, &tables())
    }

    fn numbers(judgement: &Judgement) -> Option<(String, String)> {
        let Judgement::NotOk { fix: Ok(changes), .. } = judgement else { return None };
        let Some(Change::Managed(moves)) = changes.first() else { return None };
        let after = moves.first()?.after.as_ref()?;
        Some((after.get("uid")?.clone(), after.get("gid")?.clone()))
    }

    #[test]
    fn a_new_user_gets_a_number_that_is_free_as_user_and_as_group() {
        let pair = |uid: &str, gid: &str| Some((uid.to_owned(), gid.to_owned()));
        assert_eq!(numbers(&bob(None, IdRange::Person)), pair("1002", "1002"));
        assert_eq!(numbers(&bob(None, IdRange::System)), pair("999", "999"));
        assert_eq!(numbers(&bob(Some(1001), IdRange::Person)), pair("1001", "1002"));
        let Judgement::NotOk { fix, .. } = bob(Some(1000), IdRange::Person) else { panic!("held") };
        assert_eq!(fix, Err("another user has the number 1000".to_owned()));
    }

    #[test]
    fn a_number_that_was_given_before_is_given_again_only_when_nothing_else_is_free() {
        let used = |numbers: &[u32]| numbers.iter().copied().collect::<BTreeSet<u32>>();
        for (range, numbers, next) in [
            (IdRange::Person, used(&[0, 1000, 1002, 65534]), 1003),
            (IdRange::Person, used(&[1000, 1002, 59_999]), 1001),
            (IdRange::System, used(&[0, 100, 999, 997]), 996),
            (IdRange::System, used(&[100, 500, 999]), 998),
        ] {
            assert_eq!(free(range, &numbers), Ok(next), "{numbers:?}");
        }
        assert!(free(IdRange::Person, &PEOPLE.collect()).is_err());
    }

    #[test]
    fn the_first_group_of_a_user_counts_and_is_not_taken_away() {
        let of = |group: &str, state| {
            let rule = MembershipRule { user: "alice".to_owned(), group: group.to_owned(), state };
            judge_membership(&rule, &tables())
        };
        assert!(matches!(of("alice", Presence::Present), Judgement::Ok { .. }));
        let Judgement::NotOk { fix, .. } = of("alice", Presence::Absent) else { panic!("held") };
        assert_eq!(fix, Err("it is the first group of user alice".to_owned()));
        assert!(matches!(of("nobody", Presence::Absent), Judgement::Ok { .. }));
    }
}
