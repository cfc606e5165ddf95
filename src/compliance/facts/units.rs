//! systemd's units, as systemctl says them.

use crate::clients::host::HostRoot;
use crate::compliance::facts::{FactValue, Known, Row};
use crate::model::Attributes;
use crate::telemetry::Chain;

/// Sorts of units that are listed.
const KINDS: [&str; 5] = [".service", ".socket", ".timer", ".mount", ".path"];

/// One row a unit.
pub(super) fn rows(host: &HostRoot) -> Known {
    let units = match host.units() {
        Ok(Some(units)) => units,
        Ok(None) => return Known::Missing("systemd is not installed here".to_owned()),
        Err(error) => return Known::Missing(Chain(&error).to_string()),
    };
    let listed = units.iter().filter(|(name, _)| KINDS.iter().any(|kind| name.ends_with(kind)));
    let row = |(name, unit): (&str, &Attributes)| {
        let says = |key: &str| FactValue::text(unit.get(key).map_or("", String::as_str));
        Row(vec![
            ("enabled", says("enabled")),
            ("active", says("active")),
            ("name", FactValue::text(name)),
        ])
    };
    Known::Rows(listed.map(row).collect())
}
