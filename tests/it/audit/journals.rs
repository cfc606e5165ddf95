//! Nodes' signed journals beside what Git wanted; a tampered one is named and does not count.

use jiff::Timestamp;
use serde_json::Value;
use tidegate::clients::host::NodeKey;
use tidegate::model::{CommitId, Digest, Revision};
use tidegate::reconcile::report::Record;
use tidegate::reconcile::report::journal::{Entry, line};

use crate::audit::{World, digest};

/// A journal in the making.
struct Journal {
    lines: Vec<String>,
}

impl Journal {
    fn add(&mut self, key: &NodeKey, at: &str, what: &str, commit: CommitId, error: Option<&str>) {
        let environment = "prd".parse().unwrap();
        let entry = Entry {
            schema: "tidegate.journal/1".to_owned(),
            number: self.lines.len() as u64 + 1,
            at: at.parse::<Timestamp>().unwrap(),
            node: "n1".parse().unwrap(),
            environment: "prd".parse().unwrap(),
            previous: self.lines.last().map(|line| Digest::of(line.as_bytes())),
            record: Record {
                what: what.to_owned(),
                service: Some("app1".parse().unwrap()),
                revision: Some(Revision::Commit { environment, commit }),
                why: Vec::new(),
                steps: Vec::new(),
                error: error.map(str::to_owned),
                trigger: "poll".to_owned(),
                duration_ms: 1,
                unverified: false,
            },
        };
        self.lines.push(line(&entry, key).unwrap());
    }
}

/// Two releases; the node ran the first, failed at the second, and ran it at last.
fn node() -> (World, Journal) {
    let mut w = World::new();
    w.at("2026-02-01T10:00:00Z");
    w.h.promote_to_tst();
    let first = w.h.promote_to_prd();
    w.at("2026-03-01T10:00:00Z");
    let second = w.release(2);
    let mut journal = Journal { lines: Vec::new() };
    journal.add(&w.key, "2026-02-01T10:05:00Z", "apply", first, None);
    journal.add(&w.key, "2026-03-01T10:10:00Z", "apply", second, Some("unhealthy"));
    journal.add(&w.key, "2026-03-01T10:11:00Z", "rollback", first, None);
    journal.add(&w.key, "2026-03-01T12:00:00Z", "apply", second, None);
    (w, journal)
}

fn observe(w: &mut World, text: &str) -> (i32, Value) {
    w.h.write("home/n1.jsonl", text);
    let args = ["images", "--from", "2026-01-01", "--observed", "home/n1.jsonl", "-o", "json"];
    let said = w.audit(&args);
    (said.code, serde_json::from_str(&said.out).unwrap())
}

#[track_caller]
fn assert_not_counted(text: &str, w: &mut World, words: &str) {
    let (code, report) = observe(w, text);
    assert_eq!(code, 3);
    let observed = &report["observed"];
    let why = observed["journals"][0]["not_counted"].as_str().unwrap();
    assert!(why.contains(words), "{why}");
    assert_eq!(observed["runs"].as_array().unwrap().len(), 0);
    assert_eq!(observed["journals"][0]["files"][0], "home/n1.jsonl");
}

#[test]
fn what_ran_is_joined_with_what_its_commit_wanted() {
    let (mut w, journal) = node();
    let (code, report) = observe(&mut w, &journal.lines.join("\n"));
    assert_eq!(code, 0);
    let observed = &report["observed"];
    let runs: Vec<String> = observed["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let text = |key: &str| run[key].as_str().unwrap_or("-").to_owned();
            let version = run["image"]["version"].as_str().unwrap();
            format!("{} {version} {} {}", text("node"), text("from"), text("to"))
        })
        .collect();
    insta::assert_snapshot!(runs.join("\n"), @r"
    n1 1.1.0 2026-02-01T10:05:00Z 2026-03-01T12:00:00Z
    n1 1.2.0 2026-03-01T12:00:00Z -
    ");
    assert_eq!(observed["failures"][0]["error"], "unhealthy");
    assert_eq!(observed["unseen"].as_array().unwrap().len(), 0);
    assert_eq!(observed["nodes_without"].as_array().unwrap().len(), 0);
}

#[test]
fn a_node_may_name_the_merge_that_landed_a_commit() {
    use crate::trust::history::By;
    let (mut w, _) = node();
    w.h.on("prd");
    let below = w.h.tip;
    let (tst, tree) = (w.h.tip_of("tst"), w.h.tree());
    let message = "Again\n\nTidegate: promote prd";
    let promoted = w.h.make(&tree, &[below, tst], By::Ssh("carol"), message);
    let merged = w.h.make(&tree, &[below, promoted], By::Nobody, "Merge pull request #4");
    w.h.tip = merged;
    let mut journal = Journal { lines: Vec::new() };
    journal.add(&w.key, "2026-03-05T10:00:00Z", "apply", merged, None);
    let (code, report) = observe(&mut w, &journal.lines.join("\n"));
    assert_eq!(code, 0);
    assert_eq!(report["observed"]["runs"][0]["image"]["digest"], digest(2));
}

#[test]
fn a_run_of_a_commit_that_does_not_count_is_shown_as_unknown() {
    let (mut w, mut journal) = node();
    let strange = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    journal.add(&w.key, "2026-03-02T10:00:00Z", "apply", strange, None);
    let (_, report) = observe(&mut w, &journal.lines.join("\n"));
    let runs = report["observed"]["runs"].as_array().unwrap();
    assert!(runs.iter().any(|run| run["image"].is_null() && run["entry"] == 5), "{runs:?}");
}

#[test]
fn an_edited_journal_does_not_count() {
    let (mut w, journal) = node();
    let text = journal.lines.join("\n").replace("10:05:00", "09:05:00");
    assert_not_counted(&text, &mut w, "entry 1 is not signed");
}

#[test]
fn a_journal_with_an_entry_taken_out_does_not_count() {
    let (mut w, mut journal) = node();
    journal.lines.remove(1);
    assert_not_counted(&journal.lines.join("\n"), &mut w, "entry 3 does not follow");
}

#[test]
fn a_journal_signed_with_another_key_does_not_count() {
    let (mut w, _) = node();
    let other = NodeKey::load_or_create(&w.h.path("home/other.key")).unwrap();
    let mut journal = Journal { lines: Vec::new() };
    let commit = w.h.tip_of("prd");
    journal.add(&other, "2026-03-02T10:00:00Z", "apply", commit, None);
    assert_not_counted(&journal.lines.join("\n"), &mut w, "not signed by a key that Git lists");
}

#[test]
fn entries_without_signatures_do_not_count() {
    let (mut w, _) = node();
    let text = "{\"schema\": \"tidegate.history/1\", \"entries\": []}";
    assert_not_counted(text, &mut w, "tidegate history --signed");
}

#[test]
fn a_line_torn_by_a_power_loss_leaves_the_rest_counting() {
    let (mut w, mut journal) = node();
    journal.lines.insert(2, "{\"entry\":{\"schema\":\"tidegate.jour".to_owned());
    let (code, report) = observe(&mut w, &journal.lines.join("\n"));
    assert_eq!(code, 0);
    assert_eq!(report["observed"]["journals"][0]["n_torn"], 1);
}

#[test]
fn files_that_were_put_aside_are_read_as_one_journal() {
    let (mut w, journal) = node();
    w.h.write("home/new.jsonl", &journal.lines[2..].join("\n"));
    w.h.write("home/old.jsonl", &journal.lines[..3].join("\n"));
    let args = ["images", "--observed", "home/new.jsonl", "home/old.jsonl"];
    let report = w.json(&args);
    let journals = report["observed"]["journals"].as_array().unwrap();
    assert_eq!((journals.len(), &journals[0]["n_entries"]), (1, &Value::from(4)));
    assert!(journals[0]["not_counted"].is_null());
}
