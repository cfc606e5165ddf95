//! `audit log` for people: a row for each change.

use std::collections::BTreeSet;

use crate::audit::log::{Change, ImageChange, LogEntry, LogReport, ServiceChange};
use crate::audit::sheet::{
    Cell, Part, Sheet, begin, commit, image_ids, people, signer, source, time,
};
use crate::audit::step::Step;
use crate::audit::wanted::Fault;
use crate::model::{EnvironmentName, NodeName};

/// Files named of one commit; more are counted.
const FILES_MAX: usize = 12;

/// The column of the commit.
const COMMIT: usize = 1;

/// The log as a sheet.
pub fn log(report: &LogReport) -> Sheet {
    let environment = &report.history.environment;
    let mut sheet = Sheet {
        title: format!("Who changed what in {environment}"),
        lead:
            "Every commit that was judged good, oldest first, with a word where one counts later than \
            its time or never did: signed by people whom the branch's own policy \
            let do this kind of change at that time. What it changed is what Git wanted before and \
            after it, not what ran. Times are the commits' own, in UTC; a promotion counts once its source \
            has rested as long as the policy asks."
                .to_owned(),
        ..Sheet::default()
    };
    begin(&mut sheet, &report.history);
    let bound = |at: Option<jiff::Timestamp>, none: &str| at.map_or(none.to_owned(), time);
    let (from, to) = (bound(report.from, "the anchor"), bound(report.to, "the last commit"));
    sheet.facts.insert(2, ("Period", format!("{from} to {to}")));
    if !report.apps.is_empty() {
        let apps: Vec<&str> = report.apps.iter().map(crate::model::AppName::as_str).collect();
        sheet.facts.insert(3, ("Only apps", apps.join(", ")));
    }
    let rows = report.commits.iter().flat_map(|entry| rows(environment, entry));
    sheet.parts.push(Part {
        heading: "",
        columns: vec![
            "AT",
            "COMMIT",
            "KIND",
            "SIGNED BY",
            "APPROVED BY",
            "FROM",
            "SERVICE",
            "CHANGE",
        ],
        rows: rows.collect(),
        empty: "No commit that counts falls into the period.",
    });
    sheet
}

fn rows(environment: &EnvironmentName, entry: &LogEntry) -> Vec<Vec<Cell>> {
    let step = &entry.step;
    let tickets = step
        .trailers
        .iter()
        .flat_map(|(key, values)| values.iter().map(move |value| format!("{key}: {value}")));
    let landed = step.landed_by.map(|id| format!("landed by {environment}@sha1:{}", id.short()));
    // A hotfix may say its reason twice; one line of it is enough.
    let subject = Some(&step.subject).filter(|subject| step.reason.as_ref() != Some(*subject));
    let words = subject.cloned().into_iter().chain(tickets).chain(landed);
    let row = |service: Cell, change: Cell| {
        vec![
            time(step.at).into(),
            commit(environment, step.commit),
            step.kind.clone().into(),
            signer(step),
            people(&step.approved_by),
            source(step),
            service,
            change,
        ]
    };
    let changes = entry.services.iter().flat_map(changes);
    let mut rows: Vec<_> = changes.map(|(service, change)| row(service, change)).collect();
    rows.extend(
        entry.trust.iter().map(|line| row(Cell::default(), format!("trust: {line}").into())),
    );
    rows.extend(entry.unusable.iter().map(|fault| row(Cell::default(), unusable(fault))));
    rows.extend(waited(step).map(|words| row(Cell::default(), words.into())));
    if rows.is_empty() {
        rows.push(row(Cell::default(), nothing(entry)));
    }
    // What the commit says of itself stands in its first row alone.
    if let Some(cell) = rows.first_mut().and_then(|row| row.get_mut(COMMIT)) {
        *cell = std::mem::take(cell).words(words);
    }
    rows
}

fn changes(service: &ServiceChange) -> Vec<(Cell, Cell)> {
    let nodes: Vec<&str> = service.nodes.iter().map(NodeName::as_str).collect();
    let on = if nodes.is_empty() { String::new() } else { format!("on {}", nodes.join(", ")) };
    let cell = Cell::from(service.service.as_str()).words([format!("app {}", service.app), on]);
    let word = match service.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Images => "",
        Change::App => "app",
        Change::Nodes => "nodes",
        Change::Configuration => "configuration",
    };
    if service.images.is_empty() {
        let told = match service.change {
            Change::Nodes => format!("nodes: now {}", nodes.join(", ")),
            Change::App => format!("app: now {}", service.app),
            _ => word.to_owned(),
        };
        return vec![(cell, told.into())];
    }
    let told = service.images.iter().map(|change| (cell.clone(), image(word, change)));
    told.collect()
}

fn image(word: &str, change: &ImageChange) -> Cell {
    let container = &change.container;
    let text = match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{container} {from} → {to}"),
        (None, Some(to)) => {
            format!("{} {container} {to}", if word.is_empty() { "added" } else { word })
        }
        (Some(from), None) => {
            format!("{} {container} {from}", if word.is_empty() { "removed" } else { word })
        }
        (None, None) => String::new(),
    };
    let ids = |label: &str, image: &Option<crate::audit::wanted::Image>| {
        let ids = image.iter().flat_map(image_ids);
        ids.map(|id| format!("{label} {id}")).collect::<Vec<_>>()
    };
    let repository = change.to.as_ref().or(change.from.as_ref()).map(|i| i.repository.to_string());
    let (old, new) = (ids("was", &change.from), ids("now", &change.to));
    Cell::from(text).words(repository).ids(old.into_iter().chain(new))
}

/// When a commit counts, where that is not at once.
fn waited(step: &Step) -> Option<String> {
    match step.counts_from {
        Some(from) => (from > step.at).then(|| format!("counts from {}", time(from))),
        None => Some("never counted: a later commit counts since before its soak ended".to_owned()),
    }
}

/// Mistakes, and for whom.
pub(in crate::audit::view) fn unusable(fault: &Fault) -> Cell {
    let nodes: Vec<&str> = fault.nodes.iter().map(NodeName::as_str).collect();
    let whom = if nodes.is_empty() { "all nodes".to_owned() } else { nodes.join(", ") };
    let first = fault.mistakes.first().map_or("", String::as_str);
    let more = fault.mistakes.len().saturating_sub(1);
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Cell::from(format!(
        "cannot be used on {whom}, where what was wanted before stays: {first}{more}"
    ))
    .words(fault.mistakes.iter().skip(1).cloned())
}

fn nothing(entry: &LogEntry) -> Cell {
    let areas: BTreeSet<&str> =
        entry.files.iter().map(|path| path.split('/').next().unwrap_or(path)).collect();
    let text = match entry.files.len() {
        0 => "nothing that this environment reads".to_owned(),
        1 => format!("no service; file {}", entry.files[0]),
        n => {
            let areas: Vec<&str> = areas.into_iter().collect();
            format!("no service; {n} files in {}", areas.join(", "))
        }
    };
    let more = entry.files.len().saturating_sub(FILES_MAX);
    let more = (more > 0).then(|| format!("and {more} more files"));
    let named = entry.files.iter().filter(|_| entry.files.len() > 1).take(FILES_MAX).cloned();
    Cell::from(text).words(named.chain(more))
}
