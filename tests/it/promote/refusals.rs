//! What cannot be done: nothing is pushed, and people are told what to do.

use crate::promote::stage::{PINS, Stage};
use crate::support::program::write_program;

/// Runs it, which must fail so and move no line.
fn refused(stage: &Stage, who: &str, args: &[&str], code: i32, words: &str) {
    let lines = || ["dev", "tst", "prd"].map(|name| stage.tip(name));
    let before = lines();
    let said = stage.run(who, args);
    assert_eq!(said.code, code, "{args:?}: {}{}", said.out, said.err);
    assert!(said.err.contains(words), "{args:?}: {}", said.err);
    assert_eq!(lines(), before, "{args:?}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_what_to_do() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    for (who, args, code, words) in [
        ("bob", &["promote"][..], 64, "--to"),
        ("bob", &["promote", "--to", "dev"], 64, "is the first environment"),
        ("bob", &["promote", "--to", "xyz"], 1, "couldn't find remote ref"),
        ("bob", &["promote", "--to", "tst", "--app", "zzz"], 64, "there are app1, app2"),
        ("bob", &["promote", "--to", "tst", "--app", "app1", "--with", "zzz"], 64, "no ruleset"),
        ("bob", &["promote", "--to", "tst", "--from-commit", "0000"], 64, "no commit"),
        ("bob", &["promote", "--to", "tst", "--remote", "upstream"], 64, "there are origin"),
        ("bob", &["promote", "--to", "tst", "--trailer", "Hotfix=x"], 64, "writes that one itself"),
        ("carol", &["promote", "--to", "tst"], 3, "carol does not hold the role `promote`"),
        ("bob", &["promote", "--to", "tst", "--from-commit", "origin/prd"], 3, "does not count"),
        ("home", &["promote", "--to", "tst"], 64, "not within a clone"),
        ("bob", &["rollback", "--env", "tst", "--to", "9-back"], 64, "fewer than 9 commits"),
        ("bob", &["rollback", "--env", "tst", "--to", "origin/dev"], 3, "does not count"),
        ("bob", &["hotfix", "--reason", " "], 64, "one line of text"),
        ("bob", &["hotfix", "--reason", "x"], 3, "the work tree is at"),
        ("bob", &["hotfix", "--reason", "x", "--env", "tst"], 3, "the work tree is at"),
        ("bob", &["approve", "dev", "--yes"], 64, "holds no proposal"),
    ] {
        refused(&stage, who, args, code, words);
    }
}

#[tokio::test]
async fn what_no_signature_could_make_good_is_refused_before_anything_is_copied() {
    let stage = Stage::new().await;
    let older = stage.tip("dev");
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.ok("bob", &["promote", "--to", "tst"]);
    let stored = "data/docker/registry/v2/repositories/tst";
    std::fs::remove_dir_all(stage.hub.dir.path().join(stored)).unwrap();
    for more in ["--dry-run", "--quiet"] {
        let args = ["promote", "--to", "tst", "--from-commit", &older, more];
        refused(&stage, "bob", &args, 3, "took already");
    }
    assert!(!stage.has("tst", 0).await);
}

#[tokio::test]
async fn a_clone_that_is_not_ready_pushes_nothing() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    let promote = ["promote", "--to", "tst"];
    let set = |key: &str, value: &str| drop(stage.git("bob", &["config", key, value]));
    stage.git("bob", &["config", "--unset", "user.signingkey"]);
    refused(&stage, "bob", &promote, 1, "which key to sign with");
    set("user.signingkey", "/nowhere/key");
    refused(&stage, "bob", &promote, 1, "cannot sign the commit");
    set("user.signingkey", &stage.path("keys").join("carol").display().to_string());
    refused(&stage, "bob", &promote, 3, "carol does not hold");
    set("user.signingkey", &stage.path("keys").join("bob").display().to_string());
    stage.git("bob", &["config", "--unset", "user.email"]);
    refused(&stage, "bob", &promote, 64, "git is not told who you are");
    set("user.email", "bob@example.org");
    let origin = stage.git("bob", &["config", "remote.origin.url"]);
    set("remote.origin.url", "/nowhere/at/all.git");
    refused(&stage, "bob", &promote, 1, "git fetch origin");
    set("remote.origin.url", &origin);
    // A forge that takes pull requests alone.
    let hook = stage.path("origin.git/hooks/pre-receive");
    write_program(&hook, "#!/bin/sh\necho protected branch >&2\nexit 1\n");
    refused(&stage, "bob", &promote, 1, "add --propose");
    std::fs::remove_file(&hook).unwrap();
    // What the work tree looks like is nothing to a promotion.
    stage.git("bob", &["checkout", "-q", "--detach"]);
    std::fs::write(stage.path("bob").join("services/app1.toml"), "half a thought").unwrap();
    stage.ok("bob", &promote);
    let left = std::fs::read_to_string(stage.path("bob").join("services/app1.toml")).unwrap();
    assert_eq!(left, "half a thought");
}

#[tokio::test]
async fn soak_and_demanded_trailers_are_checked_before_anything_is_signed() {
    let stage = Stage::with("soak = \"1h\"\nrequire = [\"Ticket\"]\n", "").await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    refused(&stage, "bob", &["promote", "--to", "tst"], 3, "demands a trailer `Ticket`");
    let ticket = ["promote", "--to", "tst", "--trailer", "Ticket=OPS-1"];
    refused(&stage, "bob", &ticket, 3, "too early");
    assert!(!stage.has("tst", 1).await);
}

#[tokio::test]
async fn past_a_promotion_that_soaks_emergencies_go_and_promotions_do_not() {
    let stage = Stage::with("soak = \"1h\"\n", "").await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    let before = stage.tip("tst");
    // A forge's merge button knows nothing of soaks.
    stage.ok("bob", &["promote", "--to", "tst", "--propose"]);
    stage.git("bob", &["fetch", "--quiet"]);
    stage.git("bob", &["push", "--quiet", "origin", "origin/promote/tst/1:tst"]);
    let soaking = stage.tip("tst");
    stage.change("alice", "dev", "README.md", "x\n", "readme");
    refused(&stage, "bob", &["promote", "--to", "tst"], 3, "too early");
    stage.ok("alice", &["trust", "add", "carol", "--env", "tst", "--role", "promote"]);
    let said = stage.run("bob", &["rollback", "--env", "tst", "--to", &before[..10]]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.err.contains("nodes wait"), "{}", said.err);
    assert_ne!(stage.tip("tst"), soaking);
    stage.verify("tst");
}

#[tokio::test]
async fn on_what_nobody_has_judged_yet_nothing_is_built() {
    let stage = Stage::new().await;
    let before = stage.tip("tst");
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.git("alice", &["checkout", "-q", "-B", "tst", "origin/tst"]);
    let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let date = format!("GIT_COMMITTER_DATE=@{} +0000", ahead.as_second());
    let policy = stage.path("alice").join("environments/tst/trust.toml");
    let text = std::fs::read_to_string(&policy).unwrap() + "# a word\n";
    std::fs::write(&policy, text).unwrap();
    let admin = ["commit", "-q", "-a", "-m", "ahead", "-m", "Tidegate: admin tst"];
    stage.git_with("alice", &date, &admin);
    stage.git("alice", &["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", "unsigned"]);
    stage.git("alice", &["push", "-q", "origin", "tst"]);
    for args in [
        &["promote", "--to", "tst"][..],
        &["promote", "--to", "tst", "--propose"],
        &["rollback", "--env", "tst", "--to", &before],
        &["trust", "add", "carol", "--env", "tst", "--role", "promote"],
        &["promote", "--to", "prd"],
    ] {
        refused(&stage, "alice", args, 3, "is not judged from");
    }
}

#[tokio::test]
async fn what_no_node_could_use_and_what_no_hub_has_is_not_promoted() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", "services/app1.toml", "app = \"app1\"\n", "no container");
    refused(&stage, "bob", &["promote", "--to", "tst"], 3, "has no container");
    let good = stage.file("dev~1", "services/app1.toml");
    stage.change("alice", "dev", "services/app1.toml", &good, "again");
    let absent = stage.pins("app1", 1).replace(&stage.images[1].0.hex(), &"ab".repeat(32));
    stage.change("alice", "dev", PINS, &absent, "an image that was never pushed");
    refused(&stage, "bob", &["promote", "--to", "tst"], 1, "neither");
}
