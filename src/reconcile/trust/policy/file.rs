//! The TOML of `trust.toml`, and how it becomes a policy.
//!
//! In: the file's bytes. Out: [`TrustPolicy`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use serde::Deserialize;

use crate::model::duration::parse_duration;
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::policy::{
    Person, PersonName, PolicyError, PromotionPolicy, Role, Threshold, TrustPolicy, VERSION,
};

pub(in crate::reconcile::trust) fn read(bytes: &[u8]) -> Result<TrustPolicy, PolicyError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| PolicyError::Syntax { message: "it is not UTF-8".to_owned() })?;
    // The version goes first: a later one may have keys that this program does not know.
    let table: toml::Table = toml::from_str(text).map_err(|error| syntax(&error))?;
    match table.get("version") {
        Some(toml::Value::Integer(VERSION)) => {}
        other => {
            let version = other.map_or_else(|| "none".to_owned(), ToString::to_string);
            return Err(PolicyError::Version { version });
        }
    }
    let file: TrustFile = toml::from_str(text).map_err(|error| syntax(&error))?;
    let people = people(file.people)?;
    let roles = roles(file.roles, &people)?;
    let promotion = file.promotion.map(promotion).transpose()?;
    Ok(TrustPolicy { people, roles, promotion })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    #[serde(rename = "version")]
    _version: i64,
    people: BTreeMap<String, PersonEntry>,
    #[serde(default)]
    roles: RolesEntry,
    promotion: Option<PromotionEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonEntry {
    keys: Vec<String>,
    not_after: Option<toml::value::Datetime>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RolesEntry {
    change: Option<RoleEntry>,
    promote: Option<RoleEntry>,
    local: Option<RoleEntry>,
    hotfix: Option<RoleEntry>,
    rollback: Option<RoleEntry>,
    admin: Option<RoleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    people: Vec<String>,
    threshold: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromotionEntry {
    from: String,
    anchor: String,
    soak: Option<String>,
    require: Option<Vec<String>>,
}

fn syntax(error: &toml::de::Error) -> PolicyError {
    PolicyError::Syntax { message: error.message().replace('\n', " ") }
}

fn people(
    entries: BTreeMap<String, PersonEntry>,
) -> Result<BTreeMap<PersonName, Person>, PolicyError> {
    if entries.is_empty() {
        return Err(PolicyError::EmptyList { list: "[people]".to_owned() });
    }
    let mut seen = BTreeSet::new();
    let mut people = BTreeMap::new();
    for (name, entry) in entries {
        let name = PersonName::parse(&name)?;
        if entry.keys.is_empty() {
            return Err(PolicyError::EmptyList { list: format!("keys of {name}") });
        }
        let mut keys = Vec::new();
        for text in &entry.keys {
            let error = |error| PolicyError::Key { person: name.clone(), error };
            let key: Key = text.parse().map_err(error)?;
            if !seen.insert(key.clone()) {
                return Err(PolicyError::KeyTwice { key: key.fingerprint() });
            }
            keys.push(key);
        }
        let not_after = entry.not_after.map(|at| day(&at).ok_or(name.clone())).transpose();
        let not_after = not_after.map_err(|person| PolicyError::NotAfter { person })?;
        people.insert(name, Person { keys, not_after });
    }
    Ok(people)
}

fn day(at: &toml::value::Datetime) -> Option<Date> {
    let date = at.date.filter(|_| at.time.is_none() && at.offset.is_none())?;
    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    Date::new(i16::try_from(date.year).ok()?, month, day).ok()
}

fn roles(
    entries: RolesEntry,
    people: &BTreeMap<PersonName, Person>,
) -> Result<BTreeMap<Role, Threshold>, PolicyError> {
    let entries = [
        (Role::Change, entries.change),
        (Role::Promote, entries.promote),
        (Role::Local, entries.local),
        (Role::Hotfix, entries.hotfix),
        (Role::Rollback, entries.rollback),
        (Role::Admin, entries.admin),
    ];
    let entries = entries.into_iter().filter_map(|(role, entry)| Some((role, entry?)));
    entries.map(|(role, entry)| Ok((role, holders(role, entry, people)?))).collect()
}

fn holders(
    role: Role,
    entry: RoleEntry,
    people: &BTreeMap<PersonName, Person>,
) -> Result<Threshold, PolicyError> {
    if entry.people.is_empty() {
        return Err(PolicyError::EmptyList { list: format!("people of the role {role}") });
    }
    let mut holders = BTreeSet::new();
    for person in entry.people {
        let wrong = |problem| PolicyError::RolePerson { role, person: person.clone(), problem };
        let name = PersonName::parse(&person)?;
        if !people.contains_key(&name) {
            return Err(wrong("whom [people] does not list"));
        }
        if !holders.insert(name) {
            return Err(wrong("twice"));
        }
    }
    let threshold = entry.threshold.unwrap_or(1);
    match usize::try_from(threshold) {
        Ok(count) if (1..=holders.len()).contains(&count) => {
            Ok(Threshold { people: holders, threshold: count })
        }
        _ => Err(PolicyError::Threshold { role, threshold, people: holders.len() }),
    }
}

fn promotion(entry: PromotionEntry) -> Result<PromotionPolicy, PolicyError> {
    let wrong = |what: String| PolicyError::Promotion { what };
    let from = entry.from.parse().map_err(|error| wrong(format!("from: {error}")))?;
    let anchor = entry.anchor.parse().map_err(|error| wrong(format!("anchor: {error}")))?;
    let soak = entry.soak.as_deref().map_or(Ok(Duration::ZERO), parse_duration);
    let soak = soak.map_err(|error| wrong(format!("soak: {error}")))?;
    if entry.require.as_ref().is_some_and(Vec::is_empty) {
        return Err(PolicyError::EmptyList { list: "[promotion] require".to_owned() });
    }
    let require = entry.require.unwrap_or_default();
    let is_trailer = |key: &String| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if let Some(key) = require.iter().find(|key| !is_trailer(key)) {
        return Err(wrong(format!("require: `{key}` is not the name of a trailer")));
    }
    Ok(PromotionPolicy { from, anchor, soak, require })
}
