//! Attacks on approvals: each is bound to one commit that has yet to be made.

use jiff::ToSpan as _;
use tidegate::reconcile::trust::Rule;
use tidegate::reconcile::trust::approval::Statement;
use tidegate::reconcile::trust::kind::CommitKind;

use crate::trust::history::{By, History};

const TWO: &str = r#"
change = { people = ["alice"] }
local = { people = ["bob", "carol"], threshold = 2 }
"#;

/// A local commit by bob with carol's approval of what `change` makes of the right statement.
fn approved(name: &str, change: impl Fn(&mut Statement)) -> History {
    let mut h = History::new("dev", TWO, "");
    h.write_own("nodes/n1.toml", "");
    let mut statement = h.statement(CommitKind::Local);
    change(&mut statement);
    let approval = h.approve(name, &statement);
    h.commit(By::Ssh("bob"), &format!("Node\n\nTidegate: local dev\n{approval}"));
    h
}

#[test]
fn two_people_meet_a_threshold_of_two() {
    approved("carol", |_| ()).assert_good();
}

#[test]
fn replayed_on_another_tree() {
    let h = approved("carol", |s| s.tree = "0".repeat(40).parse().unwrap());
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn replayed_on_another_parent() {
    let h = approved("carol", |s| s.from = "0".repeat(40).parse().unwrap());
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn replayed_for_another_kind() {
    let h = approved("carol", |s| s.kind = CommitKind::Admin);
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn replayed_for_another_environment() {
    let h = approved("carol", |s| s.environment = "tst".parse().unwrap());
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn replayed_in_another_repository() {
    let h = approved("carol", |s| s.repository = "other".to_owned());
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn replayed_for_another_source() {
    let h = approved("carol", |s| s.source = Some(s.from));
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn used_after_expiry() {
    let h = approved("carol", |s| s.expires = s.expires.checked_sub(25.hours()).unwrap());
    h.assert_refused(Rule::Expired, "ended", h.anchor);
}

#[test]
fn its_expiry_moved() {
    let mut h = History::new("dev", TWO, "");
    h.write_own("nodes/n1.toml", "");
    let approval = h.approve("carol", &h.statement(CommitKind::Local));
    let approval = approval.replacen("2026-01-02", "2036-01-02", 1);
    h.commit(By::Ssh("bob"), &format!("Node\n\nTidegate: local dev\n{approval}"));
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn by_a_stranger() {
    let h = approved("stranger", |_| ());
    h.assert_refused(Rule::Approval, "whom nobody lists", h.anchor);
}

#[test]
fn by_somebody_of_another_role() {
    let h = approved("alice", |_| ());
    h.assert_refused(Rule::Approval, "does not hold `local`", h.anchor);
}

#[test]
fn by_a_key_revoked_on_the_node() {
    let mut h = approved("carol", |_| ());
    h.revoked = h.public_key("carol");
    h.assert_refused(Rule::Revoked, "approved with", h.anchor);
}

#[test]
fn of_oneself() {
    let h = approved("bob", |_| ());
    h.assert_refused(Rule::Threshold, "1 of 2", h.anchor);
}

#[test]
fn a_commits_signature_used_as_an_approval() {
    let mut h = History::new("dev", TWO, "");
    h.write_own("nodes/n1.toml", "");
    let statement = h.statement(CommitKind::Local);
    let armoured = h.sign("carol", "git", &[], statement.to_string().as_bytes());
    let approval =
        tidegate::reconcile::trust::approval::Approval { expires: statement.expires, armoured };
    let trailer = approval.to_trailer();
    h.commit(By::Ssh("bob"), &format!("Node\n\nTidegate: local dev\nApproved-By: {trailer}"));
    h.assert_refused(Rule::Approval, "namespace", h.anchor);
}

#[test]
fn one_that_does_not_verify_refuses_even_where_none_is_needed() {
    let mut h = History::dev();
    h.write_own("nodes/n1.toml", "");
    h.commit(By::Ssh("bob"), "Node\n\nTidegate: local dev\nApproved-By: 2027-01-01T00:00:00Z YQ==");
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
    h.go_to(h.anchor);
    h.commit(By::Ssh("bob"), "Node\n\nTidegate: local dev\nApproved-By: carol");
    h.assert_refused(Rule::Approval, "cannot be read", h.anchor);
}
