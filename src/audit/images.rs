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
use crate::reconcile::trust::{Objects, ReadError};

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

/// A commit and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct At {
    /// The commit.
    pub commit: CommitId,
    /// Its time.
    pub at: Timestamp,
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
    let n_moments = chain.until(period.last());
    let found = intervals(chain, n_moments, &BTreeSet::new())?;
    let time = |place: usize| chain.moments[place].time;
    let meets = |interval: &&Interval| period.meets(time(interval.first), interval.ended.map(time));
    let mut steps = BTreeMap::new();
    let images = found.all.iter().filter(meets);
    let images = images.map(|interval| stay(chain, interval, n_moments, &mut steps)).collect();
    let idle = n_moments.checked_sub(1).map(|last| at(chain, last));
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
        unusable: unusable(chain, &found, period),
        registries: found.hubs.iter().map(ToString::to_string).collect(),
        observed: None,
    })
}

/// A commit of the chain with its time.
pub fn at<O: Objects>(chain: &Chain<'_, O>, place: usize) -> At {
    let moment = &chain.moments[place];
    At { commit: moment.commit, at: moment.time }
}

/// An interval with the commits that it lies between; `steps` keeps those that were read.
pub fn stay<O: Objects>(
    chain: &Chain<'_, O>,
    interval: &Interval,
    n_moments: usize,
    steps: &mut BTreeMap<usize, Step>,
) -> Stay {
    let mut step = |place: usize| steps.entry(place).or_insert_with(|| chain.step(place)).clone();
    let last = interval.ended.unwrap_or(n_moments).saturating_sub(1);
    Stay {
        environment: chain.environment.clone(),
        service: interval.wanted.service.clone(),
        container: interval.wanted.container.clone(),
        app: interval.wanted.app.clone(),
        image: interval.wanted.image.clone(),
        nodes: interval.nodes.clone(),
        since: step(interval.first),
        last: at(chain, last),
        until: interval.ended.map(step),
    }
}

fn unusable<O: Objects>(chain: &Chain<'_, O>, found: &Intervals, period: Period) -> Vec<Unusable> {
    let n_faults = found.faults.len();
    let within = |index: usize| {
        let (place, _) = &found.faults[index];
        let ended = chain.moments.get(place + 1).map(|moment| moment.time);
        period.meets(chain.moments[*place].time, ended)
    };
    (0..n_faults)
        .filter(|index| within(*index))
        .map(|index| {
            let (place, fault) = &found.faults[index];
            Unusable { at: at(chain, *place), fault: fault.clone() }
        })
        .collect()
}
