//! Policies: what is read, and every refusal.

use crate::reconcile::trust::policy::{PersonName, PolicyError, Role, TrustPolicy};

const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const BOB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPZ3ZYTs1ltc1HLNYUZ0cR4mCKmLRUyBf4BhHTGXBxbF";

fn policy(text: &str) -> Result<TrustPolicy, PolicyError> {
    let text = text.replace("ALICE", ALICE).replace("BOB", BOB);
    TrustPolicy::parse(text.as_bytes())
}

const GOOD: &str = r#"
version = 1
[people.alice]
keys = ["ALICE alice@laptop"]
not_after = 2027-06-30
[people.bob]
keys = ["BOB", "openpgp:0123456789abcdef0123456789abcdef01234567"]
[roles]
local = { people = ["alice"] }
admin = { people = ["alice", "bob"], threshold = 2 }
[promotion]
from = "tst"
anchor = "0123456789abcdef0123456789abcdef01234567"
soak = "24h"
require = ["Ticket"]
"#;

#[test]
fn the_example_of_the_contract_reads() {
    let policy = policy(GOOD).unwrap();
    let alice = PersonName::parse("alice").unwrap();
    assert_eq!(policy.person_of(&ALICE.parse().unwrap()).unwrap().0, &alice);
    assert_eq!(policy.roles[&Role::Local].threshold, 1);
    assert_eq!(policy.roles[&Role::Admin].threshold, 2);
    assert!(!policy.roles.contains_key(&Role::Promote));
    assert!(!policy.is_first_environment());
    assert_eq!(policy.promotion.as_ref().unwrap().soak.as_secs(), 86_400);
    assert_eq!(policy.openpgp_keys().count(), 1);
    let alice = &policy.people[&alice];
    assert!(!alice.has_expired_at("2027-06-30T23:59:59Z".parse().unwrap()));
    assert!(alice.has_expired_at("2027-07-01T00:00:00Z".parse().unwrap()));
}

#[test]
fn what_is_not_understood_or_cannot_be_met_is_refused() {
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replace(from, to)
    };
    for (text, reason) in [
        (with("version = 1", "version = 2"), "version 2"),
        (with("version = 1", "version = 2\nlater = 1"), "version 2"),
        (with("version = 1", ""), "version none"),
        (with("version = 1", "version = \"1\""), "version"),
        (with("[roles]", "[rules]"), "unknown field `rules`"),
        (with("local = {", "locals = {"), "unknown field `locals`"),
        (with("not_after", "until"), "unknown field `until`"),
        (with("threshold = 2", "treshold = 2"), "unknown field `treshold`"),
        (with("soak", "soaks"), "unknown field `soaks`"),
        (with("[people.bob]", "[people.\"bob\\n\"]"), "not a person's name"),
        (with("\"ALICE alice@laptop\"", ""), "keys of alice is empty"),
        (with("people = [\"alice\"] ", "people = [] "), "people of the role local is empty"),
        (with("[\"Ticket\"]", "[]"), "require is empty"),
        (with("[\"Ticket\"]", "[\"a b\"]"), "not the name of a trailer"),
        (with("\"BOB\"", "\"ALICE other\""), "listed twice"),
        (with("\"BOB\"", "\"BOB\", \"BOB x\""), "listed twice"),
        (with("\"BOB\"", "\"bob\""), "is not a key"),
        (with("openpgp:0123", "openpgp:"), "is not a key"),
        (with("2027-06-30", "2027-06-30T00:00:00Z"), "is not a date"),
        (with("2027-06-30", "\"2027-06-30\""), "cannot be read"),
        (with("people = [\"alice\"] ", "people = [\"carol\"] "), "whom [people] does not list"),
        (with("[\"alice\", \"bob\"]", "[\"alice\", \"alice\"]"), "twice"),
        (with("threshold = 2", "threshold = 3"), "from 1 to 2"),
        (with("threshold = 2", "threshold = 0"), "from 1 to 2"),
        (with("threshold = 2", "threshold = -1"), "from 1 to 2"),
        (with("\"24h\"", "\"a day\""), "soak"),
        (with("from = \"tst\"", "from = \"../x\""), "from"),
        (with("anchor = \"0123", "anchor = \"012"), "anchor"),
        ("version = 1\n[people]\n".to_owned(), "[people] is empty"),
        ("version = 1".to_owned(), "missing field `people`"),
        ("version = ".to_owned(), "cannot be read"),
    ] {
        let error = policy(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn no_roles_mean_nobody() {
    let policy = policy("version = 1\n[people.alice]\nkeys = [\"ALICE\"]\n").unwrap();
    assert!(policy.roles.is_empty());
    assert!(policy.is_first_environment());
}
