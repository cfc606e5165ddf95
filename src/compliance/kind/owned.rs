//! Mode and owner, which several kinds want.

use crate::compliance::kind::Sight;
use crate::model::{AccountTables, Permissions};
use crate::reconcile::desired::rule::kind::{Access, Principal};

/// What mode and owner should be: as wanted, else as they are, else as new things are.
pub(super) fn wanted(
    access: &Access,
    is: Option<Permissions>,
    mode: u32,
    sight: &Sight<'_>,
) -> Result<Permissions, String> {
    let (uid, gid) = sight.creator;
    let base = is.unwrap_or(Permissions { mode, uid, gid });
    let uid = match &access.owner {
        None => base.uid,
        Some(user) => {
            uid_of(user, sight.accounts).ok_or_else(|| format!("there is no user {user} here"))?
        }
    };
    let gid = match &access.group {
        None => base.gid,
        Some(group) => gid_of(group, sight.accounts)
            .ok_or_else(|| format!("there is no group {group} here"))?,
    };
    Ok(Permissions { mode: access.mode.unwrap_or(base.mode), uid, gid })
}

/// What a file that becomes another's may do of its own accord (`S_ISUID`, `S_ISGID`).
const SET_ID: u32 = 0o6000;

/// What a file should be that [`wanted`] says so of: whoever it belonged to may have made it a program
/// that runs as its owner, and is not to choose what runs as the next one.
pub(super) fn without_another_s_powers(
    access: &Access,
    is: Option<Permissions>,
    wanted: Permissions,
) -> Permissions {
    let changes_hands = is.is_some_and(|is| (is.uid, is.gid) != (wanted.uid, wanted.gid));
    if changes_hands && access.mode.is_none() {
        return Permissions { mode: wanted.mode & !SET_ID, ..wanted };
    }
    wanted
}

/// A user's number; none if there is no such user. `root` is known everywhere.
pub(super) fn uid_of(user: &Principal, tables: &AccountTables) -> Option<u32> {
    match user {
        Principal::Id(id) => Some(*id),
        Principal::Name(name) => tables.user(name).map(|user| user.uid).or(root(name)),
    }
}

/// A group's number.
fn gid_of(group: &Principal, tables: &AccountTables) -> Option<u32> {
    match group {
        Principal::Id(id) => Some(*id),
        Principal::Name(name) => tables.group(name).map(|group| group.gid).or(root(name)),
    }
}

fn root(name: &str) -> Option<u32> {
    (name == "root").then_some(0)
}

/// What is wanted of mode and owner and is not so: expected, actual.
pub(super) fn differences(wanted: Permissions, is: Permissions) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if wanted.mode != is.mode {
        found.push((format!("mode {:04o}", wanted.mode), format!("mode {:04o}", is.mode)));
    }
    if wanted.uid != is.uid {
        found.push((format!("owner {}", wanted.uid), format!("owner {}", is.uid)));
    }
    if wanted.gid != is.gid {
        found.push((format!("group {}", wanted.gid), format!("group {}", is.gid)));
    }
    found
}

/// Differences as two lines for people.
pub(super) fn joined(differences: Vec<(String, String)>) -> (String, String) {
    let (expected, actual): (Vec<String>, Vec<String>) = differences.into_iter().unzip();
    (expected.join(", "), actual.join(", "))
}
