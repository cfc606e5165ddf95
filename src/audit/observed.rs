//! What the nodes say ran: their journals, joined with what each commit wanted.
//!
//! In: [`Journal`]s that were checked, a [`Chain`]. Out: [`Observed`]. Pure.
//!
//! A journal names service, commit and outcome; the images are those of the verified commit, which
//! the node had to match before it wrote the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::audit::chain::Chain;
use crate::audit::images::ImagesReport;
use crate::audit::interval::{Intervals, intervals};
use crate::audit::journals::{Journal, JournalFile, check, read};
use crate::audit::wanted::{Image, Use};
use crate::model::{AppName, CommitId, ContainerName, NodeName, Revision, ServiceName};
use crate::reconcile::report::Entry;
use crate::reconcile::trust::{Objects, ReadError};

/// What the nodes say.
#[derive(Debug, Clone, Serialize)]
pub struct Observed {
    /// Every journal that was given, counted or not.
    pub journals: Vec<Journal>,
    /// Nodes of the period whose journal was not given, or does not count.
    pub nodes_without: BTreeSet<NodeName>,
    /// What ran, by node, service and container.
    pub runs: Vec<Run>,
    /// What was tried and failed.
    pub failures: Vec<Failure>,
    /// What was wanted on a node whose journal counts, and is not seen to have run in it.
    pub unseen: Vec<Unseen>,
}

/// An image that ran on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The node.
    pub node: NodeName,
    /// The service.
    pub service: ServiceName,
    /// The container; none if what ran is not known.
    pub container: Option<ContainerName>,
    /// Whom it belongs to.
    pub app: Option<AppName>,
    /// The image; none if what ran is not known, because the commit does not count.
    pub image: Option<Image>,
    /// The commit that it was applied from, or what else.
    pub revision: Revision,
    /// `apply`, `repair` or `rollback`.
    pub by: String,
    /// The journal's entry.
    pub entry: u64,
    /// Since when.
    pub from: Timestamp,
    /// The entry that ended it.
    pub ended_by: Option<u64>,
    /// Until when; none: to the journal's end at least.
    pub to: Option<Timestamp>,
}

/// A rollout that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The node.
    pub node: NodeName,
    /// The service.
    pub service: ServiceName,
    /// What was tried.
    pub revision: Option<Revision>,
    /// `apply`, `remove`, `rollback`.
    pub what: String,
    /// The journal's entry.
    pub entry: u64,
    /// When.
    pub at: Timestamp,
    /// What went wrong.
    pub error: String,
}

/// An image that was wanted and not seen to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// The node.
    pub node: NodeName,
    /// The service.
    pub service: ServiceName,
    /// The container.
    pub container: ContainerName,
    /// The image.
    pub image: Image,
    /// The commit that wanted it.
    pub commit: CommitId,
}

/// Joins journals into a report of what was wanted.
///
/// # Errors
/// When a commit's files cannot be read.
pub fn observe<O: Objects>(
    chain: &Chain<'_, O>,
    report: &mut ImagesReport,
    files: &[JournalFile],
) -> Result<(), ReadError> {
    let mut journals = read(files);
    let places: BTreeMap<CommitId, usize> = chain
        .moments
        .iter()
        .enumerate()
        .flat_map(|(place, moment)| {
            std::iter::once(moment.commit).chain(moment.landed_by).map(move |id| (id, place))
        })
        .collect();
    let named = journals.iter().flat_map(Journal::commits);
    let keep: BTreeSet<usize> = named.filter_map(|id| places.get(&id).copied()).collect();
    let history = intervals(chain, &chain.moments, &keep)?;
    check(&mut journals, &chain.environment, &history.report_keys);
    let (mut runs, mut failures) = (Vec::new(), Vec::new());
    for journal in &journals {
        let mut reader = Reader { places: &places, history: &history, open: BTreeMap::new() };
        journal.entries().for_each(|entry| reader.read(entry, &mut runs, &mut failures));
        runs.extend(reader.open.into_values().flatten());
    }
    runs.retain(|run| report.period.meets(run.from, run.to));
    failures.retain(|failure| report.period.meets(failure.at, Some(failure.at)));
    runs.sort_by(|a, b| {
        let key = |run: &Run| (run.node.clone(), run.service.clone(), run.container.clone());
        key(a).cmp(&key(b)).then(a.from.cmp(&b.from))
    });
    let counted: BTreeSet<&NodeName> = journals
        .iter()
        .filter(|journal| journal.not_counted.is_none())
        .filter_map(|journal| journal.node.as_ref())
        .collect();
    let wanted_on: BTreeSet<&NodeName> =
        report.images.iter().flat_map(|stay| &stay.nodes).collect();
    let nodes_without = wanted_on.difference(&counted).map(|node| (*node).clone()).collect();
    let unseen = unseen(report, &counted, &runs);
    report.observed = Some(Observed { journals, nodes_without, runs, failures, unseen });
    Ok(())
}

fn unseen(report: &ImagesReport, counted: &BTreeSet<&NodeName>, runs: &[Run]) -> Vec<Unseen> {
    let mut found = Vec::new();
    for stay in &report.images {
        for node in stay.nodes.iter().filter(|node| counted.contains(node)) {
            let ran = runs.iter().any(|run| {
                run.node == *node
                    && run.service == stay.service
                    && run.container.as_ref() == Some(&stay.container)
                    && run.image.as_ref() == Some(&stay.image)
            });
            if !ran {
                found.push(Unseen {
                    node: node.clone(),
                    service: stay.service.clone(),
                    container: stay.container.clone(),
                    image: stay.image.clone(),
                    commit: stay.since.commit,
                });
            }
        }
    }
    found
}

/// Follows one node's journal.
struct Reader<'a> {
    places: &'a BTreeMap<CommitId, usize>,
    history: &'a Intervals,
    /// What runs, by service.
    open: BTreeMap<ServiceName, Vec<Run>>,
}

impl Reader<'_> {
    fn read(&mut self, entry: &Entry, runs: &mut Vec<Run>, failures: &mut Vec<Failure>) {
        let record = &entry.record;
        let Some(service) = &record.service else { return };
        let what = record.what.as_str();
        if !matches!(what, "apply" | "repair" | "rollback" | "remove") {
            return;
        }
        if let Some(error) = &record.error {
            failures.push(Failure {
                node: entry.node.clone(),
                service: service.clone(),
                revision: record.revision.clone(),
                what: what.to_owned(),
                entry: entry.number,
                at: entry.at,
                error: error.clone(),
            });
            return;
        }
        let now = match &record.revision {
            Some(revision) if what != "remove" => self.runs(entry, service, revision),
            _ => Vec::new(),
        };
        let before = self.open.remove(service).unwrap_or_default();
        let mut open = Vec::new();
        for run in before {
            // The same image goes on running, whatever else of the service changed.
            if now.iter().any(|new| new.container == run.container && new.image == run.image) {
                open.push(run);
            } else {
                runs.push(Run { to: Some(entry.at), ended_by: Some(entry.number), ..run });
            }
        }
        for run in now {
            if !open.iter().any(|old| old.container == run.container && old.image == run.image) {
                open.push(run);
            }
        }
        self.open.insert(service.clone(), open);
    }

    /// What the service runs at `revision`, one for each container.
    fn runs(&self, entry: &Entry, service: &ServiceName, revision: &Revision) -> Vec<Run> {
        let run = |wanted: Option<&Arc<Use>>| Run {
            node: entry.node.clone(),
            service: service.clone(),
            container: wanted.map(|wanted| wanted.container.clone()),
            app: wanted.map(|wanted| wanted.app.clone()),
            image: wanted.map(|wanted| wanted.image.clone()),
            revision: revision.clone(),
            by: entry.record.what.clone(),
            entry: entry.number,
            from: entry.at,
            ended_by: None,
            to: None,
        };
        let of_chain = *revision.environment() == entry.environment;
        let place = revision.commit().filter(|_| of_chain).and_then(|id| self.places.get(&id));
        let nodes = place.and_then(|place| self.history.kept.get(place));
        let uses = nodes.and_then(|nodes| nodes.get(&entry.node)).map(|wanted| &wanted.uses);
        let uses = uses.into_iter().flatten().filter(|wanted| wanted.service == *service);
        let known: Vec<Run> = uses.map(|wanted| run(Some(wanted))).collect();
        if known.is_empty() { vec![run(None)] } else { known }
    }
}
