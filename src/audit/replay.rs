//! Goes through a chain, commit by commit, and tells what was wanted at each.
//!
//! In: [`Moment`]s and their files. Out: a [`State`] for each, oldest first. Pure: threads only share
//! out the resolving.
//!
//! # Guarantees
//! * A commit with mistakes changes nothing for the nodes that it has them for, as on the nodes.
//! * Commits that a node reads the same are resolved once; of one that changes services alone, only
//!   those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::audit::slice::{Slice, Slicer};
use crate::audit::wanted::{Fault, NodeWanted, Resolved, resolve};
use crate::model::{AppName, EnvironmentName, NodeName, ServiceName};
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::PortMapping;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::kind::PathClass;
use crate::reconcile::trust::{Moment, Objects, Past, ReadError, Verified};

/// Commits that are resolved together; bounds what is held in memory.
const BATCH_COMMITS: usize = 128;
/// Threads that share a batch.
const THREADS_MAX: usize = 8;

/// What is wanted at one commit.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By node.
    pub nodes: BTreeMap<NodeName, Arc<NodeWanted>>,
    /// Keys that nodes sign reports with.
    pub report_keys: BTreeMap<NodeName, String>,
    /// Services that no node carries.
    pub idle: BTreeMap<ServiceName, Option<AppName>>,
    /// Why the commit changes nothing for some nodes.
    pub faults: Vec<Fault>,
}

impl State {
    /// What is wanted once a commit that changes `services` alone has come; none where that cannot
    /// be said.
    fn patched(&self, part: &Resolved, services: &BTreeSet<String>) -> Option<Self> {
        let is_whole = part.is_readable && part.faults.is_empty();
        if !is_whole || !self.faults.is_empty() || !part.nodes.keys().eq(self.nodes.keys()) {
            return None;
        }
        let concerned = |name: &&ServiceName| services.contains(name.as_str());
        if !self.idle.iter().filter(|(name, _)| concerned(name)).eq(part.idle.iter()) {
            return None;
        }
        let mut nodes = BTreeMap::new();
        for ((node, part), before) in part.nodes.iter().zip(self.nodes.values()) {
            let part = part.as_ref()?;
            let old = before.services.iter().filter(|(name, _)| concerned(name));
            let is_alike = |((old_name, old), (name, new)): (Named<'_>, Named<'_>)| {
                old_name == name && claims_the_same(old, new)
            };
            let n_old = old.clone().count();
            if n_old != part.services.len() || !old.zip(&part.services).all(is_alike) {
                return None;
            }
            let is_untouched = part.services.is_empty();
            let next = || Arc::new(before.with(part));
            let wanted = if is_untouched { Arc::clone(before) } else { next() };
            nodes.insert(node.clone(), wanted);
        }
        Some(Self { nodes, ..self.clone() })
    }

    /// What is wanted once a commit that says `resolved` has come.
    fn next(&self, resolved: &Resolved) -> Self {
        if !resolved.is_readable {
            return Self { faults: resolved.faults.clone(), ..self.clone() };
        }
        let nodes = resolved.nodes.iter().filter_map(|(node, wanted)| {
            let wanted = wanted.as_ref().or_else(|| self.nodes.get(node))?;
            Some((node.clone(), Arc::clone(wanted)))
        });
        Self {
            nodes: nodes.collect(),
            report_keys: resolved.report_keys.clone(),
            idle: resolved.idle.clone(),
            faults: resolved.faults.clone(),
        }
    }
}

/// A service of a node.
type Named<'s> = (&'s ServiceName, &'s Arc<DesiredService>);

/// Whether a service can clash with another one only if it did before: it takes the same host ports,
/// networks and volumes.
fn claims_the_same(old: &DesiredService, new: &DesiredService) -> bool {
    fn ports(service: &DesiredService) -> impl Iterator<Item = &PortMapping> {
        service.containers.values().flat_map(|container| &container.spec.ports)
    }
    old.networks == new.networks && old.volumes == new.volumes && ports(old).eq(ports(new))
}

/// What a commit changes.
#[derive(Debug)]
pub struct Change<'c> {
    /// Its place in the chain.
    pub place: usize,
    /// Paths of the files that differ from the commit before, other environments' left out.
    pub files: &'c [String],
    /// What was wanted before it.
    pub before: &'c State,
    /// What is wanted at it.
    pub state: &'c State,
}

/// Calls `visit` for each of `moments` from `first` on.
///
/// # Errors
/// When a commit's files cannot be read.
pub fn replay<O: Objects>(
    past: &mut Past<'_, O>,
    environment: &EnvironmentName,
    moments: &[Moment],
    first: usize,
    mut visit: impl FnMut(Change<'_>),
) -> Result<(), ReadError> {
    let mut state = before(past, environment, moments, first)?;
    let mut slicer = Slicer::new(environment);
    let mut earlier = first.checked_sub(1).map(|at| &moments[at]);
    let mut is_first = true;
    for (batch, start) in
        moments[first..].chunks(BATCH_COMMITS).zip((first..).step_by(BATCH_COMMITS))
    {
        let (mut work, mut read) = (Vec::new(), Vec::new());
        for moment in batch {
            let files = earlier.map(|earlier| past.differences(earlier, moment));
            let files = files.transpose()?.unwrap_or_default();
            let changed: Vec<String> =
                files.iter().filter(|path| !is_trust(path, environment)).cloned().collect();
            if is_first || !changed.is_empty() {
                work.push(work_of(readable(past.snapshot(moment))?, &mut slicer, &changed));
            }
            (earlier, is_first) = (Some(moment), false);
            read.push((files, work.len()));
        }
        let resolved = resolve_all(&work, environment);
        for (at, (files, n_work)) in read.iter().enumerate() {
            // The first commits of a batch may read the same as the last of the one before.
            let found =
                n_work.checked_sub(1).and_then(|at| Some((work.get(at)?, resolved.get(at)?)));
            let next = match found {
                None => state.clone(),
                Some((Work::Part { slice, whole }, repinned)) => state
                    .patched(repinned, &slice.services)
                    .unwrap_or_else(|| state.next(&resolve(whole, environment))),
                Some((_, resolved)) => state.next(resolved),
            };
            visit(Change { place: start + at, files, before: &state, state: &next });
            state = next;
        }
    }
    Ok(())
}

/// Whether a file says who may do what: nothing that says what runs reads it.
pub fn is_trust(path: &str, environment: &EnvironmentName) -> bool {
    PathClass::of(path, environment) == PathClass::Trust
}

/// What is wanted just before the moment `first`.
fn before<O: Objects>(
    past: &mut Past<'_, O>,
    environment: &EnvironmentName,
    moments: &[Moment],
    first: usize,
) -> Result<State, ReadError> {
    let mut later = Vec::new();
    for moment in moments[..first].iter().rev() {
        let resolved = match readable(past.snapshot(moment))? {
            Ok(snapshot) => resolve(&snapshot, environment),
            Err(mistake) => Resolved::unreadable(vec![mistake]),
        };
        let is_whole = resolved.is_readable && resolved.faults.is_empty();
        later.push(resolved);
        if is_whole {
            break;
        }
    }
    Ok(later.iter().rev().fold(State::default(), |state, resolved| state.next(resolved)))
}

/// What is resolved of one commit.
enum Work {
    /// All of it.
    Whole(Verified<Snapshot>),
    /// The services that it changes; all of it, should that not do.
    Part { slice: Slice, whole: Verified<Snapshot> },
    /// Nothing.
    Unreadable(String),
}

fn work_of(
    read: Result<Verified<Snapshot>, String>,
    slicer: &mut Slicer<'_>,
    changed: &[String],
) -> Work {
    match read {
        Ok(whole) => match slicer.next(&whole, changed) {
            Some(slice) => Work::Part { slice, whole },
            None => Work::Whole(whole),
        },
        Err(mistake) => {
            slicer.forget();
            Work::Unreadable(mistake)
        }
    }
}

/// Only an anchor's tree can be refused: it says nothing then. What is missing ends the report.
fn readable(
    read: Result<Verified<Snapshot>, ReadError>,
) -> Result<Result<Verified<Snapshot>, String>, ReadError> {
    match read {
        Ok(snapshot) => Ok(Ok(snapshot)),
        Err(ReadError::Objects(error)) => Err(ReadError::Objects(error)),
        Err(ReadError::Tree(error)) => Ok(Err(format!("its tree is refused: {error}"))),
        Err(ReadError::Snapshot(error)) => Ok(Err(error.to_string())),
    }
}

fn resolve_all(work: &[Work], environment: &EnvironmentName) -> Vec<Resolved> {
    let one = |work: &Work| match work {
        Work::Whole(snapshot) => resolve(snapshot, environment),
        Work::Part { slice, .. } => resolve(&slice.part, environment),
        Work::Unreadable(mistake) => Resolved::unreadable(vec![mistake.clone()]),
    };
    let all = |part: &[Work]| part.iter().map(one).collect::<Vec<_>>();
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let share = work.len().div_ceil(n_threads).max(1);
    if work.len() < n_threads {
        return all(work);
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> =
            work.chunks(share).map(|part| (part, scope.spawn(move || all(part)))).collect();
        // A share whose thread could not finish is resolved here.
        let joined = handles
            .into_iter()
            .flat_map(|(part, handle)| handle.join().unwrap_or_else(|_| all(part)));
        joined.collect()
    })
}
