//! Who may do what on a branch: `environments/<own>/trust.toml`, read strictly.
//!
//! In: the file's bytes. Out: [`TrustPolicy`]. Pure.
//!
//! # Guarantees
//! * Anything that is not understood refuses the file; nothing ever means "allow".
//! * Every role names listed people only, and its threshold is one that they can meet.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::keys::{Key, KeyError};

/// The largest `trust.toml`: hundreds of people fit.
pub const POLICY_BYTES_MAX: u64 = 256 * 1024;

const VERSION: i64 = 1;

/// Why a `trust.toml` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML, or keys or values that are not known.
    #[error("it cannot be read: {message}")]
    Syntax {
        /// What the reader says.
        message: String,
    },
    /// Another version.
    #[error("it has version {version}; this program knows version {VERSION}")]
    Version {
        /// As written.
        version: String,
    },
    /// A name that cannot be shown safely.
    #[error("`{name}` is not a person's name: use 1 to 63 of letters, digits and `._@+-`")]
    PersonName {
        /// As written.
        name: String,
    },
    /// An empty list.
    #[error("{list} is empty")]
    EmptyList {
        /// Where.
        list: String,
    },
    /// A key that cannot be read or is too weak.
    #[error("a key of {person} is refused: {error}")]
    Key {
        /// Whose.
        person: PersonName,
        /// Why.
        error: KeyError,
    },
    /// One key, twice.
    #[error("the key {key} is listed twice")]
    KeyTwice {
        /// Its fingerprint.
        key: String,
    },
    /// A date with a time, or no date.
    #[error("not_after of {person} is not a date such as 2027-06-30")]
    NotAfter {
        /// Whose.
        person: PersonName,
    },
    /// A role names somebody twice or somebody unlisted.
    #[error("the role {role} names {person}, {problem}")]
    RolePerson {
        /// The role.
        role: Role,
        /// As written.
        person: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A threshold below 1, or above the number of people.
    #[error("the role {role} has the threshold {threshold}; it must be from 1 to {people}")]
    Threshold {
        /// The role.
        role: Role,
        /// As written.
        threshold: i64,
        /// How many hold it.
        people: usize,
    },
    /// Something wrong in `[promotion]`.
    #[error("[promotion] {what}")]
    Promotion {
        /// What is wrong.
        what: String,
    },
}

/// A person as `trust.toml` names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PersonName(String);

impl PersonName {
    /// A name from text.
    ///
    /// # Errors
    /// When it is empty, too long, or has characters other than letters, digits and `._@+-`.
    pub fn parse(name: &str) -> Result<Self, PolicyError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._@+-".contains(&b);
        if (1..=63).contains(&name.len()) && name.bytes().all(good) {
            return Ok(Self(name.to_owned()));
        }
        Err(PolicyError::PersonName { name: name.chars().take(63).collect() })
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What people may be trusted with. `pick` is covered by [`Role::Promote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Changes on a first environment.
    Change,
    /// Promotions, whole or picked.
    Promote,
    /// The environment's own files.
    Local,
    /// What flows, without promotion.
    Hotfix,
    /// Back to an earlier commit.
    Rollback,
    /// `trust.toml` and `keys/`.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Change => "change",
            Self::Promote => "promote",
            Self::Local => "local",
            Self::Hotfix => "hotfix",
            Self::Rollback => "rollback",
            Self::Admin => "admin",
        })
    }
}

/// A person's keys and until when they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Each key once in the whole file.
    pub keys: Vec<Key>,
    /// The last day (UTC) on which they count.
    pub not_after: Option<Date>,
}

impl Person {
    /// Whether `time` lies after the last day on which the keys count.
    pub fn has_expired_at(&self, time: Timestamp) -> bool {
        let day = time.to_zoned(jiff::tz::TimeZone::UTC).date();
        self.not_after.is_some_and(|last| day > last)
    }
}

/// Who holds a role, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Threshold {
    /// The holders.
    pub people: BTreeSet<PersonName>,
    /// How many distinct people must sign or approve.
    pub threshold: usize,
}

/// Where promotions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionPolicy {
    /// The environment below.
    pub from: EnvironmentName,
    /// Its anchor.
    pub anchor: CommitId,
    /// How long a source rests there first.
    pub soak: Duration,
    /// Trailers that promote, pick, hotfix and rollback must carry.
    pub require: Vec<String>,
}

/// A valid `trust.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Everybody, by name.
    pub people: BTreeMap<PersonName, Person>,
    /// A role that is absent is held by nobody.
    pub roles: BTreeMap<Role, Threshold>,
    /// None: this is the first environment of its line.
    pub promotion: Option<PromotionPolicy>,
}

impl TrustPolicy {
    /// Reads the file.
    ///
    /// # Errors
    /// On anything that is not understood or cannot be met.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        file::read(bytes)
    }

    /// Whose key it is.
    pub fn person_of(&self, key: &Key) -> Option<(&PersonName, &Person)> {
        self.people.iter().find(|(_, person)| person.keys.contains(key))
    }

    /// Whether nothing is promoted into this environment.
    pub fn is_first_environment(&self) -> bool {
        self.promotion.is_none()
    }

    /// Where promotions come from, and the anchor there.
    pub fn origin(&self) -> Option<(EnvironmentName, CommitId)> {
        self.promotion.as_ref().map(|promotion| (promotion.from.clone(), promotion.anchor))
    }

    /// Every OpenPGP fingerprint that is listed.
    pub fn openpgp_keys(&self) -> impl Iterator<Item = &str> {
        self.people.values().flat_map(|person| &person.keys).filter_map(|key| match key {
            Key::OpenPgp(fingerprint) => Some(fingerprint.as_str()),
            Key::Ssh(_) => None,
        })
    }
}

#[cfg(test)]
mod tests;
