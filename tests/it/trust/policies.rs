//! Attacks on who may do what.

use tidegate::reconcile::trust::Rule;
use tidegate::reconcile::trust::kind::CommitKind;

use crate::trust::history::{By, History, ROLES};

#[test]
fn a_key_adds_itself() {
    let mut h = History::dev();
    let people =
        format!("{}[people.stranger]\nkeys = [\"{}\"]\n", h.people(), h.public_key("stranger"));
    let roles = ROLES.replace("\"carol\"], threshold = 2", "\"stranger\"]");
    h.write_policy(&people, &roles, "");
    h.commit(By::Ssh("stranger"), "Me\n\nTidegate: admin dev");
    h.assert_refused(Rule::Signer, "does not list", h.anchor);
}

#[test]
fn a_key_removes_the_others() {
    let mut h = History::dev();
    let carol = format!("[people.carol]\nkeys = [\"{}\"]\n", h.public_key("carol"));
    h.write_policy(&carol, "admin = { people = [\"carol\"] }", "");
    h.commit(By::Ssh("carol"), "Only me\n\nTidegate: admin dev");
    h.assert_refused(Rule::Threshold, "1 of 2 people", h.anchor);
}

#[test]
fn trust_changed_by_change() {
    for path in ["trust.toml", "keys/alice.asc"] {
        let mut h = History::dev();
        h.write_policy(&h.people(), &ROLES.replace(", threshold = 2", ""), "");
        h.write_own(path, &std::fs::read_to_string(h.path("environments/dev/trust.toml")).unwrap());
        h.commit(By::Ssh("bob"), "Change");
        h.assert_refused(Rule::Structure, "`environments/dev/", h.anchor);
    }
}

#[test]
fn trust_changed_by_local() {
    let mut h = History::dev();
    h.write_policy(&h.people(), &ROLES.replace(", threshold = 2", ""), "");
    h.commit(By::Ssh("bob"), "Local\n\nTidegate: local dev");
    h.assert_refused(Rule::Structure, "trust.toml", h.anchor);
}

#[test]
fn what_flows_changed_by_local_or_admin() {
    let mut h = History::dev();
    h.write("services/app1.toml", "app = \"evil\"\n");
    h.commit(By::Ssh("bob"), "Local\n\nTidegate: local dev");
    h.assert_refused(Rule::Structure, "services/app1.toml", h.anchor);
    h.go_to(h.anchor);
    h.write("services/app1.toml", "app = \"evil\"\n");
    h.admin("Admin");
    h.assert_refused(Rule::Structure, "services/app1.toml", h.anchor);
}

#[test]
fn own_files_changed_by_a_change_without_local() {
    let mut h = History::dev();
    h.write_own("nodes/n1.toml", "");
    h.commit(By::Ssh("alice"), "Change");
    h.assert_refused(Rule::Structure, "`local`", h.anchor);
}

#[test]
fn one_persons_two_keys() {
    let mut h = History::dev();
    h.new_key("second", &["-t", "ed25519"]);
    let second = format!("[people.carol]\nkeys = [\"{}\", ", h.public_key("second"));
    let people = h.people().replacen("[people.carol]\nkeys = [", &second, 1);
    h.write_policy(&people, ROLES, "");
    let begun = h.admin("A second key");
    h.assert_good();
    h.write_policy(&people, &ROLES.replace(", threshold = 2", ""), "");
    let approval = h.approve("second", &h.statement(CommitKind::Admin));
    h.commit(By::Ssh("carol"), &format!("Alone\n\nTidegate: admin dev\n{approval}"));
    h.assert_refused(Rule::Threshold, "1 of 2 people", begun);
}

#[test]
fn admins_who_would_lock_themselves_out() {
    let mut h = History::dev();
    h.new_key("other", &["-t", "ed25519"]);
    let people = h.people().replace(&h.public_key("carol"), &h.public_key("other"));
    h.write_policy(&people, ROLES, "");
    h.admin("A new key at once");
    h.assert_refused(Rule::Threshold, "under the new trust.toml", h.anchor);
}

#[test]
fn repository_renamed() {
    let mut h = History::dev();
    h.write("tidegate.toml", "repository = \"other\"\n");
    h.commit(By::Ssh("alice"), "Rename");
    h.assert_refused(Rule::Repository, "from `acme-config` to `other`", h.anchor);
    h.go_to(h.anchor);
    std::fs::remove_file(h.path("tidegate.toml")).unwrap();
    h.commit(By::Ssh("alice"), "Remove");
    h.assert_refused(Rule::Repository, "to `nothing`", h.anchor);
    h.go_to(h.anchor);
    h.write("tidegate.toml", "repository = \n");
    h.commit(By::Ssh("alice"), "Break");
    h.assert_refused(Rule::Repository, "tidegate.toml", h.anchor);
}

#[test]
fn a_trust_file_that_is_not_understood() {
    let mut h = History::dev();
    h.write_policy(&h.people(), "everything = { people = [\"alice\"] }", "");
    h.admin("A role of the future");
    h.assert_refused(Rule::Policy, "everything", h.anchor);
    h.go_to(h.anchor);
    std::fs::remove_file(h.path("environments/dev/trust.toml")).unwrap();
    h.write_own("nodes/n1.toml", "");
    h.admin("None at all");
    h.assert_refused(Rule::Policy, "missing", h.anchor);
    h.go_to(h.anchor);
    h.new_key("weak", &["-t", "rsa", "-b", "2048"]);
    let people = h.people().replace(&h.public_key("bob"), &h.public_key("weak"));
    h.write_policy(&people, ROLES, "");
    h.admin("A weak key");
    h.assert_refused(Rule::Policy, "2048 bits", h.anchor);
}

#[test]
fn kinds_of_promotion_on_a_first_environment() {
    for kind in ["promote", "pick", "hotfix"] {
        let mut h = History::dev();
        h.commit(By::Ssh("bob"), &format!("Promote\n\nTidegate: {kind} dev"));
        h.assert_refused(Rule::Kind, "not for a first environment", h.anchor);
    }
}

#[test]
fn a_trailer_that_does_not_belong() {
    let mut h = History::dev();
    for (message, rule, words) in [
        ("x\n\nTidegate: local prd", Rule::Kind, "says `local prd`"),
        ("x\n\nTidegate: everything dev", Rule::Kind, "no kind"),
        ("x\n\nTidegate: local dev\nTidegate: local dev", Rule::Headers, "two `Tidegate:`"),
        ("x\n\nTidegate: local dev\n\n(cherry picked)", Rule::Headers, "outside the trailers"),
    ] {
        h.go_to(h.anchor);
        h.commit(By::Ssh("bob"), message);
        h.assert_refused(rule, words, h.anchor);
    }
}
