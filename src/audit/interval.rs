//! From when to when each image was wanted, on which nodes.
//!
//! In: the states of a row of commits. Out: [`Interval`]s. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::audit::chain::Chain;
use crate::audit::replay::{Change, replay};
use crate::audit::wanted::{Fault, NodeWanted, Use};
use crate::model::{AppName, Hub, NodeName, ServiceName};
use crate::reconcile::trust::{Moment, Objects, ReadError};

/// A use of an image, over an unbroken row of commits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The use.
    pub wanted: Arc<Use>,
    /// The first commit that wanted it, by its place in the row.
    pub first: usize,
    /// The first one after it that did not; none if it is still wanted.
    pub ended: Option<usize>,
    /// Where.
    pub nodes: BTreeSet<NodeName>,
}

/// What was wanted, and what stood in the way.
#[derive(Debug, Default)]
pub struct Intervals {
    /// By service, container and image.
    pub all: Vec<Interval>,
    /// Services that no node carries at the last commit.
    pub idle: BTreeMap<ServiceName, Option<AppName>>,
    /// Commits with mistakes, by place.
    pub faults: Vec<(usize, Fault)>,
    /// Every key that a node ever signed reports with.
    pub report_keys: BTreeMap<NodeName, BTreeSet<String>>,
    /// The environment's registries, in the order of their appearance.
    pub hubs: Vec<Hub>,
    /// What each commit that was asked for wanted, by place and node.
    pub kept: BTreeMap<usize, BTreeMap<NodeName, Arc<NodeWanted>>>,
}

type Open = BTreeMap<NodeName, BTreeMap<Arc<Use>, usize>>;
type Closed = BTreeMap<(Arc<Use>, usize, Option<usize>), BTreeSet<NodeName>>;

/// Goes through `moments` of a chain. What the commits at `keep` wanted is kept.
///
/// # Errors
/// When a commit's files cannot be read.
pub fn intervals<O: Objects>(
    chain: &Chain<'_, O>,
    moments: &[Moment],
    keep: &BTreeSet<usize>,
) -> Result<Intervals, ReadError> {
    let (mut open, mut closed) = (Open::new(), Closed::new());
    let mut found = Intervals::default();
    replay(&mut chain.past(), &chain.environment, moments, 0, |change| {
        let Change { place, before, state, .. } = change;
        for node in before.nodes.keys().chain(state.nodes.keys()) {
            let [old, new] = [before, state].map(|state| state.nodes.get(node));
            if old.map(Arc::as_ptr) != new.map(Arc::as_ptr) {
                step(place, node, new, open.entry(node.clone()).or_default(), &mut closed);
            }
        }
        found.faults.extend(state.faults.iter().map(|fault| (place, fault.clone())));
        for (node, key) in &state.report_keys {
            found.report_keys.entry(node.clone()).or_default().insert(key.clone());
        }
        for wanted in state.nodes.values() {
            if found.hubs.last() != Some(&wanted.hub) && !found.hubs.contains(&wanted.hub) {
                found.hubs.push(wanted.hub.clone());
            }
        }
        if keep.contains(&place) {
            found.kept.insert(place, state.nodes.clone());
        }
        if place + 1 == moments.len() {
            found.idle.clone_from(&state.idle);
        }
    })?;
    for (node, uses) in open {
        for (wanted, first) in uses {
            closed.entry((wanted, first, None)).or_default().insert(node.clone());
        }
    }
    let interval = |((wanted, first, ended), nodes)| Interval { wanted, first, ended, nodes };
    found.all = closed.into_iter().map(interval).collect();
    Ok(found)
}

/// Ends what is no longer wanted on a node, and begins what is new.
fn step(
    place: usize,
    node: &NodeName,
    wanted: Option<&Arc<NodeWanted>>,
    open: &mut BTreeMap<Arc<Use>, usize>,
    closed: &mut Closed,
) {
    let nothing = BTreeSet::new();
    let uses = wanted.map_or(&nothing, |wanted| &wanted.uses);
    let gone: Vec<Arc<Use>> = open.keys().filter(|old| !uses.contains(*old)).cloned().collect();
    for old in gone {
        if let Some(first) = open.remove(&old) {
            closed.entry((old, first, Some(place))).or_default().insert(node.clone());
        }
    }
    for new in uses {
        open.entry(Arc::clone(new)).or_insert(place);
    }
}
