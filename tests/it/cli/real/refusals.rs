//! What a node does not do: believe, go back, insist, mutate in report mode.

use rustix::process::Signal;
use serde_json::Value;
use tidegate::reconcile::report::Sync;

use crate::cli::real::changes::assert_same;
use crate::cli::real::stage::{APP2, APP3, LOCAL, Stage};
use crate::trust::history::By;

const WEB: &str = "app1.dev-web";

#[tokio::test]
async fn what_may_not_be_leaves_what_runs() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    stage.settled(stage.history.tip);
    rolls_back_what_never_gets_healthy(&mut stage).await;
    refuses_an_unsigned_commit(&mut stage).await;
    refuses_to_go_back(&mut stage).await;
    keeps_what_ran_when_a_revision_has_mistakes(&mut stage);
    only_reports_in_report_mode(&mut stage);
    holds_what_its_policy_denies(&mut stage);
    plans_and_waits_by_exit_code(&mut stage).await;
    says_unverified_of_a_work_tree(&stage);
}

async fn rolls_back_what_never_gets_healthy(stage: &mut Stage) {
    let before = stage.running();
    stage.release("web", "6.6.6", "bad").await;
    let held = |stage: &Stage| {
        stage.until("held, and the old one runs", |stage| {
            let status = stage.status()?;
            let service = status.services.values().find(|service| service.sync == Sync::Held)?;
            let back = status.revision.verified == Some(stage.history.tip)
                && stage.running() == before
                && stage.version(WEB).as_deref() == Some("1.0.0");
            back.then(|| service.reason.clone())
        })
    };
    let reason = held(stage);
    assert!(reason.contains("health"), "{reason}");
    let said = stage.run(&["apply"]);
    let told = format!("{}{}", said.out, said.err);
    assert!(told.contains(&format!("is held: {reason}")) && !told.contains("nothing"), "{told}");
    assert_eq!(
        said.code, 1,
        "what was asked for has failed, however well the old one runs: {told}"
    );
    stage.history.write("README.md", "Nothing to see here.\n");
    stage.commit("README");
    held(stage);
    let commit = stage.release("web", "1.1.0", "good").await;
    stage.settled(commit);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.1.0"));
}

async fn refuses_an_unsigned_commit(stage: &mut Stage) {
    let (before, good) = (stage.running(), stage.history.tip);
    stage.image("web", "7.7.7", "good").await;
    stage.write_pins();
    let unsigned = stage.history.commit(By::Nobody, "trust me");
    stage.publish();
    let status = stage.says("refused", |status| status.refused.is_some());
    let refused = status.refused.unwrap();
    assert_eq!(refused.commit, unsigned);
    assert!(!refused.reason.is_empty() && !refused.remedy.is_empty());
    assert_eq!((status.revision.verified, status.revision.applied), (Some(good), Some(good)));
    let awaited = format!("commit={unsigned}");
    assert_eq!(stage.run(&["wait", "--for", &awaited, "--timeout", "5s"]).code, 3);
    let synced = stage.run(&["wait", "--timeout", "200ms"]);
    assert!(synced.code == 4 && synced.err.contains("is refused: "), "{}", synced.err);
    assert_eq!(stage.run(&["wait", "--for", "healthy", "--timeout", "10s"]).code, 0);
    assert_eq!(stage.run(&["plan"]).code, 3);
    assert_eq!(before, stage.running());
    stage.history.go_to(good);
    stage.publish();
    stage.says("the good tip again", |status| status.refused.is_none());
    assert_eq!(before, stage.running());
}

async fn refuses_to_go_back(stage: &mut Stage) {
    let old = stage.history.tip;
    let new = stage.release("web", "1.2.0", "good").await;
    let before = stage.settled(new);
    stage.history.go_to(old);
    stage.publish();
    let status = stage.says("refused", |status| status.refused.is_some());
    assert_eq!((status.revision.tip, status.revision.applied), (Some(old), Some(new)));
    // Nor does another process, which remembers by file.
    assert_eq!(stage.end_agent(Signal::KILL), None);
    let refusals =
        |stage: &Stage| stage.log().matches(&format!("refused dev@sha1:{}", old.short())).count();
    let known = refusals(stage);
    stage.start_agent();
    stage.until("refused again", |stage| (refusals(stage) > known).then_some(()));
    let status = stage.status().unwrap();
    assert_eq!((status.refused.is_some(), status.revision.applied), (true, Some(new)));
    assert_eq!(before, stage.running());
    stage.history.go_to(new);
    stage.publish();
    assert_eq!(before, stage.settled(new));
}

fn keeps_what_ran_when_a_revision_has_mistakes(stage: &mut Stage) {
    let (before, good) = (stage.running(), stage.history.tip);
    stage.history.write("services/app2.toml", "app = \"app2\"\nnodes = 7\nnonsense = true\n");
    let bad = stage.commit("three mistakes in one file");
    let status = stage.says("mistakes", |status| status.configuration.is_some());
    let fault = status.configuration.unwrap();
    assert_eq!(fault.commit, Some(bad));
    assert!(fault.mistakes.iter().any(|line| line.contains("services/app2.toml:3:1")), "{fault:?}");
    assert!(fault.mistakes.len() >= 2, "{fault:?}");
    assert_eq!(status.revision.applied, Some(good));
    // What runs is kept in repair all the same.
    stage.docker(&["stop", WEB]);
    stage.until("web runs again", |stage| stage.version(WEB));
    assert_eq!(before, stage.running());
    stage.write_service("app2", "role=web", APP2);
    let mended = stage.commit("mended");
    assert_eq!(before, stage.settled(mended));
}

fn only_reports_in_report_mode(stage: &mut Stage) {
    let file = stage.history.path("environments/dev/environment.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    stage.history.write_own("environment.toml", &format!("{text}mode = \"report\"\n"));
    let commit = stage.commit(&format!("dev only reports{LOCAL}"));
    stage.says("report mode", |status| status.revision.verified == Some(commit));
    stage.docker(&["stop", WEB]);
    stage.docker(&["rm", "-f", "app3.dev-job"]);
    let stopped = stage.running();
    stage.says("reported", |status| {
        let differing = status.services.values().filter(|s| s.sync != Sync::Synced);
        differing.count() == 2
    });
    let said = stage.run(&["apply"]);
    let told = format!("{}{}", said.out, said.err);
    for name in ["app1", "app3"] {
        let line = format!("{name} differs: report mode, nothing is done: ");
        assert!(told.contains(&line) && !told.contains("nothing to do"), "{told}");
    }
    assert_eq!(said.code, 2, "{told}");
    assert_eq!(stage.run(&["apply", "app2"]).code, 0, "that one is as it should be");
    assert_eq!(stopped, stage.running());
    stage.history.write_own("environment.toml", &text);
    let commit = stage.commit(&format!("dev applies again{LOCAL}"));
    stage.settled(commit);
    assert!(stage.version(WEB).is_some() && stage.running().contains_key("app3.dev-job"));
}

fn holds_what_its_policy_denies(stage: &mut Stage) {
    let before = stage.running();
    let greedy = APP2.replace("image = \"apps/site\"", "image = \"apps/site\"\nprivileged = true");
    stage.write_service("app2", "role=web", &greedy);
    let commit = stage.commit("app2 wants all");
    stage.says("held", |status| {
        let held = status.services.get("app2").is_some_and(|service| service.held.is_some());
        held && status.revision.verified == Some(commit)
    });
    let said = stage.run(&["apply"]);
    assert!(said.out.contains("app2 is held: this node's policy denies it"), "{}", said.out);
    assert!(said.err.contains("[policy]"), "{}", said.err);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert_eq!(before, stage.running());
    stage.write_service("app2", "role=web", APP2);
    let mended = stage.commit("app2 wants less");
    assert_eq!(before, stage.settled(mended));
}

async fn plans_and_waits_by_exit_code(stage: &mut Stage) {
    assert_eq!(stage.run(&["plan"]).code, 0);
    assert_eq!(stage.run(&["wait", "--timeout", "10s"]).code, 0);
    let older = stage.history.git(&["rev-parse", &format!("{}~1", stage.history.tip)]);
    let older = format!("commit={}", older.trim());
    assert_eq!(stage.run(&["wait", "--for", &older, "--timeout", "10s"]).code, 0, "{older}");
    assert_eq!(stage.end_agent(Signal::TERM), Some(0));
    let alone = stage.run(&["wait", "--timeout", "200ms"]);
    assert!(alone.code == 4 && alone.err.contains("no agent is running"), "{}", alone.err);
    let commit = stage.release("web", "1.3.0", "good").await;
    let before = stage.running();
    let plan = stage.run(&["plan", "-o", "json"]);
    assert_eq!(plan.code, 2, "{}", plan.err);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!((&plan["in_sync"], &plan["unverified"]), (&false.into(), &false.into()));
    let awaited = format!("commit={commit}");
    assert_eq!(stage.run(&["wait", "--for", &awaited, "--timeout", "200ms"]).code, 4);
    assert_eq!(before, stage.running());
    let once = stage.run(&["agent", "--once"]);
    assert_eq!(once.code, 0, "{}", once.err);
    assert_eq!(stage.version(WEB).as_deref(), Some("1.3.0"));
    assert_eq!(stage.run(&["plan"]).code, 0);
}

/// Its one service is made, and what the signed node owns is left alone.
fn says_unverified_of_a_work_tree(stage: &Stage) {
    let before = stage.running();
    let tree = stage.dir.path().join("tree");
    stage.history.git(&["checkout-index", "-a", &format!("--prefix={}/", tree.display())]);
    for name in ["app1", "app2", "app3"] {
        let file = tree.join(format!("services/{name}.toml"));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("role=web", "role=other")).unwrap();
    }
    let text = APP3.replace("NODES", "role=web").replace("containers.job", "containers.mine");
    std::fs::write(tree.join("services/app9.toml"), text).unwrap();
    let pins = std::fs::read_to_string(tree.join("rulesets/app3.toml")).unwrap();
    let pins = pins.replace("app3", "app9").replace("containers.job", "containers.mine");
    std::fs::write(tree.join("rulesets/app9.toml"), pins).unwrap();
    let tree = tree.display().to_string();
    let node = ["--environment", "dev", "--node", "n1", "-o", "json"];
    let said = stage.run(&[&["apply", "--worktree", &tree][..], &node].concat());
    let unknown = stage.run(&[&["apply", "--worktree", &tree][..], &node, &["zzz"]].concat());
    assert_eq!(unknown.code, 64, "{}{}", unknown.out, unknown.err);
    assert!(said.err.contains("UNVERIFIED"), "{}{}", said.out, said.err);
    assert_eq!(said.code, 2, "the brake holds what the tree does not want: {}", said.err);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&document["unverified"], &document["status"]["trust"]),
        (&true.into(), &"none".into())
    );
    assert_same(&before, &stage.running(), &["app9.dev-mine"]);
    let labels = stage.inspect("app9.dev-mine")["Config"]["Labels"].to_string();
    assert!(labels.contains("worktree"), "{labels}");
    for file in ["services/app9.toml", "rulesets/app9.toml"] {
        std::fs::remove_file(stage.dir.path().join("tree").join(file)).unwrap();
    }
    // One of so few is more than half: past the brake.
    let chosen = ["app9", "--allow-removal", "app9"];
    let gone = stage.run(&[&["apply", "--worktree", &tree][..], &node, &chosen].concat());
    assert_eq!(gone.code, 0, "{}{}", gone.out, gone.err);
    assert_eq!(before, stage.running());
}
