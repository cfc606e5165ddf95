//! More than one person: proposals, approvals, acceptance.

use crate::promote::stage::{PINS, Stage};

/// A change that is on tst, and proposed for prd.
async fn proposed() -> Stage {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.ok("bob", &["promote", "--to", "tst"]);
    let out = stage.ok("bob", &["promote", "--to", "prd", "--propose"]);
    assert!(out.contains("proposed promote/prd/1"), "{out}");
    stage
}

#[tokio::test]
async fn two_people_promote_by_proposal_approval_and_acceptance() {
    let stage = proposed().await;
    let before = stage.tip("prd");
    let alone = stage.run("bob", &["promote", "--accept", "promote/prd/1", "--land"]);
    assert_eq!(alone.code, 3, "{}", alone.err);
    let out = stage.ok("carol", &["approve", "promote/prd/1", "--yes"]);
    assert!(out.contains("web  1.0.0 → 1.1.0") && out.contains("approved"), "{out}");
    assert_eq!(stage.tip("prd"), before);
    let out = stage.ok("bob", &["promote", "--accept", "promote/prd/1", "--land", "-o", "json"]);
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["approvers"], serde_json::json!(["carol"]));
    assert_eq!(out["commit"], stage.tip("prd"));
    stage.verify("prd");
}

#[tokio::test]
async fn who_agrees_sees_services_images_and_rules_and_what_is_signed() {
    let stage = Stage::new().await;
    let rules = "[[rules]]\nname = \"motd\"\nkind = \"directory\"\npath = \"/etc/motd.d\"\n\
                 mode = \"0750\"\nmatch = { os = \"debian\" }\n\
                 [[rules]]\nname = \"swappiness\"\nkind = \"sysctl\"\nkey = \"vm.swappiness\"\n";
    let rule = |value: u8| format!("{rules}value = {value}\n");
    stage.change("alice", "dev", "rulesets/hosts.toml", &rule(60), "a rule");
    stage.ok("bob", &["promote", "--to", "tst"]);
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.change("alice", "dev", "rulesets/hosts.toml", &rule(10), "less swapping");
    let out = stage.ok("bob", &["promote", "--to", "tst", "--dry-run"]);
    for words in ["~ app1  on n1", "web  1.0.0 → 1.1.0", "~ rule hosts/swappiness  on n1"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.contains("sysctl.value: 60 → 10") && !out.contains("sysctl.key"), "{out}");
    let out = stage.ok("bob", &["promote", "--to", "tst", "-o", "json"]);
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["rules"][0]["rule"], "hosts/swappiness");
    assert_eq!(out["rules"][0]["fate"], "changed");
    stage.ok("bob", &["promote", "--to", "prd", "--propose"]);
    let out = stage.ok("carol", &["approve", "promote/prd/1", "--yes"]);
    for words in ["+ rule hosts/swappiness  on n1", "sysctl.value: 10", "an approval signs this"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    for words in ["+ rule hosts/motd  on n1", "mode: 0750", "match: os debian"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let tree = stage.git("origin.git", &["rev-parse", "promote/prd/1^{tree}"]);
    for line in ["tidegate-approval v1", "kind: promote", &format!("tree: {}", tree.trim())] {
        assert!(out.contains(&format!("  {line}\n")), "{line}: {out}");
    }
    let new = "app = \"app1\"\n[containers.job]\nimage = \"app1/web\"\nprivileged = true\n\
               volumes = [\"/srv/data/of/app1:/data\"]\n";
    let pin = stage.pins("app1", 1).replace("web]", "job]").replace("app1\"", "job\"");
    stage.change("alice", "dev", "services/job.toml", new, "a job");
    stage.change("alice", "dev", "rulesets/job.toml", &pin, "its pin");
    let out = stage.ok("bob", &["promote", "--to", "tst", "--dry-run"]);
    for words in ["+ job  on n1", "job  1.1.0", "job.privileged: true", ": /srv/data/of/app1\n"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    // A rule that goes is told, too.
    stage.change("alice", "dev", "rulesets/hosts.toml", "", "no rules");
    let out = stage.ok("bob", &["promote", "--to", "tst", "--dry-run"]);
    assert!(out.contains("- rule hosts/swappiness  on n1"), "{out}");
}

#[tokio::test]
async fn acceptance_brings_images_that_are_gone_since_the_proposal() {
    let stage = proposed().await;
    stage.ok("carol", &["approve", "promote/prd/1", "--yes"]);
    let stored = "data/docker/registry/v2/repositories/prd";
    std::fs::remove_dir_all(stage.hub.dir.path().join(stored)).unwrap();
    assert!(!stage.has("prd", 1).await);
    let out = stage.ok("bob", &["promote", "--accept", "promote/prd/1", "--land", "-o", "json"]);
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(stage.has("prd", 1).await);
    assert!(out["images"]["copied"].as_u64().unwrap() > 0, "{out}");
}

#[tokio::test]
async fn an_accepted_proposal_lands_by_a_merge_button() {
    let stage = proposed().await;
    let trailer = stage.ok("carol", &["approve", "promote/prd/1", "--yes", "--print"]);
    let trailer = trailer.lines().find(|line| line.starts_with("Approved-By: ")).unwrap();
    let accept = ["promote", "--accept", "promote/prd/1", "--approval", trailer];
    let out = stage.ok("bob", &accept);
    assert!(out.contains("accepted"), "{out}");
    // The forge's own, unsigned merge.
    stage.git("bob", &["fetch", "-q"]);
    stage.git("bob", &["checkout", "-q", "-B", "prd", "origin/prd"]);
    stage.git(
        "bob",
        &["-c", "commit.gpgsign=false", "merge", "-q", "--no-ff", "origin/promote/prd/1"],
    );
    stage.git("bob", &["push", "-q", "origin", "prd"]);
    stage.verify("prd");
    assert_eq!(stage.file("prd", PINS), stage.pins("app1", 1).trim());
}

#[tokio::test]
async fn who_may_not_approve_is_told_so_before_signing() {
    let stage = proposed().await;
    let before = stage.tip("promote/prd/1");
    let said = stage.run("alice", &["approve", "promote/prd/1", "--yes"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("alice does not hold the role `promote`"), "{}", said.err);
    let asked = stage.run("carol", &["approve", "promote/prd/1"]);
    assert_eq!(asked.code, 64, "{}", asked.err);
    assert_eq!(stage.tip("promote/prd/1"), before);
    // The proposer's own approval is one person, still.
    stage.ok("bob", &["approve", "promote/prd/1", "--yes"]);
    let said = stage.run("bob", &["promote", "--accept", "promote/prd/1", "--land"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("1 of 2 people"), "{}", said.err);
}

#[tokio::test]
async fn a_proposal_is_late_when_the_line_has_moved_on() {
    let stage = proposed().await;
    stage.ok("carol", &["approve", "promote/prd/1", "--yes"]);
    stage.ok("carol", &["promote", "--to", "prd", "--propose"]);
    stage.ok("bob", &["approve", "promote/prd/2", "--yes"]);
    stage.ok("carol", &["promote", "--accept", "promote/prd/2", "--land"]);
    let tip = stage.tip("prd");
    for args in [
        &["promote", "--accept", "promote/prd/1", "--land"][..],
        &["approve", "promote/prd/1", "--yes"],
    ] {
        let said = stage.run("bob", args);
        assert_eq!(said.code, 3, "{}", said.err);
        assert!(said.err.contains("has moved on"), "{}", said.err);
    }
    assert_eq!(stage.tip("prd"), tip);
}
