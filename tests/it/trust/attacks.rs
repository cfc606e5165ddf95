//! Attacks on promotions, picks, hotfixes and rollbacks, each refused under its own rule.

use tidegate::model::CommitId;
use tidegate::reconcile::trust::kind::CommitKind;
use tidegate::reconcile::trust::{Remembered, Rule};

use crate::trust::history::{By, History};
use crate::trust::line::{LATER, promotion};

const APP1: &str = "services/app1.toml";
const APP2: &str = "services/app2.toml";

/// A line with one change of app1 and one of app2 on dev; the work tree is tst's.
fn changed() -> (History, CommitId, CommitId) {
    let mut h = History::line();
    let first = h.develop(APP1, "app = \"app1\" # 2\n");
    let second = h.develop(APP2, "app = \"app2\"\n");
    h.on("tst");
    (h, first, second)
}

#[test]
fn evil_merge_in_flow() {
    let (mut h, _, dev) = changed();
    h.restore(dev);
    h.write("services/evil.toml", "app = \"app1\"\n");
    h.merge("bob", dev, "");
    h.assert_refused(Rule::Composition, "services/evil.toml", h.anchor);
    // Leaving something out is evil too.
    h.go_to(h.anchor);
    h.restore(dev);
    h.git(&["rm", "-qf", APP2]);
    h.merge("bob", dev, "");
    h.assert_refused(Rule::Composition, APP2, h.anchor);
    h.go_to(h.anchor);
    h.restore(dev);
    h.git(&["update-index", "--chmod=+x", APP1]);
    h.git(&["checkout", "-q", "--", APP1]);
    h.merge("bob", dev, "");
    h.assert_refused(Rule::Composition, APP1, h.anchor);
}

#[test]
fn evil_merge_in_own_by_a_promote() {
    let (mut h, _, dev) = changed();
    h.restore(dev);
    h.write_own("nodes/evil.toml", "");
    h.merge("bob", dev, "");
    h.assert_refused(Rule::Structure, "nodes/evil.toml", h.anchor);
}

#[test]
fn trust_changed_by_promote_pick_hotfix_or_rollback() {
    let (mut h, first, dev) = changed();
    let people = h.people().replace(&h.public_key("carol"), &h.public_key("stranger"));
    let trust = "environments/tst/trust.toml";
    for kind in ["promote", "pick", "hotfix", "rollback", "path"] {
        h.go_to(h.anchor);
        h.write_policy(&people, LATER, &promotion("dev", first, ""));
        match kind {
            "promote" => {
                h.restore(dev);
                h.merge("bob", dev, "")
            }
            "pick" => h.pick("bob", dev, &[APP1]),
            "hotfix" => h.hotfix(APP1, "app = \"app1\" # 3\n"),
            "rollback" => h.rollback("bob", h.anchor),
            _ => {
                let more = format!("\nRollback-To: {}\nRollback-Path: {trust}", h.anchor);
                h.commit_as("bob", "rollback", &more)
            }
        };
        let rule = if kind == "path" { Rule::Trailers } else { Rule::Structure };
        h.assert_refused(rule, trust, h.anchor);
    }
}

#[test]
fn source_not_on_the_chain() {
    let (mut h, ..) = changed();
    // Development that came in by a merge is not on dev's own chain.
    h.on("dev");
    let base = h.tip;
    h.write("services/feature.toml", "app = \"app1\"\n");
    let feature = h.commit(By::Nobody, "Feature");
    h.write(APP1, "app = \"app1\" # merged\n");
    let tree = h.tree();
    h.tip = h.make(&tree, &[base, feature], By::Ssh("alice"), "Merge feature");
    h.assert_good();
    h.on("tst");
    h.promote("bob", feature);
    h.assert_refused(Rule::Source, "not signed", h.anchor);
    // The environment's own history is not its source's.
    let mut h = History::line();
    h.on("tst");
    let own = h.hotfix(APP1, "app = \"app1\" # 3\n");
    let good = h.commit_as("bob", "local", "");
    h.promote("bob", own);
    h.assert_refused(Rule::Source, "anchor", good);
}

#[test]
fn source_of_an_environment_left_out() {
    let (mut h, _, dev) = changed();
    h.on("prd");
    h.promote("carol", dev);
    h.assert_refused(Rule::Source, "does not verify on tst's chain", h.anchor);
}

#[test]
fn source_unsigned_also_buried() {
    let (mut h, ..) = changed();
    h.on("dev");
    h.write(APP1, "app = \"evil\"\n");
    let unsigned = h.commit(By::Nobody, "Change");
    let above = h.develop(APP1, "app = \"app1\" # 4\n");
    h.on("tst");
    for source in [unsigned, above] {
        h.go_to(h.anchor);
        h.promote("bob", source);
        h.assert_refused(Rule::Source, &unsigned.to_string(), h.anchor);
        h.go_to(h.anchor);
        h.pick("bob", source, &[APP1]);
        h.assert_refused(Rule::Source, "not signed", h.anchor);
    }
}

#[test]
fn source_of_a_source_unsigned() {
    let (mut h, ..) = changed();
    h.on("dev");
    h.write(APP1, "app = \"evil\"\n");
    let unsigned = h.commit(By::Nobody, "Change");
    h.on("tst");
    let promoted = h.promote("bob", unsigned);
    h.on("prd");
    h.promote("carol", promoted);
    h.assert_refused(Rule::Source, "not signed", h.anchor);
}

#[test]
fn source_by_a_key_that_expired_or_was_revoked() {
    let (mut h, _, dev) = changed();
    let promoted = h.promote("bob", dev);
    h.on("prd");
    h.promote("carol", promoted);
    h.assert_good();
    h.revoked = h.public_key("alice");
    h.assert_refused(Rule::Source, "revoked", h.anchor);
    h.revoked = format!("{} {dev}", h.public_key("alice"));
    h.assert_good();
}

#[test]
fn source_of_a_private_fork() {
    let (mut h, first, dev) = changed();
    h.promote("bob", dev);
    let good = h.tip;
    h.on("dev");
    h.go_to(first);
    h.write(APP1, "app = \"fork\"\n");
    let fork = h.commit(By::Ssh("alice"), "Change");
    h.assert_good();
    h.on("tst");
    h.promote("bob", fork);
    h.assert_refused(Rule::Order, "does not have", good);
    // Without an earlier promotion a fork is a chain like any other.
    h.go_to(h.anchor);
    h.promote("bob", fork);
    h.assert_good();
}

#[test]
fn source_of_a_fork_with_another_anchor() {
    let (mut h, ..) = changed();
    h.on("dev");
    let tree = h.tree();
    let other = h.make(&tree, &[], By::Ssh("alice"), "Begin\n\nTidegate: anchor dev");
    h.go_to(other);
    h.write(APP1, "app = \"fork\"\n");
    let fork = h.commit(By::Ssh("alice"), "Change");
    h.on("tst");
    h.promote("bob", fork);
    h.assert_refused(Rule::Source, "not on its first-parent chain", h.anchor);
}

#[test]
fn source_older_than_an_earlier_promote_or_pick() {
    let (mut h, first, dev) = changed();
    let promoted = h.promote("bob", dev);
    h.promote("bob", first);
    h.assert_refused(Rule::Order, "older", promoted);
    h.go_to(promoted);
    h.pick("bob", first, &[APP1]);
    h.assert_refused(Rule::Order, "older", promoted);
    // A pick binds its own paths, and every whole promotion.
    h.go_to(h.anchor);
    let picked = h.pick("bob", dev, &[APP1]);
    h.pick("bob", first, &[APP1]);
    h.assert_refused(Rule::Order, "older", picked);
    h.go_to(picked);
    h.promote("bob", first);
    h.assert_refused(Rule::Order, "older", picked);
    h.go_to(picked);
    h.pick("bob", first, &[APP2]);
    h.assert_good();
}

#[test]
fn source_older_after_a_rollback_or_a_hotfix() {
    let (mut h, first, dev) = changed();
    h.promote("bob", dev);
    h.rollback("bob", h.anchor);
    let good = h.hotfix("services/app3.toml", "app = \"app1\"\n");
    h.promote_with("bob", first, &format!("\nSupersedes: {good}"));
    h.assert_refused(Rule::Order, "older", good);
}

#[test]
fn a_moved_anchor_begins_the_order_anew() {
    let (mut h, first, dev) = changed();
    h.promote("bob", dev);
    h.write_policy(&h.people(), LATER, &promotion("dev", first, ""));
    h.commit_as("carol", "admin", "");
    let good = h.promote("bob", first);
    h.assert_good();
    // What lies below the new anchor is no source any more.
    h.on("dev");
    let below = h.anchor;
    h.on("tst");
    h.promote("bob", below);
    h.assert_refused(Rule::Source, "not on its first-parent chain", good);
}

#[test]
fn promotion_or_pick_that_drops_a_live_hotfix() {
    let (mut h, first, dev) = changed();
    let hotfix = h.hotfix(APP1, "app = \"app1\" # fixed\n");
    h.promote("bob", dev);
    h.assert_refused(Rule::Hotfix, &hotfix.to_string(), hotfix);
    h.go_to(hotfix);
    h.pick("bob", dev, &[APP1]);
    h.assert_refused(Rule::Hotfix, "live", hotfix);
    // Naming another one does not help; a pick of other paths leaves it alone.
    h.go_to(hotfix);
    h.promote_with("bob", dev, &format!("\nSupersedes: {first}"));
    h.assert_refused(Rule::Hotfix, "live", hotfix);
    h.go_to(hotfix);
    let picked = h.pick("bob", dev, &[APP2]);
    h.promote("bob", dev);
    h.assert_refused(Rule::Hotfix, "live", picked);
    // Rolled back, it is not live; brought back, it is again.
    h.go_to(hotfix);
    h.rollback("bob", h.anchor);
    let again = h.rollback("bob", hotfix);
    h.promote("bob", dev);
    h.assert_refused(Rule::Hotfix, "live", again);
    h.go_to(hotfix);
    h.rollback("bob", h.anchor);
    h.promote("bob", dev);
    h.assert_good();
}

#[test]
fn promotion_that_brings_back_what_a_hotfix_removed() {
    let (mut h, _, dev) = changed();
    h.git(&["rm", "-qf", APP1]);
    let hotfix = h.commit_as("carol", "hotfix", "\nHotfix: it is on fire");
    h.promote("bob", dev);
    h.assert_refused(Rule::Hotfix, APP1, hotfix);
}

#[test]
fn pick_with_one_path_more() {
    let (mut h, _, dev) = changed();
    h.restore_path(dev, APP2);
    h.pick("bob", dev, &[APP1]);
    h.assert_refused(Rule::Composition, APP2, h.anchor);
    h.go_to(h.anchor);
    h.write("environments/dev/nodes/n1.toml", "");
    h.pick("bob", dev, &[APP1]);
    h.assert_refused(Rule::Structure, "environments/dev", h.anchor);
}

#[test]
fn pick_with_other_content() {
    let (mut h, _, dev) = changed();
    h.write(APP1, "app = \"evil\"\n");
    let more = format!("\nPromoted-From: {dev}\nPromoted-Path: {APP1}");
    h.commit_as("bob", "pick", &more);
    h.assert_refused(Rule::Composition, APP1, h.anchor);
    // Absent equals absent.
    h.go_to(h.anchor);
    h.write("services/evil/web.conf", "");
    h.commit_as("bob", "pick", &format!("{more}\nPromoted-Path: services/evil"));
    h.assert_refused(Rule::Composition, APP1, h.anchor);
}

#[test]
fn pick_whose_trailers_are_not_right() {
    let (mut h, first, dev) = changed();
    let from = format!("\nPromoted-From: {dev}");
    for (more, words) in [
        (format!("\nPromoted-Path: {APP1}"), "no trailer `Promoted-From"),
        (from.clone(), "no trailer `Promoted-Path"),
        (format!("{from}\nPromoted-From: {first}\nPromoted-Path: {APP1}"), "two trailers"),
        (format!("\nPromoted-From: {}\nPromoted-Path: {APP1}", dev.short()), "40"),
        (format!("{from}\nPromoted-Path: ."), "not a file"),
        (format!("{from}\nPromoted-Path: services/"), "not a file"),
        (format!("{from}\nPromoted-Path: ../services"), "not a file"),
        (format!("{from}\nPromoted-Path: environments"), "may bring"),
        (format!("{from}\nPromoted-Path: environments/tst/nodes"), "may bring"),
        (format!("{from}\nPromoted-Path: {APP1}\nSupersedes: all"), "40"),
    ] {
        h.go_to(h.anchor);
        h.restore_path(dev, APP1);
        h.commit_as("bob", "pick", &more);
        h.assert_refused(Rule::Trailers, words, h.anchor);
    }
}

#[test]
fn hotfix_without_a_reason_or_of_own_files() {
    let (mut h, ..) = changed();
    h.write(APP1, "app = \"app1\" # 3\n");
    h.commit_as("carol", "hotfix", "");
    h.assert_refused(Rule::Trailers, "Hotfix", h.anchor);
    h.go_to(h.anchor);
    h.write_own("nodes/n1.toml", "");
    h.hotfix(APP1, "app = \"app1\" # 3\n");
    h.assert_refused(Rule::Structure, "nodes/n1.toml", h.anchor);
}

#[test]
fn rollback_to_another_branchs_commit() {
    let (mut h, first, dev) = changed();
    let promoted = h.promote("bob", dev);
    h.rollback("bob", first);
    h.assert_refused(Rule::Rollback, "first-parent history", promoted);
}

#[test]
fn rollback_to_before_the_environment_began() {
    let mut h = History::line();
    h.on("tst");
    let own = "environments/tst/trust.toml";
    let policy = std::fs::read_to_string(h.path(own)).unwrap();
    h.git(&["rm", "-qf", own]);
    let tree = h.tree();
    let before = h.make(&tree, &[], By::Ssh("bob"), "Before");
    h.write(own, &policy);
    let tree = h.tree();
    let anchor = h.make(&tree, &[before], By::Ssh("bob"), "Begin\n\nTidegate: anchor tst");
    h.anchor = anchor;
    h.go_to(anchor);
    h.rollback("bob", before);
    h.assert_refused(Rule::Rollback, "first-parent history", anchor);
}

#[test]
fn rollback_with_other_content() {
    let (mut h, _, dev) = changed();
    let promoted = h.promote("bob", dev);
    h.write(APP1, "app = \"evil\"\n");
    h.commit_as("bob", "rollback", &format!("\nRollback-To: {}", h.anchor));
    h.assert_refused(Rule::Composition, APP1, promoted);
    h.go_to(promoted);
    h.write_own("nodes/n1.toml", "");
    h.rollback("bob", h.anchor);
    h.assert_refused(Rule::Composition, "nodes/n1.toml", promoted);
    h.go_to(promoted);
    h.restore_path(h.anchor, APP1);
    h.restore_path(h.anchor, APP2);
    let listed = format!("\nRollback-To: {}\nRollback-Path: {APP1}", h.anchor);
    h.commit_as("bob", "rollback", &listed);
    h.assert_refused(Rule::Composition, APP2, promoted);
}

#[test]
fn older_source_hidden_below_a_checkpoint() {
    let (mut h, first, dev) = changed();
    h.promote("bob", dev);
    let checkpoint = h.commit_as("bob", "local", "");
    h.anchor = checkpoint;
    h.promote("bob", first);
    h.assert_refused(Rule::Order, "older", checkpoint);
    let known = h.verify_with(Remembered::Verified(checkpoint));
    assert_eq!(known.refused.unwrap().rule, Rule::Order);
    // Also behind a wrapper.
    let (mut h, first, dev) = changed();
    let promoted = h.promote("bob", dev);
    let tree = h.tree();
    let wrapper = h.make(&tree, &[h.anchor, promoted], By::Nobody, "Merge pull request");
    h.anchor = wrapper;
    h.tip = wrapper;
    h.promote("bob", first);
    h.assert_refused(Rule::Order, "older", wrapper);
}

#[test]
fn dropped_hotfix_hidden_below_a_checkpoint() {
    let (mut h, _, dev) = changed();
    h.hotfix(APP1, "app = \"app1\" # fixed\n");
    let checkpoint = h.commit_as("bob", "local", "");
    h.anchor = checkpoint;
    h.promote("bob", dev);
    h.assert_refused(Rule::Hotfix, "live", checkpoint);
}

#[test]
fn environments_that_promote_in_a_circle() {
    let mut h = History::line();
    h.on("prd");
    let prd = h.anchor;
    h.on("tst");
    h.write_policy(&h.people(), LATER, &promotion("prd", prd, ""));
    let turned = h.commit_as("carol", "admin", "");
    let circle = h.promote("bob", prd);
    h.assert_good();
    h.on("prd");
    h.promote("carol", circle);
    h.assert_refused(Rule::Source, "repeats", prd);
    h.on("tst");
    h.go_to(turned);
    h.write_policy(&h.people(), LATER, &promotion("tst", turned, ""));
    let own = h.commit_as("carol", "admin", "");
    h.promote("bob", turned);
    h.assert_refused(Rule::Source, "repeats", own);
}

#[test]
fn without_a_required_trailer() {
    let (mut h, _, dev) = changed();
    h.on("dev");
    let anchor = h.anchor;
    h.on("tst");
    h.write_policy(&h.people(), LATER, &promotion("dev", anchor, "require = [\"Ticket\"]"));
    let good = h.commit_as("carol", "admin", "");
    h.promote("bob", dev);
    h.assert_refused(Rule::Trailers, "Ticket", good);
    h.go_to(good);
    h.promote_with("bob", dev, "\nTicket: OPS-1");
    h.assert_good();
    let good = h.hotfix_with(APP1, "app = \"app1\" # fixed\n", "\nTicket: OPS-2");
    h.hotfix(APP1, "app = \"app1\" # again\n");
    h.assert_refused(Rule::Trailers, "Ticket", good);
    h.go_to(good);
    h.rollback("bob", h.anchor);
    h.assert_refused(Rule::Trailers, "Ticket", good);
}

#[test]
fn squashed_or_octopus_promotion() {
    let (mut h, first, dev) = changed();
    h.restore(dev);
    h.commit_as("bob", "promote", "");
    h.assert_refused(Rule::Structure, "1 parent;", h.anchor);
    let tree = h.tree();
    h.tip =
        h.make(&tree, &[h.anchor, dev, first], By::Ssh("bob"), "Promote\n\nTidegate: promote tst");
    h.assert_refused(Rule::Structure, "3 parents", h.anchor);
}

#[test]
fn a_promoter_of_another_environment() {
    let (mut h, _, dev) = changed();
    h.promote("alice", dev);
    h.assert_refused(Rule::Signer, "does not hold the role `promote`", h.anchor);
}

#[test]
fn repository_renamed_by_a_promotion() {
    let (mut h, ..) = changed();
    h.on("dev");
    h.write("tidegate.toml", "repository = \"evil\"\n");
    let dev = h.commit(By::Ssh("alice"), "Rename");
    h.on("tst");
    h.promote("bob", dev);
    h.assert_refused(Rule::Repository, "evil", h.anchor);
}

/// prd needs two people; carol signs what bob approves.
fn approved(source: impl Fn(CommitId, CommitId) -> CommitId) -> History {
    let (mut h, first, dev) = changed();
    let roles = LATER.replacen("\"carol\"] }", "\"carol\"], threshold = 2 }", 1);
    h.on("dev");
    let anchor = h.anchor;
    h.on("tst");
    h.write_policy(&h.people(), &roles, &promotion("dev", anchor, ""));
    h.commit_as("carol", "admin", "");
    h.anchor = h.tip;
    h.restore(dev);
    let mut statement = h.statement(CommitKind::Promote);
    statement.source = Some(source(first, dev));
    let approval = h.approve("bob", &statement);
    h.merge("carol", dev, &format!("\n{approval}"));
    h
}

#[test]
fn two_people_promote() {
    let accepted = approved(|_, dev| dev).assert_good().accepted;
    assert_eq!(accepted[0].approvers[0].person.to_string(), "bob");
}

#[test]
fn approval_replayed_for_another_source() {
    let h = approved(|first, _| first);
    h.assert_refused(Rule::Approval, "does not verify", h.anchor);
}

#[test]
fn a_promotion_carried_along_by_a_cherry_pick() {
    let (mut h, _, dev) = changed();
    h.promote("bob", dev);
    let promoted = h.tip;
    h.on("prd");
    h.restore(promoted);
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.tip, promoted], By::Ssh("bob"), "Promote\n\nTidegate: promote tst");
    h.assert_refused(Rule::Kind, "says `promote tst`", h.anchor);
}
