//! Users and groups of /etc/passwd and /etc/group.

use std::collections::BTreeMap;

use crate::clients::host::{HostError, HostRoot};
use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::reconcile::desired::rule::kind::Principal;

const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Learns both.
pub(super) fn learn(host: &HostRoot, facts: &mut Facts) {
    let rows = |path: &str, row: fn(&[&str]) -> Option<Row>| match host.text(path, BYTES_MAX) {
        Ok(Some(text)) => {
            let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            Known::Rows(fields.filter_map(|fields| row(&fields)).collect())
        }
        Ok(None) => Known::Missing(format!("there is no {path}")),
        Err(error) => Known::Missing(error.to_string()),
    };
    facts.learn("user", rows("/etc/passwd", user));
    facts.learn("group", rows("/etc/group", group));
}

fn user(fields: &[&str]) -> Option<Row> {
    let [name, _, uid, gid, _, home, shell] = fields else { return None };
    Some(Row(vec![
        ("name", FactValue::text(name)),
        ("uid", FactValue::Number(uid.parse().ok()?)),
        ("gid", FactValue::Number(gid.parse().ok()?)),
        ("home", FactValue::text(home)),
        ("shell", FactValue::text(shell)),
    ]))
}

fn group(fields: &[&str]) -> Option<Row> {
    let [name, _, gid, members] = fields else { return None };
    Some(Row(vec![
        ("name", FactValue::text(name)),
        ("gid", FactValue::Number(gid.parse().ok()?)),
        ("members", FactValue::text(members)),
    ]))
}

/// Numbers of users and groups by name.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    /// Reads the host's.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(host: &HostRoot) -> Result<Self, HostError> {
        let read = |path: &str| -> Result<BTreeMap<String, u32>, HostError> {
            let text = host.text(path, BYTES_MAX)?.unwrap_or_default();
            let one = |line: &str| {
                let mut fields = line.split(':');
                Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
            };
            Ok(text.lines().filter_map(one).collect())
        };
        Ok(Self { users: read("/etc/passwd")?, groups: read("/etc/group")? })
    }

    /// A user's number; none if there is no such user. `root` is known everywhere.
    pub fn user(&self, principal: &Principal) -> Option<u32> {
        number(principal, &self.users)
    }

    /// A group's number.
    pub fn group(&self, principal: &Principal) -> Option<u32> {
        number(principal, &self.groups)
    }
}

fn number(principal: &Principal, known: &BTreeMap<String, u32>) -> Option<u32> {
    match principal {
        Principal::Id(id) => Some(*id),
        Principal::Name(name) => known.get(name).copied().or((name == "root").then_some(0)),
    }
}
