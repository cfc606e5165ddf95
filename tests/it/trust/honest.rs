//! Honest histories are accepted, and two nodes agree on them.

use tidegate::reconcile::trust::history::came_before;
use tidegate::reconcile::trust::kind::CommitKind;
use tidegate::reconcile::trust::{
    Remembered, RevokedKeys, Rule, SnapshotRequest, Standing, check_anchor, show, snapshot, verify,
};

use crate::trust::history::{By, History, ROLES};

#[test]
fn a_chain_of_changes_verifies_from_anchor_checkpoint_and_memory() {
    let mut h = History::dev();
    let first = h.change("alice");
    let second = h.change("bob");
    let third = h.change("alice");
    let verdict = h.assert_good();
    assert_eq!(verdict.accepted.len(), 3);
    assert_eq!(verdict.accepted[1].signer.person.to_string(), "bob");
    let alice = h.public_key("alice").parse().unwrap();
    let signed: Vec<_> = verdict.signed_by(&alice).map(|accepted| accepted.commit).collect();
    assert_eq!(signed, [first, third]);
    assert_eq!(h.verify_with(Remembered::Verified(second)).accepted.len(), 1);
    assert_eq!(h.verify_with(Remembered::Verified(third)).verified_id(), Some(third));
    h.anchor = second;
    let checkpoint = h.assert_good();
    assert_eq!(checkpoint.accepted.last(), verdict.accepted.last());
}

#[test]
fn a_good_start_counts_when_a_later_commit_is_bad() {
    let mut h = History::dev();
    let first = h.change("alice");
    let good = h.change("alice");
    h.change("stranger");
    let verdict = h.verify_with(Remembered::Verified(first));
    assert_eq!((verdict.verified_id(), verdict.standing), (Some(good), Standing::Judged));
    assert_eq!(verdict.refused.unwrap().rule, Rule::Signer);
}

#[test]
fn a_feature_branch_of_unsigned_commits_lands_by_a_signed_merge() {
    let mut h = History::dev();
    h.write("services/app1.toml", "app = \"feature\"\n");
    let feature = h.commit(By::Nobody, "Feature");
    let tree = h.tree();
    h.tip = h.make(&tree, &[h.anchor, feature], By::Ssh("bob"), "Merge feature");
    h.assert_good();
    h.change("alice");
    h.assert_good();
}

#[test]
fn what_the_branch_was_came_before_and_what_only_flowed_in_did_not() {
    let mut h = History::dev();
    let first = h.change("alice");
    let side = h.change("bob");
    h.go_to(first);
    let second = h.change("alice");
    let tree = h.tree();
    let merge = h.make(&tree, &[second, side], By::Ssh("bob"), "Merge, and keep ours");
    h.go_to(merge);
    let landed = h.change("bob");
    let tree = h.tree();
    let wrapper = h.make(&tree, &[merge, landed], By::Nobody, "Merge pull request #1");
    for (commit, came) in
        [(first, true), (second, true), (landed, true), (wrapper, true), (side, false)]
    {
        let digits = &commit.to_string()[..7];
        assert_eq!(came_before(&h.objects(), wrapper, digits), came, "{commit}");
    }
    assert!(!came_before(&h.objects(), first, &second.to_string()));
}

#[test]
fn a_wrapper_lands_signed_commits_of_a_branch() {
    let mut h = History::prd("local = { people = [\"bob\"] }");
    h.write_own("nodes/n1.toml", "");
    let first = h.commit(By::Ssh("bob"), "One\n\nTidegate: local prd\nAllow-Removal: app1");
    h.write_own("nodes/n2.toml", "");
    let second = h.commit(By::Ssh("bob"), "Two\n\nTidegate: local prd");
    let tree = h.tree();
    let merge = h.make(&tree, &[h.anchor, second], By::Nobody, "Merge pull request #1");
    h.tip = merge;
    let verdict = h.assert_good();
    assert_eq!(verdict.accepted.len(), 2);
    // A node that saw the branch itself agrees, and so does one that knows a commit within it.
    for known in [first, second] {
        let verdict = h.verify_with(Remembered::Verified(known));
        assert_eq!((verdict.verified_id(), verdict.refused), (Some(merge), None));
    }
    h.write_own("nodes/n3.toml", "");
    h.commit(By::Ssh("bob"), "Three\n\nTidegate: local prd");
    let verdict = h.assert_good();
    let request = SnapshotRequest {
        environment: &h.environment,
        applied: Some(h.anchor),
        revoked: &RevokedKeys::default(),
    };
    let files = snapshot(&h.objects(), &verdict.verified.unwrap(), &request).unwrap();
    let allowed: Vec<_> = files.get().allow_removal.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["app1"]);
}

#[test]
fn a_sole_admin_rotates_a_key_in_two_commits() {
    let roles = "admin = { people = [\"carol\"] }";
    let mut h = History::new("dev", roles, "");
    h.new_key("new", &["-t", "ed25519"]);
    let old = h.people();
    let both = old.replacen(
        "[people.carol]\nkeys = [",
        &format!("[people.carol]\nkeys = [\"{}\", ", h.public_key("new")),
        1,
    );
    h.write_policy(&both, roles, "");
    h.commit(By::Ssh("carol"), "Add\n\nTidegate: admin dev");
    let only = old.replace(&h.public_key("carol"), &h.public_key("new"));
    h.write_policy(&only, roles, "");
    h.commit(By::Ssh("new"), "Remove\n\nTidegate: admin dev");
    h.assert_good();
    let summary = show(&h.objects(), h.tip, &h.environment).unwrap();
    assert_eq!(summary.people.len(), 3);
    assert_eq!(summary.repository.as_deref(), Some("acme-config"));
}

#[test]
fn a_change_of_own_files_by_somebody_who_holds_local() {
    let mut h = History::dev();
    h.write_own("nodes/n1.toml", "");
    h.write("services/app1.toml", "app = \"app1\" # with its node\n");
    h.commit(By::Ssh("bob"), "Both");
    assert_eq!(h.assert_good().accepted[0].kind, CommitKind::Change);
}

/// A history with an OpenPGP key of bob's that signed a good change.
fn with_openpgp() -> (History, String) {
    let mut h = History::dev();
    let print = h.new_pgp_key("bob", "ed25519");
    let pinned = format!("[people.bob]\nkeys = [\"openpgp:{print}\", ");
    let people = h.people().replacen("[people.bob]\nkeys = [", &pinned, 1);
    h.write_policy(&people, ROLES, "");
    h.admin("An OpenPGP key");
    h.write("services/app1.toml", "app = \"pgp\"\n");
    h.commit(By::Pgp(&print), "Change");
    h.assert_good();
    (h, print)
}

/// The revocation that gpg keeps ready for its owner.
fn revocation(h: &History, print: &str) -> String {
    let ready = h.path(&format!("gpg/openpgp-revocs.d/{print}.rev"));
    std::fs::read_to_string(ready).unwrap().replace(":-----BEGIN", "-----BEGIN")
}

#[test]
fn an_openpgp_signer_counts_until_the_certificate_is_revoked() {
    let (mut h, print) = with_openpgp();
    // gpg itself would not sign any more: its own ring stays as it is.
    let other = h.path("home/ring");
    std::fs::create_dir(&other).unwrap();
    let ring = ["--batch", "--no-autostart", "--homedir", other.to_str().unwrap()];
    let certificate = h.path("environments/dev/keys/bob.asc");
    let both = std::fs::read_to_string(&certificate).unwrap() + "\n" + &revocation(&h, &print);
    h.run("gpg", &[&ring[..], &["--import"]].concat(), both.as_bytes());
    let revoked = h.run("gpg", &[&ring[..], &["--armor", "--export"]].concat(), b"");
    h.write_own("keys/bob.asc", &revoked);
    let revoked = h.admin("Revoked");
    h.write("services/app1.toml", "app = \"stolen\"\n");
    h.commit(By::Pgp(&print), "Change");
    h.assert_refused(Rule::Signature, "revoked", revoked);
}

#[test]
fn a_loose_openpgp_revocation_counts() {
    let (mut h, print) = with_openpgp();
    h.write_own("keys/bob-revoked.asc", &revocation(&h, &print));
    let revoked = h.admin("Revoked");
    h.write("services/app1.toml", "app = \"stolen\"\n");
    h.commit(By::Pgp(&print), "Change");
    h.assert_refused(Rule::Signature, "revoked", revoked);
}

#[test]
fn an_openpgp_key_without_certificate_is_refused() {
    let mut h = History::dev();
    let pinned = format!("[people.bob]\nkeys = [\"openpgp:{}\", ", "A".repeat(40));
    h.write_policy(&h.people().replacen("[people.bob]\nkeys = [", &pinned, 1), ROLES, "");
    h.admin("No certificate");
    h.assert_refused(Rule::Policy, "no certificate", h.anchor);
}

#[test]
fn ecdsa_and_rsa_signers() {
    for kind in [&["-t", "ecdsa", "-b", "256"][..], &["-t", "rsa", "-b", "3072"]] {
        let mut h = History::dev();
        h.new_key("other", kind);
        let people = h.people().replace(&h.public_key("bob"), &h.public_key("other"));
        h.write_policy(&people, ROLES, "");
        h.admin("Another key for bob");
        h.change("other");
        h.assert_good();
    }
}

#[test]
fn a_commit_from_the_future_waits_and_is_never_refused_for_it() {
    let mut h = History::dev();
    let good = h.change("alice");
    h.clock = "2027-01-01T01:00:00Z".parse().unwrap();
    h.change("alice");
    h.assert_good();
    h.clock = "2027-01-01T01:30:00Z".parse().unwrap();
    let ahead = h.change("alice");
    let verdict = h.verify();
    assert_eq!(verdict.refused, None);
    let wait = verdict.waits.clone().unwrap();
    assert_eq!((wait.commit, wait.until.to_string()), (ahead, "2027-01-01T00:30:00Z".to_owned()));
    assert_ne!(verdict.verified_id(), Some(good));
    let json = serde_json::to_value(verdict.document()).unwrap();
    assert_eq!(json["schema"], "tidegate.verify/1");
    assert!(json["refused"].is_null());
}

#[test]
fn revoking_a_key_keeps_what_runs_and_adopts_nothing_newer() {
    let mut h = History::dev();
    h.change("alice");
    let known = h.change("bob");
    h.change("bob");
    h.revoked = h.public_key("alice");
    let verdict = h.verify_with(Remembered::Demanded(known));
    assert_eq!((verdict.verified_id(), verdict.standing), (Some(known), Standing::Kept));
    assert_eq!(verdict.refused.unwrap().rule, Rule::Revoked);
    h.revoked = h.public_key("stranger");
    let verdict = h.verify_with(Remembered::Demanded(known));
    assert_eq!((verdict.verified_id(), verdict.standing), (Some(h.tip), Standing::Judged));
}

#[test]
fn a_new_anchor_lies_on_one_chain_with_memory() {
    let mut h = History::dev();
    let known = h.change("alice");
    let tree = h.tree();
    h.tip = h.make(&tree, &[known], By::Ssh("stranger"), "Again\n\nTidegate: anchor dev");
    h.assert_refused(Rule::Kind, "anchor", known);
    h.anchor = h.tip;
    h.change("bob");
    let verdict = h.verify_with(Remembered::Demanded(known));
    assert_eq!((verdict.verified_id(), verdict.refused), (Some(h.tip), None));
}

#[test]
fn a_snapshot_holds_what_flows_and_the_own_directory_alone() {
    let mut h = History::dev();
    h.write("environments/prd/environment.toml", "name = \"prd\"\n");
    h.commit(By::Ssh("alice"), "Merge back");
    let verdict = h.assert_good();
    let request = SnapshotRequest {
        environment: &h.environment,
        applied: None,
        revoked: &RevokedKeys::default(),
    };
    let files = snapshot(&h.objects(), &verdict.verified.unwrap(), &request).unwrap();
    let paths: Vec<&str> = files.get().files.keys().map(String::as_str).collect();
    assert_eq!(paths, ["environments/dev/trust.toml", "services/app1.toml", "tidegate.toml"]);
    assert!(files.get().time.is_some());
}

#[test]
fn an_anchor_has_its_trailer_and_its_own_directory_alone() {
    let mut h = History::dev();
    let dev = h.environment.clone();
    assert_eq!(check_anchor(&h.objects(), h.anchor, &dev), Ok(()));
    let plain = h.change("alice");
    assert!(check_anchor(&h.objects(), plain, &dev).unwrap_err().reason.contains("trailer"));
    h.write("environments/tst/environment.toml", "");
    let more = h.commit(By::Ssh("alice"), "Begin\n\nTidegate: anchor dev");
    assert!(check_anchor(&h.objects(), more, &dev).unwrap_err().reason.contains("more than"));
}

#[test]
fn the_same_question_has_the_same_answer() {
    let mut h = History::dev();
    for _ in 0..20 {
        h.change("alice");
    }
    let objects = h.objects();
    let request = h.request(Remembered::Nothing);
    let (one, two) = (verify(&objects, &request), verify(&objects, &request));
    assert_eq!(one.accepted, two.accepted);
}
