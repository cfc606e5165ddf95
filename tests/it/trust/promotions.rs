//! Honest promotions are accepted: whole, picked, wrapped, rolled back and brought again.

use tidegate::model::CommitId;
use tidegate::reconcile::trust::kind::CommitKind;
use tidegate::reconcile::trust::policy::Role;
use tidegate::reconcile::trust::{
    DraftRequest, Remembered, RevokedKeys, Rule, Scope, draft, ledger, live_hotfixes,
};

use crate::trust::history::{By, History};

const APP1: &str = "services/app1.toml";
const APP2: &str = "services/app2.toml";

#[test]
fn what_was_promoted_from_line_to_line_verifies_with_plain_git() {
    let mut h = History::line();
    let dev = h.develop(APP1, "app = \"app1\" # 2\n");
    let tst = h.promote_to_tst();
    h.assert_good();
    let prd = h.promote_to_prd();
    let accepted = h.assert_good().accepted;
    let [promoted] = accepted.as_slice() else { panic!("{accepted:?}") };
    assert_eq!((promoted.commit, promoted.kind), (prd, CommitKind::Promote));
    let origin = promoted.origin.clone().unwrap();
    assert_eq!((origin.environment.as_str(), origin.commit), ("tst", tst));
    let read = ledger(&h.objects(), &h.environment, h.tip).unwrap();
    assert_eq!(read.last_promoted().unwrap().source, tst);
    assert_eq!(read.last_taken(APP1).unwrap().commit, prd);
    h.on("tst");
    let read = ledger(&h.objects(), &h.environment, h.tip).unwrap();
    assert_eq!(read.last_taken(APP2).unwrap().source, dev);
}

#[test]
fn the_recipe_of_plain_git_makes_a_promotion() {
    let mut h = History::line();
    let dev = h.develop(APP1, "app = \"app1\" # 2\n");
    h.develop("services/app1/web.conf", "listen 80;\n");
    h.git(&["update-ref", "refs/remotes/origin/dev", &h.tip_of("dev").to_string()]);
    h.on("tst");
    h.git(&["update-ref", "refs/heads/tst", &h.tip.to_string()]);
    h.git(&["symbolic-ref", "HEAD", "refs/heads/tst"]);
    let key = format!("user.signingkey={}", h.key_path("bob"));
    h.git(&[
        "merge",
        "-q",
        "--no-ff",
        "--no-commit",
        "--allow-unrelated-histories",
        "-s",
        "ours",
        "origin/dev",
    ]);
    h.git(&["restore", "--source", "origin/dev", "-SW", "--", ".", ":!environments/tst"]);
    let config = ["-c", "gpg.format=ssh", "-c", &key, "commit", "-q", "-S"];
    let message = ["--trailer", "Tidegate: promote tst", "-m", "Promote dev"];
    h.git(&[&config[..], &message].concat());
    h.tip = h.git(&["rev-parse", "HEAD"]).parse().unwrap();
    let accepted = h.assert_good().accepted;
    assert_eq!(accepted[0].origin.as_ref().unwrap().commit, h.tip_of("dev"));
    assert_ne!(h.tip_of("dev"), dev);
}

#[test]
fn a_pull_request_of_a_promotion_lands_by_a_wrapper() {
    let mut h = History::line();
    h.develop(APP1, "app = \"app1\" # 2\n");
    h.on("tst");
    let before = h.tip;
    let promoted = h.promote_to_tst();
    let tree = h.tree();
    h.tip = h.make(&tree, &[before, promoted], By::Nobody, "Merge pull request #1");
    let accepted = h.assert_good().accepted;
    assert_eq!(accepted[0].commit, promoted);
    // Either is a source, and the other one follows it.
    let wrapper = h.tip;
    h.on("prd");
    h.promote("carol", promoted);
    h.promote("carol", wrapper);
    h.assert_good();
    h.on("tst");
    let next = h.commit_as("bob", "local", "");
    h.on("prd");
    h.promote("carol", next);
    h.assert_good();
}

#[test]
fn a_pick_brings_its_paths_and_the_rest_follows_later() {
    let mut h = History::line();
    h.develop(APP1, "app = \"app1\" # 2\n");
    h.develop(APP2, "app = \"app2\"\n");
    let first = h.develop("services/app2/web.conf", "listen 80;\n");
    h.on("tst");
    h.pick("bob", first, &[APP2, "services/app2"]);
    let second = h.develop(APP2, "app = \"app2\" # 2\n");
    h.on("tst");
    h.pick("bob", second, &[APP2]);
    // An app that was not touched may come from before that.
    h.pick("bob", first, &[APP1]);
    h.promote("bob", second);
    h.assert_good();
    // Absent equals absent.
    h.on("dev");
    h.git(&["rm", "-qf", APP2]);
    let gone = h.commit(By::Ssh("alice"), "Remove app2");
    h.on("tst");
    let pick = h.pick("bob", gone, &[APP2]);
    let accepted = h.assert_good().accepted;
    let last = accepted.last().unwrap();
    assert_eq!(last.commit, pick);
    assert_eq!(last.claim.scope, Scope::Paths(vec![APP2.to_owned()]));
}

#[test]
fn a_rollback_goes_back_and_comes_again() {
    let mut h = History::line();
    h.develop(APP1, "app = \"app1\" # 2\n");
    let before = h.tip_of("tst");
    let promoted = h.promote_to_tst();
    let text = h.git(&["show", &format!("{promoted}:{APP1}")]);
    h.rollback("bob", before);
    assert_ne!(h.git(&["show", &format!("{}:{APP1}", h.tip)]), text);
    h.rollback("carol", promoted);
    assert_eq!(h.git(&["show", &format!("{}:{APP1}", h.tip)]), text);
    h.write_own("nodes/n1.toml", "");
    h.commit_as("bob", "local", "");
    h.restore_path(before, APP1);
    h.restore_path(before, "environments/tst/nodes");
    let listed = "\nRollback-Path: services/app1.toml\nRollback-Path: environments/tst/nodes";
    h.commit_as("bob", "rollback", &format!("\nRollback-To: {before}{listed}"));
    let kinds = h.kinds().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(kinds, "promote rollback rollback local rollback");
    h.on("dev");
    h.rollback("alice", h.anchor);
    h.assert_good();
}

#[test]
fn a_live_hotfix_is_named_by_what_replaces_it() {
    let mut h = History::line();
    let dev = h.develop(APP1, "app = \"app1\" # 2\n");
    h.on("tst");
    let hotfix = h.hotfix(APP1, "app = \"app1\" # fixed\n");
    let read = ledger(&h.objects(), &h.environment, h.tip).unwrap();
    let live = live_hotfixes(&h.objects(), &read, h.tip).unwrap();
    assert_eq!((live[0].0.commit, live[0].1.as_slice()), (hotfix, &[APP1.to_owned()][..]));
    h.promote_with("bob", dev, &format!("\nSupersedes: {hotfix}"));
    let accepted = h.assert_good().accepted;
    assert_eq!(accepted[1].claim.supersedes, [hotfix]);
}

#[test]
fn a_hotfix_that_came_back_by_promotion_needs_no_word() {
    let mut h = History::line();
    h.on("tst");
    h.hotfix(APP1, "app = \"app1\" # fixed\n");
    h.develop(APP1, "app = \"app1\" # fixed\n");
    h.develop(APP2, "app = \"app2\"\n");
    h.promote_to_tst();
    h.assert_good();
    h.develop(APP1, "app = \"app1\" # 3\n");
    h.promote_to_tst();
    h.assert_good();
}

#[test]
fn anchor_checkpoint_and_memory_agree_on_a_long_line() {
    let mut h = History::line();
    let mut tips = Vec::new();
    for n in 0..3 {
        let path = if n % 2 == 0 { APP1 } else { APP2 };
        let dev = h.develop(path, &format!("app = \"app1\" # {n}\n"));
        h.on("tst");
        tips.push(h.pick("bob", dev, &[path]));
        tips.push(h.hotfix("services/app3.toml", &format!("app = \"app1\" # {n}\n")));
        let hotfix = h.tip;
        let (before, more) = (h.tip, format!("\nSupersedes: {hotfix}"));
        let promoted = h.promote_with("bob", h.tip_of("dev"), &more);
        let tree = h.tree();
        h.tip = h.make(&tree, &[before, promoted], By::Nobody, "Merge pull request");
        tips.push(h.tip);
        tips.push(h.rollback("carol", before));
        tips.push(h.rollback("carol", promoted));
    }
    let whole = h.assert_good();
    let anchor = h.anchor;
    for tip in tips {
        let known = h.verify_with(Remembered::Verified(tip));
        assert_eq!((known.verified_id(), known.refused), (Some(h.tip), None), "{tip}");
        h.anchor = tip;
        let checkpoint = h.assert_good();
        let n = whole.accepted.len() - checkpoint.accepted.len();
        assert_eq!(checkpoint.accepted, whole.accepted[n..], "{tip}");
        h.anchor = anchor;
    }
}

#[test]
fn a_draft_says_who_has_to_sign_and_what_approvers_sign() {
    let mut h = History::line();
    let dev = h.develop(APP1, "app = \"app1\" # 2\n");
    h.on("tst");
    h.restore(dev);
    let tree = h.tree();
    let message = "Promote\n\nTidegate: promote tst";
    let id = h.make(&tree, &[h.tip, dev], By::Nobody, message);
    let bytes = h.bytes(id);
    let tst = h.environment.clone();
    let tip = h.tip;
    let ask = |h: &History, tip: CommitId, bytes: &[u8]| {
        let revoked = &RevokedKeys::default();
        draft(&h.objects(), &DraftRequest { environment: &tst, tip, bytes, revoked })
    };
    let made = ask(&h, tip, &bytes).unwrap();
    assert_eq!((made.kind, made.origin.as_ref().unwrap().commit), (CommitKind::Promote, dev));
    assert_eq!((made.people.as_ref().unwrap().threshold, made.role), (1, Role::Promote));
    let statement = made.statement(h.clock).unwrap().to_string();
    assert!(statement.contains(&format!("source: {dev}\n")), "{statement}");
    assert_eq!(ask(&h, dev, &bytes).unwrap_err().rule, Rule::Chain);
    h.write(APP1, "app = \"evil\"\n");
    let tree = h.tree();
    let id = h.make(&tree, &[tip, dev], By::Nobody, message);
    assert_eq!(ask(&h, tip, &h.bytes(id)).unwrap_err().rule, Rule::Composition);
}
