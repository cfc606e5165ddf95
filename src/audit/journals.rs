//! Nodes' signed journals: which of them count.
//!
//! In: files as text, the keys that Git lists for each node. Out: [`Journal`]s. Pure.
//!
//! # Guarantees
//! * A journal counts whole or not at all: one entry that is not signed by the node's key, or does
//!   not follow the one before it, and nothing of it counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use ssh_key::PublicKey;

use crate::model::{CommitId, EnvironmentName, NodeName};
use crate::reconcile::report::journal::parse;
use crate::reconcile::report::{Entry, Fault, verify};

/// Faults told of one journal; more are counted.
const FAULTS_MAX: usize = 5;

/// A file that was given.
#[derive(Debug, Clone)]
pub struct JournalFile {
    /// Its name, for people.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// One node's journal, from however many files.
#[derive(Debug, Clone, Serialize)]
pub struct Journal {
    /// The node; none if no line says so.
    pub node: Option<NodeName>,
    /// The files that its lines were found in.
    pub files: BTreeSet<String>,
    /// Entries in it.
    pub n_entries: usize,
    /// Its first entry's number; more than 1 when older ones were lost to rotation.
    pub first_number: Option<u64>,
    /// Its first entry's time.
    pub begins_at: Option<Timestamp>,
    /// Its last entry's time: what came later is not known.
    pub ends_at: Option<Timestamp>,
    /// Why nothing of it counts.
    pub not_counted: Option<String>,
    /// Lines that are no entries, as a power loss leaves them; entries around them follow each other.
    pub n_torn: usize,
    #[serde(skip)]
    lines: Vec<(Entry, String)>,
}

impl Journal {
    /// Its entries, if they count.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let counted = self.not_counted.is_none();
        self.lines.iter().filter(move |_| counted).map(|(entry, _)| entry)
    }

    /// Commits that its entries name, whether they count or not.
    pub fn commits(&self) -> impl Iterator<Item = CommitId> {
        self.lines.iter().filter_map(|(entry, _)| entry.record.revision.as_ref()?.commit())
    }
}

/// Reads journals; nothing of them counts before [`check`].
pub fn read(files: &[JournalFile]) -> Vec<Journal> {
    let mut by_node: BTreeMap<NodeName, Journal> = BTreeMap::new();
    let mut strange = Vec::new();
    for file in files {
        let mut nodes = BTreeSet::new();
        let mut n_torn = 0;
        for line in file.text.lines().filter(|line| !line.trim().is_empty()) {
            let Some((entry, ..)) = parse(line) else {
                n_torn += 1;
                continue;
            };
            nodes.insert(entry.node.clone());
            let journal = by_node.entry(entry.node.clone()).or_insert_with(|| empty(None));
            journal.lines.push((entry, line.to_owned()));
        }
        for node in &nodes {
            if let Some(journal) = by_node.get_mut(node) {
                journal.files.insert(file.name.clone());
                journal.n_torn += n_torn;
            }
        }
        if nodes.is_empty() {
            let mut journal = empty(Some(not_a_journal(&file.text)));
            journal.files.insert(file.name.clone());
            strange.push(journal);
        }
    }
    let known = by_node.into_iter().map(|(node, mut journal)| {
        journal.lines.sort_by_key(|(entry, _)| entry.number);
        // The same entry may lie in two files.
        journal.lines.dedup_by(|one, other| one.1 == other.1);
        journal.node = Some(node);
        journal.n_entries = journal.lines.len();
        journal.first_number = journal.lines.first().map(|(entry, _)| entry.number);
        journal.begins_at = journal.lines.first().map(|(entry, _)| entry.at);
        journal.ends_at = journal.lines.last().map(|(entry, _)| entry.at);
        journal
    });
    known.chain(strange).collect()
}

fn empty(not_counted: Option<String>) -> Journal {
    Journal {
        node: None,
        files: BTreeSet::new(),
        n_entries: 0,
        first_number: None,
        begins_at: None,
        ends_at: None,
        not_counted,
        n_torn: 0,
        lines: Vec::new(),
    }
}

fn not_a_journal(text: &str) -> String {
    if text.contains("\"tidegate.history/1\"") {
        let problem = "it is `tidegate history -o json`, which carries no signatures";
        return format!("{problem}: write it with `tidegate history --signed`");
    }
    "no line of it is a journal entry: write it with `tidegate history --signed`".to_owned()
}

/// Decides which journals count.
pub fn check(
    journals: &mut [Journal],
    environment: &EnvironmentName,
    report_keys: &BTreeMap<NodeName, BTreeSet<String>>,
) {
    for journal in journals.iter_mut() {
        let Some(node) = &journal.node else { continue };
        journal.not_counted = problem(journal, node, environment, report_keys.get(node));
    }
}

fn problem(
    journal: &Journal,
    node: &NodeName,
    environment: &EnvironmentName,
    keys: Option<&BTreeSet<String>>,
) -> Option<String> {
    if let Some((entry, _)) = journal.lines.iter().find(|(e, _)| e.environment != *environment) {
        return Some(format!("it is a journal of {}, not of {environment}", entry.environment));
    }
    let keys = keys.into_iter().flatten().filter_map(|key| PublicKey::from_openssh(key).ok());
    let keys: Vec<PublicKey> = keys.collect();
    if keys.is_empty() {
        let file = format!("environments/{environment}/nodes/{node}.toml");
        return Some(format!("no verified commit lists the node's key: `report_key` in {file}"));
    }
    let verdict = verify(journal.lines.iter().map(|(_, line)| line.as_str()), &keys);
    let told: Vec<String> = verdict.faults.iter().take(FAULTS_MAX).map(describe).collect();
    let more = verdict.faults.len().saturating_sub(FAULTS_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!told.is_empty()).then(|| format!("{}{more}", told.join("; ")))
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Unreadable { line } => format!("line {line} is no entry"),
        Fault::Signature { number } => {
            format!("entry {number} is not signed by a key that Git lists for the node")
        }
        Fault::Chain { number } => format!("entry {number} does not follow the one before it"),
    }
}
