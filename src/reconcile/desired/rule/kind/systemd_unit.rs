//! `systemd_unit`: a unit that is enabled, running or masked.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::differ;

/// Keys of `kind = "systemd_unit"`.
pub(crate) static KEYS: Keys = Keys {
    name: "systemd_unit",
    doc: "A unit of systemd: enabled, running, masked, or not.",
    keys: &[
        Key::required("unit", Kind::Text, "its name: `ssh.service`"),
        Key::new("enabled", Kind::Boolean, "whether it starts at boot"),
        Key::new("active", Kind::Boolean, "whether it runs now"),
        Key::new("masked", Kind::Boolean, "whether nothing at all can start it"),
    ],
};

/// What a unit's name ends in.
const TYPES: [&str; 9] =
    ["service", "socket", "timer", "mount", "automount", "path", "swap", "target", "slice"];

/// A unit; what is none is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemdUnitRule {
    /// Its name.
    pub unit: String,
    /// Whether it starts at boot.
    pub enabled: Option<bool>,
    /// Whether it runs.
    pub active: Option<bool>,
    /// Whether nothing can start it.
    pub masked: Option<bool>,
}

impl SystemdUnitRule {
    /// Whether both cannot be so.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let is_up = |rule: &Self| rule.enabled == Some(true) || rule.active == Some(true);
        let is_masked = |rule: &Self| rule.masked == Some(true);
        differ(self.enabled.as_ref(), other.enabled.as_ref())
            || differ(self.active.as_ref(), other.active.as_ref())
            || differ(self.masked.as_ref(), other.masked.as_ref())
            || (is_masked(self) && is_up(other))
            || (is_masked(other) && is_up(self))
    }
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<SystemdUnitRule> {
    let node = table.get("unit")?;
    let unit = reader.with(node, name);
    let enabled = reader.option(table, "enabled");
    let active = reader.option(table, "active");
    let masked = reader.option(table, "masked");
    if enabled.is_none() && active.is_none() && masked.is_none() {
        let help = "add for example `enabled = true` or `masked = true`";
        reader.findings.error_help(node.at, "nothing is wanted of this unit", help);
        return None;
    }
    if masked == Some(true) && (enabled == Some(true) || active == Some(true)) {
        let message = "what is masked is neither enabled nor active";
        reader.findings.error_help(node.at, message, "remove one of them");
        return None;
    }
    Some(SystemdUnitRule { unit: unit?, enabled, active, masked })
}

fn name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    let typed = text.rsplit_once('.').is_some_and(|(n, t)| !n.is_empty() && TYPES.contains(&t));
    if typed && text.len() <= 255 && !text.starts_with(['-', '.']) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no unit: write its whole name, for example `ssh.service`"))
}

#[cfg(test)]
mod tests {
    use crate::reconcile::desired::rule::kind::systemd_unit::SystemdUnitRule;

    #[test]
    fn what_another_rule_leaves_open_contradicts_nothing() {
        let none =
            SystemdUnitRule { unit: "x.service".into(), enabled: None, active: None, masked: None };
        let enabled = SystemdUnitRule { enabled: Some(true), ..none.clone() };
        let disabled = SystemdUnitRule { enabled: Some(false), ..none.clone() };
        let active = SystemdUnitRule { active: Some(true), ..none.clone() };
        let masked = SystemdUnitRule { masked: Some(true), ..none };
        assert!(!enabled.contradicts(&active) && !disabled.contradicts(&masked));
        assert!(enabled.contradicts(&disabled) && masked.contradicts(&active));
    }
}
