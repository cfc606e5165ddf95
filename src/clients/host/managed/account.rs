//! Users and groups: both files are read, the programs of shadow change them.

use std::collections::BTreeMap;

use crate::clients::host::managed::cannot;
use crate::clients::host::{HostError, HostRoot, ProcessError, Program};
use crate::model::managed::{PRIVATE, attributes};
use crate::model::{AccountTables, Attributes, Move, Thing};

/// More than any host's.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

impl HostRoot {
    /// Every user and group of /etc/passwd and /etc/group.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn account_tables(&self) -> Result<AccountTables, HostError> {
        let text = |path| self.text(path, BYTES_MAX).map(Option::unwrap_or_default);
        let now = AccountTables::parse(&text("/etc/passwd")?, &text("/etc/group")?);
        // Copies that only root may read, on some hosts, say less and are no error.
        let copy = |path| text(path).unwrap_or_default();
        Ok(now.after(&AccountTables::parse(&copy("/etc/passwd-"), &copy("/etc/group-"))))
    }

    /// The same with what root alone may read of them, for root; no password is among it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn accounts_whole(&self) -> Result<AccountTables, HostError> {
        let text = |path| self.text(path, BYTES_MAX).ok().flatten().unwrap_or_default();
        Ok(self.account_tables()?.beside(&text("/etc/shadow"), &text("/etc/gshadow")))
    }

    /// Leaves out of a user or group that is about to come back what this host cannot give them by
    /// now, and says what: members whom it cannot look up, groups that are gone.
    ///
    /// # Errors
    /// When accounts cannot be read.
    pub fn leave_out(&self, change: &mut Move) -> Result<Vec<String>, HostError> {
        let Move { thing, before: None, after: Some(after) } = change else {
            return Ok(Vec::new());
        };
        let tables = self.account_tables()?;
        Ok(match thing {
            Thing::Group { .. } => {
                let is_known = |name: &str| self.knows_user(&tables, name);
                let mut strangers = without(after, "members", is_known);
                strangers.extend(without(after, "administrators", is_known));
                strangers.sort();
                strangers.dedup();
                let of = |name: String| format!("{name} of {thing}, whom this host does not know");
                strangers.into_iter().map(of).collect()
            }
            Thing::User { .. } => {
                let gone = without(after, "groups", |name| tables.group(name).is_some());
                let of = |group| format!("{group} for {thing}, which is gone");
                let mut lost: Vec<String> = gone.into_iter().map(of).collect();
                lost.extend(first_group(&tables, after).map(|said| format!("{said} for {thing}")));
                lost.extend(self.unadministered(thing.name(), after)?);
                lost
            }
            _ => Vec::new(),
        })
    }

    /// Leaves out what a user cannot administer by now, and who cannot administer their own group.
    fn unadministered(&self, name: &str, after: &mut Attributes) -> Result<Vec<String>, HostError> {
        let tables = self.accounts_whole()?;
        let own = after.get("group").filter(|group| tables.group(group).is_none()).cloned();
        let is_own = |group: &str| own.as_deref() == Some(group);
        let is_known = |other: &str| other == name || self.knows_user(&tables, other);
        let gone =
            without(after, "administers", |group| is_own(group) || tables.group(group).is_some());
        // gpasswd takes no list with such a one.
        let odd =
            without(after, "administers", |group| tables.administrators_of(group).all(is_known));
        if own.is_none() {
            // Somebody else made it anew.
            after.remove("administrators");
        }
        let strangers = without(after, "administrators", is_known);
        let own = own.unwrap_or_default();
        let by = format!("to be administered by user {name}");
        let gone = gone.into_iter().map(|group| format!("{group}, which is gone, {by}"));
        let odd = odd.into_iter().map(|group| {
            format!("{group}, with an administrator whom this host does not know, {by}")
        });
        let strangers = strangers.into_iter().map(|other| {
            format!("{other}, whom this host does not know, as administrator of group {own}")
        });
        Ok(gone.chain(odd).chain(strangers).collect())
    }

    /// Whether there is such a user, here or where else the host looks users up, such as LDAP.
    pub fn knows_user(&self, tables: &AccountTables, name: &str) -> bool {
        let asked = || self.run(Program::looking(&["getent", "passwd", "--", name]));
        tables.user(name).is_some() || asked().is_ok_and(|ran| ran.succeeded())
    }

    pub(super) fn move_account(&self, change: &Move) -> Result<(), HostError> {
        let done = match &change.thing {
            Thing::User { name } => self.move_user(name, change)?,
            Thing::Group { name } => self.move_group(name, change),
            Thing::Member { name, group } => {
                let flag = if change.after.is_some() { "--add" } else { "--delete" };
                self.tell(&["gpasswd", flag, name, group])
            }
            _ => Ok(()),
        };
        done.map_err(cannot(format!("changing {}", change.thing)))
    }

    fn tell(&self, argv: &[&str]) -> Result<(), ProcessError> {
        self.run_well(Program::changing(argv)).map(drop)
    }

    /// What its programs said; or else the tables could not be read, and nothing is guessed.
    fn move_user(&self, name: &str, change: &Move) -> Result<Result<(), ProcessError>, HostError> {
        Ok(match (&change.before, &change.after) {
            (None, Some(after)) => {
                let group = after.get("group").filter(|group| !group.is_empty());
                let tables = self.accounts_whole()?;
                let own = group.filter(|group| tables.group(group).is_none());
                self.add_user(name, after, own).and_then(|()| self.age(name, after)).and_then(
                    |()| {
                        let mut due = administrators(&tables, name, after, own).into_iter();
                        due.try_for_each(|(group, names)| {
                            self.tell(&["gpasswd", "--administrators", &names, group])
                        })
                    },
                )
            }
            (Some(before), Some(after)) => {
                let options = user_options(Some(before), after);
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                self.tell(&[&["usermod"][..], &options, &[name]].concat())
            }
            (Some(_), None) => {
                let goes = self.account_tables()?.own_group(name).is_some_and(|(_, goes)| goes);
                if let Err(error) = self.tell(&["userdel", name]) {
                    return Ok(Err(error));
                }
                // Where userdel leaves it.
                if goes && self.account_tables()?.group(name).is_some() {
                    return Ok(self.tell(&["groupdel", name]));
                }
                Ok(())
            }
            (None, None) => Ok(()),
        })
    }

    /// Makes a user, after the group of their own where there is none yet.
    fn add_user(
        &self,
        name: &str,
        after: &Attributes,
        own: Option<&String>,
    ) -> Result<(), ProcessError> {
        if let (Some(group), Some(gid)) = (own, after.get("gid")) {
            self.tell(&["groupadd", "--gid", gid, group])?;
        }
        let options = user_options(None, after);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let made = ["useradd", "--no-create-home", "--no-user-group"];
        self.tell(&[&made[..], &options, &[name]].concat()).map_err(|error| {
            let Some(group) = own else { return error };
            let Err(back) = self.tell(&["groupdel", group]) else { return error };
            let words = format!("{error}; and group {group} was left: {back}");
            ProcessError::Failed { program: "useradd".to_owned(), words }
        })
    }

    /// Gives a user's password the age that it had, and what ends when.
    fn age(&self, name: &str, after: &Attributes) -> Result<(), ProcessError> {
        let Some(ageing) = after.get("ageing") else { return Ok(()) };
        let flags =
            ["--lastday", "--mindays", "--maxdays", "--warndays", "--inactive", "--expiredate"];
        // What is not said is taken away.
        let days = ageing.split(':').map(|days| if days.is_empty() { "-1" } else { days });
        let options: Vec<&str> = flags.into_iter().zip(days).flat_map(|(f, d)| [f, d]).collect();
        self.tell(&[&["chage"][..], &options, &[name]].concat())
    }

    fn move_group(&self, name: &str, change: &Move) -> Result<(), ProcessError> {
        let of = |side: &Attributes, key: &str| side.get(key).cloned().unwrap_or_default();
        match (&change.before, &change.after) {
            (None, Some(after)) => {
                self.tell(&["groupadd", "--gid", &of(after, "gid"), name])?;
                for (flag, key) in
                    [("--members", "members"), ("--administrators", "administrators")]
                {
                    let names = of(after, key);
                    if !names.is_empty() {
                        self.tell(&["gpasswd", flag, &names, name])?;
                    }
                }
                Ok(())
            }
            (Some(_), Some(after)) => self.tell(&["groupmod", "--gid", &of(after, "gid"), name]),
            (Some(_), None) => self.tell(&["groupdel", name]),
            (None, None) => Ok(()),
        }
    }
}

/// Groups that a user who comes back administers, and their `own`, each with all its administrators.
fn administrators<'a>(
    tables: &AccountTables,
    name: &str,
    after: &'a Attributes,
    own: Option<&'a String>,
) -> BTreeMap<&'a str, String> {
    let says = |key: &str| after.get(key).map(String::as_str).filter(|said| !said.is_empty());
    let groups = says("administers").into_iter().flat_map(|said| said.split(','));
    let mut due: BTreeMap<&str, String> = groups
        .map(|group| {
            let others = tables.administrators_of(group).filter(|other| *other != name);
            (group, others.chain([name]).collect::<Vec<_>>().join(","))
        })
        .collect();
    due.extend(own.map(String::as_str).zip(says("administrators").map(str::to_owned)));
    due
}

/// Takes out of a list those that do not stay, and says which.
fn without(of: &mut Attributes, list: &str, stays: impl Fn(&str) -> bool) -> Vec<String> {
    let all = of.get(list).map(String::as_str).unwrap_or_default();
    let names = all.split(',').filter(|name| !name.is_empty());
    let (left, gone): (Vec<&str>, Vec<&str>) = names.partition(|name| stays(name));
    let (left, gone) = (left.join(","), gone.into_iter().map(str::to_owned).collect());
    if of.contains_key(list) {
        of.insert(list.to_owned(), left);
    }
    gone
}

/// The first group of a user who comes back is the one of that number, since files have it; or else,
/// where its name has another number by now, the one of that name. Says what is otherwise.
fn first_group(tables: &AccountTables, user: &mut Attributes) -> Option<String> {
    let name = user.get("group").filter(|name| !name.is_empty())?.clone();
    let gid: u32 = user.get("gid")?.parse().ok()?;
    let (now, number) = match (tables.group_name(gid), tables.group(&name)) {
        (Some(now), _) if now != name => (now.to_owned(), gid),
        (None, Some(group)) => (name.clone(), group.gid),
        _ => return None,
    };
    let said = if number == gid {
        format!("group {name}, whose number {gid} group {now} has,")
    } else {
        format!("number {gid} of group {name}, which has {number},")
    };
    user.extend(attributes([("group", &now), ("gid", &number.to_string())]));
    Some(said)
}

/// Options of useradd and usermod for what differs.
fn user_options(before: Option<&Attributes>, after: &Attributes) -> Vec<String> {
    let flags = [
        ("uid", "--uid"),
        ("gid", "--gid"),
        ("comment", "--comment"),
        ("home", "--home"),
        ("shell", "--shell"),
        ("groups", "--groups"),
    ];
    let mut options = Vec::new();
    for (key, flag) in flags {
        let value = after.get(key);
        if before.is_some_and(|before| before.get(key) == value) {
            continue;
        }
        let value = value.cloned().unwrap_or_default();
        if before.is_some() || !value.is_empty() {
            options.extend([flag.to_owned(), value]);
        }
    }
    options
}

/// Whether an account is as it was; what only root may read counts where it was read both times.
pub(super) fn fits(before: Option<&Attributes>, now: Option<&Attributes>) -> bool {
    let (Some(before), Some(now)) = (before, now) else { return before.is_none() && now.is_none() };
    let counts = |(key, _): &(&String, &String)| {
        let is_read = before.contains_key(*key) && now.contains_key(*key);
        is_read || !PRIVATE.contains(&key.as_str())
    };
    before.iter().filter(counts).eq(now.iter().filter(counts))
}

/// What the tables say of a user, a group, or of one in the other.
pub(super) fn account(tables: &AccountTables, thing: &Thing) -> Option<Attributes> {
    match thing {
        Thing::User { name } => tables.user_attributes(name),
        Thing::Group { name } => tables.group_attributes(name),
        Thing::Member { name, group } => {
            tables.group(group)?.members.contains(name).then(Attributes::new)
        }
        _ => None,
    }
}
