//! Attacks on the chain: what is offered as the tip, and how it came there.

use tidegate::clients::git::ObjectReader;
use tidegate::reconcile::trust::{Remembered, Rule, verify};

use crate::trust::history::{By, History};

const LOCAL: &str = "local = { people = [\"bob\"] }";

fn local(h: &mut History, name: &str) -> tidegate::model::CommitId {
    h.write_own(&format!("nodes/{name}.toml"), "");
    let environment = h.environment.clone();
    h.commit(By::Ssh("bob"), &format!("Node\n\nTidegate: local {environment}"))
}

#[test]
fn force_push_to_an_older_tip() {
    let mut h = History::dev();
    let old = h.change("alice");
    let known = h.change("alice");
    h.tip = old;
    h.assert_off_chain(known, "rewind");
    h.tip = h.anchor;
    h.assert_off_chain(known, "rewind");
}

#[test]
fn unrelated_history() {
    let mut h = History::dev();
    let known = h.change("alice");
    let tree = h.tree();
    h.tip = h.make(&tree, &[], By::Ssh("alice"), "Begin again");
    h.assert_off_chain(known, "not on its first-parent chain");
    let fresh = h.verify();
    assert_eq!(fresh.refused.as_ref().unwrap().rule, Rule::Chain);
    assert_eq!(fresh.verified_id(), None);
}

#[test]
fn branch_swap_without_a_back_merge() {
    let mut h = History::dev();
    let fork = h.change("alice");
    let known = h.change("alice");
    h.go_to(fork);
    h.change("bob");
    h.assert_off_chain(known, "not on its first-parent chain");
}

#[test]
fn branch_swap_with_a_back_merge() {
    let mut h = History::prd(LOCAL);
    let known = local(&mut h, "n1");
    // The branch of development merged prd: an ancestor, but not by first parents.
    let tree = h.tree();
    let dev = h.make(&tree, &[h.anchor], By::Ssh("alice"), "Development");
    h.tip = h.make(&tree, &[dev, known], By::Ssh("alice"), "Merge prd");
    h.assert_off_chain(known, "second parent");
}

#[test]
fn foxtrot_merge_of_git_pull() {
    let mut h = History::dev();
    let known = h.change("alice");
    h.go_to(h.anchor);
    let mine = h.change("bob");
    let tree = h.tree();
    h.tip = h.make(&tree, &[mine, known], By::Ssh("bob"), "Merge branch 'dev'");
    h.assert_off_chain(known, "second parent");
    let remedy = h.verify_with(Remembered::Verified(known)).refused.unwrap().remedy;
    assert!(remedy.contains("rebase"), "{remedy}");
}

#[test]
fn signed_work_in_progress_offered_as_prd() {
    let mut h = History::prd("change = { people = [\"alice\"] }");
    h.change("alice");
    h.assert_refused(Rule::Kind, "not the first environment", h.anchor);
}

#[test]
fn squash_merge_on_a_later_environment() {
    let mut h = History::prd(LOCAL);
    h.write("services/app1.toml", "app = \"app1\" # squashed\n");
    h.commit(By::Ssh("bob"), "Promote tst (#12)");
    h.assert_refused(Rule::Kind, "no `Tidegate:` trailer", h.anchor);
    let remedy = h.verify().refused.unwrap().remedy;
    assert!(remedy.contains("squash"), "{remedy}");
}

#[test]
fn octopus_merge() {
    let mut h = History::dev();
    let one = h.change("alice");
    h.go_to(h.anchor);
    let two = h.change("bob");
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.anchor, one, two], By::Ssh("alice"), "Octopus");
    h.assert_refused(Rule::Structure, "3 parents", h.anchor);
}

#[test]
fn merge_where_the_kind_has_one_parent() {
    let mut h = History::dev();
    let side = h.change("alice");
    h.go_to(h.anchor);
    h.write_own("nodes/n1.toml", "");
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.anchor, side], By::Ssh("bob"), "Merge\n\nTidegate: local dev");
    h.assert_refused(Rule::Structure, "2 parents", h.anchor);
}

#[test]
fn evil_merge_in_own() {
    let mut h = History::dev();
    let side = h.change("alice");
    h.go_to(h.anchor);
    h.write_own("nodes/evil.toml", "");
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.anchor, side], By::Ssh("alice"), "Merge a feature");
    h.assert_refused(Rule::Structure, "nodes/evil.toml", h.anchor);
}

#[test]
fn wrapper_with_another_tree() {
    let mut h = History::prd(LOCAL);
    let landed = local(&mut h, "n1");
    h.write("services/app1.toml", "app = \"evil\"\n");
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.anchor, landed], By::Nobody, "Merge pull request");
    h.assert_refused(Rule::Signature, "not signed", h.anchor);
}

#[test]
fn wrapper_over_an_unverified_second_parent() {
    let mut h = History::prd(LOCAL);
    h.write_own("nodes/n1.toml", "");
    let landed = h.commit(By::Ssh("stranger"), "Node\n\nTidegate: local prd");
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.anchor, landed], By::Nobody, "Merge pull request");
    let verdict = h.verify();
    let refused = verdict.refused.unwrap();
    assert_eq!((refused.rule, refused.commit), (Rule::Signer, landed), "{}", refused.reason);
    assert_eq!(verdict.verified.map(|id| *id.get()), Some(h.anchor));
}

#[test]
fn a_commit_from_a_fork_with_another_anchor() {
    let mut h = History::dev();
    let anchor = h.anchor;
    let tree = h.tree();
    h.anchor = h.make(&tree, &[], By::Ssh("alice"), "Fork\n\nTidegate: anchor dev");
    h.tip = h.anchor;
    h.change("alice");
    h.assert_good();
    h.anchor = anchor;
    let verdict = h.verify();
    assert_eq!(verdict.refused.as_ref().unwrap().rule, Rule::Chain);
    assert_eq!(verdict.verified_id(), None);
}

#[test]
fn a_new_environments_anchor_offered_as_dev() {
    let mut h = History::dev();
    h.change("alice");
    let good = h.tip;
    let tree = h.tree();
    h.tip = h.make(&tree, &[good], By::Ssh("alice"), "New\n\nTidegate: anchor tst");
    h.assert_refused(Rule::Kind, "an anchor of tst", good);
    h.tip = h.make(&tree, &[good], By::Ssh("alice"), "New\n\nTidegate: anchor dev");
    h.assert_refused(Rule::Kind, "valid in no chain", good);
}

#[test]
fn an_anchor_of_another_environment_in_the_configuration() {
    let mut h = History::dev();
    h.environment = "prd".parse().unwrap();
    let verdict = h.verify();
    assert_eq!(verdict.refused.as_ref().unwrap().rule, Rule::Anchor);
    assert_eq!(verdict.verified_id(), None);
}

#[test]
fn replace_refs_and_grafts() {
    let mut h = History::dev();
    let good = h.change("alice");
    h.write("services/app1.toml", "app = \"evil\"\n");
    let bad = h.commit(By::Nobody, "Change");
    h.git(&["replace", &bad.to_string(), &good.to_string()]);
    h.assert_refused(Rule::Signature, "not signed", good);
    let after = h.change("alice");
    h.write(".git/info/grafts", &format!("{after} {good}\n"));
    let verdict = h.verify();
    assert_eq!(verdict.refused.unwrap().commit, bad);
}

#[test]
fn shallow_history() {
    let mut h = History::dev();
    h.change("alice");
    h.change("alice");
    h.git(&["update-ref", "refs/heads/dev", &h.tip.to_string()]);
    let url = format!("file://{}", h.path(".").to_str().unwrap());
    h.git(&["clone", "-q", "--bare", "--depth", "1", "-b", "dev", &url, "home/shallow"]);
    let objects = ObjectReader::open_repository(&h.path("home/shallow")).unwrap();
    let verdict = verify(&objects, &h.request(Remembered::Nothing));
    assert!(matches!(verdict.refused.unwrap().rule, Rule::History | Rule::Anchor));
    assert!(verdict.verified.is_none());
}

#[test]
fn an_object_that_is_not_what_its_id_says() {
    let mut h = History::dev();
    let good = h.change("alice");
    h.write("services/app1.toml", "app = \"evil\"\n");
    let bad = h.commit(By::Nobody, "Change");
    let file = |h: &History, id: tidegate::model::CommitId| {
        let hex = id.to_string();
        h.path(&format!(".git/objects/{}/{}", &hex[..2], &hex[2..]))
    };
    std::fs::remove_file(file(&h, bad)).unwrap();
    std::fs::copy(file(&h, good), file(&h, bad)).unwrap();
    let verdict = h.verify();
    assert_eq!(verdict.refused.unwrap().rule, Rule::History);
    assert!(verdict.verified.is_none());
}

#[test]
fn an_expired_key_landed_late_by_a_wrapper() {
    let mut h = History::prd(LOCAL);
    let people =
        h.people().replacen("\n[people.carol]", "\nnot_after = 2026-01-15\n[people.carol]", 1);
    h.write_policy(
        &people,
        LOCAL,
        "[promotion]\nfrom = \"tst\"\nanchor = \"0123456789abcdef0123456789abcdef01234567\"\n",
    );
    let tree = h.tree();
    h.anchor = h.make(&tree, &[], By::Nobody, "Begin\n\nTidegate: anchor prd");
    h.tip = h.anchor;
    let landed = local(&mut h, "n1");
    let tree = h.tree();
    h.assert_good();
    h.clock = "2026-02-01T00:00:00Z".parse().unwrap();
    h.tip = h.make(&tree, &[h.anchor, landed], By::Nobody, "Merge pull request");
    let refused = h.verify().refused.unwrap();
    assert_eq!((refused.rule, refused.commit), (Rule::Expired, landed), "{}", refused.reason);
}
