//! Reports as CSV, for spreadsheets: one row an image or a change, whole ids, every row for itself.
//!
//! In: reports. Out: text. Pure.
//!
//! Each row also says how far the history was verified, since a spreadsheet has no place to say it
//! first. What people wrote never begins as a formula does.

use serde::Serialize;

use crate::audit::chain::Head;
use crate::audit::images::{ImagesReport, Stay};
use crate::audit::log::{LogEntry, LogReport, ServiceChange};
use crate::audit::observed::Run;
use crate::audit::provenance::ProvenanceReport;
use crate::audit::sheet::time;
use crate::audit::step::Step;
use crate::audit::wanted::Image;
use crate::model::NodeName;

/// A report that cannot be written as CSV.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report as CSV")]
pub struct CsvError(#[source] Box<dyn std::error::Error + Send + Sync>);

#[derive(Debug, Clone, Default, Serialize)]
struct LogRow {
    at: String,
    counts_from: String,
    environment: String,
    commit: String,
    kind: String,
    signed_by: String,
    signer_key: String,
    approved_by: String,
    approver_keys: String,
    source_environment: String,
    source_commit: String,
    reason: String,
    subject: String,
    trailers: String,
    landed_by: String,
    what: String,
    service: String,
    app: String,
    nodes: String,
    container: String,
    image: String,
    from_version: String,
    from_digest: String,
    from_image_id: String,
    to_version: String,
    to_digest: String,
    to_image_id: String,
    detail: String,
    verified_up_to: String,
    refused_at: String,
}

/// `audit log` as CSV: a row for each change of an image, and at least one for each commit.
///
/// # Errors
/// Never for what this program makes.
pub fn log(report: &LogReport) -> Result<String, CsvError> {
    let rows = report.commits.iter().flat_map(|entry| log_rows(&report.history, entry));
    write(rows, &LogRow::default())
}

fn log_rows(head: &Head, entry: &LogEntry) -> Vec<LogRow> {
    let commit = of_commit(head, &entry.step);
    let mut rows = Vec::new();
    for change in &entry.services {
        rows.extend(of_service(&commit, change));
    }
    let words = |what: &str, detail: &str| LogRow {
        what: what.to_owned(),
        detail: plain(detail),
        ..commit.clone()
    };
    rows.extend(entry.trust.iter().map(|line| words("trust", line)));
    for fault in &entry.unusable {
        let row = words("unusable", &fault.mistakes.join("; "));
        rows.push(LogRow { nodes: nodes(&fault.nodes), ..row });
    }
    if rows.is_empty() {
        rows.push(words("files", &entry.files.join(" ")));
    }
    rows
}

fn of_service(commit: &LogRow, change: &ServiceChange) -> Vec<LogRow> {
    let what = serde_json::to_value(change.change).ok();
    let row = LogRow {
        what: what.as_ref().and_then(|what| what.as_str()).unwrap_or("").to_owned(),
        service: change.service.to_string(),
        app: change.app.to_string(),
        nodes: nodes(&change.nodes),
        ..commit.clone()
    };
    if change.images.is_empty() {
        return vec![row];
    }
    let image = |image: &crate::audit::log::ImageChange| {
        let either = image.to.as_ref().or(image.from.as_ref());
        let [from, to] = [&image.from, &image.to].map(|image| columns(image.as_ref()));
        LogRow {
            container: image.container.to_string(),
            image: either.map(|image| image.repository.to_string()).unwrap_or_default(),
            from_version: from.0,
            from_digest: from.1,
            from_image_id: from.2,
            to_version: to.0,
            to_digest: to.1,
            to_image_id: to.2,
            ..row.clone()
        }
    };
    change.images.iter().map(image).collect()
}

fn of_commit(head: &Head, step: &Step) -> LogRow {
    let joined = |part: fn(&crate::audit::step::Signed) -> &str| {
        step.approved_by.iter().map(part).collect::<Vec<_>>().join(" ")
    };
    let trailers = step
        .trailers
        .iter()
        .flat_map(|(key, values)| values.iter().map(move |value| format!("{key}: {value}")));
    LogRow {
        at: time(step.at),
        counts_from: step.counts_from.map(time).unwrap_or_default(),
        environment: head.environment.to_string(),
        commit: step.commit.to_string(),
        kind: step.kind.clone(),
        signed_by: plain(step.signer()),
        signer_key: step.signed_by.as_ref().map(|by| by.key.clone()).unwrap_or_default(),
        approved_by: plain(&joined(|by| &by.person)),
        approver_keys: joined(|by| &by.key),
        source_environment: step
            .source
            .as_ref()
            .map(|s| s.environment.to_string())
            .unwrap_or_default(),
        source_commit: step.source.as_ref().map(|s| s.commit.to_string()).unwrap_or_default(),
        reason: plain(step.reason.as_deref().unwrap_or("")),
        subject: plain(&step.subject),
        trailers: plain(&trailers.collect::<Vec<_>>().join("; ")),
        landed_by: step.landed_by.map(|id| id.to_string()).unwrap_or_default(),
        verified_up_to: head.verified.map(|id| id.to_string()).unwrap_or_default(),
        refused_at: head.refused.as_ref().map(|r| r.commit.to_string()).unwrap_or_default(),
        ..LogRow::default()
    }
}

#[derive(Debug, Clone, Default, Serialize)]
struct ImageRow {
    basis: String,
    environment: String,
    service: String,
    container: String,
    app: String,
    image: String,
    version: String,
    digest: String,
    image_id: String,
    nodes: String,
    since: String,
    since_commit: String,
    since_kind: String,
    signed_by: String,
    approved_by: String,
    source_environment: String,
    source_commit: String,
    reason: String,
    last_commit: String,
    last_at: String,
    until: String,
    until_commit: String,
    journal_entry: String,
    journal_ended_by: String,
    verified_up_to: String,
    refused_at: String,
}

/// `audit images` as CSV: `basis` tells what Git wanted from what a node's journal says.
///
/// # Errors
/// Never for what this program makes.
pub fn images(report: &ImagesReport) -> Result<String, CsvError> {
    let head = &report.history;
    let wanted = report.images.iter().map(|stay| of_stay(head, stay));
    let idle = report.idle.iter().map(|idle| ImageRow {
        basis: "git".to_owned(),
        environment: head.environment.to_string(),
        service: idle.service.to_string(),
        app: idle.app.as_ref().map(ToString::to_string).unwrap_or_default(),
        last_commit: idle.at.commit.to_string(),
        last_at: time(idle.at.counts_from),
        ..of_head(head)
    });
    let runs = report.observed.iter().flat_map(|observed| &observed.runs);
    write(wanted.chain(idle).chain(runs.map(|run| of_run(head, run))), &ImageRow::default())
}

/// `audit provenance` as CSV.
///
/// # Errors
/// Never for what this program makes.
pub fn provenance(report: &ProvenanceReport) -> Result<String, CsvError> {
    let rows = report
        .lines
        .iter()
        .flat_map(|line| line.stays.iter().map(move |stay| of_stay(&line.history, stay)));
    write(rows, &ImageRow::default())
}

fn of_head(head: &Head) -> ImageRow {
    ImageRow {
        verified_up_to: head.verified.map(|id| id.to_string()).unwrap_or_default(),
        refused_at: head.refused.as_ref().map(|r| r.commit.to_string()).unwrap_or_default(),
        ..ImageRow::default()
    }
}

fn of_stay(head: &Head, stay: &Stay) -> ImageRow {
    let commit = of_commit(head, &stay.since);
    let (version, digest, image_id) = columns(Some(&stay.image));
    ImageRow {
        basis: "git".to_owned(),
        environment: stay.environment.to_string(),
        service: stay.service.to_string(),
        container: stay.container.to_string(),
        app: stay.app.to_string(),
        image: stay.image.repository.to_string(),
        version,
        digest,
        image_id,
        nodes: nodes(&stay.nodes),
        since: time(stay.since.since()),
        since_commit: commit.commit,
        since_kind: commit.kind,
        signed_by: commit.signed_by,
        approved_by: commit.approved_by,
        source_environment: commit.source_environment,
        source_commit: commit.source_commit,
        reason: commit.reason,
        last_commit: stay.last.commit.to_string(),
        last_at: time(stay.last.counts_from),
        until: stay.until.as_ref().map(|until| time(until.since())).unwrap_or_default(),
        until_commit: stay.until.as_ref().map(|u| u.commit.to_string()).unwrap_or_default(),
        ..of_head(head)
    }
}

fn of_run(head: &Head, run: &Run) -> ImageRow {
    let (version, digest, image_id) = columns(run.image.as_ref());
    ImageRow {
        basis: "journal".to_owned(),
        environment: head.environment.to_string(),
        service: run.service.to_string(),
        container: run.container.as_ref().map(ToString::to_string).unwrap_or_default(),
        app: run.app.as_ref().map(ToString::to_string).unwrap_or_default(),
        image: run.image.as_ref().map(|image| image.repository.to_string()).unwrap_or_default(),
        version,
        digest,
        image_id,
        nodes: run.node.to_string(),
        since: time(run.from),
        since_commit: run.revision.commit().map(|id| id.to_string()).unwrap_or_default(),
        since_kind: run.by.clone(),
        until: run.to.map(time).unwrap_or_default(),
        journal_entry: run.entry.to_string(),
        journal_ended_by: run.ended_by.map(|number| number.to_string()).unwrap_or_default(),
        ..of_head(head)
    }
}

/// Version, digest and image id.
fn columns(image: Option<&Image>) -> (String, String, String) {
    let Some(image) = image else { return Default::default() };
    let digest = image.digest.map(|digest| digest.to_string());
    let id = image.image_id.as_ref().map(ToString::to_string);
    let version = plain(image.version.as_deref().unwrap_or(""));
    (version, digest.unwrap_or_default(), id.unwrap_or_default())
}

fn nodes<'n>(nodes: impl IntoIterator<Item = &'n NodeName>) -> String {
    nodes.into_iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
}

/// What somebody wrote: on one line, and never a formula to a spreadsheet.
fn plain(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.starts_with(['=', '+', '-', '@']) { format!("'{line}") } else { line }
}

/// Rows under a header, which is there without rows too.
fn write<R: Serialize>(rows: impl Iterator<Item = R>, blank: &R) -> Result<String, CsvError> {
    let wrong = |error: csv::Error| CsvError(Box::new(error));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut n_rows = 0;
    for row in rows {
        writer.serialize(row).map_err(wrong)?;
        n_rows += 1;
    }
    if n_rows == 0 {
        writer.serialize(blank).map_err(wrong)?;
    }
    let bytes = writer.into_inner().map_err(|error| CsvError(Box::new(error.into_error())))?;
    let text = String::from_utf8(bytes).map_err(|error| CsvError(Box::new(error)))?;
    // Without rows, the header alone is left.
    let header = text.split_inclusive('\n').next().unwrap_or_default().to_owned();
    Ok(if n_rows == 0 { header } else { text })
}
