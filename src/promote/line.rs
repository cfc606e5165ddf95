//! The lines at a glance: per app, what is where, what is ahead of what and since when.
//!
//! In: each environment's tip as a node would have it. Out: one [`AppView`] an app. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{AppName, CommitId, ContainerName, Digest, EnvironmentName, ServiceName};
use crate::promote::compose::Listing;
use crate::promote::pick::{Selection, SelectionRequest, Texts, select};
use crate::promote::values::States;
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::claim::ROLLBACK_TO;
use crate::reconcile::trust::commit::Commit;
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::kind::{CommitKind, Declared};
use crate::reconcile::trust::policy::PromotionPolicy;
use crate::reconcile::trust::tree::{Entry, Trees};

/// Commits looked back to find since when an app differs.
const BACK_COMMITS_MAX: usize = 1_000;

/// One environment as it stands.
#[derive(Debug)]
pub struct Standing {
    /// The environment.
    pub environment: EnvironmentName,
    /// The last commit that counts.
    pub commit: CommitId,
    /// Why nothing newer counts, if the branch's tip does not.
    pub refused: Option<String>,
    /// Its files.
    pub listing: Listing,
    /// What decides which files are whose.
    pub texts: Texts,
    /// What its nodes should run.
    pub states: States,
    /// Where promotions come from.
    pub promotion: Option<PromotionPolicy>,
    /// The latest committer date of its line.
    pub time: Timestamp,
}

/// An image of a container, somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Running {
    /// The service.
    pub service: ServiceName,
    /// Its container.
    pub container: ContainerName,
    /// For people.
    pub version: Option<String>,
    /// What is pulled.
    pub digest: Option<Digest>,
}

/// How an app on one line stands to the line below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// This is the first environment.
    First,
    /// The same content.
    Same,
    /// The line below has more.
    Behind,
    /// It went back on purpose: the last commit that changed the app is a rollback.
    RolledBack,
    /// It has what the line below never had: a hotfix, or less than all of a commit.
    Diverged,
}

/// An app in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The environment.
    pub environment: EnvironmentName,
    /// What should run there.
    pub images: BTreeSet<Running>,
    /// How it stands to the line below.
    pub relation: Relation,
    /// Commits of the line below that changed the app since.
    pub n_commits: usize,
    /// Since when it differs.
    pub since: Option<Timestamp>,
    /// The commit that a rollback brought back.
    pub rolled_back_to: Option<CommitId>,
    /// How much longer the line below has to rest.
    pub soak_left_secs: Option<u64>,
}

/// An app on all lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppView {
    /// The app.
    pub app: AppName,
    /// By environment, in the order of the line.
    pub places: Vec<Place>,
}

/// Every app of every line.
///
/// # Errors
/// Never: what cannot be read is left out.
pub fn view(objects: &impl Objects, line: &[Standing], now: Timestamp) -> Vec<AppView> {
    let apps: BTreeSet<AppName> = line
        .iter()
        .flat_map(|standing| standing.texts.iter())
        .filter_map(|(path, text)| app_of(path, text))
        .collect();
    let place = |app: &AppName, standing: &Standing| {
        let below = standing
            .promotion
            .as_ref()
            .and_then(|promotion| line.iter().find(|other| other.environment == promotion.from));
        let steps = below.map(|below| step(objects, app, below, standing));
        let Steps { relation, n_commits, since, rolled_back_to } =
            steps.unwrap_or(Steps::none(Relation::First));
        Place {
            environment: standing.environment.clone(),
            images: images(app, &standing.states),
            relation,
            n_commits,
            since,
            rolled_back_to,
            soak_left_secs: below
                .filter(|_| relation == Relation::Behind)
                .and_then(|below| soak_left(standing, below, now)),
        }
    };
    let app_view = |app: AppName| AppView {
        places: line.iter().map(|standing| place(&app, standing)).collect(),
        app,
    };
    apps.into_iter().map(app_view).collect()
}

fn app_of(path: &str, text: &str) -> Option<AppName> {
    let name = path.strip_prefix("services/")?.strip_suffix(".toml")?;
    if name.contains('/') {
        return None;
    }
    let table: toml::Table = toml::from_str(text).ok()?;
    table.get("app")?.as_str()?.parse().ok()
}

fn images(app: &AppName, states: &States) -> BTreeSet<Running> {
    let services = states.values().flat_map(|state| state.services.values());
    let services = services.filter(|service| service.app == *app);
    services
        .flat_map(|service| {
            service.containers.values().map(|container| Running {
                service: service.name.clone(),
                container: container.name.clone(),
                version: container.pin.version.clone(),
                digest: container.pin.digest,
            })
        })
        .collect()
}

fn soak_left(standing: &Standing, below: &Standing, now: Timestamp) -> Option<u64> {
    let soak = standing.promotion.as_ref()?.soak.as_secs();
    let rested = u64::try_from(now.duration_since(below.time).as_secs()).unwrap_or(0);
    soak.checked_sub(rested).filter(|left| *left > 0)
}

/// How an app stands, between two lines.
struct Steps {
    relation: Relation,
    n_commits: usize,
    since: Option<Timestamp>,
    rolled_back_to: Option<CommitId>,
}

impl Steps {
    fn none(relation: Relation) -> Self {
        Self { relation, n_commits: 0, since: None, rolled_back_to: None }
    }
}

/// How far `above` is behind `below` in what belongs to the app, shared rulesets included.
fn step(objects: &impl Objects, app: &AppName, below: &Standing, above: &Standing) -> Steps {
    let (apps, with) = (BTreeSet::from([app.clone()]), BTreeSet::new());
    let request = SelectionRequest { apps: &apps, environment: &above.environment, with: &with };
    let Ok(Selection { paths, missing, .. }) = select(&request, &above.texts, &below.texts) else {
        // Neither has a service of it.
        return Steps::none(Relation::Same);
    };
    let paths: Vec<String> = paths.into_iter().chain(missing).collect();
    let trees = Trees::new(objects);
    let content = |commit: CommitId| -> Option<BTreeMap<&str, Entry>> {
        let tree = header(objects, commit).ok()?.tree;
        let found = paths
            .iter()
            .filter_map(|path| Some((path.as_str(), trees.find(tree, path).ok().flatten()?)));
        Some(found.collect())
    };
    let wanted = content(above.commit);
    let (mut at, mut newer) = (Some(below.commit), content(below.commit));
    if newer == wanted {
        return Steps::none(Relation::Same);
    }
    if let Some((to, since)) = rollback(objects, above.commit, &content) {
        let (since, rolled_back_to) = (Some(since), Some(to));
        return Steps { since, rolled_back_to, ..Steps::none(Relation::RolledBack) };
    }
    let (mut n_commits, mut since) = (0, None);
    for _ in 0..BACK_COMMITS_MAX {
        let Some(head) = at.and_then(|id| header(objects, id).ok()) else { break };
        let older = head.first_parent().map(&content);
        if older.as_ref() != Some(&newer) {
            n_commits += 1;
            since = head.time;
        }
        match older {
            Some(older) if older == wanted => {
                let relation = Relation::Behind;
                return Steps { relation, n_commits, since, rolled_back_to: None };
            }
            Some(older) => newer = older,
            None => break,
        }
        at = head.first_parent();
    }
    Steps::none(Relation::Diverged)
}

/// Where a line went back to, and when, if the last commit of its chain that changed the content is a
/// rollback. What lies on it was verified.
fn rollback<C: PartialEq>(
    objects: &impl Objects,
    tip: CommitId,
    content: &impl Fn(CommitId) -> Option<C>,
) -> Option<(CommitId, Timestamp)> {
    let (mut at, wanted) = (tip, content(tip)?);
    for _ in 0..BACK_COMMITS_MAX {
        let head = header(objects, at).ok()?;
        let parent = head.first_parent()?;
        if content(parent).as_ref() != Some(&wanted) {
            // A merge button's commit says nothing itself; what it lands does.
            let landed = head.parents.get(1).copied();
            let target = rollback_target(objects, at);
            let target = target.or_else(|| rollback_target(objects, landed?));
            return target.zip(head.time);
        }
        at = parent;
    }
    None
}

fn rollback_target(objects: &impl Objects, commit: CommitId) -> Option<CommitId> {
    let bytes = objects.commit(commit).ok()?;
    let message = Commit::parse(commit, &bytes).ok()?.message;
    let kind = message.kind().map(Declared::parse);
    matches!(kind, Some(Declared::Kind(CommitKind::Rollback, _)))
        .then(|| message.values(ROLLBACK_TO).next()?.parse().ok())
        .flatten()
}
