//! `audit provenance` for people.

use crate::audit::images::Stay;
use crate::audit::provenance::{Line, ProvenanceReport};
use crate::audit::sheet::{
    Cell, Part, Sheet, begin, commit, image_ids, people, signer, since, source, time,
};
use crate::model::NodeName;

/// The way as a sheet.
pub fn provenance(report: &ProvenanceReport) -> Sheet {
    let mut sheet = Sheet {
        title: format!("The way of {}", report.digest),
        lead: "Where verified commits wanted the image, the first environment first: since which \
            commit, by which promotion, signed and approved by whom, and what ended it. This is what \
            Git wanted, not what ran."
            .to_owned(),
        ..Sheet::default()
    };
    if report.images.len() > 1 {
        let names: Vec<String> =
            report.images.iter().map(|image| image_ids(image).join(" ")).collect();
        let n = names.len();
        sheet.alerts.push(format!("{n} different images are named so: {}", names.join("; ")));
    }
    for line in &report.lines {
        let mut own = Sheet::default();
        begin(&mut own, &line.history);
        sheet.alerts.extend(own.alerts);
        sheet.checks.extend(own.checks);
        sheet.facts.push(("Verified", verified(line)));
    }
    sheet.facts.extend(report.lines.first().map(|line| {
        ("Made", format!("{} by {}", time(line.history.made_at), line.history.made_by))
    }));
    sheet.parts.push(Part {
        heading: "",
        columns: vec![
            "ENVIRONMENT",
            "SERVICE",
            "CONTAINER",
            "VERSION",
            "DIGEST",
            "SINCE",
            "COMMIT",
            "KIND",
            "SIGNED BY",
            "APPROVED BY",
            "FROM",
            "LAST COMMIT",
            "UNTIL",
            "ENDED BY",
        ],
        rows: report.lines.iter().flat_map(|line| &line.stays).map(row).collect(),
        empty: "No verified commit of these environments ever wanted it.",
    });
    sheet
}

fn verified(line: &Line) -> String {
    let head = &line.history;
    let environment = &head.environment;
    let up_to = head.verified.map_or("nothing".to_owned(), |id| id.to_string());
    let tip = if line.is_last_source { " (the last commit that was promoted from it)" } else { "" };
    let never = if line.stays.is_empty() { "; it was never wanted here" } else { "" };
    format!("{environment} from {} up to {up_to}{tip}{never}", head.anchor)
}

fn row(stay: &Stay) -> Vec<Cell> {
    let environment = &stay.environment;
    let nodes: Vec<&str> = stay.nodes.iter().map(NodeName::as_str).collect();
    let (until, ended_by) = match &stay.until {
        None => ("still wanted".into(), Cell::default()),
        Some(until) => {
            let by = format!("{} by {}", until.kind, until.signer());
            (Cell::from(time(until.since())), commit(environment, until.commit).words([by]))
        }
    };
    vec![
        environment.as_str().into(),
        Cell::from(stay.service.as_str()).words([format!("on {}", nodes.join(", "))]),
        stay.container.as_str().into(),
        stay.image.version.clone().unwrap_or_default().into(),
        Cell::from(stay.image.short()).ids(image_ids(&stay.image)),
        since(&stay.since),
        commit(environment, stay.since.commit).words([stay.since.subject.clone()]),
        stay.since.kind.clone().into(),
        signer(&stay.since),
        people(&stay.since.approved_by),
        source(&stay.since),
        commit(environment, stay.last.commit),
        until,
        ended_by,
    ]
}
