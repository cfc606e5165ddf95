//! What a commit is: its kind, and the table of what each kind may do.
//!
//! In: the trailer `Tidegate: <kind> <environment>`. Out: [`CommitKind`] and its [`KindRule`]. Pure.

use std::fmt;

use crate::model::EnvironmentName;
use crate::reconcile::trust::policy::Role;

/// The kinds of commits on an environment's chain.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum CommitKind {
    /// Development on a first environment.
    Change,
    /// Everything that flows, from the environment below.
    Promote,
    /// Some paths that flow, from the environment below.
    Pick,
    /// The environment's own files.
    Local,
    /// What flows, without promotion.
    Hotfix,
    /// Back to an earlier commit of the same chain.
    Rollback,
    /// `trust.toml` and `keys/`.
    Admin,
}

/// On which environments a kind is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first of the line.
    First,
    /// All but the first.
    Others,
    /// All.
    Any,
}

/// Where a path lies, from the point of view of one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathClass {
    /// Outside `environments/`.
    Flow,
    /// `environments/<own>/trust.toml` and `environments/<own>/keys/`.
    Trust,
    /// The rest of `environments/<own>/`.
    Own,
    /// Other environments' directories: inert copies that nobody reads.
    Foreign,
}

/// One row of the table (TRUST.md, "The chain", 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindRule {
    /// Who may make it.
    pub role: Role,
    /// Where.
    pub place: Place,
    /// The fewest and the most parents.
    pub parents: (usize, usize),
    /// What may differ from the first parent.
    pub may_change: &'static [PathClass],
}

impl CommitKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Change,
        Self::Promote,
        Self::Pick,
        Self::Local,
        Self::Hotfix,
        Self::Rollback,
        Self::Admin,
    ];

    /// The kind's row. A change may touch own paths too if its people hold `local`; a rollback
    /// those that it lists.
    pub fn rule(self) -> KindRule {
        use PathClass::{Flow, Foreign, Own, Trust};
        use Place::{Any, First, Others};
        let row = |role, place, parents, may_change| KindRule { role, place, parents, may_change };
        match self {
            Self::Change => row(Role::Change, First, (1, 2), &[Flow, Foreign]),
            Self::Promote => row(Role::Promote, Others, (2, 2), &[Flow, Foreign]),
            Self::Pick => row(Role::Promote, Others, (1, 1), &[Flow]),
            Self::Local => row(Role::Local, Any, (1, 1), &[Own]),
            Self::Hotfix => row(Role::Hotfix, Others, (1, 1), &[Flow]),
            Self::Rollback => row(Role::Rollback, Any, (1, 1), &[Flow, Own]),
            Self::Admin => row(Role::Admin, Any, (1, 1), &[Trust]),
        }
    }
}

impl fmt::Display for CommitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Change => "change",
            Self::Promote => "promote",
            Self::Pick => "pick",
            Self::Local => "local",
            Self::Hotfix => "hotfix",
            Self::Rollback => "rollback",
            Self::Admin => "admin",
        })
    }
}

/// What a trailer `Tidegate:` declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// A kind, for an environment.
    Kind(CommitKind, EnvironmentName),
    /// `anchor <environment>`: valid in no chain.
    Anchor(EnvironmentName),
    /// Nothing that is known.
    Unknown,
}

impl Declared {
    /// Reads the trailer's value: exactly two words.
    pub fn parse(value: &str) -> Self {
        let Some((word, environment)) = value.split_once(' ') else { return Self::Unknown };
        let Ok(environment) = environment.parse() else { return Self::Unknown };
        if word == "anchor" {
            return Self::Anchor(environment);
        }
        let kind = CommitKind::ALL.into_iter().find(|kind| kind.to_string() == word);
        kind.map_or(Self::Unknown, |kind| Self::Kind(kind, environment))
    }
}

impl PathClass {
    /// The class of `path` as `environment` sees it.
    pub fn of(path: &str, environment: &EnvironmentName) -> Self {
        let Some(below) = path.strip_prefix("environments/") else { return Self::Flow };
        match below.split_once('/') {
            Some((name, rest)) if name == environment.as_str() => {
                let trust = rest == "trust.toml" || rest == "keys" || rest.starts_with("keys/");
                // A file in the place of a directory, or the reverse, is no way around.
                if trust || rest.starts_with("trust.toml/") { Self::Trust } else { Self::Own }
            }
            _ => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::reconcile::trust::kind::{CommitKind, Declared, PathClass};

    #[test]
    fn a_trailer_declares_a_kind_and_an_environment() {
        let dev = "dev".parse().unwrap();
        assert_eq!(Declared::parse("local dev"), Declared::Kind(CommitKind::Local, dev));
        for unknown in ["", "local", "local dev now", "Local dev", "locals dev", " local dev"] {
            assert_eq!(Declared::parse(unknown), Declared::Unknown, "{unknown}");
        }
    }

    #[test]
    fn each_path_has_one_class() {
        let prd = "prd".parse().unwrap();
        for (path, class) in [
            ("services/app1.toml", PathClass::Flow),
            ("tidegate.toml", PathClass::Flow),
            ("environments/prd/trust.toml", PathClass::Trust),
            ("environments/prd/keys", PathClass::Trust),
            ("environments/prd/keys/alice.asc", PathClass::Trust),
            ("environments/prd/trust.toml/x", PathClass::Trust),
            ("environments/prd/keys.toml", PathClass::Own),
            ("environments/prd/nodes/n1.toml", PathClass::Own),
            ("environments/prdx/trust.toml", PathClass::Foreign),
            ("environments/tst/trust.toml", PathClass::Foreign),
            ("environments/prd", PathClass::Foreign),
        ] {
            assert_eq!(PathClass::of(path, &prd), class, "{path}");
        }
    }
}
