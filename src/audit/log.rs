//! `audit log`: every commit that counts, who signed and approved it, and what it changed.
//!
//! In: a [`Chain`]. Out: [`LogReport`]. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::chain::{Chain, Head};
use crate::audit::people::changes as policy_changes;
use crate::audit::replay::{State, is_trust, replay};
use crate::audit::step::Step;
use crate::audit::wanted::{Fault, Image};
use crate::model::{AppName, ContainerName, NodeName, ServiceName};
use crate::reconcile::desired::DesiredService;
use crate::reconcile::trust::{Moment, Objects, ReadError};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// Only commits at or after this time.
    pub from: Option<Timestamp>,
    /// Only commits at or before this time.
    pub to: Option<Timestamp>,
    /// Only commits that change what runs of these apps; empty: all commits.
    pub apps: Vec<AppName>,
}

/// `tidegate.audit.log/1`.
#[derive(Debug, Clone, Serialize)]
pub struct LogReport {
    /// The document's type and version.
    pub schema: &'static str,
    /// What it was made from.
    pub history: Head,
    /// What was asked for: from when.
    pub from: Option<Timestamp>,
    /// Until when.
    pub to: Option<Timestamp>,
    /// Of which apps; empty: of all.
    pub apps: Vec<AppName>,
    /// Commits, oldest first.
    pub commits: Vec<LogEntry>,
}

/// One commit.
#[derive(Debug, Clone, Serialize)]
pub struct LogEntry {
    /// The commit.
    pub step: Step,
    /// Services for which something changed.
    pub services: Vec<ServiceChange>,
    /// What changed in who may do what.
    pub trust: Vec<String>,
    /// Files that it changed, other environments' left out.
    pub files: Vec<String>,
    /// Mistakes because of which nodes stayed at what was wanted before.
    pub unusable: Vec<Fault>,
}

/// What changed for a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceChange {
    /// The service.
    pub service: ServiceName,
    /// Whom it belongs to.
    pub app: AppName,
    /// What kind of change.
    pub change: Change,
    /// Images that changed.
    pub images: Vec<ImageChange>,
    /// Nodes that it is wanted on now.
    pub nodes: BTreeSet<NodeName>,
}

/// What kind of change, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// No node carried it before.
    Added,
    /// No node carries it now.
    Removed,
    /// Its images.
    Images,
    /// Whom it belongs to.
    App,
    /// Where it runs.
    Nodes,
    /// Anything else.
    Configuration,
}

/// An image that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageChange {
    /// The container.
    pub container: ContainerName,
    /// What was wanted before.
    pub from: Option<Image>,
    /// What is wanted now.
    pub to: Option<Image>,
}

/// Every commit that counts in the period.
///
/// # Errors
/// When a commit's files cannot be read.
pub fn log<O: Objects>(chain: &Chain<'_, O>, request: &LogRequest) -> Result<LogReport, ReadError> {
    // A commit after a merge may be earlier than what that landed.
    let is_asked = |time: Timestamp| {
        request.from.is_none_or(|from| from <= time) && request.to.is_none_or(|to| time <= to)
    };
    let asked = |moment: &Moment| is_asked(moment.time);
    let end = chain.moments.iter().rposition(asked).map_or(0, |last| last + 1);
    let first = chain.moments.iter().position(asked).unwrap_or(end);
    let mut found = Vec::new();
    let moments = &chain.moments[..end];
    replay(&mut chain.past(), &chain.environment, moments, first, |commit| {
        if !asked(&moments[commit.place]) {
            return;
        }
        let mut services = compare(commit.before, commit.state);
        if !request.apps.is_empty() {
            services.retain(|service| request.apps.contains(&service.app));
            if services.is_empty() {
                return;
            }
        }
        let unusable = commit.state.faults.clone();
        found.push((commit.place, services, commit.files.to_vec(), unusable));
    })?;
    let mut commits = Vec::new();
    for (place, services, files, unusable) in found {
        let of_trust = |path: &String| is_trust(path, &chain.environment);
        let before = place.checked_sub(1).filter(|_| files.iter().any(of_trust));
        let trust = before.map(|before| {
            let [before, after] = [before, place].map(|place| chain.moments[place].commit);
            policy_changes(chain.objects, &chain.environment, before, after)
        });
        let trust = trust.unwrap_or_default();
        commits.push(LogEntry {
            step: chain.step(&moments[place]),
            services,
            trust,
            files,
            unusable,
        });
    }
    Ok(LogReport {
        schema: "tidegate.audit.log/1",
        history: chain.head(),
        from: request.from,
        to: request.to,
        apps: request.apps.clone(),
        commits,
    })
}

type Carried<'s> = BTreeMap<&'s ServiceName, BTreeMap<&'s NodeName, &'s Arc<DesiredService>>>;

/// Which of `names` are carried, and where.
fn carried<'s>(state: &'s State, names: &BTreeSet<&'s ServiceName>) -> Carried<'s> {
    let mut carried = Carried::new();
    for (node, wanted) in &state.nodes {
        for name in names {
            if let Some((name, service)) = wanted.services.get_key_value(*name) {
                carried.entry(name).or_default().insert(node, service);
            }
        }
    }
    carried
}

/// Services that may be others than before. What was not resolved anew is the very same thing.
fn touched<'s>(before: &'s State, state: &'s State) -> BTreeSet<&'s ServiceName> {
    let mut names = BTreeSet::new();
    for node in before.nodes.keys().chain(state.nodes.keys()) {
        let [old, new] = [before, state].map(|state| state.nodes.get(node));
        if old.map(Arc::as_ptr) == new.map(Arc::as_ptr) {
            continue;
        }
        let [old, new] = [old, new].map(|wanted| wanted.map(|wanted| &wanted.services));
        match (old, new) {
            (Some(old), Some(new)) if old.keys().eq(new.keys()) => {
                let others = old.values().zip(new).filter(|(old, (_, new))| !Arc::ptr_eq(old, new));
                names.extend(others.map(|(_, (name, _))| name));
            }
            _ => names.extend([old, new].into_iter().flatten().flat_map(BTreeMap::keys)),
        }
    }
    names
}

fn compare(before: &State, state: &State) -> Vec<ServiceChange> {
    let names = touched(before, state);
    let (old, new) = (carried(before, &names), carried(state, &names));
    let none = BTreeMap::new();
    let pair = |name| (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
    let changed = names.iter().filter_map(|name| {
        let (old, new) = pair(name);
        service(name, old, new)
    });
    changed.collect()
}

fn service(
    name: &ServiceName,
    old: &BTreeMap<&NodeName, &Arc<DesiredService>>,
    new: &BTreeMap<&NodeName, &Arc<DesiredService>>,
) -> Option<ServiceChange> {
    // What was not resolved anew is the very same thing.
    let same = |(one, other): (&&Arc<DesiredService>, &&Arc<DesiredService>)| {
        Arc::ptr_eq(one, other) || one == other
    };
    if old.keys().eq(new.keys()) && old.values().zip(new.values()).all(same) {
        return None;
    }
    let app =
        |of: &BTreeMap<&NodeName, &Arc<DesiredService>>| of.values().next().map(|s| s.app.clone());
    let images = images(old, new);
    let change = match (app(old), app(new)) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        _ if !images.is_empty() => Change::Images,
        (was, is) if was != is => Change::App,
        _ if old.keys().ne(new.keys()) => Change::Nodes,
        _ => Change::Configuration,
    };
    Some(ServiceChange {
        service: name.clone(),
        app: app(new).or_else(|| app(old))?,
        change,
        images,
        nodes: new.keys().map(|node| (*node).clone()).collect(),
    })
}

/// Images that are wanted on one side alone, each beside the one that took its place.
fn images(
    old: &BTreeMap<&NodeName, &Arc<DesiredService>>,
    new: &BTreeMap<&NodeName, &Arc<DesiredService>>,
) -> Vec<ImageChange> {
    let mut sides: BTreeMap<&ContainerName, [BTreeSet<Image>; 2]> = BTreeMap::new();
    for (side, services) in [old, new].into_iter().enumerate() {
        for container in services.values().flat_map(|service| service.containers.values()) {
            let images = sides.entry(&container.name).or_default();
            images[side].insert(Image::from(&container.pin));
        }
    }
    let mut changes = Vec::new();
    for (container, [old, new]) in sides {
        let (mut from, mut to) = (old.difference(&new), new.difference(&old));
        loop {
            let (from, to) = (from.next().cloned(), to.next().cloned());
            if from.is_none() && to.is_none() {
                break;
            }
            changes.push(ImageChange { container: container.clone(), from, to });
        }
    }
    changes
}
