//! `time`: the host's time zone, and whether its clock follows others.

use crate::compliance::change::Change;
use crate::compliance::kind::Judgement;
use crate::model::{Attributes, HostPath, Move, PathState, Permissions, Thing};
use crate::reconcile::desired::rule::kind::TimeRule;

/// Services that keep a clock right, the one that comes with systemd last.
pub const TIME_SERVICES: [&str; 7] = [
    "chrony.service",
    "chronyd.service",
    "ntpsec.service",
    "ntp.service",
    "ntpd.service",
    "openntpd.service",
    "systemd-timesyncd.service",
];
/// Where zones lie.
const ZONES: &str = "/usr/share/zoneinfo";

/// What a rule sees of the time.
#[derive(Debug)]
pub struct TimeSight {
    /// /etc/localtime.
    pub localtime: PathState,
    /// /etc/timezone, which Debian keeps beside it.
    pub timezone: PathState,
    /// What lies where the wanted zone would.
    pub zone: PathState,
    /// User and group of new files.
    pub creator: (u32, u32),
    /// Time services that there are; none where systemd is not installed.
    pub services: Option<Vec<(&'static str, Attributes)>>,
}

/// Where the zone database keeps a zone.
pub fn zone_path(zone: &str) -> Option<HostPath> {
    format!("{ZONES}/{zone}").parse().ok()
}

/// Judges it.
pub(crate) fn judge(rule: &TimeRule, sight: &TimeSight) -> Judgement {
    let (mut expected, mut actual, mut fix) = (Vec::new(), Vec::new(), Ok(Vec::new()));
    if let Some(zone) = &rule.zone {
        expected.push(format!("time zone {zone}"));
        if let Some((is, mended)) = judge_zone(zone, sight) {
            actual.push(is);
            fix = add(fix, mended);
        }
    }
    if let Some(ntp) = rule.ntp {
        let Some(services) = &sight.services else {
            let reason = "systemd is not installed here".to_owned();
            return Judgement::NotApplicable { reason };
        };
        expected.push(if ntp { "a time service" } else { "no time service" }.to_owned());
        if let Some((is, mended)) = judge_clock(ntp, services) {
            actual.push(is);
            fix = add(fix, mended);
        }
    }
    let expected = expected.join(", ");
    if actual.is_empty() {
        return Judgement::Ok { expected };
    }
    Judgement::NotOk { expected, actual: actual.join(", "), fix }
}

type Mended = Result<Vec<Change>, String>;

fn add(all: Mended, more: Mended) -> Mended {
    let (mut all, more) = (all?, more?);
    all.extend(more);
    Ok(all)
}

/// What is so instead, and how it is mended.
fn judge_zone(zone: &str, sight: &TimeSight) -> Option<(String, Mended)> {
    let linked = match &sight.localtime {
        PathState::Symlink { to } => to.split_once("zoneinfo/").map(|(_, zone)| zone),
        _ => None,
    };
    let said = match &sight.timezone {
        PathState::File { content, .. } => Some(String::from_utf8_lossy(content).trim().to_owned()),
        _ => None,
    };
    let named = said.as_deref().is_none_or(|said| said == zone);
    if linked == Some(zone) && named {
        return None;
    }
    let is = match (&sight.localtime, linked, named) {
        (_, Some(linked), false) if linked == zone => {
            format!("/etc/timezone says {}", said.unwrap_or_default())
        }
        (_, Some(linked), _) => format!("time zone {linked}"),
        (PathState::Absent, ..) => "no time zone, so UTC".to_owned(),
        (other, ..) => format!("/etc/localtime is {}", other.noun()),
    };
    Some((is, set_zone(zone, linked == Some(zone), sight)))
}

fn set_zone(zone: &str, linked: bool, sight: &TimeSight) -> Mended {
    if !matches!(sight.zone, PathState::File { .. } | PathState::Symlink { .. }) {
        return Err(format!("there is no {ZONES}/{zone}: package tzdata brings it"));
    }
    if matches!(sight.localtime, PathState::Directory { .. } | PathState::Special) {
        return Err(format!("/etc/localtime is {}", sight.localtime.noun()));
    }
    let path = |text: &str| text.parse::<HostPath>().map_err(|error| error.to_string());
    let mut changes = Vec::new();
    if !linked {
        changes.push(Change::Path {
            path: path("/etc/localtime")?,
            before: sight.localtime.clone(),
            after: PathState::Symlink { to: format!("{ZONES}/{zone}") },
            enclosed: false,
        });
    }
    if let PathState::File { owned, .. } = &sight.timezone {
        let (uid, gid) = sight.creator;
        let owned = Permissions { uid, gid, ..*owned };
        let content = format!("{zone}\n").into_bytes().into();
        changes.push(Change::Path {
            path: path("/etc/timezone")?,
            before: sight.timezone.clone(),
            after: PathState::File { content, owned },
            enclosed: false,
        });
    }
    Ok(changes)
}

fn judge_clock(ntp: bool, services: &[(&'static str, Attributes)]) -> Option<(String, Mended)> {
    let says = |unit: &Attributes, key: &str| {
        unit.get(key).map(String::as_str).unwrap_or_default().to_owned()
    };
    let runs =
        |unit: &Attributes| matches!(says(unit, "active").as_str(), "" | "active" | "activating");
    // An alias comes and goes with its unit, which is among them too.
    let on: Vec<_> =
        services.iter().filter(|(_, unit)| says(unit, "enabled") == "enabled").collect();
    let turned = |name: &str, unit: &Attributes, enabled: &str, active: &str| {
        let mut after = unit.clone();
        after.insert("enabled".to_owned(), enabled.to_owned());
        if let Some(state) = after.get_mut("active") {
            active.clone_into(state);
        }
        let thing = Thing::Unit { name: name.to_owned() };
        Change::Managed(vec![Move { thing, before: Some(unit.clone()), after: Some(after) }])
    };
    if !ntp {
        let names: Vec<&str> = on.iter().map(|(name, _)| *name).collect();
        let off = on.iter().map(|(name, unit)| turned(name, unit, "disabled", "inactive"));
        return (!on.is_empty())
            .then(|| (format!("{} is enabled", names.join(", ")), Ok(off.collect())));
    }
    if on.iter().any(|(_, unit)| runs(unit)) {
        return None;
    }
    let can = |(_, unit): &&(&str, Attributes)| {
        matches!(says(unit, "enabled").as_str(), "enabled" | "disabled")
    };
    let first = on.first().copied().or_else(|| services.iter().find(can));
    let fix = match first {
        Some((name, unit)) => Ok(vec![turned(name, unit, "enabled", "active")]),
        None => Err("there is no time service: install chrony or systemd-timesyncd".to_owned()),
    };
    let is = match on.first() {
        Some((name, _)) => format!("{name} does not run"),
        None => "no time service is enabled".to_owned(),
    };
    Some((is, fix))
}
