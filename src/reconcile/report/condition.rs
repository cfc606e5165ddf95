//! From what a pass saw and decided to what is said about each service.
//!
//! In: [`Facts`] and the previous status. Out: the next [`Status`]. No effects.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::clients::docker::ContainerState;
use crate::model::{CommitId, EnvironmentName, Mode, NodeName, ServiceName};
use crate::reconcile::desired::container::Run;
use crate::reconcile::desired::{DesiredService, DesiredState};
use crate::reconcile::memory::Memory;
use crate::reconcile::observed::{ObservedContainer, ObservedState};
use crate::reconcile::plan::{Held, HeldReason, Plan, ServicePlan};
use crate::reconcile::report::status::{
    ConfigurationFault, ContainerStatus, Health, Outage, RefusedCommit, Revisions, SCHEMA,
    ServiceStatus, Status, Sync, TrustLevel, WaitingCommit,
};
use crate::reconcile::trust::Wait;

/// Whether something outside answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// It did.
    #[default]
    Answers,
    /// It did not, and what was said.
    Silent(String),
}

/// What a pass saw and decided.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The node.
    pub node: &'a NodeName,
    /// Its environment.
    pub environment: &'a EnvironmentName,
    /// What is demanded of commits.
    pub trust: TrustLevel,
    /// What the branch points at.
    pub tip: Option<CommitId>,
    /// The newest believed commit.
    pub verified: Option<CommitId>,
    /// The commit time of `desired`'s revision, as far as known.
    pub committed_at: Option<Timestamp>,
    /// The commit that is not believed: its id, rule, reason and remedy.
    pub refused: Option<(CommitId, String, String, String)>,
    /// The good commit that waits.
    pub waits: Option<&'a Wait>,
    /// Whether Git answered.
    pub git: Reach,
    /// Whether the engine answered.
    pub engine: Reach,
    /// Whether metrics are where the node's configuration says.
    pub metrics: Reach,
    /// Whether what the files of the node's own configuration say is in use.
    pub unused: Reach,
    /// Mistakes that make the newest revision unusable: its own, or the node's.
    pub mistakes: Vec<String>,
    /// What should run.
    pub desired: Option<&'a DesiredState>,
    /// What is still to be done, after the pass.
    pub plan: Option<&'a Plan>,
    /// What runs, after the pass.
    pub observed: Option<&'a ObservedState>,
    /// Why services could not be changed, until they are.
    pub failures: BTreeMap<ServiceName, String>,
    /// Services that are being worked on, and why: their health gates are still open.
    pub under_way: BTreeMap<ServiceName, String>,
    /// What the node remembers.
    pub memory: &'a Memory,
    /// The time.
    pub now: Timestamp,
}

/// What is now to be said, given what was said before: "since" stays while nothing changes.
pub fn next_status(previous: Option<&Status>, facts: &Facts<'_>) -> Status {
    let mut names: BTreeSet<&ServiceName> = facts.memory.services.keys().collect();
    names.extend(facts.desired.iter().flat_map(|d| d.services.keys()));
    names.extend(facts.observed.iter().flat_map(|o| o.services.keys()));
    let services: BTreeMap<ServiceName, ServiceStatus> = names
        .into_iter()
        .filter_map(|name| {
            let before = previous.and_then(|status| status.services.get(name));
            Some((name.clone(), service_status(name, before, facts)?))
        })
        .collect();
    let outage = |reach: &Reach, before: Option<&Outage>| match reach {
        Reach::Answers => None,
        Reach::Silent(reason) => Some(Outage {
            since: before.map_or(facts.now, |outage| outage.since),
            reason: reason.clone(),
        }),
    };
    let applied_before = previous.and_then(|status| status.revision.applied);
    let status = Status {
        schema: SCHEMA.to_owned(),
        node: facts.node.clone(),
        environment: facts.environment.clone(),
        trust: facts.trust,
        mode: facts.desired.map_or(Mode::Apply, |desired| desired.mode),
        changed_at: facts.now,
        revision: Revisions {
            tip: facts.tip,
            verified: facts.verified,
            applied: applied(facts, &services).or(applied_before),
        },
        refused: refused(previous, facts),
        waits: facts.waits.map(|Wait { commit, until, reason }| WaitingCommit {
            commit: *commit,
            until: *until,
            reason: reason.clone(),
        }),
        git: outage(&facts.git, previous.and_then(|status| status.git.as_ref())),
        engine: outage(&facts.engine, previous.and_then(|status| status.engine.as_ref())),
        metrics: outage(&facts.metrics, previous.and_then(|status| status.metrics.as_ref())),
        unused: outage(&facts.unused, previous.and_then(|status| status.unused.as_ref())),
        configuration: configuration(previous, facts),
        services,
        compliance: None,
    };
    match previous {
        Some(before) if before.says_the_same(&status) => {
            Status { changed_at: before.changed_at, ..status }
        }
        _ => status,
    }
}

/// The desired revision, if all of it runs.
fn applied(facts: &Facts<'_>, services: &BTreeMap<ServiceName, ServiceStatus>) -> Option<CommitId> {
    let desired = facts.desired.filter(|desired| desired.node_declared)?;
    let complete = facts.observed.is_some()
        && facts.plan.is_some_and(Plan::is_in_sync)
        && services.values().all(|service| service.sync == Sync::Synced);
    complete.then(|| desired.revision.commit()).flatten()
}

fn refused(previous: Option<&Status>, facts: &Facts<'_>) -> Option<RefusedCommit> {
    let (commit, rule, reason, remedy) = facts.refused.clone()?;
    let before = previous
        .and_then(|status| status.refused.as_ref())
        .filter(|refused| refused.commit == commit && refused.rule == rule);
    let since = before.map_or(facts.now, |refused| refused.since);
    Some(RefusedCommit { commit, rule, reason, remedy, since })
}

fn configuration(previous: Option<&Status>, facts: &Facts<'_>) -> Option<ConfigurationFault> {
    if facts.mistakes.is_empty() {
        return None;
    }
    let before = previous
        .and_then(|status| status.configuration.as_ref())
        .filter(|fault| fault.commit == facts.verified);
    Some(ConfigurationFault {
        commit: facts.verified,
        mistakes: facts.mistakes.clone(),
        since: before.map_or(facts.now, |fault| fault.since),
    })
}

fn service_status(
    name: &ServiceName,
    before: Option<&ServiceStatus>,
    facts: &Facts<'_>,
) -> Option<ServiceStatus> {
    let desired = facts.desired.and_then(|desired| desired.services.get(name));
    let seen = facts.observed.and_then(|o| o.services.get(name)).map_or(&[][..], Vec::as_slice);
    let step = facts.plan.and_then(|plan| plan.services.iter().find(|p| p.service == *name));
    let held = facts.plan.and_then(|plan| plan.held.iter().find(|held| held.service == *name));
    let memory = facts.memory.services.get(name);
    let gone = desired.is_none() && seen.is_empty() && step.is_none() && held.is_none();
    if gone && facts.observed.is_some() && facts.desired.is_some() {
        return None;
    }
    // While only a newer version is held for its failure, what runs may be well.
    let failure = facts.failures.get(name).filter(|_| step.is_some());
    let under_way = facts.under_way.get(name);
    let (sync, why) = sync(facts, desired, step, held, failure, under_way);
    let progresses = under_way.is_some() || step.is_some_and(|step| step.mode == Mode::Apply);
    let (health, ill) = match facts.observed {
        None => (Health::Unknown, String::new()),
        Some(_) => match health(desired, seen, held, failure) {
            (Health::Healthy, why) if progresses => (Health::Progressing, why),
            other => other,
        },
    };
    let reason = if why.is_empty() { ill } else { why };
    let unchanged = before.filter(|before| before.sync == sync && before.health == health);
    Some(ServiceStatus {
        app: desired.map(|service| service.app.to_string()),
        sync,
        health,
        reason,
        held: held.filter(|_| sync == Sync::Held).map(|held| held.reason.clone()),
        since: unchanged.map_or(facts.now, |before| before.since),
        revision: memory.and_then(|m| m.applied.as_ref()).map(|a| a.revision.to_string()),
        mode: desired.map(|service| service.mode).or(step.map(|s| s.mode)).unwrap_or(Mode::Apply),
        containers: containers(desired, seen),
    })
}

fn sync(
    facts: &Facts<'_>,
    desired: Option<&DesiredService>,
    step: Option<&ServicePlan>,
    held: Option<&Held>,
    failure: Option<&String>,
    under_way: Option<&String>,
) -> (Sync, String) {
    if facts.desired.is_none() || facts.observed.is_none() {
        return (Sync::Unknown, String::new());
    }
    if let Some(held) = held {
        return (Sync::Held, held.reason.to_string());
    }
    if let Some(step) = step {
        let why = step.reasons.first().map(ToString::to_string).unwrap_or_default();
        let why = failure.map_or(why, Clone::clone);
        let report = if step.mode == Mode::Report { "report mode, nothing is done: " } else { "" };
        return (Sync::OutOfSync, format!("{report}{why}"));
    }
    if desired.is_none() {
        return (Sync::OutOfSync, "no longer wanted here".to_owned());
    }
    // Nothing is done before its health gate, however it looks from outside.
    if let Some(why) = under_way {
        return (Sync::OutOfSync, format!("under way: {why}"));
    }
    (Sync::Synced, String::new())
}

fn health(
    desired: Option<&DesiredService>,
    seen: &[ObservedContainer],
    held: Option<&Held>,
    failure: Option<&String>,
) -> (Health, String) {
    if let Some(Held { reason: HeldReason::Suspended { reason, .. }, .. }) = held {
        return (Health::Suspended, format!("suspended: {reason}"));
    }
    let wanted: Vec<_> = desired
        .iter()
        .flat_map(|d| d.containers.values())
        .filter(|c| c.run == Run::Always)
        .collect();
    let mut worst = (Health::Healthy, String::new());
    let mut n_found = 0;
    for container in &wanted {
        let found = seen.iter().filter(|s| s.owned.key == container.name);
        // While a rollout is under way two generations are there: the better one counts.
        let best = found.map(container_health).min_by_key(|(health, _)| *health);
        n_found += usize::from(best.is_some());
        let one = best.unwrap_or((Health::Missing, format!("{} is missing", container.name)));
        if one.0 > worst.0 {
            worst = one;
        }
    }
    if n_found == 0 && !wanted.is_empty() {
        return (Health::Missing, String::new());
    }
    match worst {
        (Health::Missing, why) => (Health::Degraded, why),
        (Health::Healthy, _) if failure.is_some() => (Health::Degraded, String::new()),
        other => other,
    }
}

fn container_health(container: &ObservedContainer) -> (Health, String) {
    let inspect = &container.inspect;
    let health = match (&inspect.state, inspect.health.as_deref()) {
        (ContainerState::Running, None | Some("healthy" | "none" | "")) => Health::Healthy,
        (ContainerState::Running, Some("starting")) | (ContainerState::Created, _) => {
            Health::Progressing
        }
        _ => Health::Degraded,
    };
    let why = match health {
        Health::Healthy => String::new(),
        _ => format!("{} is {}", container.owned.key, state_words(container)),
    };
    (health, why)
}

fn state_words(container: &ObservedContainer) -> String {
    let inspect = &container.inspect;
    let state = match &inspect.state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
        ContainerState::Other(other) => other,
    };
    match (&inspect.state, &inspect.health) {
        (ContainerState::Exited, _) => format!("exited ({})", inspect.exit_code),
        (ContainerState::Running, Some(health)) => format!("running ({health})"),
        _ => state.to_owned(),
    }
}

fn containers(
    desired: Option<&DesiredService>,
    seen: &[ObservedContainer],
) -> BTreeMap<String, ContainerStatus> {
    let mut all = BTreeMap::new();
    for container in desired.iter().flat_map(|service| service.containers.values()) {
        let state = seen.iter().find(|s| s.owned.key == container.name).map(state_words);
        let absent = if container.run == Run::Once { "completed" } else { "missing" };
        all.insert(
            container.name.to_string(),
            ContainerStatus {
                image: Some(container.pin.repository.to_string()),
                version: container.pin.version.clone(),
                digest: container.pin.digest.map(|digest| digest.to_string()),
                state: state.unwrap_or_else(|| absent.to_owned()),
            },
        );
    }
    for container in seen {
        all.entry(container.owned.key.to_string()).or_insert_with(|| ContainerStatus {
            image: None,
            version: None,
            digest: None,
            state: state_words(container),
        });
    }
    all
}
