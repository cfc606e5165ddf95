//! `audit images` for people.

use crate::audit::images::{ImagesReport, Period, Stay};
use crate::audit::journals::Journal;
use crate::audit::observed::Observed;
use crate::audit::sheet::{
    Cell, Part, Sheet, begin, commit, image_ids, signer, since, source, time,
};
use crate::audit::view::log::unusable;
use crate::model::{EnvironmentName, NodeName, Revision};

/// The list as a sheet.
pub fn images(report: &ImagesReport) -> Sheet {
    let environment = &report.history.environment;
    let (title, period) = match report.period {
        Period::At(at) => {
            (format!("Images that Git wanted in {environment} at {}", time(at)), time(at))
        }
        Period::Span { from, to } => {
            let from = from.map_or("the anchor".to_owned(), time);
            let span = format!("{from} to {}", time(to));
            (format!("Images that Git wanted in {environment} from {span}"), span)
        }
    };
    let mut sheet = Sheet { title, lead: lead(report), ..Sheet::default() };
    begin(&mut sheet, &report.history);
    let begins_at = report.history.begins_at;
    if begins_at.is_some_and(|begins_at| report.period.last() < begins_at) {
        let begins = begins_at.map(time).unwrap_or_default();
        sheet
            .alerts
            .push(format!("NOTHING KNOWN: the history begins at {begins}, after the period"));
    }
    if let Some(observed) = &report.observed {
        sheet.alerts.extend(observed.journals.iter().filter_map(not_counted));
    }
    sheet.facts.insert(2, ("Period", period));
    sheet.facts.insert(3, ("Registry", report.registries.join(", then ")));
    sheet.parts.push(Part {
        heading: "",
        columns: vec![
            "SERVICE",
            "CONTAINER",
            "APP",
            "IMAGE",
            "VERSION",
            "DIGEST",
            "NODES",
            "SINCE",
            "COMMIT",
            "KIND",
            "SIGNED BY",
            "FROM",
            "UNTIL",
        ],
        rows: report.images.iter().map(|stay| row(environment, stay)).collect(),
        empty: "Git wanted no image.",
    });
    if !report.idle.is_empty() {
        sheet.parts.push(idle(report));
    }
    if !report.unusable.is_empty() {
        let row = |found: &crate::audit::images::Unusable| {
            let at = time(found.at.counts_from).into();
            vec![at, commit(environment, found.at.commit), unusable(&found.fault)]
        };
        sheet.parts.push(Part {
            heading: "Commits that cannot be used",
            columns: vec!["AT", "COMMIT", "WHY"],
            rows: report.unusable.iter().map(row).collect(),
            empty: "",
        });
    }
    if let Some(observed) = &report.observed {
        sheet.parts.extend(parts(environment, observed));
    }
    sheet
}

fn lead(report: &ImagesReport) -> String {
    let wanted = "Every image that a verified commit wanted, on which nodes, and since which commit. \
        This is what Git wanted";
    if report.observed.is_some() {
        format!("{wanted}; what the nodes' signed journals say ran is listed apart below.")
    } else {
        format!("{wanted}, not what ran: for that, add the nodes' signed journals with --observed.")
    }
}

fn not_counted(journal: &Journal) -> Option<String> {
    let why = journal.not_counted.as_ref()?;
    let files: Vec<&str> = journal.files.iter().map(String::as_str).collect();
    let whose = journal.node.as_ref().map(|node| format!(" of {node}")).unwrap_or_default();
    Some(format!("NOT COUNTED: the journal{whose} in {}: {why}", files.join(", ")))
}

fn list<'n>(nodes: impl IntoIterator<Item = &'n NodeName>) -> String {
    nodes.into_iter().map(NodeName::as_str).collect::<Vec<_>>().join(",")
}

fn row(environment: &EnvironmentName, stay: &Stay) -> Vec<Cell> {
    let until = match &stay.until {
        Some(until) => Cell::from(time(until.since()))
            .words([format!("{} by {}", until.kind, until.signer())])
            .ids([until.commit.to_string()]),
        None => Cell::default(),
    };
    let approved = stay.since.approvers();
    let approved = if approved.is_empty() { approved } else { format!("approved by {approved}") };
    vec![
        stay.service.as_str().into(),
        stay.container.as_str().into(),
        stay.app.as_str().into(),
        stay.image.repository.to_string().into(),
        stay.image.version.clone().unwrap_or_default().into(),
        Cell::from(stay.image.short()).ids(image_ids(&stay.image)),
        list(&stay.nodes).into(),
        since(&stay.since),
        commit(environment, stay.since.commit).words([stay.since.subject.clone()]),
        stay.since.kind.clone().into(),
        signer(&stay.since).words([approved]),
        source(&stay.since),
        until,
    ]
}

fn idle(report: &ImagesReport) -> Part {
    let row = |idle: &crate::audit::images::Idle| {
        let app = idle.app.as_ref().map(ToString::to_string).unwrap_or_default();
        let at = commit(&report.history.environment, idle.at.commit);
        vec![idle.service.as_str().into(), app.into(), at]
    };
    Part {
        heading: "Services that no node carries",
        columns: vec!["SERVICE", "APP", "COMMIT"],
        rows: report.idle.iter().map(row).collect(),
        empty: "",
    }
}

fn parts(environment: &EnvironmentName, observed: &Observed) -> Vec<Part> {
    let journals = Part {
        heading: "Journals",
        columns: vec!["NODE", "COUNTED", "ENTRIES", "FROM", "TO", "FILES"],
        rows: observed.journals.iter().map(journal).chain(without(observed)).collect(),
        empty: "",
    };
    let mut parts = vec![journals, runs(observed)];
    if !observed.failures.is_empty() {
        parts.push(failures(observed));
    }
    if !observed.unseen.is_empty() {
        let row = |unseen: &crate::audit::observed::Unseen| {
            vec![
                unseen.node.as_str().into(),
                unseen.service.as_str().into(),
                unseen.container.as_str().into(),
                Cell::from(unseen.image.to_string()).ids(image_ids(&unseen.image)),
                commit(environment, unseen.commit),
            ]
        };
        parts.push(Part {
            heading: "Wanted, and not seen to run in the journals",
            columns: vec!["NODE", "SERVICE", "CONTAINER", "IMAGE", "WANTED BY"],
            rows: observed.unseen.iter().map(row).collect(),
            empty: "",
        });
    }
    parts
}

fn journal(journal: &Journal) -> Vec<Cell> {
    let counted = match (&journal.not_counted, journal.first_number, journal.n_torn) {
        (Some(why), ..) => Cell::from("no").words([why.clone()]),
        (None, Some(number), torn) => {
            let lost = (number > 1).then(|| format!("entries before {number} are not in it"));
            let torn = (torn > 0).then(|| format!("{torn} torn lines"));
            Cell::from("yes").words(lost.into_iter().chain(torn))
        }
        (None, None, _) => "yes".into(),
    };
    vec![
        journal.node.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        counted,
        journal.n_entries.to_string().into(),
        journal.begins_at.map(time).unwrap_or_default().into(),
        journal.ends_at.map(time).unwrap_or_default().into(),
        journal.files.iter().cloned().collect::<Vec<_>>().join(", ").into(),
    ]
}

/// Nodes that nobody gave a journal of.
fn without(observed: &Observed) -> impl Iterator<Item = Vec<Cell>> {
    let given = |node: &NodeName| observed.journals.iter().any(|j| j.node.as_ref() == Some(node));
    let missing = observed.nodes_without.iter().filter(move |node| !given(node));
    missing.map(|node| {
        let none = Cell::default;
        vec![node.as_str().into(), "not given".into(), none(), none(), none(), none()]
    })
}

fn runs(observed: &Observed) -> Part {
    let row = |run: &crate::audit::observed::Run| {
        let image = match &run.image {
            Some(image) => Cell::from(image.to_string()).ids(image_ids(image)),
            None => "unknown: the commit does not count".into(),
        };
        let ended = run.ended_by.map(|number| format!("entry {number}"));
        let revision = Cell::from(run.revision.to_string());
        vec![
            run.node.as_str().into(),
            run.service.as_str().into(),
            run.container.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            image,
            Cell::from(time(run.from)).words([format!("entry {}, {}", run.entry, run.by)]),
            Cell::from(run.to.map(time).unwrap_or_default()).words(ended),
            revision.ids(run.revision.commit().map(|id| id.to_string())),
        ]
    };
    Part {
        heading: "What the journals say ran",
        columns: vec!["NODE", "SERVICE", "CONTAINER", "IMAGE", "RAN FROM", "RAN TO", "COMMIT"],
        rows: observed.runs.iter().map(row).collect(),
        empty: "No journal that counts says that anything ran in the period.",
    }
}

fn failures(observed: &Observed) -> Part {
    let row = |failure: &crate::audit::observed::Failure| {
        let revision = failure.revision.as_ref();
        vec![
            Cell::from(time(failure.at)).words([format!("entry {}", failure.entry)]),
            failure.node.as_str().into(),
            failure.service.as_str().into(),
            failure.what.clone().into(),
            Cell::from(revision.map(ToString::to_string).unwrap_or_default())
                .ids(revision.and_then(Revision::commit).map(|id| id.to_string())),
            failure.error.clone().into(),
        ]
    };
    Part {
        heading: "Rollouts that failed",
        columns: vec!["AT", "NODE", "SERVICE", "WHAT", "COMMIT", "WHY"],
        rows: observed.failures.iter().map(row).collect(),
        empty: "",
    }
}
