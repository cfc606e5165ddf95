//! Things of the host that its own programs look after, as values.
//!
//! In and out: values. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::VersionOrder;

/// Which programs look after packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// dpkg and apt.
    Dpkg,
    /// rpm and dnf.
    Rpm,
}

impl PackageManager {
    /// For people, and as the fact `package_manager` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
        }
    }

    /// How its versions are ordered.
    pub fn order(self) -> VersionOrder {
        match self {
            Self::Dpkg => VersionOrder::Debian,
            Self::Rpm => VersionOrder::Rpm,
        }
    }
}

/// What repositories have of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// What the manager itself would install, where it has a preference.
    pub candidate: Option<String>,
    /// Versions that this host's settings do not keep from being installed.
    pub versions: Vec<String>,
}

/// Attributes of users and groups that only root may read: never shown, and known only to root.
pub const PRIVATE: [&str; 3] = ["ageing", "administrators", "administers"];

/// A thing that programs of the host look after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Thing {
    /// An installed package: `version`.
    Package {
        /// Whose.
        manager: PackageManager,
        /// As its manager names it.
        name: String,
    },
    /// A unit of systemd: `enabled` as systemctl says it, `active` where systemd runs.
    Unit {
        /// `ssh.service`.
        name: String,
    },
    /// A user: `uid`, `gid`, `group` (the first group's name), `groups`, `comment`, `home`, `shell`.
    User {
        /// The name.
        name: String,
    },
    /// A group: `gid`, `members`.
    Group {
        /// The name.
        name: String,
    },
    /// A user in a group.
    Member {
        /// The user.
        name: String,
        /// The group.
        group: String,
    },
    /// A module of the kernel that is loaded.
    Module {
        /// As the kernel names it.
        name: String,
    },
    /// What is mounted at a path: `source`, `type`, `options`.
    Mount {
        /// The path.
        name: String,
    },
}

impl Thing {
    /// Its name among those of its sort.
    pub fn name(&self) -> &str {
        match self {
            Self::Package { name, .. }
            | Self::Unit { name }
            | Self::User { name }
            | Self::Group { name }
            | Self::Member { name, .. }
            | Self::Module { name }
            | Self::Mount { name } => name,
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package { name, .. } => write!(f, "package {name}"),
            Self::Unit { name } => write!(f, "unit {name}"),
            Self::User { name } => write!(f, "user {name}"),
            Self::Group { name } => write!(f, "group {name}"),
            Self::Member { name, group } => write!(f, "user {name} in group {group}"),
            Self::Module { name } => write!(f, "kernel module {name}"),
            Self::Mount { name } => write!(f, "mount {name}"),
        }
    }
}

/// What is so of a thing, by name: `version`, `uid`, `enabled`. None of them is secret.
pub type Attributes = BTreeMap<String, String>;

/// A thing that becomes something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Which.
    pub thing: Thing,
    /// What is so of it; none if it is not there.
    pub before: Option<Attributes>,
    /// What should be.
    pub after: Option<Attributes>,
}

impl Move {
    /// The same the other way round.
    #[must_use]
    pub fn undone(&self) -> Self {
        let (before, after) = (self.after.clone(), self.before.clone());
        Self { thing: self.thing.clone(), before, after }
    }
}

/// Attributes of these names and values.
pub fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
