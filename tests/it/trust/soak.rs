//! Soak: clocks hold good promotions, and never make them good or bad.

use jiff::{Timestamp, ToSpan as _};
use tidegate::model::CommitId;
use tidegate::reconcile::trust::{Moment, Past, Remembered, Sightings, Verdict, verify};

use crate::trust::history::{By, History};
use crate::trust::line::{LATER, promotion};

const APP1: &str = "services/app1.toml";

/// A line whose tst demands a soak of a day; the work tree is tst's.
fn soaking() -> History {
    let mut h = History::line();
    let dev = h.anchor;
    h.on("tst");
    h.write_policy(&h.people(), LATER, &promotion("dev", dev, "soak = \"24h\""));
    h.commit_as("carol", "admin", "");
    h
}

struct Node {
    sights: Sightings,
    now: Timestamp,
    remembered: Remembered,
}

impl Node {
    fn at(now: Timestamp) -> Self {
        Self { sights: Sightings::default(), now, remembered: Remembered::Nothing }
    }

    fn sees(&mut self, branch: &str, tip: CommitId) {
        self.sights.record(&branch.parse().unwrap(), tip, self.now);
    }

    fn judges(&self, h: &History) -> Verdict {
        let mut request = h.request(self.remembered);
        request.now = self.now;
        request.sights.clone_from(&self.sights);
        verify(&h.objects(), &request)
    }

    #[track_caller]
    fn adopts(&self, h: &History, commit: CommitId, until: Option<Timestamp>) {
        let verdict = self.judges(h);
        assert_eq!(verdict.refused, None);
        assert_eq!(verdict.verified_id(), Some(commit));
        assert_eq!(verdict.waits.map(|wait| wait.until), until);
    }
}

#[test]
fn a_promotion_waits_from_when_this_node_saw_its_source() {
    let mut h = soaking();
    let before = h.tip;
    let source = h.develop(APP1, "app = \"app1\" # 2\n");
    let made = h.clock;
    let later = h.develop(APP1, "app = \"app1\" # 3\n");
    h.on("tst");
    let promoted = h.promote("bob", source);
    // A node that saw nothing of dev goes by the source's time.
    let mut node = Node::at(made);
    let day = made.checked_sub(1.minute()).unwrap().checked_add(24.hours()).unwrap();
    node.adopts(&h, before, Some(day));
    node.now = day;
    node.adopts(&h, promoted, None);
    // One that saw the source an hour after it was made, behind a newer tip, counts from then.
    let seen = made.checked_add(1.hour()).unwrap();
    let mut node = Node::at(seen);
    node.sees("dev", later);
    let until = seen.checked_add(24.hours()).unwrap();
    node.now = day;
    node.adopts(&h, before, Some(until));
    node.now = until;
    node.adopts(&h, promoted, None);
}

#[test]
fn what_lies_above_a_waiting_commit_waits_too() {
    let mut h = soaking();
    let before = h.tip;
    let source = h.develop(APP1, "app = \"app1\" # 2\n");
    let node = Node::at(h.clock.checked_add(1.hour()).unwrap());
    h.on("tst");
    let promoted = h.promote("bob", source);
    h.write_own("nodes/n1.toml", "");
    h.commit_as("bob", "local", "");
    h.hotfix("services/app2.toml", "app = \"app1\"\n");
    let tree = h.tree();
    // Also what a merge button lands, and the button's own commit.
    h.tip = h.make(&tree, &[before, h.tip], By::Nobody, "Merge pull request");
    let verdict = node.judges(&h);
    assert_eq!(verdict.verified_id(), Some(before));
    assert_eq!(verdict.waits.as_ref().unwrap().commit, promoted);
    assert_eq!(verdict.refused, None);
    assert!(!verdict.is_good());
}

#[test]
fn a_rollback_of_everything_passes_and_a_hotfix_after_it() {
    let mut h = soaking();
    let before = h.tip;
    let source = h.develop(APP1, "app = \"app1\" # 2\n");
    let mut node = Node::at(h.clock.checked_add(1.hour()).unwrap());
    h.on("tst");
    let promoted = h.promote("bob", source);
    // Back to what waits itself is no way past it, nor is a rollback of a part.
    let again = h.rollback("bob", promoted);
    assert_eq!(node.judges(&h).verified_id(), Some(before), "{again}");
    h.restore_path(before, APP1);
    let part = format!("\nRollback-To: {before}\nRollback-Path: {APP1}");
    h.commit_as("bob", "rollback", &part);
    assert_eq!(node.judges(&h).verified_id(), Some(before));
    let back = h.rollback("bob", before);
    node.adopts(&h, back, None);
    let hotfix = h.hotfix(APP1, "app = \"app1\" # fixed\n");
    node.adopts(&h, hotfix, None);
    node.remembered = Remembered::Verified(back);
    node.adopts(&h, hotfix, None);
    // Bringing the promotion back is no way past its soak, whatever the node remembers.
    h.promote_with("bob", source, &format!("\nSupersedes: {hotfix}"));
    h.go_to(hotfix);
    h.restore_path(promoted, APP1);
    let part = format!("\nRollback-To: {promoted}\nRollback-Path: {APP1}");
    h.commit_as("bob", "rollback", &part);
    for remembered in [Remembered::Verified(hotfix), Remembered::Nothing] {
        node.remembered = remembered;
        let verdict = node.judges(&h);
        assert_eq!((verdict.verified_id(), verdict.refused), (Some(hotfix), None));
        assert!(verdict.waits.unwrap().reason.contains("which waits"));
    }
    node.now = node.now.checked_add(24.hours()).unwrap();
    node.adopts(&h, h.tip, None);
}

#[test]
fn a_promotion_that_a_button_landed_is_not_brought_back_before_its_soak() {
    let mut h = soaking();
    let source = h.develop(APP1, "app = \"app1\" # 2\n");
    let mut node = Node::at(h.clock.checked_add(1.hour()).unwrap());
    h.on("tst");
    let before = h.tip;
    let promoted = h.promote("bob", source);
    let tree = h.tree();
    h.tip = h.make(&tree, &[before, promoted], By::Nobody, "Merge pull request #1");
    let back = h.rollback("bob", before);
    node.adopts(&h, back, None);
    let again = h.rollback("bob", promoted);
    for remembered in [Remembered::Verified(back), Remembered::Nothing] {
        node.remembered = remembered;
        let verdict = node.judges(&h);
        assert_eq!((verdict.verified_id(), verdict.refused), (Some(back), None), "{again}");
        assert!(verdict.waits.unwrap().reason.contains("which waits"));
    }
}

#[test]
fn what_was_adopted_waits_no_more_when_all_is_judged_again() {
    let mut h = soaking();
    let source = h.develop(APP1, "app = \"app1\" # 2\n");
    let mut node = Node::at(h.clock.checked_add(1.hour()).unwrap());
    h.on("tst");
    let promoted = h.promote("bob", source);
    node.remembered = Remembered::Demanded(promoted);
    node.adopts(&h, promoted, None);
    let next = h.develop(APP1, "app = \"app1\" # 3\n");
    h.on("tst");
    h.promote("bob", next);
    let verdict = node.judges(&h);
    assert_eq!(verdict.verified_id(), Some(promoted));
    assert!(verdict.waits.is_some());
}

/// What counts at `now`, as history alone has it.
fn counts(moments: &[Moment], now: Timestamp) -> Option<CommitId> {
    let due = |moment: &&Moment| moment.counts_from.is_some_and(|from| from <= now);
    moments.iter().rev().find(due).map(|moment| moment.landed_by.unwrap_or(moment.commit))
}

/// At each hour of three days, and for each tip, a node that saw nothing of dev adopts that commit.
#[track_caller]
fn agrees_with_nodes(h: &mut History) {
    let (tip, end) = (h.tip, h.clock);
    let ids = h.git(&["rev-list", "--first-parent", &format!("{}..{tip}", h.anchor)]);
    for id in ids.lines() {
        h.tip = id.parse().unwrap();
        let mut node = Node::at(end);
        let past = Past::new(&h.objects(), &h.environment).moments(h.anchor, &node.judges(h));
        let past = past.unwrap();
        for hour in 0..72 {
            node.now = end.checked_add(hour.hours()).unwrap();
            let verdict = node.judges(h);
            assert_eq!(verdict.refused, None);
            assert_eq!(counts(&past, node.now), verdict.verified_id(), "{id} at {}", node.now);
        }
    }
    h.tip = tip;
}

#[test]
fn history_alone_says_from_when_each_commit_counts() {
    let mut h = soaking();
    let source = h.develop(APP1, "app = \"app1\" # 2\n");
    h.on("tst");
    let before = h.tip;
    let promoted = h.promote("bob", source);
    h.write_own("nodes/n1.toml", "");
    h.commit_as("bob", "local", "");
    let back = h.rollback("bob", before);
    let hotfix = h.hotfix("services/app2.toml", "app = \"app1\"\n");
    h.restore_path(promoted, APP1);
    let part = format!("\nRollback-To: {promoted}\nRollback-Path: {APP1}");
    h.commit_as("bob", "rollback", &part);
    h.rollback("bob", hotfix);
    h.rollback("bob", promoted);
    h.clock = h.clock.checked_add(5.hours()).unwrap();
    let next = h.develop(APP1, "app = \"app1\" # 3\n");
    h.on("tst");
    // A merge button lands a commit that waits for nothing, below one that does.
    let below = h.tip;
    h.write_own("nodes/n2.toml", "");
    h.commit_as("bob", "local", "");
    let landed = h.promote("bob", next);
    let tree = h.tree();
    h.tip = h.make(&tree, &[below, landed], By::Nobody, "Merge pull request #1");
    agrees_with_nodes(&mut h);
    let merge = h.tip;
    h.rollback("bob", back);
    h.rollback("bob", merge);
    agrees_with_nodes(&mut h);
}
