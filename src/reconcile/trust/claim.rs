//! What a commit claims to do: its source, the paths that it covers, its reason.
//!
//! In: a commit and its kind. Out: [`Claim`]. Pure: nothing in it is checked against any object.

use std::fmt;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::approval::TRAILER;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::kind::{CommitKind, PathClass};

/// Names the source of a pick.
pub const PROMOTED_FROM: &str = "Promoted-From";
/// A file or directory that a pick brings.
pub const PROMOTED_PATH: &str = "Promoted-Path";
/// Names the commit whose content a rollback brings back.
pub const ROLLBACK_TO: &str = "Rollback-To";
/// A file or directory that a rollback brings back; without one, all that flows.
pub const ROLLBACK_PATH: &str = "Rollback-Path";
/// Why a hotfix is made.
pub const HOTFIX: &str = "Hotfix";
/// A live hotfix that a promote or pick replaces.
pub const SUPERSEDES: &str = "Supersedes";

/// Every trailer that decides what a commit is; people's own have other names.
pub const DECIDING: [&str; 8] = [
    "Tidegate",
    TRAILER,
    PROMOTED_FROM,
    PROMOTED_PATH,
    ROLLBACK_TO,
    ROLLBACK_PATH,
    HOTFIX,
    SUPERSEDES,
];

/// Why a commit's trailers do not say what its kind needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A trailer that the kind needs.
    #[error("it has no trailer `{key}: `, which `{kind}` needs")]
    Missing {
        /// Its key.
        key: &'static str,
        /// The commit's kind.
        kind: CommitKind,
    },
    /// One that names a single thing, more than once.
    #[error("it has two trailers `{key}: `")]
    Twice {
        /// Its key.
        key: &'static str,
    },
    /// Not a whole commit id.
    #[error("`{key}: {value}` is not a commit id of 40 lower-case hex digits")]
    CommitId {
        /// Its key.
        key: &'static str,
        /// As written, shortened.
        value: String,
    },
    /// Not a path that the kind may bring.
    #[error("`{key}: {value}` {problem}")]
    Path {
        /// Its key.
        key: &'static str,
        /// As written, shortened.
        value: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// The paths that a promote, pick or rollback covers.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that flows.
    #[default]
    Everything,
    /// These files and directories, sorted, each once.
    Paths(Vec<String>),
}

impl Scope {
    /// Whether the file `path` is covered; it must be one that flows, if everything is.
    pub fn covers(&self, path: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Paths(paths) => paths.iter().any(|above| is_at_or_below(path, above)),
        }
    }

    /// Whether all that `other` covers is covered.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Paths(_), Self::Everything) => false,
            (Self::Paths(_), Self::Paths(paths)) => paths.iter().all(|path| self.covers(path)),
        }
    }

    /// Whether some path is covered by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => true,
            (Self::Paths(mine), Self::Paths(theirs)) => {
                mine.iter().any(|path| other.covers(path))
                    || theirs.iter().any(|path| self.covers(path))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything that flows"),
            Self::Paths(paths) => f.write_str(&paths.join(", ")),
        }
    }
}

/// What a commit claims to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Claim {
    /// A merge's second parent, `Promoted-From`, or `Rollback-To`: the line `source:` of approvals.
    pub source: Option<CommitId>,
    /// What a promote, pick or rollback covers.
    pub scope: Scope,
    /// Why a hotfix was made.
    pub reason: Option<String>,
    /// Hotfixes that a promote or pick replaces knowingly.
    pub supersedes: Vec<CommitId>,
}

impl Claim {
    /// Reads what `commit`, of `kind` on the chain of `environment`, claims.
    ///
    /// # Errors
    /// When a trailer that the kind needs is missing, twice, or not what it must be.
    pub fn of(
        commit: &Commit,
        kind: CommitKind,
        environment: &EnvironmentName,
    ) -> Result<Self, ClaimError> {
        let mut claim = Self { source: commit.parents.get(1).copied(), ..Self::default() };
        match kind {
            CommitKind::Change | CommitKind::Local | CommitKind::Admin => {}
            CommitKind::Promote => claim.supersedes = ids(commit, SUPERSEDES)?,
            CommitKind::Pick => {
                claim.source = Some(id(PROMOTED_FROM, single(commit, kind, PROMOTED_FROM)?)?);
                let paths = paths(commit, PROMOTED_PATH, environment, &[PathClass::Flow])?;
                let missing = ClaimError::Missing { key: PROMOTED_PATH, kind };
                claim.scope = paths.ok_or(missing)?;
                claim.supersedes = ids(commit, SUPERSEDES)?;
            }
            CommitKind::Hotfix => claim.reason = Some(single(commit, kind, HOTFIX)?.to_owned()),
            CommitKind::Rollback => {
                claim.source = Some(id(ROLLBACK_TO, single(commit, kind, ROLLBACK_TO)?)?);
                let classes = [PathClass::Flow, PathClass::Own];
                let paths = paths(commit, ROLLBACK_PATH, environment, &classes)?;
                claim.scope = paths.unwrap_or_default();
            }
        }
        Ok(claim)
    }
}

/// The one trailer `key`.
fn single<'c>(
    commit: &'c Commit,
    kind: CommitKind,
    key: &'static str,
) -> Result<&'c str, ClaimError> {
    let mut values = commit.message.values(key);
    let value = values.next().ok_or(ClaimError::Missing { key, kind })?;
    values.next().map_or(Ok(value), |_| Err(ClaimError::Twice { key }))
}

fn id(key: &'static str, value: &str) -> Result<CommitId, ClaimError> {
    value.parse().map_err(|_| ClaimError::CommitId { key, value: shown(value) })
}

fn ids(commit: &Commit, key: &'static str) -> Result<Vec<CommitId>, ClaimError> {
    commit.message.values(key).map(|value| id(key, value)).collect()
}

fn paths(
    commit: &Commit,
    key: &'static str,
    environment: &EnvironmentName,
    classes: &[PathClass],
) -> Result<Option<Scope>, ClaimError> {
    let mut paths = Vec::new();
    for value in commit.message.values(key) {
        let wrong = |problem| ClaimError::Path { key, value: shown(value), problem };
        if value.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong("is not a file or directory: write `services/app1.toml`"));
        }
        // The directory of all environments belongs to no class.
        let class = PathClass::of(value, environment);
        if value == "environments" || !classes.contains(&class) {
            return Err(wrong("is not a path that this kind may bring"));
        }
        paths.push(value.to_owned());
    }
    paths.sort();
    paths.dedup();
    Ok((!paths.is_empty()).then_some(Scope::Paths(paths)))
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn shown(value: &str) -> String {
    value.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use crate::reconcile::trust::claim::Scope;

    fn scope(paths: &[&str]) -> Scope {
        Scope::Paths(paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn a_directory_covers_what_lies_in_it() {
        let app = scope(&["services/app1", "services/app1.toml"]);
        assert!(app.covers("services/app1/nginx.conf") && app.covers("services/app1.toml"));
        assert!(!app.covers("services/app10") && !app.covers("services"));
        assert!(Scope::Everything.covers("tidegate.toml"));
    }

    #[test]
    fn scopes_overlap_and_contain_one_another() {
        let (all, app, dir) =
            (Scope::Everything, scope(&["services/app1.toml"]), scope(&["services"]));
        assert!(all.contains(&dir) && dir.contains(&app) && !app.contains(&dir));
        assert!(!dir.contains(&all) && all.contains(&all));
        assert!(app.overlaps(&dir) && dir.overlaps(&app) && app.overlaps(&all));
        assert!(!app.overlaps(&scope(&["services/app2.toml"])));
    }
}
