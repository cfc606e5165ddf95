//! What commits do to a node, and what they leave alone.

use std::thread::park_timeout as park;
use std::time::Duration;

use rustix::process::Signal;

use crate::cli::real::stage::{APP3, Running, Stage};

/// Asserts that all containers but those named are the same, in the same state.
#[track_caller]
pub(crate) fn assert_same(before: &Running, after: &Running, but: &[&str]) {
    for (name, was) in before.iter().filter(|(name, _)| !but.contains(&name.as_str())) {
        assert_eq!(Some(was), after.get(name), "{name} was touched");
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    let new: Vec<&String> = new.filter(|name| !but.contains(&name.as_str())).collect();
    assert!(new.is_empty(), "nobody wanted {new:?}");
}

#[tokio::test]
async fn a_node_follows_its_branch_and_touches_nothing_else() {
    let mut stage = Stage::new().await;
    stage.start_agent();
    deploys_from_nothing(&stage);
    leaves_what_a_readme_does_not_change(&mut stage);
    replaces_one_image(&mut stage).await;
    ends_at_the_second_of_two_quick_pushes(&mut stage).await;
    takes_a_commit_that_arrives_during_a_rollout(&mut stage).await;
    kills_what_does_not_care_for_sigterm(&mut stage).await;
    renames_a_container(&mut stage);
    gives_a_service_to_another_node(&mut stage);
    removes_a_service(&mut stage);
    keeps_a_journal_that_verifies(&stage);
    assert_eq!(stage.end_agent(Signal::TERM), Some(0), "{}", stage.log());
    assert_eq!(stage.run(&["plan"]).code, 0);
}

fn deploys_from_nothing(stage: &Stage) {
    let running = stage.settled(stage.history.tip);
    let names: Vec<&str> = running.keys().map(String::as_str).collect();
    let wanted =
        ["app1.dev-db", "app1.dev-migrate", "app1.dev-web", "app2.dev-site", "app3.dev-job"];
    assert_eq!(names, wanted);
    assert_eq!(stage.inspect("app1.dev-migrate")["State"]["ExitCode"], 0);
    let started = |name: &str| {
        let at = stage.inspect(name)["State"]["StartedAt"].as_str().unwrap().to_owned();
        at.parse::<jiff::Timestamp>().unwrap()
    };
    assert!(started("app1.dev-db") < started("app1.dev-migrate"));
    assert!(started("app1.dev-migrate") < started("app1.dev-web"));
}

fn leaves_what_a_readme_does_not_change(stage: &mut Stage) {
    let before = stage.running();
    stage.history.write("README.md", "Our services, and nothing else.\n");
    let commit = stage.commit("README");
    assert_eq!(before, stage.settled(commit));
}

async fn replaces_one_image(stage: &mut Stage) {
    let before = stage.running();
    let commit = stage.release("web", "1.1.0", "good").await;
    let after = stage.settled(commit);
    assert_same(&before, &after, &["app1.dev-web"]);
    assert_ne!(before["app1.dev-web"], after["app1.dev-web"]);
    assert_eq!(stage.version("app1.dev-web").as_deref(), Some("1.1.0"));
}

async fn ends_at_the_second_of_two_quick_pushes(stage: &mut Stage) {
    let before = stage.running();
    stage.release("web", "1.2.0", "good").await;
    park(Duration::from_secs(1));
    let commit = stage.release("web", "1.2.1", "good").await;
    assert_same(&before, &stage.settled(commit), &["app1.dev-web"]);
    assert_eq!(stage.version("app1.dev-web").as_deref(), Some("1.2.1"));
}

async fn takes_a_commit_that_arrives_during_a_rollout(stage: &mut Stage) {
    let before = stage.running();
    stage.release("web", "1.3.0", "good").await;
    stage.until("a rollout under way", |stage| (stage.running() != before).then_some(()));
    let commit = stage.release("web", "1.3.1", "good").await;
    assert_same(&before, &stage.settled(commit), &["app1.dev-web"]);
    assert_eq!(stage.version("app1.dev-web").as_deref(), Some("1.3.1"));
}

async fn kills_what_does_not_care_for_sigterm(stage: &mut Stage) {
    let before = stage.running();
    let commit = stage.release("site", "2.0.0", "good").await;
    assert_same(&before, &stage.settled(commit), &["app2.dev-site"]);
    assert_eq!(stage.version("app2.dev-site").as_deref(), Some("2.0.0"));
}

fn renames_a_container(stage: &mut Stage) {
    let before = stage.running();
    let text = APP3.replace("containers.job", "containers.work");
    stage.write_service("app3", "role=web", &text);
    let pins = std::fs::read_to_string(stage.history.path("rulesets/app3.toml")).unwrap();
    stage.history.write("rulesets/app3.toml", &pins.replace("containers.job", "containers.work"));
    let commit = stage.commit("job is called work");
    let after = stage.settled(commit);
    assert_same(&before, &after, &["app3.dev-job", "app3.dev-work"]);
    assert!(!after.contains_key("app3.dev-job") && after.contains_key("app3.dev-work"));
}

fn gives_a_service_to_another_node(stage: &mut Stage) {
    let before = stage.running();
    let text = APP3.replace("containers.job", "containers.work");
    stage.write_service("app3", "role=other", &text);
    let commit = stage.commit("app3 moves to n2");
    let after = stage.settled(commit);
    assert_same(&before, &after, &["app3.dev-work"]);
    assert!(!after.contains_key("app3.dev-work"));
}

fn removes_a_service(stage: &mut Stage) {
    let before = stage.running();
    for file in ["services/app2.toml", "rulesets/app2.toml"] {
        std::fs::remove_file(stage.history.path(file)).unwrap();
    }
    let commit = stage.commit("app2 is no more");
    let after = stage.settled(commit);
    assert_same(&before, &after, &["app2.dev-site"]);
    assert!(!after.contains_key("app2.dev-site"));
}

fn keeps_a_journal_that_verifies(stage: &Stage) {
    let said = stage.run(&["history", "--verify", "--limit", "0"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for service in ["app1", "app2", "app3"] {
        assert!(said.out.contains(service), "{}", said.out);
    }
    let status = stage.run(&["status", "-o", "json"]);
    assert_eq!(status.code, 0, "{}", status.err);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["schema"], "tidegate.status/1");
    assert_eq!(status["revision"]["applied"], stage.history.tip.to_string());
}
