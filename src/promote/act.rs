//! What is to be done on a line, and the commit that does it before anybody signs.
//!
//! In: the line's tip, an [`Act`]. Out: [`Draft`]. Pure.

use std::collections::BTreeSet;

use crate::model::{AppName, CommitId, EnvironmentName};
use crate::promote::compose::{ComposeError, Listing, differing, promote, roll_back, take};
use crate::promote::message::Words;
use crate::promote::pick::{
    Selection, SelectionError, SelectionRequest, Texts, is_inside_files, select,
};
use crate::promote::tip::Tip;
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::kind::{CommitKind, PathClass};
use crate::reconcile::trust::tree::FILE_BYTES_MAX;

/// A commit whose content is taken.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its line.
    pub environment: EnvironmentName,
    /// The commit.
    pub commit: CommitId,
    /// Its files.
    pub listing: Listing,
}

/// Which apps, and what they may bring along.
#[derive(Debug, Clone, Default)]
pub struct Apps {
    /// Empty: everything.
    pub apps: BTreeSet<AppName>,
    /// Shared rulesets that come along.
    pub with: BTreeSet<String>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Act {
    /// Everything, or some apps, from the environment below.
    Promote {
        /// From where.
        source: Origin,
        /// What.
        apps: Apps,
    },
    /// Back to an earlier commit of the same line.
    Rollback {
        /// Which.
        to: Origin,
        /// What.
        apps: Apps,
    },
    /// What flows, without promotion.
    Hotfix {
        /// What is to be there.
        listing: Listing,
        /// Why.
        reason: String,
    },
    /// Another trust.toml.
    Admin {
        /// What is to be there.
        listing: Listing,
        /// The subject.
        subject: String,
    },
}

/// Something that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The trees do not fit together.
    #[error("cannot compose the commit")]
    Compose(#[source] ComposeError),
    /// The apps cannot be picked.
    #[error("cannot pick the apps")]
    Select(#[source] SelectionError),
    /// Rulesets that others see too differ.
    #[error("{} concern other apps too, and differ", .0.iter().cloned().collect::<Vec<_>>().join(", "))]
    Shared(BTreeSet<String>),
    /// All is there already.
    #[error("there is nothing to do: {0} has all of it")]
    Nothing(EnvironmentName),
    /// A path that the kind may not change.
    #[error("`{path}` is not a path that a {kind} may change")]
    Path {
        /// The path.
        path: String,
        /// The kind.
        kind: CommitKind,
    },
}

/// A commit before anybody signs.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its kind.
    pub kind: CommitKind,
    /// Its files.
    pub listing: Listing,
    /// Its second parent.
    pub second: Option<CommitId>,
    /// What it says, without people's own trailers.
    pub words: Words,
    /// Paths that differ from the tip.
    pub changed: BTreeSet<String>,
    /// Files that come along though they concern other apps too.
    pub shared: BTreeSet<String>,
}

/// Composes what `act` makes of `tip`.
pub fn draft(objects: &impl Objects, tip: &Tip, act: &Act) -> Result<Draft, ActError> {
    let environment = &tip.environment;
    let mut draft = match act {
        Act::Promote { source, apps } if apps.apps.is_empty() => Draft {
            kind: CommitKind::Promote,
            listing: promote(environment, &tip.listing, &source.listing)
                .map_err(ActError::Compose)?,
            second: Some(source.commit),
            words: words(format!("Promote {} to {environment}", source.environment), Vec::new()),
            changed: BTreeSet::new(),
            shared: BTreeSet::new(),
        },
        Act::Promote { source, apps } => {
            let subject =
                format!("Promote {} of {} to {environment}", list(&apps.apps), source.environment);
            let id = ("Promoted-From".to_owned(), source.commit.to_string());
            picked(objects, tip, source, apps, (CommitKind::Pick, subject, id, "Promoted-Path"))?
        }
        Act::Rollback { to, apps } => {
            let id = ("Rollback-To".to_owned(), to.commit.to_string());
            let kind = CommitKind::Rollback;
            if apps.apps.is_empty() {
                Draft {
                    kind,
                    listing: roll_back(environment, &tip.listing, &to.listing)
                        .map_err(ActError::Compose)?,
                    second: None,
                    words: words(
                        format!("Roll {environment} back to {}", to.commit.short()),
                        vec![id],
                    ),
                    changed: BTreeSet::new(),
                    shared: BTreeSet::new(),
                }
            } else {
                let names = list(&apps.apps);
                let subject = format!("Roll {names} back to {}", to.commit.short());
                picked(objects, tip, to, apps, (kind, subject, id, "Rollback-Path"))?
            }
        }
        Act::Hotfix { listing, reason } => {
            let trailer = ("Hotfix".to_owned(), reason.clone());
            plain(CommitKind::Hotfix, listing, words(format!("Hotfix: {reason}"), vec![trailer]))
        }
        Act::Admin { listing, subject } => {
            plain(CommitKind::Admin, listing, words(subject.clone(), Vec::new()))
        }
    };
    draft.changed = differing(&tip.listing, &draft.listing);
    if draft.changed.is_empty() {
        return Err(ActError::Nothing(environment.clone()));
    }
    // A rollback's own rule allows more; what is composed here never needs it.
    let may_change = draft.kind.rule().may_change;
    let outside =
        draft.changed.iter().find(|path| !may_change.contains(&PathClass::of(path, environment)));
    match outside {
        Some(path) => Err(ActError::Path { path: path.clone(), kind: draft.kind }),
        None => Ok(draft),
    }
}

fn words(subject: String, trailers: Vec<(String, String)>) -> Words {
    Words { subject, body: String::new(), trailers }
}

fn list(apps: &BTreeSet<AppName>) -> String {
    apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(", ")
}

fn plain(kind: CommitKind, listing: &Listing, words: Words) -> Draft {
    let (changed, shared) = (BTreeSet::new(), BTreeSet::new());
    Draft { kind, listing: listing.clone(), second: None, words, changed, shared }
}

/// What a pick or a rollback of apps takes.
fn picked(
    objects: &impl Objects,
    tip: &Tip,
    origin: &Origin,
    apps: &Apps,
    (kind, subject, id, key): (CommitKind, String, (String, String), &str),
) -> Result<Draft, ActError> {
    let request =
        SelectionRequest { apps: &apps.apps, environment: &tip.environment, with: &apps.with };
    let (old, new) = (texts(objects, &tip.listing)?, texts(objects, &origin.listing)?);
    let Selection { paths, shared, missing } =
        select(&request, &old, &new).map_err(ActError::Select)?;
    if !missing.is_empty() {
        return Err(ActError::Shared(missing));
    }
    let listing = take(&paths, &tip.listing, &origin.listing).map_err(ActError::Compose)?;
    let mut trailers = vec![id];
    trailers.extend(paths.into_iter().map(|path| (key.to_owned(), path)));
    let words = words(subject, trailers);
    Ok(Draft { kind, listing, second: None, words, changed: BTreeSet::new(), shared })
}

/// What decides a selection: services, rulesets and `tidegate.toml`; of other files their ids.
pub fn texts(objects: &impl Objects, listing: &Listing) -> Result<Texts, ActError> {
    let mut found = Texts::new();
    for (path, file) in listing {
        let decides = path == "tidegate.toml"
            || path.strip_suffix(".toml").is_some_and(|stem| {
                (stem.starts_with("rulesets/") && !is_inside_files(path))
                    || stem.strip_prefix("services/").is_some_and(|name| !name.contains('/'))
            });
        let text = if decides {
            let bytes = objects.blob(file.id, FILE_BYTES_MAX).map_err(|error| {
                ActError::Compose(ComposeError::Tree(
                    crate::reconcile::trust::tree::TreeError::Objects(error),
                ))
            })?;
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            file.id.to_string()
        };
        found.insert(path.clone(), text);
    }
    Ok(found)
}
