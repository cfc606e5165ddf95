//! Rules about a real engine: the built-in one with each of its links broken, then the others.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use jiff::SignedDuration;
use rustix::process::Signal;
use serde_json::Value;
use tidegate::agent::lock::StateLock;
use tidegate::compliance::shelf::Shelf;

use crate::cli::real::rights::{
    what_ran_once_and_is_gone_does_not_apply, who_may_not_ask_and_what_does_not_apply,
};
use crate::cli::real::stage::{APP3, HUB_CANARY, Stage};
use crate::compliance::metrics::{counted, measured, scrape};

const SITE: &str = "app2.dev-site";

#[tokio::test]
async fn rules_see_a_real_engine_and_the_broken_link_is_named() {
    let mut stage = Stage::new().await;
    let port = stage.listen();
    stage.start_agent();
    stage.settled(stage.history.tip);
    metrics_say_what_check_says_and_what_runs(&stage, port);
    what_was_not_checked_in_time_is_unknown_until_it_is(&mut stage);
    a_file_that_changes_is_checked_soon(&mut stage);
    stage.end_agent(Signal::TERM);
    every_link_holds(&stage);
    a_stopped_container_breaks_the_container_link(&stage);
    a_container_of_another_image_breaks_the_container_link(&stage);
    containers_run_as_the_rules_say(&mut stage);
    what_is_not_ours_or_forbidden_or_unused_is_named(&mut stage);
    the_hub_login_is_tried(&mut stage);
    who_may_not_ask_and_what_does_not_apply(&mut stage);
    a_release_that_is_not_rolled_out_breaks_the_definition_link(&mut stage).await;
    a_service_that_goes_breaks_the_rule_link(&mut stage);
    what_ran_once_and_is_gone_does_not_apply(&stage);
}

fn metrics_say_what_check_says_and_what_runs(stage: &Stage, port: u16) {
    let images = |samples: &BTreeMap<String, f64>, status: &str| {
        samples.get(&format!("tidegate_images{{status=\"{status}\"}}")).is_some_and(|n| *n > 0.0)
    };
    // The first check may come before the last container does.
    let all_hold = |samples: &_| images(samples, "ok") && !images(samples, "not_ok");
    let samples = stage.until("all images hold", |_| scrape(port).filter(all_hold));
    let said = stage.run(&["check", "-o", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(measured(&samples), counted(&serde_json::from_str(&said.out).unwrap()));
    let tip = stage.history.tip;
    for (series, number) in [
        ("tidegate_pass_success", 1.0),
        ("tidegate_services{sync=\"synced\"}", 3.0),
        ("tidegate_services_by_health{health=\"healthy\"}", 3.0),
        ("tidegate_changes_total{change=\"apply\",result=\"done\"}", 3.0),
        // `migrate` runs once.
        ("tidegate_service_containers_wanted{service=\"app1\"}", 2.0),
        ("tidegate_service_containers_running{service=\"app1\"}", 2.0),
        ("tidegate_service_restarts_total{service=\"app1\"}", 0.0),
        ("tidegate_condition{condition=\"unverified\"}", 0.0),
        (&format!("tidegate_revision_info{{revision=\"applied\",commit=\"{tip}\"}}"), 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&number), "{series}\n{samples:#?}");
    }
}

/// The agent runs, and its checks do not: what it found is unknown when two of them were missed, and
/// known again after the next.
fn what_was_not_checked_in_time_is_unknown_until_it_is(stage: &mut Stage) {
    let shelf = Shelf::below(&stage.state_dir());
    let all = |stage: &Stage, status: &str| {
        let said = stage.run(&["check", "--last", "-o", "json"]);
        let document: Value = serde_json::from_str(&said.out).ok()?;
        let verdicts = document["verdicts"].as_array()?;
        let same = !verdicts.is_empty() && verdicts.iter().all(|v| v["status"] == status);
        same.then_some(document)
    };
    stage.until("everything is checked and holds", |stage| all(stage, "ok"));
    {
        let _no_check_meanwhile = StateLock::take(shelf.folder().unwrap()).unwrap();
        let mut missed = shelf.standing().unwrap().unwrap();
        let long_ago = missed.checked_at - SignedDuration::from_hours(3);
        (missed.checked_at, missed.stale_at) = (long_ago, Some(long_ago));
        shelf.keep(&missed, &[]).unwrap();
        let missing = all(stage, "unknown").unwrap();
        let reason = missing["verdicts"][0]["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("stale: last checked"), "{reason}");
        let status: Value =
            serde_json::from_str(&stage.run(&["status", "-o", "json"]).out).unwrap();
        assert_eq!(status["compliance"]["is_stale"], true, "{status:#}");
    }
    stage.history.write("README.md", "Our services, checked.\n");
    stage.commit("a commit is checked");
    stage.until("everything is known again", |stage| all(stage, "ok"));
}

/// No commit, no event of the engine, and the next check by schedule is an hour away.
fn a_file_that_changes_is_checked_soon(stage: &mut Stage) {
    // What lies below /tmp is left to the schedule.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = folder.path().join("motd");
    fs::write(&file, "as it is\n").unwrap();
    let rule = format!(
        "[[rules]]\nname = \"motd\"\nkind = \"file\"\npath = \"{}\"\ncontent = \"as it is\\n\"\n",
        file.display()
    );
    stage.history.write("rulesets/watched.toml", &rule);
    stage.commit("a file that matters");
    let found = |stage: &Stage, status: &str| {
        let said = stage.run(&["check", "--last", "--rule", "watched/motd", "-o", "json"]);
        let document: Value = serde_json::from_str(&said.out).ok()?;
        (document["verdicts"][0]["status"] == status).then_some(())
    };
    stage.until("the file is checked", |stage| found(stage, "ok"));
    fs::write(&file, "otherwise\n").unwrap();
    stage.until("the change is found", |stage| found(stage, "not_ok"));
    let why = format!("{} changed", file.display());
    // The check keeps what it found before the agent hears of it.
    stage.until("why it was checked", |stage| stage.log().contains(&why).then_some(()));
    fs::remove_file(stage.history.path("rulesets/watched.toml")).unwrap();
    stage.commit("it does not matter any more");
    stage.until("nobody asks", |stage| {
        let last = stage.run(&["check", "--last", "-o", "json"]).out;
        (!last.contains("watched/motd")).then_some(())
    });
}

/// Verdicts by rule and target.
fn verdicts(stage: &Stage, rules: &str) -> Vec<Value> {
    let said = stage.run(&["check", "--rule", rules, "-o", "json"]);
    assert!(matches!(said.code, 0 | 2), "{}{}", said.out, said.err);
    let mut document: Value = serde_json::from_str(&said.out).unwrap();
    serde_json::from_value(document["verdicts"].take()).unwrap()
}

/// What is said about one rule or target.
#[track_caller]
fn about(all: &[Value], named: &str) -> Value {
    let fits = |v: &&Value| v["rule"] == named || v["target"] == named;
    let found = all.iter().find(fits);
    assert!(found.is_some(), "{named}: {all:#?}");
    found.cloned().unwrap()
}

/// Every image verdict holds but this one, whose link is broken.
#[track_caller]
fn only_broken(stage: &Stage, target: &str, link: &str) -> Value {
    let all = verdicts(stage, "*");
    for verdict in all.iter().filter(|v| v["kind"] == "image" && v["target"] != target) {
        assert_eq!(verdict["status"], "ok", "{verdict:#}");
    }
    let broken = about(&all, target);
    assert_eq!(
        (&broken["status"], &broken["broken"]),
        (&"not_ok".into(), &link.into()),
        "{broken:#}"
    );
    broken
}

fn every_link_holds(stage: &Stage) {
    let all = verdicts(stage, "*");
    assert_eq!(all.len(), 5, "{all:#?}");
    assert!(all.iter().all(|v| v["status"] == "ok"), "{all:#?}");
    assert_eq!(about(&all, "app2.dev/site")["rule"], "app2/site.image");
}

fn a_stopped_container_breaks_the_container_link(stage: &Stage) {
    stage.docker(&["stop", "-t", "0", SITE]);
    let broken = only_broken(stage, "app2.dev/site", "container");
    assert!(broken["actual"].as_str().unwrap().starts_with("app2.dev-site does not run"));
    stage.docker(&["start", SITE]);
    every_link_holds(stage);
}

/// Whoever has the engine can copy a container's labels, proof and all: the image tells.
fn a_container_of_another_image_breaks_the_container_link(stage: &Stage) {
    let labels = stage.inspect(SITE)["Config"]["Labels"].take();
    let labels = labels.as_object().unwrap().iter();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap()));
    let other = stage.inspect("app1.dev-migrate")["Image"].as_str().unwrap().to_owned();
    stage.docker(&["rename", SITE, "aside"]);
    let mut run: Vec<String> =
        ["run", "-d", "--network", "none", "--name", SITE].map(str::to_owned).into();
    for label in labels {
        run.extend(["--label".to_owned(), label]);
    }
    run.extend([&other, "sleep", "6000"].map(str::to_owned));
    stage.docker(&run.iter().map(String::as_str).collect::<Vec<_>>());
    stage.docker(&["stop", "-t", "0", "aside"]);
    let broken = only_broken(stage, "app2.dev/site", "container");
    assert!(broken["actual"].as_str().unwrap().contains(&other[..19]), "{broken:#}");
    stage.docker(&["rm", "-f", SITE]);
    stage.docker(&["rename", "aside", SITE]);
    stage.docker(&["start", SITE]);
    every_link_holds(stage);
}

const CONTAINERS: &str = r#"
[[rules]]
name = "sound"
kind = "container"
state = "running"
health = ["healthy", "none"]
restarts_max = 0
privileged = false
host_namespaces = []
cap_add = []

[[rules]]
name = "root"
kind = "container"
root = false

[[rules]]
name = "limits"
kind = "container"
container = "web"
memory_max = "64m"
pids_max = 100
"#;

fn containers_run_as_the_rules_say(stage: &mut Stage) {
    stage.history.write("rulesets/docker.toml", CONTAINERS);
    stage.commit("rules about containers");
    let all = verdicts(stage, "docker/*");
    assert_eq!(about(&all, "docker/sound")["status"], "ok", "{all:#?}");
    let root = about(&all, "docker/root")["actual"].clone();
    assert!(root.as_str().unwrap().contains("app1.dev-web runs as root"), "{root}");
    let limits = about(&all, "docker/limits")["actual"].clone();
    let none = "app1.dev-web has no limit of bytes of memory, has no limit of processes";
    assert_eq!(limits, none);
    stage.docker(&["update", "--memory", "64m", "--memory-swap", "64m", "app1.dev-web"]);
    stage.docker(&["update", "--pids-limit", "200", "app1.dev-web"]);
    let limits = about(&verdicts(stage, "docker/limits"), "docker/limits")["actual"].clone();
    assert_eq!(limits, "app1.dev-web may use 200 processes");
    stage.docker(&["pause", SITE]);
    let sound = about(&verdicts(stage, "docker/sound"), "docker/sound")["actual"].clone();
    assert_eq!(sound, "app2.dev-site is paused");
    stage.docker(&["unpause", SITE]);
}

const OTHERS: &str = r#"
[[rules]]
name = "ours"
kind = "unmanaged_container"

[[rules]]
name = "known"
kind = "unmanaged_container"
except = ["strang*"]

[[rules]]
name = "latest"
kind = "forbidden_image"
images = ["*:latest"]
stored = true

[[rules]]
name = "apps"
kind = "forbidden_image"
images = ["*"]
except = ["${hub}/apps/*"]

[[rules]]
name = "unused"
kind = "dangling"
images_max = 0
volumes_max = 0
except = ["app1.dev_*"]
"#;

fn what_is_not_ours_or_forbidden_or_unused_is_named(stage: &mut Stage) {
    stage.history.write("rulesets/docker.toml", OTHERS);
    stage.commit("rules about others");
    let all = verdicts(stage, "docker/*");
    assert_eq!(all.len(), 5, "{all:#?}");
    assert!(all.iter().all(|v| v["status"] == "ok"), "{all:#?}");
    let image = stage.docker(&["commit", SITE]);
    stage.docker(&["tag", &image, "loose:latest"]);
    stage.docker(&["create", "--name", "stranger", "loose:latest"]);
    stage.docker(&["commit", "--change", "LABEL a=b", SITE]);
    stage.docker(&["volume", "create", "left"]);
    let all = verdicts(stage, "docker/*");
    let actual = |rule: &str| about(&all, rule)["actual"].clone();
    assert_eq!(actual("docker/ours"), "stranger (loose:latest, created)");
    assert_eq!(about(&all, "docker/known")["status"], "ok");
    let latest = "stranger is made of loose:latest; loose:latest lies on the engine";
    assert_eq!(actual("docker/latest"), latest);
    assert_eq!(actual("docker/apps"), "stranger is made of loose:latest");
    assert_eq!(actual("docker/unused"), "1 images, 1 volumes");
    let facts = stage.run(&["facts", "-o", "json"]);
    let facts: Value = serde_json::from_str(&facts.out).unwrap();
    let volumes = facts["facts"]["volume"].as_array().unwrap().iter();
    let left = volumes.filter(|row| row["name"] == "left" && row["dangling"] == true).count();
    assert_eq!(left, 1, "{facts:#}");
    stage.docker(&["rm", "stranger"]);
}

fn the_hub_login_is_tried(stage: &mut Stage) {
    stage
        .history
        .write("rulesets/docker.toml", "[[rules]]\nname = \"login\"\nkind = \"hub_login\"\n");
    stage.commit("a rule about the hub");
    let file = stage.dir.path().join("hub.json");
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let open = about(&verdicts(stage, "docker/*"), "docker/login");
    assert_eq!(open["actual"], format!("others can read {}", file.display()));
    mode(0o600);
    let good = about(&verdicts(stage, "docker/*"), "docker/login");
    assert_eq!(good["status"], "ok", "{good:#}");
    let right = fs::read_to_string(&file).unwrap();
    fs::write(&file, right.replace(HUB_CANARY, "wrong-one")).unwrap();
    let wrong = about(&verdicts(stage, "docker/*"), "docker/login");
    assert!(wrong["actual"].as_str().unwrap().contains("does not let it in"), "{wrong:#}");
    fs::write(&file, "{\"auths\":{}}").unwrap();
    let none = about(&verdicts(stage, "docker/*"), "docker/login");
    assert!(none["actual"].as_str().unwrap().starts_with("there is no entry for"), "{none:#}");
    fs::write(&file, right).unwrap();
}

async fn a_release_that_is_not_rolled_out_breaks_the_definition_link(stage: &mut Stage) {
    let _commit = stage.release("site", "2.0.0", "good").await;
    let broken = only_broken(stage, "app2.dev/site", "definition");
    let said = broken["actual"].as_str().unwrap();
    assert!(said.starts_with("the definition in force asks for apps/site@sha256:"), "{said}");
    // No fix mends it, and none says that nothing is wrong.
    let name = broken["rule"].as_str().unwrap();
    for args in [&["fix", "--dry-run"][..], &["fix", "--rule", name, "--yes"]] {
        let said = stage.run(args);
        assert_eq!(said.code, 2, "{}", said.err);
        let line = format!("{name} (app2.dev/site): the agent rolls it out: ");
        assert!(said.err.contains(&line), "{}", said.err);
    }
    stage.image("site", "1.0.0", "good").await;
    stage.write_pins();
    stage.commit("as it was");
    every_link_holds_but_for_rules(stage);
}

fn every_link_holds_but_for_rules(stage: &Stage) {
    let all = verdicts(stage, "*.image");
    assert!(all.iter().all(|v| v["status"] == "ok"), "{all:#?}");
}

fn a_service_that_goes_breaks_the_rule_link(stage: &mut Stage) {
    stage.write_service("app3", "role=other", APP3);
    stage.commit("app3 runs elsewhere");
    let broken = only_broken(stage, "app3.dev/job", "rule");
    assert_eq!(broken["rule"], "(none)");
    assert!(broken["actual"].as_str().unwrap().starts_with("app3.dev-job runs"), "{broken:#}");
}
