//! From when a promotion counts, and times that run backwards.

use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;
use tidegate::model::CommitId;

use crate::audit::{PINS, World, digest, pins};
use crate::trust::history::By;
use crate::trust::line::{LATER, promotion};

/// A line whose prd demands a soak of a day.
fn soaking() -> World {
    let mut w = World::new();
    w.h.on("tst");
    let tst = w.h.anchor;
    w.h.on("prd");
    w.h.write_policy(&w.h.people(), LATER, &promotion("tst", tst, "soak = \"24h\""));
    w.h.commit_as("carol", "admin", "");
    w
}

/// dev pins a version at `time`; tst gets it a minute later, prd another one later.
fn release(w: &mut World, time: &str, version: u32) -> CommitId {
    w.at(time);
    w.release(version)
}

/// Versions that a report lists, in its order.
fn versions(report: &Value) -> Vec<String> {
    let images = report["images"].as_array().unwrap().iter();
    images.map(|image| image["image"]["version"].as_str().unwrap().to_owned()).collect()
}

fn at(w: &mut World, time: &str) -> Vec<String> {
    versions(&w.json(&["images", "--at", time]))
}

#[test]
fn a_promotion_counts_once_its_source_has_rested() {
    let mut w = soaking();
    release(&mut w, "2026-02-01T10:00:00Z", 1);
    let second = release(&mut w, "2026-02-03T10:00:00Z", 2);
    assert_eq!(at(&mut w, "2026-02-02T10:00:59Z"), [""; 0]);
    assert_eq!(at(&mut w, "2026-02-02T10:01:00Z"), ["1.1.0"]);
    assert_eq!(at(&mut w, "2026-02-04T10:00:59Z"), ["1.1.0"]);
    assert_eq!(at(&mut w, "2026-02-04T10:01:00Z"), ["1.2.0"]);
    let span = ["images", "--from", "2026-02-03", "--to", "2026-02-03"];
    let report = w.json(&span);
    assert_eq!(versions(&report), ["1.1.0"]);
    let report = w.json(&["images", "--from", "2026-02-04"]);
    assert_eq!(versions(&report), ["1.1.0", "1.2.0"]);
    let [old, new] = [&report["images"][0], &report["images"][1]];
    assert_eq!(new["since"]["commit"], second.to_string());
    assert_eq!(new["since"]["at"], "2026-02-03T10:02:00Z");
    for counts_from in [&new["since"], &old["until"]].map(|step| &step["counts_from"]) {
        assert_eq!(counts_from, "2026-02-04T10:01:00Z");
    }
    let shown = w.audit(&["images", "--at", "2026-02-05"]).out;
    assert!(shown.contains("2026-02-04T10:01:00Z   prd@"), "{shown}");
    let rows = w.audit(&["images", "--at", "2026-02-05", "-o", "csv"]).out;
    assert!(rows.contains(",2026-02-04T10:01:00Z,"), "{rows}");
}

#[test]
fn a_promotion_that_was_rolled_back_before_it_counted_never_did() {
    let mut w = soaking();
    let first = release(&mut w, "2026-02-01T10:00:00Z", 1);
    let passed = release(&mut w, "2026-02-03T10:00:00Z", 2).to_string();
    w.at("2026-02-03T12:00:00Z").rollback("bob", first);
    w.at("2026-02-03T13:00:00Z").hotfix(PINS, &pins(3));
    assert_eq!(versions(&w.json(&["images", "--from", "2026-01-01"])), ["1.1.0", "1.3.0"]);
    assert_eq!(at(&mut w, "2026-02-03T13:00:00Z"), ["1.3.0"]);
    let way = w.json(&["provenance", &digest(2)]);
    let prd = way["lines"].as_array().unwrap().last().unwrap();
    assert_eq!(prd["stays"].as_array().unwrap().len(), 0);
    // Who promoted it, and when, is told all the same.
    let log = w.json(&["log"]);
    let entry = log["commits"].as_array().unwrap().iter();
    let entry: Vec<_> = entry.filter(|entry| entry["step"]["commit"] == *passed).collect();
    assert!(entry[0]["step"]["counts_from"].is_null());
    let shown = w.audit(&["log"]).out;
    assert!(shown.contains("never counted: a later commit counts since before its soak ended"));
}

#[test]
fn a_promotion_whose_source_rests_still_is_not_in_production_yet() {
    let mut w = soaking();
    release(&mut w, "2026-02-01T10:00:00Z", 1);
    let before = w.h.tip;
    let recently = Timestamp::now().checked_sub(1.hour()).unwrap();
    let waits = release(&mut w, &recently.to_string(), 2);
    w.h.write_own("nodes/n2.toml", "[labels]\nrole = \"web\"\n");
    w.h.commit_as("carol", "local", "");
    let said = w.audit(&["images"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.out.contains("NOT YET") && !said.out.contains("1.2.0"), "{}", said.out);
    let report = w.json(&["images"]);
    assert_eq!(versions(&report), ["1.1.0"]);
    assert_eq!(report["images"][0]["nodes"], serde_json::json!(["n1"]));
    assert_eq!(report["images"][0]["until"], Value::Null);
    assert_eq!(report["history"]["verified"], before.to_string());
    // The node, the policy, and the first promotion.
    assert_eq!(report["history"]["n_commits"], 3);
    let log = w.json(&["log", "--since", &recently.to_string()]);
    let steps: Vec<_> = log["commits"].as_array().unwrap().iter().map(|c| &c["step"]).collect();
    assert_eq!(steps[0]["commit"], waits.to_string());
    for step in steps {
        let from: Timestamp = step["counts_from"].as_str().unwrap().parse().unwrap();
        assert!(from > Timestamp::now(), "{step}");
    }
}

/// A clock that is ahead signs a commit, a forge's clock that is right lands it, and work goes on.
fn backwards() -> (World, CommitId) {
    let mut w = World::new();
    release(&mut w, "2026-03-01T09:00:00Z", 1);
    let below = w.h.tip;
    let landed = w.at("2026-03-01T10:30:00Z").hotfix(PINS, &pins(2));
    w.at("2026-03-01T10:00:00Z");
    let tree = w.h.tree();
    w.h.tip = w.h.make(&tree, &[below, landed], By::Nobody, "Merge pull request #1");
    let mut last = landed;
    for (minute, version) in [("05", 3), ("10", 4), ("15", 5)] {
        let time = format!("2026-03-01T10:{minute}:00Z");
        last = w.at(&time).hotfix(PINS, &pins(version));
    }
    (w, last)
}

#[test]
fn what_follows_a_commit_of_a_later_time_counts_from_then() {
    let (mut w, _) = backwards();
    for time in ["10:04:59", "10:05:00", "10:15:00", "10:29:59"] {
        assert_eq!(at(&mut w, &format!("2026-03-01T{time}Z")), ["1.1.0"], "{time}");
    }
    assert_eq!(at(&mut w, "2026-03-01T10:30:00Z"), ["1.5.0"]);
    assert_eq!(at(&mut w, "2026-03-01"), ["1.5.0"]);
    let all = ["1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0"];
    assert_eq!(versions(&w.json(&["images", "--from", "2026-03-01T10:30:00Z"])), all[1..]);
    assert_eq!(versions(&w.json(&["images", "--to", "2026-03-01T10:29:59Z"])), all[..1]);
}

#[test]
fn a_log_of_a_period_has_each_commit_by_its_own_time() {
    let (mut w, last) = backwards();
    let mut minutes = |from: &str, to: &str| -> Vec<String> {
        let [from, to] = [from, to].map(|minute| format!("2026-03-01T10:{minute}:00Z"));
        let log = w.json(&["log", "--since", &from, "--until", &to]);
        let commits = log["commits"].as_array().unwrap().iter();
        commits.map(|c| c["step"]["at"].as_str().unwrap()[14..16].to_owned()).collect()
    };
    assert_eq!(minutes("05", "10"), ["05", "10"]);
    assert_eq!(minutes("00", "59"), ["30", "05", "10", "15"]);
    assert_eq!(minutes("15", "59"), ["30", "15"]);
    assert_eq!(minutes("16", "29"), [""; 0]);
    let log = w.json(&["log"]);
    let step = &log["commits"].as_array().unwrap().last().unwrap()["step"];
    assert_eq!(step["commit"], last.to_string());
    assert_eq!(step["counts_from"], "2026-03-01T10:30:00Z");
    assert!(w.audit(&["log"]).out.contains("counts from 2026-03-01T10:30:00Z"));
}
