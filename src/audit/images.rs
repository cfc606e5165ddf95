//! `audit images`: every image that Git wanted in an environment, at a time or over a span.
//!
//! In: a [`Chain`]. Out: [`ImagesReport`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::chain::{Chain, Head};
use crate::audit::interval::{Interval, Intervals, intervals};
use crate::audit::observed::Observed;
use crate::audit::step::Step;
use crate::audit::wanted::{Fault, Image};
use crate::model::{AppName, CommitId, ContainerName, EnvironmentName, NodeName, ServiceName};
use crate::reconcile::trust::{Moment, Objects, ReadError};

/// What time is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// What was wanted at an instant.
    At(Timestamp),
    /// All that was wanted at some time within.
    Span {
        /// From when; none: since the anchor.
        from: Option<Timestamp>,
        /// Until when.
        to: Timestamp,
    },
}

impl Period {
    /// Its last instant.
    pub fn last(self) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Span { to, .. } => to,
        }
    }

    /// Whether something from `first` until `ended` (left out) falls into it.
    pub fn meets(self, first: Timestamp, ended: Option<Timestamp>) -> bool {
        match self {
            Self::At(at) => first <= at && ended.is_none_or(|ended| at < ended),
            Self::Span { from, to } => {
                let from = from.unwrap_or(Timestamp::MIN);
                first <= to && (first >= from || ended.is_none_or(|ended| ended > from))
            }
        }
    }
}

/// `tidegate.audit.images/1`.
#[derive(Debug, Clone, Serialize)]
pub struct ImagesReport {
    /// The document's type and version.
    pub schema: &'static str,
    /// What it was made from.
    pub history: Head,
    /// What time it is about.
    pub period: Period,
    /// Always `git`: this is what Git wanted. What ran is in `observed`.
    pub basis: &'static str,
    /// The environment's registries until then, oldest first.
    pub registries: Vec<String>,
    /// Images, by service and container.
    pub images: Vec<Stay>,
    /// Services that no node carried at the end: nothing of them was wanted anywhere.
    pub idle: Vec<Idle>,
    /// Commits of the period with mistakes, because of which nodes stayed at what was wanted before.
    pub unusable: Vec<Unusable>,
    /// What the nodes' journals say, if any were given.
    pub observed: Option<Observed>,
}

/// An image in its place, over an unbroken row of commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stay {
    /// The environment.
    pub environment: EnvironmentName,
    /// The service.
    pub service: ServiceName,
    /// The container.
    pub container: ContainerName,
    /// Whom it belongs to.
    pub app: AppName,
    /// The image.
    pub image: Image,
    /// Where.
    pub nodes: BTreeSet<NodeName>,
    /// The first commit that wanted it.
    pub since: Step,
    /// The last commit that wanted it.
    pub last: At,
    /// The first commit that no longer did; none: it is still wanted at the end.
    pub until: Option<Step>,
}

/// A commit, and since when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct At {
    /// The commit.
    pub commit: CommitId,
    /// Since when.
    pub counts_from: Timestamp,
}

/// A service that no node carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// The service.
    pub service: ServiceName,
    /// Whom it belongs to.
    pub app: Option<AppName>,
    /// The last commit of the period, which has it so.
    pub at: At,
}

/// A commit that changes nothing for some nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// The commit.
    pub at: At,
    /// For which nodes, and why.
    pub fault: Fault,
}

/// Every image that was wanted in the period.
///
/// # Errors
/// When a commit's files cannot be read.
pub fn images<O: Objects>(chain: &Chain<'_, O>, period: Period) -> Result<ImagesReport, ReadError> {
    let moments = chain.in_force_until(period.last());
    let found = intervals(chain, moments, &BTreeSet::new())?;
    let since = |place: usize| moments[place].since();
    let meets =
        |interval: &&Interval| period.meets(since(interval.first), interval.ended.map(since));
    let mut steps = BTreeMap::new();
    let images = found.all.iter().filter(meets);
    let images = images.map(|interval| stay(chain, moments, interval, &mut steps)).collect();
    let idle = moments.last().map(at);
    let idle = idle.into_iter().flat_map(|at| {
        found.idle.iter().map(move |(service, app)| Idle {
            service: service.clone(),
            app: app.clone(),
            at,
        })
    });
    Ok(ImagesReport {
        schema: "tidegate.audit.images/1",
        history: chain.head(),
        period,
        basis: "git",
        images,
        idle: idle.collect(),
        unusable: unusable(moments, &found, period),
        registries: found.hubs.iter().map(ToString::to_string).collect(),
        observed: None,
    })
}

/// A commit, and since when it counts.
pub fn at(moment: &Moment) -> At {
    At { commit: moment.commit, counts_from: moment.since() }
}

/// An interval of `moments` with the commits that it lies between; `steps` keeps those that were
/// read.
pub fn stay<O: Objects>(
    chain: &Chain<'_, O>,
    moments: &[Moment],
    interval: &Interval,
    steps: &mut BTreeMap<usize, Step>,
) -> Stay {
    let read = |place: usize| chain.step(&moments[place]);
    let mut step = |place: usize| steps.entry(place).or_insert_with(|| read(place)).clone();
    let last = interval.ended.unwrap_or(moments.len()).saturating_sub(1);
    Stay {
        environment: chain.environment.clone(),
        service: interval.wanted.service.clone(),
        container: interval.wanted.container.clone(),
        app: interval.wanted.app.clone(),
        image: interval.wanted.image.clone(),
        nodes: interval.nodes.clone(),
        since: step(interval.first),
        last: at(&moments[last]),
        until: interval.ended.map(step),
    }
}

fn unusable(moments: &[Moment], found: &Intervals, period: Period) -> Vec<Unusable> {
    let within = |(place, _): &&(usize, Fault)| {
        let ended = moments.get(place + 1).map(Moment::since);
        period.meets(moments[*place].since(), ended)
    };
    let unusable = |(place, fault): &(usize, Fault)| Unusable {
        at: at(&moments[*place]),
        fault: fault.clone(),
    };
    found.faults.iter().filter(within).map(unusable).collect()
}
