//! The journal against those who would change it.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use ssh_key::PublicKey;

use crate::clients::host::NodeKey;
use crate::reconcile::report::{Fault, Journal, Record, read_journal, verify};

fn record(what: &str) -> Record {
    Record {
        what: what.to_owned(),
        service: None,
        revision: None,
        why: vec!["because".to_owned()],
        steps: Vec::new(),
        error: None,
        trigger: "start".to_owned(),
        duration_ms: 1,
        unverified: false,
    }
}

fn journal(dir: &Path, key: &NodeKey, n_entries: usize) {
    let mut journal = Journal::open(dir, "n1".parse().unwrap(), "prd".parse().unwrap()).unwrap();
    for number in 0..n_entries {
        journal.add(record(&format!("entry {number}")), key, Timestamp::UNIX_EPOCH).unwrap();
    }
}

fn faults(dir: &Path, key: &NodeKey) -> Vec<Fault> {
    let lines = read_journal(dir).unwrap();
    let key = PublicKey::from_openssh(key.public()).unwrap();
    verify(lines.iter().map(String::as_str), &[key]).faults
}

#[test]
fn entries_are_signed_chained_and_continued_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
    journal(dir.path(), &key, 2);
    journal(dir.path(), &key, 1);
    assert_eq!(read_journal(dir.path()).unwrap().len(), 3);
    assert_eq!(faults(dir.path(), &key), []);
    let other = NodeKey::load_or_create(&dir.path().join("other.key")).unwrap();
    assert_eq!(faults(dir.path(), &other).len(), 3);
}

#[test]
fn an_entry_that_was_changed_or_taken_out_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
    journal(dir.path(), &key, 3);
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("entry 1", "entry 9")).unwrap();
    assert_eq!(
        faults(dir.path(), &key),
        [Fault::Signature { number: 2 }, Fault::Chain { number: 3 }]
    );
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("entry 1")).collect();
    fs::write(&path, without.join("\n")).unwrap();
    assert_eq!(faults(dir.path(), &key), [Fault::Chain { number: 3 }]);
}

#[test]
fn a_line_that_a_crash_left_unfinished_is_ended_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
    journal(dir.path(), &key, 1);
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{}", &text[..40])).unwrap();
    journal(dir.path(), &key, 1);
    assert_eq!(faults(dir.path(), &key), [Fault::Unreadable { line: 2 }]);
}

#[test]
fn a_torn_byte_costs_its_own_line_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
    journal(dir.path(), &key, 3);
    let path = dir.path().join("journal.jsonl");
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bytes[second] = 0xff;
    fs::write(&path, bytes).unwrap();
    journal(dir.path(), &key, 1);
    assert_eq!(read_journal(dir.path()).unwrap().len(), 4);
    assert_eq!(faults(dir.path(), &key), [Fault::Unreadable { line: 2 }]);
}

#[test]
fn the_journal_stays_under_its_limit_and_the_chain_crosses_files() {
    let dir = tempfile::tempdir().unwrap();
    let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
    let mut journal =
        Journal::open(dir.path(), "n1".parse().unwrap(), "prd".parse().unwrap()).unwrap();
    let mut large = record("large");
    large.steps = vec!["x".repeat(3 << 20)];
    for _ in 0..14 {
        journal.add(large.clone(), &key, Timestamp::UNIX_EPOCH).unwrap();
    }
    let bytes: u64 = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 40 << 20, "{bytes}");
    assert_eq!(faults(dir.path(), &key), []);
}
