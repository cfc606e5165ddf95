//! `line`, and people who come and go by `trust add`, `remove` and `rotate`.

use std::process::Command;

use serde_json::Value;

use crate::promote::stage::{PINS, Stage};

/// The lines, and how app1 stands on each: `tst behind 1`.
fn relations(stage: &Stage) -> (Value, Vec<String>) {
    let said = stage.run("bob", &["line", "--app", "app1", "-o", "json"]);
    assert!([0, 2].contains(&said.code), "{}", said.err);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["schema"], "tidegate.line/1");
    let places = json["apps"][0]["places"].as_array().unwrap().clone();
    let text = |place: &Value| {
        let word = |key: &str| place[key].as_str().unwrap().to_owned();
        format!("{} {} {}", word("environment"), word("relation"), place["n_commits"])
    };
    (json.clone(), places.iter().map(text).collect())
}

#[tokio::test]
async fn the_line_says_what_is_ahead_of_what_and_whether_the_images_are_there() {
    let stage = Stage::with("", "soak = \"1h\"\n").await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.change("alice", "dev", "README.md", "x\n", "nothing of app1");
    stage.change("alice", "dev", PINS, &stage.pins("app1", 2), "app1 1.2.0");
    let (json, found) = relations(&stage);
    assert_eq!(found, ["dev first 0", "tst behind 2", "prd same 0"]);
    assert_eq!(json["environments"][0]["hub"]["state"], "complete");
    assert_eq!(json["environments"][1]["hub"]["state"], "lacking");
    stage.ok("bob", &["promote", "--to", "tst"]);
    let (json, found) = relations(&stage);
    assert_eq!(found, ["dev first 0", "tst same 0", "prd behind 1"]);
    assert_eq!(json["environments"][1]["hub"]["state"], "complete");
    assert!(json["apps"][0]["places"][2]["soak_left_secs"].as_u64().unwrap() > 3000, "{json}");
    let shown = stage.run("bob", &["line"]);
    assert_eq!(shown.code, 2, "{}", shown.err);
    assert!(shown.out.contains("prd is 1 commit behind tst, since"), "{}", shown.out);
    assert!(shown.out.contains("held: soak "), "{}", shown.out);
    // A hotfix is what the line below never had.
    stage.git("bob", &["checkout", "-q", "-B", "tst", "origin/tst"]);
    std::fs::write(stage.path("bob").join(PINS), stage.pins("app1", 0) + "# by hand\n").unwrap();
    stage.ok("bob", &["hotfix", "--reason", "by hand"]);
    assert_eq!(relations(&stage).1[1], "tst diverged 0");
    // A tip that does not count is named; what counted before is shown.
    stage.git("bob", &["-c", "commit.gpgsign=false", "commit", "-q", "--allow-empty", "-m", "x"]);
    stage.git("bob", &["push", "-q", "origin", "tst"]);
    let (json, found) = relations(&stage);
    assert_eq!(found[1], "tst diverged 0");
    assert!(json["environments"][1]["refused"].as_str().unwrap().contains("not signed"), "{json}");
}

#[tokio::test]
async fn a_line_that_was_rolled_back_says_so() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    let before = stage.tip("tst");
    stage.ok("bob", &["promote", "--to", "tst"]);
    stage.ok("bob", &["rollback", "--env", "tst", "--to", "1-back"]);
    let (json, found) = relations(&stage);
    assert_eq!(found[1], "tst rolled-back 0");
    assert_eq!(json["apps"][0]["places"][1]["rolled_back_to"], before);
    let shown = stage.run("bob", &["line"]).out;
    assert!(shown.contains(&format!("tst was rolled back to {}", &before[..7])), "{shown}");
    // A newer promotion ends it.
    stage.change("alice", "dev", PINS, &stage.pins("app1", 2), "app1 1.2.0");
    assert_eq!(relations(&stage).1[1], "tst rolled-back 0");
    stage.ok("bob", &["promote", "--to", "tst"]);
    assert_eq!(relations(&stage).1[1], "tst same 0");
}

#[tokio::test]
async fn people_come_and_go_by_admin_commits() {
    let stage = Stage::new().await;
    let trust = "environments/tst/trust.toml";
    let out = stage.ok("alice", &["trust", "add", "carol", "--env", "tst", "--role", "promote"]);
    assert!(out.contains("+ promote = { people = [\"alice\", \"bob\", \"carol\"] }"), "{out}");
    assert!(stage.file("tst", trust).starts_with("# who may\n"));
    stage.verify("tst");
    // It counts from the next commit on.
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.ok("carol", &["promote", "--to", "tst"]);
    let key = stage.path("new").display().to_string();
    let args = ["-q", "-t", "ed25519", "-N", "", "-f", &key];
    assert!(Command::new("ssh-keygen").args(args).status().unwrap().success());
    let public = format!("{key}.pub");
    stage.ok("alice", &["trust", "rotate", "carol", "--env", "tst", "--key", &public]);
    stage.change("alice", "dev", PINS, &stage.pins("app1", 2), "app1 1.2.0");
    let said = stage.run("carol", &["promote", "--to", "tst"]);
    assert_eq!(said.code, 3, "{}", said.err);
    stage.git("carol", &["config", "user.signingkey", &key]);
    stage.ok("carol", &["promote", "--to", "tst"]);
    let said = stage.run("alice", &["trust", "remove", "carol", "--env", "tst", "--key", &public]);
    assert!(said.err.contains("would not be valid"), "{}", said.err);
    // Nobody else holds `local` yet.
    let said = stage.run("alice", &["trust", "remove", "carol", "--env", "tst"]);
    assert!(said.err.contains("people of the role local is empty"), "{}", said.err);
    stage.ok("alice", &["trust", "add", "bob", "--env", "tst", "--role", "local"]);
    stage.ok("alice", &["trust", "remove", "carol", "--env", "tst"]);
    stage.verify("tst");
}

#[tokio::test]
async fn a_roster_that_nobody_could_use_is_not_made() {
    let stage = Stage::new().await;
    let before = (stage.tip("tst"), stage.tip("prd"));
    for (who, args, code, words) in [
        ("bob", &["add", "carol", "--env", "tst", "--role", "promote"][..], 3, "does not hold"),
        ("alice", &["add", "dave", "--env", "tst", "--role", "promote"], 64, "a key is needed"),
        ("alice", &["add", "carol", "--env", "tst", "--role", "king"], 64, "there are change"),
        ("alice", &["add", "carol", "--env", "tst", "--key", "x"], 64, "never the private one"),
        ("alice", &["remove", "alice", "--env", "tst"], 64, "would not be valid"),
        ("alice", &["remove", "zoe", "--env", "tst"], 64, "it lists alice, bob, carol"),
        ("alice", &["add", "bob", "--env", "prd", "--role", "admin"], 3, "2 people must agree"),
    ] {
        let said = stage.run(who, &[&["trust"], args].concat());
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        assert!(said.err.contains(words), "{args:?}: {}", said.err);
    }
    assert_eq!((stage.tip("tst"), stage.tip("prd")), before);
    let add = ["trust", "add", "bob", "--env", "prd", "--role", "admin", "--propose"];
    stage.ok("alice", &add);
    let out = stage.ok("carol", &["approve", "promote/prd/1", "--yes"]);
    assert!(out.contains("+ admin = "), "{out}");
    stage.ok("alice", &["promote", "--accept", "promote/prd/1", "--land"]);
    stage.verify("prd");
}

#[tokio::test]
async fn auditing_in_a_clone_starts_from_the_pinned_anchor_and_sees_what_was_fetched() {
    let stage = Stage::new().await;
    let said = stage.run("bob", &["audit", "log", "--env", "dev"]);
    assert_eq!(said.code, 64, "{}", said.err);
    let anchor = stage.git("config", &["rev-parse", "dev"]);
    stage.git("bob", &["config", "tidegate.dev.anchor", "master"]);
    for args in [&["audit", "log", "--env", "dev"][..], &["line"]] {
        let said = stage.run("bob", args);
        assert_eq!(said.code, 64, "{args:?}: {}", said.err);
        assert!(said.err.contains("tidegate.dev.anchor is no commit id: `master`"), "{}", said.err);
    }
    stage.git("bob", &["config", "tidegate.dev.anchor", &anchor]);
    // bob's own branch stays where it was.
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.git("bob", &["fetch", "-q"]);
    assert_eq!(stage.git("bob", &["rev-parse", "dev"]), anchor);
    let digest = stage.images[1].0.to_string();
    let out = stage.ok("bob", &["audit", "provenance", &digest, "--env", "dev"]);
    assert!(out.contains("still wanted"), "{out}");
    let out = stage.ok("bob", &["verify", "--env", "dev", "-o", "json"]);
    assert!(out.contains(&stage.tip("dev")), "{out}");
    // What bob made on top of it is his own to look at.
    stage.git("bob", &["checkout", "-q", "dev"]);
    stage.git("bob", &["merge", "-q", "--ff-only", "origin/dev"]);
    stage.git("bob", &["commit", "-q", "--allow-empty", "-m", "Mine"]);
    let mine = stage.git("bob", &["rev-parse", "dev"]);
    let out = stage.ok("bob", &["verify", "--env", "dev", "-o", "json"]);
    assert!(out.contains(&mine), "{out}");
}
