//! `user`, `group` and `membership`: who there is on a host.

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::differ;
use crate::reconcile::desired::rule::kind::owner::Principal;
use crate::reconcile::desired::rule::kind::owner::is_name;
use crate::reconcile::desired::rule::kind::owner::principal;

const STATE: Key = Key::new("state", Kind::Choice(&["present", "absent"]), "default present");

/// Keys of `kind = "user"`.
pub(crate) static USER: Keys = Keys {
    name: "user",
    doc: "A user of /etc/passwd, there or not.",
    keys: &[
        Key::required("user", Kind::Text, "the name"),
        Key::new("uid", Kind::Integer, "the number; default the next that is free"),
        Key::new("group", TEXT_OR_INTEGER, "the first group; default one of the same name"),
        Key::new("comment", Kind::Text, "who it is, in words"),
        Key::new("home", Kind::Text, "the home directory; it is not made"),
        Key::new("shell", Kind::Text, "the login shell"),
        Key::new("system", Kind::Boolean, "whether a new one gets a number below 1000"),
        STATE,
    ],
};

/// Keys of `kind = "group"`.
pub(crate) static GROUP: Keys = Keys {
    name: "group",
    doc: "A group of /etc/group, there or not.",
    keys: &[
        Key::required("group", Kind::Text, "the name"),
        Key::new("gid", Kind::Integer, "the number; default the next that is free"),
        Key::new("system", Kind::Boolean, "whether a new one gets a number below 1000"),
        STATE,
    ],
};

/// Keys of `kind = "membership"`.
pub(crate) static MEMBERSHIP: Keys = Keys {
    name: "membership",
    doc: "A user in a group, or not.",
    keys: &[
        Key::required("user", Kind::Text, "the user's name"),
        Key::required("group", Kind::Text, "the group's name"),
        STATE,
    ],
};

/// An error was noted.
#[derive(Debug)]
pub(crate) struct Noted;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserRule {
    /// The name.
    pub user: String,
    /// What is wanted; none if there must be no such user.
    pub wish: Option<UserWish>,
}

impl UserRule {
    /// Whether both cannot be so.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let (Some(one), Some(other)) = (&self.wish, &other.wish) else {
            return self.wish.is_some() != other.wish.is_some();
        };
        differ(one.uid.as_ref(), other.uid.as_ref())
            || differ(one.group.as_ref(), other.group.as_ref())
            || differ(one.comment.as_ref(), other.comment.as_ref())
            || differ(one.home.as_ref(), other.home.as_ref())
            || differ(one.shell.as_ref(), other.shell.as_ref())
    }
}

/// What is wanted of a user; what is none is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserWish {
    /// The number.
    pub uid: Option<u32>,
    /// The first group.
    pub group: Option<Principal>,
    /// Who it is, in words.
    pub comment: Option<String>,
    /// The home directory.
    pub home: Option<HostPath>,
    /// The login shell.
    pub shell: Option<HostPath>,
    /// Which number a new one gets.
    pub range: IdRange,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRule {
    /// The name.
    pub group: String,
    /// What is wanted; none if there must be no such group.
    pub wish: Option<GroupWish>,
}

/// What is wanted of a group; what is none is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupWish {
    /// The number.
    pub gid: Option<u32>,
    /// Which number a new one gets.
    pub range: IdRange,
}

/// Where a number that nobody chose comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdRange {
    /// 1000 and above: people.
    Person,
    /// Below 1000: programs.
    System,
}

/// A user in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MembershipRule {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
    /// Whether it must be so.
    pub state: Presence,
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Yes.
    Present,
    /// No.
    Absent,
}

/// Reads `user`.
pub(crate) fn read_user(table: &Table, reader: &mut Reader<'_>) -> Option<UserRule> {
    let user = name(table, "user", reader)?;
    let wanted = ["uid", "group", "comment", "home", "shell", "system"];
    if !present(table, &user, &wanted, reader)? {
        return Some(UserRule { user, wish: None });
    }
    let comment = match table.get("comment") {
        None => None,
        Some(node) => Some(reader.with(node, |text| {
            if text.contains([':', '\n', '\r', '\0']) {
                return Err("a comment in /etc/passwd has neither `:` nor line ends");
            }
            Ok(text.to_owned())
        })?),
    };
    let mut path = |key: &str| {
        let Some(node) = table.get(key) else { return Ok(None) };
        let path: HostPath = reader.parsed(node).ok_or(Noted)?;
        if path.as_str().contains(':') {
            reader.findings.error(node.at, format!("`{path}` has a `:`, which ends a field"));
            return Err(Noted);
        }
        Ok(Some(path))
    };
    let (home, shell) = (path("home").ok()?, path("shell").ok()?);
    let group = match table.get("group") {
        None => None,
        Some(node) => Some(principal(node, reader)?),
    };
    let uid = id(table, "uid", reader).ok()?;
    if let (Some(node), true) = (table.get("uid"), user == "root" && uid != Some(0)) {
        let message = "`root` keeps number 0: the host would be gone without it";
        reader.findings.error_help(node.at, message, "remove `uid`");
        return None;
    }
    let range = range(table, reader);
    Some(UserRule { user, wish: Some(UserWish { uid, group, comment, home, shell, range }) })
}

/// Reads `group`.
pub(crate) fn read_group(table: &Table, reader: &mut Reader<'_>) -> Option<GroupRule> {
    let group = name(table, "group", reader)?;
    if !present(table, &group, &["gid", "system"], reader)? {
        return Some(GroupRule { group, wish: None });
    }
    let gid = id(table, "gid", reader).ok()?;
    let range = range(table, reader);
    Some(GroupRule { group, wish: Some(GroupWish { gid, range }) })
}

/// Reads `membership`.
pub(crate) fn read_membership(table: &Table, reader: &mut Reader<'_>) -> Option<MembershipRule> {
    let (user, group) = (name(table, "user", reader), name(table, "group", reader));
    let state = presence(table, reader);
    Some(MembershipRule { user: user?, group: group?, state })
}

/// Reads the name of a user or group.
pub(crate) fn name(table: &Table, key: &str, reader: &mut Reader<'_>) -> Option<String> {
    reader.with(table.get(key)?, |text| {
        if is_name(text) {
            return Ok(text.to_owned());
        }
        Err(format!("`{text}` is no name of a user or group"))
    })
}

/// Reads `state`.
pub(crate) fn presence(table: &Table, reader: &mut Reader<'_>) -> Presence {
    let present = reader.text_at(table, "state").is_none_or(|state| state == "present");
    if present { Presence::Present } else { Presence::Absent }
}

/// Whether it must be there; what must not be has no other parameters, and is not root.
fn present(table: &Table, name: &str, others: &[&str], reader: &mut Reader<'_>) -> Option<bool> {
    let node = table.get("state");
    let absent = node.and_then(|node| reader.text(node)).is_some_and(|state| state == "absent");
    if let (true, Some(node)) = (absent && name == "root", node) {
        reader.findings.error_help(node.at, "`root` is never removed", "remove the rule");
        return None;
    }
    if let (true, Some(other)) = (absent, others.iter().find_map(|key| table.get(key))) {
        let message = "what is absent has no other parameters";
        reader.findings.error_help(other.at, message, "remove them");
        return None;
    }
    Some(!absent)
}

/// A number that is one; the last one means "none" to the kernel.
fn id(table: &Table, key: &str, reader: &mut Reader<'_>) -> Result<Option<u32>, Noted> {
    let Some(node) = table.get(key) else { return Ok(None) };
    let number: u32 = reader.integer(table, key).ok_or(Noted)?;
    if number == u32::MAX {
        reader.findings.error(node.at, format!("`{number}` is no number that `{key}` can be"));
        return Err(Noted);
    }
    Ok(Some(number))
}

fn range(table: &Table, reader: &mut Reader<'_>) -> IdRange {
    if reader.boolean(table, "system") { IdRange::System } else { IdRange::Person }
}
