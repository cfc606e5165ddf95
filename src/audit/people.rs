//! What a commit changed in who may do what, in words.
//!
//! In: two commits' trust.toml. Out: lines. Pure.

use std::collections::BTreeSet;

use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::policy::Threshold;
use crate::reconcile::trust::{Objects, PersonSummary, TrustSummary, show};

/// What changed from one commit to the next; empty where nothing that is told did.
pub fn changes(
    objects: &impl Objects,
    environment: &EnvironmentName,
    before: CommitId,
    after: CommitId,
) -> Vec<String> {
    match (show(objects, before, environment), show(objects, after, environment)) {
        (Ok(old), Ok(new)) => compare(&old, &new),
        _ => Vec::new(),
    }
}

fn compare(old: &TrustSummary, new: &TrustSummary) -> Vec<String> {
    let mut told = Vec::new();
    for name in old.people.keys().chain(new.people.keys()).collect::<BTreeSet<_>>() {
        match (old.people.get(name), new.people.get(name)) {
            (None, Some(person)) => told.push(format!("{name} added ({})", person.keys.join(", "))),
            (Some(_), None) => told.push(format!("{name} removed")),
            (Some(was), Some(is)) => {
                told.extend(person(was, is).map(|what| format!("{name}: {what}")));
            }
            (None, None) => {}
        }
    }
    for role in old.roles.keys().chain(new.roles.keys()).collect::<BTreeSet<_>>() {
        let [was, is] = [old, new].map(|summary| summary.roles.get(role).map(holders));
        if was != is {
            let nobody = || "nobody".to_owned();
            let (was, is) = (was.unwrap_or_else(nobody), is.unwrap_or_else(nobody));
            told.push(format!("{role}: {was} → {is}"));
        }
    }
    told.extend(promotion(old, new));
    told
}

fn person(was: &PersonSummary, is: &PersonSummary) -> impl Iterator<Item = String> {
    let keys = |of: &PersonSummary| of.keys.iter().cloned().collect::<BTreeSet<_>>();
    let (old, new) = (keys(was), keys(is));
    let added = new.difference(&old).map(|key| format!("key {key} added"));
    let removed = old.difference(&new).map(|key| format!("key {key} removed"));
    let mut told: Vec<String> = added.chain(removed).collect();
    if was.not_after != is.not_after {
        told.push(match is.not_after {
            Some(day) => format!("counts until {day}"),
            None => "counts without end".to_owned(),
        });
    }
    told.into_iter()
}

/// `2 of bob, carol`.
fn holders(threshold: &Threshold) -> String {
    let names: Vec<String> = threshold.people.iter().map(ToString::to_string).collect();
    format!("{} of {}", threshold.threshold, names.join(", "))
}

fn promotion(old: &TrustSummary, new: &TrustSummary) -> Option<String> {
    let told = |summary: &TrustSummary| {
        summary.promotion.as_ref().map_or("none".to_owned(), |promotion| {
            let require = match promotion.require.as_slice() {
                [] => String::new(),
                keys => format!(", requires {}", keys.join(", ")),
            };
            let (from, anchor) = (&promotion.from, promotion.anchor.short());
            format!("from {from}@sha1:{anchor}, soak {}s{require}", promotion.soak_secs)
        })
    };
    let (was, is) = (told(old), told(new));
    (was != is).then(|| format!("promotion: {was} → {is}"))
}
