//! What lands, and that the nodes accept it.

use crate::promote::stage::{PINS, SHARED, Stage};

#[tokio::test]
async fn a_promotion_brings_all_that_flows_its_images_and_a_commit_that_verifies() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    assert!(!stage.has("tst", 1).await);
    let before = stage.tip("tst");
    let dry = stage.ok("bob", &["promote", "--to", "tst", "--dry-run"]);
    assert!(dry.contains("web  1.0.0 → 1.1.0"), "{dry}");
    assert!(dry.contains("images: 2 to be copied"), "{dry}");
    assert!(!stage.has("tst", 1).await);
    assert_eq!(stage.tip("tst"), before);
    let done = stage.ok("bob", &["promote", "--to", "tst", "-o", "json"]);
    let done: serde_json::Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["schema"], "tidegate.landing/1");
    assert_eq!(done["commit"], stage.tip("tst"));
    assert_eq!((&done["kind"], &done["images"]["copied"]), (&"promote".into(), &2.into()));
    assert!(stage.has("tst", 0).await && stage.has("tst", 1).await);
    assert_eq!(stage.file("tst", PINS), stage.file("dev", PINS));
    let parents = stage.git("origin.git", &["log", "-1", "--format=%P", "tst"]);
    assert_eq!(parents, format!("{before} {}", stage.tip("dev")));
    // What is tst's own stays, dev's directory comes along as an inert copy.
    let files = stage.git("origin.git", &["ls-tree", "-r", "--name-only", "tst"]);
    assert!(files.contains("environments/tst/trust.toml"), "{files}");
    assert!(files.contains("environments/dev/trust.toml"), "{files}");
    stage.verify("tst");
    let again = stage.ok("bob", &["promote", "--to", "tst"]);
    assert_eq!(again, "nothing to do: tst has all of it\n");
}

#[tokio::test]
async fn picking_an_app_leaves_the_other_one_where_it_was() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.change("alice", "dev", "rulesets/app2.toml", &stage.pins("app2", 2), "app2 1.2.0");
    stage.ok("bob", &["promote", "--to", "tst", "--app", "app1"]);
    assert_eq!(stage.file("tst", PINS), stage.file("dev", PINS));
    assert_eq!(stage.file("tst", "rulesets/app2.toml"), stage.pins("app2", 0).trim());
    let message = stage.git("origin.git", &["log", "-1", "--format=%B", "tst"]);
    assert!(message.contains("Promoted-Path: services/app1.toml\n"), "{message}");
    assert!(stage.has("tst", 1).await && !stage.has("tst", 2).await);
    stage.verify("tst");
    // Everything, afterwards, brings the rest.
    stage.ok("bob", &["promote", "--to", "tst"]);
    assert_eq!(stage.file("tst", "rulesets/app2.toml"), stage.pins("app2", 2).trim());
    stage.verify("tst");
}

#[tokio::test]
async fn a_shared_ruleset_comes_along_only_if_it_is_named() {
    let stage = Stage::new().await;
    let text = "[match]\nservice = [\"app1\", \"app2\"]\n[vars]\nword = \"hi\"\n";
    stage.change("alice", "dev", SHARED, text, "another word");
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    let before = stage.tip("tst");
    let said = stage.run("bob", &["promote", "--to", "tst", "--app", "app1"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("--with rulesets/shared.toml"), "{}", said.err);
    assert_eq!(stage.tip("tst"), before);
    let with = ["promote", "--to", "tst", "--app", "app1", "--with", "shared"];
    let out = stage.ok("bob", &with);
    assert!(out.contains("rulesets/shared.toml, which concerns other apps too"), "{out}");
    // What it does to the other app is shown as well.
    assert!(out.contains("~ app2"), "{out}");
    stage.verify("tst");
}

#[tokio::test]
async fn a_rollback_goes_back_and_the_newer_commit_comes_again_the_same_way() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.ok("bob", &["promote", "--to", "tst"]);
    let newer = stage.tip("tst");
    let out = stage.ok("bob", &["rollback", "--env", "tst", "--to", "1-back"]);
    assert!(out.contains("web  1.1.0 → 1.0.0"), "{out}");
    assert_eq!(stage.file("tst", PINS), stage.pins("app1", 0).trim());
    stage.verify("tst");
    stage.ok("bob", &["rollback", "--env", "tst", "--app", "app1", "--to", &newer[..10]]);
    assert_eq!(stage.file("tst", PINS), stage.pins("app1", 1).trim());
    stage.verify("tst");
}

#[tokio::test]
async fn a_hotfix_is_what_lies_in_the_work_tree_and_lives_until_it_is_given_up() {
    let stage = Stage::new().await;
    stage.ok("bob", &["promote", "--to", "tst", "--dry-run"]);
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage.ok("bob", &["promote", "--to", "tst"]);
    stage.git("bob", &["checkout", "-q", "-B", "tst", "origin/tst"]);
    std::fs::write(stage.path("bob").join(PINS), stage.pins("app1", 0)).unwrap();
    stage.ok("bob", &["hotfix", "--reason", "1.1.0 forgets its sessions"]);
    stage.verify("tst");
    assert_eq!(stage.git("bob", &["status", "--porcelain"]), "");
    assert_eq!(stage.git("bob", &["rev-parse", "HEAD"]), stage.tip("tst"));
    let hotfix = stage.tip("tst");
    // A promotion would lose it: it is named, or refused.
    stage.change("alice", "dev", "README.md", "more\n", "a word");
    let said = stage.run("bob", &["promote", "--to", "tst"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(
        said.err.contains("forgets its sessions") && said.err.contains(&hotfix),
        "{}",
        said.err
    );
    assert_eq!(stage.tip("tst"), hotfix);
    stage.ok("bob", &["promote", "--to", "tst", "--supersedes", &hotfix]);
    let message = stage.git("origin.git", &["log", "-1", "--format=%B", "tst"]);
    assert!(message.contains(&format!("Supersedes: {hotfix}")), "{message}");
    stage.verify("tst");
}

#[tokio::test]
async fn the_manuals_recipe_in_plain_git_lands_on_lines_that_init_began() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    let git = |args: &str| stage.git("bob", &args.split(' ').collect::<Vec<_>>());
    git("fetch -q");
    git("switch -q tst");
    git("merge -q --no-ff --no-commit -s ours origin/dev");
    git("restore --source origin/dev -SW -- . :!environments/tst");
    let trailer = ["commit", "-q", "-S", "--trailer", "Tidegate: promote tst", "-m", "Promote dev"];
    stage.git("bob", &trailer);
    git("push -q origin tst");
    stage.verify("tst");
    assert_eq!(stage.file("tst", PINS), stage.pins("app1", 1).trim());
}

#[tokio::test]
async fn a_repository_without_remotes_is_its_own_origin_and_its_work_tree_follows() {
    let stage = Stage::new().await;
    let key = stage.path("keys").join("alice").display().to_string();
    for (setting, value) in [
        ("user.name", "alice"),
        ("user.email", "alice@example.org"),
        ("gpg.format", "ssh"),
        ("user.signingkey", &key),
    ] {
        stage.git("config", &["config", setting, value]);
    }
    std::fs::write(stage.path("config").join(PINS), stage.pins("app1", 1)).unwrap();
    stage.git("config", &["commit", "-q", "-S", "-a", "-m", "app1 1.1.0"]);
    stage.git("config", &["switch", "-q", "tst"]);
    stage.ok("config", &["promote", "--to", "tst"]);
    assert_eq!(stage.git("config", &["status", "--porcelain"]), "");
    let text = std::fs::read_to_string(stage.path("config").join(PINS)).unwrap();
    assert_eq!(text, stage.pins("app1", 1));
}
