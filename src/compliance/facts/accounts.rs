//! Users and groups of /etc/passwd and /etc/group.

use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::model::{GroupEntry, UserEntry};
use crate::telemetry::Chain;

/// Learns both.
pub(super) fn learn(host: &HostRoot, facts: &mut Facts) {
    match host.account_tables() {
        Ok(tables) => {
            facts.learn("user", rows("/etc/passwd", tables.users.iter().map(user)));
            facts.learn("group", rows("/etc/group", tables.groups.iter().map(group)));
        }
        Err(error) => {
            for name in ["user", "group"] {
                facts.learn(name, Known::Missing(Chain(&error).to_string()));
            }
        }
    }
}

/// A host without any was not looked at whole.
fn rows(path: &str, rows: impl Iterator<Item = Row>) -> Known {
    let rows: Vec<Row> = rows.collect();
    if rows.is_empty() {
        Known::Missing(format!("there is nobody in {path}"))
    } else {
        Known::Rows(rows)
    }
}

fn user(user: &UserEntry) -> Row {
    Row(vec![
        ("name", FactValue::text(&user.name)),
        ("uid", FactValue::count(user.uid)),
        ("gid", FactValue::count(user.gid)),
        ("home", FactValue::text(&user.home)),
        ("shell", FactValue::text(&user.shell)),
    ])
}

fn group(group: &GroupEntry) -> Row {
    let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
    Row(vec![
        ("name", FactValue::text(&group.name)),
        ("gid", FactValue::count(group.gid)),
        ("members", FactValue::text(members.join(","))),
    ])
}
