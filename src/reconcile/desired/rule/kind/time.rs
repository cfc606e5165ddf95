//! `time`: the host's time zone, and whether its clock follows others.

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::differ;

/// Keys of `kind = "time"`.
pub(crate) static KEYS: Keys = Keys {
    name: "time",
    doc: "The time zone, and whether a service keeps the clock right.",
    keys: &[
        Key::new("zone", Kind::Text, "as in the zone database: `Europe/Paris`"),
        Key::new("ntp", Kind::Boolean, "whether a time service is enabled"),
    ],
};

/// Zone and clock; what is none is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimeRule {
    /// The time zone.
    pub zone: Option<String>,
    /// Whether a time service is enabled.
    pub ntp: Option<bool>,
}

impl TimeRule {
    /// Whether both cannot be so.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        differ(self.zone.as_ref(), other.zone.as_ref())
            || differ(self.ntp.as_ref(), other.ntp.as_ref())
    }
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<TimeRule> {
    let ntp = reader.option(table, "ntp");
    let zone = match table.get("zone") {
        None => None,
        Some(node) => Some(reader.with(node, |text| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+-".contains(&b);
            if text.bytes().all(plain) && TimeZone::get(text).is_ok() {
                return Ok(text.to_owned());
            }
            Err(format!("`{text}` is no time zone: write for example `Europe/Paris`"))
        })?),
    };
    if zone.is_none() && ntp.is_none() {
        let at = table.get("kind")?.at;
        let help = "add `zone = \"…\"` or `ntp = true`";
        reader.findings.error_help(at, "nothing is wanted of the time", help);
        return None;
    }
    Some(TimeRule { zone, ntp })
}
