//! Which versions of services a hotfix or a rollback made, told from real history alone.

use std::cell::Cell;
use std::collections::BTreeMap;

use tidegate::agent::judge::{Case, Judged, judge_now};
use tidegate::clients::git::ObjectReader;
use tidegate::model::{CommitId, ObjectId, Objects, ObjectsError, Revision, ServiceName};
use tidegate::reconcile::desired::{DesiredState, resolve};
use tidegate::reconcile::memory::{Applied, ServiceMemory};
use tidegate::reconcile::trust::{
    CommitKind, Descent, Remembered, RevokedKeys, Sightings, Sought, Verified,
};

use crate::trust::history::{By, History};

const TIDEGATE: &str = "repository = \"acme-config\"\nenvironments = [\"dev\", \"tst\", \"prd\"]\n\
    [apps.app1]\ntitle = \"One\"\nowner = \"alice\"\ncontact = \"alice@example.org\"\n";
const APP1: &str = "services/app1.toml";
const APP2: &str = "services/app2.toml";

/// A node of tst, and what it remembers.
struct Node {
    h: History,
    known: BTreeMap<ServiceName, ServiceMemory>,
    applied: Option<CommitId>,
}

fn service(version: &str) -> String {
    let digest = "ab".repeat(32);
    format!(
        "app = \"app1\"\n[containers.web]\nimage = \"app1/web\"\ndigest = \"sha256:{digest}\"\n\
         environment = {{ VERSION = \"{version}\" }}\n"
    )
}

impl Node {
    /// A node that has applied app1 and app2, both at 1.
    fn new() -> Self {
        let mut h = History::line();
        h.write("tidegate.toml", TIDEGATE);
        h.write(APP2, &service("1"));
        h.write(APP1, &service("1"));
        h.commit(By::Ssh("alice"), "Two services");
        h.on("tst");
        h.write_own("environment.toml", "name = \"tst\"\nhub = \"hub.example.org\"\n");
        h.write_own("nodes/n1.toml", "");
        h.commit_as("bob", "local", "");
        h.promote_to_tst();
        let mut node = Self { h, known: BTreeMap::new(), applied: None };
        node.apply(&["app1", "app2"]);
        node.applied = Some(node.h.tip);
        node
    }

    fn judged(&self) -> Judged {
        let case = Case {
            tip: self.h.tip,
            environment: self.h.environment.clone(),
            repository: "acme-config".parse().unwrap(),
            anchor: Some(self.h.anchor),
            remembered: Remembered::Nothing,
            revoked: RevokedKeys::default(),
            applied: self.applied,
            now: "2027-01-01T00:00:00Z".parse().unwrap(),
            sights: Sightings::default(),
            known: Some(("n1".parse().unwrap(), self.known.clone())),
        };
        let judged = judge_now(&self.h.objects(), &case);
        assert_eq!((judged.verified, judged.refused.clone()), (Some(self.h.tip), None));
        judged
    }

    fn state(&self) -> DesiredState {
        let files = self.judged().files.unwrap().unwrap();
        resolve(&files, &self.h.environment, &"n1".parse().unwrap()).unwrap().state
    }

    /// These services are at the tip now.
    fn apply(&mut self, services: &[&str]) {
        let state = self.state();
        for name in services {
            let name: ServiceName = name.parse().unwrap();
            let Some(service) = state.services.get(&name) else {
                self.known.remove(&name);
                continue;
            };
            let revision =
                Revision::Commit { environment: self.h.environment.clone(), commit: self.h.tip };
            let (content, at) = (service.content_hash(), "2026-03-01T00:00:00Z".parse().unwrap());
            let applied = Some(Applied { revision, content, at });
            self.known.insert(name, ServiceMemory { applied, ..ServiceMemory::default() });
        }
    }

    /// dev's version of a service, promoted.
    fn promote(&mut self, path: &str, version: &str, more: &str) -> CommitId {
        let source = self.h.develop(path, &service(version));
        self.h.on("tst");
        self.h.pick_with("bob", source, &[path], more)
    }

    #[track_caller]
    fn assert_urgent(&self, names: &[&str]) {
        let judged = self.judged();
        let urgent: Vec<&str> = judged.urgent.iter().map(ServiceName::as_str).collect();
        assert_eq!(urgent, names);
    }
}

#[test]
fn the_version_that_a_hotfix_or_a_rollback_made_is_urgent_until_it_is_applied() {
    let mut node = Node::new();
    let before = node.h.tip;
    node.h.hotfix(APP1, &service("1 and no retries"));
    node.assert_urgent(&["app1"]);
    // A commit that leaves the service alone changes nothing about it.
    node.h.write_own("README.md", "ours\n");
    node.h.commit_as("bob", "local", "");
    node.assert_urgent(&["app1"]);
    node.apply(&["app1"]);
    node.assert_urgent(&[]);
    node.h.rollback("bob", before);
    node.assert_urgent(&["app1"]);
    // So it is for a process that never saw the whole node in sync.
    node.applied = None;
    node.assert_urgent(&["app1"]);
}

#[test]
fn a_promotion_jumps_no_window_because_a_hotfix_comes_with_it() {
    let mut node = Node::new();
    node.promote(APP2, "2", "");
    node.assert_urgent(&[]);
    node.h.hotfix(APP1, &service("1 and no retries"));
    node.assert_urgent(&["app1"]);
    node.promote(APP2, "3", "");
    node.assert_urgent(&["app1"]);
    // It is the version that is urgent, not the service.
    let hotfix = node.h.hotfix(APP1, &service("1 and fewer retries"));
    node.assert_urgent(&["app1"]);
    node.h.hotfix(APP2, &service("3 and fewer retries"));
    node.assert_urgent(&["app1", "app2"]);
    node.promote(APP1, "2", &format!("\nSupersedes: {hotfix}"));
    node.assert_urgent(&["app2"]);
}

#[test]
fn what_a_normal_commit_brings_again_is_not_urgent_because_it_once_was() {
    let mut node = Node::new();
    let hotfix = node.h.hotfix(APP1, &service("2"));
    node.apply(&["app1"]);
    // app2 is held for other reasons, so that the node as a whole stays where it was.
    node.promote(APP1, "3", &format!("\nSupersedes: {hotfix}"));
    node.apply(&["app1"]);
    node.promote(APP1, "2", "");
    node.assert_urgent(&[]);
}

#[test]
fn a_promotion_is_not_urgent_because_a_hotfix_that_was_dropped_once_brought_the_same() {
    // The node was off, or held app1, all the time.
    let mut node = Node::new();
    let hotfix = node.h.hotfix(APP1, &service("6"));
    node.assert_urgent(&["app1"]);
    node.promote(APP1, "2", &format!("\nSupersedes: {hotfix}"));
    node.assert_urgent(&[]);
    node.promote(APP1, "6", "");
    node.assert_urgent(&[]);
    // Nor is another service's hotfix above it of any help.
    node.h.hotfix(APP2, &service("1 and no retries"));
    node.assert_urgent(&["app2"]);
}

#[test]
fn a_rollback_over_what_nobody_can_use_is_urgent() {
    let mut node = Node::new();
    let before = node.h.tip;
    node.promote(APP1, "2", "");
    node.apply(&["app1"]);
    node.applied = Some(node.h.tip);
    for version in ["2", "3"] {
        node.h.on("dev");
        node.h.write(APP1, &service(version));
        let source = node.h.develop(APP2, &format!("app = \"nobody{version}\"\n"));
        node.h.on("tst");
        node.h.promote("bob", source);
    }
    node.h.rollback("bob", before);
    node.assert_urgent(&["app1"]);
}

#[test]
fn a_rollback_over_what_nobody_can_use_takes_along_what_no_other_commit_brought() {
    let debug = "[containers.web]\nenvironment = { DEBUG = \"1\" }\n";
    let nobody = |node: &mut Node| {
        node.h.develop(APP1, "app = \"nobody\"\n");
        let source = node.h.tip;
        node.h.on("tst");
        node.h.promote("bob", source);
    };
    let applied = || {
        let mut node = Node::new();
        let before = node.h.tip;
        node.promote(APP1, "2", "");
        node.apply(&["app1"]);
        (node, before)
    };
    // Everything, but an environment keeps what is its own.
    let (mut node, before) = applied();
    nobody(&mut node);
    node.h.write_own(APP2, debug);
    node.h.commit_as("bob", "local", "");
    node.h.rollback("bob", before);
    node.assert_urgent(&["app1"]);
    // Some paths: a promotion's other ones stay.
    let (mut node, before) = applied();
    node.h.develop(APP2, &service("2"));
    nobody(&mut node);
    node.h.restore_path(before, APP1);
    let paths = format!("\nRollback-To: {before}\nRollback-Path: {APP1}");
    node.h.commit_as("bob", "rollback", &paths);
    node.assert_urgent(&["app1"]);
    // Nor does it help that the commit gone back to had the same.
    let (mut node, _) = applied();
    node.h.write_own(APP2, debug);
    let same = node.h.commit_as("bob", "local", "");
    node.h.write_own(APP2, "");
    node.h.commit_as("bob", "local", "");
    node.assert_urgent(&[]);
    nobody(&mut node);
    node.h.write_own(APP2, debug);
    node.h.commit_as("bob", "local", "");
    node.h.rollback("bob", same);
    node.assert_urgent(&[]);
}

#[test]
fn a_rollback_is_urgent_that_removes_a_service_or_brings_one_back() {
    let mut node = Node::new();
    let with = node.h.tip;
    node.h.on("dev");
    node.h.git(&["rm", "-qf", APP2]);
    let source = node.h.commit(By::Ssh("alice"), "One less");
    node.h.on("tst");
    let without = node.h.promote("bob", source);
    node.assert_urgent(&[]);
    node.apply(&["app1", "app2"]);
    node.h.rollback("bob", with);
    node.assert_urgent(&["app2"]);
    node.apply(&["app1", "app2"]);
    node.h.rollback("bob", without);
    node.assert_urgent(&["app2"]);
}

#[test]
fn a_hotfix_that_a_merge_button_landed_is_urgent() {
    let mut node = Node::new();
    let before = node.h.tip;
    let hotfix = node.h.hotfix(APP1, &service("1 and no retries"));
    let tree = node.h.tree();
    node.h.tip = node.h.make(&tree, &[before, hotfix], By::Nobody, "Merge pull request #1");
    node.assert_urgent(&["app1"]);
    node.apply(&["app1"]);
    node.applied = None;
    node.assert_urgent(&[]);
}

#[test]
fn a_hotfix_on_top_of_what_nobody_can_use_waits() {
    let mut node = Node::new();
    let source = node.h.develop(APP2, "app = \"nobody\"\n");
    node.h.on("tst");
    node.h.promote("bob", source);
    node.h.write(APP2, &service("2"));
    node.h.hotfix(APP1, &service("1 and no retries"));
    node.assert_urgent(&[]);
}

#[test]
fn what_a_hotfix_made_is_told_also_where_it_is_not_known_what_was_applied() {
    let mut node = Node::new();
    node.h.hotfix(APP1, &service("1 and no retries"));
    node.assert_urgent(&["app1"]);
    // The memory was lost: what runs tells the pass.
    node.applied = None;
    for memory in node.known.values_mut() {
        memory.applied = None;
    }
    node.assert_urgent(&["app1"]);
    node.known.clear();
    node.assert_urgent(&["app1"]);
}

/// Objects that count the files that are read: trust.toml and keys, to judge a commit by.
struct Counted {
    objects: ObjectReader,
    n_blobs: Cell<usize>,
}

impl Objects for Counted {
    fn commit(&self, id: CommitId) -> Result<Vec<u8>, ObjectsError> {
        self.objects.commit(id)
    }

    fn tree(&self, id: ObjectId) -> Result<Vec<u8>, ObjectsError> {
        self.objects.tree(id)
    }

    fn blob(&self, id: ObjectId, bytes_max: u64) -> Result<Vec<u8>, ObjectsError> {
        self.n_blobs.set(self.n_blobs.get() + 1);
        self.objects.blob(id, bytes_max)
    }

    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectsError> {
        self.objects.blob_size(id)
    }
}

#[test]
fn a_merge_is_judged_again_only_where_it_may_land_what_is_sought() {
    let mut node = Node::new();
    let merge = |h: &mut History, before| {
        let (tree, landed) = (h.tree(), h.tip);
        let message = "Merge pull request\n\nTidegate: hotfix tst\n";
        h.tip = h.make(&tree, &[before, landed], By::Nobody, "Merge pull request");
        let said = h.make(&tree, &[before, landed], By::Nobody, message);
        (landed, said)
    };
    let mut landed = Vec::new();
    for number in 0..3 {
        let before = node.h.tip;
        node.h.write_own("README.md", &format!("{number}\n"));
        node.h.commit_as("bob", "local", "");
        landed.push(merge(&mut node.h, before).0);
    }
    let quiet = node.h.tip;
    let hotfix = node.h.hotfix(APP1, &service("1 and no retries"));
    let (_, said) = merge(&mut node.h, quiet);
    let objects = Counted { objects: node.h.objects(), n_blobs: Cell::new(0) };
    let revoked = RevokedKeys::default();
    let passed = |sought: Sought, tip: CommitId, ends: &[CommitId]| {
        objects.n_blobs.set(0);
        let (tip, ends) = (Verified::unverified_own_work_tree(tip), ends.iter().copied());
        let line = Descent::new(&objects, &node.h.environment, &revoked, &tip, sought, ends);
        let passed: Vec<_> = line.map(|passed| (passed.id(), passed.kind())).collect();
        (passed, objects.n_blobs.get())
    };
    let sought = Sought::Kinds(&[CommitKind::Hotfix]);
    let (all, n_blobs) = passed(sought, quiet, &[]);
    assert!(all.len() > 3 && all.iter().all(|(_, kind)| *kind != Some(CommitKind::Hotfix)));
    assert_eq!(n_blobs, 0, "nobody is looked up");
    // An end that was landed ends the line there.
    let (above, _) = passed(sought, quiet, &[landed[1]]);
    assert_eq!(above.len(), 2, "two merges: {above:?}");
    for tip in [node.h.tip, said] {
        let (all, n_blobs) = passed(sought, tip, &[]);
        assert_eq!(all[..2], [(tip, None), (hotfix, Some(CommitKind::Hotfix))]);
        assert!(n_blobs > 0, "what a merge lands counts only as judged");
    }
}
