//! Users and groups, as /etc/passwd and /etc/group have them.
//!
//! In: both texts. Out: [`AccountTables`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Attributes;
use crate::model::managed::attributes;

/// Every user and group of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountTables {
    /// Users.
    pub users: Vec<UserEntry>,
    /// Groups.
    pub groups: Vec<GroupEntry>,
    /// Numbers that somebody had before the last change, as far as it is known: of users and of
    /// groups.
    pub former: [BTreeSet<u32>; 2],
    /// What /etc/shadow says of a user's password but the password, as it is written there.
    ageing: BTreeMap<String, String>,
    /// Who may change a group's members, as /etc/gshadow says.
    administrators: BTreeMap<String, String>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEntry {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
    /// What else is said of them.
    pub comment: String,
    /// The home directory.
    pub home: String,
    /// The login shell.
    pub shell: String,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// The name.
    pub name: String,
    /// The number.
    pub gid: u32,
    /// Users whose first group is another.
    pub members: BTreeSet<String>,
}

impl AccountTables {
    /// Reads both; lines that are none are left out.
    pub fn parse(passwd: &str, group: &str) -> Self {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        Self {
            users: passwd.lines().filter_map(|line| user(&fields(line))).collect(),
            groups: group.lines().filter_map(|line| one_group(&fields(line))).collect(),
            ..Self::default()
        }
    }

    /// Learns what /etc/shadow and /etc/gshadow say, passwords left out.
    #[must_use]
    pub fn beside(self, shadow: &str, gshadow: &str) -> Self {
        let ageing = shadow.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, ageing @ .., _flag] = &fields[..] else { return None };
            Some(((*name).to_owned(), ageing.join(":")))
        });
        let administrators = gshadow.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, administrators, _] = fields[..] else { return None };
            (!administrators.is_empty()).then(|| (name.to_owned(), administrators.to_owned()))
        });
        let (ageing, administrators) = (ageing.collect(), administrators.collect());
        Self { ageing, administrators, ..self }
    }

    /// Learns who there was before the last change, from the copies that shadow's programs keep.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        let users = before.users.iter().map(|user| user.uid).collect();
        Self { former: [users, before.groups.iter().map(|group| group.gid).collect()], ..self }
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&UserEntry> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&GroupEntry> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The name of the group with this number.
    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|group| group.gid == gid).map(|group| group.name.as_str())
    }

    /// A user's own group, which is their first and has their name, with whether it goes with them:
    /// nobody else is in it.
    pub fn own_group(&self, name: &str) -> Option<(&GroupEntry, bool)> {
        let (user, group) = self.user(name).zip(self.group(name))?;
        let first = |other: &UserEntry| other.gid == group.gid && other.name != name;
        let others = group.members.iter().any(|member| member != name);
        let goes = !others && !self.users.iter().any(first);
        (user.gid == group.gid).then_some((group, goes))
    }

    /// Who may change a group's members, as far as it is known.
    pub fn administrators_of(&self, group: &str) -> impl Iterator<Item = &str> {
        let all = self.administrators.get(group).map(String::as_str).unwrap_or_default();
        all.split(',').filter(|name| !name.is_empty())
    }

    /// Groups that a user is a member of besides the first one.
    pub fn groups_of(&self, user: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .groups
            .iter()
            .filter(|group| group.members.contains(user))
            .map(|group| group.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }
}

fn user(fields: &[String]) -> Option<UserEntry> {
    let [name, _, uid, gid, comment, home, shell] = fields else { return None };
    Some(UserEntry {
        name: name.clone(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: comment.clone(),
        home: home.clone(),
        shell: shell.clone(),
    })
}

fn one_group(fields: &[String]) -> Option<GroupEntry> {
    let [name, _, gid, members] = fields else { return None };
    let members = members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Some(GroupEntry { name: name.clone(), gid: gid.parse().ok()?, members })
}

impl AccountTables {
    /// What is so of a user: `uid`, `gid`, `group`, `groups`, `comment`, `home`, `shell`; if it is known,
    /// `ageing`; if there are, the groups that they administer (`administers`), and who administers the
    /// one that goes with them (`administrators`).
    pub fn user_attributes(&self, name: &str) -> Option<Attributes> {
        let user = self.user(name)?;
        let mut all = attributes([
            ("uid", &user.uid.to_string()),
            ("gid", &user.gid.to_string()),
            ("group", self.group_name(user.gid).unwrap_or_default()),
            ("groups", &self.groups_of(name).join(",")),
            ("comment", &user.comment),
            ("home", &user.home),
            ("shell", &user.shell),
        ]);
        let own = self.own_group(name).filter(|(_, goes)| *goes).map(|(group, _)| &group.name);
        let administers = self.administrators.keys().map(String::as_str);
        let administers: Vec<&str> = administers
            .filter(|group| self.group(group).is_some())
            .filter(|group| self.administrators_of(group).any(|one| one == name))
            .collect();
        let administers = (!administers.is_empty()).then(|| administers.join(","));
        for (key, said) in [
            ("ageing", self.ageing.get(name).cloned()),
            ("administers", administers),
            ("administrators", own.and_then(|own| self.administrators.get(own)).cloned()),
        ] {
            all.extend(said.map(|said| (key.to_owned(), said)));
        }
        Some(all)
    }

    /// What is so of a group: `gid`, `members`; `administrators`, if there are and it is known.
    pub fn group_attributes(&self, name: &str) -> Option<Attributes> {
        let group = self.group(name)?;
        let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
        let mut all =
            attributes([("gid", &group.gid.to_string()), ("members", &members.join(","))]);
        let administrators = self.administrators.get(name).cloned();
        all.extend(administrators.map(|said| ("administrators".to_owned(), said)));
        Some(all)
    }
}
